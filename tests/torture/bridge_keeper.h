/*
 * bridge_keeper - kills the bridge, stops it, and starts it again.
 */
#ifndef TORTURE_BRIDGE_KEEPER_H
#define TORTURE_BRIDGE_KEEPER_H

#include "flow_bridge.h"
#include "flow_fixture.h"
#include "tap.h"

#include <stdbool.h>
#include <stdint.h>

enum bridge_harm {
    BRIDGE_KILL,          /* SIGKILL to the bridge; its children end by themselves */
    BRIDGE_KILL_TAKEN,    /* the same the moment it has acknowledged a command */
    BRIDGE_KILL_ANSWERED, /* the same the moment it has sent an answer */
    BRIDGE_KILL_RECEIVER, /* SIGKILL to one of its processes */
    BRIDGE_KILL_PUBLISHER,
    BRIDGE_STOP, /* SIGTERM */
    BRIDGE_HARM_COUNT
};

struct bridge_keeper {
    struct fixture fixture; /* only what a struct bridge wants to know */
    struct bridge bridge;
    int admin_port;
    int admin_guard;
    int64_t start_ms;      /* when it is started again; 0: it runs */
    int64_t stop_by_ms;    /* when it must have ended; 0: it is not stopping */
    int64_t trap_until_ms; /* how long the tap waits for its moment; 0: it does not */
    struct tap *tap;
    bool is_deaf; /* it was told to stop before it listened to signals, so that just kills it */
    int restart_delay_ms; /* after it has stopped */
    int counts[BRIDGE_HARM_COUNT];
};

struct bridge_options {
    const char *directory;
    int broker_port;
    int api_port;
    struct tap *tap;
    const char *settings; /* on top of the harness's own, see flow_settings.h */
};

void bridge_keeper_init(struct bridge_keeper *keeper, const struct bridge_options *options);
void bridge_keeper_fini(struct bridge_keeper *keeper);
/* Whether the last harm is over and the bridge runs. */
bool bridge_keeper_is_idle(const struct bridge_keeper *keeper);
/* Only while it is idle. It is started again `delay_ms` after its end. `pick` chooses the child, or
 * which of the next packets is the moment. */
void bridge_keeper_harm(struct bridge_keeper *keeper, enum bridge_harm harm, int delay_ms,
                        uint32_t pick);
void bridge_keeper_turn(struct bridge_keeper *keeper, int64_t now_ms);

#endif
