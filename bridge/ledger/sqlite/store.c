/*
 * Carries out a batch row by row in one transaction. A claim inserts its row without a look-up,
 * since most tokens are new; the token is looked up only if the insert finds a row.
 */
#include "rows.h"
#include "sqlite.h"

#include "base/digest.h"
#include "ledger/rules.h"

#include <assert.h>

/* ---- requests ---- */

/* The event of a watch that is replaced belongs to an earlier command, which may be gone. */
static int64_t owner_of(const struct ledger_request *request, size_t index)
{
    bool is_event = request->type->kind == REQUEST_FINISH && index >= request->finish.reply_count;
    return is_event ? 0 : request->command_id;
}

static enum status post_messages(struct store *store, const struct ledger_batch *batch,
                                 const struct ledger_request *request)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < request->message_count && status == STATUS_OK; i++) {
        const struct batch_message *message = &batch->messages[request->first_message + i];
        status = rows_post(store, message->id, ledger_batch_text(batch, message->text),
                           owner_of(request, i));
    }
    return status;
}

static enum status insert(struct store *store, const struct ledger_batch *batch,
                          const struct ledger_request *request)
{
    const struct claim_request *claim = &request->claim;
    enum status status = rows_insert(store, claim, ledger_batch_history(batch, request));
    return status == STATUS_OK ? rows_add_reply_to(store, claim->id, 0, &claim->ask.reply_to)
                               : status;
}

/* A record with what it has kept. */
static enum status forget(struct store *store, int64_t id, enum retention retention)
{
    enum status status =
        retention_is_unsure(retention) ? rows_remove_reply_tos(store, id) : STATUS_OK;
    return status == STATUS_OK ? rows_forget(store, id) : status;
}

static enum status look_up(struct store *store, struct ledger_batch *batch,
                           struct ledger_request *request)
{
    struct claim_request *claim = &request->claim;
    struct store_row row;
    struct token_found found = {.row = &row};
    enum status status =
        rows_find(store, slice_text(claim->ask.command->token), &row, &found.reply_to_count);
    if (status == STATUS_NOT_FOUND) {
        found.row = NULL;
    } else if (status != STATUS_OK) {
        return status;
    }
    switch (rules_claim(batch, request, &found)) {
    case PLAN_INSERT:
        return insert(store, batch, request);
    case PLAN_REPLACE:
        status = forget(store, row.id, (enum retention)row.retention);
        return status == STATUS_OK ? insert(store, batch, request) : status;
    case PLAN_JOIN:
        status = rows_add_reply_to(store, row.id, found.reply_to_count, &claim->ask.reply_to);
        break;
    case PLAN_REPLY:
    case PLAN_LOOK:
        status = STATUS_OK;
        break;
    }
    return status == STATUS_OK && found.row != NULL
               ? rows_add_history(store, row.id, ledger_batch_history(batch, request))
               : status;
}

static enum status claim(struct store *store, struct ledger_batch *batch,
                         struct ledger_request *request)
{
    enum status status = STATUS_BUSY;
    if (rules_claim(batch, request, NULL) == PLAN_INSERT) {
        status = insert(store, batch, request);
    }
    if (status == STATUS_BUSY) {
        status = look_up(store, batch, request);
    }
    return status == STATUS_OK ? post_messages(store, batch, request) : status;
}

static enum status post(struct store *store, struct ledger_batch *batch,
                        struct ledger_request *request)
{
    rules_post(batch, request);
    return post_messages(store, batch, request);
}

static enum status set_state(struct store *store, struct ledger_batch *batch,
                             struct ledger_request *request)
{
    return rows_set_state(store, &request->move, ledger_batch_history(batch, request));
}

/* The argument of a callback. */
struct place {
    struct ledger_batch *batch;
    struct ledger_request *request;
};

static void answer(void *arg, const struct reply_to *reply_to)
{
    const struct place *place = arg;
    rules_answer(place->batch, place->request, reply_to);
}

/* The outcome, and what becomes of the reply_tos, which are those of an unfinished command. */
static enum status record_outcome(struct store *store, const struct ledger_batch *batch,
                                  const struct ledger_request *request)
{
    const struct finish_request *finish = &request->finish;
    int64_t id = finish->command->id;
    size_t count;
    enum status status = rules_keeps_reply_tos(&finish->outcome)
                             ? rows_turn_reply_tos(store, id, &count)
                             : rows_remove_reply_tos(store, id);
    return status == STATUS_OK ? rows_finish(store, finish, ledger_batch_history(batch, request))
                               : status;
}

