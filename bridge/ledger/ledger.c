/*
 * The loop's side: requests are made and queued, and what their transactions came to is reported in
 * the order of the queue. Counters and commands change only here, once the transaction stands.
 */
#include "ledger/ledger.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger_private.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LAZY_US         50000
#define FLOW_US         400 /* a claim so soon after the last one was reported: they flow */
#define QUEUE_COUNT_MAX 256 /* so many are committed whatever their patience */
#define SPARE_BYTES_MAX (256u << 10)

/* ---- requests ---- */

static struct ledger_request *request_new(enum request_kind kind, void *arg)
{
    struct ledger_request *request = mem_zalloc(1, sizeof *request);
    request->kind = kind;
    request->arg = arg;
    return request;
}

/* How long a request may wait for company. What somebody waits for does not wait; an outcome does
 * for a moment while one claim follows the other, since the next one will bring a commit along. */
static int64_t max_delay_us(const struct ledger *ledger, const struct ledger_request *request)
{
    switch (request->kind) {
    case REQUEST_PAUSE:
    case REQUEST_DELIVERED:
    case REQUEST_REMEMBER:
        return LAZY_US;
    case REQUEST_FINISH:
        return ledger->is_flowing ? FLOW_US : 0;
    case REQUEST_CLAIM:
    case REQUEST_POST:
    case REQUEST_BEGIN:
    case REQUEST_READ:
    case REQUEST_REOPEN:
        break;
    }
    return 0;
}

/* A thread that would sleep longer than the queue may wait is woken, once for all requests of a
 * turn. */
static void turn_over(void *arg)
{
    struct ledger *ledger = arg;
    pthread_mutex_lock(&ledger->mutex);
    bool must_wake = ledger->queue_due_us < ledger->thread_until_us;
    pthread_mutex_unlock(&ledger->mutex);
    if (must_wake) {
        pthread_cond_signal(&ledger->queued);
    }
}

static void enqueue(struct ledger *ledger, struct ledger_request *request)
{
    int64_t due_us = clock_mono_us() + max_delay_us(ledger, request);
    pthread_mutex_lock(&ledger->mutex);
    request_list_append(&ledger->queue, request);
    ledger->queue_count++;
    if (ledger->queue_count >= QUEUE_COUNT_MAX) {
        due_us = 0;
    }
    if (due_us < ledger->queue_due_us) {
        ledger->queue_due_us = due_us;
    }
    bool must_wake = ledger->queue_due_us < ledger->thread_until_us;
    pthread_mutex_unlock(&ledger->mutex);
    if (must_wake && !loop_timer_is_running(ledger->turn_timer)) {
        loop_timer_start(ledger->turn_timer, 0);
    }
}

void ledger_claim(struct ledger *ledger, struct ledger_claim *claim_take, ledger_claimed_fn *done,
                  void *arg)
{
    struct ledger_request *request = request_new(REQUEST_CLAIM, arg);
    struct claim_request *claim = &request->claim;
    claim->ask = *claim_take;
    *claim_take = (struct ledger_claim){0};
    claim->done = done;
    ledger->is_flowing = clock_mono_us() - ledger->claim_reported_us < FLOW_US;
    enqueue(ledger, request);
}

void ledger_post(struct ledger *ledger, struct slice message, bool is_dead_letter,
                 struct buf *audit_take, ledger_done_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_POST, arg);
    buf_append(&request->post.message, message);
    if (audit_take != NULL) {
        request->post.audit = *audit_take;
        *audit_take = (struct buf){0};
    }
    request->post.is_dead_letter = is_dead_letter;
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
    request->move.charges = command->charges;
    return request;
}

void ledger_begin(struct ledger *ledger, struct command *command, ledger_done_fn *done, void *arg)
{
    struct ledger_request *request = move_new(REQUEST_BEGIN, command, MOVE_START, arg);
    request->move.done = done;
    enqueue(ledger, request);
}

