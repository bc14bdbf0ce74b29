/*
 * One set of prepared statements. Values are bound without a copy, and text with its length; the
 * database is UTF-8, so nothing is converted.
 */
#include "rows.h"
#include "statement.h"

#include <stdio.h>

#define AUTO_VACUUM_INCREMENTAL 2
#define FREE_PAGES_KEPT         1024 /* for new rows, so that the file does not grow and shrink */

void rows_release(struct store *store)
{
    if (store->open != NULL) {
        sqlite3_reset(store->open);
        store->open = NULL;
    }
}

static enum status run_with_id(struct store *store, enum store_sqlite_statement which, int64_t id)
{
    sqlite3_stmt *statement = use(store, which);
    bind_int(statement, 1, id);
    return run(store, statement);
}

/* ---- transactions ---- */

enum status rows_begin(struct store *store)
{
    enum status status = store_sqlite_check_place(store);
    return status == STATUS_OK ? run(store, use(store, SQL_BEGIN)) : status;
}

enum status rows_commit(struct store *store)
{
    return run(store, use(store, SQL_COMMIT));
}

void rows_rollback(struct store *store)
{
    sqlite3_stmt *statement = use(store, SQL_ROLLBACK);
    store->has_effect_index = false;
    if (sqlite3_get_autocommit(store->db) == 0) {
        sqlite3_step(statement);
        sqlite3_reset(statement);
    }
}

/* ---- commands ---- */

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
        .params = column_text(statement, 7),
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
        .crashes = (uint32_t)sqlite3_column_int64(statement, 20),
        .history = column_blob(statement, 21),
        .observed = column_text(statement, 22),
    };
    if (!store_row_is_sound(&row)) {
        snprintf(store->error, sizeof store->error, "%s: the record of command %lld is damaged",
                 store->path, (long long)row.id);
        return STATUS_STORE;
    }
    *out_row = row;
    return STATUS_OK;
}

enum status rows_find(struct store *store, struct slice token, struct store_row *out_row,
                      int64_t *out_reply_to_count)
{
    sqlite3_stmt *statement = use(store, SQL_FIND);
    bind_text(statement, 1, token);
    enum status status = fetch(store, statement);
    if (status == STATUS_OK) {
        status = read_row(store, statement, out_row);
        *out_reply_to_count = sqlite3_column_int64(statement, COMMAND_COLUMN_COUNT);
    }
    return status;
}

enum status rows_keep_effect_index(struct store *store, bool is_kept)
{
    const char *sql = is_kept ? store_sqlite_effect_index : store_sqlite_no_effect_index;
    if (store->has_effect_index && is_kept) {
        return STATUS_OK;
    }
    rows_release(store);
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return store_sqlite_fail(store);
    }
    store->has_effect_index = is_kept;
    return STATUS_OK;
}

enum status rows_find_success(struct store *store, struct slice fingerprint, struct slice group,
                              int64_t since_ms, struct store_row *out_row)
{
    sqlite3_stmt *statement = use(store, SQL_FIND_SUCCESS);
    bind_blob(statement, 1, fingerprint);
    bind_int(statement, 2, since_ms);
    bind_text(statement, 3, group);
    enum status status = fetch(store, statement);
    return status == STATUS_OK ? read_row(store, statement, out_row) : status;
}

enum status rows_insert(struct store *store, const struct claim_request *claim,
                        struct slice history)
{
    const struct command *command = claim->ask.command;
    sqlite3_stmt *statement = use(store, SQL_INSERT);
    bind_int(statement, 1, claim->id);
    bind_text(statement, 2, slice_text(command->token));
    bind_int(statement, 3, claim->state);
    bind_text(statement, 4, slice_text(command->action->name));
    bind_text(statement, 5, slice_text(command->region));
    bind_text(statement, 6, slice_text(command->group));
    bind_text(statement, 7, slice_text(command->route == NULL ? "" : command->route->name));
    bind_text(statement, 8, slice_text(command->params));
    bind_blob(statement, 9, slice_of(command->fingerprint, sizeof command->fingerprint));
    bind_int(statement, 10, command->received_at_ms);
    bind_int(statement, 11, command->deadline_at_ms);
    bind_int(statement, 12, claim->ask.is_called_at_once ? 1 : 0);
    bind_int(statement, 13, command->not_before_ms);
    bind_blob(statement, 14, history);
    enum status status = run(store, statement);
    return status == STATUS_OK && sqlite3_changes(store->db) == 0 ? STATUS_BUSY : status;
}

