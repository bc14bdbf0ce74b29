/*
 * What /api/watches lists.
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

/* The list as text. */
static const char *text_of_list(struct fixture *fixture, size_t max)
{
    static char text[4096];
    struct buf out = {0};
    watcher_put_list(fixture->watcher, max, &out);
    snprintf(text, sizeof text, "%s", out.data);
    buf_fini(&out);
    return text;
}

static void assert_listed(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no %s in %s", part, text);
    }
}

static void test_the_list_is_empty_where_nothing_is_watched(void **state)
{
    const char *text = text_of_list(*state, 5);
    assert_listed(text, "\"Count\":0,\"Watches\":[]}");
}

static void test_the_list_is_sorted_and_limited(void **state)
{
    fixture_add(*state, 1, "pg-c");
    fixture_add(*state, 2, "pg-a");
    fixture_add(*state, 3, "pg-d");
    fixture_add(*state, 4, "pg-b");
    const char *text = text_of_list(*state, 2);
    assert_listed(text, "\"Count\":4,");
    assert_true(strstr(text, "pg-a") < strstr(text, "pg-b"));
    assert_listed(text, "pg-b");
    assert_null(strstr(text, "pg-c"));
    assert_null(strstr(text, "pg-d"));
}

static void test_the_list_has_what_is_known_of_a_group(void **state)
{
    fixture_add(*state, 1, "pg-a");
    const char *before = text_of_list(*state, 5);
    assert_listed(before,
                  "\"Goal\":\"synchronised\",\"Outcome\":\"succeeded\",\"InTrouble\":false");
    assert_null(strstr(before, "GroupStatus"));
    assert_null(strstr(before, "LastEvent"));
    fake_timers_advance(POLL_MS);
    fixture_answer("pg-a", "initial_syncing");
    const char *after = text_of_list(*state, 5);
    assert_listed(after, "\"GroupStatus\":\"initial_syncing\",\"Class\":\"moving\",\"ChangedAt\":");
    assert_listed(after, "\"RpoS\":900,");
    assert_listed(after, "\"Seq\":1,\"LastEvent\":\"watching\",\"LastEventAt\":");
    assert_null(strstr(after, "LastRecoverPoint"));
}

static void test_a_watch_is_found_by_its_group_and_token(void **state)
{
    struct fixture *fixture = *state;
    fixture_add(fixture, 1, "pg-a");
    fixture_add(fixture, 2, "pg-b");
    const struct watch *watch = watcher_find(fixture->watcher, slice_text("pg-b"), slice_text("t"));
    assert_non_null(watch);
    assert_string_equal(watch->object, "pg-b");
    assert_null(watcher_find(fixture->watcher, slice_text("pg-b"), slice_text("later")));
    assert_null(watcher_find(fixture->watcher, slice_text("pg-c"), slice_text("t")));
}

static void test_the_list_begins_with_groups_in_trouble(void **state)
{
    struct fixture *fixture = *state;
    const struct watch behind = {
        .id = 9,
        .action = &action_rows[ACTION_StartDiskReplicaGroup],
        .route = "start",
        .region = "cn-beijing",
        .object = "pg-z",
        .token = "t",
        .started_at_ms = clock_wall_ms(),
        .ends_at_ms = clock_wall_ms() + 604800000,
        .state = {.seq = 4,
                  .view = {.status = "normal",
                           .recover_point_s = clock_wall_ms() / 1000 - 5000,
                           .rpo_s = 60,
                           .progress_percent = -1},
                  .flags = (unsigned)WATCH_IS_LAGGING | (unsigned)WATCH_HAS_MOVED}};
    fixture_add(fixture, 1, "pg-a");
    watcher_add(fixture->watcher, &behind);
    const char *text = text_of_list(fixture, 5);
    assert_true(strstr(text, "pg-z") < strstr(text, "pg-a"));
    assert_listed(text, "\"InTrouble\":true,\"Synchronised\":false,\"Lagging\":true,");
    assert_listed(text, "\"RpoExceeded\":true");
    assert_listed(text, "\"RpoS\":60,");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_the_list_is_empty_where_nothing_is_watched),
        TEST(test_the_list_is_sorted_and_limited),
        TEST(test_the_list_has_what_is_known_of_a_group),
        TEST(test_a_watch_is_found_by_its_group_and_token),
        TEST(test_the_list_begins_with_groups_in_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
