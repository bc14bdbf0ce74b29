/* Every rule of a watch, as sequences of what is seen and what is published then. */
#include "model/watch_rules.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_S 1700000000 /* of the command; times in the tests count from it */
#define RPO_S   900

struct fixture {
    struct watch watch;
    struct watch_policy policy;
    struct watch_step step;
    struct buf events; /* of the step: "watching status synchronised!", with '!' for final */
};

static const struct action stop_action = {.name = "StopDiskReplicaGroup", .goal = GOAL_STOPPED};
static const struct action failover_action = {.name = "FailoverDiskReplicaGroup",
                                              .goal = GOAL_FAILOVERED};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->watch = (struct watch){.action = &action_rows[ACTION_StartDiskReplicaGroup],
                                    .route = "start",
                                    .region = "cn-beijing",
                                    .object = "pg-a",
                                    .token = "nightly-1",
                                    .started_at_ms = START_S * INT64_C(1000) + 999,
                                    .ends_at_ms = (START_S + 100000) * INT64_C(1000),
                                    .state = {.observed_at_ms = START_S * INT64_C(1000)}};
    fixture->policy = (struct watch_policy){
        .rpo_s = RPO_S, .begin_s = 600, .stall_s = 3600, .blind_s = 300, .lag_factor = 2.0};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    buf_fini(&fixture->events);
    free(fixture);
    return 0;
}

static int64_t at_ms(int second)
{
    return (START_S + second) * INT64_C(1000);
}

/* Takes over the step, as after its transaction, and checks what is true of every step. */
static void take_step(struct fixture *fixture, const char *expected)
{
    const struct watch_step *step = &fixture->step;
    buf_clear(&fixture->events);
    for (size_t i = 0; i < step->event_count; i++) {
        const struct watch_event *event = &step->events[i];
        assert_int_equal(event->seq, fixture->watch.state.seq + (int64_t)i + 1);
        assert_true(!event->is_final || i + 1 == step->event_count);
        buf_printf(&fixture->events, "%s%s%s", i == 0 ? "" : " ", watch_event_name(event->kind),
                   event->is_final ? "!" : "");
    }
    assert_string_equal(buf_slice(&fixture->events).data, expected);
    assert_int_equal(step->state.seq, fixture->watch.state.seq + (int64_t)step->event_count);
    assert_true(step->event_count == 0 || step->must_store);
    fixture->watch.state = step->state;
}

#define NO_POINT INT32_MIN

/* `recover_point` in seconds after the start, or NO_POINT. */
static void see(struct fixture *fixture, int second, const char *status, int recover_point,
                const char *expected)
{
    struct group_observation seen = {.at_ms = at_ms(second), .view = {.progress_percent = -1}};
    snprintf(seen.view.status, sizeof seen.view.status, "%s", status);
    seen.view.recover_point_s = recover_point == NO_POINT ? 0 : START_S + recover_point;
    watch_observe(&fixture->watch, &seen, &fixture->policy, &fixture->step);
    take_step(fixture, expected);
}

static void see_progress(struct fixture *fixture, int second, int percent, const char *expected)
{
    watch_progress(&fixture->watch, percent, at_ms(second), &fixture->policy, &fixture->step);
    take_step(fixture, expected);
}

static void miss(struct fixture *fixture, int second, const char *expected)
{
    watch_miss(&fixture->watch, at_ms(second), &fixture->policy, &fixture->step);
    take_step(fixture, expected);
}

static void wait_until(struct fixture *fixture, int second, const char *expected)
{
    watch_wait(&fixture->watch, at_ms(second), &fixture->policy, &fixture->step);
    take_step(fixture, expected);
}

static void test_the_first_observation_begins(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "created", NO_POINT, "watching");
    see(fixture, 10, "created", NO_POINT, "");
    assert_false(fixture->step.must_store);
}

static void test_a_first_copy_is_told_from_its_begin_to_its_end(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "created", NO_POINT, "watching");
    see(fixture, 10, "initial_syncing", NO_POINT, "status");
    assert_string_equal(fixture->step.events[0].previous_status, "created");
    see(fixture, 600, "normal", NO_POINT, "status");
    see(fixture, 610, "normal", 590, "synchronised!");
    assert_int_equal(fixture->step.events[0].basis, WATCH_BASIS_RECOVER_POINT);
}

