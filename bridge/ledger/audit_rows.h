/*
 * audit_rows - the audit record of a request, and the tip (the last record that was exported) as
 * values in the store.
 *
 * Each audit_row_ function sets the record of the request: its event, and its members in the
 * batch's bytes. A request has at most one record; a second call replaces it. Without an audit
 * nothing is done.
 *
 * Thread: any; pure, except audit_tip_load(): as store.h.
 */
#ifndef LEDGER_AUDIT_ROWS_H
#define LEDGER_AUDIT_ROWS_H

#include "batch.h"
#include "store.h"

/* `claim.result` must be set. `replayed` is the row whose outcome is sent again, `code` the reason
 * of a refusal; otherwise NULL. */
void audit_row_of_claim(struct ledger_batch *batch, struct ledger_request *request,
                        const struct store_row *replayed, const char *code);
void audit_row_of_post(struct ledger_batch *batch, struct ledger_request *request);
void audit_row_of_outcome(struct ledger_batch *batch, struct ledger_request *request);
/* Of a retry or a resolve that is carried out. */
void audit_row_of_order(struct ledger_batch *batch, struct ledger_request *request);

/* Reads the tip; its Seq is 0 if nothing was exported. */
enum status audit_tip_load(const struct store_ops *ops, struct store *store,
                           struct audit_tip *out_tip);
/* Adds the values to the batch. */
void audit_tip_save(const struct audit_tip *tip, struct ledger_batch *batch);

#endif
