#include "ecs/group_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A page with this one group. */
static void read_group(struct group_list *list, const char *members)
{
    struct buf body = {0};
    buf_printf(&body, "{\"RequestId\":\"R\",\"ReplicaGroups\":[{\"ReplicaGroupId\":\"pg-a\"%s%s}]}",
               members[0] == '\0' ? "" : ",", members);
    assert_int_equal(group_list_read(list, buf_slice(&body)), STATUS_OK);
    assert_int_equal(list->count, 1);
    buf_fini(&body);
}

static void test_the_documented_sample(void **state)
{
    (void)state;
    struct group_list list = {0};
    assert_int_equal(
        group_list_read(
            &list,
            slice_text(
                "{\"RequestId\":\"AAA478A0-BEE6-1D42-BEB6-A9CFEAD60000\","
                "\"NextToken\":\"AAAAAdDWBF2x\",\"PageNumber\":1,\"PageSize\":10,\"TotalCount\":60,"
                "\"ReplicaGroups\":[{\"ReplicaGroupId\":\"pg-a\",\"GroupName\":\"n\","
                "\"Site\":\"production\",\"Status\":\"created\",\"RPO\":180,"
                "\"LastRecoverPoint\":1637835114,\"PairIds\":[\"pair-1,pair-2\"],"
                "\"PairNumber\":2,\"SourceRegionId\":\"cn-beijing\","
                "\"StandbyRegion\":\"cn-shanghai\\n\",\"Bandwidth\":0,\"EnableRtc\":true,"
                "\"Tags\":[{\"TagKey\":\"k\",\"TagValue\":\"v\"}]}]}")),
        STATUS_OK);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.next_token, "AAAAAdDWBF2x");
    const struct listed_group *group = group_list_find(&list, "pg-a");
    assert_non_null(group);
    assert_null(group_list_find(&list, "pg-A"));
    assert_string_equal(group->view.status, "created");
    assert_int_equal(group->view.rpo_s, 180);
    assert_int_equal(group->view.recover_point_s, 1637835114);
    assert_int_equal(group->view.progress_percent, -1);
    assert_int_equal(group->pairs.count, 2);
    assert_string_equal(group->pairs.items[0], "pair-1");
    assert_string_equal(group->pairs.items[1], "pair-2");
    group_list_fini(&list);
    assert_int_equal(list.count, 0);
}

static void test_recovery_points_in_each_form(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        int64_t recover_point_s;
    } rows[] = {
        {"", 0},
        {"\"LastRecoverPoint\":null", 0},
        {"\"LastRecoverPoint\":0", 0},
        {"\"LastRecoverPoint\":-5", 0},
        {"\"LastRecoverPoint\":\"\"", 0},
        {"\"LastRecoverPoint\":\"-5\"", 0},
        {"\"LastRecoverPoint\":\"abc\"", 0},
        {"\"LastRecoverPoint\":1637835114.9", 1637835114},
        {"\"LastRecoverPoint\":\" 1637835114\\n\"", 1637835114},
        {"\"LastRecoverPoint\":99999999999", 99999999999},
        {"\"LastRecoverPoint\":100000000000", 100000000},
        {"\"LastRecoverPoint\":1637835114999", 1637835114},
        {"\"LastRecoverPoint\":\"1637835114999\"", 1637835114},
        {"\"LastRecoverPoint\":1e300", 0},
        {"\"LastRecoverPoint\":\"99999999999999999999999\"", 0},
        {"\"LastRecoverPoint\":[1637835114]", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct group_list list = {0};
        read_group(&list, rows[i].members);
        assert_int_equal(list.groups[0].view.recover_point_s, rows[i].recover_point_s);
        group_list_fini(&list);
    }
}

#define TEXT_63 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

static void test_states_in_each_form(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        const char *status; /* "": nothing is known, but the group is there */
    } rows[] = {
        {"\"Status\":\"normal\"", "normal"},
        {"\"Status\":\" normal\\n\"", "normal"},
        {"\"Status\":\"brand new\"", "brand new"},
        {"\"Status\":\"" TEXT_63 "\"", TEXT_63},
        {"\"Status\":\"" TEXT_63 "f\"", ""},
        {"\"Status\":\"\\u00e4\"", ""},
        {"\"Status\":\"\"", ""},
        {"\"Status\":7", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct group_list list = {0};
        read_group(&list, rows[i].members);
        assert_string_equal(list.groups[0].view.status, rows[i].status);
        group_list_fini(&list);
    }
}

