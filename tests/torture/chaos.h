/*
 * chaos - the schedule of faults: nine schedules, for bridge, broker, network, API, the broker's
 * rights, the reader of the log, and with a shared ledger pauses of bridges, its servers and the
 * network to them.
 *
 * Each uses its own random stream. An action begins when its time has come and the previous action
 * of its schedule is over. So a seed gives the same actions in the same order, whatever the speed
 * of the machine.
 */
#ifndef TORTURE_CHAOS_H
#define TORTURE_CHAOS_H

#include "api.h"
#include "bridge_keeper.h"
#include "broker_keeper.h"
#include "proxy.h"
#include "random.h"
#include "store_keeper.h"

#include <stdint.h>
#include <stdio.h>

enum chaos_kind {
    CHAOS_BRIDGE,
    CHAOS_BROKER,
    CHAOS_NETWORK,
    CHAOS_API,
    CHAOS_RIGHTS, /* where the broker lets the bridge publish */
    CHAOS_LOG,
    CHAOS_PAUSE,     /* the last three only with a shared ledger */
    CHAOS_STORE,     /* its servers */
    CHAOS_STORE_CUT, /* the network to them */
    CHAOS_COUNT
};

/* Kinds of faults that can be left out. */
enum chaos_part {
    CHAOS_SETTINGS = 1, /* other settings at a start of the bridge */
    CHAOS_REFUSALS = 2, /* replies that the broker refuses */
    CHAOS_LOG_STALLS = 4,
    CHAOS_STRAYS = 8,   /* second answers of the API */
    CHAOS_PAUSES = 16,  /* of bridges */
    CHAOS_SERVERS = 32, /* restarts and kills of the ledger's servers */
    CHAOS_CUTS = 64,    /* in the network to them */
    CHAOS_FAIL_OVERS = 128,
    CHAOS_RETURNS = 256,  /* of a server that was replaced */
    CHAOS_FULL = 512,     /* file system of the ledger */
    CHAOS_KILLS = 1024,   /* of bridges */
    CHAOS_BROKERS = 2048, /* kills and stops of the broker */
    CHAOS_WATCH = 4096,   /* no fault: the groups are watched */
    CHAOS_LOSSES = 8192,  /* fail-overs to an asynchronous standby */
    CHAOS_ALL = 16383,
};

struct chaos_schedule {
    struct random random;
    int64_t due_ms; /* time of the next action, from the start of the run */
    int count;
};

struct chaos {
    struct chaos_schedule schedules[CHAOS_COUNT];
    struct random settings; /* what changes at a start of the bridge */
    struct random choice;   /* which of several bridges, and how long it stays away */
    unsigned parts;         /* of enum chaos_part */
    struct bridge_keeper *bridges;
    int bridge_count;
    int next_bridge;            /* the one that the next action of CHAOS_BRIDGE is for */
    int next_paused;            /* the same for CHAOS_PAUSE */
    struct store_keeper *store; /* NULL without a shared ledger */
    struct broker_keeper *broker;
    struct proxy *proxy;
    struct api *api;
    FILE *log;
    int pace_percent;        /* scale of the time between actions */
    uint8_t store_harms[16]; /* enum store_harm: what is drawn next of CHAOS_STORE */
    size_t store_left;
    int network_counts[PROXY_FAULT_COUNT];
    int api_count;
    int state_count; /* groups whose state was changed */
    int store_cut_count;
};

/* `parts` has the bits of enum chaos_part. `log_path` gets a line for each action. */
void chaos_init(struct chaos *chaos, uint64_t seed, int pace_percent, unsigned parts,
                const char *log_path);
void chaos_fini(struct chaos *chaos);
/* Begins the actions that are due; `at_ms` is the time since the start. */
void chaos_step(struct chaos *chaos, int64_t at_ms);
/* Ends all faults of network, API, rights and log. */
void chaos_calm(struct chaos *chaos);

const char *chaos_network_name(enum proxy_verb verb);

#endif
