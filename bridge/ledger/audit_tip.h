/*
 * audit_tip - the last line that was exported, as numbers among the store's metas.
 *
 * Thread: as the store's.
 */
#ifndef LEDGER_AUDIT_TIP_H
#define LEDGER_AUDIT_TIP_H

#include "base/status.h"
#include "model/audit_record.h"

struct ledger_batch;
struct store;
struct store_ops;

/* A Seq of 0 where nothing was exported yet. */
enum status audit_tip_load(const struct store_ops *ops, struct store *store,
                           struct audit_tip *out_tip);
/* Has the batch write it. */
void audit_tip_save(const struct audit_tip *tip, struct ledger_batch *batch);

#endif
