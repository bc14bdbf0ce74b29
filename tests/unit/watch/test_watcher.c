/*
 * Which groups are asked for, when and at which site, and how a watch ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/fakes/fake_timers.h"
#include "support/fakes/watch_fixture.h"

#include <stdio.h>
#include <string.h>

static void test_groups_are_asked_for_together_and_in_order(void **state)
{
    fixture_add(*state, 1, "pg-c");
    fixture_add(*state, 2, "pg-a");
    fixture_add(*state, 3, "pg-b");
    assert_int_equal(api.count, 0);
    fake_timers_advance(POLL_MS);
    fixture_expect_call(1, "pg-a pg-b pg-c ", GROUP_SITE_PRODUCTION);
    fixture_answer("pg-a pg-b pg-c", "initial_syncing");
    fixture_expect_events("pg-a:watching:1 pg-b:watching:1 pg-c:watching:1 ");
}

static void test_no_call_has_more_groups_than_the_setting_says(void **state)
{
    static const char *const ids[] = {"pg-1", "pg-2", "pg-3", "pg-4", "pg-5"};
    for (int i = 0; i < 5; i++) {
        fixture_add(*state, i + 1, ids[i]);
    }
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 1); /* one call at a time */
    assert_int_equal(api.id_count, 4);
    fixture_answer(api.ids, "normal");
    fake_timers_advance(1);
    assert_int_equal(api.count, 2);
}

static void test_groups_whose_names_do_not_fit_into_a_call_are_in_the_next_one(void **state)
{
    char first[sizeof api.ids];
    api.fitting_max = 2;
    fixture_add(*state, 1, "pg-1");
    fixture_add(*state, 2, "pg-2");
    fixture_add(*state, 3, "pg-3");
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.id_count, 2);
    memcpy(first, api.ids, sizeof first);
    fixture_answer(api.ids, "normal");
    fake_timers_advance(1);
    assert_int_equal(api.count, 2);
    for (int i = 1; i <= 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "pg-%d ", i);
        assert_true(strstr(first, id) != NULL || strstr(api.ids, id) != NULL);
    }
}

static void test_a_group_whose_step_is_being_stored_is_asked_for_afterwards(void **state)
{
    fixture_add(*state, 1, "pg-a");
    api.is_slow = true;
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "initial_syncing");
    fake_timers_advance(10 * POLL_MS);
    assert_int_equal(api.count, 1);
    api.stored_done(api.stored_arg, STATUS_OK);
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 2);
}

static void test_commands_go_first(void **state)
{
    fixture_add(*state, 1, "pg-a");
    api.may_call = false;
    fake_timers_advance(10 * POLL_MS);
    assert_int_equal(api.count, 0);
    api.may_call = true;
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 1);
}

static void test_the_time_between_calls_grows_until_something_changes(void **state)
{
    fixture_add(*state, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "initial_syncing");
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 2);
    fixture_answer("pg-a", "initial_syncing"); /* 7.5 s, then 11.25, 16.875 and 20 */
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 2);
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 3);
    fixture_answer("pg-a", "normal");
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.count, 4);
}

static void test_an_absent_group_is_asked_for_alone_and_at_the_other_site(void **state)
{
    fixture_add(*state, 1, "pg-a");
    fixture_add(*state, 2, "pg-b");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "normal");
    fake_timers_advance(1);
    fixture_expect_call(2, "pg-b ", GROUP_SITE_PRODUCTION);
    fixture_answer("", "");
    fake_timers_advance(1);
    fixture_expect_call(3, "pg-b ", GROUP_SITE_BACKUP);
    fixture_answer("pg-b", "normal");
    fixture_expect_events("pg-a:watching:1 pg-b:watching:1 ");
    fake_timers_advance(POLL_MS); /* its site is remembered */
    fixture_answer(api.ids, "normal");
    fake_timers_advance(POLL_MS);
    assert_int_equal(api.id_count, 1);
}

