#include "committer_queue.h"

#include "base/clock.h"
#include "base/mem.h"

#include <time.h>

#define QUEUE_COUNT_MAX    128 /* so many queued requests are committed without delay */
#define PACE_COUNT_MIN     2   /* so many claims, or outcomes, in a batch delay the next one */
#define PACE_US            1000
#define BATCH_REQUESTS_MIN 8
#define ALONE_US_MAX       1000000 /* a batch has no more requests than take so long one by one */
#define SPARE_BYTES_MAX    (256u << 10)
#define TIDY_IDLE_US       60000000 /* without any request */

/* ---- the next batch ---- */

static void wait_until(struct committer *committer, int64_t until_us)
{
    committer->thread_until_us = until_us;
    if (until_us == INT64_MAX) {
        pthread_cond_wait(&committer->queued, &committer->mutex);
    } else {
        const struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                                       .tv_nsec = (long)(until_us % 1000000) * 1000};
        pthread_cond_timedwait(&committer->queued, &committer->mutex, &until);
    }
    committer->thread_until_us = INT64_MIN;
}

/* When the queue is to be committed; a time in the past means now. */
static int64_t queue_due_us(const struct committer *committer)
{
    bool is_paced = committer->queue_count < QUEUE_COUNT_MAX &&
                    committer->queue_due_us < committer->pace_until_us;
    return is_paced ? committer->pace_until_us : committer->queue_due_us;
}

/* When the next batch is due; a time in the past means now. */
static int64_t next_due_us(const struct committer *committer)
{
    if (committer->is_failing) {
        return committer->retry_at_us;
    }
    if (committer->is_closing || committer->is_called) {
        return INT64_MIN;
    }
    int64_t due_us = queue_due_us(committer);
    int64_t tidy_at_us = committer->tidy_at_us + (committer->has_more_to_tidy ? 0 : TIDY_IDLE_US);
    return tidy_at_us < due_us ? tidy_at_us : due_us;
}

static struct ledger_batch *take_queued(struct committer *committer)
{
    struct ledger_batch *batch =
        committer->spare != NULL ? committer->spare : mem_zalloc(1, sizeof *batch);
    committer->spare = NULL;
    bool is_with_next = false;
    for (size_t i = 0; committer->queue.head != NULL && (i < committer->batch_max || is_with_next);
         i++) {
        struct ledger_request *request = request_list_take(&committer->queue);
        is_with_next = request->is_with_next;
        request_list_append(&batch->requests, request);
        committer->queue_count--;
    }
    committer->queue_due_us = committer->queue.head == NULL ? INT64_MAX : 0;
    return batch;
}

struct ledger_batch *committer_queue_next(struct committer *committer)
{
    struct ledger_batch *batch = NULL;
    pthread_mutex_lock(&committer->mutex);
    for (;;) {
        int64_t now_us = clock_mono_us();
        int64_t due_us = next_due_us(committer);
        bool is_due_to_close = committer->is_failing && now_us >= committer->close_by_us;
        if (committer->is_closing && (committer->queue.head == NULL || is_due_to_close)) {
            break;
        }
        if (due_us <= now_us) {
            if (committer->has_next_limits) {
                committer->limits = committer->next_limits;
                committer->has_next_limits = false;
            }
            committer->is_called = false;
            batch = take_queued(committer);
            break;
        }
        bool is_bounded = committer->is_closing && committer->close_by_us < due_us;
        wait_until(committer, is_bounded ? committer->close_by_us : due_us);
    }
    pthread_mutex_unlock(&committer->mutex);
    return batch;
}

bool committer_queue_wait(struct committer *committer, int64_t until_us)
{
    int64_t now_us;
    bool must_end = false;
    pthread_mutex_lock(&committer->mutex);
    while (!must_end && (now_us = clock_mono_us()) < until_us) {
        must_end = committer->is_closing && now_us >= committer->close_by_us;
        bool is_bounded = committer->is_closing && committer->close_by_us < until_us;
        if (!must_end) {
            wait_until(committer, is_bounded ? committer->close_by_us : until_us);
        }
    }
    pthread_mutex_unlock(&committer->mutex);
    return !must_end;
}

/* ---- what comes of a batch ---- */

/*
 * All requests of a batch are answered at its end. Where a store carries them out one by one, as
 * PostgreSQL does with duplicates, a large batch would take longer than a receiver waits: it would
 * give up, the broker would send all again, and that for ever.
 */
static void fit_batch(struct committer *committer, const struct ledger_batch *batch, size_t count)
{
    size_t fitting = committer->batch_max;
    if (batch->alone_count >= BATCH_REQUESTS_MIN) {
        size_t us = batch->alone_us > 0 ? (size_t)batch->alone_us : 1;
        fitting = batch->alone_count * ALONE_US_MAX / us;
    } else if (count >= committer->batch_max) {
        fitting *= 2;
    }
    fitting = fitting < BATCH_REQUESTS_MIN ? BATCH_REQUESTS_MIN : fitting;
    committer->batch_max = fitting < BATCH_REQUESTS_MAX ? fitting : BATCH_REQUESTS_MAX;
}

