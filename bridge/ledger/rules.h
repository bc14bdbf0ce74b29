/*
 * rules - what each request changes, and which replies it causes.
 *
 * A store calls these functions while it carries out a batch, and writes what they plan. They call
 * no store and read no clock: the plan depends only on the request, on the row that was found, and
 * on the batch (limits, time, ids). They set the results of the request, and render its replies and
 * its audit record into the batch's bytes. A new plan for a request replaces the earlier one.
 *
 * Thread: any; pure, except for a log line about a reply without a topic.
 */
#ifndef LEDGER_RULES_H
#define LEDGER_RULES_H

#include "batch.h"

/* What a store found under a claim's token. */
struct token_found {
    const struct store_row *row; /* NULL: the token has no row */
    int64_t reply_to_count;      /* of an unfinished command: the first sender and the duplicates */
};

/* How a claim changes the rows. Its messages are posted in any case. */
enum claim_plan {
    PLAN_LOOK,    /* not decided: look up the token, then plan again */
    PLAN_INSERT,  /* insert the row, and the reply_to at place 0. If the token has a row, write
                     nothing, look it up  and plan again */
    PLAN_REPLACE, /* delete the row that was found, then insert as above */
    PLAN_JOIN,    /* add the reply_to to the row that was found, at place `reply_to_count` */
    PLAN_REPLY,   /* change no row */
};

/*
 * The history of a new row is that of the request (ledger_batch_history()). With PLAN_JOIN and
 * PLAN_REPLY, the row that was found gets these events appended; without such a row there are none.
 *
 * `found` is NULL if the token was not looked up yet. Most tokens are new, so a row is inserted
 * without a look-up if the command may be started. A new row has the columns of the command, the
 * claim's `id` and `state`, and one attempt if the command is called at once, otherwise none.
 */
enum claim_plan rules_claim(struct ledger_batch *batch, struct ledger_request *request,
                            const struct token_found *found);

/* Plans the message for the outbox. */
void rules_post(struct ledger_batch *batch, struct ledger_request *request);
/* The store deletes the replaced message. */
void rules_replace(struct ledger_batch *batch, struct ledger_request *request);

/*
 * An outcome: call rules_finish(), then rules_answer() for each reply_to in order of places, then
 * rules_finish_end(). The row becomes DONE with the columns of the request, and its history gets
 * the request's events; the reply_tos are deleted, or kept apart from those of
 * unfinished commands (rules_keeps_reply_tos()) for as long as the record lives.
 */
void rules_finish(struct ledger_batch *batch, struct ledger_request *request);
void rules_answer(struct ledger_batch *batch, struct ledger_request *request,
                  const struct reply_to *reply_to);
void rules_finish_end(struct ledger_batch *batch, struct ledger_request *request);

/*
 * The watch that begins with an outcome, after rules_finish_end(); `found` is the watch that the
 * group has, or NULL. The result, finish.begun, is put in its place; NULL: nothing is written.
 */
void rules_begin_watch(struct ledger_batch *batch, struct ledger_request *request,
                       const struct watch *found);
/* The new state of a watch. Call it if the store has the watch with the expected Seq. */
void rules_watch(struct ledger_batch *batch, struct ledger_request *request);

/* Call it once, after all requests and the deletion of expired rows, before the batch's metas are
 * written: it may add some. */
void rules_end_batch(struct ledger_batch *batch);

/*
 * Orders of an operator; `row` is what was found, NULL for none. Only with LEDGER_ORDER_DONE the
 * store writes something.
 *
 * A retry: the row gets the state, the deadline and the crashes of the command, no outcome, and the
 * whole history of ledger_batch_history(). The reply_tos that were kept become those of an
 * unfinished command again. If none was kept, one without a topic is added at place 0.
 *
 * A resolve: the row gets the whole history; then rules_answer() for each reply_to that was kept,
 * in order, and rules_resolve_end(); then the row gets the outcome as for rules_finish(), and the
 * reply_tos are deleted, or kept if this outcome is not definite.
 */
enum ledger_order rules_retry(struct ledger_batch *batch, struct ledger_request *request,
                              const struct store_row *row);
enum ledger_order rules_resolve(struct ledger_batch *batch, struct ledger_request *request,
                                const struct store_row *row);
void rules_resolve_end(struct ledger_batch *batch, struct ledger_request *request);
/* Whether the reply_tos of a command with this outcome are kept: somebody may order a retry. */
bool rules_keeps_reply_tos(const struct outcome *outcome);

/* An audit record that the exporter adds. */
void rules_add_audit(struct ledger_batch *batch, struct ledger_request *request);
/* The audit rows up to exported.tip.seq are deleted. */
void rules_exported(struct ledger_batch *batch, struct ledger_request *request);
/*
 * Call it for each request, in order, after it was carried out. Appends the text of its audit
 * record to *out and returns the record's Seq; 0: there is no record. When a batch is sent again,
 * it returns the same record with the same Seq.
 */
int64_t rules_audit_record(struct ledger_batch *batch, struct ledger_request *request,
                           struct buf *out);

#endif
