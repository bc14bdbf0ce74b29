/*
 * The part of the ledger that runs on the loop's thread: opening, starting, closing, and what is
 * read before the start. requests.c makes requests, reports.c reports their results.
 */
#include "ledger/ledger.h"

#include "base/log.h"
#include "base/mem.h"
#include "common.h"
#include "settings/store_uri.h"
#include "store.h"

#include <assert.h>
#include <stdlib.h>

static void wake_committer(void *arg)
{
    struct ledger *ledger = arg;
    committer_wake(&ledger->committer);
}

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
    recent_fini(&ledger->recent);
    committer_fini(&ledger->committer);
    loop_wake_free(ledger->committer.wake);
    loop_timer_free(ledger->wake_timer);
    free(ledger);
}

static struct ledger_limits limits_of(const struct ledger_options *options)
{
    bool is_coalescing = false;
    for (size_t i = 0; i < options->route_count; i++) {
        is_coalescing = is_coalescing || options->routes[i].coalesce_s > 0;
    }
    return (struct ledger_limits){
        .success_ttl_s = options->success_ttl_s,
        .failure_ttl_s = options->failure_ttl_s,
        .pending_max = options->pending_max,
        .waiters_max = options->waiters_max,
        .replies = options->replies,
        .routes = options->routes,
        .route_count = options->route_count,
        .is_coalescing = is_coalescing,
        .is_audited = options->is_audited,
        .audit_rows_max = options->audit_rows_max,
        .events = options->events,
        .watches_max = options->watches_max,
        .rate_per_s = options->rate_per_s,
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
    ledger->committer.wake = loop_wake_new(loop, ledger_woken, ledger);
    ledger->committer.limits = limits_of(options);
    return ledger;
}

enum status ledger_open(struct loop *loop, const struct ledger_options *options,
                        const struct ledger_hooks *hooks, struct ledger **out_ledger,
                        struct buf *out_why)
{
    struct ledger *ledger = ledger_new(loop, options, hooks);
    struct committer *committer = &ledger->committer;
    struct store_place place = {.instance = options->instance,
                                .password_file = options->password_file,
                                .lease = options->lease,
                                .lease_ms = options->lease_ms,
                                .counters = options->counters,
                                .warns_of_loss = options->warns_of_loss,
                                .wake = committer_call,
                                .wake_arg = committer};
    enum status status = store_choose(options->store, &committer->ops, &place.location, out_why);
    if (status == STATUS_OK) {
        status = committer->ops->open(&place, options->is_full, &committer->store, out_why);
    }
    if (status == STATUS_OK) {
        status = load(ledger, out_why);
        if (status == STATUS_STORE && store_uri_is_shared(options->store)) {
            status = STATUS_UNAVAILABLE; /* the connection was lost */
        }
    }
    if (status != STATUS_OK) {
        free_ledger(ledger);
        return status;
    }
    *out_ledger = ledger;
    return STATUS_OK;
}

/* ---- what is read before the start ---- */

int64_t ledger_audit_seq(const struct ledger *ledger, struct audit_tip *out_tip)
{
    assert(!ledger->is_started);
    *out_tip = ledger->committer.tip;
    return ledger->committer.last_audit_seq;
}

enum status ledger_read_number(struct ledger *ledger, const char *key, int64_t *out_value)
{
    assert(!ledger->is_started);
    enum status status = ledger->committer.ops->get_meta(ledger->committer.store, key, out_value);
    if (status == STATUS_STORE) {
        LOG_WARN("ledger_meta_unreadable", LOG_TEXT("key", key),
                 LOG_TEXT("error", committer_error(&ledger->committer)));
    }
    return status;
}

int64_t ledger_recall(struct ledger *ledger, const char *key, int64_t otherwise)
{
    int64_t value = 0;
    return ledger_read_number(ledger, key, &value) == STATUS_OK ? value : otherwise;
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

/* ---- starting and closing ---- */

void ledger_start(struct ledger *ledger)
{
    assert(!ledger->is_started);
    ledger->is_started = true;
    ledger_report(ledger, ledger->resumed);
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
