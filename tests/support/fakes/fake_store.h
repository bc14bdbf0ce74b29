/*
 * fake_store - the ledger's store is the SQLite store, but the test carries out its batches. For
 * programs that are linked with -Wl,--wrap=store_choose; they define the two functions.
 */
#ifndef SUPPORT_FAKES_FAKE_STORE_H
#define SUPPORT_FAKES_FAKE_STORE_H

#include "ledger/store.h"

/* Thread: the committer's. */
enum status fake_store_carry_out(struct store *store, struct ledger_batch *batch);
const char *fake_store_error(struct store *store);

#endif
