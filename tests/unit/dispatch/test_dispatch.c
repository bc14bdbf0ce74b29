/*
 * Groups, slots, deadlines, reservations, changed settings and the stop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/fakes/dispatch_fixture.h"

#include <stdio.h>
#include <string.h>

static void test_a_reserved_command_is_called_at_once(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_assert_called(0, "t1");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_assert_done(0, "t1", OUTCOME_SUCCEEDED, "");
    assert_int_equal(fixture.done[0].attempts, 1);
}

static void test_commands_of_a_group_are_called_one_at_a_time_in_order(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g1", "t2", 10000);
    fixture_claim("g1", "t3", 10000);
    assert_int_equal(fixture.call_count, 1);
    fixture_answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    fixture_assert_called(1, "t2");
    fixture_answer(1, REACTION_REPLY, "X", -1);
    fixture_assert_called(2, "t3");
    fixture_answer(2, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.done_count, 3);
}

static void test_a_command_that_the_settings_no_longer_allow_ends_uncalled(void **state)
{
    (void)state;
    struct command *unsure = fixture_make("g1", "unsure", 10000);
    struct command *ready = fixture_make("g2", "ready", 10000);
    unsure->state = STATE_UNSURE;
    unsure->attempts = 1;
    unsure->crashes = 3;
    dispatch_resume(fixture.dispatch, unsure, false);
    dispatch_resume(fixture.dispatch, ready, false);
    dispatch_resume(fixture.dispatch, fixture_make("g3", "late", 0), false);
    fixture_resume("g1", "t3", 0);
    fixture_assert_done(0, "unsure", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
    fixture_assert_done(1, "ready", OUTCOME_FAILED, "Bridge.NotAllowed");
    fixture_assert_done(2, "late", OUTCOME_FAILED, "Bridge.Expired");
    assert_int_equal(counter_get(&fixture.counters, COUNTER_SET_ASIDE), 0);
    assert_int_equal(fixture.call_count, 1);
    fixture_assert_called(0, "t3");
}

/* Other settings, while commands are called, wait in the queue, in their group and in backoff. */
static void test_settings_that_change_end_what_waits_and_is_not_allowed_any_more(void **state)
{
    (void)state;
    static char *allowed[] = {"g1", "g3"};
    static char name[] = "start";
    struct route next = fixture.route;
    fixture.route.name = name;
    fixture_claim("g2", "called", 10000);
    fixture_claim("g1", "backoff", 10000);
    fixture_answer(1, REACTION_RETRY_UNSURE, NULL, 5000);
    fixture_claim("g4", "unsure", 10000);
    fixture_answer(2, REACTION_RETRY_UNSURE, NULL, 5000);
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g5", "other", 10000);
    fixture_claim("g2", "behind", 10000);
    fixture_claim("g6", "queued", 10000);
    fixture_claim("g3", "allowed", 10000);
    assert_int_equal(fixture.call_count, 4);
    next.name = name;
    next.action = "StartDiskReplicaGroup";
    next.groups = (struct text_list){allowed, 2};
    fixture.settings.routes = &next;
    dispatch_settings_changed(fixture.dispatch);
    assert_int_equal(fixture.done_count, 3);
    for (size_t i = 0; i < fixture.done_count; i++) {
        bool is_unsure = strcmp(fixture.done[i].token, "unsure") == 0;
        assert_true(is_unsure || strcmp(fixture.done[i].token, "behind") == 0 ||
                    strcmp(fixture.done[i].token, "queued") == 0);
        assert_int_equal(fixture.done[i].status, is_unsure ? OUTCOME_UNKNOWN : OUTCOME_FAILED);
    }
    /* What is being called goes on, and so does what is allowed. */
    assert_ptr_equal(fixture.calls[0].command->route, &next);
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_answer(3, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.done_count, 5);
    fixture_assert_called(4, "allowed");
    assert_int_equal(fixture.call_count, 5);
}

static void test_settings_that_change_take_effect_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        char group[8];
        snprintf(group, sizeof group, "g%d", i);
        fixture_claim(group, group, 10000);
    }
    assert_int_equal(fixture.call_count, 2);
    fixture.settings.api.max_in_flight = 5;
    fixture.settings.api.max_in_flight_per_region = 4;
    fixture.route.name = (char[]){"start"};
    static char *all[] = {"*"};
    fixture.route.action = (char[]){"StartDiskReplicaGroup"};
    fixture.route.groups = (struct text_list){all, 1};
    dispatch_settings_changed(fixture.dispatch);
    fixture_record_starts();
    assert_int_equal(fixture.call_count, 4);
}

