/*
 * The rows. One set of prepared statements, values bound where they lie: text is bound and read
 * with its length and as it is (the database is UTF-8), so nothing is converted or copied on the
 * way. Message ids come from a counter here instead of AUTOINCREMENT, which would write a second
 * table for every message.
 */
#include "sqlite_private.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>

/* The statement, ready to be bound. Ends what the last call left open for its caller. */
static sqlite3_stmt *use(struct store *store, enum store_sqlite_statement which)
{
    if (store->open != NULL) {
        sqlite3_reset(store->open);
        store->open = NULL;
    }
    return store->statements[which];
}

/* For statements without rows. */
static enum status run(struct store *store, sqlite3_stmt *statement)
{
    enum status status =
        sqlite3_step(statement) == SQLITE_DONE ? STATUS_OK : store_sqlite_fail(store);
    sqlite3_reset(statement);
    return status;
}

/* For statements with at most one row; STATUS_NOT_FOUND for none. The row stays readable until the
 * next call on the store. */
static enum status fetch(struct store *store, sqlite3_stmt *statement)
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

static enum status fetch_int(struct store *store, sqlite3_stmt *statement, int64_t *out_value)
{
    enum status status = fetch(store, statement);
    if (status == STATUS_OK) {
        *out_value = sqlite3_column_int64(statement, 0);
    }
    return status;
}

static void bind_int(sqlite3_stmt *statement, int index, int64_t value)
{
    int result = sqlite3_bind_int64(statement, index, value);
    assert(result == SQLITE_OK);
}

/* The bytes are looked at until the statement is stepped, and never later: all are stepped before
 * the binding function returns. */
static void bind_text(sqlite3_stmt *statement, int index, struct slice text)
{
    assert(text.length <= INT_MAX);
    int result = sqlite3_bind_text(statement, index, text.data, (int)text.length, SQLITE_STATIC);
    assert(result == SQLITE_OK);
}

static void bind_blob(sqlite3_stmt *statement, int index, struct slice bytes)
{
    assert(bytes.length <= INT_MAX);
    int result = sqlite3_bind_blob(statement, index, bytes.data, (int)bytes.length, SQLITE_STATIC);
    assert(result == SQLITE_OK);
}

static struct slice column_text(sqlite3_stmt *statement, int index)
{
    const unsigned char *text = sqlite3_column_text(statement, index);
    return slice_of(text, text == NULL ? 0 : (size_t)sqlite3_column_bytes(statement, index));
}

static struct slice column_blob(sqlite3_stmt *statement, int index)
{
    if (sqlite3_column_type(statement, index) == SQLITE_NULL) {
        return (struct slice){0};
    }
    const void *bytes = sqlite3_column_blob(statement, index);
    /* An empty blob reads as NULL. */
    return bytes == NULL ? slice_text("")
                         : slice_of(bytes, (size_t)sqlite3_column_bytes(statement, index));
}

static enum status run_with_id(struct store *store, enum store_sqlite_statement which, int64_t id)
{
    sqlite3_stmt *statement = use(store, which);
    bind_int(statement, 1, id);
    return run(store, statement);
}

/* ---- transactions ---- */

static enum status begin(struct store *store)
{
    enum status status = store_sqlite_check_place(store);
    return status == STATUS_OK ? run(store, use(store, SQL_BEGIN)) : status;
}

static enum status commit(struct store *store)
{
    return run(store, use(store, SQL_COMMIT));
}

static void rollback(struct store *store)
{
    sqlite3_stmt *statement = use(store, SQL_ROLLBACK);
    if (sqlite3_get_autocommit(store->db) == 0) {
        sqlite3_step(statement);
        sqlite3_reset(statement);
    }
}

/* ---- commands ---- */

static bool is_sound(const struct store_row *row)
{
    return row->state > STATE_NONE && row->state < STATE_COUNT &&
           row->status >= OUTCOME_SUCCEEDED && row->status <= OUTCOME_UNKNOWN &&
           row->retention >= RETENTION_SUCCESS && row->retention <= RETENTION_SET_ASIDE;
}

static enum status read_row(struct store *store, sqlite3_stmt *statement, struct store_row *out_row)
{
    struct store_row row = {
        .id = sqlite3_column_int64(statement, 0),
        .state = (enum state)sqlite3_column_int(statement, 1),
        .action = column_text(statement, 2),
        .region = column_text(statement, 3),
        .group = column_text(statement, 4),
        .token = column_text(statement, 5),
        .route = column_text(statement, 6),
        .one_shot = sqlite3_column_int(statement, 7) != 0,
        .fingerprint = column_blob(statement, 8),
        .received_at_ms = sqlite3_column_int64(statement, 9),
        .deadline_at_ms = sqlite3_column_int64(statement, 10),
        .attempts = (uint32_t)sqlite3_column_int64(statement, 11),
        .not_before_ms = sqlite3_column_int64(statement, 12),
        .status = sqlite3_column_int(statement, 13),
        .retention = sqlite3_column_int(statement, 14),
        .request_id = column_text(statement, 15),
        .code = column_text(statement, 16),
        .error = column_text(statement, 17),
        .completed_at_ms = sqlite3_column_int64(statement, 18),
        .expires_at_ms = sqlite3_column_int64(statement, 19),
        .charges = {.ends = (uint32_t)sqlite3_column_int64(statement, 20),
                    .alone = (uint32_t)sqlite3_column_int64(statement, 21)},
    };
    if (!is_sound(&row)) {
        snprintf(store->error, sizeof store->error, "%s: the record of command %lld is damaged",
                 store->path, (long long)row.id);
        return STATUS_STORE;
    }
    *out_row = row;
    return STATUS_OK;
}

