/*
 * Commands during whose calls the bridge crashed: alone, first, and set aside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "model/crash_limit.h"
#include "support/fakes/dispatch_fixture.h"

#include <stdio.h>
#include <string.h>

static void test_a_command_with_a_crash_is_called_alone_and_first(void **state)
{
    (void)state;
    fixture_begin_anew(8);
    fixture_resume("g1", "t1", 0);
    fixture_resume("g2", "t2", 0);
    fixture_resume("g3", "crashed", 1);
    fixture_resume("g4", "t4", 0);
    fixture_claim("g5", "t5", 10000);
    assert_int_equal(fixture.call_count, 2); /* those that had begun before */
    fixture_answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    fixture_answer(1, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 3);
    fixture_assert_called(2, "crashed");
    fixture_claim("g6", "t6", 10000);
    assert_int_equal(fixture.call_count, 3);
    fixture_answer(2, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 6);
}

static void test_a_new_command_waits_while_one_with_a_crash_is_called(void **state)
{
    (void)state;
    fixture_resume("g1", "crashed", 1);
    fixture_assert_called(0, "crashed");
    fixture_claim("g2", "t2", 10000); /* nothing is queued before it */
    assert_int_equal(fixture.call_count, 1);
    fixture_answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    fixture_assert_called(1, "t2");
}

static void test_commands_with_crashes_are_called_one_after_the_other(void **state)
{
    (void)state;
    fixture_resume("g1", "c1", 1);
    fixture_resume("g2", "c2", 1);
    fixture_resume("g3", "t3", 0);
    assert_int_equal(fixture.call_count, 1);
    fixture_assert_called(0, "c1");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 2);
    fixture_assert_called(1, "c2");
    fixture_answer(1, REACTION_DONE, NULL, -1);
    fixture_assert_called(2, "t3");
}

static void test_the_fewest_crashes_are_called_first_in_all_regions(void **state)
{
    (void)state;
    dispatch_hold(fixture.dispatch, true);
    fixture_resume("g1", "c2", 2);
    fixture_resume("g2", "t4", 0);
    fixture_resume("g3", "c1", 1);
    struct command *elsewhere = command_of_record(
        &fixture.route, &action_rows[ACTION_StartDiskReplicaGroup], slice_text("cn-b"),
        slice_text("g5"), slice_text("b1"), slice_text("{\"OneShot\":false}"));
    elsewhere->state = STATE_UNSURE;
    elsewhere->crashes = 1;
    elsewhere->deadline_at_ms = clock_wall_ms() + 10000;
    dispatch_resume(fixture.dispatch, elsewhere, true);
    fixture_resume("g4", "c1b", 1);
    assert_int_equal(fixture.call_count, 0);
    dispatch_hold(fixture.dispatch, false);
    fixture_record_starts();
    for (size_t i = 0; i < 5; i++) {
        static const char *const ORDER[] = {"c1", "c1b", "b1", "c2", "t4"};
        assert_int_equal(fixture.call_count, i + 1);
        fixture_assert_called(i, ORDER[i]);
        fixture_answer(i, REACTION_DONE, NULL, -1);
    }
}

static void test_any_answer_sets_the_crashes_back(void **state)
{
    (void)state;
    fixture_resume("g1", "c1", 2);
    fixture_answer(0, REACTION_RETRY_UNSURE, "InternalError", 10);
    assert_int_equal(fixture.calls[0].command->crashes, 0);
    fixture_claim("g2", "t2", 10000);
    fixture_run(3, 0, 5000);
    assert_int_equal(fixture.call_count, 3); /* side by side */
}

static void test_a_command_with_three_crashes_is_set_aside_uncalled(void **state)
{
    (void)state;
    fixture_resume("g1", "poison", 3);
    fixture_resume("g1", "t2", 0);
    fixture_assert_done(0, "poison", OUTCOME_UNKNOWN, "Bridge.SetAside");
    assert_int_equal(counter_get(&fixture.counters, COUNTER_SET_ASIDE), 1);
    assert_true(health_is_on(fixture.health, HEALTH_COMMAND_SET_ASIDE));
    assert_int_equal(fixture.call_count, 1);
    fixture_assert_called(0, "t2");
}

