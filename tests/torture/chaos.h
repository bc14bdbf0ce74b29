/*
 * chaos - what goes wrong when: four schedules, for the bridge, the broker, the network and the
 * API.
 *
 * Each is drawn from a stream of its own, and an action begins when its time has come and the one
 * before it is over. So a seed gives the same actions in the same order, however fast the machine
 * is.
 */
#ifndef TORTURE_CHAOS_H
#define TORTURE_CHAOS_H

#include "bridge_keeper.h"
#include "broker_keeper.h"
#include "far.h"
#include "proxy.h"
#include "random.h"

#include <stdint.h>
#include <stdio.h>

enum chaos_kind { CHAOS_BRIDGE, CHAOS_BROKER, CHAOS_NETWORK, CHAOS_API, CHAOS_COUNT };

struct chaos_schedule {
    struct random random;
    int64_t due_ms; /* of the next action, after the start */
    int count;
};

struct chaos {
    struct chaos_schedule schedules[CHAOS_COUNT];
    struct bridge_keeper *bridge;
    struct broker_keeper *broker;
    struct proxy *proxy;
    struct far *far;
    FILE *log;
    int pace_percent; /* of the usual distances between actions */
    int network_counts[PROXY_FAULT_COUNT];
    int api_count;
    int state_count; /* groups that were put into another state */
};

/* `log_path` gets a line for each action. */
void chaos_init(struct chaos *chaos, uint64_t seed, int pace_percent, const char *log_path);
void chaos_fini(struct chaos *chaos);
/* Does what is due; `at_ms` is the time since the start. */
void chaos_turn(struct chaos *chaos, int64_t at_ms);
/* No more faults: the network passes everything, the API is itself again. */
void chaos_calm(struct chaos *chaos);

const char *chaos_network_name(enum proxy_verb verb);

#endif
