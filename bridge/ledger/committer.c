#include "committer.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "committer_queue.h"

#include <signal.h>
#include <stdlib.h>

#define RETRY_INTERVAL_US 500000
#define TIDY_INTERVAL_US  1000000
#define TIDY_AGAIN_US     100000 /* while there is more to tidy than one batch does */
#define EXPIRE_ROWS_MAX   64
#define PROBE_META        "ledger.probed_at_ms"

/* ---- a batch ---- */

#ifdef BRIDGE_CRASH_POINTS
/* Passes the crash points around a commit, for each claim and each outcome. */
static void pass_commit(const struct ledger_batch *batch, bool is_committed)
{
    const struct ledger_request *request = batch->requests.head;
    for (; request != NULL; request = request->next) {
        if (request->type->kind == REQUEST_CLAIM) {
            crash_point_pass(is_committed ? CRASH_AFTER_CLAIM_COMMIT : CRASH_BEFORE_CLAIM_COMMIT,
                             slice_text(request->claim.ask.command->token));
        } else if (request->type->kind == REQUEST_FINISH) {
            crash_point_pass(is_committed ? CRASH_AFTER_OUTCOME_COMMIT
                                          : CRASH_BEFORE_OUTCOME_COMMIT,
                             slice_text(request->finish.command->token));
            if (request->finish.watch.ends_at_ms != 0) {
                crash_point_pass(is_committed ? CRASH_AFTER_WATCH_COMMIT
                                              : CRASH_BEFORE_WATCH_COMMIT,
                                 slice_text(request->finish.command->token));
            }
        } else if (request->type->kind == REQUEST_RETRY) {
            crash_point_pass(is_committed ? CRASH_AFTER_RETRY_COMMIT : CRASH_BEFORE_RETRY_COMMIT,
                             buf_slice(&request->finish.order.token));
        } else if (request->type->kind == REQUEST_RESOLVE) {
            crash_point_pass(is_committed ? CRASH_AFTER_RESOLVE_COMMIT
                                          : CRASH_BEFORE_RESOLVE_COMMIT,
                             buf_slice(&request->finish.order.token));
        }
    }
}

static enum status pass_before_commit(struct ledger_batch *batch)
{
    pass_commit(batch, false);
    return STATUS_OK;
}
#else
#define pass_commit(batch, is_committed) ((void)0)
#define pass_before_commit               NULL
#endif

/* A shared store has its own wall clock, which is the same for all bridges. */
static struct ledger_clock_reading read_clock(const struct committer *committer)
{
    struct ledger_clock_reading now = ledger_clock_read();
    if (committer->ops->clock_ms != NULL) {
        now.wall_ms = committer->ops->clock_ms(committer->store, now.since_boot_ms);
    }
    return now;
}

/* A changed clock (the wall clock was set, or the machine was restarted) is stored with the batch.
 */
static bool put_time(struct committer *committer, struct ledger_batch *batch,
                     struct ledger_clock_meta *out_news)
{
    const struct ledger_clock_reading now = read_clock(committer);
    batch->now_ms = clock_wall_ms();
    batch->kept_ms = ledger_clock_kept_ms(&committer->clock, &now);
    bool has_news = ledger_clock_has_news(&committer->clock, &now, out_news);
    if (has_news) {
        ledger_clock_save(out_news, batch);
    }
    return has_news;
}

/* Checks whether the store works again by writing a value: an empty transaction succeeds on a full
 * disk as well. */
static enum status probe(struct committer *committer)
{
    struct ledger_batch batch = {.limits = &committer->limits};
    ledger_batch_add_meta(&batch, PROBE_META, clock_wall_ms());
    return committer->ops->carry_out(committer->store, &batch);
}

/* With too many stored audit records, requests that may fail are refused, so that nothing is done
 * without a record. Removes these requests from the batch and returns them. */
static struct request_list take_refused(const struct committer *committer,
                                        struct ledger_batch *batch)
{
    struct request_list refused = {0};
    struct request_list all = batch->requests;
    struct ledger_request *request;
    if (!committer->limits.is_audited ||
        committer->last_audit_seq - committer->exported_seq < committer->limits.audit_rows_max) {
        return refused;
    }
    batch->requests = (struct request_list){0};
    while ((request = request_list_take(&all)) != NULL) {
        bool is_refused = request->type->needs_audit;
        request->status = is_refused ? STATUS_STORE : STATUS_OK;
        request_list_append(is_refused ? &refused : &batch->requests, request);
    }
    return refused;
}

