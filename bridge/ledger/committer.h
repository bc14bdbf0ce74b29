/*
 * committer - the ledger's thread. It decides which requests share a commit, and when.
 *
 * All queued requests become one batch, in order; requests that arrive during its commit become the
 * next one. After a batch with several claims or outcomes the next one begins 1 ms later, or when
 * it has 128 requests: under load more commands share a commit, and a command alone never waits.
 * When a batch fails, requests that may fail are answered STATUS_STORE, and the others are tried
 * again twice a second until the store works.
 *
 * Thread: the loop's, for every function.
 */
#ifndef LEDGER_COMMITTER_H
#define LEDGER_COMMITTER_H

#include "audit_rows.h"
#include "base/loop.h"
#include "clock.h"
#include "store.h"

#include <pthread.h>

struct committer {
    /* set before the thread starts, then only read */
    const struct store_ops *ops;
    struct loop_wake *wake; /* signalled when a batch is to be reported */
    pthread_t thread;

    struct ledger_clock clock; /* the thread owns its `meta` */

    /* owned by the thread, and before it starts by the caller of committer_begin() */
    struct store *store;
    struct ledger_limits limits;
    int64_t watches;
    int64_t unfinished;
    int64_t next_message_id;
    int64_t last_audit_seq;
    int64_t exported_seq;
    struct batch_records records;
    struct batch_records records_stored;
    struct audit_tip tip; /* as of committer_begin() */
    int64_t retry_at_us;  /* monotonic */
    int64_t tidy_at_us;   /* monotonic: delete expired rows, give space back */
    bool is_failing;
    bool has_more_expired;
    bool has_more_to_tidy; /* expired rows or free pages */
    size_t batch_max;      /* at most so many requests in a batch */

    /* shared by both threads, under the mutex */
    pthread_mutex_t mutex;
    pthread_cond_t queued;
    struct request_list queue;
    size_t queue_count;
    int64_t
        queue_due_us; /* monotonic: the queue is committed by then; INT64_MAX while it is empty */
    int64_t pace_until_us; /* monotonic: a short queue is not committed before */
    int64_t
        thread_until_us; /* monotonic: the thread sleeps until then; INT64_MIN while it is busy */
    bool is_called;      /* the store wants a batch now, even without a request */
    bool is_closing;
    int64_t close_by_us; /* monotonic */
    struct ledger_batch *reports;
    struct ledger_batch *last_report;
    struct ledger_batch *spare;
    struct ledger_limits next_limits; /* from the next batch on, if there are some */
    bool has_next_limits;
};

void committer_init(struct committer *committer);
/* Frees the queue and all batches, and closes the store. */
void committer_fini(struct committer *committer);

/* Carries out the first batch of this run, on the caller's thread. *out_batch, now the caller's,
 * has the unfinished commands of the last run. STATUS_STORE: see committer_error(). */
enum status committer_begin(struct committer *committer, struct ledger_batch **out_batch,
                            struct store_summary *out_summary);
void committer_start(struct committer *committer);
/* Commits the queue, waiting at most `timeout_ms` for a failing store, and ends the thread.
 * Requests that could not be committed stay in the queue. */
void committer_stop(struct committer *committer, int64_t timeout_ms);

/* Queues the request, to be committed within `delay_us`. Returns true if the thread sleeps longer
 * than that: then call committer_wake(), once for all requests of one turn of the loop. */
bool committer_enqueue(struct committer *committer, struct ledger_request *request,
                       int64_t delay_us);
/* The same for requests that are committed in one transaction, without delay. Takes them from the
 * list, which is not empty. */
bool committer_enqueue_together(struct committer *committer, struct request_list *requests);
void committer_wake(struct committer *committer);
/* The store wants a batch now: store_place.wake. Thread: any. */
void committer_call(void *committer);

/* Replaces the limits, from the next batch on. */
void committer_set_limits(struct committer *committer, const struct ledger_limits *limits);

/* Returns the batches to be reported, in order; the caller owns them. */
struct ledger_batch *committer_take_reports(struct committer *committer);
/* Takes a reported batch, to use its memory again. */
void committer_recycle(struct committer *committer, struct ledger_batch *batch);

/* The reason of the last failure. */
const char *committer_error(struct committer *committer);

#endif