/* The watch that begins with the outcome, in the place of the one that the group has. */
static enum status begin_watch(struct store *store, struct ledger_batch *batch,
                               struct ledger_request *request)
{
    struct watch *found = NULL;
    enum status status = rows_find_watch(store, slice_text(request->finish.command->group), &found);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND) {
        rules_begin_watch(batch, request, found);
        status = request->finish.begun == NULL ? STATUS_OK
                                               : rows_put_watch(store, request->finish.begun);
    }
    watch_free(found);
    return status;
}

static enum status change_watch(struct store *store, struct ledger_batch *batch,
                                struct ledger_request *request)
{
    enum status status = rows_change_watch(store, &request->watch);
    request->watch.is_there = status == STATUS_OK;
    if (status == STATUS_OK) {
        rules_watch(batch, request);
        status = post_messages(store, batch, request);
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status finish(struct store *store, struct ledger_batch *batch,
                          struct ledger_request *request)
{
    struct place place = {batch, request};
    rules_finish(batch, request);
    enum status status = rows_each_reply_to(store, request->finish.command->id, answer, &place);
    rules_finish_end(batch, request);
    if (status == STATUS_OK) {
        status = record_outcome(store, batch, request);
    }
    if (status == STATUS_OK && request->finish.watch.ends_at_ms != 0) {
        status = begin_watch(store, batch, request);
    }
    return status == STATUS_OK ? post_messages(store, batch, request) : status;
}

/* The record of an order; *out_row is NULL where there is none. */
static enum status find_ordered(struct store *store, const struct ledger_request *request,
                                struct store_row *row, const struct store_row **out_row)
{
    int64_t reply_to_count;
    enum status status =
        rows_find(store, buf_slice(&request->finish.order.token), row, &reply_to_count);
    *out_row = status == STATUS_OK ? row : NULL;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status retry(struct store *store, struct ledger_batch *batch,
                         struct ledger_request *request)
{
    static const struct reply_to nobody = {0};
    struct finish_request *finish = &request->finish;
    struct store_row row;
    const struct store_row *found;
    enum status status = find_ordered(store, request, &row, &found);
    if (status != STATUS_OK || rules_retry(batch, request, found) != LEDGER_ORDER_DONE) {
        return status;
    }
    int64_t id = finish->command->id;
    status = rows_set_history(store, id, ledger_batch_history(batch, request));
    if (status == STATUS_OK) {
        status = rows_retry(store, finish->command);
    }
    if (status == STATUS_OK) {
        status = rows_turn_reply_tos(store, id, &finish->reply_to_count);
    }
    /* The record of an earlier version of the bridge: it is not known who asked. */
    return status == STATUS_OK && finish->reply_to_count == 0
               ? rows_add_reply_to(store, id, 0, &nobody)
               : status;
}

static enum status resolve(struct store *store, struct ledger_batch *batch,
                           struct ledger_request *request)
{
    struct place place = {batch, request};
    struct store_row row;
    const struct store_row *found;
    size_t count;
    enum status status = find_ordered(store, request, &row, &found);
    if (status != STATUS_OK || rules_resolve(batch, request, found) != LEDGER_ORDER_DONE) {
        return status;
    }
    int64_t id = request->finish.command->id;
    status = rows_set_history(store, id, ledger_batch_history(batch, request));
    if (status == STATUS_OK) {
        status = rows_turn_reply_tos(store, id, &count);
    }
    if (status == STATUS_OK) {
        status = rows_each_reply_to(store, id, answer, &place);
    }
    rules_resolve_end(batch, request);
    if (status == STATUS_OK) {
        status = record_outcome(store, batch, request);
    }
    return status == STATUS_OK ? post_messages(store, batch, request) : status;
}

/* Deletes the message. What became of it is an event of its command. */
static enum status unpost(struct store *store, struct outbox_row *message, struct slice events)
{
    enum status status =
        events.length > 0 ? rows_note_message(store, message->id, events) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    status = rows_unpost(store, message->id);
    message->was_there = status == STATUS_OK;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status replace(struct store *store, struct ledger_batch *batch,
                           struct ledger_request *request)
{
    rules_replace(batch, request);
    struct outbox_row *replaced = &request->post.replaced;
    enum status status = rows_owner_of_message(store, replaced->id, &request->command_id);
    if (status == STATUS_OK) {
        status = unpost(store, replaced, ledger_batch_history(batch, request));
    }
    return status == STATUS_OK ? post_messages(store, batch, request) : status;
}

static enum status delivered(struct store *store, struct ledger_batch *batch,
                             struct ledger_request *request)
{
    return unpost(store, &request->delivered.message, ledger_batch_history(batch, request));
}

static void add_message(void *arg, int64_t id, struct slice message)
{
    const struct place *place = arg;
    size_t offset = place->batch->bytes.length;
    buf_append(&place->batch->bytes, message);
    ledger_batch_add_message(place->batch, place->request, id, offset);
}

static enum status read_rows(struct store *store, struct ledger_batch *batch,
                             struct ledger_request *request)
{
    bool is_audit = request->type->kind == REQUEST_READ_AUDIT;
    struct place place = {batch, request};
    request->first_message = batch->message_count;
    request->message_count = 0;
    return (is_audit ? rows_read_audit : rows_read_outbox)(
        store, request->read.from_id, request->read.limit, add_message, &place);
}

static enum status query(struct store *store, struct ledger_batch *batch,
                         struct ledger_request *request)
{
    struct query_request *query = &request->query;
    struct store_row row;
    int64_t reply_to_count;
    query_clear(query);
    query->steps_ms = batch->now_ms - batch->kept_ms;
    bool is_success = query->fingerprint.length > 0;
    if (query->token.length == 0 && !is_success) {
        return rows_each(store, query->list, query->after_id, query->limit, query_add, query);
    }
    enum status status = is_success
                             ? rows_find_success(store, buf_slice(&query->fingerprint),
                                                 buf_slice(&query->group), query->since_ms, &row)
                             : rows_find(store, buf_slice(&query->token), &row, &reply_to_count);
    if (status == STATUS_OK) {
        query_add(query, &row);
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status remember(struct store *store, struct ledger_batch *batch,
                            struct ledger_request *request)
{
    (void)batch;
    return request->remember.is_forgotten
               ? rows_unset_meta(store, request->remember.key)
               : rows_set_meta(store, request->remember.key, request->remember.value);
}

static enum status add_audit(struct store *store, struct ledger_batch *batch,
                             struct ledger_request *request)
{
    (void)store;
    rules_add_audit(batch, request);
    return STATUS_OK;
}

static enum status exported(struct store *store, struct ledger_batch *batch,
                            struct ledger_request *request)
{
    rules_exported(batch, request);
    return rows_forget_audit(store, request->exported.tip.seq);
}

/* One bridge has the rate alone. */
static enum status grant(struct store *store, struct ledger_batch *batch,
                         struct ledger_request *request)
{
    (void)store;
    (void)batch;
    request->allowance.grant =
        (struct allowance_grant){.count = request->allowance.ask.wanted_count};
    return STATUS_OK;
}

/* Nobody else uses this ledger. */
static enum status list_absent(struct store *store, struct ledger_batch *batch,
                               struct ledger_request *request)
{
    (void)store;
    (void)batch;
    (void)request;
    return STATUS_OK;
}

typedef enum status apply_fn(struct store *store, struct ledger_batch *batch,
                             struct ledger_request *request);

static apply_fn *const APPLY[REQUEST_COUNT] = {
    [REQUEST_CLAIM] = claim,          [REQUEST_POST] = post,
    [REQUEST_REPLACE] = replace,      [REQUEST_BEGIN] = set_state,
    [REQUEST_PAUSE] = set_state,      [REQUEST_FINISH] = finish,
    [REQUEST_DELIVERED] = delivered,  [REQUEST_READ] = read_rows,
    [REQUEST_REMEMBER] = remember,    [REQUEST_ADD_AUDIT] = add_audit,
    [REQUEST_READ_AUDIT] = read_rows, [REQUEST_EXPORTED] = exported,
    [REQUEST_QUERY] = query,          [REQUEST_RETRY] = retry,
    [REQUEST_RESOLVE] = resolve,      [REQUEST_WATCH] = change_watch,
    [REQUEST_ALLOWANCE] = grant,      [REQUEST_ABSENT] = list_absent,
};

/* ---- transactions ---- */

/* Everything between BEGIN and COMMIT. */
static enum status apply(struct store *store, struct ledger_batch *batch)
{
    enum status status =
        batch->limits->is_coalescing ? rows_keep_effect_index(store, true) : STATUS_OK;
    for (struct ledger_request *request = batch->requests.head;
         request != NULL && status == STATUS_OK; request = request->next) {
        status = APPLY[request->type->kind](store, batch, request);
        buf_clear(&batch->scratch);
        int64_t seq = status == STATUS_OK ? rules_audit_record(batch, request, &batch->scratch) : 0;
        if (seq > 0) {
            status = rows_add_audit(store, seq, buf_slice(&batch->scratch));
        }
    }
    if (status == STATUS_OK && batch->expire_max > 0) {
        status = rows_expire(store, batch->kept_ms, batch->expire_max, &batch->expired_count);
    }
    if (status == STATUS_OK && batch->may_shrink) {
        status = rows_shrink(store, &batch->has_more_free, &batch->store_bytes);
    }
    if (status == STATUS_OK) {
        rules_end_batch(batch);
    }
    if (status == STATUS_OK && batch->before_commit != NULL) {
        status = batch->before_commit(batch);
    }
    for (size_t i = 0; i < batch->meta_count && status == STATUS_OK; i++) {
        status = rows_set_meta(store, batch->metas[i].key, batch->metas[i].value);
    }
    return status;
}

static enum status end(struct store *store, enum status status)
{
    if (status == STATUS_OK) {
        status = rows_commit(store);
    }
    if (status != STATUS_OK) {
        rows_rollback(store);
    }
    return status;
}

static enum status carry_out(struct store *store, struct ledger_batch *batch)
{
    store->io.sync_us = 0;
    enum status status = rows_begin(store);
    status = end(store, status == STATUS_OK ? apply(store, batch) : status);
    batch->sync_us = store->io.sync_us;
    return status;
}

/* Calls that were in flight count a crash unless the last run was closed. If the value is missing,
 * the last run was an older version that did not write it: no crash is counted. */
static enum status reset_calls(struct store *store, const struct ledger_batch *batch)
{
    int64_t was_closed = 1;
    enum status status = rows_get_meta(store, CLOSED_META, &was_closed);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND) {
        struct buf event = {0};
        history_put_interrupted(&event, batch->now_ms, was_closed == 0);
        status = rows_reset_calls(store, was_closed == 0, buf_slice(&event));
        buf_fini(&event);
    }
    return status == STATUS_OK ? rows_set_meta(store, CLOSED_META, 0) : status;
}

/* The new run gets its number, in the file and in the lock file. A crash in between leaves both
 * numbers in the lock file. */
static enum status set_run(struct store *store)
{
    int64_t last = 0;
    int64_t run = digest_random_id();
    enum status status = rows_get_meta(store, RUN_META, &last);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND) {
        store->runs = (struct store_runs){{run, last}};
        store_file_set_runs(store->lock_fd, &store->runs);
        status = rows_set_meta(store, RUN_META, run);
    }
    return status;
}

/* Writes the run's number from the log into the file. */
static void settle_run(struct store *store)
{
    int log_frames = -1;
    int written_frames = -2;
    if (sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log_frames,
                                  &written_frames) == SQLITE_OK &&
        log_frames == written_frames) {
        store->runs.ids[1] = 0;
        store_file_set_runs(store->lock_fd, &store->runs);
    }
}

static void add_command(void *arg, const struct store_row *row)
{
    ledger_batch_add_command(arg, row);
}

static enum status start(struct store *store, struct ledger_batch *batch)
{
    enum status status = rows_begin(store);
    if (status == STATUS_OK) {
        status = reset_calls(store, batch);
    }
    if (status == STATUS_OK) {
        status = set_run(store);
    }
    /* Not while the bridge runs: commands of routes of before a reload may still look for one. */
    if (status == STATUS_OK && !batch->limits->is_coalescing) {
        status = rows_keep_effect_index(store, false);
    }
    if (status == STATUS_OK) {
        status = rows_each(store, STORE_LIST_UNFINISHED, 0, SIZE_MAX, add_command, batch);
    }
    if (status == STATUS_OK) {
        status = rows_each_watch(store, ledger_batch_add_watch, batch);
    }
    if (status == STATUS_OK) {
        status = apply(store, batch);
    }
    status = end(store, status);
    store->is_started = status == STATUS_OK;
    if (status == STATUS_OK) {
        settle_run(store);
    }
    return status;
}

/* If this cannot be written, the next start counts one crash too many, which is below the limit. */
static void close_run(struct store *store)
{
    if (store != NULL && store->is_started) {
        enum status status = rows_begin(store);
        (void)end(store, status == STATUS_OK ? rows_set_meta(store, CLOSED_META, 1) : status);
    }
    store_sqlite_close(store);
}

static enum status find(struct store *store, struct slice token, struct store_row *out_row)
{
    int64_t reply_to_count;
    return rows_find(store, token, out_row, &reply_to_count);
}

static const char *error(struct store *store)
{
    return store->error;
}

const struct store_ops store_sqlite_ops = {
    .open = store_sqlite_open,
    .open_to_read = store_sqlite_open_to_read,
    .inspect = store_sqlite_inspect,
    .close = close_run,
    .start = start,
    .carry_out = carry_out,
    .find = find,
    .each = rows_each,
    .find_watch = rows_find_watch,
    .each_watch = rows_each_watch,
    .count_after = rows_count_after,
    .summarise = rows_summarise,
    .get_statistics = store_sqlite_get_statistics,
    .verify = store_sqlite_verify,
    .backup = store_sqlite_backup,
    .get_meta = rows_get_meta,
    .each_meta = rows_each_meta,
    .error = error,
};

const char *store_sqlite_version(void)
{
    return sqlite3_libversion();
}