static void test_a_group_that_does_not_exist_any_more_ends_it(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "created", NO_POINT, "watching");
    see(fixture, 10, "deleted", NO_POINT, "gone!");
    assert_string_equal(fixture->step.events[0].previous_status, "created");
}

static void test_absent_from_three_answers_over_a_minute_is_gone(void **state)
{
    struct fixture *fixture = *state;
    miss(fixture, 0, "");
    miss(fixture, 1, "");
    miss(fixture, 59, "");
    see(fixture, 60, "created", NO_POINT, "watching"); /* begins again */
    miss(fixture, 61, "");
    miss(fixture, 121, "");
    wait_until(fixture, 130, "");
    miss(fixture, 131, "gone!");
}

static void test_three_absences_within_a_minute_are_not_enough(void **state)
{
    struct fixture *fixture = *state;
    miss(fixture, 0, "");
    miss(fixture, 1, "");
    miss(fixture, 2, "");
    wait_until(fixture, 70, ""); /* no answer */
    miss(fixture, 71, "gone!");
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
        see(fixture, 5, "syncing", -10, "watching");
        see(fixture, 10, failed[i], 20, "failed!"); /* before the new recovery point counts */
        fixture->watch.state = begin;
        see(fixture, 5, failed[i], NO_POINT, "watching failed!");
    }
}

static void test_an_unknown_state_moves(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "created", NO_POINT, "watching");
    see(fixture, 10, "warming_up", NO_POINT, "status");
    assert_int_equal(fixture->watch.state.flags, WATCH_HAS_MOVED);
    see(fixture, 3610, "warming_up", NO_POINT, "stalled");
}

static void test_a_recovery_point_of_the_second_of_the_start_counts(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "syncing", -1, "watching");
    see(fixture, 6, "syncing", 0, "synchronised!"); /* the start was 999 ms into that second */
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
        see(fixture, 5, rows[i].status, 4, rows[i].events);
    }
}

static void test_without_any_recovery_point_the_state_counts_in_two_answers(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    see(fixture, 10, "normal", NO_POINT, "status");
    see(fixture, 12, "syncing", NO_POINT, "status"); /* not in a row */
    see(fixture, 14, "normal", NO_POINT, "status");
    see(fixture, 19, "normal", NO_POINT, "synchronised!");
    assert_int_equal(fixture->step.events[0].basis, WATCH_BASIS_STATUS);
}

static void test_a_group_that_was_good_before_needs_a_recovery_point(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "normal", NO_POINT, "watching");
    see(fixture, 10, "normal", NO_POINT, "");
    see(fixture, 15, "normal", NO_POINT, "");
}

static void test_a_one_shot_without_recovery_points_ends_when_it_has_stopped(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_one_shot = true;
    see(fixture, 5, "manual_syncing", NO_POINT, "watching");
    see(fixture, 10, "stopped", NO_POINT, "status");
    see(fixture, 15, "stopped", NO_POINT, "synchronised!");
}

static void test_a_one_shot_that_stops_without_a_new_recovery_point_has_stopped(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_one_shot = true;
    see(fixture, 5, "manual_syncing", -100, "watching");
    see(fixture, 10, "stopped", -100, "status");
    see(fixture, 15, "stopped", -100, "stopped!");
}

static void test_a_recovery_point_may_come_one_answer_after_the_state(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_one_shot = true;
    see(fixture, 5, "manual_syncing", -100, "watching");
    see(fixture, 10, "stopped", -100, "status");
    see(fixture, 15, "stopped", 9, "synchronised!");
}

static void test_somebody_ends_the_replication(void **state)
{
    static const char *const ends[] = {"stopped", "failovering", "failovered"};
    struct fixture *fixture = *state;
    const struct watch_state begin = fixture->watch.state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        fixture->watch.state = begin;
        see(fixture, 5, "initial_syncing", NO_POINT, "watching");
        see(fixture, 10, ends[i], NO_POINT, "status");
        see(fixture, 15, ends[i], NO_POINT, "stopped!");
    }
}

static void test_a_failover_does_not_end_a_one_shot(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_one_shot = true;
    see(fixture, 5, "manual_syncing", -100, "watching");
    see(fixture, 10, "failovered", -100, "status");
    see(fixture, 15, "failovered", -100, "");
}

