/*
 * What is shown of commands: why each one waits, and the figures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fakes/dispatch_fixture.h"

#include <stdio.h>

static void test_each_command_is_shown_with_why_it_waits(void **state)
{
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 2;
    fixture_begin_anew(3);
    fixture_claim_in("cn-a", "g1", "t1");
    fixture_claim_in("cn-a", "g1", "t2");
    fixture_claim_in("cn-a", "g2", "t3");
    fixture_claim_in("cn-a", "g3", "t4");
    fixture_assert_waits("t1 calling\nt2 group\nt3 calling\nt4 region_calls\n");
    fixture_claim_in("cn-b", "g4", "t5");
    fixture_claim_in("cn-b", "g5", "t6");
    fixture_assert_waits("t1 calling\nt2 group\nt3 calling\nt4 calls\nt5 calling\nt6 calls\n");
    fixture_answer(0, REACTION_RETRY, "Busy", 5000);
    fixture_assert_waits("t1 retry Busy\nt2 group\nt3 calling\nt4 calling\nt5 calling\nt6 calls\n");
}

static void test_a_command_that_waits_for_the_rate_is_shown_so(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_answer(0, REACTION_THROTTLE, "Throttling", 5000);
    fixture_claim("g2", "t2", 10000);
    fixture_assert_waits("t1 retry Throttling\nt2 rate\n");
}

static void test_what_is_shown_of_the_commands_is_limited(void **state)
{
    (void)state;
    struct shown shown = {""};
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g1", "t2", 10000);
    fixture_claim("g2", "t3", 10000);
    dispatch_each(fixture.dispatch, 2, fixture_show, &shown);
    assert_string_equal(shown.text, "t1 calling\nt2 group\n");
    dispatch_stop(fixture.dispatch, fixture_idle, NULL);
    fixture_assert_waits("t1 calling\nt2 stopping\nt3 calling\n");
}

static int64_t count_of(enum histogram histogram)
{
    int64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        count += fixture.counters.histograms[histogram].buckets[i];
    }
    return count;
}

static void test_each_result_of_an_attempt_has_its_counter(void **state)
{
    static const struct {
        enum category category;
        enum counter counter;
    } rows[] = {
        {CATEGORY_INVALID, COUNTER_ATTEMPTS_INVALID},
        {CATEGORY_DENIED, COUNTER_ATTEMPTS_DENIED},
        {CATEGORY_NOT_FOUND, COUNTER_ATTEMPTS_NOT_FOUND},
        {CATEGORY_CONFLICT, COUNTER_ATTEMPTS_CONFLICT},
        {CATEGORY_COOLDOWN, COUNTER_ATTEMPTS_COOLDOWN},
        {CATEGORY_THROTTLED, COUNTER_ATTEMPTS_THROTTLED},
        {CATEGORY_UNAVAILABLE, COUNTER_ATTEMPTS_UNAVAILABLE},
        {CATEGORY_UNKNOWN_OUTCOME, COUNTER_ATTEMPTS_UNKNOWN},
        {CATEGORY_CONFIGURATION, COUNTER_ATTEMPTS_CONFIGURATION},
        {CATEGORY_INTERNAL, COUNTER_ATTEMPTS_INTERNAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char token[16];
        struct attempt attempt = {.reaction = REACTION_REPLY, .retry_after_ms = -1};
        snprintf(token, sizeof token, "t%zu", i);
        attempt.outcome.status = OUTCOME_FAILED;
        attempt.outcome.category = rows[i].category;
        fixture_claim(token, token, 10000);
        fixture.calls[i].answered(fixture.calls[i].arg, &attempt);
        assert_int_equal(counter_get(&fixture.counters, rows[i].counter), 1);
    }
    assert_int_equal(count_of(HISTOGRAM_ATTEMPT), sizeof rows / sizeof rows[0]);
}

static void test_the_times_of_a_command_are_observed_once(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    assert_int_equal(count_of(HISTOGRAM_QUEUE), 1);
    fixture_answer(0, REACTION_RETRY, "Bridge.Unreachable", 1);
    fixture_run(2, 0, 5000);
    fixture_answer(1, REACTION_DONE, NULL, -1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_ATTEMPTS_SUCCEEDED), 1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_RETRIES), 1);
    assert_int_equal(count_of(HISTOGRAM_ATTEMPT), 2);
    assert_int_equal(count_of(HISTOGRAM_QUEUE), 1);
    assert_int_equal(count_of(HISTOGRAM_CALL), 1);
    assert_int_equal(count_of(HISTOGRAM_COMMAND), 1);
}

static void test_what_waits_and_the_oldest_command_are_known(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g1", "t2", 10000);
    fixture_claim("g2", "t3", 10000);
    fixture_claim("g3", "t4", 10000); /* two calls are under way */
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 2);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_OLDEST_COMMAND),
                     fixture.calls[0].command->received_at_ms);
    fixture_answer(0, REACTION_RETRY, "Bridge.Unreachable", 60000); /* after its deadline */
    assert_int_equal(fixture.done_count, 1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 1);
    fixture_answer(1, REACTION_RETRY, "Bridge.Unreachable", 5000);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 1);
    fixture_answer(2, REACTION_DONE, NULL, -1);
    fixture_answer(3, REACTION_DONE, NULL, -1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 1);
    assert_true(counter_get(&fixture.counters, COUNTER_OLDEST_COMMAND) > 0);
    fixture_run(5, 0, 9000);
    fixture_answer(4, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.done_count, 4);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_QUEUED), 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_OLDEST_COMMAND), 0);
}

static void test_a_region_has_its_own_counters_once_it_is_known(void **state)
{
    (void)state;
    fixture_claim_in("cn-a", "g1", "t1");
    fixture_answer(0, REACTION_THROTTLE, "Throttling", 1);
    fixture_run(2, 0, 5000);
    fixture_answer(1, REACTION_DONE, NULL, -1);
    fixture_claim_in("cn-invented", "g2", "t2");
    fixture_answer(2, REACTION_DONE, NULL, -1);
    fixture_claim_in("cn-invented", "g3", "t3");
    fixture_answer(3, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.counters.region_count, 2);
    assert_string_equal(fixture.counters.regions[0].name, "cn-a");
    assert_int_equal(fixture.counters.regions[0].values[REGIONAL_CALLS], 1);
    assert_int_equal(fixture.counters.regions[0].values[REGIONAL_THROTTLED], 1);
    assert_string_equal(fixture.counters.regions[1].name, "cn-invented");
    assert_int_equal(fixture.counters.regions[1].values[REGIONAL_CALLS], 1);
    assert_int_equal(fixture.counters.regions[COUNTER_REGION_OTHER].values[REGIONAL_CALLS], 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_each_command_is_shown_with_why_it_waits),
        TEST(test_a_command_that_waits_for_the_rate_is_shown_so),
        TEST(test_what_is_shown_of_the_commands_is_limited),
        TEST(test_each_result_of_an_attempt_has_its_counter),
        TEST(test_the_times_of_a_command_are_observed_once),
        TEST(test_what_waits_and_the_oldest_command_are_known),
        TEST(test_a_region_has_its_own_counters_once_it_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