void ledger_pause(struct ledger *ledger, struct command *command, enum move move)
{
    assert(move == MOVE_NOTHING_DONE || move == MOVE_NO_ANSWER);
    struct ledger_request *request = move_new(REQUEST_PAUSE, command, move, NULL);
    command->state = request->move.state;
    enqueue(ledger, request);
}

void ledger_finish(struct ledger *ledger, struct command *command_take,
                   const struct outcome *outcome)
{
    assert(state_may(command_take->state, MOVE_FINISH));
    struct ledger_request *request = request_new(REQUEST_FINISH, NULL);
    request->finish.command = command_take;
    outcome_copy(&request->finish.outcome, outcome);
    struct ledger_clock_reading now = ledger_clock_read();
    request->finish.completed_at_ms = now.wall_ms;
    request->finish.kept_from_ms = ledger_clock_kept_ms(&ledger->clock, &now);
    enqueue(ledger, request);
}

void ledger_delivered(struct ledger *ledger, int64_t id)
{
    struct ledger_request *request = request_new(REQUEST_DELIVERED, NULL);
    request->delivered.id = id;
    enqueue(ledger, request);
}

void ledger_read_outbox(struct ledger *ledger, int64_t from_id, size_t limit,
                        ledger_message_fn *each, ledger_read_fn *done, void *arg)
{
    struct ledger_request *request = request_new(REQUEST_READ, arg);
    request->read = (struct read_request){from_id, limit, each, done};
    enqueue(ledger, request);
}

void ledger_remember(struct ledger *ledger, const char *key, int64_t value)
{
    struct ledger_request *request = request_new(REQUEST_REMEMBER, NULL);
    request->remember.key = mem_strdup(key);
    request->remember.value = value;
    enqueue(ledger, request);
}

void ledger_reopen_audit(struct ledger *ledger)
{
    atomic_store(&ledger->wants_audit_reopen, true);
    enqueue(ledger, request_new(REQUEST_REOPEN, NULL));
}

int64_t ledger_recall(struct ledger *ledger, const char *key, int64_t otherwise)
{
    assert(!ledger->is_started);
    int64_t value = 0;
    enum status status = ledger->ops->get_meta(ledger->store, key, &value);
    if (status == STATUS_STORE) {
        LOG_WARN("ledger_meta_unreadable", LOG_TEXT("key", key),
                 LOG_TEXT("error", ledger->ops->error(ledger->store)));
    }
    return status == STATUS_OK ? value : otherwise;
}

const char *ledger_library_version(void)
{
    return store_sqlite_version();
}

/* ---- reports ---- */

static void count(struct ledger *ledger, enum counter counter, int64_t amount)
{
    counter_add(ledger->options.counters, counter, amount);
}

static void report_messages(struct ledger *ledger, const struct ledger_batch *batch,
                            const struct ledger_request *request)
{
    count(ledger, COUNTER_OUTBOX_DEPTH, (int64_t)request->message_count);
    for (size_t i = 0; i < request->message_count; i++) {
        const struct batch_message *message = &batch->messages[request->first_message + i];
        ledger->hooks.posted(ledger->hooks.arg, message->id, ledger_batch_message(batch, message));
    }
}

static void count_claim(struct ledger *ledger, enum claim_result result)
{
    static const enum counter COUNTERS[] = {
        [CLAIM_NEW] = COUNTER_IN_WORK,      [CLAIM_AGAIN] = COUNTER_IN_WORK,
        [CLAIM_WAITS] = COUNTER_WAITING,    [CLAIM_REPLAYED] = COUNTER_REPLAYED,
        [CLAIM_MISMATCH] = COUNTER_REFUSED, [CLAIM_REFUSED] = COUNTER_REFUSED,
    };
    count(ledger, COUNTERS[result], 1);
}

