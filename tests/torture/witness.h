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
    char last_state[16];              /* the last state on the status topic */
    struct counters_read last_counts; /* the last counts on the status topic */
    int64_t counts_count;             /* number of status messages with counts */
};

void witness_init(struct witness *witness, struct record *record, int port);
void witness_fini(struct witness *witness);
void witness_step(struct witness *witness, short revents, int64_t now_ms);

#endif
