#include "model/route.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char *start_topics[] = {"commands/start", "sites/+/start"};
static char *other_topics[] = {"commands/#"};
static char *places[] = {"replies/#", "inbox/+"};
static char *regions[] = {"cn-*", "eu-central-1"};
static char *groups[] = {"pg-[ab]*", "PG-9"};

static const struct route routes[] = {
    {
        .name = "start",
        .topics = {start_topics, 2},
        .response_topics = {places, 2},
        .regions = {regions, 2},
        .groups = {groups, 2},
    },
    {.name = "other", .topics = {other_topics, 1}},
};

static void test_a_region_and_a_group_must_both_match_a_pattern(void **state)
{
    (void)state;
    static const struct {
        const char *region;
        const char *group;
        bool is_allowed;
    } rows[] = {
        {"cn-beijing", "pg-a1", true},    {"eu-central-1", "PG-9", true},
        {"cn-beijing", "pg-c1", false},   {"us-east-1", "pg-a1", false},
        {"eu-central-11", "PG-9", false}, {"cn-beijing", "pg-9", false},
        {"CN-beijing", "pg-a1", false},   {"cn-", "pg-b", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(route_allows(&routes[0], rows[i].region, rows[i].group),
                         rows[i].is_allowed);
    }
}

static void test_a_route_without_patterns_allows_nothing(void **state)
{
    (void)state;
    assert_false(route_allows(&routes[1], "cn-beijing", "pg-a1"));
}

static void test_a_star_pattern_matches_everything(void **state)
{
    (void)state;
    char *all[] = {"*"};
    struct route route = {.regions = {all, 1}, .groups = {all, 1}};
    assert_true(route_allows(&route, ".hidden", "a/b c"));
}

static void test_patterns_mean_what_a_shell_means_by_them(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *value;
        bool is_allowed;
    } rows[] = {
        {"pg-*", "PG-1", false},
        {"PG-*", "PG-1", true},
        {"pg-*", "pg-", true},
        {"pg-?", "pg-", false},
        {"pg-?", "pg-ab", false},
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"pg-[ab]", "pg-a", true},
        {"pg-[ab]", "pg-c", false},
        {"pg-[!ab]", "pg-c", true},
        {"pg-[!ab]", "pg-a", false},
        {"pg-[a-c]", "pg-b", true},
        {"pg-[a-c]", "pg-B", false},
        {"pg-[]]", "pg-]", true},
        {"pg-[0-9]*", "pg-1x", true},
        {"*", "a/b", true},
        {"a*c", "a/b/c", true},
        {"a?c", "a/c", true},
        {"*", ".hidden", true},
        {"?hidden", ".hidden", true},
        {"pg-1", "pg-1 ", false},
        {"pg-1", "xpg-1", false},
        {"pg-\\*", "pg-*", true},
        {"pg-\\*", "pg-1", false},
        {"pg.1", "pgx1", false},
        {"pg-{a,b}", "pg-a", false},
        {"pg-(a)", "pg-a", false},
        {"cn-*", "us-cn-1", false},
        {"*-1", "cn-1-2", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *list[] = {(char *)rows[i].pattern};
        const struct route route = {.groups = {list, 1}};
        assert_int_equal(route_allows_group(&route, rows[i].value), rows[i].is_allowed);
    }
}

/* A sender chooses the value, which is short; a pattern is as long as the operator wrote it. */
static void test_no_pattern_takes_long(void **state)
{
    (void)state;
    static const char *const pieces[] = {"*a", "*?", "*[a-z]", "*[[", "**", "?*", "*[!b]a"};
    char value[129];
    char pattern[1025];
    memset(value, 'a', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    int64_t begin_ms = clock_mono_ms();
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        size_t length = strlen(pieces[i]);
        size_t at = 0;
        while (at + length + 1 < sizeof pattern) {
            memcpy(pattern + at, pieces[i], length);
            at += length;
        }
        memcpy(pattern + at, "b", 2);
        char *list[] = {pattern};
        const struct route route = {.groups = {list, 1}};
        for (int round = 0; round < 100; round++) {
            assert_false(route_allows_group(&route, value));
        }
    }
    assert_true(clock_mono_ms() - begin_ms < 5000);
}

static void test_reply_topics_must_match_a_filter_and_be_names(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        bool is_allowed;
    } rows[] = {
        {"replies", true},         {"replies/a/b", true},
        {"inbox/a", true},         {"inbox/a/b", false},
        {"commands/start", false}, {"replies/+", false},
        {"replies/#", false},      {"", false},
        {"$SYS/replies", false},   {"replies\n", false},
        {"replies/\xff", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(route_allows_reply_topic(&routes[0], slice_text(rows[i].topic)),
                         rows[i].is_allowed);
    }
    assert_false(route_allows_reply_topic(&routes[0], slice_text(NULL)));
    assert_false(route_allows_reply_topic(&routes[0], slice_of("replies/\0a", 10)));
}

static void test_the_first_route_with_a_matching_filter_is_found(void **state)
{
    (void)state;
    assert_ptr_equal(route_of_topic(routes, 2, slice_text("commands/start")), &routes[0]);
    assert_ptr_equal(route_of_topic(routes, 2, slice_text("sites/7/start")), &routes[0]);
    assert_ptr_equal(route_of_topic(routes, 2, slice_text("commands/stop")), &routes[1]);
    assert_null(route_of_topic(routes, 2, slice_text("sites/7/stop")));
    assert_null(route_of_topic(routes, 0, slice_text("commands/start")));
    assert_null(route_of_topic(routes, 2, slice_text(NULL)));
}

static void test_a_route_is_found_by_its_name(void **state)
{
    (void)state;
    assert_ptr_equal(route_of_name(routes, 2, "other"), &routes[1]);
    assert_null(route_of_name(routes, 2, "Other"));
}

static void test_a_command_of_an_earlier_run_is_judged_by_its_route_or_any_of_its_action(
    void **state)
{
    (void)state;
    const struct action *start = action_find(slice_text("StartDiskReplicaGroup"));
    const struct action *other = action_find(slice_text("DescribeDiskReplicaGroups"));
    static char *wide[] = {"*"};
    static const struct route now[] = {
        {.name = "start",
         .action = "StartDiskReplicaGroup",
         .regions = {regions, 2},
         .groups = {groups, 2}},
        {.name = "new",
         .action = "StartDiskReplicaGroup",
         .regions = {wide, 1},
         .groups = {groups + 1, 1}},
    };
    assert_true(route_still_allows(now, 2, &now[0], start, "cn-a", "pg-a"));
    assert_false(route_still_allows(now, 2, &now[1], start, "cn-a", "pg-a"));
    assert_true(route_still_allows(now, 2, NULL, start, "us-a", "PG-9"));
    assert_false(route_still_allows(now, 2, NULL, start, "us-a", "pg-a"));
    assert_false(route_still_allows(now, 2, NULL, other, "cn-a", "pg-a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_region_and_a_group_must_both_match_a_pattern),
        cmocka_unit_test(test_a_route_without_patterns_allows_nothing),
        cmocka_unit_test(test_a_star_pattern_matches_everything),
        cmocka_unit_test(test_patterns_mean_what_a_shell_means_by_them),
        cmocka_unit_test(test_no_pattern_takes_long),
        cmocka_unit_test(test_reply_topics_must_match_a_filter_and_be_names),
        cmocka_unit_test(test_the_first_route_with_a_matching_filter_is_found),
        cmocka_unit_test(test_a_route_is_found_by_its_name),
        cmocka_unit_test(
            test_a_command_of_an_earlier_run_is_judged_by_its_route_or_any_of_its_action),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
