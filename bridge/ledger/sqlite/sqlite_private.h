/*
 * sqlite_private - the connection, which the files of the SQLite store share.
 *
 *   store.c   carries out a batch as one transaction
 *   rows.c    reads and writes rows, one statement for each function
 *   open.c    opens, creates and migrates the file
 *   schema.c  the tables and statements as SQL
 *   file_io.c measures syncs, and writes a frame of the log in one call
 *   file.c    locks, creates and identifies the file
 *   inspect.c looks at the files without opening them
 *   upkeep.c  statistics, verification and backup of an open file
 *   dump.c    rows for another store
 */
#ifndef LEDGER_SQLITE_SQLITE_PRIVATE_H
#define LEDGER_SQLITE_SQLITE_PRIVATE_H

#include "file.h"
#include "file_io.h"
#include "ledger/store.h"
#include "schema.h"

#include <sqlite3.h>

#define STORE_ERROR_BYTES 512

/* A random number for each run, which is in the file itself before the run writes anything else. */
#define RUN_META "ledger.run"
/* Whether the last run was closed. */
#define CLOSED_META "ledger.is_closed"

struct store {
    sqlite3 *db;
    char *path;
    char *log_path; /* of the write-ahead log */
    struct store_file_id file;
    struct store_file_id log;
    int lock_fd;
    int file_lock_fd; /* closed after `db` */
    struct store_runs runs;
    bool is_started;       /* close() records that the run was closed */
    bool has_effect_index; /* false: not known */
    struct file_io io;
    sqlite3_stmt *open; /* its row may still be read by the caller */
    sqlite3_stmt *statements[SQL_COUNT];
    char error[STORE_ERROR_BYTES];
};

enum status store_sqlite_open(const struct store_place *place, bool is_full,
                              struct store **out_store, struct buf *out_why);
enum status store_sqlite_open_to_read(const struct store_place *place, struct store **out_store,
                                      struct buf *out_why);
void store_sqlite_close(struct store *store);
void store_sqlite_inspect(const char *location, store_finding_fn *found, void *arg);
enum status store_sqlite_get_statistics(struct store *store,
                                        struct store_statistics *out_statistics);
enum status store_sqlite_verify(struct store *store, store_fault_fn *fault, void *arg);
enum status store_sqlite_backup(struct store *store, const char *path, struct buf *out_why);
/* STATUS_STORE: the file or its write-ahead log was moved or removed. What is written now would be
 * lost when the file is closed. */
enum status store_sqlite_check_place(struct store *store);
/* Sets store->error from the last failure of the connection. Returns STATUS_STORE. */
enum status store_sqlite_fail(struct store *store);

#endif