/* An operator orders a command of the same group while a claim that is called at once is on its
 * way.
 */
static void test_a_command_that_is_ordered_again_waits_behind_a_claim_on_its_way(void **state)
{
    (void)state;
    struct claim on_its_way = fixture_reserve("g1", "t1", 10000);
    assert_true(on_its_way.reservation.is_called_at_once);
    fixture_resume("g1", "ordered", 0);
    assert_int_equal(fixture.call_count, 0);
    fixture_confirm(on_its_way);
    assert_int_equal(fixture.call_count, 1);
    fixture_assert_called(0, "t1");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    fixture_assert_called(1, "ordered");
    on_its_way = fixture_reserve("g2", "t2", 10000);
    fixture_resume("g2", "again", 0);
    fixture_release(on_its_way);
    assert_int_equal(fixture.call_count, 3);
    fixture_assert_called(2, "again");
}

static void test_groups_run_side_by_side_up_to_the_limit(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g2", "t2", 10000);
    fixture_claim("g3", "t3", 10000);
    assert_int_equal(fixture.call_count, 2);
    fixture_answer(1, REACTION_DONE, NULL, -1);
    fixture_assert_called(2, "t3");
}

static void test_a_command_that_is_tried_again_stays_first_in_its_group(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g1", "t2", 10000);
    fixture_answer(0, REACTION_RETRY, "Bridge.Unreachable", 30);
    assert_int_equal(fixture.call_count, 1);
    fixture_run(2, 0, 5000);
    fixture_assert_called(1, "t1");
    fixture_answer(1, REACTION_DONE, NULL, -1);
    fixture_assert_called(2, "t2");
    assert_int_equal(fixture.done[0].attempts, 2);
}

static void test_nothing_done_until_the_deadline_is_a_failure_with_the_last_code(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 1000);
    fixture_answer(0, REACTION_THROTTLE, "Throttling.User", 5000);
    fixture_assert_done(0, "t1", OUTCOME_FAILED, "Throttling.User");
}

static void test_a_backoff_beyond_the_deadline_leaves_a_last_attempt_before_it(void **state)
{
    (void)state;
    int64_t begin_ms = clock_mono_ms();
    fixture_claim("g1", "t1", 700);
    for (size_t i = 0; fixture.done_count == 0; i++) {
        fixture_answer(i, REACTION_RETRY, "Bridge.Unreachable", -1);
        fixture_run(i + 2, 1, 5000);
    }
    assert_true(clock_mono_ms() - begin_ms >= 450);
    fixture_assert_done(0, "t1", OUTCOME_FAILED, "Bridge.Unreachable");
}

static void test_the_backoff_of_a_resumed_command_ends_before_its_deadline(void **state)
{
    (void)state;
    struct command *command = fixture_make("g1", "t1", 10000);
    command->not_before_ms = clock_wall_ms() + 3600000;
    dispatch_resume(fixture.dispatch, command, true);
    fixture_run(1, 0, 2000);
    fixture_assert_called(0, "t1");
    fixture_answer(0, REACTION_DONE, NULL, -1);
}

static void test_a_deadline_that_passes_in_the_queue_ends_the_command(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g1", "t2", 100);
    fixture_run(0, 1, 5000);
    fixture_assert_done(0, "t2", OUTCOME_FAILED, "Bridge.Expired");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 1);
}

static void test_a_claim_that_becomes_durable_after_its_deadline_is_not_called(void **state)
{
    (void)state;
    struct claim late = fixture_reserve("g1", "t1", 50);
    assert_true(late.reservation.is_called_at_once);
    fixture_run(0, 0, 100);
    fixture_confirm(late);
    assert_int_equal(fixture.call_count, 0);
    fixture_assert_done(0, "t1", OUTCOME_FAILED, "Bridge.Expired");
    assert_int_equal(fixture.done[0].attempts, 0);
    /* The attempt that was recorded has its end, too. */
    assert_int_equal(fixture.pause_count, 1);
    assert_int_equal(fixture.last_pause, MOVE_NOTHING_DONE);
}

static void test_the_earliest_deadline_comes_first_whatever_the_order_of_arrival(void **state)
{
    (void)state;
    int64_t begin_ms = clock_mono_ms();
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g1", "t2", 10000);
    fixture_claim("g1", "t3", 300);
    fixture_claim("g1", "t4", 100);
    fixture_run(0, 2, 5000);
    fixture_assert_done(0, "t4", OUTCOME_FAILED, "Bridge.Expired");
    fixture_assert_done(1, "t3", OUTCOME_FAILED, "Bridge.Expired");
    /* Deadlines are of another clock than this one: both are rounded to a millisecond. */
    assert_true(clock_mono_ms() - begin_ms >= 290);
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_assert_called(1, "t2");
    fixture_answer(1, REACTION_DONE, NULL, -1);
}

