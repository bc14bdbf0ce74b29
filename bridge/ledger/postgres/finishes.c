/*
 * Requests that need to read before they write: an outcome for which others wait too or with which
 * a watch begins, the end of a command in line, an operator's order, a step of a watch, and a
 * history that has become long.
 */
#include "store_private.h"

#include "base/digest.h"
#include "base/mem.h"
#include "ledger/rules.h"

#include <stdlib.h>
#include <string.h>

/* What was read and locked. */
struct read {
    struct item item; /* the first member */
    PGresult *row;
    PGresult *waiters;
    PGresult *watch;
    PGresult *watch_count;
    PGresult *head;
};

static void keep(PGresult **out, const PGresult *result)
{
    PQclear(*out);
    *out = PQcopyResult(result, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
    if (*out == NULL) {
        abort(); /* out of memory, as mem_zalloc() */
    }
}

static void take_row(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    keep(&((struct read *)item)->row, result);
}

static void take_waiters(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    keep(&((struct read *)item)->waiters, result);
}

static void take_watch_count(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    keep(&((struct read *)item)->watch_count, result);
}

static void take_watch(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    keep(&((struct read *)item)->watch, result);
}

static void take_head(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    keep(&((struct read *)item)->head, result);
}

static void read_fini(struct read *read)
{
    PQclear(read->row);
    PQclear(read->waiters);
    PQclear(read->watch);
    PQclear(read->watch_count);
    PQclear(read->head);
}

static void put_read(struct store *store, enum store_postgres_statement statement, const char *key,
                     took_fn *took, struct read *read)
{
    const struct postgres_value values[] = {postgres_bytes(slice_text(key))};
    postgres_put(store, statement, values, 1, took, &read->item);
}

/* ---- outcomes ---- */

static void answer_all(struct store *store, struct ledger_request *request, const struct read *read)
{
    struct ledger_batch *batch = store->work.batch;
    struct reply_to sender = postgres_read_sender(read->row, 0);
    rules_answer(batch, request, &sender);
    for (int i = 0; i < PQntuples(read->waiters); i++) {
        struct reply_to waiter = postgres_read_reply_to(read->waiters, i, 0);
        rules_answer(batch, request, &waiter);
    }
}

/* Commands of two bridges may have the same id. A command that was sent once more keeps the id of
 * its watch. */
static void set_watch_id(struct watch *begun, const struct watch *found)
{
    bool is_same = found != NULL && strcmp(found->token, begun->token) == 0;
    begun->id = is_same ? found->id : digest_random_id();
}

static enum status begin_watch(struct store *store, struct item *item, const struct read *read)
{
    struct ledger_request *request = item->request;
    struct watch *found = PQntuples(read->watch) == 0 ? NULL : postgres_read_watch(read->watch, 0);
    if (found == NULL && PQntuples(read->watch) > 0) {
        return postgres_fail(store, "the watch of a group is damaged");
    }
    store->work.batch->watches = postgres_int(read->watch_count, 0, 0); /* those of all bridges */
    rules_begin_watch(store->work.batch, request, found);
    if (request->finish.begun != NULL) {
        struct postgres_value values[POSTGRES_VALUES_MAX];
        set_watch_id(request->finish.begun, found);
        size_t count = postgres_watch_values(request->finish.begun, values);
        postgres_put(store, PG_REMOVE_WATCH, values, 1, NULL, NULL);
        postgres_put(store, PG_PUT_WATCH, values, count, NULL, NULL);
        postgres_put_begun_watch(store, item, found);
    }
    watch_free(found);
    return STATUS_OK;
}

/* The row gets its outcome; its duplicates go, or are kept for an order. */
static void put_outcome(struct store *store, const struct ledger_request *request, int64_t run,
                        struct slice events)
{
    struct postgres_value values[POSTGRES_VALUES_MAX];
    size_t count = postgres_finish_values(request, run, events, values);
    postgres_put(store, PG_FINISH_ALL, values, count, NULL, NULL);
    if (rules_keeps_reply_tos(&request->finish.outcome)) {
        const struct postgres_value kept[] = {values[0], postgres_bool(true)};
        postgres_put(store, PG_KEEP_WAITERS, kept, 2, NULL, NULL);
    } else {
        postgres_put(store, PG_REMOVE_WAITERS, values, 1, NULL, NULL);
    }
}

/* The outcome's plan for the row, if this run holds it. */
static void plan_finish(struct store *store, struct item *item, const struct read *read)
{
    struct ledger_request *request = item->request;
    struct ledger_batch *batch = store->work.batch;
    struct finish_request *finish = &request->finish;
    if (item->is_planned) {
        batch->unfinished++; /* the earlier plan has counted it already */
    }
    item->is_planned = true;
    rules_finish(batch, request);
    if (item->has_row) {
        answer_all(store, request, read);
    }
    rules_finish_end(batch, request);
    int64_t known = heads_waiters(store, slice_text(finish->command->token));
    int64_t waiters = finish->reply_to_count > 0 ? (int64_t)finish->reply_to_count - 1 : 0;
    finish->elsewhere_count = waiters > known ? (size_t)(waiters - known) : 0;
}

static enum status write_finish(struct store *store, struct item *item, const struct read *read)
{
    struct ledger_request *request = item->request;
    enum status status = STATUS_OK;
    if (item->has_row) {
        put_outcome(store, request, store->run, postgres_events(store, request));
    }
    if (request->finish.watch.ends_at_ms != 0) {
        status = begin_watch(store, item, read);
    }
    if (status != STATUS_OK) {
        return status;
    }
    postgres_put_messages(store, request);
    postgres_put_audit(store, request);
    postgres_put_promote(store, request->finish.command->group);
    return postgres_commit(store);
}

/* A row that this run does not hold has its outcome, by a transaction whose answers were lost: its
 * plan stays. */
static enum status finish(struct store *store, struct item *item, struct read *read)
{
    const struct command *command = item->request->finish.command;
    int64_t watches = store->work.batch->watches;
    postgres_begin(store);
    put_read(store, PG_LOCK_ROW, command->token, take_row, read);
    put_read(store, PG_LIST_WAITERS, command->token, take_waiters, read);
    if (item->request->finish.watch.ends_at_ms != 0) {
        put_read(store, PG_LOCK_WATCH, command->group, take_watch, read);
        const struct postgres_value max[] = {
            postgres_number(store->work.batch->limits->watches_max)};
        postgres_put(store, PG_COUNT_WATCHES, max, 1, take_watch_count, &read->item);
    }
    enum status status = postgres_flush(store);
    if (status != STATUS_OK) {
        return status;
    }
    item->has_row =
        PQntuples(read->row) == 1 && postgres_int(read->row, 0, COLUMN_owner) == store->run;
    if (!item->has_row && item->is_planned && store->work.has_lost) {
        postgres_rollback(store);
        return STATUS_OK;
    }
    plan_finish(store, item, read);
    status = write_finish(store, item, read);
    if (status == STATUS_STORE) {
        store->work.batch->watches = watches;
        postgres_rollback(store);
    }
    return status;
}

enum status postgres_finish(struct store *store, struct item *item)
{
    struct read read = {0};
    enum status status = finish(store, item, &read);
    read_fini(&read);
    return status;
}

/* ---- commands in line past their deadline ---- */

/* The row that was locked still waits, and its deadline has passed. */
static bool is_overdue(const struct store *store, const struct read *read)
{
    return PQntuples(read->head) == 1 && PQntuples(read->row) == 1 &&
           postgres_int(read->row, 0, COLUMN_line) != 0 &&
           postgres_int(read->row, 0, COLUMN_due_at) <= store->work.batch->now_ms;
}

/* It was called before if an operator ordered it again, or if its sender did. */
static void set_overdue(struct finish_request *finish)
{
    outcome_fini(&finish->outcome);
    if (finish->command->state == STATE_UNSURE) {
        outcome_of_error(&finish->outcome, ERROR_NO_DEFINITE_ANSWER,
                         "An earlier attempt may have had effect and no definite answer came.");
    } else {
        outcome_of_error(&finish->outcome, ERROR_EXPIRED,
                         "The command's deadline passed before it could be called.");
    }
}

static enum status end_overdue(struct store *store, struct ledger_request *request,
                               const struct read *read)
{
    struct ledger_batch *batch = store->work.batch;
    struct finish_request *finish = &request->finish;
    struct store_row row;
    if (postgres_read_row(read->row, 0, &row) != STATUS_OK) {
        postgres_damaged(store, finish->order.token.data);
        return STATUS_STORE;
    }
    command_free(finish->command);
    finish->command = ledger_batch_command(batch, &row);
    set_overdue(finish);
    finish->completed_at_ms = batch->now_ms;
    finish->kept_from_ms = batch->kept_ms;
    rules_finish(batch, request);
    answer_all(store, request, read);
    rules_finish_end(batch, request);
    put_outcome(store, request, 0, postgres_events(store, request));
    postgres_put_messages(store, request);
    postgres_put_audit(store, request);
    return postgres_commit(store);
}

/* The head is locked before the row: then nobody promotes the row or joins it. */
enum status postgres_end_overdue(struct store *store, struct item *item)
{
    struct ledger_request *request = item->request;
    struct read read = {0};
    postgres_begin(store);
    put_read(store, PG_LOCK_HEAD, request->finish.order.note.data, take_head, &read);
    put_read(store, PG_LOCK_ROW, request->finish.order.token.data, take_row, &read);
    put_read(store, PG_LIST_WAITERS, request->finish.order.token.data, take_waiters, &read);
    enum status status = postgres_flush(store);
    bool still_waits = status == STATUS_OK && is_overdue(store, &read);
    request->status = still_waits ? STATUS_OK : STATUS_NOT_FOUND;
    if (still_waits) {
        status = end_overdue(store, request, &read);
    }
    if (status == STATUS_STORE || (status == STATUS_OK && !still_waits)) {
        postgres_rollback(store);
    }
    read_fini(&read);
    return status;
}

/* ---- orders of an operator ---- */

/* The whole history that an order gives to the row. */
static struct slice ordered_history(const struct store *store, const struct ledger_request *request)
{
    return history_entries(ledger_batch_text(store->work.batch, request->history));
}

/* A retry begins the command again: at once, or in line. */
static void put_retry(struct store *store, struct item *item, const struct read *read)
{
    struct finish_request *finish = &item->request->finish;
    item->is_head = PQntuples(read->head) == 0;
    finish->is_lined_up = !item->is_head;
    const struct postgres_value token = postgres_bytes(slice_text(finish->command->token));
    const struct postgres_value values[] = {token,
                                            postgres_number(store->run),
                                            postgres_number(finish->command->state),
                                            postgres_number(finish->command->deadline_at_ms),
                                            postgres_bool(item->is_head),
                                            postgres_bytes(ordered_history(store, item->request))};
    const struct postgres_value kept[] = {token, postgres_bool(false)};
    finish->reply_to_count = 1 + (size_t)PQntuples(read->waiters);
    postgres_put(store, PG_RETRY, values, 6, NULL, NULL);
    postgres_put(store, PG_KEEP_WAITERS, kept, 2, NULL, NULL);
}

static void put_resolve(struct store *store, struct ledger_request *request,
                        const struct read *read)
{
    const struct postgres_value history[] = {
        postgres_bytes(slice_text(request->finish.command->token)),
        postgres_bytes(ordered_history(store, request))};
    postgres_put(store, PG_SET_HISTORY, history, 2, NULL, NULL);
    answer_all(store, request, read);
    rules_resolve_end(store->work.batch, request);
    put_outcome(store, request, 0, postgres_events(store, request));
    postgres_put_messages(store, request);
}

/* Plans the order for the row, and writes it; *out_is_done false: there is nothing to write. */
static enum status write_order(struct store *store, struct item *item, const struct read *read,
                               bool *out_is_done)
{
    struct ledger_request *request = item->request;
    struct store_row row;
    bool has_row = PQntuples(read->row) == 1;
    bool is_retry = request->type->kind == REQUEST_RETRY;
    if (has_row && postgres_read_row(read->row, 0, &row) != STATUS_OK) {
        postgres_damaged(store, request->finish.order.token.data);
        return STATUS_STORE;
    }
    enum ledger_order order =
        (is_retry ? rules_retry : rules_resolve)(store->work.batch, request, has_row ? &row : NULL);
    *out_is_done = order == LEDGER_ORDER_DONE;
    if (!*out_is_done) {
        postgres_rollback(store);
        return STATUS_OK;
    }
    if (is_retry) {
        put_retry(store, item, read);
    } else {
        put_resolve(store, request, read);
    }
    postgres_put_audit(store, request);
    return postgres_commit(store);
}

/* The head is locked before the row. Its group is that of the row, which is read first; a row that
 * is done keeps its group, unless it begins again meanwhile: then it is not done any more. */
static enum status order(struct store *store, struct item *item, struct read *read)
{
    const char *token = item->request->finish.order.token.data;
    struct buf group = {0};
    bool is_done = false;
    put_read(store, PG_FIND, token, take_row, read);
    enum status status = postgres_flush(store);
    if (status != STATUS_OK) {
        return status;
    }
    if (PQntuples(read->row) == 1) {
        buf_append(&group, postgres_slice(read->row, 0, COLUMN_grp));
    }
    postgres_begin(store);
    put_read(store, PG_LOCK_HEAD, group.data == NULL ? "" : group.data, take_head, read);
    put_read(store, PG_LOCK_ROW, token, take_row, read);
    put_read(store, PG_LIST_WAITERS, token, take_waiters, read);
    status = postgres_flush(store);
    if (status == STATUS_OK) {
        status = write_order(store, item, read, &is_done);
    }
    if (status == STATUS_STORE) {
        item->is_head = false;
        postgres_rollback(store);
    }
    if (status == STATUS_OK && is_done && item->is_head) {
        struct reply_to sender = postgres_read_sender(read->row, 0);
        heads_add(store, item->request->finish.command, postgres_int(read->row, 0, COLUMN_seq),
                  &sender);
        heads_add_waiters(store, slice_text(token), PQntuples(read->waiters));
    }
    buf_fini(&group);
    return status;
}

enum status postgres_order(struct store *store, struct item *item)
{
    struct read read = {0};
    enum status status = order(store, item, &read);
    read_fini(&read);
    return status;
}

/* ---- watches ---- */

enum status postgres_change_watch(struct store *store, struct item *item)
{
    struct ledger_request *request = item->request;
    struct watch_request *watch = &request->watch;
    struct ledger_batch *batch = store->work.batch;
    int64_t watches = batch->watches;
    struct postgres_value values[11] = {postgres_number(watch->id),
                                        postgres_number(watch->expected_seq),
                                        postgres_number(store->run)};
    postgres_watch_state_values(&watch->state, &values[3]);
    item->has_row = false;
    postgres_begin(store);
    postgres_put(store, watch->is_over ? PG_END_WATCH : PG_UPDATE_WATCH, values,
                 watch->is_over ? 3 : 11, postgres_take_row, item);
    enum status status = postgres_flush(store);
    if (status != STATUS_OK) {
        return status;
    }
    watch->is_there = item->has_row;
    if (!item->has_row) {
        request->first_message = batch->message_count;
        request->message_count = 0;
        postgres_rollback(store);
        /* It was replaced; or a fail-over has lost an earlier step, and it is still there. */
        postgres_forget_polled(store);
        return STATUS_OK;
    }
    rules_watch(batch, request);
    postgres_put_messages(store, request);
    status = postgres_commit(store);
    if (status == STATUS_STORE) {
        batch->watches = watches;
    }
    return status;
}

/* ---- long histories ---- */

static void shorten(struct store *store, const char *token, const struct read *read)
{
    struct buf history = {0};
    history_append(postgres_slice(read->row, 0, COLUMN_history), (struct slice){0}, &history);
    const struct postgres_value values[] = {postgres_bytes(slice_text(token)),
                                            postgres_bytes(buf_slice(&history))};
    postgres_put(store, PG_SET_HISTORY, values, 2, NULL, NULL);
    postgres_commit(store);
    buf_fini(&history);
}

/* If it fails, the next event of the command does it. */
void postgres_shorten(struct store *store, struct item *item)
{
    struct read read = {0};
    postgres_begin(store);
    put_read(store, PG_LOCK_ROW, item->request->move.token, take_row, &read);
    if (postgres_flush(store) == STATUS_OK && PQntuples(read.row) == 1) {
        shorten(store, item->request->move.token, &read);
    } else if (!postgres_is_lost(store->connection)) {
        postgres_rollback(store);
    }
    store->work.is_unknown = false;
    read_fini(&read);
}
