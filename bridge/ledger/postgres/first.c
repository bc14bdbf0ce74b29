/*
 * The first transaction of a batch: which statements, in which order.
 */
#include "store_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "ledger/rules.h"

#include <stdlib.h>
#include <string.h>

/* Beyond that a history is rewritten with as many events as it may have. */
#define HISTORY_BYTES_MAX 4096

/* ---- results ---- */

struct slice postgres_events(const struct store *store, const struct ledger_request *request)
{
    return history_entries(ledger_batch_history(store->work.batch, request));
}

void postgres_take_row(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    item->has_row = strcmp(PQcmdTuples((PGresult *)result), "0") != 0;
}

static void take_move(struct store *store, struct item *item, const PGresult *result)
{
    postgres_take_row(store, item, result);
    item->must_shorten = item->has_row && postgres_int(result, 0, 0) > HISTORY_BYTES_MAX;
    if (!item->has_row) {
        LOG_ERROR("ledger_row_missing", LOG_TEXT("token", item->request->move.token));
    }
}

struct outbox_row *postgres_deleted_of(struct ledger_request *request)
{
    if (request->type->kind == REQUEST_REPLACE) {
        return &request->post.replaced;
    }
    return request->type->kind == REQUEST_DELIVERED ? &request->delivered.message : NULL;
}

static void take_deleted(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    postgres_deleted_of(item->request)->was_there = PQntuples(result) == 1;
}

static void take_promoted(struct store *store, const PGresult *result, int i)
{
    struct work *work = &store->work;
    struct store_row row;
    if (postgres_read_row(result, i, &row) != STATUS_OK) {
        LOG_ERROR("ledger_row_damaged",
                  LOG_SLICE("token", postgres_slice(result, i, COLUMN_token)));
        return;
    }
    struct reply_to sender = postgres_read_sender(result, i);
    work->promoted =
        mem_realloc(work->promoted, (work->promoted_count + 1) * sizeof *work->promoted);
    work->promoted[work->promoted_count++] =
        (struct promoted){ledger_batch_command(work->batch, &row), postgres_copy_reply_to(&sender),
                          postgres_int(result, i, COLUMN_COUNT)};
}

void postgres_take_promoted(struct store *store, struct item *item, const PGresult *result)
{
    (void)item;
    for (int i = 0; i < PQntuples(result); i++) {
        take_promoted(store, result, i);
    }
}

void postgres_drop_promoted(struct store *store)
{
    struct work *work = &store->work;
    for (size_t i = 0; i < work->promoted_count; i++) {
        command_free(work->promoted[i].command);
        reply_to_fini(&work->promoted[i].reply_to);
    }
    free(work->promoted);
    work->promoted = NULL;
    work->promoted_count = 0;
}

/* ---- statements ---- */

void postgres_put_promote(struct store *store, const char *group)
{
    const struct postgres_value values[] = {postgres_number(store->run),
                                            postgres_bytes(slice_text(group))};
    postgres_put(store, PG_PROMOTE, values, 2, postgres_take_promoted, NULL);
}

static struct slice token_of(const struct ledger_request *request, size_t index)
{
    bool is_event = request->type->kind == REQUEST_FINISH && index >= request->finish.reply_count;
    if (request->command_id == 0 || is_event) {
        return (struct slice){0};
    }
    return slice_text(request->type->kind == REQUEST_CLAIM ? request->claim.ask.command->token
                                                           : request->finish.command->token);
}

void postgres_put_messages(struct store *store, const struct ledger_request *request)
{
    const struct ledger_batch *batch = store->work.batch;
    for (size_t i = 0; i < request->message_count; i++) {
        const struct batch_message *message = &batch->messages[request->first_message + i];
        const struct postgres_value values[] = {
            postgres_number(store->run), postgres_number(message->id),
            postgres_bytes(ledger_batch_text(batch, message->text)),
            postgres_bytes(token_of(request, i))};
        postgres_put(store, PG_POST, values, 4, NULL, NULL);
    }
}

