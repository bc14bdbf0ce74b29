/*
 * Group commit. The thread takes what is queued, in order, as one transaction; what comes meanwhile
 * is the next one. While the store fails, a transaction is tried every RETRY_INTERVAL_US whether or
 * not anything is queued, so that the end of the trouble is noticed.
 */
#include "ledger_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <time.h>

#define BATCH_REQUESTS_MAX 512 /* bounds how long the first of a batch waits for the last */
#define RETRY_INTERVAL_US  500000
#define EXPIRE_INTERVAL_US 1000000
#define EXPIRE_AGAIN_US    100000 /* while there is more to expire than one transaction takes */
#define EXPIRE_ROWS_MAX    64
#define PROBE_META         "ledger.probed_at_ms"

/* ---- what to do next, under the mutex ---- */

static void wait_until(struct ledger *ledger, int64_t until_us)
{
    ledger->thread_until_us = until_us;
    if (until_us == INT64_MAX) {
        pthread_cond_wait(&ledger->queued, &ledger->mutex);
    } else {
        const struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                                       .tv_nsec = (long)(until_us % 1000000) * 1000};
        pthread_cond_timedwait(&ledger->queued, &ledger->mutex, &until);
    }
    ledger->thread_until_us = INT64_MIN;
}

/* When the next transaction is due where nothing more is queued; a time that is over for now. */
static int64_t next_due_us(const struct ledger *ledger)
{
    if (ledger->is_failing) {
        return ledger->retry_at_us;
    }
    if (ledger->is_closing) {
        return INT64_MIN;
    }
    bool has_expired = ledger->has_more_expired && ledger->expire_at_us < ledger->queue_due_us;
    return has_expired ? ledger->expire_at_us : ledger->queue_due_us;
}

static bool may_end(const struct ledger *ledger, int64_t now_us)
{
    return ledger->is_closing &&
           (ledger->queue.head == NULL || (ledger->is_failing && now_us >= ledger->close_by_us));
}

static struct ledger_batch *take_spare(struct ledger *ledger)
{
    struct ledger_batch *batch = ledger->spare;
    ledger->spare = NULL;
    return batch != NULL ? batch : mem_zalloc(1, sizeof *batch);
}

static struct ledger_batch *take_queued(struct ledger *ledger)
{
    struct ledger_batch *batch = take_spare(ledger);
    for (size_t i = 0; ledger->queue.head != NULL && i < BATCH_REQUESTS_MAX; i++) {
        request_list_append(&batch->requests, request_list_take(&ledger->queue));
        ledger->queue_count--;
    }
    ledger->queue_due_us = ledger->queue.head == NULL ? INT64_MAX : 0;
    return batch;
}

/* Waits for work; NULL to end. */
static struct ledger_batch *next_batch(struct ledger *ledger)
{
    struct ledger_batch *batch = NULL;
    pthread_mutex_lock(&ledger->mutex);
    for (;;) {
        int64_t now_us = clock_mono_us();
        int64_t due_us = next_due_us(ledger);
        if (may_end(ledger, now_us)) {
            break;
        }
        if (due_us <= now_us) {
            batch = take_queued(ledger);
            break;
        }
        bool is_bounded = ledger->is_closing && ledger->close_by_us < due_us;
        wait_until(ledger, is_bounded ? ledger->close_by_us : due_us);
    }
    pthread_mutex_unlock(&ledger->mutex);
    return batch;
}

static void report(struct ledger *ledger, struct ledger_batch *batch)
{
    batch->next = NULL;
    pthread_mutex_lock(&ledger->mutex);
    bool is_first = ledger->reports == NULL;
    if (is_first) {
        ledger->reports = batch;
    } else {
        ledger->last_report->next = batch;
    }
    ledger->last_report = batch;
    pthread_mutex_unlock(&ledger->mutex);
    if (is_first) {
        loop_wake_signal(ledger->wake);
    }
}

/* ---- a transaction ---- */

static enum status expire(struct ledger *ledger, struct ledger_batch *batch)
{
    int64_t now_us = clock_mono_us();
    if (now_us < ledger->expire_at_us) {
        return STATUS_OK;
    }
    enum status status =
        ledger->ops->expire(ledger->store, batch->kept_ms, EXPIRE_ROWS_MAX, &batch->expired_count);
    ledger->has_more_expired = status == STATUS_OK && batch->expired_count == EXPIRE_ROWS_MAX;
    ledger->expire_at_us =
        now_us + (ledger->has_more_expired ? EXPIRE_AGAIN_US : EXPIRE_INTERVAL_US);
    return status;
}