static void test_a_slot_that_is_given_back_goes_to_the_next_command(void **state)
{
    (void)state;
    struct claim duplicate = fixture_reserve("g1", "t0", 10000);
    struct claim next = fixture_reserve("g1", "t1", 10000);
    assert_true(duplicate.reservation.is_called_at_once);
    assert_false(next.reservation.is_called_at_once);
    fixture_release(duplicate);
    fixture_confirm(next);
    fixture_assert_called(0, "t1");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_CALLS_IN_FLIGHT), 0);
}

static void test_a_reservation_that_is_released_gives_its_part_of_the_rate_back(void **state)
{
    (void)state;
    fixture.settings.api.rate_per_s = 0.001;
    fixture.settings.api.rate_burst = 1;
    fixture_begin_anew(2);
    struct claim duplicate = fixture_reserve("g1", "t1", 10000);
    assert_true(duplicate.reservation.is_called_at_once);
    fixture_release(duplicate);
    fixture_claim("g2", "t2", 10000);
    fixture_assert_called(0, "t2");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_claim("g3", "t3", 10000);
    assert_int_equal(fixture.call_count, 1);
}

static void test_a_new_command_does_not_overtake_one_of_its_group_in_backoff(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_answer(0, REACTION_RETRY, "Bridge.Unreachable", 200);
    struct claim second = fixture_reserve("g1", "t2", 10000);
    assert_false(second.reservation.is_called_at_once);
    fixture_confirm(second);
    fixture_run(2, 0, 5000);
    fixture_assert_called(1, "t1");
    fixture_answer(1, REACTION_DONE, NULL, -1);
    fixture_assert_called(2, "t2");
}

static void test_a_command_does_not_overtake_a_claim_of_its_group_that_is_on_its_way(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    struct claim second = fixture_reserve("g1", "t2", 10000);
    fixture_answer(0, REACTION_DONE, NULL, -1);
    struct claim third = fixture_reserve("g1", "t3", 10000); /* the group has no command now */
    struct claim other = fixture_reserve("g2", "t4", 10000);
    assert_false(second.reservation.is_called_at_once);
    assert_false(third.reservation.is_called_at_once);
    assert_true(other.reservation.is_called_at_once);
    fixture_confirm(second);
    fixture_confirm(third);
    assert_int_equal(fixture.call_count, 2);
    fixture_assert_called(1, "t2");
    fixture_answer(1, REACTION_DONE, NULL, -1);
    fixture_assert_called(2, "t3");
    fixture_release(other);
}

static void test_claims_on_their_way_that_come_to_nothing_leave_no_trace(void **state)
{
    (void)state;
    struct claim first = fixture_reserve("g1", "t1", 10000);
    struct claim second = fixture_reserve("g1", "t2", 10000);
    fixture_release(first);
    fixture_release(second);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_CALLS_IN_FLIGHT), 0);
    struct claim third = fixture_reserve("g1", "t3", 10000);
    assert_true(third.reservation.is_called_at_once);
    fixture_release(third);
    assert_int_equal(fixture.call_count, 0);
}

static void test_a_reservation_outlives_the_last_command_of_its_group(void **state)
{
    (void)state;
    fixture_begin_anew(1);
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g2", "t2", 100);
    struct claim next = fixture_reserve("g2", "t3", 10000);
    fixture_run(0, 1, 5000);
    fixture_assert_done(0, "t2", OUTCOME_FAILED, "Bridge.Expired");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 1);
    fixture_confirm(next);
    fixture_assert_called(1, "t3");
    fixture_answer(1, REACTION_DONE, NULL, -1);
}

static void test_a_claim_that_becomes_durable_after_the_stop_is_not_called(void **state)
{
    (void)state;
    struct claim claim = fixture_reserve("g1", "t1", 10000);
    dispatch_stop(fixture.dispatch, fixture_idle, NULL);
    fixture_run(0, 0, 50);
    assert_false(fixture.is_idle);
    fixture_confirm(claim);
    assert_int_equal(fixture.call_count, 0);
    assert_int_equal(fixture.last_pause, MOVE_NOTHING_DONE);
    assert_int_equal(fixture.pause_attempts, 0);
    fixture_run(0, 0, 50);
    assert_true(fixture.is_idle);
}

