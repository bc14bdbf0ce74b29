/*
 * file - the file of a store: one process uses it at a time, and only its owner can read it.
 *
 * There are two locks. The one on a separate file "PATH.lock" is held before the store exists; that
 * file contains the process id and the runs of the last user and is never removed. The one on a
 * byte of the store's own file is the same whatever name the file has (links, bind mounts).
 *
 * Thread: any. Fails with: a sentence for the operator, appended to *out_why.
 */
#ifndef LEDGER_SQLITE_FILE_H
#define LEDGER_SQLITE_FILE_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The runs to which the store's write-ahead log may belong, of a run that did not end orderly. The
 * lock file has them; 0: not known. There are two while a run begins.
 */
struct store_runs {
    int64_t ids[2];
};

/* Takes the lock, until store_file_unlock(). STATUS_BUSY: another process has it. `*out_runs` is
 * what the last user left. */
enum status store_file_lock(const char *path, int *out_fd, struct store_runs *out_runs,
                            struct buf *out_why);
/* Writes the runs into the lock file, and to the disk. */
void store_file_set_runs(int fd, const struct store_runs *runs);
/* Empties the lock file if the run ended orderly. Takes -1. */
void store_file_unlock(int fd, bool is_orderly);
/*
 * Locks the file itself, until the descriptor is closed. STATUS_BUSY: another process has it. A
 * file that cannot be opened is not locked (-1): opening the store reports that better.
 *
 * The process must not have the file open in SQLite when it closes the descriptor: that would drop
 * SQLite's locks (POSIX: fcntl(2)).
 */
enum status store_file_lock_itself(const char *path, int *out_fd, struct buf *out_why);
/* Whether another process has that lock. */
bool store_file_is_locked(const char *path);
/* The file that the path names if it is a symbolic link, else the path. A heap string. */
char *store_file_resolve(const char *path);
/*
 * Checks whether there is a store. STATUS_OK: there is. STATUS_NOT_FOUND: there is none, and one
 * may be created. STATUS_INVALID: the file is empty, or only its write-ahead log ("PATH-wal")
 * exists. In both cases records were lost, and an operator must decide what to do.
 */
enum status store_file_check(const char *path, struct buf *out_why);
/* Creates an empty file with mode 0600; an existing file is replaced. */
enum status store_file_create(const char *path, struct buf *out_why);
/* Renames `made` to `path` and syncs the directory. */
enum status store_file_rename(const char *made, const char *path, struct buf *out_why);
/* In bytes; -1: there is no such file, or it cannot be read. */
int64_t store_file_size(const char *path);

/* Identifies a file; all 0: there is none. */
struct store_file_id {
    dev_t device;
    ino_t inode;
};
struct store_file_id store_file_identify(const char *path);
/* Whether the path still names that file. */
bool store_file_is(const char *path, struct store_file_id id);

#endif