/* Reports the batch, and the failure of the store if it is new. */
static void report_failing(struct committer *committer, struct ledger_batch *batch)
{
    if (!committer->is_failing) {
        batch->health = HEALTH_FAILING;
        buf_clear(&batch->health_text);
        buf_append_text(&batch->health_text, committer_error(committer));
    }
    committer->is_failing = true;
    batch->failures = 1;
    committer_queue_report(committer, batch);
}

/* While the store does not know whether the batch was committed, none of its requests is answered
 * and nothing else is committed. */
static enum status carry_out_until_known(struct committer *committer, struct ledger_batch *batch)
{
    enum status status;
    while ((status = committer->ops->carry_out(committer->store, batch)) == STATUS_UNAVAILABLE) {
        report_failing(committer, mem_zalloc(1, sizeof *batch));
        if (!committer_queue_wait(committer, clock_mono_us() + RETRY_INTERVAL_US)) {
            break;
        }
    }
    return status;
}

/*
 * Has the batch delete expired rows and give free pages back: a little from time to time, and while
 * more has expired, also a row for each request. A command needs several requests, so more rows go
 * than come.
 */
static void put_tidying(const struct committer *committer, struct ledger_batch *batch,
                        int64_t now_us)
{
    bool is_due = now_us >= committer->tidy_at_us;
    batch->expire_max = is_due ? EXPIRE_ROWS_MAX : 0;
    batch->may_shrink = is_due;
    if (committer->has_more_expired) {
        const struct ledger_request *request = batch->requests.head;
        for (; request != NULL; request = request->next) {
            batch->expire_max++;
        }
    }
}

static void tidied(struct committer *committer, const struct ledger_batch *batch, int64_t now_us)
{
    committer->has_more_expired = batch->expired_count == batch->expire_max;
    if (batch->may_shrink) {
        committer->has_more_to_tidy = committer->has_more_expired || batch->has_more_free;
        committer->tidy_at_us =
            now_us + (committer->has_more_to_tidy ? TIDY_AGAIN_US : TIDY_INTERVAL_US);
    }
}

static enum status carry_out(struct committer *committer, struct ledger_batch *batch)
{
    struct ledger_clock_meta clock_news;
    int64_t now_us = clock_mono_us();
    batch->limits = &committer->limits;
    batch->before_commit = pass_before_commit;
    batch->unfinished = committer->unfinished;
    batch->watches = committer->watches;
    batch->next_message_id = committer->next_message_id;
    batch->last_audit_seq = committer->last_audit_seq;
    batch->exported_seq = committer->exported_seq;
    batch->records = committer->records;
    batch->records_stored = committer->records_stored;
    put_tidying(committer, batch, now_us);
    bool has_clock_news = put_time(committer, batch, &clock_news);
    struct request_list refused = take_refused(committer, batch);
    struct ledger_request *request;
    enum status status = committer->is_failing ? probe(committer) : STATUS_OK;
    if (status == STATUS_OK) {
        now_us = clock_mono_us();
        status = carry_out_until_known(committer, batch);
        batch->commit_us = clock_mono_us() - now_us;
    }
    while ((request = request_list_take(&refused)) != NULL) {
        request_list_append(&batch->requests, request);
    }
    committer->next_message_id = batch->next_message_id;
    if (status == STATUS_OK && batch->expire_max > 0) {
        tidied(committer, batch, now_us);
    }
    if (status == STATUS_OK && has_clock_news) {
        ledger_clock_stored(&committer->clock, &clock_news);
    }
    return status;
}

static void succeeded(struct committer *committer, struct ledger_batch *batch)
{
    pass_commit(batch, true);
    committer->unfinished = batch->unfinished;
    committer->watches = batch->watches;
    committer->last_audit_seq = batch->last_audit_seq;
    committer->exported_seq = batch->exported_seq;
    batch->records.count -= (int64_t)batch->expired_count;
    committer->records = batch->records;
    committer->records_stored = batch->records_stored;
    batch->commits = 1;
    if (committer->is_failing) {
        committer->is_failing = false;
        batch->health = HEALTH_WORKING;
    }
    committer_queue_pace(committer, batch);
    committer_queue_report(committer, batch);
}

static void failed(struct committer *committer, struct ledger_batch *batch)
{
    committer->retry_at_us = clock_mono_us() + RETRY_INTERVAL_US;
    ledger_batch_reset(batch);
    batch->last_audit_seq = committer->last_audit_seq;
    committer_queue_put_back(committer, batch);
    report_failing(committer, batch);
}