static void test_a_group_that_has_not_moved_yet_is_not_stopped(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "stopped", -100, "watching");
    see(fixture, 10, "stopped", -100, "");
    see(fixture, 15, "stopped", -100, "");
}

static void test_no_sign_of_a_begin_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "stopped", -100, "watching");
    see(fixture, 600, "stopped", -100, "");
    see(fixture, 601, "stopped", -100, "not_begun");
    see(fixture, 700, "stopped", -100, "");
    see(fixture, 705, "syncing", -100, "status");
}

static void test_a_group_that_moved_has_begun(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    see(fixture, 700, "initial_syncing", NO_POINT, "");
}

static void test_a_recovery_point_that_is_too_old_is_told_until_it_is_recent(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    see(fixture, 5, "syncing", 4, "watching synchronised");
    see(fixture, 4 + 2 * RPO_S, "syncing", 4, "");
    see(fixture, 5 + 2 * RPO_S, "normal", 4, "status lagging");
    see(fixture, 6 + 2 * RPO_S, "syncing", 4, "status");
    see(fixture, 7 + 2 * RPO_S, "syncing", 1800, "caught_up");
    see(fixture, 8 + 2 * RPO_S, "syncing", 1800, "");
}

static void test_a_group_that_stops_has_not_caught_up(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "syncing", -2000, "watching lagging");
    see(fixture, 10, "stopped", -1, "status");
    see(fixture, 15, "stopped", -1, "stopped!");
}

static void test_the_groups_own_rpo_counts(void **state)
{
    struct fixture *fixture = *state;
    struct group_observation seen = {
        .at_ms = at_ms(130),
        .view = {.status = "normal", .recover_point_s = START_S - 10, .rpo_s = 60}};
    watch_observe(&fixture->watch, &seen, &fixture->policy, &fixture->step);
    take_step(fixture, "watching lagging");
    see(fixture, 131, "normal", -10, ""); /* an answer without it changes nothing */
    assert_int_equal(fixture->watch.state.view.rpo_s, 60);
}

static void test_a_stall_is_told_once_until_something_changes(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 4, "initial_syncing", NO_POINT, "watching");
    see_progress(fixture, 5, 3, "progress");
    see(fixture, 3604, "initial_syncing", NO_POINT, "");
    see(fixture, 3605, "initial_syncing", NO_POINT, "stalled");
    see_progress(fixture, 3700, 3, "");
    see(fixture, 3701, "initial_syncing", NO_POINT, "");
    see_progress(fixture, 3705, 4, "progress");
    see(fixture, 7304, "initial_syncing", NO_POINT, "");
    see(fixture, 7305, "initial_syncing", NO_POINT, "stalled");
}

static void test_a_group_at_rest_does_not_stall(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "stopped", -100, "watching");
    see(fixture, 9000, "stopped", -100, "not_begun");
}

static void test_progress_is_told_where_it_grows(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "manual_syncing", NO_POINT, "watching");
    see_progress(fixture, 10, 0, ""); /* it has not grown */
    see_progress(fixture, 15, 40, "progress");
    see_progress(fixture, 20, 40, "");
    see_progress(fixture, 25, 39, "");
    assert_true(fixture->step.must_store);
    see(fixture, 30, "manual_syncing", NO_POINT, "");
    assert_int_equal(fixture->watch.state.view.progress_percent, 39);
}

static void test_progress_is_forgotten_with_its_copy(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    see_progress(fixture, 10, 40, "progress");
    see(fixture, 15, "syncing", NO_POINT, "status"); /* another name of the same copy */
    see_progress(fixture, 20, 50, "progress");
    see(fixture, 25, "syncing", NO_POINT, "");
    assert_int_equal(fixture->watch.state.view.progress_percent, 50);
    see(fixture, 30, "syncing", 28, "synchronised");
    assert_int_equal(fixture->watch.state.view.progress_percent, -1);
}

static void test_progress_is_no_answer_about_the_group(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "manual_syncing", NO_POINT, "watching");
    wait_until(fixture, 305, "blind");
    see_progress(fixture, 310, 40, "progress");
    assert_false(fixture->step.events[0].ends_blindness);
    see(fixture, 320, "manual_syncing", NO_POINT, "seen");
    see_progress(fixture, 330, 40, "");
    wait_until(fixture, 620, "blind");
}

