/*
 * witness - reads every reply and dead letter, straight from the broker, with a session that lasts.
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
    bool is_ready;                    /* subscribed on the connection that stands */
    char last_state[16];              /* of the bridge, as its status topic told */
    struct counters_read last_counts; /* as that told them last */
    int64_t counts_count;             /* how often it did */
};

void witness_init(struct witness *witness, struct record *record, int port);
void witness_fini(struct witness *witness);
void witness_turn(struct witness *witness, short revents, int64_t now_ms);

#endif
