/*
 * dump - the rows of a SQLite ledger as lines (ledger/transfer.h), for another store.
 *
 * Thread: as store.h.
 */
#ifndef LEDGER_SQLITE_DUMP_H
#define LEDGER_SQLITE_DUMP_H

#include "base/buf.h"
#include "ledger/store.h"
#include "ledger/transfer.h"

/* STATUS_NOT_FOUND: there is no ledger at the path. STATUS_INVALID: only a part of one. The reason
 * is appended to *out_why. */
enum status store_sqlite_find(const char *path, struct buf *out_why);
/* STATUS_STORE: the store's error() says why. Other failures are those of the callback. */
enum status store_sqlite_dump(struct store *store, enum transfer_table table,
                              const struct transfer_owner *owner, transfer_line_fn *line,
                              void *arg);

#endif
