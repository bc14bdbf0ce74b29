/*
 * What becomes of a group: as sequences of what is seen and what is published then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/watch_rules_fixture.h"

static const struct action stop_action = {.name = "StopDiskReplicaGroup", .goal = GOAL_STOPPED};
static const struct action failover_action = {.name = "FailoverDiskReplicaGroup",
                                              .goal = GOAL_FAILOVERED};

static void test_the_first_observation_begins(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "created", NO_POINT, "watching");
    rules_see(fixture, 10, "created", NO_POINT, "");
    assert_false(fixture->step.must_store);
}

static void test_a_first_copy_is_told_from_its_begin_to_its_end(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "created", NO_POINT, "watching");
    rules_see(fixture, 10, "initial_syncing", NO_POINT, "status");
    assert_string_equal(fixture->step.events[0].previous_status, "created");
    rules_see(fixture, 600, "normal", NO_POINT, "status");
    rules_see(fixture, 610, "normal", 590, "synchronised!");
    assert_int_equal(fixture->step.events[0].basis, WATCH_BASIS_RECOVER_POINT);
}

static void test_an_unknown_state_moves(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "created", NO_POINT, "watching");
    rules_see(fixture, 10, "warming_up", NO_POINT, "status");
    assert_int_equal(fixture->watch.state.flags, WATCH_HAS_MOVED);
    rules_see(fixture, 3610, "warming_up", NO_POINT, "stalled");
}

static void test_a_recovery_point_of_the_second_of_the_start_counts(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "syncing", -1, "watching");
    rules_see(fixture, 6, "syncing", 0,
              "synchronised!"); /* the start was 999 ms into that second */
}

static void test_a_recovery_point_counts_only_where_a_copy_of_this_kind_ends(void **state)
{
    static const struct {
        bool is_one_shot;
        const char *status;
        const char *events;
    } rows[] = {
        {false, "normal", "watching synchronised!"},
        {false, "syncing", "watching synchronised!"},
        {false, "initial_syncing", "watching"},
        {false, "manual_syncing", "watching"},
        {false, "stopped", "watching"},
        {false, "created", "watching"},
        {true, "stopped", "watching synchronised!"},
        {true, "created", "watching synchronised!"},
        {true, "manual_syncing", "watching"},
        {true, "normal", "watching"},
        {true, "syncing", "watching"},
    };
    struct fixture *fixture = *state;
    const struct watch_state begin = fixture->watch.state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture->watch.state = begin;
        fixture->watch.is_one_shot = rows[i].is_one_shot;
        rules_see(fixture, 5, rows[i].status, 4, rows[i].events);
    }
}

static void test_without_any_recovery_point_the_state_counts_in_two_answers(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    rules_see(fixture, 10, "normal", NO_POINT, "status");
    rules_see(fixture, 12, "syncing", NO_POINT, "status"); /* not in a row */
    rules_see(fixture, 14, "normal", NO_POINT, "status");
    rules_see(fixture, 19, "normal", NO_POINT, "synchronised!");
    assert_int_equal(fixture->step.events[0].basis, WATCH_BASIS_STATUS);
}

static void test_a_group_that_was_good_before_needs_a_recovery_point(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "normal", NO_POINT, "watching");
    rules_see(fixture, 10, "normal", NO_POINT, "");
    rules_see(fixture, 15, "normal", NO_POINT, "");
}

static void test_a_one_shot_without_recovery_points_ends_when_it_has_stopped(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_one_shot = true;
    rules_see(fixture, 5, "manual_syncing", NO_POINT, "watching");
    rules_see(fixture, 10, "stopped", NO_POINT, "status");
    rules_see(fixture, 15, "stopped", NO_POINT, "synchronised!");
}

static void test_a_one_shot_that_stops_without_a_new_recovery_point_has_stopped(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_one_shot = true;
    rules_see(fixture, 5, "manual_syncing", -100, "watching");
    rules_see(fixture, 10, "stopped", -100, "status");
    rules_see(fixture, 15, "stopped", -100, "stopped!");
}

static void test_a_recovery_point_may_come_one_answer_after_the_state(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_one_shot = true;
    rules_see(fixture, 5, "manual_syncing", -100, "watching");
    rules_see(fixture, 10, "stopped", -100, "status");
    rules_see(fixture, 15, "stopped", 9, "synchronised!");
}

