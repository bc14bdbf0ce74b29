/*
 * schema - all SQL of the SQLite store: tables, migration steps, statements and settings.
 *
 * The version of a file is PRAGMA user_version; the first N steps make version N. Steps are only
 * added. A released step never changes, because files exist that were made by it.
 *
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

/* The newest version; this program works with this one. */
#define STORE_SQLITE_VERSION 9

/* The step at index i makes version i + 1 of version i. */
extern const char *const store_sqlite_steps[STORE_SQLITE_VERSION];

/*
 * The index of what was done with a group lately. Only coalescing needs it, and each outcome would
 * change one more page of the file, so it is there only where a route has coalesce_s.
 */
extern const char store_sqlite_effect_index[];
extern const char store_sqlite_no_effect_index[];

enum store_sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_FIND,
    SQL_FIND_SUCCESS,
    SQL_INSERT,
    SQL_SET_STATE,
    SQL_FINISH,
    SQL_RETRY,
    SQL_SET_HISTORY,
    SQL_ADD_HISTORY,
    SQL_FORGET,
    SQL_ADD_REPLY_TO,
    SQL_LIST_REPLY_TOS,
    SQL_REMOVE_REPLY_TOS,
    SQL_TURN_REPLY_TOS,
    SQL_EXPIRE_REPLY_TOS,
    SQL_POST,
    SQL_NOTE_MESSAGE,
    SQL_FIND_MESSAGE,
    SQL_UNPOST,
    SQL_READ_OUTBOX,
    SQL_ADD_AUDIT,
    SQL_READ_AUDIT,
    SQL_FORGET_AUDIT,
    SQL_LIST_ALL,
    SQL_LIST_UNFINISHED,
    SQL_LIST_OUTCOMES,
    SQL_RESET_CALLS,
    SQL_COUNT_AFTER,
    SQL_SUMMARISE,
    SQL_EXPIRE,
    SQL_COUNT_FREE,
    SQL_SHRINK,
    SQL_SET_META,
    SQL_GET_META,
    SQL_UNSET_META,
    SQL_LIST_META,
    SQL_FIND_WATCH,
    SQL_LIST_WATCHES,
    SQL_PUT_WATCH,
    SQL_UPDATE_WATCH,
    SQL_END_WATCH,
    SQL_COUNT
};

extern const char *const store_sqlite_statements[SQL_COUNT];

/* The SQL function history_append(history, events) (ledger/history.h), which the statements call.
 */
#define STORE_SQLITE_APPEND "history_append"

/* The number of columns of a command's row in SQL_FIND and the lists. SQL_FIND has one
 * more: the number of reply_tos. */
#define COMMAND_COLUMN_COUNT 23

/* Statements that read the first and the last entry of the tables and indexes, one number each. */
#define STORE_SQLITE_PROBES 12
extern const char *const store_sqlite_probes[STORE_SQLITE_PROBES];

/* For a new file, before it has a table: pages can be given back to the disk. In an older file only
 * VACUUM changes that. */
extern const char store_sqlite_new_pragmas[];
/* For every connection that writes. */
extern const char store_sqlite_pragmas[];
/* The number of pages that SQL_SHRINK gives back: 1 MiB takes some milliseconds. */
#define STORE_SQLITE_SHRINK_PAGES 256
const char *store_sqlite_durability(bool is_full);

/* Checks the application id and the version of a file; both are 0 in a new file. STATUS_INVALID:
 * this program cannot use it; what to do is appended to *out_why. */
enum status store_sqlite_check_version(const char *path, int64_t application_id, int64_t version,
                                       bool has_tables, struct buf *out_why);

/* Appends what to do about a damaged file; returns STATUS_INVALID. */
enum status store_sqlite_is_damaged(const char *error, struct buf *out_why);

#endif
