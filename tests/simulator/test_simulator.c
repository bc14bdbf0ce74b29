/* Tests of what the simulator does: actions, idempotency, faults and the control requests. */
#include "test_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <cmocka.h>

/* Of pg-1. */
static void set_state(const char *state)
{
    char fields[64];
    snprintf(fields, sizeof fields, "\"Status\":\"%s\"", state);
    set_group("pg-1", fields);
}

static void test_each_wrong_parameter_has_its_own_answer(void **state)
{
    static const struct {
        const char *query;
        const char *action;
        const char *version;
        long http;
        const char *code;
    } rows[] = {
        {"ReplicaGroupId=pg-1", NULL, NULL, 400, "MissingRegionId"},
        {"RegionId=cn-beijing", NULL, NULL, 400, "MissingReplicaGroupId"},
        {"RegionId=&ReplicaGroupId=pg-1", NULL, NULL, 400, "MissingRegionId"},
        {"RegionId=a.b&ReplicaGroupId=pg-1", NULL, NULL, 400, "InvalidParameter"},
        {"OneShot=True&RegionId=cn-beijing&ReplicaGroupId=pg-1", NULL, NULL, 400,
         "InvalidParameter"},
        {"ClientToken=&RegionId=cn-beijing&ReplicaGroupId=pg-1", NULL, NULL, 400,
         "InvalidParameter"},
        {"ClientToken=%C3%A9&RegionId=cn-beijing&ReplicaGroupId=pg-1", NULL, NULL, 400,
         "InvalidParameter"},
        {"ClientToken=12345678901234567890123456789012345678901234567890123456789012345"
         "&RegionId=cn-beijing&ReplicaGroupId=pg-1",
         NULL, NULL, 400, "InvalidParameter"},
        {"OneShoot=true&RegionId=cn-beijing&ReplicaGroupId=pg-1", NULL, NULL, 400,
         "InvalidParameter"},
        {"RegionId=cn-beijing&RegionId=cn-beijing", NULL, NULL, 400, "InvalidParameter"},
        {"RegionId=%0", NULL, NULL, 400, "InvalidParameter"},
        {"RegionId=cn-beijing&ReplicaGroupId=pg-1", "Nothing", NULL, 404, "InvalidAction.NotFound"},
        {"RegionId=cn-beijing&ReplicaGroupId=pg-1", NULL, "2020-01-01", 400, "InvalidVersion"},
        {"RegionId=cn-beijing&ReplicaGroupId=pg-none", NULL, NULL, 404, "NoSuchResource"},
        {"RegionId=cn-hangzhou&ReplicaGroupId=pg-1", NULL, NULL, 404, "NoSuchResource"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct call_options options = {.action = rows[i].action, .version = rows[i].version};
        struct reply reply;
        simulator_call(&simulator, rows[i].query, &options, &reply);
        assert_string_equal(reply_text(&reply, "Code"), rows[i].code);
        assert_int_equal(reply.http, rows[i].http);
        reply_fini(&reply);
    }
    assert_int_equal(simulator_total(&simulator, "Effects"), 0);
}

static void test_a_token_of_64_characters_is_accepted(void **state)
{
    (void)state;
    expect_start("pg-1", "1234567890123456789012345678901234567890123456789012345678901234", NULL,
                 "");
}

static void test_the_state_decides_which_start_is_allowed(void **state)
{
    static const struct {
        const char *state;
        bool is_start_allowed;
        bool is_one_shot_allowed;
    } rows[] = {{"created", true, true},         {"stopped", true, true},
                {"syncing", true, false},        {"normal", true, false},
                {"manual_syncing", false, true}, {"initial_syncing", false, false},
                {"stopping", false, false},      {"stop_failed", false, false},
                {"failovered", false, false},    {"failovering", false, false},
                {"reprotecting", false, false},  {"invalid", false, false},
                {"creating", false, false},      {"deleted", false, false}};
    static const char refused[] = "OperationDenied.InvalidStatus";
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture_reset(NULL);
        set_state(rows[i].state);
        expect_start("pg-1", NULL, "false", rows[i].is_start_allowed ? "" : refused);
        set_state(rows[i].state);
        expect_start("pg-1", NULL, "true", rows[i].is_one_shot_allowed ? "" : refused);
    }
}

static void test_a_started_group_goes_through_its_states(void **state)
{
    (void)state;
    expect_start("pg-1", NULL, NULL, "");
    expect_status("initial_syncing");
    simulator_order(&simulator, "POST", "clock", "{\"AdvanceMs\":600000}");
    expect_status("normal");
    simulator_order(&simulator, "POST", "clock", "{\"AdvanceMs\":900000}");
    expect_status("syncing");
    simulator_order(&simulator, "POST", "clock", "{\"AdvanceMs\":600000}");
    expect_status("normal");
    simulator_order(&simulator, "POST", "clock", "{\"AdvanceMs\":15000000}");
    expect_status("normal");
}

