/*
 * The table watch: the watches of rows.h.
 */
#include "base/mem.h"
#include "rows.h"
#include "statement.h"

#include <stdio.h>

static char *column_copy(sqlite3_stmt *statement, int index)
{
    struct slice text = column_text(statement, index);
    return slice_is_present(text) ? mem_dup(text.data, text.length) : NULL;
}

/* A copy; NULL where the row cannot be one of this program. */
static struct watch *read_watch(sqlite3_stmt *statement)
{
    const struct action *action = action_find(column_text(statement, 2));
    struct slice status = column_text(statement, 13);
    int outcome = sqlite3_column_int(statement, 7);
    if (action == NULL || action->goal == GOAL_NONE ||
        (status.length > 0 && !group_status_is_valid(status)) ||
        (outcome != OUTCOME_SUCCEEDED && outcome != OUTCOME_UNKNOWN)) {
        return NULL;
    }
    struct watch *watch = mem_zalloc(1, sizeof *watch);
    *watch = (struct watch){
        .id = sqlite3_column_int64(statement, 0),
        .token = column_copy(statement, 1),
        .action = action,
        .route = column_copy(statement, 3),
        .region = column_copy(statement, 4),
        .object = column_copy(statement, 5),
        .is_one_shot = sqlite3_column_int(statement, 6) != 0,
        .is_outcome_unknown = outcome == OUTCOME_UNKNOWN,
        .started_at_ms = sqlite3_column_int64(statement, 8),
        .ends_at_ms = sqlite3_column_int64(statement, 9),
        .traceparent = column_copy(statement, 10),
        .state = {.seq = sqlite3_column_int64(statement, 11),
                  .site = sqlite3_column_int(statement, 12) == 0 ? GROUP_SITE_PRODUCTION
                                                                 : GROUP_SITE_BACKUP,
                  .view = {.recover_point_s = sqlite3_column_int64(statement, 14),
                           .rpo_s = sqlite3_column_int64(statement, 15),
                           .progress_percent = sqlite3_column_int(statement, 16)},
                  .changed_at_ms = sqlite3_column_int64(statement, 17),
                  .flags = (unsigned)sqlite3_column_int64(statement, 18)},
    };
    memcpy(watch->state.view.status, status.data == NULL ? "" : status.data, status.length);
    return watch;
}

static enum status take_watch(struct store *store, sqlite3_stmt *statement,
                              struct watch **out_watch)
{
    enum status status = fetch(store, statement);
    if (status != STATUS_OK) {
        return status;
    }
    *out_watch = read_watch(statement);
    if (*out_watch == NULL) {
        snprintf(store->error, sizeof store->error, "%s: the watch %lld is damaged", store->path,
                 (long long)sqlite3_column_int64(statement, 0));
        return STATUS_STORE;
    }
    return STATUS_OK;
}

enum status rows_find_watch(struct store *store, struct slice object, struct watch **out_watch)
{
    sqlite3_stmt *statement = use(store, SQL_FIND_WATCH);
    bind_text(statement, 1, object);
    return take_watch(store, statement, out_watch);
}

enum status rows_each_watch(struct store *store, store_watch_fn *each, void *arg)
{
    sqlite3_stmt *statement = use(store, SQL_LIST_WATCHES);
    struct watch *watch;
    enum status status;
    while ((status = take_watch(store, statement, &watch)) == STATUS_OK) {
        each(arg, watch);
        watch_free(watch);
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* Binds the columns from seq to flags, in this order. */
static void bind_state(sqlite3_stmt *statement, int first, const struct watch_state *state)
{
    bind_int(statement, first, state->seq);
    bind_int(statement, first + 1, state->site == GROUP_SITE_BACKUP);
    bind_text(statement, first + 2, slice_text(state->view.status));
    bind_int(statement, first + 3, state->view.recover_point_s);
    bind_int(statement, first + 4, state->view.rpo_s);
    bind_int(statement, first + 5, state->view.progress_percent);
    bind_int(statement, first + 6, state->changed_at_ms);
    bind_int(statement, first + 7, state->flags);
}

enum status rows_put_watch(struct store *store, const struct watch *watch)
{
    sqlite3_stmt *statement = use(store, SQL_PUT_WATCH);
    bind_int(statement, 1, watch->id);
    bind_text(statement, 2, slice_text(watch->token));
    bind_text(statement, 3, slice_text(watch->action->name));
    bind_text(statement, 4, slice_text(watch->route));
    bind_text(statement, 5, slice_text(watch->region));
    bind_text(statement, 6, slice_text(watch->object));
    bind_int(statement, 7, watch->is_one_shot);
    bind_int(statement, 8, watch->is_outcome_unknown ? OUTCOME_UNKNOWN : OUTCOME_SUCCEEDED);
    bind_int(statement, 9, watch->started_at_ms);
    bind_int(statement, 10, watch->ends_at_ms);
    bind_text(statement, 11, slice_text(watch->traceparent));
    bind_state(statement, 12, &watch->state);
    return run(store, statement);
}

enum status rows_change_watch(struct store *store, const struct watch_request *change)
{
    sqlite3_stmt *statement = use(store, change->is_over ? SQL_END_WATCH : SQL_UPDATE_WATCH);
    bind_int(statement, 1, change->id);
    bind_int(statement, 2, change->expected_seq);
    if (!change->is_over) {
        bind_state(statement, 3, &change->state);
    }
    enum status status = run(store, statement);
    return status == STATUS_OK && sqlite3_changes(store->db) == 0 ? STATUS_NOT_FOUND : status;
}
