/*
 * committer - the ledger's thread: which requests are committed together, and when.
 *
 * It takes what is queued, in order, as one batch; what comes meanwhile is the next one. Where the
 * store fails, requests that may fail are answered STATUS_STORE, and the others are tried again,
 * twice a second, until the store works.
 *
 * Thread: the functions are the loop's.
 */
#ifndef LEDGER_COMMITTER_H
#define LEDGER_COMMITTER_H

#include "audit_tip.h"
#include "base/loop.h"
#include "clock.h"
#include "store.h"

#include <pthread.h>

struct committer {
    /* set before the thread starts, then only read */
    const struct store_ops *ops;
    struct ledger_limits limits;
    struct loop_wake *wake; /* signalled when there is a batch to report */
    pthread_t thread;

    struct ledger_clock clock; /* its meta are the thread's */

    /* the thread's, and the opener's before it starts */
    struct store *store;
    int64_t unfinished;
    int64_t next_message_id;
    int64_t last_audit_seq;
    int64_t exported_seq;
    struct audit_tip tip; /* as of the start */
    int64_t retry_at_us;  /* monotonic */
    int64_t expire_at_us; /* monotonic */
    bool is_failing;
    bool has_more_expired;

    /* both sides', under the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t queued;
    struct request_list queue;
    size_t queue_count;
    int64_t queue_due_us; /* monotonic: when it is committed at the latest; INT64_MAX while empty */
    int64_t thread_until_us; /* monotonic: how long the thread sleeps; INT64_MIN while it works */
    bool is_closing;
    int64_t close_by_us; /* monotonic */
    struct ledger_batch *reports;
    struct ledger_batch *last_report;
    struct ledger_batch *spare;
};

void committer_init(struct committer *committer);
/* Frees what is queued and unreported, and closes the store. */
void committer_fini(struct committer *committer);

/* Carries out the first batch of this run, on the caller's thread: *out_batch, owned by the caller,
 * has the commands that the last run left. STATUS_STORE; see committer_error(). */
enum status committer_begin(struct committer *committer, struct ledger_batch **out_batch,
                            struct store_summary *out_summary);
void committer_start(struct committer *committer);
/* Commits what is queued, waiting at most `timeout_ms` for a failing store, and ends the thread.
 * What could not be committed stays in the queue. */
void committer_stop(struct committer *committer, int64_t timeout_ms);

/* Queues the request, which is committed `delay_us` from now at the latest. Returns whether the
 * thread sleeps longer than that: then call committer_wake(), once for all requests of a turn. */
bool committer_enqueue(struct committer *committer, struct ledger_request *request,
                       int64_t delay_us);
void committer_wake(struct committer *committer);

/* All batches that are to be reported, in order, now the caller's. */
struct ledger_batch *committer_take_reports(struct committer *committer);
/* Takes a reported batch for another use. */
void committer_recycle(struct committer *committer, struct ledger_batch *batch);

/* What the last failure was. */
const char *committer_error(struct committer *committer);

#endif