static void test_what_becomes_durable_while_dispatch_is_held_is_called_afterwards(void **state)
{
    (void)state;
    struct claim claim = fixture_reserve("g1", "t1", 10000);
    assert_true(claim.reservation.is_called_at_once);
    dispatch_hold(fixture.dispatch, true);
    struct claim later = fixture_reserve("g2", "t2", 10000);
    assert_false(later.reservation.is_called_at_once);
    fixture_release(later);
    fixture_confirm(claim);
    assert_int_equal(fixture.call_count, 0);
    assert_int_equal(fixture.last_pause, MOVE_NOTHING_DONE);
    assert_int_equal(fixture.pause_attempts, 0);
    dispatch_hold(fixture.dispatch, false);
    fixture_record_starts();
    fixture_assert_called(0, "t1");
    fixture_answer(0, REACTION_DONE, NULL, -1);
}

static void test_with_a_shared_ledger_calls_wait_for_tokens_of_the_shared_rate(void **state)
{
    (void)state;
    fixture.settings.ledger.store = (char *)"postgresql:///bridge";
    fixture_begin_anew(10);
    struct claim claim = fixture_reserve("g1", "t1", 10000);
    assert_false(claim.reservation.is_called_at_once);
    assert_int_equal(fixture.ask_count, 1);
    fixture_confirm(claim);
    fixture_record_starts();
    assert_int_equal(fixture.call_count, 0);
    assert_int_equal(fixture.ask_count, 1);
    const struct allowance_grant grant = {.count = 250};
    fixture.granted(fixture.granted_arg, fixture.asked_name, &grant);
    fixture_record_starts();
    fixture_assert_called(0, "t1");
    /* The next one has a token. */
    claim = fixture_reserve("g2", "t2", 10000);
    assert_true(claim.reservation.is_called_at_once);
    fixture_confirm(claim);
    fixture_assert_called(1, "t2");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_answer(1, REACTION_DONE, NULL, -1);
    /* The answer for a region that is gone. */
    fixture.granted(fixture.granted_arg, "cn-gone", &grant);
}

static void test_a_stop_waits_for_calls_in_flight_and_begins_none(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g1", "t2", 10000);
    dispatch_stop(fixture.dispatch, fixture_idle, NULL);
    fixture_run(0, 0, 50);
    assert_false(fixture.is_idle);
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_run(0, 0, 50);
    assert_true(fixture.is_idle);
    assert_int_equal(fixture.call_count, 1);
    assert_int_equal(fixture.done_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_reserved_command_is_called_at_once),
        TEST(test_commands_of_a_group_are_called_one_at_a_time_in_order),
        TEST(test_groups_run_side_by_side_up_to_the_limit),
        TEST(test_a_command_that_the_settings_no_longer_allow_ends_uncalled),
        TEST(test_settings_that_change_end_what_waits_and_is_not_allowed_any_more),
        TEST(test_settings_that_change_take_effect_at_once),
        TEST(test_a_command_that_is_ordered_again_waits_behind_a_claim_on_its_way),
        TEST(test_a_command_that_is_tried_again_stays_first_in_its_group),
        TEST(test_nothing_done_until_the_deadline_is_a_failure_with_the_last_code),
        TEST(test_a_backoff_beyond_the_deadline_leaves_a_last_attempt_before_it),
        TEST(test_the_backoff_of_a_resumed_command_ends_before_its_deadline),
        TEST(test_a_deadline_that_passes_in_the_queue_ends_the_command),
        TEST(test_a_claim_that_becomes_durable_after_its_deadline_is_not_called),
        TEST(test_the_earliest_deadline_comes_first_whatever_the_order_of_arrival),
        TEST(test_a_slot_that_is_given_back_goes_to_the_next_command),
        TEST(test_a_reservation_that_is_released_gives_its_part_of_the_rate_back),
        TEST(test_a_new_command_does_not_overtake_one_of_its_group_in_backoff),
        TEST(test_a_command_does_not_overtake_a_claim_of_its_group_that_is_on_its_way),
        TEST(test_claims_on_their_way_that_come_to_nothing_leave_no_trace),
        TEST(test_a_reservation_outlives_the_last_command_of_its_group),
        TEST(test_a_claim_that_becomes_durable_after_the_stop_is_not_called),
        TEST(test_with_a_shared_ledger_calls_wait_for_tokens_of_the_shared_rate),
        TEST(test_what_becomes_durable_while_dispatch_is_held_is_called_afterwards),
        TEST(test_a_stop_waits_for_calls_in_flight_and_begins_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
