#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ecs_fixture.h"

#include "base/clock.h"
#include "support/settings_fixture.h"

#include <stdlib.h>

static void count_change(void *arg)
{
    struct fixture *fixture = arg;
    fixture->change_count++;
}

bool fixture_is_on(const struct fixture *fixture, enum health_reason reason)
{
    return health_is_on(fixture->health, reason);
}

void fixture_take_answer(void *arg, struct attempt *attempt)
{
    struct fixture *fixture = arg;
    fixture->answers++;
    fixture->reaction = attempt->reaction;
    fixture->retry_after_ms = attempt->retry_after_ms;
    fixture->at_ms = attempt->at_ms;
    outcome_fini(&fixture->outcome);
    fixture->outcome = attempt->outcome;
    attempt->outcome = (struct outcome){0};
    loop_stop(fixture->loop);
}

void fixture_set_environment(const char *id, const char *key, const char *token)
{
    const struct {
        const char *name;
        const char *value;
    } rows[] = {{"ALIBABA_CLOUD_ACCESS_KEY_ID", id},
                {"ALIBABA_CLOUD_ACCESS_KEY_SECRET", key},
                {"ALIBABA_CLOUD_SECURITY_TOKEN", token}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value == NULL) {
            unsetenv(rows[i].name);
        } else {
            setenv(rows[i].name, rows[i].value, 1);
        }
    }
}

int fixture_set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    fixture->health = health_new(fixture->loop);
    health_watch(fixture->health, count_change, fixture);
    settings_fixture_set_api(&fixture->settings);
    fixture->command = (struct command){.action = &action_rows[ACTION_StartDiskReplicaGroup],
                                        .region = "cn-beijing",
                                        .group = "pg-myreplica****",
                                        .token = "123e4567-e89b-12d3-a456-42665544****",
                                        .params = "{\"OneShot\":false}"};
    fixture_set_environment(ID, KEY, NULL);
    *state = fixture;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    ecs_free(fixture->ecs);
    health_free(fixture->health);
    loop_free(fixture->loop);
    outcome_fini(&fixture->outcome);
    fake_http_reset();
    free(fixture);
    return 0;
}

void fixture_begin(struct fixture *fixture)
{
    struct buf why = {0};
    assert_int_equal(ecs_new(fixture->loop, &fixture->settings, &fixture->tls, fixture->health,
                             &fixture->counters, &fixture->ecs, &why),
                     STATUS_OK);
    assert_int_equal(why.length, 0);
    buf_fini(&why);
}

size_t fixture_call(struct fixture *fixture)
{
    size_t count = fake_http_count();
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    assert_int_equal(fake_http_count(), count + 1);
    return count;
}

void fixture_call_and_answer(struct fixture *fixture, int status, const char *body)
{
    int answers = fixture->answers;
    size_t index = fixture_call(fixture);
    assert_int_equal(fixture->answers, answers);
    fake_http_answer_text(index, status, body);
    assert_int_equal(fixture->answers, answers + 1);
}

void fixture_call_and_fail(struct fixture *fixture, enum http_result result, const char *error)
{
    struct http_answer answer = {
        .result = result, .retry_after_ms = -1, .date_ms = -1, .error = error};
    fake_http_answer(fixture_call(fixture), &answer);
}

int64_t fixture_date_of_request(size_t index)
{
    int64_t date_ms = 0;
    const char *text = fake_http_header(index, "x-acs-date");
    assert_non_null(text);
    assert_int_equal(clock_parse(slice_text(text), &date_ms), STATUS_OK);
    return date_ms;
}
