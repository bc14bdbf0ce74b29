/*
 * rules - what a request means for the rows, and what those who asked are sent.
 *
 * A store calls these while it carries out a batch, and writes what they say. They make no call on
 * a store and read no clock: what they say depends on the request, on what was found and on the
 * batch (limits, time, ids), and nothing else. Results go into the request; replies, under ids of
 * the bridge's, and the audit line are rendered into the batch's bytes. What a request was planned
 * before is dropped when it is planned again.
 *
 * Thread: any; pure but for a log line about a reply that has no topic.
 */
#ifndef LEDGER_RULES_H
#define LEDGER_RULES_H

#include "batch.h"

/* What a store found under a claim's token. */
struct token_found {
    const struct store_row *row; /* NULL: nothing */
    int64_t reply_to_count;      /* of an unfinished command: all who asked for it */
};

/* What a claim writes besides its messages. */
enum claim_plan {
    PLAN_LOOK,    /* nothing yet: look for the token and plan again with what is found */
    PLAN_INSERT,  /* a new row, with the reply_to at place 0. Where the token has a row by now,
                     nothing  is written: look, and plan again */
    PLAN_REPLACE, /* the same, and the row found is removed before */
    PLAN_JOIN,    /* the reply_to, at place `reply_to_count` of the row found */
    PLAN_REPLY,   /* no row */
};

/*
 * `found` is NULL as long as nobody looked: most tokens are new, so that a row is inserted at once
 * where it may be. The new row has the command's columns, the request's id, `state`, and 1 attempt
 * where `is_called_at_once`, else 0.
 */
enum claim_plan rules_claim(struct ledger_batch *batch, struct ledger_request *request,
                            const struct token_found *found);

/* The message goes into the outbox. */
void rules_post(struct ledger_batch *batch, struct ledger_request *request);

/*
 * An outcome: rules_finish() makes the columns that are not the command's or the outcome's, then
 * rules_answer() a reply for each who asked, in order of their places, then rules_finish_end() the
 * rest. The row is DONE, and who asked is removed.
 */
void rules_finish(struct ledger_batch *batch, struct ledger_request *request);
void rules_answer(struct ledger_batch *batch, struct ledger_request *request,
                  const struct reply_to *reply_to);
void rules_finish_end(struct ledger_batch *batch, struct ledger_request *request);

/* A record of the exporter's. */
void rules_add_audit(struct ledger_batch *batch, struct ledger_request *request);
/* The rows up to exported.tip.seq are deleted. */
void rules_exported(struct ledger_batch *batch, struct ledger_request *request);
/* Once for each request, after it is carried out: appends the text of its audit record and returns
 * the record's Seq; 0: it has none. */
int64_t rules_audit_record(struct ledger_batch *batch, const struct ledger_request *request,
                           struct buf *out);

#endif
