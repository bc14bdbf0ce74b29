/* Tests of groups and pairs over time, and of stopping. */
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

static void test_a_recovery_point_is_there_after_the_first_copy_and_ages(void **state)
{
    struct reply reply;
    (void)state;
    assert_int_equal(simulator_start_group(&simulator, "pg-1", NULL, NULL, &reply), 200);
    reply_fini(&reply);
    assert_int_equal(recover_age_s(), -1);
    advance(601000);
    expect_status("normal");
    assert_in_range(recover_age_s(), 1, 100);
    advance(900000);
    expect_status("syncing");
    assert_in_range(recover_age_s(), 900, 1000);
    advance(600000);
    expect_status("normal");
    assert_in_range(recover_age_s(), 1, 100);
    set_group("pg-1", "\"RecoverAgeS\":5000");
    assert_in_range(recover_age_s(), 5000, 5100);
    set_group("pg-1", "\"RecoverAgeS\":-1");
    assert_int_equal(recover_age_s(), -1);
}

static void test_a_recovery_point_may_be_shown_later_than_its_state(void **state)
{
    (void)state;
    simulator_order(&simulator, "POST", "times", "{\"RecoverLateMs\":400000}");
    expect(NULL, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
    advance(601000);
    expect_status("normal");
    assert_int_equal(recover_age_s(), -1);
    advance(400000);
    assert_in_range(recover_age_s(), 400, 500);
    advance(500000 + 600000);
    expect_status("normal");
    assert_in_range(recover_age_s(), 1500, 1600);
    /* Ten rounds that nobody looked at. */
    advance(10 * (900000 + 600000));
    assert_in_range(recover_age_s(), 1500, 1600);
}

static void test_the_faulty_pair_of_an_invalid_group_tells_why(void **state)
{
    struct reply reply;
    (void)state;
    set_group("pg-1", "\"Status\":\"invalid\"");
    ask(pairs_action, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "", &reply);
    const cJSON *first = cJSON_GetArrayItem(list_of(&reply), 0);
    const cJSON *second = cJSON_GetArrayItem(list_of(&reply), 1);
    assert_string_equal(text_of(first, "ReplicaPairId"), "pair-pg-1-1");
    assert_string_equal(text_of(first, "ReplicaGroupId"), "pg-1");
    assert_string_equal(text_of(first, "Status"), "invalid");
    assert_string_equal(text_of(first, "StatusMessage"), "DeviceRemoved");
    assert_string_equal(text_of(second, "Status"), "stopped");
    assert_false(cJSON_HasObjectItem(second, "StatusMessage"));
    reply_fini(&reply);
    simulator_order(&simulator, "POST", "pairs",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaPairId\":\"pair-pg-1-2\","
                    "\"Status\":\"invalid\",\"StatusMessage\":\"PrePayOrderExpired\"}");
    ask(pairs_action, "PairIds=pair-pg-1-2&RegionId=cn-beijing", "", &reply);
    assert_string_equal(text_of(cJSON_GetArrayItem(list_of(&reply), 0), "StatusMessage"),
                        "PrePayOrderExpired");
    reply_fini(&reply);
    ask(pairs_action, "PairIds=pair-pg-1-1&RegionId=cn-beijing", "", &reply);
    assert_string_equal(text_of(cJSON_GetArrayItem(list_of(&reply), 0), "Status"), "stopped");
    reply_fini(&reply);
}

static void expect_progress(int pair, int64_t lowest, int64_t highest, bool has_point)
{
    struct reply reply;
    char query[96];
    snprintf(query, sizeof query, "RegionId=cn-beijing&ReplicaPairId=pair-pg-1-%d", pair);
    ask(progress_action, query, "", &reply);
    assert_in_range(number_of(reply.json, "Progress"), lowest, highest);
    assert_true(cJSON_HasObjectItem(reply.json, "RecoverPoint") == has_point);
    reply_fini(&reply);
}

static void test_progress_grows_and_the_last_pair_is_the_slowest(void **state)
{
    (void)state;
    expect_progress(1, 0, 0, false);
    expect(NULL, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
    advance(240000);
    expect_progress(1, 80, 99, false);
    expect_progress(2, 40, 60, false);
    simulator_order(&simulator, "POST", "pairs",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaPairId\":\"pair-pg-1-2\","
                    "\"Progress\":7}");
    expect_progress(2, 7, 7, false);
    simulator_order(&simulator, "POST", "pairs",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaPairId\":\"pair-pg-1-2\"}");
    advance(360000);
    expect_progress(1, 100, 100, true);
    expect_progress(2, 100, 100, true);
}

static void test_the_state_decides_whether_a_group_may_be_stopped(void **state)
{
    static const struct {
        const char *state;
        bool is_allowed;
    } rows[] = {{"created", false},         {"initial_syncing", false},
                {"manual_syncing", true},   {"syncing", true},
                {"normal", true},           {"stopping", true},
                {"stop_failed", true},      {"stopped", true},
                {"failovering", false},     {"failovered", false},
                {"failover_failed", false}, {"reprotecting", false},
                {"invalid", false},         {"reprotect_failed", false},
                {"deleted", false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char fields[64];
        snprintf(fields, sizeof fields, "\"Status\":\"%s\"", rows[i].state);
        set_group("pg-1", fields);
        expect(stop_action, "RegionId=cn-beijing&ReplicaGroupId=pg-1",
               rows[i].is_allowed ? "" : "OperationDenied.InvalidStatus");
        expect_status(rows[i].is_allowed ? "stopped" : rows[i].state);
    }
}

static void test_a_stopped_group_can_be_started_again(void **state)
{
    (void)state;
    set_group("pg-1", "\"Status\":\"normal\",\"RecoverAgeS\":50");
    expect(stop_action, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
    expect_status("stopped");
    assert_in_range(recover_age_s(), 50, 150);
    expect(NULL, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
    expect_status("syncing");
}

static void test_a_stop_takes_its_time_and_may_fail(void **state)
{
    static const struct {
        const char *stop_end;
        const char *status;
    } rows[] = {{"stopped", "stopped"}, {"stop_failed", "stop_failed"}, {"unchanged", "normal"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char fields[64];
        fixture_reset(NULL);
        simulator_order(&simulator, "POST", "times", "{\"StopMs\":60000}");
        snprintf(fields, sizeof fields, "\"Status\":\"normal\",\"StopEnds\":\"%s\"",
                 rows[i].stop_end);
        set_group("pg-1", fields);
        expect(stop_action, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
        expect_status("stopping");
        expect(NULL, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "OperationDenied.InvalidStatus");
        advance(60000);
        expect_status(rows[i].status);
        expect(stop_action, "RegionId=cn-beijing&ReplicaGroupId=pg-1", "");
        advance(60000);
        expect_status("stopped");
    }
}

static void test_a_repeated_stop_has_one_effect(void **state)
{
    static const char query[] = "ClientToken=t&RegionId=cn-beijing&ReplicaGroupId=pg-1";
    struct reply first;
    struct reply second;
    (void)state;
    set_group("pg-1", "\"Status\":\"normal\"");
    ask(stop_action, query, "", &first);
    ask(stop_action, query, "", &second);
    assert_string_equal(reply_text(&first, "RequestId"), reply_text(&second, "RequestId"));
    reply_fini(&first);
    reply_fini(&second);
    expect(NULL, query, "IdempotentParameterMismatch");
    assert_int_equal(simulator_token_number(&simulator, "t", "Effects"), 1);
    assert_int_equal(simulator_token_number(&simulator, "t", "Calls"), 3);
    assert_int_equal(simulator_total(&simulator, "Stops"), 2);
    assert_int_equal(simulator_total(&simulator, "Starts"), 1);
    assert_int_equal(simulator_total(&simulator, "Answered"), 3);
    assert_int_equal(simulator_total(&simulator, "Effects"), 1);
    cJSON *token = simulator_control(&simulator, "GET", "tokens/t", NULL);
    assert_string_equal(text_of(token, "Action"), stop_action);
    cJSON_Delete(token);
}

static void test_a_stop_whose_answer_was_lost_has_its_effect_once(void **state)
{
    static const char query[] = "ClientToken=t&RegionId=cn-beijing&ReplicaGroupId=pg-1";
    struct reply reply;
    (void)state;
    set_group("pg-1", "\"Status\":\"normal\"");
    simulator_order(&simulator, "POST", "faults",
                    "{\"Fault\":\"reset_after\",\"Match\":{\"Action\":\"StopDiskReplicaGroup\"}}");
    simulator_call(&simulator, query, &(struct call_options){.action = stop_action}, &reply);
    assert_int_equal(reply.curl, CURLE_RECV_ERROR);
    reply_fini(&reply);
    expect_status("stopped");
    set_group("pg-1", "\"Status\":\"normal\"");
    expect(stop_action, query, "");
    expect_status("normal");
    assert_int_equal(simulator_token_number(&simulator, "t", "Effects"), 1);
    assert_int_equal(simulator_total(&simulator, "Replays"), 1);
}

#define TEST(name) cmocka_unit_test_setup(name, fixture_reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_recovery_point_is_there_after_the_first_copy_and_ages),
        TEST(test_a_recovery_point_may_be_shown_later_than_its_state),
        TEST(test_the_faulty_pair_of_an_invalid_group_tells_why),
        TEST(test_progress_grows_and_the_last_pair_is_the_slowest),
        TEST(test_the_state_decides_whether_a_group_may_be_stopped),
        TEST(test_a_stopped_group_can_be_started_again),
        TEST(test_a_stop_takes_its_time_and_may_fail),
        TEST(test_a_repeated_stop_has_one_effect),
        TEST(test_a_stop_whose_answer_was_lost_has_its_effect_once),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests_name("simulator groups", tests, fixture_start, fixture_stop);
}
