/*
 * What is known of the group: its state in refusals and unknown outcomes, and its cooldown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/fakes/dispatch_fixture.h"

#include <string.h>

static void test_a_cooldown_is_the_reply_or_waited_for_as_the_route_says(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_answer(0, REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", 50);
    fixture_assert_done(0, "t1", OUTCOME_FAILED, "OperationDenied.ManualSyncLimit");
    fixture.route.may_defer_cooldown = true;
    fixture_claim("g1", "t2", 10000);
    fixture_answer(1, REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", 50);
    assert_int_equal(fixture.done_count, 1);
    fixture_run(3, 0, 5000);
    fixture_answer(2, REACTION_DONE, NULL, -1);
    fixture_assert_done(1, "t2", OUTCOME_SUCCEEDED, "");
    fixture_claim("g1", "t3", 1000);
    fixture_answer(3, REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", 60000);
    fixture_assert_done(2, "t3", OUTCOME_FAILED, "OperationDenied.ManualSyncLimit");
}

#define INVALID_STATUS "OperationDenied.InvalidStatus"
#define SYNC_LIMIT     "OperationDenied.ManualSyncLimit"

/* The answer to the call for the state of a group; `status` is NULL where it cannot be read. */
static void answer_state_with(size_t index, const char *group, const char *status, int rpo_s)
{
    struct buf body = {0};
    struct attempt attempt = {.reaction = status == NULL ? REACTION_RETRY : REACTION_DONE,
                              .at_ms = clock_wall_ms(),
                              .retry_after_ms = -1};
    assert_true(index < fixture.call_count);
    assert_int_equal(fixture.calls[index].command->action->id, ACTION_DescribeDiskReplicaGroups);
    if (status == NULL) {
        outcome_of_error(&attempt.outcome, ERROR_UNREACHABLE, "nothing was sent");
    } else {
        buf_printf(&body,
                   "{\"ReplicaGroups\":[{\"ReplicaGroupId\":\"%s\",\"Status\":\"%s\","
                   "\"RPO\":%d}]}",
                   group, status, rpo_s);
        attempt.body = buf_slice(&body);
    }
    fixture.calls[index].answered(fixture.calls[index].arg, &attempt);
    outcome_fini(&attempt.outcome);
    buf_fini(&body);
    fixture_record_starts();
}

static void answer_state(size_t index, const char *group, const char *status)
{
    answer_state_with(index, group, status, 100);
}

static struct command *one_shot(const char *group, const char *token)
{
    struct command *command = command_of_record(
        &fixture.route, &action_rows[ACTION_StartDiskReplicaGroup], slice_text("cn-a"),
        slice_text(group), slice_text(token), slice_text("{\"OneShot\":true}"));
    command->received_at_ms = clock_wall_ms();
    command->deadline_at_ms = command->received_at_ms + 10000;
    return command;
}

static void claim_one_shot(const char *group, const char *token)
{
    struct command *command = one_shot(group, token);
    command->state = STATE_READY;
    fixture_confirm((struct claim){command, dispatch_reserve(fixture.dispatch, command)});
}

static void test_the_state_is_read_before_a_refusal_by_state_is_recorded(void **state)
{
    (void)state;
    fixture.route.explain = true;
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g1", "t2", 10000);
    fixture_answer(0, REACTION_REPLY, INVALID_STATUS, -1);
    assert_int_equal(fixture.done_count, 0);
    assert_int_equal(fixture.pause_count, 1); /* the attempt has ended, without effect */
    assert_int_equal(fixture.last_pause, MOVE_NOTHING_DONE);
    fixture_assert_waits("t1 reading\nt2 group\n");
    answer_state(1, "g1", "failovered");
    fixture_assert_done(0, "t1", OUTCOME_FAILED, INVALID_STATUS);
    assert_string_equal(fixture.done[0].group_status, "failovered");
    assert_string_equal(fixture.done[0].observed, "");
    fixture_assert_called(2, "t2");
    fixture_answer(2, REACTION_REPLY, "OperationDenied.NoPairInGroup", -1);
    fixture_assert_done(1, "t2", OUTCOME_FAILED, "OperationDenied.NoPairInGroup");
}

