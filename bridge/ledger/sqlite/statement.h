/*
 * statement - running a prepared statement of the connection: bind its values, run it, read
 * columns. Values are bound without a copy, and text with its length; the database is UTF-8, so
 * nothing is converted.
 *
 * Thread: as store.h. Fails with: STATUS_STORE, with the reason in store->error.
 */
#ifndef LEDGER_SQLITE_STATEMENT_H
#define LEDGER_SQLITE_STATEMENT_H

#include "rows.h"

#include <assert.h>
#include <limits.h>

/* Returns a statement to bind values to. */
static inline sqlite3_stmt *use(struct store *store, enum store_sqlite_statement which)
{
    rows_release(store);
    return store->statements[which];
}

/* Runs a statement that returns no row. */
static inline enum status run(struct store *store, sqlite3_stmt *statement)
{
    enum status status =
        sqlite3_step(statement) == SQLITE_DONE ? STATUS_OK : store_sqlite_fail(store);
    sqlite3_reset(statement);
    return status;
}

/* Reads the next row; STATUS_NOT_FOUND: there is none. The row is valid until the next call on the
 * store. */
static inline enum status fetch(struct store *store, sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        store->open = statement;
        return STATUS_OK;
    }
    enum status status = result == SQLITE_DONE ? STATUS_NOT_FOUND : store_sqlite_fail(store);
    sqlite3_reset(statement);
    return status;
}

static inline void bind_int(sqlite3_stmt *statement, int index, int64_t value)
{
    int result = sqlite3_bind_int64(statement, index, value);
    assert(result == SQLITE_OK);
}

/* SQLite reads the bytes when the statement is run, which is before the calling function returns.
 */
static inline void bind_text(sqlite3_stmt *statement, int index, struct slice text)
{
    assert(text.length <= INT_MAX);
    int result = sqlite3_bind_text(statement, index, text.data, (int)text.length, SQLITE_STATIC);
    assert(result == SQLITE_OK);
}

static inline void bind_blob(sqlite3_stmt *statement, int index, struct slice bytes)
{
    assert(bytes.length <= INT_MAX);
    int result = sqlite3_bind_blob(statement, index, bytes.data, (int)bytes.length, SQLITE_STATIC);
    assert(result == SQLITE_OK);
}

static inline struct slice column_text(sqlite3_stmt *statement, int index)
{
    const unsigned char *text = sqlite3_column_text(statement, index);
    return slice_of(text, text == NULL ? 0 : (size_t)sqlite3_column_bytes(statement, index));
}

static inline struct slice column_blob(sqlite3_stmt *statement, int index)
{
    if (sqlite3_column_type(statement, index) == SQLITE_NULL) {
        return (struct slice){0};
    }
    const void *bytes = sqlite3_column_blob(statement, index);
    /* SQLite returns NULL for an empty blob. */
    return bytes == NULL ? slice_text("")
                         : slice_of(bytes, (size_t)sqlite3_column_bytes(statement, index));
}

#endif