enum status rows_set_state(struct store *store, const struct move_request *move,
                           struct slice events)
{
    sqlite3_stmt *statement = use(store, SQL_SET_STATE);
    bind_int(statement, 1, move->id);
    bind_int(statement, 2, move->state);
    bind_int(statement, 3, move->attempts);
    bind_int(statement, 4, move->not_before_ms);
    bind_int(statement, 5, move->crashes);
    bind_blob(statement, 6, events);
    return run(store, statement);
}

enum status rows_finish(struct store *store, const struct finish_request *finish,
                        struct slice events)
{
    sqlite3_stmt *statement = use(store, SQL_FINISH);
    bind_int(statement, 1, finish->command->id);
    bind_int(statement, 2, finish->command->attempts);
    bind_int(statement, 3, finish->outcome.status);
    bind_int(statement, 4, finish->outcome.retention);
    bind_text(statement, 5, slice_text(finish->outcome.request_id));
    bind_text(statement, 6, slice_text(finish->outcome.code));
    bind_text(statement, 7, finish_error(finish));
    bind_int(statement, 8, finish->completed_at_ms);
    bind_int(statement, 9, finish->expires_at_ms);
    bind_blob(statement, 10, events);
    bind_text(statement, 11, slice_text(finish->outcome.observed));
    return run(store, statement);
}

static enum status add_events(struct store *store, enum store_sqlite_statement which, int64_t id,
                              struct slice events)
{
    sqlite3_stmt *statement = use(store, which);
    bind_int(statement, 1, id);
    bind_blob(statement, 2, events);
    return run(store, statement);
}

enum status rows_add_history(struct store *store, int64_t id, struct slice events)
{
    return add_events(store, SQL_ADD_HISTORY, id, events);
}

enum status rows_set_history(struct store *store, int64_t id, struct slice history)
{
    return add_events(store, SQL_SET_HISTORY, id, history);
}

enum status rows_retry(struct store *store, const struct command *command)
{
    sqlite3_stmt *statement = use(store, SQL_RETRY);
    bind_int(statement, 1, command->id);
    bind_int(statement, 2, command->state);
    bind_int(statement, 3, command->deadline_at_ms);
    return run(store, statement);
}

enum status rows_forget(struct store *store, int64_t id)
{
    return run_with_id(store, SQL_FORGET, id);
}

enum status rows_each(struct store *store, enum store_list list, int64_t after_id, size_t limit,
                      store_row_fn *each, void *arg)
{
    static const enum store_sqlite_statement LISTS[] = {
        [STORE_LIST_ALL] = SQL_LIST_ALL,
        [STORE_LIST_UNFINISHED] = SQL_LIST_UNFINISHED,
        [STORE_LIST_OUTCOMES] = SQL_LIST_OUTCOMES,
    };
    sqlite3_stmt *statement = use(store, LISTS[list]);
    bind_int(statement, 1, after_id);
    bind_int(statement, 2, limit > INT64_MAX ? -1 : (int64_t)limit);
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

enum status rows_reset_calls(struct store *store, bool has_crashed, struct slice events)
{
    return add_events(store, SQL_RESET_CALLS, has_crashed, events);
}

enum status rows_expire(struct store *store, int64_t now_ms, size_t limit, size_t *out_count)
{
    static const enum store_sqlite_statement STATEMENTS[] = {SQL_EXPIRE_REPLY_TOS, SQL_EXPIRE};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 2 && status == STATUS_OK; i++) {
        sqlite3_stmt *statement = use(store, STATEMENTS[i]);
        bind_int(statement, 1, now_ms);
        bind_int(statement, 2, (int64_t)limit);
        status = run(store, statement);
    }
    if (status == STATUS_OK) {
        *out_count = (size_t)sqlite3_changes(store->db);
    }
    return status;
}