static void test_a_refusal_is_as_ever_where_no_state_can_be_read(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_answer(0, REACTION_REPLY, INVALID_STATUS, -1);
    fixture_assert_done(0, "t1", OUTCOME_FAILED, INVALID_STATUS);
    fixture.route.explain = true;
    fixture_claim("an id, with a comma", "t2", 10000);
    fixture_answer(1, REACTION_REPLY, INVALID_STATUS, -1);
    fixture_assert_done(1, "t2", OUTCOME_FAILED, INVALID_STATUS);
    fixture_claim("g1", "t3", 10000);
    fixture_answer(2, REACTION_REPLY, INVALID_STATUS, -1);
    answer_state(3, "another group", "normal");
    fixture_assert_done(2, "t3", OUTCOME_FAILED, INVALID_STATUS);
    fixture_claim("g1", "t4", 10000);
    fixture_answer(4, REACTION_REPLY, INVALID_STATUS, -1);
    answer_state(5, "g1", NULL);
    fixture_assert_done(3, "t4", OUTCOME_FAILED, INVALID_STATUS);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(fixture.done[i].group_status, "");
    }
}

static void test_a_state_that_comes_too_late_changes_nothing(void **state)
{
    (void)state;
    fixture.route.explain = true;
    fixture_claim("g1", "t1", 10000);
    fixture_answer(0, REACTION_REPLY, INVALID_STATUS, -1);
    fixture_run(0, 1, 30000);
    fixture_assert_done(0, "t1", OUTCOME_FAILED, INVALID_STATUS);
    assert_string_equal(fixture.done[0].group_status, "");
    answer_state(1, "g1", "failovered");
    assert_int_equal(fixture.done_count, 1);
}

static void test_an_unknown_outcome_shows_what_is_seen_of_the_group(void **state)
{
    (void)state;
    fixture.route.explain = true;
    fixture_claim("g1", "t1", 10000);
    fixture_answer(0, REACTION_RETRY_UNSURE, "InternalError", 60000);
    assert_int_equal(fixture.last_pause, MOVE_NO_ANSWER);
    answer_state(1, "g1", "normal");
    fixture_assert_done(0, "t1", OUTCOME_UNKNOWN, "InternalError");
    assert_non_null(strstr(fixture.done[0].observed, "\"GroupStatus\":\"normal\""));
    assert_non_null(strstr(fixture.done[0].observed, "\"Conclusion\":\"replicating\""));
    fixture_claim("g1", "t2", 10000);
    fixture_answer(2, REACTION_RETRY_UNSURE, "InternalError", 10);
    fixture_run(4, 0, 5000);
    fixture_answer(3, REACTION_REPLY, INVALID_STATUS, -1);
    answer_state(4, "g1", NULL);
    fixture_assert_done(1, "t2", OUTCOME_UNKNOWN, INVALID_STATUS);
    assert_string_equal(fixture.done[1].observed, "{\"Conclusion\":\"undecided\"}");
    assert_string_equal(fixture.done[1].group_status, "");
}

/* Of an earlier run: an attempt may have had effect. */
static void resume_late(const char *group, const char *token, int64_t deadline_ms)
{
    struct command *command = fixture_make(group, token, deadline_ms);
    command->state = STATE_UNSURE;
    dispatch_resume(fixture.dispatch, command, true);
}