static void test_after_its_time_a_watch_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.ends_at_ms = at_ms(100);
    see(fixture, 99, "initial_syncing", NO_POINT, "watching");
    see(fixture, 100, "initial_syncing", NO_POINT, "gave_up!");
}

static void test_it_is_given_up_without_an_answer_too(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.ends_at_ms = at_ms(100);
    wait_until(fixture, 99, "");
    miss(fixture, 99, "");
    const struct watch_state before = fixture->watch.state;
    wait_until(fixture, 100, "gave_up!");
    fixture->watch.state = before;
    miss(fixture, 100, "gave_up!");
}

static void test_it_is_given_up_where_the_route_does_not_watch_any_more(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    const struct watch_state before = fixture->watch.state;
    fixture->policy.is_off = true;
    wait_until(fixture, 6, "gave_up!");
    fixture->watch.state = before;
    see(fixture, 6, "syncing", NO_POINT, "status gave_up!");
}

static void test_a_continuous_watch_that_is_done_is_given_up_where_the_route_changes(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    see(fixture, 5, "normal", 1, "watching synchronised");
    fixture->policy.is_continuous = false;
    see(fixture, 10, "normal", 1, "gave_up!");
}

static void test_the_goal_comes_before_the_end_of_its_time(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.ends_at_ms = at_ms(100);
    see(fixture, 100, "normal", 50, "watching synchronised!");
}

static void test_blindness_is_told_once_and_its_end_with_the_next_observation(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    wait_until(fixture, 304, "");
    wait_until(fixture, 305, "blind");
    wait_until(fixture, 700, "");
    see(fixture, 701, "initial_syncing", NO_POINT, "seen");
    assert_true(fixture->step.events[0].ends_blindness);
    wait_until(fixture, 1001, "blind");
    see(fixture, 1002, "normal", NO_POINT, "status");
    assert_true(fixture->step.events[0].ends_blindness);
    see(fixture, 1003, "normal", 1001, "synchronised!");
    assert_false(fixture->step.events[0].ends_blindness);
}

static void test_an_absence_is_an_answer_too(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    miss(fixture, 300, "");
    wait_until(fixture, 599, "");
    wait_until(fixture, 600, "blind");
}

static void test_a_blind_end_does_not_end_the_blindness(void **state)
{
    struct fixture *fixture = *state;
    wait_until(fixture, 300, "blind");
    watch_supersede(&fixture->watch, at_ms(301), &fixture->step);
    assert_false(fixture->step.events[0].ends_blindness);
    take_step(fixture, "superseded!");
}

static void test_a_watch_may_be_blind_before_it_has_seen_anything(void **state)
{
    struct fixture *fixture = *state;
    wait_until(fixture, 300, "blind");
    see(fixture, 301, "initial_syncing", NO_POINT, "watching");
    assert_true(fixture->step.events[0].ends_blindness);
}

static void test_a_continuous_watch_goes_on_after_it_is_synchronised(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    see(fixture, 5, "normal", 1, "watching synchronised");
    see(fixture, 700, "normal", 650, ""); /* neither again nor not_begun */
    assert_true(fixture->step.must_store);
    see(fixture, 710, "stopped", 650, "status");
    see(fixture, 715, "stopped", 650, "stopped!");
}

static void test_a_copy_that_the_state_shows_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    see(fixture, 10, "normal", NO_POINT, "status");
    see(fixture, 15, "normal", NO_POINT, "synchronised");
    see(fixture, 20, "normal", NO_POINT, "");
    see(fixture, 25, "normal", 21, "");
}

static void test_a_one_shot_is_never_continuous(void **state)
{
    struct fixture *fixture = *state;
    fixture->policy.is_continuous = true;
    fixture->watch.is_one_shot = true;
    see(fixture, 5, "stopped", 4, "watching synchronised!");
}

static void test_a_later_command_ends_it(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "initial_syncing", NO_POINT, "watching");
    watch_supersede(&fixture->watch, at_ms(6), &fixture->step);
    assert_true(watch_step_is_final(&fixture->step));
    take_step(fixture, "superseded!");
}

