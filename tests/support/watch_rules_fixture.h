/*
 * watch_rules_fixture - a watch of one group, and what is seen of it.
 */
#ifndef SUPPORT_WATCH_RULES_FIXTURE_H
#define SUPPORT_WATCH_RULES_FIXTURE_H

#include "model/watch_rules.h"

#define START_S 1700000000 /* of the command; times in the tests count from it */
#define RPO_S   900

struct fixture {
    struct watch watch;
    struct watch_policy policy;
    struct watch_step step;
    struct buf events; /* of the step: "watching status synchronised!", with '!' for final */
};

#define NO_POINT INT32_MIN

int64_t rules_at_ms(int second);
/* Takes over the step, as after its transaction, and checks what is true of every step. */
void rules_take_step(struct fixture *fixture, const char *expected);
/* The group is seen in this state; `recover_point` in seconds after the start, or NO_POINT. These
 * events are published: `expected` as in struct fixture. */
void rules_see(struct fixture *fixture, int second, const char *status, int recover_point,
               const char *expected);
void rules_see_progress(struct fixture *fixture, int second, int percent, const char *expected);
/* A complete answer does not list the group. */
void rules_miss(struct fixture *fixture, int second, const char *expected);
/* Time passes. */
void rules_wait_until(struct fixture *fixture, int second, const char *expected);
/* cmocka's; *state is the fixture. */
int rules_set_up(void **state);
int rules_tear_down(void **state);

#endif
