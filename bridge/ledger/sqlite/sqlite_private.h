/*
 * sqlite_private - what the files of the SQLite store share: the connection.
 *
 *   store.c   a batch as one transaction of rows
 *   rows.c    the rows, one statement each
 *   open.c    the file: whose it is, which version, and whether it can be used
 *   schema.c  the tables and statements as SQL
 */
#ifndef LEDGER_SQLITE_SQLITE_PRIVATE_H
#define LEDGER_SQLITE_SQLITE_PRIVATE_H

#include "file.h"
#include "ledger/store.h"
#include "schema.h"

#include <sqlite3.h>

#define STORE_ERROR_BYTES 512

struct store {
    sqlite3 *db;
    char *path;
    char *log_path; /* of the write-ahead log */
    struct store_file_id file;
    struct store_file_id log;
    int lock_fd;
    bool is_started;    /* a run that close() ends */
    sqlite3_stmt *open; /* has a row that the caller may be looking at */
    sqlite3_stmt *statements[SQL_COUNT];
    char error[STORE_ERROR_BYTES];
};

enum status store_sqlite_open(const char *location, bool is_full, struct store **out_store,
                              struct buf *out_why);
enum status store_sqlite_open_to_read(const char *location, struct store **out_store,
                                      struct buf *out_why);
void store_sqlite_close(struct store *store);
/* STATUS_STORE where the file or its log is not under its name any more: what would be written
 * would be lost with the last that has it open. */
enum status store_sqlite_check_place(struct store *store);
/* Writes down what the connection's last call failed of. STATUS_STORE. */
enum status store_sqlite_fail(struct store *store);

#endif
