/*
 * A batch is one transaction with most of its requests, in one round trip: with an audit two,
 * because a record says what became of the request. What meets something there (a token that has a
 * row, a group that has a head, a command with duplicates) follows in transactions of its own, in
 * order; then what only reads.
 *
 * When the first transaction is committed, the others must follow: the batch comes again
 * (STATUS_UNAVAILABLE) until they are done.
 */
#include "store_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/ledger.h"
#include "ledger/rules.h"

#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_MAX     4 /* of a transaction that others disturb */
#define INDEX_TIMEOUT_MS 600000

/* ---- planning ---- */

static enum item_stage plan_finish(struct store *store, struct item *item)
{
    struct ledger_request *request = item->request;
    struct ledger_batch *batch = store->work.batch;
    const struct reply_to *sender =
        heads_only_sender(store, slice_text(request->finish.command->token));
    if (sender == NULL || request->finish.watch.ends_at_ms != 0) {
        return ITEM_ALONE;
    }
    rules_finish(batch, request);
    rules_answer(batch, request, sender);
    rules_finish_end(batch, request);
    item->is_planned = true;
    return ITEM_FIRST;
}

static enum item_stage plan(struct store *store, struct item *item)
{
    struct ledger_batch *batch = store->work.batch;
    struct ledger_request *request = item->request;
    switch (request->type->kind) {
    case REQUEST_CLAIM:
        request->claim.is_lined_up = false;
        return rules_claim(batch, request, NULL) == PLAN_INSERT ? ITEM_FIRST : ITEM_ALONE;
    case REQUEST_POST:
        rules_post(batch, request);
        return ITEM_FIRST;
    case REQUEST_REPLACE:
        rules_replace(batch, request);
        return ITEM_FIRST;
    case REQUEST_FINISH:
        return plan_finish(store, item);
    case REQUEST_ADD_AUDIT:
        rules_add_audit(batch, request);
        return ITEM_FIRST;
    case REQUEST_EXPORTED:
        rules_exported(batch, request);
        return ITEM_FIRST;
    case REQUEST_BEGIN:
    case REQUEST_PAUSE:
    case REQUEST_DELIVERED:
    case REQUEST_REMEMBER:
        return ITEM_FIRST;
    case REQUEST_RETRY:
    case REQUEST_RESOLVE:
    case REQUEST_WATCH:
        return ITEM_ALONE;
    case REQUEST_READ:
    case REQUEST_READ_AUDIT:
    case REQUEST_QUERY:
    case REQUEST_ALLOWANCE:
    case REQUEST_ABSENT:
    case REQUEST_COUNT:
        break;
    }
    return ITEM_READ;
}

static void begin_work(struct store *store, struct ledger_batch *batch)
{
    size_t count = 0;
    postgres_end_work(store);
    for (struct ledger_request *request = batch->requests.head; request != NULL;
         request = request->next) {
        count++;
    }
    struct work *work = &store->work;
    *work = (struct work){.batch = batch, .count = count};
    work->items = mem_zalloc(count + 1, sizeof *work->items);
    struct ledger_request *request = batch->requests.head;
    for (size_t i = 0; i < count; i++, request = request->next) {
        work->items[i].request = request;
        work->items[i].stage = plan(store, &work->items[i]);
    }
}

void postgres_end_work(struct store *store)
{
    postgres_drop_promoted(store);
    free(store->work.items);
    store->work = (struct work){0};
}

/* What a committed transaction has given to this run goes to the batch. */
void postgres_take_over(struct store *store)
{
    struct work *work = &store->work;
    for (size_t i = 0; i < work->promoted_count; i++) {
        struct promoted *promoted = &work->promoted[i];
        heads_add(store, promoted->command, promoted->command->id, &promoted->reply_to);
        heads_add_waiters(store, slice_text(promoted->command->token), promoted->waiters);
        work->batch->command_waiters += promoted->waiters;
        ledger_batch_take_command(work->batch, promoted->command);
        promoted->command = NULL;
    }
    postgres_drop_promoted(store);
    work->has_effect = true;
}