static void test_an_rpo_out_of_range_is_not_known(void **state)
{
    (void)state;
    struct group_list list = {0};
    read_group(&list, "\"RPO\":\"31536000\"");
    assert_int_equal(list.groups[0].view.rpo_s, 31536000);
    group_list_fini(&list);
    read_group(&list, "\"RPO\":31536001");
    assert_int_equal(list.groups[0].view.rpo_s, 0);
    group_list_fini(&list);
}

static void test_pairs_in_each_form(void **state)
{
    (void)state;
    struct group_list list = {0};
    read_group(&list, "\"PairIds\":[\"a , b\",\"c\",\",,\",7,\"d\\u00e4\"]");
    assert_int_equal(list.groups[0].pairs.count, 3);
    assert_string_equal(list.groups[0].pairs.items[1], "b");
    assert_string_equal(list.groups[0].pairs.items[2], "c");
    group_list_fini(&list);
    read_group(&list, "\"PairIds\":\"a\"");
    assert_int_equal(list.groups[0].pairs.count, 0);
    group_list_fini(&list);
    struct buf many = {0};
    buf_append_text(&many, "\"PairIds\":[\"a");
    for (int i = 0; i < GROUP_PAIRS_MAX; i++) {
        buf_append_text(&many, ",a");
    }
    buf_append_text(&many, "\"]");
    read_group(&list, many.data);
    assert_int_equal(list.groups[0].pairs.count, GROUP_PAIRS_MAX);
    group_list_fini(&list);
    buf_fini(&many);
}

static void test_items_without_an_id_are_left_out(void **state)
{
    (void)state;
    struct group_list list = {0};
    assert_int_equal(
        group_list_read(&list, slice_text("{\"ReplicaGroups\":[1,null,[],{},"
                                          "{\"ReplicaGroupId\":\"\"},{\"ReplicaGroupId\":5},"
                                          "{\"ReplicaGroupId\":\"pg-\\u00e4\"},"
                                          "{\"ReplicaGroupId\":\" pg-a \"}]}")),
        STATUS_OK);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.groups[0].id, "pg-a");
    assert_null(list.next_token);
    group_list_fini(&list);
}

static void test_pages_add_up_and_the_last_token_counts(void **state)
{
    (void)state;
    struct group_list list = {0};
    read_group(&list, "");
    assert_int_equal(group_list_read(&list, slice_text("{\"NextToken\":\"t\",\"ReplicaGroups\":"
                                                       "[{\"ReplicaGroupId\":\"pg-b\"}]}")),
                     STATUS_OK);
    assert_string_equal(list.next_token, "t");
    assert_int_equal(
        group_list_read(&list, slice_text("{\"NextToken\":\"\",\"ReplicaGroups\":[]}")), STATUS_OK);
    assert_null(list.next_token);
    assert_int_equal(list.count, 2);
    group_list_fini(&list);
}

static void test_a_token_that_cannot_be_sent_is_a_page_that_is_missing(void **state)
{
    (void)state;
    struct group_list list = {0};
    assert_int_equal(group_list_read(&list, slice_text("{\"NextToken\":\"\\u00e4\","
                                                       "\"ReplicaGroups\":[]}")),
                     STATUS_LIMIT);
    assert_null(list.next_token);
    group_list_fini(&list);
}

static void test_what_is_no_list_of_groups_is_invalid(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "<html></html>",
        "[]",
        "{\"RequestId\":\"R\"}",
        "{\"ReplicaGroups\":null}",
        "{\"ReplicaGroups\":{}}",
        "{\"ReplicaGroups\":\"\"}",
        "{\"ReplicaGroups\":[{\"ReplicaGroupId\":\"pg-a\"}]",
        "{\"replicagroups\":[]}",
    };
    struct group_list list = {0};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(group_list_read(&list, slice_text(bodies[i])), STATUS_INVALID);
        assert_int_equal(list.count, 0);
    }
}

