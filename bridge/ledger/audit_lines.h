/*
 * audit_lines - what a request writes to the audit.
 *
 * Each sets the request's line: its event, and its members in the batch's bytes. A request has one
 * line at most; the last call counts. Nothing is done where there is no audit.
 *
 * Thread: any; pure.
 */
#ifndef LEDGER_AUDIT_LINES_H
#define LEDGER_AUDIT_LINES_H

#include "batch.h"

/* The claim made a row, or joined one. */
void audit_line_of_claim(struct ledger_batch *batch, struct ledger_request *request);
void audit_line_of_replay(struct ledger_batch *batch, struct ledger_request *request,
                          const struct store_row *row);
/* `claim.result` is set. */
void audit_line_of_refusal(struct ledger_batch *batch, struct ledger_request *request,
                           const char *code);
void audit_line_of_post(struct ledger_batch *batch, struct ledger_request *request);
void audit_line_of_outcome(struct ledger_batch *batch, struct ledger_request *request);

#endif
