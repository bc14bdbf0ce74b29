/* Tests of the simulator's misbehaviour: every kind of fault and every error of the table. */
#include "test_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* What one fault does to one start. */
struct fault_row {
    const char *fault;
    CURLcode curl; /* CURLE_OK: an answer; a reset may show as either of two */
    long http;
    const char *code;
    int effects;
};

static const struct fault_row fault_rows[] = {
    {"{\"Fault\":\"error\",\"Code\":\"Forbidden\"}", CURLE_OK, 403, "Forbidden", 0},
    {"{\"Fault\":\"error\",\"Code\":\"Own.Code\",\"Http\":418,\"Message\":\"m\"}", CURLE_OK, 418,
     "Own.Code", 0},
    {"{\"Fault\":\"error_after\"}", CURLE_OK, 500, "InternalError", 1},
    {"{\"Fault\":\"error_after\",\"Code\":\"RequestTimeout\"}", CURLE_OK, 504, "RequestTimeout", 1},
    {"{\"Fault\":\"latency\",\"Ms\":20}", CURLE_OK, 200, "", 1},
    {"{\"Fault\":\"reset_before\"}", CURLE_RECV_ERROR, 0, "", 0},
    {"{\"Fault\":\"reset_after\"}", CURLE_RECV_ERROR, 0, "", 1},
    {"{\"Fault\":\"cut_body\"}", CURLE_PARTIAL_FILE, 200, "", 1},
    {"{\"Fault\":\"html_502\"}", CURLE_OK, 502, "", 0},
    {"{\"Fault\":\"empty_200\"}", CURLE_OK, 200, "", 1},
    {"{\"Fault\":\"garbage_200\"}", CURLE_OK, 200, "", 1},
    {"{\"Fault\":\"huge_body\",\"Bytes\":300000}", CURLE_OK, 200, "", 1},
    {"{\"Fault\":\"slow_bytes\",\"Ms\":1}", CURLE_OK, 200, "", 1},
    {"{\"Fault\":\"hang\"}", CURLE_OPERATION_TIMEDOUT, 0, "", 0},
    {"{\"Fault\":\"hang\",\"Effect\":true}", CURLE_OPERATION_TIMEDOUT, 0, "", 1},
    {"{\"Fault\":\"xml\"}", CURLE_OK, 200, "", 1},
};

static bool is_hang(const struct fault_row *row)
{
    return row->curl == CURLE_OPERATION_TIMEDOUT;
}

static void test_each_fault_has_its_effect_once(void **state)
{
    static const char query[] = "ClientToken=t&RegionId=cn-beijing&ReplicaGroupId=pg-1";
    (void)state;
    for (size_t i = 0; i < sizeof fault_rows / sizeof fault_rows[0]; i++) {
        const struct fault_row *row = &fault_rows[i];
        struct call_options options = {.timeout_ms = is_hang(row) ? 250 : 0};
        struct reply reply;
        fixture_reset(NULL);
        simulator_order(&simulator, "POST", "faults", row->fault);
        simulator_call(&simulator, query, &options, &reply);
        assert_int_equal(reply.curl, row->curl);
        assert_int_equal(reply.http, row->http);
        assert_string_equal(reply_text(&reply, "Code"), row->code);
        reply_fini(&reply);
        assert_int_equal(simulator_token_number(&simulator, "t", "Effects"), row->effects);
        expect_start("pg-1", "t", NULL, "");
        assert_int_equal(simulator_token_number(&simulator, "t", "Effects"), 1);
        assert_int_equal(simulator_total(&simulator, "FaultsTaken"), 1);
        assert_int_equal(simulator_total(&simulator, "Answered"), row->curl == CURLE_OK ? 2 : 1);
    }
}

static void send_with_fault(const char *fault, struct reply *out_reply)
{
    simulator_order(&simulator, "POST", "faults", fault);
    simulator_start_group(&simulator, "pg-1", NULL, NULL, out_reply);
}

static void test_each_kind_of_bad_body_is_sent_as_described(void **state)
{
    struct reply reply;
    (void)state;
    send_with_fault("{\"Fault\":\"huge_body\",\"Bytes\":300000}", &reply);
    assert_int_equal(reply.length, 300000);
    assert_int_equal(strlen(reply_text(&reply, "RequestId")), 36);
    reply_fini(&reply);
    fixture_reset(NULL);
    send_with_fault("{\"Fault\":\"empty_200\"}", &reply);
    assert_string_equal(reply.body, "{}");
    reply_fini(&reply);
    fixture_reset(NULL);
    send_with_fault("{\"Fault\":\"garbage_200\"}", &reply);
    assert_null(reply.json);
    reply_fini(&reply);
    fixture_reset(NULL);
    send_with_fault("{\"Fault\":\"html_502\"}", &reply);
    assert_string_equal(reply.content_type, "text/html");
    reply_fini(&reply);
    send_with_fault("{\"Fault\":\"xml\"}", &reply);
    assert_non_null(strstr(reply.body, "<StartDiskReplicaGroupResponse><RequestId>"));
    assert_string_equal(reply.content_type, "text/xml;charset=utf-8");
    reply_fini(&reply);
}