void committer_queue_pace(struct committer *committer, const struct ledger_batch *batch)
{
    size_t count = 0;
    size_t claim_count = 0;
    size_t outcome_count = 0;
    for (const struct ledger_request *request = batch->requests.head; request != NULL;
         request = request->next) {
        count++;
        claim_count += request->type->kind == REQUEST_CLAIM;
        outcome_count += request->type->kind == REQUEST_FINISH;
    }
    fit_batch(committer, batch, count);
    bool is_paced = claim_count >= PACE_COUNT_MIN || outcome_count >= PACE_COUNT_MIN;
    pthread_mutex_lock(&committer->mutex);
    committer->pace_until_us = is_paced ? clock_mono_us() + PACE_US : INT64_MIN;
    pthread_mutex_unlock(&committer->mutex);
}

void committer_queue_report(struct committer *committer, struct ledger_batch *batch)
{
    batch->next = NULL;
    pthread_mutex_lock(&committer->mutex);
    bool is_first = committer->reports == NULL;
    if (is_first) {
        committer->reports = batch;
    } else {
        committer->last_report->next = batch;
    }
    committer->last_report = batch;
    pthread_mutex_unlock(&committer->mutex);
    if (is_first) {
        loop_wake_signal(committer->wake);
    }
}

/* Returns the number of requests that will be tried again. */
static size_t sort_out(struct request_list *from, struct request_list *failed,
                       struct request_list *kept)
{
    struct ledger_request *request;
    size_t kept_count = 0;
    while ((request = request_list_take(from)) != NULL) {
        bool may_fail = request->type->may_fail;
        request->status = may_fail ? STATUS_STORE : STATUS_OK;
        request_list_append(may_fail ? failed : kept, request);
        kept_count += may_fail ? 0 : 1;
    }
    return kept_count;
}

void committer_queue_put_back(struct committer *committer, struct ledger_batch *batch)
{
    struct request_list failed = {0};
    struct request_list kept = {0};
    pthread_mutex_lock(&committer->mutex);
    size_t kept_count = sort_out(&batch->requests, &failed, &kept);
    kept_count += sort_out(&committer->queue, &failed, &kept);
    committer->queue = kept;
    committer->queue_count = kept_count;
    committer->queue_due_us = kept_count > 0 ? 0 : INT64_MAX;
    pthread_mutex_unlock(&committer->mutex);
    batch->requests = failed;
}

/* ---- called by the loop's thread ---- */

/* Takes the requests, which come into the same batch. */
static bool enqueue(struct committer *committer, struct request_list *requests, int64_t delay_us)
{
    int64_t due_us = clock_mono_us() + delay_us;
    struct ledger_request *request;
    pthread_mutex_lock(&committer->mutex);
    while ((request = request_list_take(requests)) != NULL) {
        request->is_with_next = requests->head != NULL;
        request_list_append(&committer->queue, request);
        committer->queue_count++;
    }
    if (committer->queue_count >= QUEUE_COUNT_MAX) {
        due_us = 0;
    }
    if (due_us < committer->queue_due_us) {
        committer->queue_due_us = due_us;
    }
    bool must_wake = queue_due_us(committer) < committer->thread_until_us;
    pthread_mutex_unlock(&committer->mutex);
    return must_wake;
}

bool committer_enqueue(struct committer *committer, struct ledger_request *request,
                       int64_t delay_us)
{
    struct request_list one = {0};
    request_list_append(&one, request);
    return enqueue(committer, &one, delay_us);
}

bool committer_enqueue_together(struct committer *committer, struct request_list *requests)
{
    return enqueue(committer, requests, 0);
}

void committer_wake(struct committer *committer)
{
    pthread_mutex_lock(&committer->mutex);
    bool must_wake = queue_due_us(committer) < committer->thread_until_us;
    pthread_mutex_unlock(&committer->mutex);
    if (must_wake) {
        pthread_cond_signal(&committer->queued);
    }
}

void committer_call(void *arg)
{
    struct committer *committer = arg;
    pthread_mutex_lock(&committer->mutex);
    committer->is_called = true;
    pthread_mutex_unlock(&committer->mutex);
    pthread_cond_signal(&committer->queued);
}

void committer_set_limits(struct committer *committer, const struct ledger_limits *limits)
{
    pthread_mutex_lock(&committer->mutex);
    committer->next_limits = *limits;
    committer->has_next_limits = true;
    pthread_mutex_unlock(&committer->mutex);
}

struct ledger_batch *committer_take_reports(struct committer *committer)
{
    pthread_mutex_lock(&committer->mutex);
    struct ledger_batch *batches = committer->reports;
    committer->reports = NULL;
    pthread_mutex_unlock(&committer->mutex);
    return batches;
}

void committer_recycle(struct committer *committer, struct ledger_batch *batch)
{
    ledger_batch_reset(batch);
    batch->commits = 0;
    batch->failures = 0;
    batch->health = HEALTH_SAME;
    pthread_mutex_lock(&committer->mutex);
    bool is_kept = committer->spare == NULL && batch->bytes.capacity <= SPARE_BYTES_MAX;
    if (is_kept) {
        committer->spare = batch;
    }
    pthread_mutex_unlock(&committer->mutex);
    if (!is_kept) {
        ledger_batch_free(batch);
    }
}
