/*
 * move - the tables of a ledger, and its move into another database.
 *
 * Thread: any; it waits. Fails with: STATUS_BUSY where a ledger is in use, or the target is not
 * empty; STATUS_NOT_FOUND where there is no source; STATUS_INVALID for a store that cannot be used
 * like this; STATUS_UNAVAILABLE where a server cannot be reached; STATUS_STORE for the others. The
 * reason is appended to *out_why.
 */
#ifndef LEDGER_MOVE_H
#define LEDGER_MOVE_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Makes the tables of a ledger, or does what a newer program needs, without starting a bridge.
 * `store` is a value of the setting ledger.store, `password_file` that of the setting. With
 * `is_exclusive` no bridge may use it. Appends a line about what was done to *out.
 */
enum status ledger_migrate(const char *store, const char *password_file, bool is_exclusive,
                           struct buf *out, struct buf *out_why);

/*
 * Connects to a shared ledger and changes nothing. *out_version: of its tables; 0: a bridge makes
 * them at its start. *out_is_synchronous: a fail-over of the server loses no commit.
 */
enum status ledger_look(const char *store, const char *password_file, int64_t *out_version,
                        bool *out_is_synchronous, struct buf *out_why);

/*
 * Copies all rows of a SQLite ledger into an empty PostgreSQL database, for a bridge of this
 * instance, and compares each row before it commits. No bridge may run on either. What an ended
 * bridge had in flight becomes unsure in the source first, as when it starts again; nothing else of
 * the source changes. After a failure the target is empty.
 */
struct ledger_copy {
    const char *from;
    const char *to;
    const char *password_file; /* of the target */
    const char *instance;
};
enum status ledger_copy(const struct ledger_copy *copy, struct buf *out, struct buf *out_why);

#endif
