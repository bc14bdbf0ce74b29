/*
 * The states of pairs, and the progress of copies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fakes/fake_timers.h"
#include "support/fakes/watch_fixture.h"

#include <string.h>

#define STATES "[{\"ReplicaPairId\":\"pair-1\",\"Status\":\"invalid\"}]"

static void test_a_failed_group_is_told_with_the_states_of_its_pairs(void **state)
{
    fixture_add(*state, 1, "pg-a");
    fixture_add(*state, 2, "pg-b");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a pg-b", "invalid");
    fixture_expect_events("");
    fake_timers_advance(1);
    fixture_answer_pairs("of pg-a", DESCRIBE_COMPLETE, STATES, 0);
    fixture_expect_events("pg-a:watching:1 pg-a:failed:2 ");
    assert_non_null(strstr(api.payload, ",\"Pairs\":" STATES ","));
    fake_timers_advance(1); /* one call after the other */
    fixture_answer_pairs("of pg-b", DESCRIBE_COMPLETE, STATES, 0);
    fixture_expect_events("pg-b:watching:1 pg-b:failed:2 ");
    fake_timers_advance(100 * POLL_MS);
    assert_int_equal(api.count, 1);
}

static void test_a_failed_group_is_told_also_where_its_pairs_cannot_be_read(void **state)
{
    fixture_add(*state, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "invalid");
    fake_timers_advance(1);
    fixture_answer_pairs("of pg-a", DESCRIBE_REFUSED, NULL, 0);
    fixture_expect_events("pg-a:watching:1 pg-a:failed:2 ");
    assert_null(strstr(api.payload, "Pairs"));
    fixture_add(*state, 2, "pg-b");
    fixture_add(*state, 3, "pg-c");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-b pg-c", "invalid");
    fake_timers_advance(1);
    fixture_answer_pairs("of pg-b", DESCRIBE_FAILED, NULL, 0); /* the other one does not wait */
    fixture_expect_events("pg-b:watching:1 pg-b:failed:2 pg-c:watching:1 pg-c:failed:2 ");
    assert_string_equal(api.asked_pairs, "");
}

static void test_a_watch_may_be_replaced_while_its_pairs_are_read(void **state)
{
    struct fixture *fixture = *state;
    fixture_add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "invalid");
    watcher_remove(fixture->watcher, 1);
    fixture_add(fixture, 2, "pg-a");
    api.stored = STATUS_NOT_FOUND;
    fake_timers_advance(1);
    fixture_answer_pairs("of pg-a", DESCRIBE_COMPLETE, STATES, 0);
    api.stored = STATUS_OK;
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCHES), 1);
}

/* Two groups that are copied, whose progress is read every 30 s. */
static void begin_progress(struct fixture *fixture)
{
    fixture->settings.watch.progress_s = 30;
    fixture_add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "manual_syncing");
    fixture_expect_events("pg-a:watching:1 ");
}

/* Time passes, in which nothing changes but the progress; at most until a pair is asked for. */
static void pass(int64_t ms)
{
    for (int64_t i = 0; i < ms / 500 && api.asked_pairs[0] == '\0'; i++) {
        int count = api.count;
        fake_timers_advance(500);
        if (api.count != count) {
            fixture_answer("pg-a", "manual_syncing");
        }
    }
}

/* The next call about a pair, within 40 s, is about this one. */
static void answer_progress(const char *pair, enum describe_result result, int percent)
{
    pass(40000);
    fixture_answer_pairs(pair, result, NULL, percent);
}

static void test_the_lowest_progress_of_the_pairs_counts(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    pass(29000);
    assert_int_equal(api.progress_count, 0);
    answer_progress("pg-a-1", DESCRIBE_COMPLETE, 50);
    fixture_expect_events("");
    answer_progress("pg-a-2", DESCRIBE_COMPLETE, 40);
    fixture_expect_events("pg-a:progress:2 ");
    assert_non_null(strstr(api.payload, "\"ProgressPercent\":40,"));
    int count = api.count;
    pass(25000);
    assert_true(api.count > count); /* reads of the state go on meanwhile */
    assert_int_equal(api.progress_count, 2);
    answer_progress("pg-a-1", DESCRIBE_COMPLETE, 60);
    answer_progress("pg-a-2", DESCRIBE_COMPLETE, 40);
    fixture_expect_events(""); /* it has not grown */
}

static void test_progress_is_read_only_while_a_copy_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    fixture_add(fixture, 2, "pg-b");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a pg-b", "stopped");
    fake_timers_advance(1000 * POLL_MS);
    assert_int_equal(api.progress_count, 0);
}

static void test_a_refused_pair_ends_the_round_without_an_event(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    answer_progress("pg-a-1", DESCRIBE_REFUSED, 0);
    pass(25000);
    assert_int_equal(api.progress_count, 1);
    answer_progress("pg-a-1", DESCRIBE_COMPLETE, 5);
    answer_progress("pg-a-2", DESCRIBE_COMPLETE, 6);
    fixture_expect_events("pg-a:progress:2 ");
}

static void test_a_group_is_read_again_after_a_slow_step_about_its_progress(void **state)
{
    begin_progress(*state);
    answer_progress("pg-a-1", DESCRIBE_COMPLETE, 50);
    pass(40000);
    api.is_slow = true;
    fixture_answer_pairs("pg-a-2", DESCRIBE_COMPLETE, NULL, 50);
    int count = api.count;
    fake_timers_advance(25000); /* its next read is due meanwhile */
    assert_int_equal(api.count, count);
    api.is_slow = false;
    api.stored_done(api.stored_arg, STATUS_OK);
    fake_timers_advance(1000);
    assert_int_equal(api.count, count + 1);
}

static void test_progress_comes_after_the_states_of_groups(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    api.may_call = false;
    fake_timers_advance(40000);
    api.may_call = true;
    fake_timers_advance(1000);
    assert_int_equal(api.count, 2);
    assert_int_equal(api.progress_count, 0);
    fixture_answer("pg-a", "manual_syncing");
    fake_timers_advance(1);
    assert_int_equal(api.progress_count, 1);
}

static void test_progress_ends_with_its_setting_and_with_its_watch(void **state)
{
    struct fixture *fixture = *state;
    begin_progress(fixture);
    pass(40000);
    assert_int_equal(api.progress_count, 1);
    watcher_remove(fixture->watcher, 1);
    fixture_answer_pairs("pg-a-1", DESCRIBE_COMPLETE, NULL, 5);
    fake_timers_advance(1000);
    assert_int_equal(api.progress_count, 1);
    fixture_add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "manual_syncing");
    fixture->settings.watch.progress_s = 0;
    watcher_settings_changed(fixture->watcher);
    pass(100000);
    assert_int_equal(api.progress_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_failed_group_is_told_with_the_states_of_its_pairs),
        TEST(test_a_failed_group_is_told_also_where_its_pairs_cannot_be_read),
        TEST(test_a_watch_may_be_replaced_while_its_pairs_are_read),
        TEST(test_the_lowest_progress_of_the_pairs_counts),
        TEST(test_progress_is_read_only_while_a_copy_is_under_way),
        TEST(test_a_refused_pair_ends_the_round_without_an_event),
        TEST(test_a_group_is_read_again_after_a_slow_step_about_its_progress),
        TEST(test_progress_comes_after_the_states_of_groups),
        TEST(test_progress_ends_with_its_setting_and_with_its_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