static void test_somebody_ends_the_replication(void **state)
{
    static const char *const ends[] = {"stopped", "failovering", "failovered"};
    struct fixture *fixture = *state;
    const struct watch_state begin = fixture->watch.state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        fixture->watch.state = begin;
        rules_see(fixture, 5, "initial_syncing", NO_POINT, "watching");
        rules_see(fixture, 10, ends[i], NO_POINT, "status");
        rules_see(fixture, 15, ends[i], NO_POINT, "stopped!");
    }
}

static void test_a_failover_does_not_end_a_one_shot(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_one_shot = true;
    rules_see(fixture, 5, "manual_syncing", -100, "watching");
    rules_see(fixture, 10, "failovered", -100, "status");
    rules_see(fixture, 15, "failovered", -100, "");
}

static void test_a_group_that_has_not_moved_yet_is_not_stopped(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "stopped", -100, "watching");
    rules_see(fixture, 10, "stopped", -100, "");
    rules_see(fixture, 15, "stopped", -100, "");
}

static void test_progress_is_told_where_it_grows(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "manual_syncing", NO_POINT, "watching");
    rules_see_progress(fixture, 10, 0, ""); /* it has not grown */
    rules_see_progress(fixture, 15, 40, "progress");
    rules_see_progress(fixture, 20, 40, "");
    rules_see_progress(fixture, 25, 39, "");
    assert_true(fixture->step.must_store);
    rules_see(fixture, 30, "manual_syncing", NO_POINT, "");
    assert_int_equal(fixture->watch.state.view.progress_percent, 39);
}

static void test_progress_is_forgotten_with_its_copy(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    rules_see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    rules_see_progress(fixture, 10, 40, "progress");
    rules_see(fixture, 15, "syncing", NO_POINT, "status"); /* another name of the same copy */
    rules_see_progress(fixture, 20, 50, "progress");
    rules_see(fixture, 25, "syncing", NO_POINT, "");
    assert_int_equal(fixture->watch.state.view.progress_percent, 50);
    rules_see(fixture, 30, "syncing", 28, "synchronised");
    assert_int_equal(fixture->watch.state.view.progress_percent, -1);
}

static void test_progress_is_no_answer_about_the_group(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "manual_syncing", NO_POINT, "watching");
    rules_wait_until(fixture, 305, "blind");
    rules_see_progress(fixture, 310, 40, "progress");
    assert_false(fixture->step.events[0].ends_blindness);
    rules_see(fixture, 320, "manual_syncing", NO_POINT, "seen");
    rules_see_progress(fixture, 330, 40, "");
    rules_wait_until(fixture, 620, "blind");
}

static void test_after_its_time_a_watch_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.ends_at_ms = rules_at_ms(100);
    rules_see(fixture, 99, "initial_syncing", NO_POINT, "watching");
    rules_see(fixture, 100, "initial_syncing", NO_POINT, "gave_up!");
}

static void test_it_is_given_up_without_an_answer_too(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.ends_at_ms = rules_at_ms(100);
    rules_wait_until(fixture, 99, "");
    rules_miss(fixture, 99, "");
    const struct watch_state before = fixture->watch.state;
    rules_wait_until(fixture, 100, "gave_up!");
    fixture->watch.state = before;
    rules_miss(fixture, 100, "gave_up!");
}

static void test_it_is_given_up_where_the_route_does_not_watch_any_more(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    const struct watch_state before = fixture->watch.state;
    fixture->policy.is_off = true;
    rules_wait_until(fixture, 6, "gave_up!");
    fixture->watch.state = before;
    rules_see(fixture, 6, "syncing", NO_POINT, "status gave_up!");
}

static void test_a_continuous_watch_that_is_done_is_given_up_where_the_route_changes(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    rules_see(fixture, 5, "normal", 1, "watching synchronised");
    fixture->policy.is_continuous = false;
    rules_see(fixture, 10, "normal", 1, "gave_up!");
}

static void test_the_goal_comes_before_the_end_of_its_time(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.ends_at_ms = rules_at_ms(100);
    rules_see(fixture, 100, "normal", 50, "watching synchronised!");
}

static void test_a_continuous_watch_goes_on_after_it_is_synchronised(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    rules_see(fixture, 5, "normal", 1, "watching synchronised");
    rules_see(fixture, 700, "normal", 650, ""); /* neither again nor not_begun */
    assert_true(fixture->step.must_store);
    rules_see(fixture, 710, "stopped", 650, "status");
    rules_see(fixture, 715, "stopped", 650, "stopped!");
}