static void test_other_goals_are_states(void **state)
{
    struct fixture *fixture = *state;
    const struct watch_state begin = fixture->watch.state;
    fixture->watch.action = &stop_action;
    see(fixture, 5, "normal", 4, "watching");
    see(fixture, 2000, "normal", 4, ""); /* neither not_begun nor lagging */
    see(fixture, 2005, "stopping", 4, "status");
    see(fixture, 5605, "stopping", 4, "stalled");
    see(fixture, 5610, "stopped", 4, "status done!");
    fixture->watch.state = begin;
    see(fixture, 5, "stopped", 4, "watching done!");
    fixture->watch.state = begin;
    see(fixture, 5, "stop_failed", 4, "watching failed!");
    fixture->watch.state = begin;
    fixture->watch.action = &failover_action;
    see(fixture, 5, "stopped", 4, "watching");
    see(fixture, 10, "failovered", 4, "status done!");
}

static void test_a_step_that_was_not_stored_comes_again(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "created", NO_POINT, "watching");
    const struct watch_state before = fixture->watch.state;
    see(fixture, 10, "initial_syncing", NO_POINT, "status");
    fixture->watch.state = before;
    see(fixture, 15, "initial_syncing", NO_POINT, "status");
    assert_int_equal(fixture->step.events[0].seq, 2);
}

static void test_a_change_without_an_event_is_stored(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "initial_syncing", -100, "watching");
    see(fixture, 10, "initial_syncing", -50, "");
    assert_true(fixture->step.must_store);
    see(fixture, 10, "initial_syncing", -40, ""); /* the API's clock has whole seconds */
    assert_true(fixture->step.must_store);
    see(fixture, 15, "initial_syncing", -40, "");
    assert_false(fixture->step.must_store);
}

/* --- the payload --- */

static void check_payload(struct fixture *fixture, size_t index, const char *expected)
{
    struct buf out = {0};
    struct json_fault fault;
    watch_event_write(&fixture->watch, &fixture->step, &fixture->step.events[index], RPO_S, &out);
    assert_string_equal(out.data, expected);
    struct json *document = json_parse(buf_slice(&out), 2, &fault);
    assert_non_null(document);
    json_free(document);
    buf_fini(&out);
}

#define HEAD(event, seq, final)                                                                  \
    "{\"Event\":\"" event "\",\"Seq\":" seq ",\"Final\":" final                                  \
    ",\"Action\":\"StartDiskReplicaGroup\",\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-" \
    "a\","                                                                                       \
    "\"OneShot\":false,\"ClientToken\":\"nightly-1\",\"Outcome\":\"succeeded\","
#define TIMES(observed, duration)                                           \
    "\"StartedAt\":\"2023-11-14T22:13:20.999Z\",\"ObservedAt\":\"" observed \
    "\",\"DurationMs\":" duration ","

static void test_an_event_says_what_is_known(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 4, "initial_syncing", NO_POINT, "watching");
    see_progress(fixture, 5, 10, "progress");
    check_payload(
        fixture, 0,
        HEAD("progress", "2", "false") "\"GroupStatus\":\"initial_syncing\",\"RpoS\":900,"
                                       "\"ProgressPercent\":10," TIMES(
                                           "2023-11-14T22:13:25.000Z",
                                           "4001") "\"Message\":\"The copy has progressed.\"}");
    see(fixture, 1000, "normal", 5, "status synchronised!");
    check_payload(
        fixture, 0,
        HEAD("status", "3",
             "false") "\"GroupStatus\":\"normal\","
                      "\"PreviousStatus\":\"initial_syncing\","
                      "\"LastRecoverPoint\":\"2023-11-14T22:13:25.000Z\",\"RpoS\":900,\"LagS\":995,"
                      "\"RpoExceeded\":true," TIMES(
                          "2023-11-14T22:30:00.000Z",
                          "999001") "\"Message\":\"The state of the group has changed.\"}");
    check_payload(
        fixture, 1,
        HEAD("synchronised", "4",
             "true") "\"GroupStatus\":\"normal\","
                     "\"LastRecoverPoint\":\"2023-11-14T22:13:25.000Z\",\"RpoS\":900,\"LagS\":995,"
                     "\"RpoExceeded\":true," TIMES(
                         "2023-11-14T22:30:00.000Z",
                         "999001") "\"Basis\":\"recover_point\","
                                   "\"Message\":\"The data of the group was copied after the "
                                   "start.\"}");
}

