/*
 * The part of the ledger that runs on the loop's thread. It makes requests, queues them for the
 * committer, and reports their results in the order of the queue. Counters and commands change only
 * here, after the commit.
 */
#include "ledger/ledger.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "committer.h"
#include "store.h"

#include <assert.h>
#include <stdlib.h>

#define DELAY_US 50000 /* of requests whose result nobody waits for */

struct ledger {
    struct committer committer;
    struct counters *counters;
    struct ledger_hooks hooks;
    struct loop_timer *wake_timer;
    struct ledger_batch *resumed; /* the first batch, which ledger_start() reports */
    int64_t last_id;              /* the last command's id */
    int64_t audited_seq;          /* the last Seq that was reported */
    bool is_started;
};

/* ---- requests ---- */

static const struct request_type TYPES[REQUEST_COUNT];

static struct ledger_request *request_new(enum request_kind kind, void *arg)
{
    struct ledger_request *request = mem_zalloc(1, sizeof *request);
    request->type = &TYPES[kind];
    request->arg = arg;
    return request;
}

static void wake_committer(void *arg)
{
    struct ledger *ledger = arg;
    committer_wake(&ledger->committer);
}

static void enqueue(struct ledger *ledger, struct ledger_request *request)
{
    bool must_wake = committer_enqueue(&ledger->committer, request, request->type->delay_us);
    if (must_wake && !loop_timer_is_running(ledger->wake_timer)) {
        loop_timer_start(ledger->wake_timer, 0);
    }
}

void ledger_claim(struct ledger *ledger, struct ledger_claim *claim_take, ledger_claimed_fn *done,
                  void *arg)
{
    struct ledger_request *request = request_new(REQUEST_CLAIM, arg);
    struct claim_request *claim = &request->claim;
    /* Ids are microseconds of the ledger's clock and always grow, so that they give the order of
     * arrival also among bridges that share a ledger. */
    const struct ledger_clock_reading now = ledger_clock_read();
    int64_t now_us = ledger_clock_kept_ms(&ledger->committer.clock, &now) * 1000;
    ledger->last_id = now_us > ledger->last_id ? now_us : ledger->last_id + 1;
    claim->ask = *claim_take;
    *claim_take = (struct ledger_claim){0};
    claim->done = done;
    claim->id = ledger->last_id;
    enqueue(ledger, request);
}

void ledger_post(struct ledger *ledger, struct slice message, bool is_dead_letter,
                 enum bridge_error refusal, struct buf *audit_take, ledger_done_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_POST, arg);
    buf_append(&request->post.message, message);
    if (audit_take != NULL) {
        request->post.audit = *audit_take;
        *audit_take = (struct buf){0};
    }
    request->post.is_dead_letter = is_dead_letter;
    request->post.refusal = refusal;
    request->post.done = done;
    enqueue(ledger, request);
}

static struct ledger_request *move_new(enum request_kind kind, struct command *command,
                                       enum move move, void *arg)
{
    struct ledger_request *request = request_new(kind, arg);
    request->move.command = command;
    request->move.id = command->id;
    request->move.state = state_after(command->state, move);
    request->move.attempts = command->attempts;
    request->move.not_before_ms = command->not_before_ms;
    request->move.crashes = command->crashes;
    return request;
}

void ledger_begin(struct ledger *ledger, struct command *command, ledger_done_fn *done, void *arg)
{
    struct ledger_request *request = move_new(REQUEST_BEGIN, command, MOVE_START, arg);
    request->move.done = done;
    history_put_start(&request->events, clock_wall_ms(), command->attempts);
    enqueue(ledger, request);
}

void ledger_pause(struct ledger *ledger, struct command *command, enum move move,
                  const struct outcome *answer)
{
    assert(move == MOVE_NOTHING_DONE || move == MOVE_NO_ANSWER);
    struct ledger_request *request = move_new(REQUEST_PAUSE, command, move, NULL);
    command->state = request->move.state;
    history_put_end(&request->events, clock_wall_ms(), answer);
    enqueue(ledger, request);
}

void ledger_finish(struct ledger *ledger, struct command *command_take,
                   const struct outcome *outcome, const struct outcome *answer)
{
    bool is_called = command_take->state == STATE_CALLING || command_take->state == STATE_RECALLING;
    assert(state_may(command_take->state, MOVE_FINISH));
    struct ledger_request *request = request_new(REQUEST_FINISH, NULL);
    request->finish.command = command_take;
    outcome_copy(&request->finish.outcome, outcome);
    struct ledger_clock_reading now = ledger_clock_read();
    request->finish.is_answer = answer == outcome;
    if (is_called && answer != outcome) {
        history_put_end(&request->events, now.wall_ms, answer);
    }
    request->finish.completed_at_ms = now.wall_ms;
    request->finish.kept_from_ms = ledger_clock_kept_ms(&ledger->committer.clock, &now);
    enqueue(ledger, request);
}