enum status rows_shrink(struct store *store, bool *out_has_more, int64_t *out_bytes)
{
    sqlite3_stmt *statement = use(store, SQL_COUNT_FREE);
    enum status status = fetch(store, statement);
    int64_t free_pages = sqlite3_column_int64(statement, 0);
    int64_t kept_pages = sqlite3_column_int64(statement, 1) / 8;
    bool can_shrink = sqlite3_column_int(statement, 2) == AUTO_VACUUM_INCREMENTAL;
    *out_has_more = false;
    *out_bytes = sqlite3_column_int64(statement, 1) * sqlite3_column_int64(statement, 3);
    if (kept_pages < FREE_PAGES_KEPT) {
        kept_pages = FREE_PAGES_KEPT;
    }
    if (status != STATUS_OK || !can_shrink || free_pages <= kept_pages) {
        return status;
    }
    /* One row for each page that was given back. */
    statement = use(store, SQL_SHRINK);
    int result;
    do {
        result = sqlite3_step(statement);
    } while (result == SQLITE_ROW);
    status = result == SQLITE_DONE ? STATUS_OK : store_sqlite_fail(store);
    sqlite3_reset(statement);
    *out_has_more = free_pages - STORE_SQLITE_SHRINK_PAGES > kept_pages;
    return status;
}

/* ---- reply_to ---- */

enum status rows_add_reply_to(struct store *store, int64_t command_id, int64_t place,
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
    bind_int(statement, 9, reply_to->element_place);
    return run(store, statement);
}

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
        .element_place = sqlite3_column_int64(statement, 6),
    };
    each(arg, &reply_to);
}

