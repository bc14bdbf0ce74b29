/* Tests of the lists of groups and pairs: what is in them and how it looks. */
#include "test_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <cmocka.h>

static void test_a_list_has_ten_items_unless_more_are_asked_for(void **state)
{
    static const char ids[] = "GroupIds=pg-1%2Cpg-2%2Cpg-3%2Cpg-4%2Cpg-5%2Cpg-6%2Cpg-7%2Cpg-8%2C"
                              "pg-9%2Cpg-10%2Cpg-11%2Cpg-12%2Cpg-1";
    char query[256];
    (void)state;
    make_groups(12);
    snprintf(query, sizeof query, "%s&RegionId=cn-beijing", ids);
    expect_count(groups_action, query, 10);
    snprintf(query, sizeof query, "%s&MaxResults=100&RegionId=cn-beijing", ids);
    expect_count(groups_action, query, 12);
    expect_count(groups_action, "RegionId=cn-beijing", 10);
    expect_count(pairs_action, "RegionId=cn-beijing", 10);
    expect_count(pairs_action, "MaxResults=500&RegionId=cn-beijing", 24);
    simulator_order(&simulator, "POST", "describe", "{\"PageLimit\":3}");
    expect_count(groups_action, "MaxResults=100&RegionId=cn-beijing", 3);
}

static void test_the_rest_of_a_list_comes_with_its_next_token(void **state)
{
    struct reply reply;
    (void)state;
    make_groups(12);
    ask(groups_action, "MaxResults=7&RegionId=cn-beijing", "", &reply);
    assert_string_equal(reply_text(&reply, "NextToken"), "AAAA+7/=");
    assert_int_equal(number_of(reply.json, "TotalCount"), 12);
    reply_fini(&reply);
    /* PageNumber is ignored beside a token, and TotalCount means nothing. */
    ask(groups_action,
        "MaxResults=7&NextToken=AAAA%2B7%2F%3D&PageNumber=9&PageSize=1&RegionId=cn-beijing", "",
        &reply);
    assert_int_equal(cJSON_GetArraySize(list_of(&reply)), 5);
    assert_string_equal(text_of(cJSON_GetArrayItem(list_of(&reply), 0), "ReplicaGroupId"), "pg-8");
    assert_string_equal(reply_text(&reply, "NextToken"), "");
    assert_int_equal(number_of(reply.json, "TotalCount"), 0);
    reply_fini(&reply);
}

static void test_a_list_can_be_read_by_page_and_by_filter(void **state)
{
    struct reply reply;
    (void)state;
    make_groups(12);
    ask(groups_action, "PageNumber=3&PageSize=5&RegionId=cn-beijing", "", &reply);
    assert_int_equal(cJSON_GetArraySize(list_of(&reply)), 2);
    assert_int_equal(number_of(reply.json, "TotalCount"), 12);
    assert_int_equal(number_of(reply.json, "PageNumber"), 3);
    reply_fini(&reply);
    expect_count(groups_action, "Name=g-1&RegionId=cn-beijing", 4);
    expect_count(groups_action, "RegionId=cn-beijing&ResourceGroupId=rg-other", 0);
    expect_count(groups_action, "RegionId=cn-hangzhou", 0);
    simulator_call(&simulator, "GroupIds=pg-1&RegionId=cn-beijing",
                   &(struct call_options){.action = groups_action, .accept = "text/xml"}, &reply);
    assert_non_null(strstr(reply.body, "<Status>created</Status>"));
    reply_fini(&reply);
}