static void report_claim(struct ledger *ledger, const struct ledger_batch *batch,
                         struct ledger_request *request)
{
    struct claim_request *claim = &request->claim;
    struct command *command = NULL;
    if (request->status == STATUS_OK) {
        count_claim(ledger, claim->result);
        report_messages(ledger, batch, request);
        if (claim->result == CLAIM_NEW || claim->result == CLAIM_AGAIN) {
            command = claim->ask.command;
            command->id = claim->id;
            command->state = claim->state;
            command->attempts = claim->ask.is_called_at_once ? 1 : 0;
            claim->ask.command = NULL;
        }
    }
    ledger->claim_reported_us = clock_mono_us();
    claim->done(request->arg, request->status, claim->result, command);
}

static void report_post(struct ledger *ledger, const struct ledger_batch *batch,
                        struct ledger_request *request)
{
    if (request->status == STATUS_OK) {
        count(ledger, COUNTER_REFUSED, 1);
        count(ledger, COUNTER_DEAD_LETTERS, request->post.is_dead_letter ? 1 : 0);
        report_messages(ledger, batch, request);
    }
    request->post.done(request->arg, request->status);
}

static void report_finish(struct ledger *ledger, const struct ledger_batch *batch,
                          struct ledger_request *request)
{
    static const enum counter COUNTERS[] = {
        [OUTCOME_SUCCEEDED] = COUNTER_SUCCEEDED,
        [OUTCOME_FAILED] = COUNTER_FAILED,
        [OUTCOME_UNKNOWN] = COUNTER_UNKNOWN,
    };
    const struct finish_request *finish = &request->finish;
    int64_t waiter_count = finish->reply_to_count > 0 ? (int64_t)finish->reply_to_count - 1 : 0;
    count(ledger, COUNTERS[finish->outcome.status], 1);
    count(ledger, COUNTER_IN_WORK, -1);
    count(ledger, COUNTER_WAITING, -waiter_count);
    count(ledger, COUNTER_REPLAYED, waiter_count);
    report_messages(ledger, batch, request);
}

static void report_read(struct ledger_batch *batch, struct ledger_request *request)
{
    for (size_t i = 0; i < request->message_count; i++) {
        const struct batch_message *message = &batch->messages[request->first_message + i];
        request->read.each(request->arg, message->id, ledger_batch_message(batch, message));
    }
    request->read.done(request->arg, request->message_count);
}

static void report_request(struct ledger *ledger, struct ledger_batch *batch,
                           struct ledger_request *request)
{
    switch (request->kind) {
    case REQUEST_CLAIM:
        report_claim(ledger, batch, request);
        break;
    case REQUEST_POST:
        report_post(ledger, batch, request);
        break;
    case REQUEST_BEGIN:
        request->move.command->state = request->move.state;
        request->move.done(request->arg, STATUS_OK);
        break;
    case REQUEST_FINISH:
        report_finish(ledger, batch, request);
        break;
    case REQUEST_DELIVERED:
        count(ledger, COUNTER_PUBLISHED, request->delivered.was_there ? 1 : 0);
        count(ledger, COUNTER_OUTBOX_DEPTH, request->delivered.was_there ? -1 : 0);
        break;
    case REQUEST_READ:
        report_read(batch, request);
        break;
    case REQUEST_PAUSE:
    case REQUEST_REMEMBER:
    case REQUEST_REOPEN:
        break;
    }
}

static void recycle(struct ledger *ledger, struct ledger_batch *batch)
{
    ledger_batch_reset(batch);
    batch->commits = 0;
    batch->failures = 0;
    batch->health = HEALTH_SAME;
    pthread_mutex_lock(&ledger->mutex);
    bool is_kept = ledger->spare == NULL && batch->bytes.capacity <= SPARE_BYTES_MAX;
    if (is_kept) {
        ledger->spare = batch;
    }
    pthread_mutex_unlock(&ledger->mutex);
    if (!is_kept) {
        ledger_batch_free(batch);
    }
}