static void test_a_copy_that_the_state_shows_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    rules_see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    rules_see(fixture, 10, "normal", NO_POINT, "status");
    rules_see(fixture, 15, "normal", NO_POINT, "synchronised");
    rules_see(fixture, 20, "normal", NO_POINT, "");
    rules_see(fixture, 25, "normal", 21, "");
}

static void test_a_one_shot_is_never_continuous(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    fixture->watch.is_one_shot = true;
    rules_see(fixture, 5, "stopped", 4, "watching synchronised!");
}

static void test_a_later_command_ends_it(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    watch_supersede(&fixture->watch, rules_at_ms(6), &fixture->step);
    assert_true(watch_step_is_final(&fixture->step));
    rules_take_step(fixture, "superseded!");
}

static void test_other_goals_are_states(void **state)
{
    struct fixture *fixture = *state;
    const struct watch_state begin = fixture->watch.state;
    fixture->watch.action = &stop_action;
    rules_see(fixture, 5, "normal", 4, "watching");
    rules_see(fixture, 2000, "normal", 4, ""); /* neither not_begun nor lagging */
    rules_see(fixture, 2005, "stopping", 4, "status");
    rules_see(fixture, 5605, "stopping", 4, "stalled");
    rules_see(fixture, 5610, "stopped", 4, "status done!");
    fixture->watch.state = begin;
    rules_see(fixture, 5, "stopped", 4, "watching done!");
    fixture->watch.state = begin;
    rules_see(fixture, 5, "stop_failed", 4, "watching failed!");
    fixture->watch.state = begin;
    fixture->watch.action = &failover_action;
    rules_see(fixture, 5, "stopped", 4, "watching");
    rules_see(fixture, 10, "failovered", 4, "status done!");
}

static void test_a_step_that_was_not_stored_comes_again(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "created", NO_POINT, "watching");
    const struct watch_state before = fixture->watch.state;
    rules_see(fixture, 10, "initial_syncing", NO_POINT, "status");
    fixture->watch.state = before;
    rules_see(fixture, 15, "initial_syncing", NO_POINT, "status");
    assert_int_equal(fixture->step.events[0].seq, 2);
}

static void test_a_change_without_an_event_is_stored(void **state)
{
    struct fixture *fixture = *state;
    rules_see(fixture, 5, "initial_syncing", -100, "watching");
    rules_see(fixture, 10, "initial_syncing", -50, "");
    assert_true(fixture->step.must_store);
    rules_see(fixture, 10, "initial_syncing", -40, ""); /* the API's clock has whole seconds */
    assert_true(fixture->step.must_store);
    rules_see(fixture, 15, "initial_syncing", -40, "");
    assert_false(fixture->step.must_store);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rules_set_up, rules_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_observation_begins),
        TEST(test_a_first_copy_is_told_from_its_begin_to_its_end),
        TEST(test_an_unknown_state_moves),
        TEST(test_a_recovery_point_of_the_second_of_the_start_counts),
        TEST(test_a_recovery_point_counts_only_where_a_copy_of_this_kind_ends),
        TEST(test_without_any_recovery_point_the_state_counts_in_two_answers),
        TEST(test_a_group_that_was_good_before_needs_a_recovery_point),
        TEST(test_a_one_shot_without_recovery_points_ends_when_it_has_stopped),
        TEST(test_a_one_shot_that_stops_without_a_new_recovery_point_has_stopped),
        TEST(test_a_recovery_point_may_come_one_answer_after_the_state),
        TEST(test_somebody_ends_the_replication),
        TEST(test_a_failover_does_not_end_a_one_shot),
        TEST(test_a_group_that_has_not_moved_yet_is_not_stopped),
        TEST(test_progress_is_told_where_it_grows),
        TEST(test_progress_is_forgotten_with_its_copy),
        TEST(test_progress_is_no_answer_about_the_group),
        TEST(test_after_its_time_a_watch_is_given_up),
        TEST(test_it_is_given_up_without_an_answer_too),
        TEST(test_it_is_given_up_where_the_route_does_not_watch_any_more),
        TEST(test_a_continuous_watch_that_is_done_is_given_up_where_the_route_changes),
        TEST(test_the_goal_comes_before_the_end_of_its_time),
        TEST(test_a_continuous_watch_goes_on_after_it_is_synchronised),
        TEST(test_a_copy_that_the_state_shows_is_told_once),
        TEST(test_a_one_shot_is_never_continuous),
        TEST(test_a_later_command_ends_it),
        TEST(test_other_goals_are_states),
        TEST(test_a_step_that_was_not_stored_comes_again),
        TEST(test_a_change_without_an_event_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