/* A step of the wall clock, or another run of the machine, is written down with what comes next. */
static enum status keep_time(struct ledger *ledger, struct ledger_batch *batch)
{
    const struct ledger_clock_reading now = ledger_clock_read();
    batch->now_ms = now.wall_ms;
    batch->kept_ms = ledger_clock_kept_ms(&ledger->clock, &now);
    batch->has_clock_news = ledger_clock_has_news(&ledger->clock, &now, &batch->clock_news);
    return batch->has_clock_news ? ledger_save_clock(ledger->ops, ledger->store, &batch->clock_news)
                                 : STATUS_OK;
}

/* Whether the store works again; an empty transaction would succeed without touching the disk. It
 * is one of its own, so that nothing is audited as long as the store fails. */
static enum status probe(struct ledger *ledger)
{
    enum status status = ledger->ops->begin(ledger->store);
    if (status == STATUS_OK) {
        status = ledger->ops->set_meta(ledger->store, PROBE_META, clock_wall_ms());
    }
    return status == STATUS_OK ? ledger->ops->commit(ledger->store) : status;
}

static enum status carry_out(struct ledger *ledger, struct ledger_batch *batch)
{
    ledger_audit_begin(ledger, clock_wall_ms());
    enum status status = ledger->is_failing ? probe(ledger) : STATUS_OK;
    if (status == STATUS_OK) {
        status = ledger->ops->begin(ledger->store);
    }
    if (status == STATUS_OK) {
        status = keep_time(ledger, batch);
    }
    for (struct ledger_request *request = batch->requests.head;
         request != NULL && status == STATUS_OK; request = request->next) {
        status = ledger_request_apply(ledger, batch, request);
        request->status = status;
    }
    if (status == STATUS_OK) {
        status = expire(ledger, batch);
    }
    if (status == STATUS_OK) {
        status = ledger_audit_write(ledger);
    }
    ledger_pass_commit(batch, false);
    return status == STATUS_OK ? ledger->ops->commit(ledger->store) : status;
}

static void succeeded(struct ledger *ledger, struct ledger_batch *batch)
{
    ledger_pass_commit(batch, true);
    ledger_audit_end(ledger, true);
    ledger->unfinished = batch->unfinished;
    batch->commits = 1;
    if (batch->has_clock_news) {
        ledger_clock_stored(&ledger->clock, &batch->clock_news);
    }
    if (ledger->is_failing) {
        ledger->is_failing = false;
        batch->health = HEALTH_WORKING;
    }
    report(ledger, batch);
}

/* ---- a transaction that failed ---- */

/* Returns how many are kept. */
static size_t sort_out(struct request_list *from, struct request_list *failed,
                       struct request_list *kept)
{
    struct ledger_request *request;
    size_t kept_count = 0;
    while ((request = request_list_take(from)) != NULL) {
        bool may_fail = ledger_request_may_fail(request);
        request->status = may_fail ? STATUS_STORE : STATUS_OK;
        request_list_append(may_fail ? failed : kept, request);
        kept_count += may_fail ? 0 : 1;
    }
    return kept_count;
}

/* What may fail is answered, also what had no room in the batch: nobody waits longer than until the
 * next attempt. The rest goes back to the head of the queue. */
static void put_back(struct ledger *ledger, struct ledger_batch *batch)
{
    struct request_list failed = {0};
    struct request_list kept = {0};
    pthread_mutex_lock(&ledger->mutex);
    size_t kept_count = sort_out(&batch->requests, &failed, &kept);
    kept_count += sort_out(&ledger->queue, &failed, &kept);
    ledger->queue = kept;
    ledger->queue_count = kept_count;
    ledger->queue_due_us = kept_count > 0 ? 0 : INT64_MAX;
    pthread_mutex_unlock(&ledger->mutex);
    batch->requests = failed;
}

static void failed(struct ledger *ledger, struct ledger_batch *batch)
{
    if (!ledger->is_failing) {
        batch->health = HEALTH_FAILING;
        buf_clear(&batch->health_text);
        buf_append_text(&batch->health_text, ledger_error(ledger));
    }
    ledger_audit_end(ledger, false);
    ledger->is_failing = true;
    ledger->ops->rollback(ledger->store);
    ledger->retry_at_us = clock_mono_us() + RETRY_INTERVAL_US;
    ledger_batch_reset(batch);
    batch->failures = 1;
    put_back(ledger, batch);
    report(ledger, batch);
}

void *ledger_thread_run(void *arg)
{
    struct ledger *ledger = arg;
    struct ledger_batch *batch;
    while ((batch = next_batch(ledger)) != NULL) {
        batch->unfinished = ledger->unfinished;
        if (carry_out(ledger, batch) == STATUS_OK) {
            succeeded(ledger, batch);
        } else {
            failed(ledger, batch);
        }
    }
    return NULL;
}