static void test_parameters_past_their_limits_are_refused(void **state)
{
    static const struct {
        const char *action;
        const char *query;
        const char *code;
    } rows[] = {
        {groups_action, "MaxResults=0&RegionId=r", "InvalidParameter"},
        {groups_action, "MaxResults=501&RegionId=r", "InvalidParameter"},
        {groups_action, "MaxResults=500&RegionId=r", ""},
        {groups_action, "PageSize=101&RegionId=r", "InvalidParameter"},
        {groups_action, "PageSize=100&RegionId=r", ""},
        {groups_action, "PageNumber=0&RegionId=r", "InvalidParameter"},
        {groups_action, "NextToken=1&RegionId=r", "InvalidParameter"},
        {groups_action, "NextToken=AAAA%2B%2F%3D&RegionId=r", "InvalidParameter"},
        {groups_action, "RegionId=r&Site=primary", "InvalidParameter"},
        {groups_action, "GroupIds=&RegionId=r", "InvalidParameter"},
        {groups_action, "GroupIds=a%2C%2Cb&RegionId=r", "InvalidParameter"},
        {groups_action, "GroupIds=a", "MissingRegionId"},
        {pairs_action, "PairIds=a%2C&RegionId=r", "InvalidParameter"},
        {pairs_action, "ReplicaGroupId=a", "MissingRegionId"},
        {progress_action, "RegionId=r", "MissingReplicaPairId"},
        {progress_action, "RegionId=r&ReplicaPairId=pair-pg-1-1", "NoSuchResource"},
        {progress_action, "RegionId=cn-beijing&ReplicaPairId=pair-pg-1-3", "NoSuchResource"},
        {progress_action, "RegionId=cn-beijing&ReplicaPairId=pg-1", "NoSuchResource"},
        {stop_action, "OneShot=true&RegionId=cn-beijing&ReplicaGroupId=pg-1", "InvalidParameter"},
        {stop_action, "RegionId=cn-beijing", "MissingReplicaGroupId"},
        {stop_action, "RegionId=cn-beijing&ReplicaGroupId=pg-none", "NoSuchResource"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect(rows[i].action, rows[i].query, rows[i].code);
    }
}

static void test_a_hundred_ids_are_accepted_and_one_more_is_not(void **state)
{
    char query[1024] = "GroupIds=a";
    (void)state;
    for (int i = 1; i < 100; i++) {
        strcat(query, "%2Ca");
    }
    size_t length = strlen(query);
    strcat(query, "&RegionId=cn-beijing");
    expect(groups_action, query, "");
    strcpy(query + length, "%2Ca&RegionId=cn-beijing");
    expect(groups_action, query, "InvalidParameter");
}

static void test_an_absent_id_is_left_out_or_refuses_the_whole_call(void **state)
{
    static const char query[] = "GroupIds=pg-1%2Cpg-none&RegionId=cn-beijing";
    (void)state;
    expect_count(groups_action, query, 1);
    expect_count(pairs_action, "PairIds=pair-pg-1-2%2Cpair-pg-1-9&RegionId=cn-beijing", 1);
    expect_count(pairs_action, "RegionId=cn-beijing&ReplicaGroupId=pg-none", 0);
    simulator_order(&simulator, "POST", "describe", "{\"Quirks\":[\"absent_error\"]}");
    expect(groups_action, query, "NoSuchResource");
    expect(pairs_action, "RegionId=cn-beijing&ReplicaGroupId=pg-none", "NoSuchResource");
    expect_count(groups_action, "GroupIds=pg-1&RegionId=cn-beijing", 1);
}

static void test_a_removed_group_is_not_made_again_by_itself(void **state)
{
    static const char *const arguments[] = {"--auto-create", "--quirk", "pairs_apart", NULL};
    struct simulator usual = simulator;
    (void)state;
    simulator_start(&simulator, arguments);
    expect_count(groups_action, "GroupIds=pg-1&RegionId=cn-beijing", 1);
    set_group("pg-1", "\"Status\":\"none\"");
    expect_count(groups_action, "GroupIds=pg-1&RegionId=cn-beijing", 0);
    expect(NULL, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "NoSuchResource");
    set_group("pg-1", "\"Status\":\"created\"");
    expect_count(groups_action, "GroupIds=pg-1&RegionId=cn-beijing", 1);
    assert_int_equal(simulator_stop(&simulator, SIGTERM), 0);
    simulator = usual;
}

static void test_each_site_has_its_record_in_its_own_region(void **state)
{
    static const struct {
        const char *query;
        int before; /* items while cn-beijing is the production site */
        int after;  /* and when it is the backup site */
    } rows[] = {
        {"GroupIds=pg-1&RegionId=cn-beijing", 1, 0},
        {"GroupIds=pg-1&RegionId=cn-beijing&Site=production", 1, 0},
        {"GroupIds=pg-1&RegionId=cn-beijing&Site=backup", 0, 1},
        {"GroupIds=pg-1&RegionId=cn-shanghai", 0, 1},
        {"GroupIds=pg-1&RegionId=cn-shanghai&Site=backup", 1, 0},
        {"RegionId=cn-shanghai&Site=backup", 1, 0},
    };
    const size_t count = sizeof rows / sizeof rows[0];
    struct reply reply;
    (void)state;
    for (size_t i = 0; i < count; i++) {
        expect_count(groups_action, rows[i].query, rows[i].before);
    }
    set_group("pg-1", "\"Site\":\"backup\"");
    for (size_t i = 0; i < count; i++) {
        expect_count(groups_action, rows[i].query, rows[i].after);
    }
    ask(groups_action, rows[2].query, "", &reply);
    const cJSON *group = cJSON_GetArrayItem(list_of(&reply), 0);
    assert_string_equal(text_of(group, "Site"), "backup");
    assert_string_equal(text_of(group, "SourceRegionId"), "cn-shanghai");
    assert_string_equal(text_of(group, "PrimaryRegion"), "cn-beijing");
    reply_fini(&reply);
    expect(NULL, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "NoSuchResource");
}

static void test_each_quirk_shows_in_the_list(void **state)
{
    static const struct {
        const char *quirk; /* NULL: as documented */
        const char *expected;
    } rows[] = {
        {NULL, "\"PairIds\":[\"pair-pg-1-1,pair-pg-1-2\"]"},
        {NULL, "\"StandbyRegion\":\"cn-shanghai\\n\""},
        {NULL, "\"Status\":\"initial_syncing\",\"Description\":\"\",\"RPO\":900,\"Bandwidth\":0"},
        {"pairs_apart", "\"PairIds\":[\"pair-pg-1-1\",\"pair-pg-1-2\"]"},
        {"text_numbers", "\"RPO\":\"900\""},
        {"padded_text", "\"Status\":\" initial_syncing\\n\""},
        {"point_zero", "\"LastRecoverPoint\":0,"},
        {"point_negative", "\"LastRecoverPoint\":-1,"},
        {"point_null", "\"LastRecoverPoint\":null,"},
        {"initial_as_syncing", "\"Status\":\"syncing\""},
        {"extra_item", "\"ReplicaGroupId\":\"pg-extra\""},
        {"endless_pages", "\"NextToken\":\"AAAA+10/=\""},
    };
    (void)state;
    expect(NULL, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reply reply;
        char body[64];
        snprintf(body, sizeof body, "{\"Quirks\":[\"%s\"]}", rows[i].quirk ? rows[i].quirk : "");
        simulator_order(&simulator, "POST", "describe", rows[i].quirk ? body : "{}");
        ask(groups_action, "GroupIds=pg-1&RegionId=cn-beijing", "", &reply);
        if (!strstr(reply.body, rows[i].expected)) {
            fail_msg("%s not in %s", rows[i].expected, reply.body);
        }
        reply_fini(&reply);
    }
    simulator_order(&simulator, "POST", "describe", "{\"Quirks\":[\"repeated\"]}");
    expect_count(groups_action, "GroupIds=pg-1&RegionId=cn-beijing", 2);
}

static void test_a_recovery_point_may_come_in_milliseconds_or_never(void **state)
{
    struct reply reply;
    (void)state;
    set_group("pg-1", "\"Status\":\"normal\",\"RecoverAgeS\":10");
    simulator_order(&simulator, "POST", "describe", "{\"Quirks\":[\"point_ms\"]}");
    int64_t point_ms = number_of(ask_group(&reply), "LastRecoverPoint");
    assert_in_range(time(NULL) - point_ms / 1000, 10, 110);
    reply_fini(&reply);
    simulator_order(&simulator, "POST", "describe", "{\"Quirks\":[\"no_point\",\"point_ms\"]}");
    assert_int_equal(recover_age_s(), -1);
}

static void test_a_shown_status_hides_the_state_without_changing_it(void **state)
{
    (void)state;
    set_group("pg-1", "\"ShownStatus\":\"warming_up\"");
    expect_status("warming_up");
    expect(NULL, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
    set_group("pg-1", "\"ShownStatus\":\"\"");
    expect_status("initial_syncing");
}

static void test_a_list_can_be_larger_than_a_mebibyte(void **state)
{
    struct reply reply;
    (void)state;
    make_groups(100);
    simulator_order(&simulator, "POST", "describe", "{\"Tags\":20,\"DescriptionBytes\":2500}");
    ask(groups_action, "MaxResults=100&RegionId=cn-beijing", "", &reply);
    assert_true(reply.length > 1024 * 1024);
    assert_int_equal(cJSON_GetArraySize(list_of(&reply)), 100);
    const cJSON *tags = cJSON_GetObjectItem(cJSON_GetArrayItem(list_of(&reply), 0), "Tags");
    assert_int_equal(cJSON_GetArraySize(tags), 20);
    reply_fini(&reply);
}

static void test_a_fault_finds_its_group_in_a_list_of_ids(void **state)
{
    (void)state;
    make_groups(3);
    simulator_order(&simulator, "POST", "faults",
                    "{\"Fault\":\"error\",\"Code\":\"Forbidden\",\"Count\":-1,\"Match\":{"
                    "\"Action\":\"DescribeDiskReplicaGroups\",\"ReplicaGroupId\":\"pg-2\"}}");
    simulator_order(&simulator, "POST", "faults",
                    "{\"Fault\":\"error\",\"Code\":\"RequestTimeout\",\"Match\":{"
                    "\"Action\":\"*\",\"ReplicaPairId\":\"pair-pg-1-2\"}}");
    expect(groups_action, "GroupIds=pg-1%2Cpg-2%2Cpg-3&RegionId=cn-beijing", "Forbidden");
    expect(groups_action, "GroupIds=pg-2&RegionId=cn-beijing", "Forbidden");
    expect(groups_action, "GroupIds=pg-1%2Cpg-3&RegionId=cn-beijing", "");
    expect(groups_action, "GroupIds=pg-22&RegionId=cn-beijing", "");
    expect(pairs_action, "PairIds=pair-pg-1-1%2Cpair-pg-1-2&RegionId=cn-beijing", "RequestTimeout");
    expect(progress_action, "RegionId=cn-beijing&ReplicaPairId=pair-pg-1-2", "");
}

static void test_reads_meet_the_same_faults_as_starts(void **state)
{
    static const struct {
        const char *fault;
        CURLcode curl;
        long http;
        const char *code;
    } rows[] = {
        {"\"Fault\":\"error\",\"Code\":\"Throttling.User\",\"RetryAfterMs\":5", CURLE_OK, 400,
         "Throttling.User"},
        {"\"Fault\":\"latency\",\"Ms\":20", CURLE_OK, 200, ""},
        {"\"Fault\":\"slow_bytes\",\"Ms\":0", CURLE_OK, 200, ""},
        {"\"Fault\":\"reset_before\"", CURLE_RECV_ERROR, 0, ""},
        {"\"Fault\":\"cut_body\"", CURLE_PARTIAL_FILE, 200, ""},
        {"\"Fault\":\"html_502\"", CURLE_OK, 502, ""},
        {"\"Fault\":\"empty_200\"", CURLE_OK, 200, ""},
        {"\"Fault\":\"garbage_200\"", CURLE_OK, 200, ""},
        {"\"Fault\":\"huge_body\",\"Bytes\":2000000", CURLE_OK, 200, ""},
        {"\"Fault\":\"xml\"", CURLE_OK, 200, ""},
    };
    const char *const actions[] = {groups_action, pairs_action};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct call_options options = {.action = actions[i % 2]};
        struct reply reply;
        char body[192];
        snprintf(body, sizeof body, "{%s,\"Match\":{\"Action\":\"%s\"}}", rows[i / 2].fault,
                 actions[i % 2]);
        simulator_order(&simulator, "POST", "faults", body);
        expect(actions[(i + 1) % 2], "RegionId=cn-beijing", "");
        simulator_call(&simulator, "RegionId=cn-beijing", &options, &reply);
        assert_int_equal(reply.curl, rows[i / 2].curl);
        assert_int_equal(reply.http, rows[i / 2].http);
        assert_string_equal(reply_text(&reply, "Code"), rows[i / 2].code);
        reply_fini(&reply);
        expect(actions[i % 2], "RegionId=cn-beijing", "");
    }
    assert_int_equal(simulator_total(&simulator, "FaultsTaken"), 20);
}

static void test_an_omitted_group_is_there_again_after_the_fault(void **state)
{
    (void)state;
    make_groups(3);
    simulator_order(&simulator, "POST", "faults",
                    "{\"Fault\":\"omit\",\"Match\":{\"ReplicaGroupId\":\"pg-2\"}}");
    expect_count(groups_action, "GroupIds=pg-1%2Cpg-3&RegionId=cn-beijing", 2);
    expect_count(groups_action, "GroupIds=pg-1%2Cpg-2%2Cpg-3&RegionId=cn-beijing", 2);
    expect_count(groups_action, "GroupIds=pg-1%2Cpg-2%2Cpg-3&RegionId=cn-beijing", 3);
    simulator_order(&simulator, "POST", "faults",
                    "{\"Fault\":\"omit\",\"Match\":{\"Action\":\"DescribeDiskReplicaPairs\","
                    "\"ReplicaPairId\":\"pair-pg-1-1\"}}");
    expect_count(pairs_action, "PairIds=pair-pg-1-1%2Cpair-pg-1-2&RegionId=cn-beijing", 1);
    simulator_order(&simulator, "POST", "faults", "{\"Fault\":\"omit\"}");
    expect_count(groups_action, "RegionId=cn-beijing", 0);
    expect_count(groups_action, "RegionId=cn-beijing", 3);
}

static void test_reads_are_counted_and_can_be_waited_for(void **state)
{
    (void)state;
    expect(groups_action, "RegionId=cn-beijing", "");
    expect(groups_action, "RegionId=cn-beijing", "");
    expect(pairs_action, "RegionId=cn-beijing", "");
    expect(progress_action, "RegionId=cn-beijing&ReplicaPairId=pair-pg-1-1", "");
    cJSON *totals = simulator_control(&simulator, "POST", "wait", "{\"Describes\":2}");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(totals, "Reached")));
    assert_int_equal(number_of(totals, "Describes"), 2);
    assert_int_equal(number_of(totals, "PairDescribes"), 1);
    assert_int_equal(number_of(totals, "ProgressDescribes"), 1);
    assert_int_equal(number_of(totals, "Effects"), 0);
    cJSON_Delete(totals);
    totals = simulator_control(&simulator, "POST", "wait", "{\"Describes\":3,\"TimeoutMs\":30}");
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(totals, "Reached")));
    cJSON_Delete(totals);
}