void ledger_retry(struct ledger *ledger, struct slice token, int64_t deadline_at_ms,
                  ledger_ordered_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_RETRY, arg);
    buf_append(&request->finish.order.token, token);
    request->finish.order.deadline_at_ms = deadline_at_ms;
    request->finish.order.done = done;
    enqueue(ledger, request);
}

void ledger_resolve(struct ledger *ledger, struct slice token, const struct outcome *outcome,
                    struct slice note, ledger_ordered_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_RESOLVE, arg);
    struct ledger_clock_reading now = ledger_clock_read();
    buf_append(&request->finish.order.token, token);
    buf_append(&request->finish.order.note, note);
    request->finish.order.done = done;
    outcome_copy(&request->finish.outcome, outcome);
    request->finish.completed_at_ms = now.wall_ms;
    request->finish.kept_from_ms = ledger_clock_kept_ms(&ledger->committer.clock, &now);
    enqueue(ledger, request);
}

void ledger_delivered(struct ledger *ledger, int64_t id, size_t length)
{
    struct ledger_request *request = request_new(REQUEST_DELIVERED, NULL);
    request->delivered.message = (struct outbox_row){.id = id, .length = length};
    history_put_acknowledged(&request->events, clock_wall_ms(), id);
    enqueue(ledger, request);
}

void ledger_replace(struct ledger *ledger, int64_t id, size_t length, struct slice dead_letter,
                    ledger_done_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_REPLACE, arg);
    buf_append(&request->post.message, dead_letter);
    request->post.replaced = (struct outbox_row){.id = id, .length = length};
    request->post.is_dead_letter = slice_is_present(dead_letter);
    history_put_undelivered(&request->events, clock_wall_ms(), id);
    request->post.done = done;
    enqueue(ledger, request);
}

void ledger_read_outbox(struct ledger *ledger, int64_t from_id, size_t limit,
                        ledger_message_fn *each, ledger_read_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_READ, arg);
    request->read = (struct read_request){from_id, limit, each, done};
    enqueue(ledger, request);
}

static void query(struct ledger *ledger, struct query_request query, ledger_records_fn *done,
                  void *arg)
{
    struct ledger_request *request = request_new(REQUEST_QUERY, arg);
    request->query = query;
    request->query.done = done;
    request->query.limit = query.limit < LEDGER_QUERY_MAX ? query.limit : (size_t)LEDGER_QUERY_MAX;
    enqueue(ledger, request);
}

void ledger_query_token(struct ledger *ledger, struct slice token, ledger_records_fn *done,
                        void *arg)
{
    struct query_request asked = {0};
    buf_append(&asked.token, token);
    query(ledger, asked, done, arg);
}

void ledger_query_unfinished(struct ledger *ledger, size_t limit, ledger_records_fn *done,
                             void *arg)
{
    query(ledger, (struct query_request){.list = STORE_LIST_UNFINISHED, .limit = limit}, done, arg);
}

void ledger_query_outcomes(struct ledger *ledger, size_t limit, ledger_records_fn *done, void *arg)
{
    query(ledger, (struct query_request){.list = STORE_LIST_OUTCOMES, .limit = limit}, done, arg);
}

void ledger_remember(struct ledger *ledger, const char *key, int64_t value)
{
    struct ledger_request *request = request_new(REQUEST_REMEMBER, NULL);
    request->remember.key = mem_strdup(key);
    request->remember.value = value;
    enqueue(ledger, request);
}

void ledger_forget(struct ledger *ledger, const char *key)
{
    struct ledger_request *request = request_new(REQUEST_REMEMBER, NULL);
    request->remember.key = mem_strdup(key);
    request->remember.is_forgotten = true;
    enqueue(ledger, request);
}

int64_t ledger_audit_seq(const struct ledger *ledger, struct audit_tip *out_tip)
{
    assert(!ledger->is_started);
    *out_tip = ledger->committer.tip;
    return ledger->committer.last_audit_seq;
}

void ledger_add_audit(struct ledger *ledger, const char *event, struct slice members,
                      const struct audit_tip *adopted)
{
    struct ledger_request *request = request_new(REQUEST_ADD_AUDIT, NULL);
    request->add_audit.event = event;
    buf_append(&request->add_audit.members, members);
    if (adopted != NULL) {
        request->add_audit.adopted = *adopted;
    }
    enqueue(ledger, request);
}

void ledger_read_audit(struct ledger *ledger, int64_t from_seq, size_t limit,
                       ledger_message_fn *each, ledger_read_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_READ_AUDIT, arg);
    request->read = (struct read_request){from_seq, limit, each, done};
    enqueue(ledger, request);
}

