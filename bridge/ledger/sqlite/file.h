/*
 * store_file - owning a store that is a file: one process at a time, readable by nobody else.
 *
 * The lock is on a file of its own beside the store ("PATH.lock"), so that it depends on no
 * database's locks; it holds the owner's process id and stays there when the owner is gone.
 * Thread: any. Failures are appended to *out_why as a sentence for the operator.
 */
#ifndef LEDGER_SQLITE_FILE_H
#define LEDGER_SQLITE_FILE_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Takes the lock; STATUS_BUSY names who has it. *out_fd ends with store_file_unlock(). */
enum status store_file_lock(const char *path, int *out_fd, struct buf *out_why);
/* Takes -1. */
void store_file_unlock(int fd);
/*
 * Whether there is a store: STATUS_OK, or STATUS_NOT_FOUND where one may be made. STATUS_INVALID,
 * with what to do, for a file that is empty, and for a log ("PATH-wal") that was left without its
 * store: what was there is gone, and that is for a person to know.
 */
enum status store_file_look(const char *path, struct buf *out_why);
/* Makes an empty file with mode 0600 in place of what may be there. */
enum status store_file_create(const char *path, struct buf *out_why);
/* `made` takes the name `path`, durably. */
enum status store_file_adopt(const char *made, const char *path, struct buf *out_why);
/* In bytes; -1 where it cannot be told. */
int64_t store_file_size(const char *path);

/* Which file has a name. All 0 where none has. */
struct store_file_id {
    dev_t device;
    ino_t inode;
};
struct store_file_id store_file_identify(const char *path);
/* Whether the name is that file's. */
bool store_file_is(const char *path, struct store_file_id id);

#endif
