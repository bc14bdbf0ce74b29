/*
 * check - the proof, from three records: the senders' and the witness', the proxy's tap, and the
 * simulator's.
 */
#ifndef TORTURE_CHECK_H
#define TORTURE_CHECK_H

#include "broker_keeper.h"
#include "far.h"
#include "plan.h"
#include "record.h"
#include "tap.h"

#include <stdint.h>
#include <stdio.h>

struct check {
    const struct plan *plan;
    const struct record *record;
    const struct tap *tap;
    const struct far *far;
    const struct broker_keeper *broker;
    FILE *excused;           /* gets a line for all that is not blamed on the bridge */
    int64_t accepted_count;  /* commands that a sender saw acknowledged */
    int64_t succeeded_count; /* replies by status, each counted once */
    int64_t failed_count;
    int64_t unknown_count;
    int64_t refused_count;
    int64_t replayed_count;
    int64_t dead_letter_count;
    int64_t broker_lost_commands;
    int64_t broker_lost_saved; /* of them: in the file that went with it, the rest came later */
    int64_t
        broker_lost_delivered; /* of them: that had come to the bridge, which did not take them */
    int64_t
        broker_lost_wait_ms; /* the longest that one of them had been acknowledged at the kill */
    int64_t broker_lost_replies;
    int64_t broker_lost_reply_wait_ms; /* the same of those */
    int64_t anonymous_twice; /* commands with nothing to know them by, done at two arrivals */
    int64_t late_effects;    /* after an honest `failed`, when the token was asked again */
};

/* Why a command has no answer. */
enum check_answer {
    CHECK_ANSWERED,
    CHECK_NOT_ACCEPTED,      /* nobody acknowledged it */
    CHECK_BROKER_LOST,       /* the broker forgot it before the bridge acknowledged it */
    CHECK_BROKER_LOST_REPLY, /* the broker had its reply and forgot it */
    CHECK_LOST,
};

enum check_answer check_answer_of(const struct check *check, uint32_t number);

/* The command to be asked again for what this one left open, with its token where the bridge made
 * it. */
struct check_question {
    bool is_open;
    char token[PLAN_TOKEN_BYTES]; /* "" for the plan's */
};

/* Whether a command's answer or its token's outcome is still open. */
struct check_question check_question_of(const struct check *check, uint32_t number);

/* Everything; tells what is broken by violate(). */
void check_all(struct check *check);
/* All that is known of a command, in one line the caller frees. */
char *check_story(const struct check *check, uint32_t number);

#endif