static void test_a_refused_batch_is_halved_until_the_guilty_group_is_alone(void **state)
{
    fixture_add(*state, 1, "pg-1");
    fixture_add(*state, 2, "pg-2");
    fixture_add(*state, 3, "pg-3");
    fixture_add(*state, 4, "pg-4");
    fake_timers_advance(POLL_MS);
    fixture_answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    fake_timers_advance(1);
    fixture_expect_call(2, "pg-1 pg-2 ", GROUP_SITE_PRODUCTION);
    fixture_answer("pg-1 pg-2", "normal");
    fake_timers_advance(1);
    fixture_expect_call(3, "pg-3 pg-4 ", GROUP_SITE_PRODUCTION);
    fixture_answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    fake_timers_advance(1);
    fixture_expect_call(4, "pg-3 ", GROUP_SITE_PRODUCTION);
    fixture_answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    fake_timers_advance(1);
    fixture_expect_call(5, "pg-4 ", GROUP_SITE_PRODUCTION);
    fixture_answer("pg-4", "normal");
    fake_timers_advance(POLL_MS); /* the guilty one is left out */
    fixture_expect_call(6, "pg-1 pg-2 pg-4 ", GROUP_SITE_PRODUCTION);
}

static void test_a_watch_of_a_route_that_is_off_ends_without_a_call(void **state)
{
    struct fixture *fixture = *state;
    struct route route = {.name = (char *)"start", .watch = (char *)"until_done"};
    fixture->settings.routes = &route;
    fixture->settings.route_count = 1;
    fixture_add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "initial_syncing");
    fixture_expect_events("pg-a:watching:1 ");
    route.watch = (char *)"off";
    watcher_settings_changed(fixture->watcher);
    fixture_expect_events("pg-a:gave_up:2 ");
    fixture_add(fixture, 2, "pg-b"); /* of the last run */
    fixture_expect_events("pg-b:gave_up:1 ");
    fake_timers_advance(100 * POLL_MS);
    assert_int_equal(api.count, 1);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCHES), 0);
}

static void test_blindness_counts_from_the_first_call_by_the_clock_of_the_api(void **state)
{
    fixture_add(*state, 1, "pg-a");
    api.clock_ahead_ms = 600000;
    fake_timers_advance(POLL_MS);
    fixture_answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    fixture_expect_events("");
    api.clock_ahead_ms += 301000; /* the time passes in the test only */
    fake_timers_advance(120000);
    assert_int_equal(api.count, 2);
    fixture_answer_without_groups(DESCRIBE_REFUSED, CATEGORY_DENIED, -1);
    fixture_expect_events("pg-a:blind:1 ");
}

static void test_a_failure_concludes_nothing_and_makes_the_region_wait_longer(void **state)
{
    struct fixture *fixture = *state;
    fixture_add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    fixture_answer_without_groups(DESCRIBE_FAILED, CATEGORY_THROTTLED, 60000);
    fake_timers_advance(59000);
    assert_int_equal(api.count, 1); /* the API's own time */
    fake_timers_advance(2000);
    assert_int_equal(api.count, 2);
    fixture_answer_without_groups(DESCRIBE_FAILED, CATEGORY_THROTTLED, -1);
    fake_timers_advance(9000);
    assert_int_equal(api.count, 2); /* twice poll_min_s */
    fake_timers_advance(30000);
    assert_int_equal(api.count, 3);
    fixture_expect_events("");
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCH_FAILED), 2);
}

static void test_what_could_not_be_stored_is_seen_again(void **state)
{
    fixture_add(*state, 1, "pg-a");
    api.stored = STATUS_STORE;
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "initial_syncing");
    fixture_expect_events("pg-a:watching:1 ");
    api.stored = STATUS_OK;
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "initial_syncing");
    fixture_expect_events("pg-a:watching:1 ");
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "initial_syncing");
    fixture_expect_events("");
}

static void test_a_final_event_or_a_replaced_watch_ends_the_calls(void **state)
{
    struct fixture *fixture = *state;
    fixture_add(fixture, 1, "pg-a");
    fixture_add(fixture, 2, "pg-b");
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCHES), 2);
    watcher_remove(fixture->watcher, 2);
    fake_timers_advance(POLL_MS);
    fixture_expect_call(1, "pg-a ", GROUP_SITE_PRODUCTION);
    fixture_answer("pg-a", "deleted");
    fixture_expect_events("pg-a:watching:1 pg-a:gone:2 ");
    assert_int_equal(counter_get(&fixture->counters, COUNTER_WATCHES), 0);
    fake_timers_advance(100 * POLL_MS);
    assert_int_equal(api.count, 1);
}