static void report_batch(struct ledger *ledger, struct ledger_batch *batch)
{
    count(ledger, COUNTER_LEDGER_COMMITS, batch->commits);
    count(ledger, COUNTER_LEDGER_FAILURES, batch->failures);
    count(ledger, COUNTER_LEDGER_EXPIRED, (int64_t)batch->expired_count);
    if (batch->health != HEALTH_SAME) {
        bool is_failing = batch->health == HEALTH_FAILING;
        ledger->hooks.health(ledger->hooks.arg, is_failing,
                             is_failing ? batch->health_text.data : "");
    }
    struct ledger_request *request;
    while ((request = request_list_take(&batch->requests)) != NULL) {
        report_request(ledger, batch, request);
        ledger_request_free(request);
    }
    recycle(ledger, batch);
}

static struct ledger_batch *take_reports(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->mutex);
    struct ledger_batch *batches = ledger->reports;
    ledger->reports = NULL;
    pthread_mutex_unlock(&ledger->mutex);
    return batches;
}

static void woken(void *arg)
{
    struct ledger *ledger = arg;
    struct ledger_batch *batch = take_reports(ledger);
    while (batch != NULL) {
        struct ledger_batch *next = batch->next;
        report_batch(ledger, batch);
        batch = next;
    }
}

/* ---- opening, starting, closing ---- */

static const struct route *route_of_slice(const struct ledger_options *options, struct slice name)
{
    char *text = mem_dup(name.data, name.length);
    const struct route *route = route_of_name(options->routes, options->route_count, text);
    free(text);
    return route;
}

static void resume(void *arg, const struct store_row *row)
{
    struct ledger *ledger = arg;
    struct command *command =
        command_of_record(route_of_slice(&ledger->options, row->route), row->action, row->region,
                          row->group, row->token, row->one_shot);
    command->id = row->id;
    command->state = row->state;
    command->received_at_ms = row->received_at_ms;
    command->deadline_at_ms = row->deadline_at_ms;
    command->attempts = row->attempts;
    command->not_before_ms = row->not_before_ms;
    command->charges = row->charges;
    if ((ledger->resumed_count & (ledger->resumed_count - 1)) == 0) {
        size_t capacity = ledger->resumed_count == 0 ? 1 : ledger->resumed_count * 2;
        ledger->resumed = mem_realloc(ledger->resumed, capacity * sizeof *ledger->resumed);
    }
    ledger->resumed[ledger->resumed_count++].command = command;
}

static enum status start_clock(struct ledger *ledger)
{
    struct ledger_clock_meta meta;
    enum status status = ledger_load_clock(ledger->ops, ledger->store, &meta);
    if (status == STATUS_OK) {
        struct ledger_clock_reading now = ledger_clock_read();
        ledger_clock_init(&ledger->clock, &meta, ledger_clock_boot(), &now);
    }
    return status;
}

static enum status load(struct ledger *ledger, struct buf *out_why)
{
    struct counters *counters = ledger->options.counters;
    int64_t waiting = 0;
    int64_t messages = 0;
    enum status status = ledger_reset_calls(ledger);
    if (status == STATUS_OK) {
        status = ledger->ops->each_unfinished(ledger->store, resume, ledger);
    }
    if (status == STATUS_OK) {
        status = ledger->ops->count(ledger->store, &waiting, &messages);
    }
    if (status == STATUS_OK) {
        status = start_clock(ledger);
    }
    if (status != STATUS_OK) {
        buf_printf(out_why, "the ledger cannot be used: %s", ledger_error(ledger));
        return status;
    }
    ledger->unfinished = (int64_t)ledger->resumed_count;
    counter_add(counters, COUNTER_RESUMED, ledger->unfinished + waiting);
    counter_set(counters, COUNTER_IN_WORK, ledger->unfinished);
    counter_set(counters, COUNTER_WAITING, waiting);
    counter_set(counters, COUNTER_OUTBOX_DEPTH, messages);
    return STATUS_OK;
}

