/*
 * claim - what happens to a command whose token is looked up: the contract's "once per token" table
 * as one function.
 *
 * Thread: any; pure.
 */
#ifndef MODEL_CLAIM_H
#define MODEL_CLAIM_H

#include "outcome.h"
#include "state.h"

#include <stdbool.h>
#include <stdint.h>

/* Numbers are stored in ledgers: never renumber. */
enum claim_result {
    CLAIM_NEW,      /* no record, or an expired one: it is claimed */
    CLAIM_AGAIN,    /* a record without a definite outcome: the same token goes upstream again */
    CLAIM_WAITS,    /* the command is unfinished: it will get the same outcome */
    CLAIM_REPLAYED, /* the stored outcome is its reply */
    CLAIM_MISMATCH, /* the token was used for something else */
    CLAIM_REFUSED,  /* new, but refused: expired, overloaded, shutting down */
};

/* What the ledger found under the token. */
struct claim_found {
    enum state state; /* STATE_NONE: nothing */
    bool has_same_fingerprint;
    enum retention retention; /* of a DONE record */
    int64_t expires_at_ms;    /* of a DONE record, on the ledger's clock, as now_ms */
    int64_t replay_until_ms;  /* of one that was set aside, on the same clock */
};

/* Never CLAIM_REFUSED: limits and deadlines are the ledger's to check. */
enum claim_result claim_decide(const struct claim_found *found, int64_t now_ms);

#endif
