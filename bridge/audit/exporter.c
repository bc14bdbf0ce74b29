/*
 * One batch at a time: read from the ledger, appended by the thread, reported to the ledger as
 * exported. A batch that could not be appended is kept and tried again.
 */
#include "audit/exporter.h"

#include "base/crash_point.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "file.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define BATCH_ROWS 256
/* How long the first row of a batch waits for others: it bounds how often the file is synced. */
#define BATCH_DELAY_MS 20
#define RETRY_MS       500

struct exporter {
    /* the loop's */
    struct ledger *ledger;
    struct exporter_options options;
    struct loop_wake *wake;
    struct loop_timer *batch_timer;
    struct loop_timer *flush_timer;
    loop_fn *flushed; /* NULL: nobody waits */
    void *flushed_arg;
    int64_t added_seq;    /* the last record there is */
    int64_t exported_seq; /* the last one in the file */
    bool is_reading;      /* the ledger reads rows */
    bool is_working;      /* the thread has a job */
    bool is_failing;
    bool wants_change;        /* open a new file, if this one was moved away */
    int64_t change_after_seq; /* records up to it go into the old file, if that can be written */

    /* the thread's while it has a job, otherwise the loop's */
    struct audit_file *file;
    struct buf records; /* the rows' texts, one after the other */
    struct audit_row rows[BATCH_ROWS];
    size_t row_count;
    enum status status; /* of the append */
    bool may_change;
    bool has_changed;

    /* both sides', under the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool has_job;
    bool is_ending;
    pthread_t thread;
};

/* ---- the thread ---- */

static void append(struct exporter *exporter)
{
    /* The buffer of all texts moves while it grows, so the rows point into it only now. */
    const char *at = exporter->records.data;
    for (size_t i = 0; i < exporter->row_count; i++) {
        exporter->rows[i].record.data = at;
        at += exporter->rows[i].record.length;
    }
    exporter->status = audit_file_append(exporter->file, exporter->rows, exporter->row_count);
    if (exporter->status == STATUS_OK) {
        CRASH_POINT_PASS(AFTER_AUDIT_APPEND, buf_slice(&exporter->records));
    }
}

static void *run_jobs(void *arg)
{
    struct exporter *exporter = arg;
    pthread_mutex_lock(&exporter->mutex);
    for (;;) {
        while (!exporter->has_job && !exporter->is_ending) {
            pthread_cond_wait(&exporter->changed, &exporter->mutex);
        }
        if (!exporter->has_job) {
            break;
        }
        pthread_mutex_unlock(&exporter->mutex);
        exporter->has_changed = exporter->may_change && audit_file_change(exporter->file);
        if (exporter->row_count > 0) {
            append(exporter);
        }
        pthread_mutex_lock(&exporter->mutex);
        exporter->has_job = false;
        loop_wake_signal(exporter->wake);
    }
    pthread_mutex_unlock(&exporter->mutex);
    return NULL;
}

/* ---- the loop's side ---- */

static void take_row(void *arg, int64_t seq, struct slice record)
{
    struct exporter *exporter = arg;
    assert(exporter->row_count < BATCH_ROWS);
    buf_append(&exporter->records, record);
    exporter->rows[exporter->row_count++] = (struct audit_row){seq, {NULL, record.length}};
}

static bool has_rows(const struct exporter *exporter)
{
    return exporter->exported_seq < exporter->added_seq;
}

static void report_flushed(struct exporter *exporter)
{
    if (exporter->flushed != NULL && (exporter->is_failing || !has_rows(exporter))) {
        loop_timer_start(exporter->flush_timer, 0);
    }
}

static void next(void *arg);

/* With so many rows the ledger claims nothing any more. */
static void set_full(struct exporter *exporter)
{
    health_set(exporter->options.health, HEALTH_AUDIT_FULL,
               exporter->added_seq - exporter->exported_seq >= exporter->options.rows_max);
}

void exporter_set_rows_max(struct exporter *exporter, int64_t rows_max)
{
    if (exporter != NULL) {
        exporter->options.rows_max = rows_max;
        set_full(exporter);
    }
}

static void rows_read(void *arg, size_t count)
{
    struct exporter *exporter = arg;
    exporter->is_reading = false;
    if (count == 0) { /* records that are not there: only a damaged ledger */
        LOG_ERROR("audit_rows_missing", LOG_INT("from", exporter->exported_seq + 1),
                  LOG_INT("to", exporter->added_seq));
        exporter->exported_seq = exporter->added_seq;
        set_full(exporter);
        report_flushed(exporter);
    }
    next(exporter);
}

/* Begins what is to be done next, unless something is being done. */
static void next(void *arg)
{
    struct exporter *exporter = arg;
    if (exporter->is_reading || exporter->is_working) {
        return;
    }
    exporter->may_change =
        exporter->wants_change &&
        (exporter->is_failing || exporter->exported_seq >= exporter->change_after_seq);
    if (exporter->may_change || exporter->row_count > 0) {
        exporter->wants_change &= !exporter->may_change;
        exporter->is_working = true;
        pthread_mutex_lock(&exporter->mutex);
        exporter->has_job = true;
        pthread_mutex_unlock(&exporter->mutex);
        pthread_cond_signal(&exporter->changed);
    } else if (has_rows(exporter)) {
        exporter->is_reading = true;
        ledger_read_audit(exporter->ledger, exporter->exported_seq + 1, BATCH_ROWS, take_row,
                          rows_read, exporter);
    }
}

static void set_failing(struct exporter *exporter, bool is_failing)
{
    if (exporter->is_failing == is_failing) {
        return;
    }
    exporter->is_failing = is_failing;
    if (is_failing) {
        LOG_ERROR("audit_unavailable", LOG_TEXT("why", audit_file_error(exporter->file)));
    } else {
        LOG_INFO("audit_available", LOG_TEXT("file", exporter->options.file));
    }
    health_set(exporter->options.health, HEALTH_AUDIT_UNAVAILABLE, is_failing);
}

static void appended(struct exporter *exporter)
{
    if (exporter->status != STATUS_OK) {
        set_failing(exporter, true);
        loop_timer_start(exporter->batch_timer, RETRY_MS);
        return;
    }
    struct audit_tip tip;
    audit_file_tip(exporter->file, &tip);
    bool was_full = exporter->row_count == BATCH_ROWS;
    exporter->exported_seq = tip.seq;
    exporter->row_count = 0;
    buf_clear(&exporter->records);
    ledger_audit_exported(exporter->ledger, &tip);
    set_failing(exporter, false);
    set_full(exporter);
    if (has_rows(exporter)) {
        bool is_urgent = was_full || exporter->flushed != NULL || exporter->wants_change;
        loop_timer_start(exporter->batch_timer, is_urgent ? 0 : BATCH_DELAY_MS);
    }
}

static void add_opened(struct exporter *exporter, const struct audit_tip *adopted)
{
    struct buf members = {0};
    json_put_text(&members, "Instance", slice_text(exporter->options.instance));
    json_put_text(&members, "Version", slice_text(BRIDGE_VERSION));
    ledger_add_audit(exporter->ledger, "opened", buf_slice(&members), adopted);
    buf_fini(&members);
}

static void job_done(void *arg)
{
    struct exporter *exporter = arg;
    pthread_mutex_lock(&exporter->mutex);
    assert(exporter->is_working && !exporter->has_job); /* one wake-up a job */
    pthread_mutex_unlock(&exporter->mutex);
    exporter->is_working = false;
    if (exporter->has_changed) {
        add_opened(exporter, NULL);
    }
    if (exporter->row_count > 0) {
        appended(exporter);
        report_flushed(exporter);
    }
    if (exporter->wants_change || !loop_timer_is_running(exporter->batch_timer)) {
        next(exporter);
    }
}

void exporter_added(struct exporter *exporter, int64_t seq)
{
    if (exporter == NULL) {
        return;
    }
    exporter->added_seq = seq;
    set_full(exporter);
    if (!exporter->is_reading && !exporter->is_working &&
        !loop_timer_is_running(exporter->batch_timer)) {
        loop_timer_start(exporter->batch_timer, BATCH_DELAY_MS);
    }
}

void exporter_reopen(struct exporter *exporter)
{
    if (exporter != NULL) {
        exporter->wants_change = true;
        exporter->change_after_seq = exporter->added_seq;
        next(exporter);
    }
}

static void flush_due(void *arg)
{
    struct exporter *exporter = arg;
    loop_fn *flushed = exporter->flushed;
    exporter->flushed = NULL;
    if (flushed != NULL) {
        flushed(exporter->flushed_arg);
    }
}

void exporter_flush(struct exporter *exporter, loop_fn *done, void *arg)
{
    exporter->flushed = done;
    exporter->flushed_arg = arg;
    report_flushed(exporter);
    next(exporter);
}

/* ---- making and freeing ---- */

static void start_thread(struct exporter *exporter)
{
    sigset_t all;
    sigset_t before;
    pthread_mutex_init(&exporter->mutex, NULL);
    pthread_cond_init(&exporter->changed, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&exporter->thread, NULL, run_jobs, exporter);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        abort();
    }
    pthread_setname_np(exporter->thread, "audit"); /* as top -H and perf show it */
}