static void init_sync(struct ledger *ledger)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&ledger->queued, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&ledger->mutex, NULL);
}

static void free_ledger(struct ledger *ledger)
{
    struct ledger_request *request;
    while ((request = request_list_take(&ledger->queue)) != NULL) {
        ledger_request_free(request);
    }
    while (ledger->reports != NULL) {
        struct ledger_batch *next = ledger->reports->next;
        ledger_batch_free(ledger->reports);
        ledger->reports = next;
    }
    ledger_batch_free(ledger->spare);
    for (size_t i = 0; i < ledger->resumed_count; i++) {
        command_free(ledger->resumed[i].command);
    }
    free(ledger->resumed);
    audit_close(ledger->audit);
    ledger->ops->close(ledger->store);
    loop_wake_free(ledger->wake);
    loop_timer_free(ledger->turn_timer);
    pthread_cond_destroy(&ledger->queued);
    pthread_mutex_destroy(&ledger->mutex);
    free(ledger);
}

enum status ledger_open(struct loop *loop, const struct ledger_options *options,
                        const struct ledger_hooks *hooks, struct ledger **out_ledger,
                        struct buf *out_why)
{
    const struct store_ops *ops = NULL;
    const char *location = NULL;
    struct store *store = NULL;
    enum status status = ledger_choose_store(options->store, &ops, &location, out_why);
    if (status == STATUS_OK) {
        status = ops->open(location, options->is_full, &store, out_why);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct ledger *ledger = mem_zalloc(1, sizeof *ledger);
    ledger->ops = ops;
    ledger->store = store;
    ledger->options = *options;
    ledger->hooks = *hooks;
    init_sync(ledger);
    ledger->queue_due_us = INT64_MAX;
    ledger->thread_until_us = INT64_MIN;
    ledger->claim_reported_us = INT64_MIN / 2; /* none yet */
    ledger->wake = loop_wake_new(loop, woken, ledger);
    ledger->turn_timer = loop_timer_new(loop, turn_over, ledger);
    status = ledger_audit_open(ledger, out_why);
    if (status == STATUS_OK) {
        status = load(ledger, out_why);
    }
    if (status != STATUS_OK) {
        free_ledger(ledger);
        return status;
    }
    *out_ledger = ledger;
    return STATUS_OK;
}

/* Signals are the loop's business. */
static void start_thread(struct ledger *ledger)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&ledger->thread, NULL, ledger_thread_run, ledger);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        abort();
    }
}

void ledger_start(struct ledger *ledger)
{
    assert(!ledger->is_started);
    ledger->is_started = true;
    for (size_t i = 0; i < ledger->resumed_count; i++) {
        ledger->hooks.resumed(ledger->hooks.arg, ledger->resumed[i].command);
    }
    free(ledger->resumed);
    ledger->resumed = NULL;
    ledger->resumed_count = 0;
    start_thread(ledger);
}

void ledger_close(struct ledger *ledger, int64_t timeout_ms)
{
    if (ledger == NULL) {
        return;
    }
    if (ledger->is_started) {
        pthread_mutex_lock(&ledger->mutex);
        ledger->is_closing = true;
        ledger->close_by_us = clock_mono_us() + timeout_ms * 1000;
        pthread_mutex_unlock(&ledger->mutex);
        pthread_cond_signal(&ledger->queued);
        pthread_join(ledger->thread, NULL);
        if (ledger->queue.head != NULL) {
            LOG_WARN("ledger_closed_behind", LOG_INT("requests", ledger->queue_count),
                     LOG_TEXT("error", ledger_error(ledger)),
                     LOG_TEXT("meaning", "no acknowledged command is lost: what could not be "
                                         "written is found out again at the next start, with the "
                                         "same tokens; replies may come twice"));
        }
    }
    ledger_note_close(ledger);
    free_ledger(ledger);
}