static enum status find(struct store *store, struct slice token, struct store_row *out_row)
{
    sqlite3_stmt *statement = use(store, SQL_FIND);
    bind_text(statement, 1, token);
    enum status status = fetch(store, statement);
    return status == STATUS_OK ? read_row(store, statement, out_row) : status;
}

static enum status insert(struct store *store, const struct command *command, enum state state,
                          int64_t *out_id)
{
    sqlite3_stmt *statement = use(store, SQL_INSERT);
    bind_text(statement, 1, slice_text(command->token));
    bind_int(statement, 2, state);
    bind_text(statement, 3, slice_text(command->action));
    bind_text(statement, 4, slice_text(command->region));
    bind_text(statement, 5, slice_text(command->group));
    bind_text(statement, 6, slice_text(command->route == NULL ? "" : command->route->name));
    bind_int(statement, 7, command->one_shot);
    bind_blob(statement, 8, slice_of(command->fingerprint, sizeof command->fingerprint));
    bind_int(statement, 9, command->received_at_ms);
    bind_int(statement, 10, command->deadline_at_ms);
    bind_int(statement, 11, command->attempts);
    bind_int(statement, 12, command->not_before_ms);
    enum status status = run(store, statement);
    if (status == STATUS_OK && sqlite3_changes(store->db) == 0) {
        return STATUS_BUSY;
    }
    if (status == STATUS_OK) {
        *out_id = sqlite3_last_insert_rowid(store->db);
    }
    return status;
}

static enum status set_state(struct store *store, int64_t id, enum state state, uint32_t attempts,
                             int64_t not_before_ms, const struct blame_charges *charges)
{
    sqlite3_stmt *statement = use(store, SQL_SET_STATE);
    bind_int(statement, 1, id);
    bind_int(statement, 2, state);
    bind_int(statement, 3, attempts);
    bind_int(statement, 4, not_before_ms);
    bind_int(statement, 5, charges->ends);
    bind_int(statement, 6, charges->alone);
    return run(store, statement);
}

static enum status finish(struct store *store, int64_t id, uint32_t attempts,
                          const struct store_outcome *outcome)
{
    sqlite3_stmt *statement = use(store, SQL_FINISH);
    bind_int(statement, 1, id);
    bind_int(statement, 2, attempts);
    bind_int(statement, 3, outcome->status);
    bind_int(statement, 4, outcome->retention);
    bind_text(statement, 5, outcome->request_id);
    bind_text(statement, 6, outcome->code);
    bind_text(statement, 7, outcome->error);
    bind_int(statement, 8, outcome->completed_at_ms);
    bind_int(statement, 9, outcome->expires_at_ms);
    return run(store, statement);
}

static enum status forget(struct store *store, int64_t id)
{
    return run_with_id(store, SQL_FORGET, id);
}