enum status exporter_new(struct loop *loop, struct ledger *ledger,
                         const struct exporter_options *options, struct exporter **out_exporter,
                         struct buf *out_why)
{
    struct audit_tip tip;
    struct audit_file *file = NULL;
    int64_t added_seq = ledger_audit_seq(ledger, &tip);
    const struct audit_file_options file_options = {.path = options->file,
                                                    .is_chained = options->is_chained,
                                                    .is_full = options->is_full,
                                                    .is_new_ledger = added_seq == 0};
    enum status status = audit_file_open(&file_options, &tip, &file, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    struct exporter *exporter = mem_zalloc(1, sizeof *exporter);
    exporter->ledger = ledger;
    exporter->options = *options;
    exporter->file = file;
    exporter->wake = loop_wake_new(loop, job_done, exporter);
    exporter->batch_timer = loop_timer_new(loop, next, exporter);
    exporter->flush_timer = loop_timer_new(loop, flush_due, exporter);
    audit_file_tip(file, &tip);
    exporter->exported_seq = tip.seq;
    exporter->added_seq = added_seq > tip.seq ? added_seq : tip.seq;
    start_thread(exporter);
    add_opened(exporter, added_seq == 0 && tip.seq > 0 ? &tip : NULL);
    *out_exporter = exporter;
    return STATUS_OK;
}

void exporter_free(struct exporter *exporter)
{
    if (exporter == NULL) {
        return;
    }
    pthread_mutex_lock(&exporter->mutex);
    exporter->is_ending = true;
    pthread_mutex_unlock(&exporter->mutex);
    pthread_cond_signal(&exporter->changed);
    pthread_join(exporter->thread, NULL);
    pthread_cond_destroy(&exporter->changed);
    pthread_mutex_destroy(&exporter->mutex);
    loop_wake_free(exporter->wake);
    loop_timer_free(exporter->batch_timer);
    loop_timer_free(exporter->flush_timer);
    audit_file_close(exporter->file);
    buf_fini(&exporter->records);
    free(exporter);
}