void postgres_put_audit(struct store *store, struct ledger_request *request)
{
    struct buf record = {0};
    int64_t seq = rules_audit_record(store->work.batch, request, &record);
    if (seq > 0) {
        const struct postgres_value values[] = {postgres_bytes(slice_text(store->instance)),
                                                postgres_number(seq),
                                                postgres_bytes(buf_slice(&record))};
        postgres_put(store, PG_ADD_AUDIT, values, 3, NULL, NULL);
    }
    buf_fini(&record);
}

/* Adds the id and the bytes of the request's only message. */
static size_t add_message_values(const struct store *store, const struct ledger_request *request,
                                 struct postgres_value *out)
{
    const struct ledger_batch *batch = store->work.batch;
    const struct batch_message *message = &batch->messages[request->first_message];
    out[0] = postgres_number(message->id);
    out[1] = postgres_bytes(ledger_batch_text(batch, message->text));
    return 2;
}

static void put_claim(struct store *store, struct item *item)
{
    struct ledger_request *request = item->request;
    struct postgres_value values[POSTGRES_VALUES_MAX];
    size_t count =
        postgres_claim_values(&request->claim, store->run, postgres_events(store, request), values);
    bool has_reply = request->message_count > 0;
    count += has_reply ? add_message_values(store, request, &values[count]) : 0;
    postgres_put(store, has_reply ? PG_INSERT_REPLYING : PG_INSERT, values, count,
                 postgres_take_row, item);
}

static void put_finish(struct store *store, struct item *item)
{
    struct ledger_request *request = item->request;
    struct postgres_value values[POSTGRES_VALUES_MAX];
    size_t count =
        postgres_finish_values(request, store->run, postgres_events(store, request), values);
    bool has_reply = request->message_count > 0;
    count += has_reply ? add_message_values(store, request, &values[count]) : 0;
    postgres_put(store, has_reply ? PG_FINISH_REPLYING : PG_FINISH, values, count,
                 postgres_take_row, item);
}

static void put_move(struct store *store, struct item *item)
{
    const struct move_request *move = &item->request->move;
    const struct postgres_value values[] = {postgres_bytes(slice_text(move->token)),
                                            postgres_number(store->run),
                                            postgres_number(move->state),
                                            postgres_number(move->attempts),
                                            postgres_number(move->not_before_ms),
                                            postgres_number(move->crashes),
                                            postgres_bytes(buf_slice(&item->request->events))};
    postgres_put(store, PG_SET_STATE, values, 7, take_move, item);
}

/* The dead letter, which belongs to the same command, goes in before the message is deleted. */
static void put_dead_letter(struct store *store, const struct ledger_request *request)
{
    struct postgres_value values[4] = {postgres_number(store->run)};
    if (request->message_count > 0) {
        add_message_values(store, request, &values[1]);
        values[3] = postgres_number(request->post.replaced.id);
        postgres_put(store, PG_POST_FOR, values, 4, NULL, NULL);
    }
}

static void put_unpost(struct store *store, struct item *item)
{
    const struct postgres_value values[] = {postgres_number(store->run),
                                            postgres_number(postgres_deleted_of(item->request)->id),
                                            postgres_bytes(buf_slice(&item->request->events))};
    postgres_put(store, PG_UNPOST, values, 3, take_deleted, item);
}

static void put_meta(struct store *store, struct slice instance, const char *key, int64_t value)
{
    const struct postgres_value values[] = {
        postgres_bytes(instance), postgres_bytes(slice_text(key)), postgres_number(value)};
    postgres_put(store, PG_SET_META, values, 3, NULL, NULL);
}

static void put_remember(struct store *store, const struct ledger_request *request)
{
    const struct remember_request *remember = &request->remember;
    const char *instance = remember->instance == NULL ? store->instance : remember->instance;
    const struct postgres_value values[] = {postgres_bytes(slice_text(instance)),
                                            postgres_bytes(slice_text(remember->key))};
    if (remember->is_forgotten) {
        postgres_put(store, PG_UNSET_META, values, 2, NULL, NULL);
    } else {
        put_meta(store, slice_text(instance), remember->key, remember->value);
    }
}

/* ---- the first transaction ---- */

/* All bridges take rows in this order, so that two of them do not wait for each other. */
static int by_group(const void *a, const void *b)
{
    const struct command *left = (*(struct item *const *)a)->request->claim.ask.command;
    const struct command *right = (*(struct item *const *)b)->request->claim.ask.command;
    int order = strcmp(left->group, right->group);
    return order != 0 ? order : strcmp(left->token, right->token);
}

