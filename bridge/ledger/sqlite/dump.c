/*
 * The statements return the columns of the PostgreSQL store's tables (postgres/load.c), in its
 * order. What SQLite finds out when it needs it is written down there: which unfinished command is
 * its group's head, which ones wait behind it, and whether somebody else waits for the outcome.
 */
#include "dump.h"

#include "sqlite_private.h"
#include "statement.h"

#include <inttypes.h>
#include <stdlib.h>

/* ?1 is the run, ?2 the instance. */
#define REPLY_TO                                                                  \
    "r.topic, r.correlation_data, r.correlation_id, r.traceparent, r.tracestate," \
    " iif(r.has_body_trace, 't', 'f'), r.element"

static const char *const TABLES[TRANSFER_COUNT] = {
    [TRANSFER_COMMAND] =
        "WITH head AS MATERIALIZED (SELECT min(c.id) AS id FROM reply_to w CROSS JOIN command c"
        " ON c.id = w.command_id WHERE w.place = 0 AND c.state <> 5 GROUP BY c.grp)"
        " SELECT c.token, iif(h.id IS NULL, NULL, ?1), iif(c.state = 5 OR h.id IS NOT NULL, NULL,"
        " c.id), c.id, ?1, c.received_at, c.deadline_at, c.not_before,"
        " coalesce(c.expires_at, c.deadline_at), c.completed_at, c.attempts, c.state, c.status,"
        " c.retention, c.crashes, iif(c.state <> 5 AND EXISTS (SELECT 1 FROM reply_to w"
        " WHERE w.command_id = c.id AND w.place > 0), 't', 'f'), c.action, c.region, c.grp,"
        " c.route, coalesce(c.params, iif(c.one_shot, '{\"OneShot\":true}',"
        " '{\"OneShot\":false}')), c.fingerprint, " REPLY_TO ", c.request_id, c.code, c.error,"
        " c.observed,"
        /* Without the room for acknowledgements, which only SQLite uses. */
        " " STORE_SQLITE_APPEND "(c.history, x'')"
        " FROM command c LEFT JOIN head h ON h.id = c.id LEFT JOIN reply_to r"
        " ON r.command_id = c.id AND r.place = iif(c.state = 5, -1, 0) ORDER BY c.id",
    [TRANSFER_WAITER] =
        "SELECT c.token, ?1, iif(r.place > 0, r.place, -1 - r.place) AS n, " REPLY_TO ","
        " iif(r.place < 0, 't', 'f') FROM reply_to r CROSS JOIN command c ON c.id = r.command_id"
        " WHERE r.place NOT IN (0, -1) ORDER BY c.token, n",
    [TRANSFER_OUTBOX] = "SELECT ?1, o.id, o.message, c.token FROM outbox o LEFT JOIN command c"
                        " ON c.id = o.command_id ORDER BY o.id",
    [TRANSFER_AUDIT] = "SELECT ?2, seq, record FROM audit ORDER BY seq",
    [TRANSFER_WATCH] =
        "SELECT object, id, token, action, route, region, iif(one_shot, 't', 'f'), outcome,"
        " started_at, ends_at, traceparent, seq, site, status, recover_point_s, rpo_s, progress,"
        " changed_at, flags FROM watch ORDER BY id",
    /* The owner is the last run, which was closed: the next run takes its heads and messages. */
    [TRANSFER_META] = "SELECT ?2, key, CASE key WHEN '" RUN_META "' THEN ?1 WHEN '" CLOSED_META
                      "' THEN 1 ELSE value END FROM meta ORDER BY key",
};

enum status store_sqlite_find(const char *path, struct buf *out_why)
{
    char *resolved = store_file_resolve(path);
    enum status status = store_file_check(resolved, out_why);
    if (status == STATUS_NOT_FOUND) {
        buf_printf(out_why, "there is no ledger %s", resolved);
    }
    free(resolved);
    return status;
}

static void put_text(struct slice text, struct buf *out)
{
    static const char ESCAPED[] = "\b\f\n\r\t\v\\";
    static const char LETTERS[] = "bfnrtv\\";
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        const char *found = c == '\0' ? NULL : strchr(ESCAPED, c);
        if (found != NULL) {
            buf_append_char(out, '\\');
            c = LETTERS[found - ESCAPED];
        }
        buf_append_char(out, c);
    }
}

static void put_bytes(struct slice bytes, struct buf *out)
{
    static const char DIGITS[] = "0123456789abcdef";
    buf_append_text(out, "\\\\x");
    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        buf_append_char(out, DIGITS[byte >> 4]);
        buf_append_char(out, DIGITS[byte & 15]);
    }
}

static void put_row(sqlite3_stmt *statement, struct buf *out)
{
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        if (i > 0) {
            buf_append_char(out, '\t');
        }
        switch (sqlite3_column_type(statement, i)) {
        case SQLITE_INTEGER:
            buf_printf(out, "%" PRId64, (int64_t)sqlite3_column_int64(statement, i));
            break;
        case SQLITE_TEXT:
            put_text(column_text(statement, i), out);
            break;
        case SQLITE_BLOB:
            put_bytes(column_blob(statement, i), out);
            break;
        default:
            buf_append_text(out, "\\N");
        }
    }
}

enum status store_sqlite_dump(struct store *store, enum transfer_table table,
                              const struct transfer_owner *owner, transfer_line_fn *line, void *arg)
{
    sqlite3_stmt *statement = NULL;
    struct buf text = {0};
    rows_release(store);
    if (sqlite3_prepare_v2(store->db, TABLES[table], -1, &statement, NULL) != SQLITE_OK) {
        return store_sqlite_fail(store);
    }
    /* Not every statement has both. */
    sqlite3_bind_int64(statement, sqlite3_bind_parameter_index(statement, "?1"), owner->run);
    sqlite3_bind_text(statement, sqlite3_bind_parameter_index(statement, "?2"), owner->instance, -1,
                      SQLITE_STATIC);
    enum status status = STATUS_OK;
    int result = SQLITE_DONE;
    while (status == STATUS_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        buf_clear(&text);
        put_row(statement, &text);
        status = line(arg, buf_slice(&text));
    }
    if (status == STATUS_OK && result != SQLITE_DONE) {
        status = store_sqlite_fail(store);
    }
    sqlite3_finalize(statement);
    buf_fini(&text);
    return status;
}
