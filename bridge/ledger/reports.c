/*
 * What the other rooms get to know: the results of requests, in the order of the queue. Counters
 * and commands change only here, after the commit.
 */
#include "base/log.h"
#include "common.h"

#include <assert.h>

#define DELAY_US 50000 /* of requests whose result nobody waits for */

static void count(struct ledger *ledger, enum counter counter, int64_t amount)
{
    counter_add(ledger->counters, counter, amount);
}

static void count_refusal(struct ledger *ledger, enum bridge_error error)
{
    static const enum counter COUNTERS[ERROR_COUNT] = {
#define REFUSAL(id, code, category, retention, hint) [ERROR_##id] = COUNTER_REFUSAL_##id,
#define BRIDGE_ERROR(id, code, category, retention, hint)
#include "tables/errors.def"
#undef BRIDGE_ERROR
#undef REFUSAL
    };
    assert(COUNTERS[error] != 0); /* it is a REFUSAL in the table */
    count(ledger, COUNTER_REFUSED, 1);
    count(ledger, COUNTERS[error], 1);
}

static void post_messages(struct ledger *ledger, const struct ledger_batch *batch, size_t first,
                          size_t message_count)
{
    count(ledger, COUNTER_OUTBOX_DEPTH, (int64_t)message_count);
    for (size_t i = 0; i < message_count; i++) {
        const struct batch_message *message = &batch->messages[first + i];
        count(ledger, COUNTER_OUTBOX_BYTES, (int64_t)message->text.length);
        ledger->hooks.posted(ledger->hooks.arg, message->id,
                             ledger_batch_text(batch, message->text));
    }
}

static void report_messages(struct ledger *ledger, const struct ledger_batch *batch,
                            const struct ledger_request *request)
{
    post_messages(ledger, batch, request->first_message, request->message_count);
}

static void report_claim(struct ledger *ledger, const struct ledger_batch *batch,
                         struct ledger_request *request)
{
    static const enum counter COUNTERS[] = {
        [CLAIM_NEW] = COUNTER_IN_WORK,
        [CLAIM_AGAIN] = COUNTER_IN_WORK,
        [CLAIM_WAITS] = COUNTER_WAITING,
        [CLAIM_REPLAYED] = COUNTER_REPLAYED,
    };
    struct claim_request *claim = &request->claim;
    struct command *command = NULL;
    if (request->status == STATUS_OK) {
        if (claim->result == CLAIM_MISMATCH || claim->result == CLAIM_REFUSED) {
            count_refusal(ledger, claim->refusal);
        } else if (claim->is_lined_up || claim->is_joined_elsewhere) {
            count(ledger, COUNTER_HANDED_OVER, 1);
        } else {
            count(ledger, COUNTERS[claim->result], 1);
        }
        report_messages(ledger, batch, request);
        bool is_ours = claim->result == CLAIM_NEW || claim->result == CLAIM_AGAIN;
        if (is_ours && !claim->is_lined_up) {
            command = claim->ask.command;
            command->id = claim->id;
            command->state = claim->state;
            command->attempts = claim->ask.is_called_at_once ? 1 : 0;
            claim->ask.command = NULL;
        }
    }
    claim->done(request->arg, request->status, claim->result, command);
}

static void report_post(struct ledger *ledger, const struct ledger_batch *batch,
                        struct ledger_request *request)
{
    if (request->status == STATUS_OK) {
        count_refusal(ledger, request->post.refusal);
        count(ledger, COUNTER_DEAD_LETTERS, request->post.is_dead_letter ? 1 : 0);
        report_messages(ledger, batch, request);
    }
    request->post.done(request->arg, request->status);
}

/* Counts that the message left the outbox, if it was there. */
static void count_deleted(struct ledger *ledger, const struct outbox_row *message)
{
    if (message->was_there) {
        count(ledger, COUNTER_OUTBOX_DEPTH, -1);
        count(ledger, COUNTER_OUTBOX_BYTES, -(int64_t)message->length);
    }
}

static void report_replace(struct ledger *ledger, const struct ledger_batch *batch,
                           struct ledger_request *request)
{
    if (request->status == STATUS_OK) {
        count_deleted(ledger, &request->post.replaced);
        count(ledger, COUNTER_DEAD_LETTERS, request->post.is_dead_letter ? 1 : 0);
        report_messages(ledger, batch, request);
    }
    request->post.done(request->arg, request->status);
}