#define PAIR(members) "{\"ReplicaPairId\":\"p-1\"" members "}"

static void test_states_of_pairs_in_each_form(void **state)
{
    (void)state;
    static const struct {
        const char *pairs;
        const char *states;
    } rows[] = {
        {"", "[]"},
        {PAIR(""), "[" PAIR("") "]"},
        {"{\"ReplicaPairId\":\" p-1\\n\",\"Status\":\" "
         "invalid\\n\",\"StatusMessage\":\"DeviceRemoved\","
         "\"RPO\":180,\"ReplicaGroupId\":\"pg-a\"},{\"ReplicaPairId\":\"p-2\",\"Status\":"
         "\"stopped\"}",
         "[" PAIR(
             ",\"Status\":\"invalid\",\"StatusMessage\":\"DeviceRemoved\"") ",{"
                                                                            "\"ReplicaPairId\":\"p-"
                                                                            "2\",\"Status\":"
                                                                            "\"stopped\"}]"},
        {PAIR(",\"Status\":\"invalid\"") "," PAIR(",\"Status\":\"invalid\""),
         "[" PAIR(",\"Status\":\"invalid\"") "]"},
        {PAIR(",\"ReplicaGroupId\":\"pg-b\""), "[]"},
        {PAIR(",\"Status\":7,\"StatusMessage\":\"\\u00e4\""), "[" PAIR("") "]"},
        {"{\"Status\":\"invalid\"},7," PAIR(""), "[" PAIR("") "]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf body = {0};
        struct buf out = {0};
        buf_printf(&body, "{\"RequestId\":\"R\",\"ReplicaPairs\":[%s]}", rows[i].pairs);
        assert_int_equal(pair_states_read(buf_slice(&body), "pg-a", &out), STATUS_OK);
        assert_string_equal(out.data, rows[i].states);
        buf_fini(&body);
        buf_fini(&out);
    }
}

static void test_an_answer_without_pairs_is_invalid(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{}", "[]", "{\"ReplicaPairs\":{}}", "not JSON"};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(pair_states_read(slice_text(bodies[i]), "pg-a", &out), STATUS_INVALID);
        assert_int_equal(out.length, 0);
    }
}

static void test_progress_in_each_form(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int percent; /* -1: invalid */
    } rows[] = {
        {"{\"Progress\":0}", 0},
        {"{\"Progress\":100,\"RecoverPoint\":1}", 100},
        {"{\"Progress\":41.9}", 41},
        {"{\"Progress\":\" 42\\n\"}", 42},
        {"{\"Progress\":101}", -1},
        {"{\"Progress\":-1}", -1},
        {"{\"Progress\":1e300}", -1},
        {"{\"Progress\":\"101\"}", -1},
        {"{\"Progress\":\"\"}", -1},
        {"{\"Progress\":\"4x\"}", -1},
        {"{\"Progress\":\"0042\"}", -1},
        {"{\"Progress\":null}", -1},
        {"{}", -1},
        {"[]", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int percent = -1;
        enum status status = pair_progress_read(slice_text(rows[i].body), &percent);
        assert_int_equal(status, rows[i].percent < 0 ? STATUS_INVALID : STATUS_OK);
        assert_int_equal(percent, rows[i].percent);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_documented_sample),
        cmocka_unit_test(test_recovery_points_in_each_form),
        cmocka_unit_test(test_states_in_each_form),
        cmocka_unit_test(test_an_rpo_out_of_range_is_not_known),
        cmocka_unit_test(test_pairs_in_each_form),
        cmocka_unit_test(test_items_without_an_id_are_left_out),
        cmocka_unit_test(test_pages_add_up_and_the_last_token_counts),
        cmocka_unit_test(test_a_token_that_cannot_be_sent_is_a_page_that_is_missing),
        cmocka_unit_test(test_what_is_no_list_of_groups_is_invalid),
        cmocka_unit_test(test_states_of_pairs_in_each_form),
        cmocka_unit_test(test_an_answer_without_pairs_is_invalid),
        cmocka_unit_test(test_progress_in_each_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
