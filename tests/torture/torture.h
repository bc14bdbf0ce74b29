/*
 * torture - a whole run: its parts, its phases, its report.
 */
#ifndef TORTURE_TORTURE_H
#define TORTURE_TORTURE_H

#include "bridge_keeper.h"
#include "broker_keeper.h"
#include "chaos.h"
#include "check.h"
#include "counters.h"
#include "far.h"
#include "plan.h"
#include "proxy.h"
#include "record.h"
#include "sender.h"
#include "tap.h"
#include "witness.h"

#include <stdbool.h>
#include <stdint.h>

struct torture_options {
    uint64_t seed;
    int duration_s;
    int rate_per_s;
    bool keeps_directory;
};

struct torture {
    struct torture_options options;
    char directory[96];
    char settings[256]; /* the bridge's, as the seed chose them */
    int deadline_s;
    int receivers;
    struct tap *tap;
    struct proxy proxy;
    struct far far;
    struct plan plan;
    struct record record;
    struct senders senders;
    struct witness witness;
    struct bridge_keeper bridge;
    struct broker_keeper broker;
    struct chaos chaos;
    FILE *excused;
    struct check check;
    bool *asked; /* commands that were asked again, by number */
    int64_t start_ms;
    int64_t storm_ms;              /* how long it was */
    int64_t asked_open_count;      /* for want of a definite answer */
    int64_t asked_lost_count;      /* for want of any, by the broker's loss */
    struct counters_read counters; /* of the quiet bridge at the end */
};

/* Starts everything and waits until the bridge has subscribed. */
void torture_begin(struct torture *torture, const struct torture_options *options);
void torture_end(struct torture *torture);
/* Lets everybody work for a moment. */
void torture_turn(struct torture *torture);
/* Commands and faults, for as long as the options say. */
void torture_storm(struct torture *torture);
/* No more faults; waits until everything has come to rest. */
void torture_calm(struct torture *torture);
/* Asks again what was left open, with a bridge of which every command is counted. */
void torture_ask(struct torture *torture);
void torture_report(const struct torture *torture);

#endif
