/*
 * witness - reads every reply and dead letter directly from the broker, with a persistent session.
 */
#ifndef TORTURE_WITNESS_H
#define TORTURE_WITNESS_H

#include "counters.h"
#include "link.h"
#include "record.h"

struct witness {
    struct link *self; /* first, see link_init() */
    struct link link;
    struct record *record;
    bool is_ready;                    /* subscribed on the current connection */
    char instance[32];                /* the bridge whose status counts */
    char last_state[16];              /* its last state; "" until there is one */
    bool is_draining;                 /* it still drains the sessions of former settings */
    struct counters_read last_counts; /* the last counts on the status topic */
    int64_t counts_count;             /* number of status messages with counts */
};

void witness_init(struct witness *witness, struct record *record, int port);
void witness_fini(struct witness *witness);
/* Sets the bridge whose status counts; a new one has no state yet. */
void witness_follow(struct witness *witness, const char *instance);
void witness_step(struct witness *witness, short revents, int64_t now_ms);

#endif