static void test_a_one_time_synchronization_ends_stopped_and_cools_down(void **state)
{
    static const char limited[] = "OperationDenied.ManualSyncLimit";
    (void)state;
    expect_start("pg-1", "a", "true", "");
    expect_status("manual_syncing");
    expect_start("pg-1", "b", "true", limited);
    simulator_order(&simulator, "POST", "clock", "{\"AdvanceMs\":440000}");
    expect_start("pg-1", "b", "true", limited);
    simulator_order(&simulator, "POST", "clock", "{\"AdvanceMs\":11000}");
    expect_start("pg-1", "b", "true", "");
    simulator_order(&simulator, "POST", "clock", "{\"AdvanceMs\":601000}");
    expect_status("stopped");
    assert_int_equal(simulator_token_number(&simulator, "b", "Calls"), 3);
    assert_int_equal(simulator_token_number(&simulator, "b", "Effects"), 1);
}

static void test_a_repeated_token_gets_the_first_request_id_and_no_second_effect(void **state)
{
    struct reply first;
    struct reply second;
    (void)state;
    assert_int_equal(simulator_start_group(&simulator, "pg-1", "t", NULL, &first), 200);
    assert_int_equal(simulator_start_group(&simulator, "pg-1", "t", "false", &second), 200);
    assert_int_equal(strlen(reply_text(&first, "RequestId")), 36);
    assert_string_equal(reply_text(&first, "RequestId"), reply_text(&second, "RequestId"));
    reply_fini(&first);
    reply_fini(&second);
    assert_int_equal(simulator_token_number(&simulator, "t", "Effects"), 1);
    assert_int_equal(simulator_token_number(&simulator, "t", "Calls"), 2);
    assert_int_equal(simulator_total(&simulator, "MaxEffectsPerToken"), 1);
    assert_int_equal(simulator_total(&simulator, "Replays"), 1);
}

static void test_a_token_with_other_parameters_is_refused(void **state)
{
    (void)state;
    expect_start("pg-1", "t", NULL, "");
    expect_start("pg-1", "t", "true", "IdempotentParameterMismatch");
    expect_start("pg-stopped", "t", NULL, "IdempotentParameterMismatch");
    expect_start("pg-stopped", "T", NULL, "");
}

static void test_a_refused_token_may_be_used_again(void **state)
{
    (void)state;
    set_state("failovered");
    expect_start("pg-1", "t", NULL, "OperationDenied.InvalidStatus");
    set_state("stopped");
    expect_start("pg-1", "t", NULL, "");
}

/* A start on a thread of its own. */
struct pending {
    pthread_t thread;
    const char *group;
    struct reply reply;
};

static void *run_pending(void *argument)
{
    struct pending *pending = argument;
    simulator_start_group(&simulator, pending->group, NULL, NULL, &pending->reply);
    return NULL;
}

static void begin_pending(struct pending *pending, const char *group)
{
    pending->group = group;
    assert_int_equal(pthread_create(&pending->thread, NULL, run_pending, pending), 0);
}

static void end_pending(struct pending *pending)
{
    pthread_join(pending->thread, NULL);
}

/* Wait until so many starts have arrived. */
static void wait_starts(int count)
{
    char body[64];
    snprintf(body, sizeof body, "{\"Requests\":%d,\"TimeoutMs\":9000}", count);
    cJSON *answer = simulator_control(&simulator, "POST", "wait", body);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(answer, "Reached")));
    cJSON_Delete(answer);
}

static void test_clearing_the_faults_ends_a_hanging_call(void **state)
{
    struct pending pending = {0};
    (void)state;
    simulator_order(&simulator, "POST", "faults", "{\"Fault\":\"hang\"}");
    begin_pending(&pending, "pg-1");
    wait_starts(1);
    simulator_order(&simulator, "DELETE", "faults", NULL);
    end_pending(&pending);
    assert_int_equal(pending.reply.curl, CURLE_RECV_ERROR);
    reply_fini(&pending.reply);
}

static void test_two_starts_of_one_group_at_once_are_an_overlap(void **state)
{
    struct pending pending = {0};
    struct reply reply;
    (void)state;
    simulator_order(&simulator, "POST", "faults", "{\"Fault\":\"hang\"}");
    begin_pending(&pending, "pg-1");
    wait_starts(1);
    expect_start("pg-stopped", NULL, NULL, "");
    assert_int_equal(simulator_total(&simulator, "Overlaps"), 0);
    simulator_start_group(&simulator, "pg-1", NULL, NULL, &reply);
    reply_fini(&reply);
    assert_int_equal(simulator_total(&simulator, "Overlaps"), 1);
    simulator_order(&simulator, "DELETE", "faults", NULL);
    end_pending(&pending);
    reply_fini(&pending.reply);
}