static void put_claims(struct store *store)
{
    struct work *work = &store->work;
    struct item **claims = mem_zalloc(work->count + 1, sizeof(struct item *));
    size_t count = 0;
    for (size_t i = 0; i < work->count; i++) {
        struct item *item = &work->items[i];
        if (item->stage == ITEM_FIRST && item->request->type->kind == REQUEST_CLAIM) {
            claims[count++] = item;
        }
    }
    qsort(claims, count, sizeof(struct item *), by_group);
    for (size_t i = 0; i < count; i++) {
        put_claim(store, claims[i]);
    }
    free(claims);
}

/* The end of an attempt and the outcome of its command may be in one batch, in this order. */
enum turn { TURN_POSTS, TURN_MOVES, TURN_FINISHES, TURN_PROMOTES, TURN_DELIVERED, TURN_COUNT };

static void put_item(struct store *store, struct item *item, enum turn turn)
{
    const struct ledger_request *request = item->request;
    enum request_kind kind = request->type->kind;
    if (turn == TURN_POSTS && kind == REQUEST_POST) {
        postgres_put_messages(store, request);
    } else if (turn == TURN_POSTS && kind == REQUEST_REPLACE) {
        put_dead_letter(store, request);
    } else if (turn == TURN_FINISHES && kind == REQUEST_FINISH) {
        put_finish(store, item);
    } else if (turn == TURN_MOVES && (kind == REQUEST_BEGIN || kind == REQUEST_PAUSE)) {
        put_move(store, item);
    } else if (turn == TURN_MOVES && kind == REQUEST_REMEMBER) {
        put_remember(store, request);
    } else if (turn == TURN_PROMOTES && kind == REQUEST_FINISH) {
        postgres_put_promote(store, request->finish.command->group);
    } else if (turn == TURN_DELIVERED && (kind == REQUEST_DELIVERED || kind == REQUEST_REPLACE)) {
        put_unpost(store, item);
    }
}

bool postgres_depends_on_row(const struct item *item)
{
    enum request_kind kind = item->request->type->kind;
    return kind == REQUEST_CLAIM || kind == REQUEST_FINISH;
}

/* What follows when the results are known, or needs none. */
static void put_rest(struct store *store)
{
    struct work *work = &store->work;
    struct ledger_batch *batch = work->batch;
    for (size_t i = 0; i < work->count; i++) {
        struct item *item = &work->items[i];
        if (item->stage == ITEM_FIRST && (!postgres_depends_on_row(item) || item->has_row)) {
            postgres_put_audit(store, item->request);
        }
        if (item->stage == ITEM_FIRST && item->request->type->kind == REQUEST_EXPORTED) {
            const struct postgres_value values[] = {
                postgres_bytes(slice_text(store->instance)),
                postgres_number(item->request->exported.tip.seq)};
            postgres_put(store, PG_FORGET_AUDIT, values, 2, NULL, NULL);
        }
    }
    for (size_t i = 0; i < batch->meta_count; i++) {
        const struct batch_meta *meta = &batch->metas[i];
        put_meta(store, postgres_meta_owner(store, meta->key), meta->key, meta->value);
    }
}

enum status postgres_try_first(struct store *store)
{
    struct work *work = &store->work;
    struct ledger_batch *batch = work->batch;
    enum status status = STATUS_OK;
    postgres_drop_promoted(store);
    postgres_begin(store);
    put_claims(store);
    for (int turn = 0; turn < TURN_COUNT; turn++) {
        for (size_t i = 0; i < work->count; i++) {
            work->items[i].has_row = turn == 0 ? false : work->items[i].has_row;
            if (work->items[i].stage == ITEM_FIRST) {
                put_item(store, &work->items[i], (enum turn)turn);
            }
        }
    }
    if (batch->limits->is_audited) {
        status = postgres_flush(store);
    }
    if (status == STATUS_OK && batch->before_commit != NULL) {
        status = batch->before_commit(batch);
        if (status != STATUS_OK) {
            postgres_rollback(store);
            return status;
        }
    }
    if (status == STATUS_OK) {
        put_rest(store);
        status = postgres_commit(store);
    }
    return status;
}