/* The item's transaction is committed. */
static void item_done(struct store *store, struct item *item)
{
    const struct ledger_request *request = item->request;
    if (request->type->kind == REQUEST_CLAIM && item->is_head) {
        heads_add(store, request->claim.ask.command, request->claim.id,
                  &request->claim.ask.reply_to);
    } else if (request->type->kind == REQUEST_CLAIM && item->is_joined &&
               !request->claim.is_joined_elsewhere) {
        heads_add_joined(store, slice_text(request->claim.ask.command->token), request->claim.id,
                         &request->claim.ask.reply_to);
    } else if (request->type->kind == REQUEST_FINISH && !item->is_overdue) {
        heads_remove(store, slice_text(request->finish.command->token)); /* in line is no head */
    }
    item->stage = ITEM_DONE;
}

static void first_done(struct store *store)
{
    struct work *work = &store->work;
    for (size_t i = 0; i < work->count; i++) {
        struct item *item = &work->items[i];
        if (item->stage == ITEM_FIRST) {
            bool is_missed = postgres_depends_on_row(item) && !item->has_row;
            item->is_head = item->has_row && item->request->type->kind == REQUEST_CLAIM;
            if (is_missed) {
                item->stage = ITEM_ALONE;
            } else {
                item_done(store, item);
            }
        }
    }
    work->is_first_done = true;
    postgres_take_over(store);
}

static bool has_first(const struct store *store)
{
    const struct work *work = &store->work;
    bool has_some = work->batch->meta_count > 0;
    for (size_t i = 0; i < work->count; i++) {
        has_some = has_some || work->items[i].stage == ITEM_FIRST;
    }
    return has_some;
}

static enum status first(struct store *store)
{
    enum status status = STATUS_STORE;
    if (!has_first(store)) {
        store->work.is_first_done = true;
        return STATUS_OK;
    }
    for (int i = 0; i < ATTEMPTS_MAX && status == STATUS_STORE; i++) {
        if (i > 0 && !postgres_may_retry(store)) {
            return status;
        }
        status = postgres_try_first(store);
    }
    if (status == STATUS_OK) {
        first_done(store);
    }
    return status;
}

/* ---- the others ---- */

static enum status alone(struct store *store, struct item *item)
{
    static enum status (*const CARRY_OUT[REQUEST_COUNT])(struct store *, struct item *) = {
        [REQUEST_CLAIM] = postgres_claim,        [REQUEST_FINISH] = postgres_finish,
        [REQUEST_RETRY] = postgres_order,        [REQUEST_RESOLVE] = postgres_order,
        [REQUEST_WATCH] = postgres_change_watch,
    };
    enum status status = STATUS_STORE;
    struct work *work = &store->work;
    work->alone = item;
    for (int i = 0; i < ATTEMPTS_MAX && status == STATUS_STORE; i++) {
        if (i > 0 && !postgres_may_retry(store)) {
            return status;
        }
        postgres_drop_promoted(store);
        status = item->is_overdue ? postgres_end_overdue(store, item)
                                  : CARRY_OUT[item->request->type->kind](store, item);
    }
    if (status == STATUS_STORE && item->is_overdue && !store->is_expelled) {
        item->request->status = STATUS_STORE; /* a later batch does it: nobody waits for this one */
        status = STATUS_OK;
    }
    if (status == STATUS_OK && item->is_overdue && item->request->status != STATUS_OK &&
        item->request->audit_seq != 0) {
        work->batch->last_audit_seq--; /* its record was not written; the next one gets its Seq */
        item->request->audit_seq = 0;
    }
    if (status == STATUS_OK) {
        item_done(store, item);
        postgres_take_over(store);
    }
    return status;
}

