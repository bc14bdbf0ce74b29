/* Whether the API answers, on a clock that the test moves. */
#include "ecs/reach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TIMEOUT_MS = 10000, NEEDED_MS = 30000 };

struct fixture {
    struct settings settings;
    struct health *health;
    struct reach reach;
    int64_t now_ms;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.health = health_new(NULL), .now_ms = 1000000};
    fixture.reach = (struct reach){.settings = &fixture.settings, .health = fixture.health};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    health_free(fixture->health);
    return 0;
}

/* An attempt that ends `later_ms` after the last one. */
static void note(struct fixture *fixture, const char *region, enum http_result result,
                 int64_t later_ms)
{
    const struct http_answer answer = {.result = result, .error = "x", .took_ms = TIMEOUT_MS};
    fixture->now_ms += later_ms;
    reach_note(&fixture->reach, region, &answer, "x", fixture->now_ms);
}

static bool is_silent(const struct fixture *fixture)
{
    return health_is_on(fixture->health, HEALTH_API_SILENT);
}

/* The first attempt began a timeout before its end. */
static void test_an_api_that_answers_nothing_for_half_a_minute_degrades(void **state)
{
    struct fixture *fixture = *state;
    note(fixture, "r", HTTP_CUT, 0);
    note(fixture, "r", HTTP_CUT, 0);
    note(fixture, "r", HTTP_CUT, NEEDED_MS - TIMEOUT_MS - 1);
    assert_false(is_silent(fixture));
    note(fixture, "r", HTTP_CUT, 1);
    assert_true(is_silent(fixture));
    note(fixture, "r", HTTP_NOT_SENT, 1);
    assert_true(is_silent(fixture));
    note(fixture, "r", HTTP_ANSWERED, 1);
    assert_false(is_silent(fixture));
}

static void test_any_answer_in_between_begins_anew(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 10; i++) {
        note(fixture, "r", HTTP_CUT, NEEDED_MS);
        note(fixture, "r", HTTP_CUT, NEEDED_MS);
        note(fixture, "other", HTTP_ANSWERED, 1);
    }
    note(fixture, "r", HTTP_CUT, NEEDED_MS);
    assert_false(is_silent(fixture));
}

/* Two attempts that are hours apart show little. */
static void test_two_attempts_are_too_few(void **state)
{
    struct fixture *fixture = *state;
    note(fixture, "r", HTTP_CUT, 0);
    note(fixture, "r", HTTP_CUT, 100 * NEEDED_MS);
    assert_false(is_silent(fixture));
    note(fixture, "r", HTTP_CUT, 1);
    assert_true(is_silent(fixture));
}

static void test_a_region_that_never_answered_does_not_count_where_others_have(void **state)
{
    struct fixture *fixture = *state;
    fixture->reach.has_region_hosts = true;
    note(fixture, "known", HTTP_ANSWERED, 0);
    for (int i = 0; i < 5; i++) {
        note(fixture, "misspelt", HTTP_CUT, NEEDED_MS);
    }
    assert_false(is_silent(fixture));
    for (int i = 0; i < 3; i++) {
        note(fixture, "known", HTTP_CUT, NEEDED_MS);
    }
    assert_true(is_silent(fixture));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_api_that_answers_nothing_for_half_a_minute_degrades,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_answer_in_between_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_attempts_are_too_few, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_region_that_never_answered_does_not_count_where_others_have, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