static void test_an_event_before_anything_was_seen_has_no_state(void **state)
{
    struct fixture *fixture = *state;
    wait_until(fixture, 300, "blind");
    check_payload(
        fixture, 0,
        HEAD("blind", "1", "false") TIMES(
            "2023-11-14T22:18:20.000Z",
            "299001") "\"Blind\":true,\"Message\":\"The state of the group cannot be read.\"}");
}

static void test_a_failure_has_an_error(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, 5, "invalid", NO_POINT, "watching failed!");
    check_payload(
        fixture, 1,
        HEAD("failed", "2", "true") "\"GroupStatus\":\"invalid\",\"RpoS\":900," TIMES(
            "2023-11-14T22:13:25.000Z",
            "4001") "\"Error\":{\"Code\":\"Bridge.GroupFailed\","
                    "\"Message\":\"The group is in the state invalid.\",\"Source\":\"observation\","
                    "\"Category\":\"conflict\",\"Retryable\":false},"
                    "\"Message\":\"The group is in a state that somebody must repair.\"}");
}

static void test_the_end_of_blindness_is_in_the_payload(void **state)
{
    struct fixture *fixture = *state;
    fixture->watch.is_outcome_unknown = true;
    wait_until(fixture, 300, "blind");
    see(fixture, 301, "created", NO_POINT, "watching");
    struct buf out = {0};
    watch_event_write(&fixture->watch, &fixture->step, &fixture->step.events[0], RPO_S, &out);
    assert_non_null(strstr(out.data, "\"Blind\":false,"));
    assert_non_null(strstr(out.data, "\"Outcome\":\"unknown\","));
    buf_fini(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_observation_begins),
        TEST(test_a_first_copy_is_told_from_its_begin_to_its_end),
        TEST(test_a_group_that_does_not_exist_any_more_ends_it),
        TEST(test_absent_from_three_answers_over_a_minute_is_gone),
        TEST(test_three_absences_within_a_minute_are_not_enough),
        TEST(test_each_failed_state_ends_it),
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
        TEST(test_no_sign_of_a_begin_is_told_once),
        TEST(test_a_group_that_moved_has_begun),
        TEST(test_a_recovery_point_that_is_too_old_is_told_until_it_is_recent),
        TEST(test_a_group_that_stops_has_not_caught_up),
        TEST(test_the_groups_own_rpo_counts),
        TEST(test_a_stall_is_told_once_until_something_changes),
        TEST(test_a_group_at_rest_does_not_stall),
        TEST(test_progress_is_told_where_it_grows),
        TEST(test_progress_is_forgotten_with_its_copy),
        TEST(test_progress_is_no_answer_about_the_group),
        TEST(test_after_its_time_a_watch_is_given_up),
        TEST(test_it_is_given_up_without_an_answer_too),
        TEST(test_it_is_given_up_where_the_route_does_not_watch_any_more),
        TEST(test_a_continuous_watch_that_is_done_is_given_up_where_the_route_changes),
        TEST(test_the_goal_comes_before_the_end_of_its_time),
        TEST(test_blindness_is_told_once_and_its_end_with_the_next_observation),
        TEST(test_an_absence_is_an_answer_too),
        TEST(test_a_blind_end_does_not_end_the_blindness),
        TEST(test_a_watch_may_be_blind_before_it_has_seen_anything),
        TEST(test_a_continuous_watch_goes_on_after_it_is_synchronised),
        TEST(test_a_copy_that_the_state_shows_is_told_once),
        TEST(test_a_one_shot_is_never_continuous),
        TEST(test_a_later_command_ends_it),
        TEST(test_other_goals_are_states),
        TEST(test_a_step_that_was_not_stored_comes_again),
        TEST(test_a_change_without_an_event_is_stored),
        TEST(test_an_event_says_what_is_known),
        TEST(test_an_event_before_anything_was_seen_has_no_state),
        TEST(test_a_failure_has_an_error),
        TEST(test_the_end_of_blindness_is_in_the_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