/* The command of a retry is reported with the order. */
static bool is_ordered(const struct work *work, struct slice token)
{
    bool is_found = false;
    for (size_t i = 0; i < work->count; i++) {
        const struct item *item = &work->items[i];
        is_found = is_found || (item->request->type->kind == REQUEST_RETRY && item->is_head &&
                                slice_equals_text(token, item->request->finish.command->token));
    }
    return is_found;
}

/* Heads of this run that it does not know: a transaction whose answers were lost has promoted
 * them, or an order has. */
static enum status find_lost(struct store *store)
{
    const struct postgres_value run[] = {postgres_number(store->run)};
    enum status status = postgres_query(store, PG_OWN_HEADS, run, 1);
    struct work *work = &store->work;
    for (int i = 0; status == STATUS_OK && i < PQntuples(store->kept); i++) {
        struct slice token = postgres_slice(store->kept, i, COLUMN_token);
        int64_t waiters;
        struct command *command =
            heads_have(store, token) ? NULL : heads_add_row(store, work->batch, i, &waiters);
        if (command != NULL && is_ordered(work, token)) {
            command_free(command);
        } else if (command != NULL) {
            work->batch->command_waiters += waiters;
            ledger_batch_take_command(work->batch, command);
        }
    }
    work->has_lost = work->has_lost && status != STATUS_OK;
    return status;
}

/* Deletes expired rows. If that fails, the next batch does it. */
static void expire(struct store *store, struct ledger_batch *batch)
{
    const struct postgres_value values[] = {postgres_number(batch->kept_ms),
                                            postgres_number((int64_t)batch->expire_max)};
    if (postgres_query(store, PG_EXPIRE, values, 2) == STATUS_OK) {
        batch->expired_count = (size_t)postgres_int(store->kept, 0, 0);
        batch->store_bytes = batch->may_shrink ? postgres_int(store->kept, 0, 1) : 0;
    }
}

/* The committed transaction whose answers were lost. What depends on rows is looked up. */
static void answers_lost(struct store *store)
{
    struct work *work = &store->work;
    work->has_lost = true;
    if (work->alone != NULL) {
        if (work->alone->request->type->kind == REQUEST_FINISH) {
            postgres_forget_polled(store);
        }
        item_done(store, work->alone);
        return;
    }
    for (size_t i = 0; i < work->count; i++) {
        struct item *item = &work->items[i];
        if (item->stage == ITEM_FIRST) {
            item->stage = postgres_depends_on_row(item) ? ITEM_ALONE : ITEM_DONE;
            struct outbox_row *deleted = postgres_deleted_of(item->request);
            if (deleted != NULL) {
                deleted->was_there = true;
            }
        }
    }
    work->is_first_done = true;
    work->has_effect = true;
}

static enum status all_alone(struct store *store)
{
    struct work *work = &store->work;
    enum status status = STATUS_OK;
    int64_t began_us = clock_mono_us();
    for (size_t i = 0; i < work->count && status == STATUS_OK; i++) {
        if (work->items[i].stage == ITEM_ALONE) {
            status = alone(store, &work->items[i]);
            work->batch->alone_count++;
        }
    }
    work->batch->alone_us += clock_mono_us() - began_us;
    return status;
}

/* Goes on with the batch where it stands. */
static enum status go_on(struct store *store)
{
    struct work *work = &store->work;
    enum status status = work->is_first_done ? STATUS_OK : first(store);
    if (status == STATUS_OK) {
        status = all_alone(store);
    }
    if (status == STATUS_OK && !work->is_swept) {
        status = postgres_find_overdue(store);
    }
    if (status == STATUS_OK) {
        status = all_alone(store);
    }
    if (status == STATUS_OK && work->has_lost) {
        status = find_lost(store);
    }
    for (size_t i = 0; i < work->count && status == STATUS_OK; i++) {
        if (work->items[i].stage == ITEM_READ) {
            status = postgres_read_request(store, work->items[i].request);
        }
    }
    return status;
}

