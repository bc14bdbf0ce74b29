/*
 * audit_tip - the tip (the last audit record that was exported) as values in the store.
 *
 * Thread: as store.h.
 */
#ifndef LEDGER_AUDIT_TIP_H
#define LEDGER_AUDIT_TIP_H

#include "base/status.h"
#include "model/audit_record.h"

struct ledger_batch;
struct store;
struct store_ops;

/* Reads the tip; its Seq is 0 if nothing was exported. */
enum status audit_tip_load(const struct store_ops *ops, struct store *store,
                           struct audit_tip *out_tip);
/* Adds the values to the batch. */
void audit_tip_save(const struct audit_tip *tip, struct ledger_batch *batch);

#endif
