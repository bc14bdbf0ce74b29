/*
 * witness - reads every reply and dead letter directly from the broker, with a persistent session.
 */
#ifndef TORTURE_WITNESS_H
#define TORTURE_WITNESS_H

#include "counters.h"
#include "link.h"
#include "record.h"
#include "tap.h"

/* What the status topic says of a bridge. */
struct witness_bridge {
    char instance[32];
    char last_state[16];              /* its last state; "" until there is one */
    bool is_draining;                 /* it still drains the sessions of former settings */
    bool has_ledger_loss;             /* it reports `ledger_may_have_lost` */
    struct counters_read last_counts; /* the last counts on the status topic */
};

struct witness {
    struct link *self; /* first, see link_init() */
    struct link link;
    struct record *record;
    bool is_ready; /* subscribed on the current connection */
    struct witness_bridge bridges[TAP_BRIDGES_MAX];
    int64_t counts_count; /* number of status messages with counts */
};

void witness_init(struct witness *witness, struct record *record, int port);
void witness_fini(struct witness *witness);
/* Sets the instance of the bridge with this number; a new one has no state yet. */
void witness_follow(struct witness *witness, int number, const char *instance);
void witness_step(struct witness *witness, short revents, int64_t now_ms);

#endif
