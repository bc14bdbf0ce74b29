/*
 * allowance - what is asked of a rate that several bridges share, and the answer. The ledger keeps
 * one row for each region.
 */
#ifndef LEDGER_ALLOWANCE_H
#define LEDGER_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

struct allowance_ask {
    const char *name;     /* of the rate: a region */
    double rate_per_s;    /* now, as far as the asking bridge knows, after throttling */
    double burst;         /* most tokens after a pause */
    int64_t wanted_count; /* 0: it is only a report */
    bool is_slowed;   /* the API has throttled this bridge, which has slowed down to this rate */
    int64_t pause_ms; /* and the API wants so long a pause; 0: none */
};

struct allowance_grant {
    int64_t count;         /* tokens, at most those that were wanted */
    int64_t wait_ms;       /* until the next token; 0: now */
    int64_t pause_ms;      /* until the end of a pause; 0: none */
    double slowed_per_s;   /* the rate after the last throttling of any bridge; 0: none */
    int64_t slowed_ago_ms; /* when that was */
};

/* The answer, for the rate of this name; NULL: the ledger cannot be used now. Valid during the
 * call.
 */
typedef void ledger_granted_fn(void *arg, const char *name, const struct allowance_grant *grant);

#endif