/* A large table takes a while. */
static enum status make_effect_index(struct store *store)
{
    enum status status =
        postgres_run(store->connection, INDEX_TIMEOUT_MS, store_postgres_effect_index);
    if (status != STATUS_OK) {
        return postgres_fail(store, postgres_error(store->connection));
    }
    store->has_effect_index = true;
    return STATUS_OK;
}

/* The report of an earlier batch's loss is stored with this one. */
static void see_stored_loss(struct store *store, const struct ledger_batch *batch)
{
    for (const struct ledger_request *request = batch->requests.head; request != NULL;
         request = request->next) {
        if (request->type->kind == REQUEST_REMEMBER &&
            strcmp(request->remember.key, LEDGER_META_LOST_AT) == 0) {
            timeline_loss_stored(store->timeline);
        }
    }
}

/* What the lease has to do with this run's own work. A command changes its bridge while it waits in
 * line, so how many are unfinished is known from the store, as of a second ago. */
static void finish_turn(struct store *store)
{
    if (store->lease != NULL) {
        bool has_change = postgres_lease_take_change(store->lease);
        store->must_adopt |= has_change;
        store->must_take_regions |= has_change;
        store->must_read_watches |= postgres_lease_take_watch_change(store->lease);
    }
    if (store->must_adopt && !store->is_starting) {
        postgres_adopt(store);
        postgres_check_lines(store);
    }
    postgres_poll(store, store->work.batch);
    if (store->lease == NULL) {
        return;
    }
    int64_t held = heads_count(store);
    postgres_lease_set_held(store->lease, held);
    store->work.batch->unfinished = held + postgres_lease_elsewhere(store->lease);
}

/* The batch has failed, so nobody gets the commands that were found before it: the next one finds
 * them. */
static void forget_found(struct store *store, const struct ledger_batch *batch)
{
    for (size_t i = 0; i < batch->command_count; i++) {
        heads_remove(store, slice_text(batch->commands[i]->token));
        store->is_adoption_unknown = true;
    }
}

enum status postgres_carry_out(struct store *store, struct ledger_batch *batch)
{
    struct work *work = &store->work;
    bool is_committed;
    enum status status = postgres_reconnect(store, &is_committed);
    if (status == STATUS_OK && store->must_repair) {
        status = postgres_repair(store, batch);
    }
    if (status == STATUS_OK && !store->has_effect_index && batch->limits->is_coalescing) {
        status = make_effect_index(store);
    }
    bool is_again = work->batch == batch;
    if (status != STATUS_OK) {
        return is_again && !store->is_expelled ? STATUS_UNAVAILABLE : STATUS_STORE;
    }
    if (!is_again && store->is_adoption_unknown &&
        postgres_recover_adopted(store, batch) != STATUS_OK) {
        return STATUS_STORE;
    }
    if (!is_again) {
        begin_work(store, batch);
    } else if (is_committed) {
        answers_lost(store);
    }
    status = go_on(store);
    if (status == STATUS_UNAVAILABLE && postgres_reconnect(store, &is_committed) == STATUS_OK &&
        !store->must_repair) {
        if (is_committed) {
            answers_lost(store);
        }
        status = go_on(store);
    }
    if (status != STATUS_OK) {
        bool must_go_on = !store->is_expelled && (status == STATUS_UNAVAILABLE || work->has_effect);
        if (!must_go_on) {
            forget_found(store, batch);
            postgres_end_work(store);
        }
        return must_go_on ? STATUS_UNAVAILABLE : STATUS_STORE;
    }
    for (size_t i = 0; i < work->count; i++) {
        if (work->items[i].must_shorten) {
            postgres_shorten(store, &work->items[i]);
        }
    }
    if (batch->expire_max > 0) {
        expire(store, batch);
    }
    finish_turn(store);
    see_stored_loss(store, batch);
    batch->may_have_lost = timeline_take_loss(store->timeline);
    postgres_end_work(store);
    return STATUS_OK;
}