static enum status each_unfinished(struct store *store, store_row_fn *each, void *arg)
{
    sqlite3_stmt *statement = use(store, SQL_LIST_UNFINISHED);
    enum status status = fetch(store, statement);
    while (status == STATUS_OK) {
        struct store_row row;
        status = read_row(store, statement, &row);
        if (status == STATUS_OK) {
            each(arg, &row);
            status = fetch(store, statement);
        }
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status reset_calls(struct store *store, bool is_charged)
{
    int64_t count = 0;
    enum status status = fetch_int(store, use(store, SQL_COUNT_CALLS), &count);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_stmt *statement = use(store, SQL_RESET_CALLS);
    bind_int(statement, 1, is_charged);
    bind_int(statement, 2, is_charged && count == 1);
    return run(store, statement);
}

static enum status expire(struct store *store, int64_t now_ms, size_t limit, size_t *out_count)
{
    sqlite3_stmt *statement = use(store, SQL_EXPIRE);
    bind_int(statement, 1, now_ms);
    bind_int(statement, 2, (int64_t)limit);
    enum status status = run(store, statement);
    if (status == STATUS_OK) {
        *out_count = (size_t)sqlite3_changes(store->db);
    }
    return status;
}

/* ---- askers ---- */

static enum status add_reply_to(struct store *store, int64_t command_id, int64_t place,
                                const struct reply_to *reply_to)
{
    sqlite3_stmt *statement = use(store, SQL_ADD_REPLY_TO);
    bind_int(statement, 1, command_id);
    bind_int(statement, 2, place);
    bind_text(statement, 3, slice_text(reply_to->topic));
    bind_blob(statement, 4, slice_of(reply_to->correlation_data, reply_to->correlation_data_bytes));
    bind_text(statement, 5, slice_text(reply_to->correlation_id));
    bind_text(statement, 6, slice_text(reply_to->traceparent));
    bind_text(statement, 7, slice_text(reply_to->tracestate));
    bind_int(statement, 8, reply_to->has_body_trace);
    return run(store, statement);
}

static enum status count_reply_tos(struct store *store, int64_t command_id, int64_t *out_count)
{
    sqlite3_stmt *statement = use(store, SQL_COUNT_REPLY_TOS);
    bind_int(statement, 1, command_id);
    return fetch_int(store, statement, out_count);
}

/* SQLite ends its texts with a NUL, so the reply_to can point at them for the time of the callback.
 */
static void report_reply_to(sqlite3_stmt *statement, store_reply_to_fn *each, void *arg)
{
    struct slice correlation_data = column_blob(statement, 1);
    const struct reply_to reply_to = {
        .topic = (char *)sqlite3_column_text(statement, 0),
        .correlation_data = (char *)correlation_data.data,
        .correlation_data_bytes = correlation_data.length,
        .correlation_id = (char *)sqlite3_column_text(statement, 2),
        .traceparent = (char *)sqlite3_column_text(statement, 3),
        .tracestate = (char *)sqlite3_column_text(statement, 4),
        .has_body_trace = sqlite3_column_int(statement, 5) != 0,
    };
    each(arg, &reply_to);
}

static enum status take_reply_tos(struct store *store, int64_t command_id, store_reply_to_fn *each,
                                  void *arg)
{
    sqlite3_stmt *statement = use(store, SQL_LIST_REPLY_TOS);
    bind_int(statement, 1, command_id);
    enum status status;
    while ((status = fetch(store, statement)) == STATUS_OK) {
        report_reply_to(statement, each, arg);
    }
    return status == STATUS_NOT_FOUND ? run_with_id(store, SQL_REMOVE_REPLY_TOS, command_id)
                                      : status;
}

/* ---- the outbox ---- */

static enum status post(struct store *store, struct slice message, int64_t *out_id)
{
    sqlite3_stmt *statement = use(store, SQL_POST);
    int64_t id = ++store->last_message_id;
    bind_int(statement, 1, id);
    bind_blob(statement, 2, message);
    enum status status = run(store, statement);
    if (status == STATUS_OK) {
        *out_id = id;
    }
    return status;
}

static enum status unpost(struct store *store, int64_t id)
{
    enum status status = run_with_id(store, SQL_UNPOST, id);
    return status == STATUS_OK && sqlite3_changes(store->db) == 0 ? STATUS_NOT_FOUND : status;
}

static enum status read_outbox(struct store *store, int64_t from_id, size_t limit,
                               store_message_fn *each, void *arg, size_t *out_count)
{
    sqlite3_stmt *statement = use(store, SQL_READ_OUTBOX);
    bind_int(statement, 1, from_id);
    bind_int(statement, 2, (int64_t)limit);
    size_t count = 0;
    enum status status;
    while ((status = fetch(store, statement)) == STATUS_OK) {
        each(arg, sqlite3_column_int64(statement, 0), column_blob(statement, 1));
        count++;
    }
    if (status != STATUS_NOT_FOUND) {
        return status;
    }
    *out_count = count;
    return STATUS_OK;
}

static enum status count(struct store *store, int64_t *out_waiting, int64_t *out_messages)
{
    sqlite3_stmt *statement = use(store, SQL_COUNT_ALL);
    enum status status = fetch_int(store, statement, out_waiting);
    if (status == STATUS_OK) {
        *out_messages = sqlite3_column_int64(statement, 1);
    }
    return status;
}

/* ---- facts ---- */

static enum status set_meta(struct store *store, const char *key, int64_t value)
{
    sqlite3_stmt *statement = use(store, SQL_SET_META);
    bind_text(statement, 1, slice_text(key));
    bind_int(statement, 2, value);
    return run(store, statement);
}

static enum status get_meta(struct store *store, const char *key, int64_t *out_value)
{
    sqlite3_stmt *statement = use(store, SQL_GET_META);
    bind_text(statement, 1, slice_text(key));
    return fetch_int(store, statement, out_value);
}

static const char *error(struct store *store)
{
    return store->error;
}

const struct store_ops store_sqlite_ops = {
    .open = store_sqlite_open,
    .open_to_read = store_sqlite_open_to_read,
    .close = store_sqlite_close,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .find = find,
    .insert = insert,
    .set_state = set_state,
    .finish = finish,
    .forget = forget,
    .add_reply_to = add_reply_to,
    .count_reply_tos = count_reply_tos,
    .take_reply_tos = take_reply_tos,
    .post = post,
    .unpost = unpost,
    .read_outbox = read_outbox,
    .each_unfinished = each_unfinished,
    .reset_calls = reset_calls,
    .count = count,
    .expire = expire,
    .set_meta = set_meta,
    .get_meta = get_meta,
    .error = error,
};

const char *store_sqlite_version(void)
{
    return sqlite3_libversion();
}