enum status rows_each_reply_to(struct store *store, int64_t command_id, store_reply_to_fn *each,
                               void *arg)
{
    sqlite3_stmt *statement = use(store, SQL_LIST_REPLY_TOS);
    bind_int(statement, 1, command_id);
    enum status status;
    while ((status = fetch(store, statement)) == STATUS_OK) {
        report_reply_to(statement, each, arg);
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status rows_remove_reply_tos(struct store *store, int64_t command_id)
{
    return run_with_id(store, SQL_REMOVE_REPLY_TOS, command_id);
}

enum status rows_turn_reply_tos(struct store *store, int64_t command_id, size_t *out_count)
{
    enum status status = run_with_id(store, SQL_TURN_REPLY_TOS, command_id);
    *out_count = status == STATUS_OK ? (size_t)sqlite3_changes(store->db) : 0;
    return status;
}

/* ---- the outbox ---- */

enum status rows_post(struct store *store, int64_t id, struct slice message, int64_t command_id)
{
    sqlite3_stmt *statement = use(store, SQL_POST);
    bind_int(statement, 1, id);
    bind_blob(statement, 2, message);
    bind_int(statement, 3, command_id);
    return run(store, statement);
}

enum status rows_note_message(struct store *store, int64_t id, struct slice events)
{
    return add_events(store, SQL_NOTE_MESSAGE, id, events);
}

enum status rows_owner_of_message(struct store *store, int64_t id, int64_t *out_command_id)
{
    sqlite3_stmt *statement = use(store, SQL_FIND_MESSAGE);
    bind_int(statement, 1, id);
    enum status status = fetch(store, statement);
    *out_command_id = status == STATUS_OK ? sqlite3_column_int64(statement, 0) : 0;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status rows_unpost(struct store *store, int64_t id)
{
    enum status status = run_with_id(store, SQL_UNPOST, id);
    return status == STATUS_OK && sqlite3_changes(store->db) == 0 ? STATUS_NOT_FOUND : status;
}

/* Reads rows of an id and bytes. */
static enum status read_messages(struct store *store, enum store_sqlite_statement which,
                                 int64_t from_id, size_t limit, store_message_fn *each, void *arg)
{
    sqlite3_stmt *statement = use(store, which);
    bind_int(statement, 1, from_id);
    bind_int(statement, 2, (int64_t)limit);
    enum status status;
    while ((status = fetch(store, statement)) == STATUS_OK) {
        each(arg, sqlite3_column_int64(statement, 0), column_blob(statement, 1));
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status rows_read_outbox(struct store *store, int64_t from_id, size_t limit,
                             store_message_fn *each, void *arg)
{
    return read_messages(store, SQL_READ_OUTBOX, from_id, limit, each, arg);
}

/* ---- the audit ---- */

enum status rows_add_audit(struct store *store, int64_t seq, struct slice record)
{
    sqlite3_stmt *statement = use(store, SQL_ADD_AUDIT);
    bind_int(statement, 1, seq);
    bind_blob(statement, 2, record);
    return run(store, statement);
}

enum status rows_read_audit(struct store *store, int64_t from_seq, size_t limit,
                            store_message_fn *each, void *arg)
{
    return read_messages(store, SQL_READ_AUDIT, from_seq, limit, each, arg);
}

enum status rows_forget_audit(struct store *store, int64_t seq)
{
    return run_with_id(store, SQL_FORGET_AUDIT, seq);
}

enum status rows_count_after(struct store *store, int64_t id, int64_t *out_count)
{
    sqlite3_stmt *statement = use(store, SQL_COUNT_AFTER);
    bind_int(statement, 1, id);
    enum status status = fetch(store, statement);
    if (status == STATUS_OK) {
        *out_count = sqlite3_column_int64(statement, 0);
    }
    return status;
}

enum status rows_summarise(struct store *store, struct store_summary *out_summary)
{
    sqlite3_stmt *statement = use(store, SQL_SUMMARISE);
    enum status status = fetch(store, statement);
    if (status == STATUS_OK) {
        *out_summary = (struct store_summary){
            .waiting = sqlite3_column_int64(statement, 0),
            .messages = sqlite3_column_int64(statement, 1),
            .message_bytes = sqlite3_column_int64(statement, 2),
            .last_id = sqlite3_column_int64(statement, 3),
            .last_message_id = sqlite3_column_int64(statement, 4),
            .last_audit_seq = sqlite3_column_int64(statement, 5),
            .bytes = sqlite3_column_int64(statement, 6),
        };
    }
    return status;
}

/* ---- meta ---- */

enum status rows_set_meta(struct store *store, const char *key, int64_t value)
{
    sqlite3_stmt *statement = use(store, SQL_SET_META);
    bind_text(statement, 1, slice_text(key));
    bind_int(statement, 2, value);
    return run(store, statement);
}

enum status rows_get_meta(struct store *store, const char *key, int64_t *out_value)
{
    sqlite3_stmt *statement = use(store, SQL_GET_META);
    bind_text(statement, 1, slice_text(key));
    enum status status = fetch(store, statement);
    if (status == STATUS_OK) {
        *out_value = sqlite3_column_int64(statement, 0);
    }
    return status;
}

enum status rows_unset_meta(struct store *store, const char *key)
{
    sqlite3_stmt *statement = use(store, SQL_UNSET_META);
    bind_text(statement, 1, slice_text(key));
    return run(store, statement);
}

enum status rows_each_meta(struct store *store, const char *prefix, store_meta_fn *each, void *arg)
{
    sqlite3_stmt *statement = use(store, SQL_LIST_META);
    bind_text(statement, 1, slice_text(prefix));
    enum status status;
    while ((status = fetch(store, statement)) == STATUS_OK) {
        each(arg, (const char *)sqlite3_column_text(statement, 0),
             sqlite3_column_int64(statement, 1));
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}