static const enum counter OUTCOME_COUNTERS[] = {
    [OUTCOME_SUCCEEDED] = COUNTER_SUCCEEDED,
    [OUTCOME_FAILED] = COUNTER_FAILED,
    [OUTCOME_UNKNOWN] = COUNTER_UNKNOWN,
};

static int64_t waiters_of(const struct finish_request *finish)
{
    return finish->reply_to_count > 0 ? (int64_t)finish->reply_to_count - 1 : 0;
}

static bool is_carried_out(const struct ledger_request *request)
{
    return request->status == STATUS_OK && request->finish.order.result == LEDGER_ORDER_DONE;
}

/* Both orders begin with commands that had their outcome: these count as resumed. One that waits in
 * line is handed over, to the bridge that will get it. */
static void report_retry(struct ledger *ledger, const struct ledger_batch *batch,
                         struct ledger_request *request)
{
    struct finish_request *finish = &request->finish;
    struct command *command = NULL;
    (void)batch;
    count(ledger, COUNTER_RESUMED, is_carried_out(request) ? 1 + waiters_of(finish) : 0);
    if (is_carried_out(request) && finish->is_lined_up) {
        count(ledger, COUNTER_HANDED_OVER, 1 + waiters_of(finish));
    } else if (is_carried_out(request)) {
        count(ledger, COUNTER_IN_WORK, 1);
        count(ledger, COUNTER_WAITING, waiters_of(finish));
        command = finish->command;
        finish->command = NULL;
    }
    finish->order.done(request->arg, request->status, finish->order.result, command);
}

static void report_resolve(struct ledger *ledger, const struct ledger_batch *batch,
                           struct ledger_request *request)
{
    const struct finish_request *finish = &request->finish;
    if (is_carried_out(request)) {
        count(ledger, COUNTER_RESUMED, 1 + waiters_of(finish));
        count(ledger, OUTCOME_COUNTERS[finish->outcome.status], 1);
        count(ledger, COUNTER_REPLAYED, waiters_of(finish));
        report_messages(ledger, batch, request);
    }
    finish->order.done(request->arg, request->status, finish->order.result, NULL);
}

static void report_begun_watch(struct ledger *ledger, const struct finish_request *finish)
{
    if (finish->is_watch_refused) {
        count(ledger, COUNTER_WATCH_FULL, 1);
        LOG_WARN("watch_full", LOG_TEXT("token", finish->command->token),
                 LOG_TEXT("group", finish->command->group));
    }
    if (finish->begun != NULL && finish->superseded_id != 0) {
        ledger->hooks.unwatched(ledger->hooks.arg, finish->superseded_id);
    }
    if (finish->begun != NULL && !finish->is_polled_elsewhere) {
        ledger->hooks.watched(ledger->hooks.arg, finish->begun);
    }
}

static void report_finish(struct ledger *ledger, const struct ledger_batch *batch,
                          struct ledger_request *request)
{
    const struct finish_request *finish = &request->finish;
    int64_t waiter_count = waiters_of(finish);
    int64_t elsewhere_count = (int64_t)finish->elsewhere_count;
    count(ledger, OUTCOME_COUNTERS[finish->outcome.status], 1);
    count(ledger, COUNTER_IN_WORK, -1);
    count(ledger, COUNTER_RESUMED, elsewhere_count);
    count(ledger, COUNTER_WAITING, elsewhere_count - waiter_count);
    count(ledger, COUNTER_REPLAYED, waiter_count);
    report_messages(ledger, batch, request);
    report_begun_watch(ledger, finish);
    recent_add(&ledger->recent, finish);
}

/* No bridge has counted it as in work since it was handed over. */
static void report_overdue(struct ledger *ledger, const struct ledger_batch *batch,
                           const struct ledger_request *request)
{
    const struct finish_request *finish = &request->finish;
    if (request->status == STATUS_OK) {
        count(ledger, COUNTER_RESUMED, 1 + waiters_of(finish));
        count(ledger, OUTCOME_COUNTERS[finish->outcome.status], 1);
        count(ledger, COUNTER_REPLAYED, waiters_of(finish));
        report_messages(ledger, batch, request);
        recent_add(&ledger->recent, finish);
    }
}