static void test_a_start_after_the_client_gave_up_is_no_overlap(void **state)
{
    static const char query[] = "RegionId=cn-beijing&ReplicaGroupId=pg-1";
    struct call_options options = {.timeout_ms = 50};
    struct reply reply;
    (void)state;
    simulator_order(&simulator, "POST", "faults", "{\"Fault\":\"latency\",\"Ms\":400}");
    simulator_call(&simulator, query, &options, &reply);
    assert_int_equal(reply.curl, CURLE_OPERATION_TIMEDOUT);
    reply_fini(&reply);
    expect_start("pg-1", NULL, NULL, "");
    assert_int_equal(simulator_total(&simulator, "Overlaps"), 0);
}

static void test_a_wait_that_is_not_fulfilled_ends_at_its_timeout(void **state)
{
    cJSON *answer =
        simulator_control(&simulator, "POST", "wait", "{\"Requests\":1,\"TimeoutMs\":30}");
    (void)state;
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(answer, "Reached")));
    cJSON_Delete(answer);
}

static void test_requests_past_the_rate_are_throttled(void **state)
{
    struct reply reply;
    (void)state;
    simulator_order(&simulator, "POST", "limits",
                    "{\"RatePerS\":0.001,\"Burst\":2,\"RetryAfter\":true}");
    expect_start("pg-1", NULL, NULL, "");
    expect_status("initial_syncing");
    simulator_start_group(&simulator, "pg-1", NULL, NULL, &reply);
    assert_string_equal(reply_text(&reply, "Code"), "Throttling.User");
    assert_int_equal(reply.http, 400);
    assert_true(reply.retry_after_ms > 900000);
    reply_fini(&reply);
    simulator_order(&simulator, "POST", "limits", "{\"RatePerS\":0}");
    expect_status("initial_syncing");
    assert_int_equal(simulator_total(&simulator, "Throttled"), 1);
}

static void test_the_request_log_shows_requests_and_answers(void **state)
{
    (void)state;
    expect_start("pg-1", "t%2F1", "false", "");
    expect_start("pg-none", "u", NULL, "NoSuchResource");
    cJSON *log = simulator_control(&simulator, "GET", "requests?Last=2", NULL);
    const cJSON *first = cJSON_GetArrayItem(log, 0);
    const cJSON *params = cJSON_GetObjectItem(first, "Params");
    assert_string_equal(cJSON_GetObjectItem(first, "Action")->valuestring, "StartDiskReplicaGroup");
    assert_string_equal(cJSON_GetObjectItem(params, "ClientToken")->valuestring, "t/1");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(first, "Effect")));
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(log, 1), "Code")->valuestring,
                        "NoSuchResource");
    cJSON_Delete(log);
    assert_int_equal(simulator_token_number(&simulator, "t%2F1", "Effects"), 1);
}

static void test_a_control_request_with_a_spelling_mistake_is_refused(void **state)
{
    static const char *const rows[][2] = {
        {"/_sim/faults", "{\"Fault\":\"rest\"}"},
        {"/_sim/faults", "{\"Fault\":\"hang\",\"Cont\":1}"},
        {"/_sim/faults", "{\"Fault\":\"error\",\"Code\":\"X\"}"},
        {"/_sim/limits", "{\"Rate\":1}"},
        {"/_sim/groups", "{\"Status\":\"normal\"}"},
        {"/_sim/groups", "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":"
                         "\"pg-1\",\"StopEnds\":\"failed\"}"},
        {"/_sim/pairs", "{\"RegionId\":\"cn-beijing\",\"ReplicaPairId\":"
                        "\"pair-pg-1-3\",\"Progress\":1}"},
        {"/_sim/times", "{\"SyncMs\":-1}"},
        {"/_sim/describe", "{\"Quirks\":[\"odd\"]}"},
        {"/_sim/describe", "{\"Tags\":21}"},
        {"/_sim/wait", "[]"},
        {"/_sim/wait", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char url[128];
        CURL *curl = curl_easy_init();
        long http = 0;
        char body[512] = "";
        FILE *sink = fmemopen(body, sizeof body, "w");
        snprintf(url, sizeof url, "http://127.0.0.1:%d%s", simulator.port, rows[i][0]);
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, rows[i][1]);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, sink);
        assert_int_equal(curl_easy_perform(curl), CURLE_OK);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
        assert_int_equal(http, 400);
        curl_easy_cleanup(curl);
        fclose(sink);
    }
}

