/*
 * sqlite - the store in a SQLite file, in WAL mode, for one bridge at a time.
 *
 * Thread: as store.h.
 */
#ifndef LEDGER_SQLITE_SQLITE_H
#define LEDGER_SQLITE_SQLITE_H

#include "ledger/store.h"

/* The location is a path. */
extern const struct store_ops store_sqlite_ops;
/* The library's version. */
const char *store_sqlite_version(void);

#endif
