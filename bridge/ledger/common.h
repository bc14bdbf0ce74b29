/*
 * common - what the files share that are the ledger on the loop's thread: ledger.c opens and closes
 * it, requests.c queues, reports.c reports what became of the requests.
 *
 * Thread: the loop's.
 */
#ifndef LEDGER_COMMON_H
#define LEDGER_COMMON_H

#include "committer.h"
#include "ledger/ledger.h"
#include "recent.h"

struct ledger {
    struct committer committer;
    struct counters *counters;
    struct ledger_hooks hooks;
    struct loop_timer *wake_timer;
    struct ledger_batch *resumed; /* the first batch, which ledger_start() reports */
    int64_t last_id;              /* the last command's id */
    int64_t audited_seq;          /* the last Seq that was reported */
    bool is_started;
    struct recent recent;
    bool is_together;             /* requests are collected in `together` */
    struct request_list together; /* for one transaction */
};

/* --- reports.c --- */

/* For each kind of request: how long it may wait, whether it may fail, and how it is reported. */
extern const struct request_type LEDGER_REQUEST_TYPES[REQUEST_COUNT];

/* Reports the batch and gives it back to the committer. */
void ledger_report(struct ledger *ledger, struct ledger_batch *batch);
/* Reports all batches that are done. The committer's wake; `arg` is the ledger. */
void ledger_woken(void *arg);

#endif
