/*
 * file_io - what the bridge does to SQLite's reads and writes of the file and its write-ahead log.
 *
 *   - It measures how long SQLite waits for the disk, which SQLite does not report.
 *   - A frame of the log, which SQLite writes in two calls (its head, then its page), is written in
 *     one: that saves a third of the system calls of the ledger's thread under load.
 *
 * Both files get a table of methods that is SQLite's own but for a few.
 *
 * Thread: the connection's.
 */
#ifndef LEDGER_SQLITE_FILE_IO_H
#define LEDGER_SQLITE_FILE_IO_H

#include <sqlite3.h>

#include <stdbool.h>
#include <stdint.h>

#define FILE_IO_HEAD_BYTES 24 /* of a frame */
#define FILE_IO_PAGE_BYTES 4096

struct file_io {
    int64_t sync_us; /* of all syncs so far; may be set back to 0 */
    struct file_io_methods {
        sqlite3_io_methods methods; /* first: SQLite's pointer is cast back to this */
        const sqlite3_io_methods *own;
        struct file_io *io;
    } file, log;
    /* The log. */
    sqlite3_int64 written_to; /* where the last write ended */
    bool has_head;            /* the head of the next frame is here, and not yet in the file */
    char frame[FILE_IO_HEAD_BYTES + FILE_IO_PAGE_BYTES];
};

/* From now on, for this connection. It is in WAL mode and has read; `io` must outlive it. */
void file_io_begin(struct file_io *io, sqlite3 *db);

#endif
