/*
 * recent - the last outcomes whose records expire at once, so that the store does not have them:
 * of refusals after which the token is free again. To be shown; they end with the process.
 *
 * Thread: the loop's.
 */
#ifndef LEDGER_RECENT_H
#define LEDGER_RECENT_H

#include "batch.h"

#define RECENT_MAX 16

/* Zero is empty. */
struct recent {
    struct ledger_record *records[RECENT_MAX];
    size_t count; /* that were added; the last RECENT_MAX are there */
};

void recent_fini(struct recent *recent);
/* Keeps the outcome, if its record expires at once. */
void recent_add(struct recent *recent, const struct finish_request *finish);
/* Writes the records of a list of outcomes, and these, to `out`, the newest first, at most `limit`.
 * One that is in the list, too, is written once. `out` has room for `limit`. Returns how many. */
size_t recent_merge(const struct recent *recent, const struct query_request *list, size_t limit,
                    const struct ledger_record **out);

#endif
