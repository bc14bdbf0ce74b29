/*
 * postgres - the PostgreSQL store: store_ops for "postgresql://...".
 *
 * Each opening is a run with an id of its own, registered in the table `bridge`; the rows of the
 * commands that it holds carry that id. A run that is no longer registered cannot write.
 */
#ifndef LEDGER_POSTGRES_POSTGRES_H
#define LEDGER_POSTGRES_POSTGRES_H

#include "ledger/store.h"

extern const struct store_ops store_postgres_ops;

#endif