static void test_the_request_log_shows_a_list_of_ids_whole(void **state)
{
    struct reply reply;
    char query[1024] = "GroupIds=pg-1";
    (void)state;
    for (int i = 2; i <= 100; i++) {
        snprintf(query + strlen(query), sizeof query - strlen(query), "%%2Cpg-%d", i);
    }
    strcat(query, "&RegionId=cn-beijing");
    ask(groups_action, query, "", &reply);
    reply_fini(&reply);
    cJSON *log = simulator_control(&simulator, "GET", "requests?Last=1", NULL);
    const cJSON *params = cJSON_GetObjectItem(cJSON_GetArrayItem(log, 0), "Params");
    assert_int_equal(strlen(text_of(params, "GroupIds")), 9 * 5 + 90 * 6 + 6);
    assert_string_equal(text_of(params, "RegionId"), "cn-beijing");
    cJSON_Delete(log);
}

static void test_the_limit_of_one_action_leaves_the_others_alone(void **state)
{
    (void)state;
    simulator_order(&simulator, "POST", "limits",
                    "{\"Action\":\"DescribeDiskReplicaGroups\",\"RatePerS\":0.001}");
    expect(groups_action, "RegionId=cn-beijing", "");
    expect(groups_action, "RegionId=cn-beijing", "Throttling.User");
    expect(pairs_action, "RegionId=cn-beijing", "");
    expect(NULL, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
    simulator_order(&simulator, "POST", "limits",
                    "{\"Action\":\"DescribeDiskReplicaGroups\",\"RatePerS\":0}");
    expect(groups_action, "RegionId=cn-beijing", "");
}

static void test_the_command_line_sets_what_lists_show(void **state)
{
    static const char *const arguments[] = {"--group",
                                            "cn-beijing/pg-1=normal",
                                            "--pairs",
                                            "3",
                                            "--secondary",
                                            "cn-heyuan",
                                            "--quirk",
                                            "point_zero",
                                            "--stop-ms",
                                            "60000",
                                            "--recover-late-ms",
                                            "5",
                                            NULL};
    struct simulator usual = simulator;
    struct reply reply;
    (void)state;
    simulator_start(&simulator, arguments);
    const cJSON *group = ask_group(&reply);
    assert_int_equal(number_of(group, "PairNumber"), 3);
    assert_int_equal(number_of(group, "LastRecoverPoint"), 0);
    assert_string_equal(text_of(group, "DestinationRegionId"), "cn-heyuan");
    reply_fini(&reply);
    expect(stop_action, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
    expect_status("stopping");
    assert_int_equal(simulator_stop(&simulator, SIGTERM), 0);
    simulator = usual;
    assert_int_equal(simulator_run((const char *[]){"--access-key", "a:b", "--pairs", "18", NULL}),
                     EX_USAGE);
    assert_int_equal(simulator_run((const char *[]){"--access-key", "a:b", "--quirk", "odd", NULL}),
                     EX_USAGE);
}

#define TEST(name) cmocka_unit_test_setup(name, fixture_reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_list_has_ten_items_unless_more_are_asked_for),
        TEST(test_the_rest_of_a_list_comes_with_its_next_token),
        TEST(test_a_list_can_be_read_by_page_and_by_filter),
        TEST(test_parameters_past_their_limits_are_refused),
        TEST(test_a_hundred_ids_are_accepted_and_one_more_is_not),
        TEST(test_an_absent_id_is_left_out_or_refuses_the_whole_call),
        TEST(test_a_removed_group_is_not_made_again_by_itself),
        TEST(test_each_site_has_its_record_in_its_own_region),
        TEST(test_each_quirk_shows_in_the_list),
        TEST(test_a_recovery_point_may_come_in_milliseconds_or_never),
        TEST(test_a_shown_status_hides_the_state_without_changing_it),
        TEST(test_a_list_can_be_larger_than_a_mebibyte),
        TEST(test_a_fault_finds_its_group_in_a_list_of_ids),
        TEST(test_reads_meet_the_same_faults_as_starts),
        TEST(test_an_omitted_group_is_there_again_after_the_fault),
        TEST(test_reads_are_counted_and_can_be_waited_for),
        TEST(test_the_request_log_shows_a_list_of_ids_whole),
        TEST(test_the_limit_of_one_action_leaves_the_others_alone),
        TEST(test_the_command_line_sets_what_lists_show),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests_name("simulator describe", tests, fixture_start, fixture_stop);
}
