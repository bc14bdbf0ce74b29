/*
 * sqlite - the store in a SQLite file, for one bridge at a time. The file is in WAL mode.
 *
 * Thread: as store.h.
 */
#ifndef LEDGER_SQLITE_SQLITE_H
#define LEDGER_SQLITE_SQLITE_H

#include "ledger/store.h"

/* The location is the path of the file. */
extern const struct store_ops store_sqlite_ops;
/* The version of the library. */
const char *store_sqlite_version(void);

#endif
