/*
 * ecs_fixture - calls with an API that is fake_http. The loop is real, since calls without
 * credentials are answered from a timer.
 */
#ifndef SUPPORT_FAKES_ECS_FIXTURE_H
#define SUPPORT_FAKES_ECS_FIXTURE_H

#include "ecs/call.h"
#include "support/fakes/fake_http.h"

#define ID    "LTAItestid"
#define KEY   "testsecretkey"
#define TOKEN "CAIStoken+/=~*"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SUCCESS      "{\"RequestId\":\"C123\"}"
#define REFUSAL(code, message) \
    "{\"RequestId\":\"R1\",\"Code\":\"" code "\",\"Message\":\"" message "\"}"

/* How late a slow machine may be; the clock offsets tested are far larger. */
#define SLOW_MS 60000

struct fixture {
    struct loop *loop;
    struct ecs *ecs;
    struct settings settings;
    struct tls_files tls;
    struct command command;
    struct health *health;
    struct counters counters;
    int change_count; /* of the health */
    int answers;
    enum reaction reaction;
    struct outcome outcome;
    int64_t retry_after_ms;
    int64_t at_ms;
};

bool fixture_is_on(const struct fixture *fixture, enum health_reason reason);
/* The callback of a call: keeps the answer and stops the loop. */
void fixture_take_answer(void *arg, struct attempt *attempt);
/* NULL unsets a variable. */
void fixture_set_environment(const char *id, const char *key, const char *token);
/* Makes the calls, with the settings as they are. */
void fixture_begin(struct fixture *fixture);
/* Starts a call and returns the number of its request. */
size_t fixture_call(struct fixture *fixture);
void fixture_call_and_answer(struct fixture *fixture, int status, const char *body);
void fixture_call_and_fail(struct fixture *fixture, enum http_result result, const char *error);
int64_t fixture_date_of_request(size_t index);
/* cmocka's; *state is the fixture, with a key in the environment and without calls. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

#endif