/* The state is stored, or is no longer that of a watch. */
static void report_watch(struct ledger *ledger, const struct ledger_batch *batch,
                         struct ledger_request *request)
{
    const struct watch_request *watch = &request->watch;
    enum status status = request->status;
    if (status == STATUS_OK && !watch->is_there) {
        status = STATUS_NOT_FOUND;
    } else if (status == STATUS_OK) {
        count(ledger, COUNTER_WATCH_EVENTS, (int64_t)request->message_count);
        report_messages(ledger, batch, request);
    }
    watch->done(request->arg, status);
}

static void report_begin(struct ledger *ledger, const struct ledger_batch *batch,
                         struct ledger_request *request)
{
    (void)ledger;
    (void)batch;
    request->move.command->state = request->move.state;
    request->move.done(request->arg, STATUS_OK);
}

static void report_delivered(struct ledger *ledger, const struct ledger_batch *batch,
                             struct ledger_request *request)
{
    (void)batch;
    count(ledger, COUNTER_PUBLISHED, request->delivered.message.was_there ? 1 : 0);
    count_deleted(ledger, &request->delivered.message);
}

static void report_read(struct ledger *ledger, const struct ledger_batch *batch,
                        struct ledger_request *request)
{
    (void)ledger;
    for (size_t i = 0; i < request->message_count; i++) {
        const struct batch_message *message = &batch->messages[request->first_message + i];
        request->read.each(request->arg, message->id, ledger_batch_text(batch, message->text));
    }
    request->read.done(request->arg, request->message_count);
}

static void report_query(struct ledger *ledger, const struct ledger_batch *batch,
                         struct ledger_request *request)
{
    const struct query_request *query = &request->query;
    const struct ledger_record *const *records =
        (const struct ledger_record *const *)query->records;
    const struct ledger_record *merged[LEDGER_QUERY_MAX];
    size_t count = request->status == STATUS_OK ? query->count : 0;
    (void)batch;
    if (request->status == STATUS_OK && query->list == STORE_LIST_OUTCOMES &&
        query->token.length == 0 && query->fingerprint.length == 0) {
        count = recent_merge(&ledger->recent, query, query->limit, merged);
        records = merged;
    }
    query->done(request->arg, request->status, records, count);
}

static void report_allowance(struct ledger *ledger, const struct ledger_batch *batch,
                             struct ledger_request *request)
{
    const struct allowance_request *allowance = &request->allowance;
    (void)ledger;
    (void)batch;
    allowance->done(request->arg, allowance->name,
                    request->status == STATUS_OK ? &allowance->grant : NULL);
}

static void report_absent(struct ledger *ledger, const struct ledger_batch *batch,
                          struct ledger_request *request)
{
    const struct absent_request *absent = &request->absent;
    (void)ledger;
    (void)batch;
    for (size_t i = 0; i < absent->count && request->status == STATUS_OK; i++) {
        const struct absent_number *number = &absent->numbers[i];
        absent->each(request->arg, number->instance, number->key, number->value, number->is_leased);
    }
    absent->done(request->arg, request->status);
}

const struct request_type LEDGER_REQUEST_TYPES[REQUEST_COUNT] = {
    [REQUEST_CLAIM] = {REQUEST_CLAIM, 0, true, true, report_claim},
    [REQUEST_POST] = {REQUEST_POST, 0, true, true, report_post},
    [REQUEST_REPLACE] = {REQUEST_REPLACE, 0, true, true, report_replace},
    [REQUEST_BEGIN] = {REQUEST_BEGIN, 0, false, false, report_begin},
    [REQUEST_PAUSE] = {REQUEST_PAUSE, DELAY_US, false, false, NULL},
    [REQUEST_FINISH] = {REQUEST_FINISH, 0, false, false, report_finish},
    [REQUEST_DELIVERED] = {REQUEST_DELIVERED, DELAY_US, false, false, report_delivered},
    [REQUEST_READ] = {REQUEST_READ, 0, false, false, report_read},
    [REQUEST_REMEMBER] = {REQUEST_REMEMBER, DELAY_US, false, false, NULL},
    [REQUEST_ADD_AUDIT] = {REQUEST_ADD_AUDIT, 0, false, false, NULL},
    [REQUEST_READ_AUDIT] = {REQUEST_READ_AUDIT, 0, false, false, report_read},
    [REQUEST_EXPORTED] = {REQUEST_EXPORTED, DELAY_US, false, false, NULL},
    [REQUEST_QUERY] = {REQUEST_QUERY, 0, true, false, report_query},
    [REQUEST_RETRY] = {REQUEST_RETRY, 0, true, true, report_retry},
    [REQUEST_RESOLVE] = {REQUEST_RESOLVE, 0, true, true, report_resolve},
    [REQUEST_WATCH] = {REQUEST_WATCH, 0, true, true, report_watch},
    [REQUEST_ALLOWANCE] = {REQUEST_ALLOWANCE, 0, true, false, report_allowance},
    [REQUEST_ABSENT] = {REQUEST_ABSENT, 0, true, false, report_absent},
};