void ledger_audit_exported(struct ledger *ledger, const struct audit_tip *tip)
{
    struct ledger_request *request = request_new(REQUEST_EXPORTED, NULL);
    request->exported.tip = *tip;
    enqueue(ledger, request);
}

int64_t ledger_recall(struct ledger *ledger, const char *key, int64_t otherwise)
{
    assert(!ledger->is_started);
    int64_t value = 0;
    enum status status = ledger->committer.ops->get_meta(ledger->committer.store, key, &value);
    if (status == STATUS_STORE) {
        LOG_WARN("ledger_meta_unreadable", LOG_TEXT("key", key),
                 LOG_TEXT("error", committer_error(&ledger->committer)));
    }
    return status == STATUS_OK ? value : otherwise;
}

void ledger_recall_all(struct ledger *ledger, const char *prefix, ledger_meta_fn *each, void *arg)
{
    assert(!ledger->is_started);
    const struct committer *committer = &ledger->committer;
    if (committer->ops->each_meta(committer->store, prefix, each, arg) != STATUS_OK) {
        LOG_WARN("ledger_meta_unreadable", LOG_TEXT("key", prefix),
                 LOG_TEXT("error", committer_error(&ledger->committer)));
    }
}

/* ---- reports ---- */

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

static void report_messages(struct ledger *ledger, const struct ledger_batch *batch,
                            const struct ledger_request *request)
{
    count(ledger, COUNTER_OUTBOX_DEPTH, (int64_t)request->message_count);
    for (size_t i = 0; i < request->message_count; i++) {
        const struct batch_message *message = &batch->messages[request->first_message + i];
        count(ledger, COUNTER_OUTBOX_BYTES, (int64_t)message->text.length);
        ledger->hooks.posted(ledger->hooks.arg, message->id,
                             ledger_batch_text(batch, message->text));
    }
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
        } else {
            count(ledger, COUNTERS[claim->result], 1);
        }
        report_messages(ledger, batch, request);
        if (claim->result == CLAIM_NEW || claim->result == CLAIM_AGAIN) {
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

/* Both orders begin with commands that had their outcome: these count as resumed. */
static void report_retry(struct ledger *ledger, const struct ledger_batch *batch,
                         struct ledger_request *request)
{
    struct finish_request *finish = &request->finish;
    struct command *command = NULL;
    (void)batch;
    if (is_carried_out(request)) {
        count(ledger, COUNTER_RESUMED, 1 + waiters_of(finish));
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

static void report_finish(struct ledger *ledger, const struct ledger_batch *batch,
                          struct ledger_request *request)
{
    const struct finish_request *finish = &request->finish;
    int64_t waiter_count = waiters_of(finish);
    count(ledger, OUTCOME_COUNTERS[finish->outcome.status], 1);
    count(ledger, COUNTER_IN_WORK, -1);
    count(ledger, COUNTER_WAITING, -waiter_count);
    count(ledger, COUNTER_REPLAYED, waiter_count);
    report_messages(ledger, batch, request);
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
    (void)ledger;
    (void)batch;
    const struct ledger_record *const *records =
        (const struct ledger_record *const *)request->query.records;
    request->query.done(request->arg, request->status, records,
                        request->status == STATUS_OK ? request->query.count : 0);
}

static const struct request_type TYPES[REQUEST_COUNT] = {
    [REQUEST_CLAIM] = {REQUEST_CLAIM, 0, true, report_claim},
    [REQUEST_POST] = {REQUEST_POST, 0, true, report_post},
    [REQUEST_REPLACE] = {REQUEST_REPLACE, 0, true, report_replace},
    [REQUEST_BEGIN] = {REQUEST_BEGIN, 0, false, report_begin},
    [REQUEST_PAUSE] = {REQUEST_PAUSE, DELAY_US, false, NULL},
    [REQUEST_FINISH] = {REQUEST_FINISH, 0, false, report_finish},
    [REQUEST_DELIVERED] = {REQUEST_DELIVERED, DELAY_US, false, report_delivered},
    [REQUEST_READ] = {REQUEST_READ, 0, false, report_read},
    [REQUEST_REMEMBER] = {REQUEST_REMEMBER, DELAY_US, false, NULL},
    [REQUEST_ADD_AUDIT] = {REQUEST_ADD_AUDIT, 0, false, NULL},
    [REQUEST_READ_AUDIT] = {REQUEST_READ_AUDIT, 0, false, report_read},
    [REQUEST_EXPORTED] = {REQUEST_EXPORTED, DELAY_US, false, NULL},
    [REQUEST_QUERY] = {REQUEST_QUERY, 0, true, report_query},
    [REQUEST_RETRY] = {REQUEST_RETRY, 0, true, report_retry},
    [REQUEST_RESOLVE] = {REQUEST_RESOLVE, 0, true, report_resolve},
};

static void report_batch(struct ledger *ledger, struct ledger_batch *batch)
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
    if (batch->last_audit_seq > ledger->audited_seq) {
        ledger->audited_seq = batch->last_audit_seq;
        ledger->hooks.audited(ledger->hooks.arg, ledger->audited_seq);
    }
    committer_recycle(&ledger->committer, batch);
}

static void woken(void *arg)
{
    struct ledger *ledger = arg;
    struct ledger_batch *batch = committer_take_reports(&ledger->committer);
    while (batch != NULL) {
        struct ledger_batch *next = batch->next;
        report_batch(ledger, batch);
        batch = next;
    }
}

/* ---- opening, starting, closing ---- */

static enum status load(struct ledger *ledger, struct buf *out_why)
{
    struct store_summary summary;
    enum status status = committer_begin(&ledger->committer, &ledger->resumed, &summary);
    if (status != STATUS_OK) {
        buf_printf(out_why, "the ledger cannot be used: %s", committer_error(&ledger->committer));
        return status;
    }
    int64_t unfinished = (int64_t)ledger->resumed->command_count;
    ledger->last_id = summary.last_id;
    ledger->audited_seq = ledger->committer.last_audit_seq;
    counter_add(ledger->counters, COUNTER_RESUMED, unfinished + summary.waiting);
    counter_set(ledger->counters, COUNTER_IN_WORK, unfinished);
    counter_set(ledger->counters, COUNTER_WAITING, summary.waiting);
    counter_set(ledger->counters, COUNTER_OUTBOX_DEPTH, summary.messages);
    counter_set(ledger->counters, COUNTER_OUTBOX_BYTES, summary.message_bytes);
    counter_set(ledger->counters, COUNTER_LEDGER_BYTES, summary.bytes);
    counter_set(ledger->counters, COUNTER_LEDGER_RECORDS, ledger->committer.records.count);
    return STATUS_OK;
}

static void free_ledger(struct ledger *ledger)
{
    ledger_batch_free(ledger->resumed);
    committer_fini(&ledger->committer);
    loop_wake_free(ledger->committer.wake);
    loop_timer_free(ledger->wake_timer);
    free(ledger);
}

static struct ledger_limits limits_of(const struct ledger_options *options)
{
    return (struct ledger_limits){
        .success_ttl_s = options->success_ttl_s,
        .failure_ttl_s = options->failure_ttl_s,
        .pending_max = options->pending_max,
        .waiters_max = options->waiters_max,
        .replies = options->replies,
        .routes = options->routes,
        .route_count = options->route_count,
        .is_audited = options->is_audited,
        .audit_rows_max = options->audit_rows_max,
    };
}

void ledger_change(struct ledger *ledger, const struct ledger_options *options)
{
    const struct ledger_limits limits = limits_of(options);
    committer_set_limits(&ledger->committer, &limits);
}

static struct ledger *ledger_new(struct loop *loop, const struct ledger_options *options,
                                 const struct ledger_hooks *hooks)
{
    struct ledger *ledger = mem_zalloc(1, sizeof *ledger);
    ledger->counters = options->counters;
    ledger->hooks = *hooks;
    ledger->wake_timer = loop_timer_new(loop, wake_committer, ledger);
    committer_init(&ledger->committer);
    ledger->committer.wake = loop_wake_new(loop, woken, ledger);
    ledger->committer.limits = limits_of(options);
    return ledger;
}

enum status ledger_open(struct loop *loop, const struct ledger_options *options,
                        const struct ledger_hooks *hooks, struct ledger **out_ledger,
                        struct buf *out_why)
{
    const struct store_ops *ops = NULL;
    const char *location = NULL;
    struct store *store = NULL;
    enum status status = store_choose(options->store, &ops, &location, out_why);
    if (status == STATUS_OK) {
        status = ops->open(location, options->is_full, &store, out_why);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct ledger *ledger = ledger_new(loop, options, hooks);
    ledger->committer.ops = ops;
    ledger->committer.store = store;
    status = load(ledger, out_why);
    if (status != STATUS_OK) {
        free_ledger(ledger);
        return status;
    }
    *out_ledger = ledger;
    return STATUS_OK;
}

void ledger_start(struct ledger *ledger)
{
    assert(!ledger->is_started);
    ledger->is_started = true;
    report_batch(ledger, ledger->resumed);
    ledger->resumed = NULL;
    committer_start(&ledger->committer);
}

void ledger_close(struct ledger *ledger, int64_t timeout_ms)
{
    if (ledger == NULL) {
        return;
    }
    if (ledger->is_started) {
        committer_stop(&ledger->committer, timeout_ms);
    }
    free_ledger(ledger);
}
