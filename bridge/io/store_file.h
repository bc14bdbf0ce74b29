/*
 * store_file - owning a store that is a file: one process at a time, readable by nobody else.
 *
 * The lock is on a file of its own beside the store ("PATH.lock"), so that it depends on no
 * database's locks; it holds the owner's process id and stays there when the owner is gone.
 * Thread: any. Failures are appended to *out_why as a sentence for the operator.
 */
#ifndef IO_STORE_FILE_H
#define IO_STORE_FILE_H

#include "base/buf.h"
#include "base/status.h"

#include <stdint.h>

/* Takes the lock; STATUS_BUSY names who has it. *out_fd ends with store_file_unlock(). */
enum status store_file_lock(const char *path, int *out_fd, struct buf *out_why);
/* Takes -1. */
void store_file_unlock(int fd);
/* Makes an empty file with mode 0600, its name durable, unless one is there. */
enum status store_file_create(const char *path, struct buf *out_why);
/* In bytes; -1 where it cannot be told. */
int64_t store_file_size(const char *path);

#endif