static void report_watches(struct ledger *ledger, const struct ledger_batch *batch)
{
    const struct ledger_hooks *hooks = &ledger->hooks;
    for (size_t i = 0; i < batch->region_count && hooks->polls != NULL; i++) {
        const struct batch_region *region = &batch->regions[i];
        struct watch **watches = region->count > 0 ? &batch->watched[region->first] : NULL;
        hooks->polls(hooks->arg, region->name, (const struct watch *const *)watches, region->count);
    }
    if (batch->region_count == 0 && hooks->watched != NULL) {
        for (size_t i = 0; i < batch->watched_count; i++) {
            hooks->watched(hooks->arg, batch->watched[i]);
        }
    }
}

void ledger_report(struct ledger *ledger, struct ledger_batch *batch)
{
    count(ledger, COUNTER_LEDGER_COMMITS, batch->commits);
    count(ledger, COUNTER_LEDGER_FAILURES, batch->failures);
    count(ledger, COUNTER_LEDGER_EXPIRED, (int64_t)batch->expired_count);
    if (batch->commits > 0) {
        counter_set(ledger->counters, COUNTER_LEDGER_RECORDS, batch->records.count);
        histogram_observe(ledger->counters, HISTOGRAM_COMMIT, batch->commit_us);
    }
    if (batch->sync_us > 0) {
        histogram_observe(ledger->counters, HISTOGRAM_FSYNC, batch->sync_us);
    }
    if (batch->store_bytes > 0) {
        counter_set(ledger->counters, COUNTER_LEDGER_BYTES, batch->store_bytes);
    }
    if (batch->health != HEALTH_SAME) {
        bool is_failing = batch->health == HEALTH_FAILING;
        ledger->hooks.health(ledger->hooks.arg, is_failing,
                             is_failing ? batch->health_text.data : "");
    }
    if (batch->may_have_lost && ledger->hooks.may_have_lost != NULL) {
        ledger->hooks.may_have_lost(ledger->hooks.arg);
    }
    if (batch->commits > 0) { /* those of the first batch are counted when the ledger opens */
        int64_t command_count = (int64_t)batch->command_count;
        count(ledger, COUNTER_RESUMED, command_count + batch->command_waiters);
        count(ledger, COUNTER_IN_WORK, command_count);
        count(ledger, COUNTER_WAITING, batch->command_waiters);
    }
    for (size_t i = 0; i < batch->command_count; i++) {
        struct command *command = batch->commands[i];
        batch->commands[i] = NULL;
        ledger->hooks.resumed(ledger->hooks.arg, command);
    }
    struct ledger_request *request;
    while ((request = request_list_take(&batch->requests)) != NULL) {
        if (request->type->report != NULL) {
            request->type->report(ledger, batch, request);
        }
        ledger_request_free(request);
    }
    while ((request = request_list_take(&batch->overdue)) != NULL) {
        report_overdue(ledger, batch, request);
        ledger_request_free(request);
    }
    report_watches(ledger, batch); /* they were read after all that, and have its watches already */
    post_messages(ledger, batch, batch->message_count - batch->adopted_count, batch->adopted_count);
    if (batch->last_audit_seq > ledger->audited_seq) {
        ledger->audited_seq = batch->last_audit_seq;
        ledger->hooks.audited(ledger->hooks.arg, ledger->audited_seq);
    }
    committer_recycle(&ledger->committer, batch);
}

void ledger_woken(void *arg)
{
    struct ledger *ledger = arg;
    struct ledger_batch *batch = committer_take_reports(&ledger->committer);
    while (batch != NULL) {
        struct ledger_batch *next = batch->next;
        ledger_report(ledger, batch);
        batch = next;
    }
}
