/*
 * check - the final check of three records: those of senders and witness, of the proxy's tap, and
 * of the simulator.
 */
#ifndef TORTURE_CHECK_H
#define TORTURE_CHECK_H

#include "api.h"
#include "bridge_keeper.h"
#include "broker_keeper.h"
#include "plan.h"
#include "record.h"
#include "store_loss.h"
#include "tap.h"

#include <stdint.h>
#include <stdio.h>

struct check {
    const struct plan *plan;
    const struct record *record;
    const struct tap *tap;
    const struct api *api;
    const struct broker_keeper *broker;
    const struct bridge_keeper *bridges;
    int bridge_count;
    const struct store_losses *losses; /* of the shared ledger */
    FILE *excused;           /* gets a line for each loss that broker or database caused */
    int64_t accepted_count;  /* commands acknowledged to their sender */
    int64_t succeeded_count; /* replies by status, each counted once */
    int64_t stopped_count;   /* of the succeeded ones, those of stops */
    int64_t failed_count;
    int64_t unknown_count;
    int64_t refused_count;
    int64_t replayed_count;
    int64_t dead_letter_count;
    int64_t broker_lost_commands;
    int64_t
        broker_lost_saved; /* of these: in the database that was removed; the others came later */
    int64_t broker_lost_delivered; /* of these: delivered to the bridge, which did not acknowledge
                                      them */
    int64_t broker_lost_wait_ms; /* the longest time from the acknowledgement of one of them to the
                                    kill */
    int64_t broker_lost_replies;
    int64_t broker_lost_reply_wait_ms; /* the same for lost replies */
    /* Because a fail-over to an asynchronous standby has lost writes about them. */
    int64_t store_lost_commands; /* without an answer, or with fewer than arrivals */
    int64_t store_lost_answers;  /* more than arrivals: called again */
    int64_t store_lost_effects; /* `failed`, or no success, and there was an effect; a second effect
                                   where the API forgets tokens; a token that no answer has */
    int64_t store_lost_overlaps;
    int64_t store_lost_histories; /* an attempt that ends and does not begin */
    int64_t store_lost_watches;
    int64_t anonymous_twice; /* commands without token and correlation, done at two arrivals */
    int64_t paused_overlaps; /* calls beside one of a bridge that was paused and replaced */
    int64_t coalesced_count; /* of the succeeded ones */
    int64_t watch_count;     /* commands whose group was watched */
    int64_t watch_superseded_count;
    int64_t watch_final_count;
    int64_t watch_going_on_count;
    int64_t watch_same_second_count; /* of a token that had one in the same second */
    int64_t event_count;
    int64_t event_repeated_count; /* sent once more, with the same bytes */
    /* Several bridges: an event that came before an earlier one of another bridge; a watch that
     * began before the end of the one before it was published. */
    int64_t event_overtaken_count;
    int64_t watch_early_count;
    int64_t late_effects; /* after a correct `failed`, when the command was sent again */
};

/* Whether a command has an answer, and why not. */
enum check_answer {
    CHECK_ANSWERED,
    CHECK_NOT_ACCEPTED,      /* never acknowledged */
    CHECK_BROKER_LOST,       /* the broker lost it before the bridge acknowledged it */
    CHECK_BROKER_LOST_REPLY, /* the broker had its reply and lost it */
    CHECK_STORE_LOST,        /* a fail-over has lost what the bridge had stored of it */
    CHECK_LOST,
};

enum check_answer check_answer_of(const struct check *check, uint32_t number);

/* The command to send again because this one is still open, with its token if the bridge made it.
 */
struct check_question {
    bool is_open;
    char token[PLAN_TOKEN_BYTES]; /* "": the token of the plan */
};

/* The command to send again for this one, if its answer or its token's outcome is still open. */
struct check_question check_question_of(const struct check *check, uint32_t number);

/* Checks everything; reports violations with violate(). */
void check_all(struct check *check);
/* Whether such a write about the token was lost with a fail-over: then it is counted in *count, and
 * the file of excuses gets the reason. */
bool check_excuse_token(struct check *check, const char *token, unsigned writes, int64_t *count,
                        const char *why);
/* Everything that is known about a command, in one line; the caller frees it. */
char *check_story(const struct check *check, uint32_t number);

#endif
