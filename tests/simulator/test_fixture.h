/*
 * test_fixture - the surroundings of tests that read groups and pairs: a simulator with the group
 * pg-1 in cn-beijing, and questions to it.
 *
 * All but the three of cmocka fail the running test if an answer is not what the caller says.
 */
#ifndef SIMULATOR_TEST_FIXTURE_H
#define SIMULATOR_TEST_FIXTURE_H

#include "test_client.h"

extern const char groups_action[];
extern const char pairs_action[];
extern const char progress_action[];
extern const char stop_action[];

/* Where all questions go. A test that starts one of its own puts this one back. */
extern struct simulator simulator;

/* Setup and teardown of a program's tests, and setup of one. _both: there is also pg-stopped, which
 * is stopped. */
int fixture_start(void **state);
int fixture_start_both(void **state);
int fixture_stop(void **state);
int fixture_reset(void **state);

/* Change or make a group of cn-beijing; `fields` as in `"Status":"normal"`. */
void set_group(const char *id, const char *fields);

/* Make pg-1 to pg-<count>, all `created`. */
void make_groups(int count);

/* Move the time of groups forward. */
void advance(int64_t ms);

/* Start a group and compare the answer; code "" is a success. */
void expect_start(const char *group, const char *token, const char *one_shot, const char *code);

/* Call an action (NULL: a start), which must answer this code; "" is a success. */
void ask(const char *action, const char *query, const char *code, struct reply *out_reply);
void expect(const char *action, const char *query, const char *code);

/* Call an action whose answer must be a list of so many items. */
void expect_count(const char *action, const char *query, int count);

/* The list of groups or pairs in an answer; the reply owns it. */
const cJSON *list_of(const struct reply *reply);

/* A number that must be there; a text, "" if it is not there. */
int64_t number_of(const cJSON *object, const char *name);
const char *text_of(const cJSON *object, const char *name);

/* pg-1 as it is listed; the reply owns it. */
const cJSON *ask_group(struct reply *out_reply);
void expect_status(const char *status);

/* How old the recovery point of pg-1 is, in seconds; -1: there is none. */
int64_t recover_age_s(void);

#endif
