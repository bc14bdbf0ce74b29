/*
 * sync_time - how long SQLite waits for the disk.
 *
 * SQLite does not report it. The file and its write-ahead log get a table of methods that is
 * SQLite's own but for xSync.
 *
 * Thread: the connection's.
 */
#ifndef LEDGER_SQLITE_SYNC_TIME_H
#define LEDGER_SQLITE_SYNC_TIME_H

#include <sqlite3.h>

#include <stdint.h>

struct sync_time {
    int64_t us; /* of all syncs so far; may be set back to 0 */
    struct sync_methods {
        sqlite3_io_methods methods; /* first: SQLite's pointer is cast back to this */
        const sqlite3_io_methods *own;
        struct sync_time *time;
    } file, log;
};

/* From now on the syncs of this connection are measured. It is in WAL mode and has read; `time`
 * must outlive it. */
void sync_time_begin(struct sync_time *time, sqlite3 *db);

#endif