static void *run(void *arg)
{
    struct committer *committer = arg;
    struct ledger_batch *batch;
    while ((batch = committer_queue_next(committer)) != NULL) {
        if (carry_out(committer, batch) == STATUS_OK) {
            succeeded(committer, batch);
        } else {
            failed(committer, batch);
        }
    }
    return NULL;
}

/* ---- called by the loop's thread ---- */

void committer_init(struct committer *committer)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&committer->queued, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&committer->mutex, NULL);
    committer->batch_max = BATCH_REQUESTS_MAX;
    committer->queue_due_us = INT64_MAX;
    committer->pace_until_us = INT64_MIN;
    committer->thread_until_us = INT64_MIN;
}

void committer_fini(struct committer *committer)
{
    struct ledger_request *request;
    while ((request = request_list_take(&committer->queue)) != NULL) {
        ledger_request_free(request);
    }
    while (committer->reports != NULL) {
        struct ledger_batch *next = committer->reports->next;
        ledger_batch_free(committer->reports);
        committer->reports = next;
    }
    ledger_batch_free(committer->spare);
    if (committer->ops != NULL) {
        committer->ops->close(committer->store);
    }
    pthread_cond_destroy(&committer->queued);
    pthread_mutex_destroy(&committer->mutex);
}

/* The number of records that was stored, and what came after that. */
static enum status count_records(struct committer *committer, int64_t last_id)
{
    struct batch_records *stored = &committer->records_stored;
    int64_t count_after = 0;
    enum status status = committer->ops->get_meta(committer->store, RECORDS_META, &stored->count);
    if (status == STATUS_OK) {
        status = committer->ops->get_meta(committer->store, RECORDS_LAST_ID_META, &stored->last_id);
    }
    if (status == STATUS_OK || status == STATUS_NOT_FOUND) {
        status = committer->ops->count_after(committer->store, stored->last_id, &count_after);
    }
    committer->records.count = stored->count + count_after;
    committer->records.last_id = last_id > stored->last_id ? last_id : stored->last_id;
    return status;
}

enum status committer_begin(struct committer *committer, struct ledger_batch **out_batch,
                            struct store_summary *out_summary)
{
    struct ledger_batch *batch = mem_zalloc(1, sizeof *batch);
    struct ledger_clock_meta clock;
    batch->limits = &committer->limits;
    batch->now_ms = clock_wall_ms();
    batch->before_commit = pass_before_commit;
    enum status status = committer->ops->start(committer->store, batch);
    if (status == STATUS_OK) {
        status = committer->ops->summarise(committer->store, out_summary);
    }
    if (status == STATUS_OK) {
        status = count_records(committer, out_summary->last_id);
    }
    if (status == STATUS_OK) {
        status = ledger_clock_load(committer->ops, committer->store, &clock);
    }
    if (status == STATUS_OK) {
        status = audit_tip_load(committer->ops, committer->store, &committer->tip);
    }
    if (status != STATUS_OK) {
        ledger_batch_free(batch);
        return status;
    }
    const struct ledger_clock_reading now = read_clock(committer);
    ledger_clock_init(&committer->clock, &clock, ledger_clock_boot(), &now);
    committer->unfinished = (int64_t)batch->command_count;
    committer->watches = (int64_t)batch->watched_count;
    committer->next_message_id = out_summary->last_message_id + 1;
    committer->exported_seq = committer->tip.seq;
    committer->last_audit_seq = out_summary->last_audit_seq > committer->tip.seq
                                    ? out_summary->last_audit_seq
                                    : committer->tip.seq;
    *out_batch = batch;
    return STATUS_OK;
}

/* The new thread blocks all signals: the loop handles them. */
void committer_start(struct committer *committer)
{
    committer->tidy_at_us = clock_mono_us();
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&committer->thread, NULL, run, committer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        abort();
    }
    pthread_setname_np(committer->thread, "ledger"); /* as top -H and perf show it */
}

void committer_stop(struct committer *committer, int64_t timeout_ms)
{
    pthread_mutex_lock(&committer->mutex);
    committer->is_closing = true;
    committer->close_by_us = clock_mono_us() + timeout_ms * 1000;
    pthread_mutex_unlock(&committer->mutex);
    pthread_cond_signal(&committer->queued);
    pthread_join(committer->thread, NULL);
    if (committer->queue.head != NULL) {
        LOG_WARN("ledger_closed_behind", LOG_INT("requests", committer->queue_count),
                 LOG_TEXT("error", committer_error(committer)));
    }
}

const char *committer_error(struct committer *committer)
{
    return committer->ops->error(committer->store);
}
