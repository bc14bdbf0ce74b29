/*
 * exporter - writes the ledger's audit records to the audit file.
 *
 * A record is a row of the transaction that it describes, so what happened is audited once it is
 * durable. The exporter appends the rows, in the order of their Seq, to the file, syncs it (with
 * durability "full"), and has the ledger delete them and store the last line as the tip, in a later
 * transaction. After a crash in between the file holds lines whose rows are still there: they are
 * compared and not written again.
 *
 * While the file cannot be written the rows wait in the ledger, and the exporter tries again. It
 * logs audit_unavailable once, with the reason. The ledger stops claiming when too many rows wait;
 * then the bridge is not ready.
 *
 * Thread: the loop's, for every function and callback; writing and syncing is done on a thread of
 * its own.
 */
#ifndef AUDIT_EXPORTER_H
#define AUDIT_EXPORTER_H

#include "base/buf.h"
#include "base/health.h"
#include "base/loop.h"
#include "base/status.h"
#include "ledger/ledger.h"

#include <stdbool.h>
#include <stdint.h>

struct exporter;

struct exporter_options {
    const char *file; /* not "" */
    const char *instance;
    bool is_chained;
    bool is_full;          /* durability "full" */
    int64_t rows_max;      /* the ledger's limit */
    struct health *health; /* gets and loses HEALTH_AUDIT_UNAVAILABLE and HEALTH_AUDIT_FULL */
};

/*
 * Opens or creates the file, before ledger_start(). `ledger` outlives the exporter. STATUS_BUSY
 * where another bridge has the file, STATUS_INVALID where it must not be written (a link, a device,
 * writable by others, chained otherwise, another program's), STATUS_STORE for the machine's faults;
 * then *out_why says what to do.
 */
enum status exporter_new(struct loop *loop, struct ledger *ledger,
                         const struct exporter_options *options, struct exporter **out_exporter,
                         struct buf *out_why);
/* Waits for what is being written. Without exporter_flush() rows may be left in the ledger; the
 * next start exports them. Takes NULL. */
void exporter_free(struct exporter *exporter);

/* The ledger's hook: there are records up to this Seq. Takes NULL. */
void exporter_added(struct exporter *exporter, int64_t seq);
/* The ledger's limit has changed. Takes NULL. */
void exporter_set_rows_max(struct exporter *exporter, int64_t rows_max);
/* The file was moved away: the lines from now on go into a new one of its name, which continues the
 * chain. Takes NULL. */
void exporter_reopen(struct exporter *exporter);
/* Calls `done`, at the earliest on the next turn, when all records so far are in the file or the
 * file cannot be written. Once. */
void exporter_flush(struct exporter *exporter, loop_fn *done, void *arg);

#endif
