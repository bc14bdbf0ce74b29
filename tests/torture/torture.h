/*
 * torture - a whole run: its parts, its phases, its report.
 */
#ifndef TORTURE_TORTURE_H
#define TORTURE_TORTURE_H

#include "api.h"
#include "bridge_keeper.h"
#include "broker_keeper.h"
#include "chaos.h"
#include "check.h"
#include "counters.h"
#include "plan.h"
#include "proxy.h"
#include "record.h"
#include "relay.h"
#include "sender.h"
#include "store_keeper.h"
#include "tap.h"
#include "witness.h"

#include <stdbool.h>
#include <stdint.h>

struct torture_options {
    uint64_t seed;
    int duration_s;
    int rate_per_s;
    enum transport transport; /* TRANSPORT_COUNT: the seed chooses it */
    bool has_manners;         /* the next two say how the API behaves; otherwise the seed does */
    bool is_state_first;
    bool forgets;
    unsigned parts;    /* of enum chaos_part */
    int bridges;       /* how many; more than one only with a shared ledger */
    bool is_shared;    /* the ledger is in PostgreSQL */
    bool has_bouncers; /* behind a pgbouncer */
    bool has_alerts;   /* messages that bring several commands */
    bool keeps_directory;
};

struct torture {
    struct torture_options options;
    char directory[96];
    char settings[384]; /* every bridge's settings, chosen by the seed */
    char route_settings[128];
    int coalesce_s; /* of the route of alerts; below 0: there is none */
    int deadline_s;
    bool is_state_first; /* how the API behaves: api_start() */
    int token_ttl_s;
    bool closes_at_refusals; /* how the broker does: broker_keeper_init() */
    struct tap *tap;
    struct proxy proxy;
    struct relay relay;
    struct api api;
    struct plan plan;
    struct record record;
    struct senders senders;
    struct witness witness;
    struct bridge_keeper bridges[TAP_BRIDGES_MAX];
    struct store_keeper store; /* of a shared ledger */
    struct store_findings findings;
    /* Of the last fail-over with losses: which bridges must report it, or have done so. */
    int losses_seen;
    bool must_report[TAP_BRIDGES_MAX];
    bool has_reported;
    int loss_reports;
    int losses_not_reported; /* by a bridge that ran; it may have been killed in that moment */
    struct broker_keeper broker;
    struct chaos chaos;
    FILE *excused;
    struct check check;
    bool *asked; /* whether a command was sent again, by number */
    int64_t start_ms;
    int64_t storm_ms;                               /* duration of the storm */
    int64_t asked_open_count;                       /* because they had no definite answer */
    int64_t asked_lost_count;                       /* because the broker lost their answer */
    struct counters_read counters[TAP_BRIDGES_MAX]; /* of the idle bridges at the end */
    char *
        watches[TAP_BRIDGES_MAX]; /* the pages /api/watches at the end; NULL: nothing was watched */
};

/* Starts everything and waits until every bridge has subscribed. */
void torture_begin(struct torture *torture, const struct torture_options *options);
void torture_end(struct torture *torture);
/* Runs one iteration of all parts. */
void torture_step(struct torture *torture);
/* Sends commands and makes faults for the duration in the options. */
void torture_storm(struct torture *torture);
/* Ends all faults; waits until everything is idle. */
void torture_calm(struct torture *torture);
/* Sends open commands again, to restarted bridges whose counters are checked. */
void torture_ask(struct torture *torture);
void torture_report(const struct torture *torture);

#endif