static void test_an_api_that_looks_at_the_state_first_refuses_a_repeated_start(void **state)
{
    static const char *const arguments[] = {"--group", "cn-beijing/pg-1", "--state-first", NULL};
    struct simulator strict;
    struct reply reply;
    (void)state;
    simulator_start(&strict, arguments);
    assert_int_equal(simulator_start_group(&strict, "pg-1", "t-1", NULL, &reply), 200);
    reply_fini(&reply);
    assert_int_equal(simulator_start_group(&strict, "pg-1", "t-1", NULL, &reply), 403);
    assert_string_equal(reply_text(&reply, "Code"), "OperationDenied.InvalidStatus");
    reply_fini(&reply);
    simulator_order(
        &strict, "POST", "groups",
        "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"Status\":\"normal\"}");
    assert_int_equal(simulator_start_group(&strict, "pg-1", "t-1", NULL, &reply), 200);
    reply_fini(&reply);
    assert_int_equal(simulator_total(&strict, "Effects"), 1);
    assert_int_equal(simulator_stop(&strict, SIGTERM), 0);
}

static void test_a_forgotten_token_has_a_second_effect_that_is_counted(void **state)
{
    static const char *const arguments[] = {"--auto-create", "--fast", "--token-ttl", "0", NULL};
    struct simulator forgetful;
    struct reply reply;
    (void)state;
    simulator_start(&forgetful, arguments);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(simulator_start_group(&forgetful, "pg-9", "t", NULL, &reply), 200);
        reply_fini(&reply);
    }
    assert_int_equal(simulator_total(&forgetful, "MaxEffectsPerToken"), 3);
    assert_int_equal(simulator_total(&forgetful, "Effects"), 3);
    assert_int_equal(simulator_stop(&forgetful, SIGINT), 0);
}

static void test_it_ends_cleanly_with_a_call_hanging(void **state)
{
    struct simulator ended;
    struct reply reply;
    (void)state;
    simulator_start(&ended, NULL);
    FILE *file = fopen(ended.port_file, "r");
    int port = 0;
    assert_int_equal(fscanf(file, "%d", &port), 1);
    fclose(file);
    assert_int_equal(port, ended.port);
    simulator_order(&ended, "POST", "groups",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\","
                    "\"Status\":\"created\"}");
    simulator_order(&ended, "POST", "faults", "{\"Fault\":\"latency\",\"Ms\":60000}");
    simulator_call(&ended, "RegionId=cn-beijing&ReplicaGroupId=pg-1",
                   &(struct call_options){.timeout_ms = 50}, &reply);
    reply_fini(&reply);
    assert_int_equal(simulator_stop(&ended, SIGTERM), 0);
}

static void test_wrong_arguments_end_with_the_usual_codes(void **state)
{
    (void)state;
    assert_int_equal(simulator_run((const char *[]){"--help", NULL}), EX_OK);
    assert_int_equal(simulator_run((const char *[]){NULL}), EX_USAGE);
    assert_int_equal(simulator_run((const char *[]){"--access-key", "a:b", "--rpo", "x", NULL}),
                     EX_USAGE);
    assert_int_equal(
        simulator_run((const char *[]){"--access-key", "a:b", "--group", "a/b=c", NULL}), EX_USAGE);
    assert_int_equal(
        simulator_run((const char *[]){"--access-key", "a:b", "--listen", "203.0.113.1:0", NULL}),
        EX_UNAVAILABLE);
    assert_int_equal(simulator_run((const char *[]){"--access-key", "a:b", "--port-file",
                                                    "/nonexistent/port", NULL}),
                     EX_CANTCREAT);
}

#define TEST(name) cmocka_unit_test_setup(name, fixture_reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_wrong_parameter_has_its_own_answer),
        TEST(test_a_token_of_64_characters_is_accepted),
        TEST(test_the_state_decides_which_start_is_allowed),
        TEST(test_a_started_group_goes_through_its_states),
        TEST(test_a_one_time_synchronization_ends_stopped_and_cools_down),
        TEST(test_a_repeated_token_gets_the_first_request_id_and_no_second_effect),
        TEST(test_a_token_with_other_parameters_is_refused),
        TEST(test_a_refused_token_may_be_used_again),
        TEST(test_clearing_the_faults_ends_a_hanging_call),
        TEST(test_two_starts_of_one_group_at_once_are_an_overlap),
        TEST(test_a_start_after_the_client_gave_up_is_no_overlap),
        TEST(test_a_wait_that_is_not_fulfilled_ends_at_its_timeout),
        TEST(test_requests_past_the_rate_are_throttled),
        TEST(test_the_request_log_shows_requests_and_answers),
        TEST(test_a_control_request_with_a_spelling_mistake_is_refused),
        TEST(test_a_forgotten_token_has_a_second_effect_that_is_counted),
        TEST(test_an_api_that_looks_at_the_state_first_refuses_a_repeated_start),
        TEST(test_it_ends_cleanly_with_a_call_hanging),
        TEST(test_wrong_arguments_end_with_the_usual_codes),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests_name("simulator", tests, fixture_start_both, fixture_stop);
}
