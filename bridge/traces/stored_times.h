/*
 * stored_times - when the last messages were stored, which no record of the ledger says.
 *
 * A table of fixed size: a later message may take the place of an earlier one, whose time is not
 * known then.
 *
 * Thread: the loop's.
 */
#ifndef TRACES_STORED_TIMES_H
#define TRACES_STORED_TIMES_H

#include "base/slice.h"

#include <stdint.h>

#define STORED_TIMES_COUNT 4096 /* a power of 2 */

struct stored_times {
    struct {
        uint64_t key;
        int64_t at_ms;
    } slots[STORED_TIMES_COUNT];
};

/* Times are those of the wall clock. */
void stored_times_set(struct stored_times *times, struct slice token, int64_t received_at_ms,
                      int64_t at_ms);
/* 0: not known. */
int64_t stored_times_get(const struct stored_times *times, struct slice token,
                         int64_t received_at_ms);

#endif