static void test_a_watch_may_end_while_the_api_is_asked_for_it(void **state)
{
    struct fixture *fixture = *state;
    fixture_add(fixture, 1, "pg-a");
    fake_timers_advance(POLL_MS);
    watcher_remove(fixture->watcher, 1);
    fixture_answer("pg-a", "normal");
    fixture_expect_events("");
}

static void set_region(struct fixture *fixture, const struct watch *a, const struct watch *b)
{
    const struct watch *const watches[] = {a, b};
    watcher_set_region(fixture->watcher, "cn-beijing", watches, b == NULL ? 1 : 2);
}

static void test_the_watches_of_a_region_are_those_of_its_list(void **state)
{
    const struct watch first = fixture_watch_of(1, "pg-a");
    const struct watch second = fixture_watch_of(2, "pg-b");
    const struct watch replacing = fixture_watch_of(3, "pg-a");
    set_region(*state, &first, &second);
    fake_timers_advance(POLL_MS);
    fixture_expect_call(1, "pg-a pg-b ", GROUP_SITE_PRODUCTION);
    fixture_answer("pg-a pg-b", "initial_syncing");
    fixture_expect_events("pg-a:watching:1 pg-b:watching:1 ");
    /* One that is known goes on where it is; one that is not listed has ended. */
    set_region(*state, &second, &replacing);
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a pg-b", "normal");
    fixture_expect_events("pg-a:watching:1 pg-b:status:2 ");
    set_region(*state, &second, NULL);
    assert_null(
        watcher_find(((struct fixture *)*state)->watcher, slice_text("pg-a"), (struct slice){0}));
}

/* The list may be older than the step whose answer comes behind it. */
static void test_a_list_that_comes_before_the_answer_of_a_step_changes_nothing(void **state)
{
    const struct watch first = fixture_watch_of(1, "pg-a");
    set_region(*state, &first, NULL);
    api.is_slow = true;
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "initial_syncing");
    fixture_expect_events("pg-a:watching:1 ");
    set_region(*state, &first, NULL);
    api.stored_done(api.stored_arg, STATUS_OK);
    api.is_slow = false;
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "normal");
    fixture_expect_events("pg-a:status:2 ");
}

static void test_a_command_that_was_sent_once_more_changes_its_watch(void **state)
{
    struct watch watch = fixture_watch_of(1, "pg-a");
    watch.is_outcome_unknown = true;
    set_region(*state, &watch, NULL);
    watch.is_outcome_unknown = false;
    watch.state.seq = 7;
    set_region(*state, &watch, NULL);
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "initial_syncing");
    assert_non_null(strstr(api.messages, ":8 "));
    assert_non_null(strstr(api.payload, "\"Outcome\":\"succeeded\""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_groups_are_asked_for_together_and_in_order),
        TEST(test_no_call_has_more_groups_than_the_setting_says),
        TEST(test_groups_whose_names_do_not_fit_into_a_call_are_in_the_next_one),
        TEST(test_a_group_whose_step_is_being_stored_is_asked_for_afterwards),
        TEST(test_commands_go_first),
        TEST(test_the_time_between_calls_grows_until_something_changes),
        TEST(test_an_absent_group_is_asked_for_alone_and_at_the_other_site),
        TEST(test_a_refused_batch_is_halved_until_the_guilty_group_is_alone),
        TEST(test_blindness_counts_from_the_first_call_by_the_clock_of_the_api),
        TEST(test_a_watch_of_a_route_that_is_off_ends_without_a_call),
        TEST(test_a_failure_concludes_nothing_and_makes_the_region_wait_longer),
        TEST(test_what_could_not_be_stored_is_seen_again),
        TEST(test_a_final_event_or_a_replaced_watch_ends_the_calls),
        TEST(test_a_watch_may_end_while_the_api_is_asked_for_it),
        TEST(test_the_watches_of_a_region_are_those_of_its_list),
        TEST(test_a_list_that_comes_before_the_answer_of_a_step_changes_nothing),
        TEST(test_a_command_that_was_sent_once_more_changes_its_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
