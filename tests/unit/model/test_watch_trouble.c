/*
 * Groups that fail, are gone, stall or cannot be seen: as sequences of what is seen and what is
 * published then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/watch_rules_fixture.h"

static void test_a_group_that_does_not_exist_any_more_ends_it(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "created", NO_POINT, "watching");
    rules_see(fixture, 10, "deleted", NO_POINT, "gone!");
    assert_string_equal(fixture->step.events[0].previous_status, "created");
}

static void test_absent_from_three_answers_over_a_minute_is_gone(void **state)
{
    struct fixture *fixture = *state;
    rules_miss(fixture, 0, "");
    rules_miss(fixture, 1, "");
    rules_miss(fixture, 59, "");
    rules_see(fixture, 60, "created", NO_POINT, "watching"); /* begins again */
    rules_miss(fixture, 61, "");
    rules_miss(fixture, 121, "");
    rules_wait_until(fixture, 130, "");
    rules_miss(fixture, 131, "gone!");
}

static void test_three_absences_within_a_minute_are_not_enough(void **state)
{
    struct fixture *fixture = *state;
    rules_miss(fixture, 0, "");
    rules_miss(fixture, 1, "");
    rules_miss(fixture, 2, "");
    rules_wait_until(fixture, 70, ""); /* no answer */
    rules_miss(fixture, 71, "gone!");
    assert_int_equal(fixture->watch.state.seq, 1);
}

static void test_each_failed_state_ends_it(void **state)
{
    static const char *const failed[] = {"invalid",          "stop_failed",   "failover_failed",
                                         "reprotect_failed", "create_failed", "delete_failed"};
    struct fixture *fixture = *state;
    const struct watch_state begin = fixture->watch.state;
    for (size_t i = 0; i < sizeof failed / sizeof failed[0]; i++) {
        fixture->watch.state = begin;
        rules_see(fixture, 5, "syncing", -10, "watching");
        rules_see(fixture, 10, failed[i], 20, "failed!"); /* before the new recovery point counts */
        fixture->watch.state = begin;
        rules_see(fixture, 5, failed[i], NO_POINT, "watching failed!");
    }
}

static void test_no_sign_of_a_begin_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "stopped", -100, "watching");
    rules_see(fixture, 600, "stopped", -100, "");
    rules_see(fixture, 601, "stopped", -100, "not_begun");
    rules_see(fixture, 700, "stopped", -100, "");
    rules_see(fixture, 705, "syncing", -100, "status");
}

static void test_a_group_that_moved_has_begun(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    rules_see(fixture, 700, "initial_syncing", NO_POINT, "");
}

static void test_a_recovery_point_that_is_too_old_is_told_until_it_is_recent(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    rules_see(fixture, 5, "syncing", 4, "watching synchronised");
    rules_see(fixture, 4 + 2 * RPO_S, "syncing", 4, "");
    rules_see(fixture, 5 + 2 * RPO_S, "normal", 4, "status lagging");
    rules_see(fixture, 6 + 2 * RPO_S, "syncing", 4, "status");
    rules_see(fixture, 7 + 2 * RPO_S, "syncing", 1800, "caught_up");
    rules_see(fixture, 8 + 2 * RPO_S, "syncing", 1800, "");
}

static void test_a_group_that_stops_has_not_caught_up(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "syncing", -2000, "watching lagging");
    rules_see(fixture, 10, "stopped", -1, "status");
    rules_see(fixture, 15, "stopped", -1, "stopped!");
}

static void test_the_groups_own_rpo_counts(void **state)
{
    struct fixture *fixture = *state;
    struct group_observation seen = {
        .at_ms = rules_at_ms(130),
        .view = {.status = "normal", .recover_point_s = START_S - 10, .rpo_s = 60}};
    watch_observe(&fixture->watch, &seen, &fixture->policy, &fixture->step);
    rules_take_step(fixture, "watching lagging");
    rules_see(fixture, 131, "normal", -10, ""); /* an answer without it changes nothing */
    assert_int_equal(fixture->watch.state.view.rpo_s, 60);
}

static void test_a_stall_is_told_once_until_something_changes(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 4, "initial_syncing", NO_POINT, "watching");
    rules_see_progress(fixture, 5, 3, "progress");
    rules_see(fixture, 3604, "initial_syncing", NO_POINT, "");
    rules_see(fixture, 3605, "initial_syncing", NO_POINT, "stalled");
    rules_see_progress(fixture, 3700, 3, "");
    rules_see(fixture, 3701, "initial_syncing", NO_POINT, "");
    rules_see_progress(fixture, 3705, 4, "progress");
    rules_see(fixture, 7304, "initial_syncing", NO_POINT, "");
    rules_see(fixture, 7305, "initial_syncing", NO_POINT, "stalled");
}

static void test_a_group_at_rest_does_not_stall(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "stopped", -100, "watching");
    rules_see(fixture, 9000, "stopped", -100, "not_begun");
}

static void test_blindness_is_told_once_and_its_end_with_the_next_observation(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    rules_wait_until(fixture, 304, "");
    rules_wait_until(fixture, 305, "blind");
    rules_wait_until(fixture, 700, "");
    rules_see(fixture, 701, "initial_syncing", NO_POINT, "seen");
    assert_true(fixture->step.events[0].ends_blindness);
    rules_wait_until(fixture, 1001, "blind");
    rules_see(fixture, 1002, "normal", NO_POINT, "status");
    assert_true(fixture->step.events[0].ends_blindness);
    rules_see(fixture, 1003, "normal", 1001, "synchronised!");
    assert_false(fixture->step.events[0].ends_blindness);
}

static void test_an_absence_is_an_answer_too(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    rules_miss(fixture, 300, "");
    rules_wait_until(fixture, 599, "");
    rules_wait_until(fixture, 600, "blind");
}

static void test_a_blind_end_does_not_end_the_blindness(void **state)
{
    struct fixture *fixture = *state;
    rules_wait_until(fixture, 300, "blind");
    watch_supersede(&fixture->watch, rules_at_ms(301), &fixture->step);
    assert_false(fixture->step.events[0].ends_blindness);
    rules_take_step(fixture, "superseded!");
}

static void test_a_watch_may_be_blind_before_it_has_seen_anything(void **state)
{
    struct fixture *fixture = *state;
    rules_wait_until(fixture, 300, "blind");
    rules_see(fixture, 301, "initial_syncing", NO_POINT, "watching");
    assert_true(fixture->step.events[0].ends_blindness);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rules_set_up, rules_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_group_that_does_not_exist_any_more_ends_it),
        TEST(test_absent_from_three_answers_over_a_minute_is_gone),
        TEST(test_three_absences_within_a_minute_are_not_enough),
        TEST(test_each_failed_state_ends_it),
        TEST(test_no_sign_of_a_begin_is_told_once),
        TEST(test_a_group_that_moved_has_begun),
        TEST(test_a_recovery_point_that_is_too_old_is_told_until_it_is_recent),
        TEST(test_a_group_that_stops_has_not_caught_up),
        TEST(test_the_groups_own_rpo_counts),
        TEST(test_a_stall_is_told_once_until_something_changes),
        TEST(test_a_group_at_rest_does_not_stall),
        TEST(test_blindness_is_told_once_and_its_end_with_the_next_observation),
        TEST(test_an_absence_is_an_answer_too),
        TEST(test_a_blind_end_does_not_end_the_blindness),
        TEST(test_a_watch_may_be_blind_before_it_has_seen_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
