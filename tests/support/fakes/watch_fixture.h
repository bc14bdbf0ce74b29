/*
 * watch_fixture - the watcher with an API and a ledger that only record what they are asked: the
 * test gives the answers.
 */
#ifndef SUPPORT_FAKES_WATCH_FIXTURE_H
#define SUPPORT_FAKES_WATCH_FIXTURE_H

#include "ecs/describe.h"
#include "ecs/pairs.h"
#include "watch/watcher.h"

#define POLL_MS INT64_C(6000) /* more than poll_min_s with its jitter */

struct fixture {
    struct settings settings;
    struct counters counters;
    struct health *health;
    struct watcher *watcher;
};

/* The last call, which the test answers. */
extern struct watch_api {
    int count; /* of calls */
    enum group_site site;
    char ids[512]; /* each with a blank behind it */
    size_t id_count;
    described_fn *done;
    void *arg;
    bool may_call;
    int64_t clock_ahead_ms;
    size_t fitting_max;   /* names in a call; 0: as many as are allowed */
    char asked_pairs[64]; /* the last call about pairs, until it is answered */
    int progress_count;
    pairs_answered_fn *pairs_done;
    void *pairs_arg;
    /* The ledger. */
    char payload[2048]; /* of the last event, encoded */
    enum status stored;
    bool is_slow; /* it answers when the test says so */
    ledger_watched_fn *stored_done;
    void *stored_arg;
    char messages[1024];
    int steps;
} api;

/* Answers with these groups, separated by blanks, in this state. */
void fixture_answer(const char *ids, const char *status);
/* Answers the last call with this result, without a group. */
void fixture_answer_without_groups(enum describe_result result, enum category category,
                                   int64_t retry_after_ms);
/* The last call about pairs is one about this pair, or "of " the group; it is answered. */
void fixture_answer_pairs(const char *asked, enum describe_result result, const char *states,
                          int percent);
/* The events since the last call, as object:event:seq. */
void fixture_expect_events(const char *events);
struct watch fixture_watch_of(int64_t id, const char *object);
void fixture_add(struct fixture *fixture, int64_t id, const char *object);
/* There were so many calls, and the last one was for these groups at this site. */
void fixture_expect_call(int count, const char *ids, enum group_site site);
/* cmocka's; *state is the fixture, without a watch. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

#endif