static void test_retry_after_is_sent_in_its_header(void **state)
{
    struct reply reply;
    (void)state;
    send_with_fault("{\"Fault\":\"error\",\"Code\":\"Throttling.Api\",\"RetryAfterMs\":1234}",
                    &reply);
    assert_int_equal(reply.retry_after_ms, 1234);
    reply_fini(&reply);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void test_latency_and_slow_bytes_take_their_time(void **state)
{
    struct reply reply;
    int64_t begin_ms = now_ms();
    (void)state;
    send_with_fault("{\"Fault\":\"latency\",\"Ms\":80}", &reply);
    reply_fini(&reply);
    assert_true(now_ms() - begin_ms >= 80);
    fixture_reset(NULL);
    begin_ms = now_ms();
    send_with_fault("{\"Fault\":\"slow_bytes\",\"Ms\":3}", &reply);
    assert_int_equal(reply.length, strlen("{\"RequestId\":\"\"}") + 36);
    reply_fini(&reply);
    assert_true(now_ms() - begin_ms >= 3 * 51);
}

static void test_faults_are_taken_in_order_by_the_calls_they_match(void **state)
{
    (void)state;
    simulator_order(
        &simulator, "POST", "faults",
        "{\"Fault\":\"error\",\"Code\":\"Forbidden\",\"Match\":{\"ClientToken\":\"b\"}}");
    simulator_order(&simulator, "POST", "faults",
                    "{\"Fault\":\"error\",\"Code\":\"Throttling\",\"Count\":2}");
    simulator_order(&simulator, "POST", "faults",
                    "{\"Fault\":\"error\",\"Code\":\"InternalError\",\"Count\":-1,"
                    "\"Match\":{\"ReplicaGroupId\":\"pg-1\",\"RegionId\":\"cn-beijing\"}}");
    expect_start("pg-1", "a", NULL, "Throttling");
    expect_start("pg-1", "b", NULL, "Forbidden");
    expect_start("pg-1", "b", NULL, "Throttling");
    expect_start("pg-1", "b", NULL, "InternalError");
    expect_start("pg-1", "a", NULL, "InternalError");
    expect_start("pg-stopped", "c", NULL, "");
    expect_status("created");
    simulator_order(&simulator, "DELETE", "faults", NULL);
    expect_start("pg-1", "a", NULL, "");
}

static void test_a_wrong_clock_refuses_until_the_date_fits_it(void **state)
{
    struct call_options options = {.date_offset_s = 3600};
    struct reply reply;
    (void)state;
    simulator_order(&simulator, "POST", "faults", "{\"Fault\":\"wrong_clock\",\"OffsetS\":3600}");
    simulator_start_group(&simulator, "pg-1", NULL, NULL, &reply);
    assert_string_equal(reply_text(&reply, "Code"), "InvalidTimeStamp.Expired");
    assert_in_range(curl_getdate(reply.date, NULL), time(NULL) + 3590, time(NULL) + 3610);
    reply_fini(&reply);
    simulator_call(&simulator, "RegionId=cn-beijing&ReplicaGroupId=pg-1", &options, &reply);
    assert_int_equal(reply.http, 200);
    reply_fini(&reply);
}

static void expect_error_answer(const char *code, long http, const char *message, bool is_xml)
{
    struct call_options options = {.accept = is_xml ? "text/xml" : NULL};
    struct reply reply;
    char fault[160];
    char expected[512];
    snprintf(fault, sizeof fault, "{\"Fault\":\"error\",\"Code\":\"%s\"}", code);
    simulator_order(&simulator, "POST", "faults", fault);
    simulator_call(&simulator, "RegionId=cn-beijing&ReplicaGroupId=pg-1", &options, &reply);
    assert_int_equal(reply.http, http);
    if (is_xml) {
        assert_non_null(strstr(reply.body, "<HostId>127.0.0.1</HostId>"));
        assert_non_null(strstr(reply.body, "<Recommend><![CDATA[https://"));
        snprintf(expected, sizeof expected, "<Code>%s</Code><Message>%s</Message>", code, message);
        assert_non_null(strstr(reply.body, expected));
    } else {
        assert_string_equal(reply_text(&reply, "Code"), code);
        assert_string_equal(reply_text(&reply, "Message"), message);
        assert_string_equal(reply_text(&reply, "HostId"), "127.0.0.1");
        assert_int_equal(strlen(reply_text(&reply, "RequestId")), 36);
        assert_non_null(strstr(reply_text(&reply, "Recommend"), code));
    }
    reply_fini(&reply);
}

static void test_every_error_of_the_table_is_answered_in_json_and_xml(void **state)
{
    cJSON *table = simulator_control(&simulator, "GET", "errors", NULL);
    const cJSON *row = NULL;
    (void)state;
    assert_true(cJSON_GetArraySize(table) > 40);
    cJSON_ArrayForEach(row, table)
    {
        const char *code = cJSON_GetObjectItem(row, "Code")->valuestring;
        const char *message = cJSON_GetObjectItem(row, "Message")->valuestring;
        long http = cJSON_GetObjectItem(row, "Http")->valueint;
        expect_error_answer(code, http, message, false);
        expect_error_answer(code, http, message, true);
    }
    cJSON_Delete(table);
    assert_int_equal(simulator_total(&simulator, "Effects"), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, fixture_reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_fault_has_its_effect_once),
        TEST(test_each_kind_of_bad_body_is_sent_as_described),
        TEST(test_retry_after_is_sent_in_its_header),
        TEST(test_latency_and_slow_bytes_take_their_time),
        TEST(test_faults_are_taken_in_order_by_the_calls_they_match),
        TEST(test_a_wrong_clock_refuses_until_the_date_fits_it),
        TEST(test_every_error_of_the_table_is_answered_in_json_and_xml),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests_name("simulator faults", tests, fixture_start_both, fixture_stop);
}
