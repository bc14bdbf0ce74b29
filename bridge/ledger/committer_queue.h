/*
 * committer_queue - what both threads share of a committer: the queue of requests, when it is due,
 * and the batches that are to be reported. All that holds the mutex is here; committer.h has the
 * other half, for the loop's thread.
 *
 * Thread: the ledger's, for every function.
 */
#ifndef LEDGER_COMMITTER_QUEUE_H
#define LEDGER_COMMITTER_QUEUE_H

#include "committer.h"

#define BATCH_REQUESTS_MAX 512 /* limits how long the first request of a batch waits */

/* Waits until a batch is due. NULL: the thread ends. */
struct ledger_batch *committer_queue_next(struct committer *committer);
/* Waits until then, monotonic. False: the ledger must close before. */
bool committer_queue_wait(struct committer *committer, int64_t until_us);
/* Decides whether the next batch is delayed, and how large it may be. To be called before this one
 * is reported, since a report causes further requests. */
void committer_queue_pace(struct committer *committer, const struct ledger_batch *batch);
/* Gives the batch to the loop's thread. */
void committer_queue_report(struct committer *committer, struct ledger_batch *batch);
/* Of a batch that failed: requests that may fail are answered, also those still in the queue, so
 * that no sender waits for longer than one attempt. The others return to the head of the queue. */
void committer_queue_put_back(struct committer *committer, struct ledger_batch *batch);

#endif