/* What the ledger has of a command, for tests that crash. */
struct row {
    char token[24];
    uint32_t crashes;
    bool is_done;
};

static struct row *row_of(struct row *rows, size_t count, const char *token)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].token, token) == 0) {
            return &rows[i];
        }
    }
    fail_msg("no command %s", token);
    return NULL;
}

static void make_rows(struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct row){0};
        snprintf(rows[i].token, sizeof rows[i].token, "t%zu", i);
    }
}

/* A dispatch begins with all unfinished rows, each in a group of its own. */
static void restart(struct row *rows, size_t count)
{
    fixture_begin_anew((int)fixture.settings.api.max_in_flight);
    dispatch_hold(fixture.dispatch, true);
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].is_done) {
            fixture_resume(rows[i].token, rows[i].token, rows[i].crashes);
        }
    }
    dispatch_hold(fixture.dispatch, false);
    fixture_record_starts();
}

/* All calls from `first` on are under way now. */
static void crash(struct row *rows, size_t count, size_t first)
{
    for (size_t i = first; i < fixture.call_count; i++) {
        row_of(rows, count, fixture.calls[i].command->token)->crashes++;
    }
    restart(rows, count);
}

/* Each call is answered, but for the poison's, which crashes the bridge. */
static void test_neighbours_of_a_command_that_crashes_the_bridge_are_not_set_aside(void **state)
{
    enum { COUNT = 20, POISON = 7 };
    struct row rows[COUNT];
    (void)state;
    fixture_begin_anew(COUNT);
    make_rows(rows, COUNT);
    restart(rows, COUNT);
    assert_int_equal(fixture.call_count, COUNT);
    int crashes = 1;
    crash(rows, COUNT, 0);
    for (size_t i = 0; i < fixture.call_count;) {
        struct row *row = row_of(rows, COUNT, fixture.calls[i].command->token);
        if (row == &rows[POISON]) {
            crashes++;
            crash(rows, COUNT, i);
            i = 0;
        } else {
            assert_int_equal(fixture.call_count, i + 1); /* alone */
            assert_in_range(row->crashes, 0, 1);
            row->is_done = true;
            fixture_answer(i++, REACTION_DONE, NULL, -1);
        }
    }
    assert_int_equal(crashes, CRASH_LIMIT);
    assert_int_equal(fixture.done_count, COUNT);
    fixture_assert_done(COUNT - 1, rows[POISON].token, OUTCOME_UNKNOWN, "Bridge.SetAside");
}

/* Nothing is ever answered, and the bridge is killed again and again. */
static void test_kills_hit_each_command_before_any_reaches_the_limit(void **state)
{
    enum { COUNT = 20 };
    struct row rows[COUNT];
    (void)state;
    fixture_begin_anew(COUNT);
    make_rows(rows, COUNT);
    restart(rows, COUNT);
    for (int kills = 0; kills < COUNT + 1; kills++) {
        crash(rows, COUNT, 0);
        assert_int_equal(fixture.call_count, 1);
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(rows[i].crashes, 2);
    }
    assert_int_equal(fixture.done_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_command_with_a_crash_is_called_alone_and_first),
        TEST(test_a_new_command_waits_while_one_with_a_crash_is_called),
        TEST(test_commands_with_crashes_are_called_one_after_the_other),
        TEST(test_the_fewest_crashes_are_called_first_in_all_regions),
        TEST(test_any_answer_sets_the_crashes_back),
        TEST(test_a_command_with_three_crashes_is_set_aside_uncalled),
        TEST(test_neighbours_of_a_command_that_crashes_the_bridge_are_not_set_aside),
        TEST(test_kills_hit_each_command_before_any_reaches_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
