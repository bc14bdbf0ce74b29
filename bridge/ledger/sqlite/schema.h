/*
 * store_sqlite_schema - all of a SQLite ledger that is SQL: its tables, how older ones are brought
 * forward, the statements on them, and the database's settings.
 *
 * A file's version is PRAGMA user_version; version N is what the first N steps make. Steps are only
 * ever added: a released one never changes, since files exist that were made by it.
 * Thread: any; constant.
 */
#ifndef LEDGER_SQLITE_SCHEMA_H
#define LEDGER_SQLITE_SCHEMA_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* PRAGMA application_id of every ledger: "ECMB". */
#define STORE_SQLITE_APPLICATION_ID 0x45434d42

/* The newest version, which this program works with. */
#define STORE_SQLITE_VERSION 4

/* What makes version i + 1 of version i, at index i. */
extern const char *const store_sqlite_steps[STORE_SQLITE_VERSION];

enum store_sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_FIND,
    SQL_INSERT,
    SQL_SET_STATE,
    SQL_FINISH,
    SQL_FORGET,
    SQL_ADD_REPLY_TO,
    SQL_LIST_REPLY_TOS,
    SQL_REMOVE_REPLY_TOS,
    SQL_POST,
    SQL_UNPOST,
    SQL_READ_OUTBOX,
    SQL_ADD_AUDIT,
    SQL_READ_AUDIT,
    SQL_FORGET_AUDIT,
    SQL_LIST_UNFINISHED,
    SQL_RESET_CALLS,
    SQL_SUMMARISE,
    SQL_EXPIRE,
    SQL_SET_META,
    SQL_GET_META,
    SQL_COUNT
};

extern const char *const store_sqlite_statements[SQL_COUNT];

/* The columns of a command's row in SQL_FIND and SQL_LIST_UNFINISHED; SQL_FIND has one more. */
#define COMMAND_COLUMN_COUNT 21

/* What reads both edges of the tables and indexes, a row of one number each. */
#define STORE_SQLITE_PROBES 12
extern const char *const store_sqlite_probes[STORE_SQLITE_PROBES];

/* For every connection, before anything is written. */
extern const char store_sqlite_pragmas[];
const char *store_sqlite_durability(bool is_full);

/* Whether this program can work with a file of that kind and version (0 and 0: a new one);
 * STATUS_INVALID with what to do. */
enum status store_sqlite_judge(const char *path, int64_t application_id, int64_t version,
                               bool has_tables, struct buf *out_why);

/* Says what to do about a file that cannot be used as it is: STATUS_INVALID. Nothing is made anew
 * by itself, since an empty ledger would run commands a second time. */
enum status store_sqlite_is_damaged(const char *error, struct buf *out_why);

#endif