static void test_a_deadline_in_the_queue_waits_for_the_state_where_there_is_a_slot(void **state)
{
    (void)state;
    fixture.route.explain = true;
    fixture_begin_anew(1);
    dispatch_hold(fixture.dispatch, true);
    resume_late("g1", "t1", 50);
    resume_late("g2", "t2", 60);
    resume_late("g1", "t3", 70);
    fixture_run(1, 0, 5000);
    fixture_run(0, 2, 5000);
    fixture_assert_done(0, "t2", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
    fixture_assert_done(1, "t3", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
    assert_string_equal(fixture.done[0].observed, "{\"Conclusion\":\"undecided\"}");
    assert_string_equal(fixture.done[1].observed, "{\"Conclusion\":\"undecided\"}");
    answer_state(0, "g1", "created");
    fixture_assert_done(2, "t1", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
    assert_non_null(strstr(fixture.done[2].observed, "\"Conclusion\":\"not_seen\""));
    assert_int_equal(fixture.call_count, 1);
}

/* The bridge may have crashed because of an answer. */
static void test_no_state_is_read_for_a_command_that_is_set_aside(void **state)
{
    (void)state;
    fixture.route.explain = true;
    fixture_resume("g1", "poison", 3);
    fixture_assert_done(0, "poison", OUTCOME_UNKNOWN, "Bridge.SetAside");
    assert_int_equal(fixture.call_count, 0);
}

static void test_a_stop_ends_commands_that_wait_for_a_state(void **state)
{
    (void)state;
    fixture.route.explain = true;
    fixture_claim("g1", "t1", 10000);
    fixture_claim("g2", "t2", 10000);
    fixture_answer(0, REACTION_REPLY, INVALID_STATUS, -1);
    dispatch_stop(fixture.dispatch, fixture_idle, NULL);
    fixture_assert_done(0, "t1", OUTCOME_FAILED, INVALID_STATUS);
    fixture_answer(1, REACTION_RETRY_UNSURE, "InternalError", 60000);
    fixture_assert_done(1, "t2", OUTCOME_UNKNOWN, "InternalError");
    fixture_run(0, 0, 50);
    assert_true(fixture.is_idle);
    assert_int_equal(fixture.call_count, 3);
    answer_state(2, "g1", "normal");
    assert_int_equal(fixture.done_count, 2);
}

static void test_a_cooldown_is_half_the_objective_of_a_watched_group(void **state)
{
    (void)state;
    fixture.watch.state.view.rpo_s = 1000;
    claim_one_shot("g1", "t1");
    fixture_answer(0, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    fixture_assert_done(0, "t1", OUTCOME_FAILED, SYNC_LIMIT);
    assert_int_equal(fixture.done[0].retry_after_ms, 500000);
    /* What the watched command may have done does not count, what it has done does. */
    fixture.watch.is_one_shot = true;
    fixture.watch.is_outcome_unknown = true;
    fixture.watch.started_at_ms = clock_wall_ms() - 200000;
    claim_one_shot("g1", "t2");
    fixture_answer(1, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    assert_int_equal(fixture.done[1].retry_after_ms, 500000);
    fixture.watch.is_outcome_unknown = false;
    claim_one_shot("g1", "t3");
    fixture_answer(2, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    assert_true(fixture.done[2].retry_after_ms > 200000);
    assert_true(fixture.done[2].retry_after_ms <= 300000);
    assert_int_equal(fixture.call_count, 3);
}

static void test_a_cooldown_ends_after_the_last_start_that_was_accepted(void **state)
{
    (void)state;
    fixture.route.explain = true;
    claim_one_shot("g1", "t1");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_claim("g2", "t2", 10000); /* no one-time copy */
    fixture_answer(1, REACTION_DONE, NULL, -1);
    fixture_run(0, 0, 20);
    claim_one_shot("g1", "t3");
    fixture_answer(2, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    answer_state(3, "g1", "stopped");
    fixture_assert_done(2, "t3", OUTCOME_FAILED, SYNC_LIMIT);
    assert_true(fixture.done[2].retry_after_ms > 0);
    assert_true(fixture.done[2].retry_after_ms < 50000);
    claim_one_shot("g2", "t4");
    fixture_answer(4, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    answer_state(5, "g2", "stopped");
    assert_int_equal(fixture.done[3].retry_after_ms, 50000);
}

static void test_a_cooldown_that_is_waited_for_is_that_of_the_group(void **state)
{
    (void)state;
    fixture.route.explain = true;
    fixture.route.may_defer_cooldown = true;
    claim_one_shot("g1", "t1");
    fixture_answer(0, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    answer_state_with(1, "g1", "stopped", 1);
    assert_int_equal(fixture.done_count, 0);
    fixture_assert_waits("t1 retry OperationDenied.ManualSyncLimit\n");
    fixture_run(3, 0, 30000);
    fixture_assert_called(2, "t1");
    /* Each refusal asks for itself. */
    fixture_answer(2, REACTION_COOLDOWN, SYNC_LIMIT, 450000);
    answer_state(3, "g1", NULL);
    fixture_assert_done(0, "t1", OUTCOME_FAILED, SYNC_LIMIT);
    assert_int_equal(fixture.done[0].retry_after_ms, 450000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_cooldown_is_the_reply_or_waited_for_as_the_route_says),
        TEST(test_the_state_is_read_before_a_refusal_by_state_is_recorded),
        TEST(test_a_refusal_is_as_ever_where_no_state_can_be_read),
        TEST(test_a_state_that_comes_too_late_changes_nothing),
        TEST(test_an_unknown_outcome_shows_what_is_seen_of_the_group),
        TEST(test_a_deadline_in_the_queue_waits_for_the_state_where_there_is_a_slot),
        TEST(test_no_state_is_read_for_a_command_that_is_set_aside),
        TEST(test_a_stop_ends_commands_that_wait_for_a_state),
        TEST(test_a_cooldown_is_half_the_objective_of_a_watched_group),
        TEST(test_a_cooldown_ends_after_the_last_start_that_was_accepted),
        TEST(test_a_cooldown_that_is_waited_for_is_that_of_the_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
