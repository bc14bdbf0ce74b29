#include "intake/command_read.h"
#include "model/command.h"

#include "base/mem.h"
#include "support/command_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */

static struct command_reading read_text(const char *payload)
{
    struct route route = command_fixture_route();
    struct delivery delivery = command_fixture_delivery(payload);
    return command_fixture_read(&route, &delivery);
}

static void assert_text(struct slice text, const char *expected)
{
    assert_true(slice_is_present(text));
    assert_true(slice_equals_text(text, expected));
}

static void assert_params(const struct request *request, const char *expected)
{
    assert_string_equal(buf_slice(&request->params).data, expected);
}

#define NEEDED "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-example\""

static void test_a_full_command_is_read(void **state)
{
    (void)state;
    struct command_reading reading = read_text(
        "{" NEEDED ",\"ClientToken\":\"123e4567 ~!\",\"OneShot\":true,"
        "\"Action\":\"StartDiskReplicaGroup\",\"ReplyTo\":\"replies/me\",\"CorrelationId\":\"c-1\","
        "\"NotAfter\":\"2026-01-02T03:04:05.123Z\",\"traceparent\":\"00-a-b-01\","
        "\"tracestate\":\"k=v\"}\r\n ");
    assert_int_equal(reading.status, STATUS_OK);
    assert_text(reading.request.region, "cn-beijing");
    assert_text(reading.request.group, "pg-example");
    assert_text(reading.request.token, "123e4567 ~!");
    assert_text(reading.request.reply_to, "replies/me");
    assert_text(reading.request.correlation_id, "c-1");
    assert_text(reading.request.traceparent, "00-a-b-01");
    assert_text(reading.request.tracestate, "k=v");
    assert_true(reading.request.has_body_trace);
    assert_params(&reading.request, "{\"OneShot\":true}");
    assert_true(reading.request.not_after_ms == NOW_MS);
    request_fini(&reading.request);
}

static void test_a_bare_command_is_read(void **state)
{
    (void)state;
    struct command_reading reading = read_text("{" NEEDED "}");
    assert_int_equal(reading.status, STATUS_OK);
    assert_false(slice_is_present(reading.request.token));
    assert_false(slice_is_present(reading.request.reply_to));
    assert_false(slice_is_present(reading.request.correlation_id));
    assert_false(slice_is_present(reading.request.traceparent));
    assert_false(reading.request.has_body_trace);
    assert_params(&reading.request, "{\"OneShot\":false}");
    assert_true(reading.request.not_after_ms == INT64_MAX);
    request_fini(&reading.request);
    request_fini(NULL);
}

static void test_one_shot_accepts_booleans_and_their_texts_only(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool is_taken;
        bool one_shot;
    } rows[] = {
        {"true", true, true},       {"false", true, false},      {"\"true\"", true, true},
        {"\"false\"", true, false}, {"\"True\"", false, false},  {"\"\"", false, false},
        {"1", false, false},        {"null", false, false},      {"[true]", false, false},
        {"\"yes\"", false, false},  {"\"true \"", false, false}, {"{}", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char payload[200];
        snprintf(payload, sizeof payload, "{" NEEDED ",\"OneShot\":%s}", rows[i].value);
        struct command_reading reading = read_text(payload);
        assert_params(&reading.request, !rows[i].is_taken  ? "{}"
                                        : rows[i].one_shot ? "{\"OneShot\":true}"
                                                           : "{\"OneShot\":false}");
        assert_int_equal(reading.refusal.error,
                         rows[i].is_taken ? ERROR_NONE : ERROR_INVALID_PARAMETER);
        request_fini(&reading.request);
    }
}

struct fault_row {
    const char *payload;
    enum bridge_error error;
    const char *message_part;
};

static void assert_faults(const struct fault_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct command_reading reading = read_text(rows[i].payload);
        if (reading.refusal.error != rows[i].error ||
            strstr(reading.refusal.message, rows[i].message_part) == NULL) {
            fail_msg("%s: error %d, \"%s\"", rows[i].payload, reading.refusal.error,
                     reading.refusal.message);
        }
        request_fini(&reading.request);
    }
}

static void test_payloads_that_are_no_json_object_are_malformed(void **state)
{
    (void)state;
    static const struct fault_row rows[] = {
        {"", ERROR_MALFORMED_PAYLOAD, "0 bytes"},
        {"{", ERROR_MALFORMED_PAYLOAD, "at byte 1"},
        {"[]", ERROR_MALFORMED_PAYLOAD, "array"},
        {"null", ERROR_MALFORMED_PAYLOAD, "null"},
        {"\"a\"", ERROR_MALFORMED_PAYLOAD, "string"},
        {"{" NEEDED "} x", ERROR_MALFORMED_PAYLOAD, "at byte"},
        {"{" NEEDED "}{" NEEDED "}", ERROR_MALFORMED_PAYLOAD, "at byte"},
        {"{" NEEDED ",}", ERROR_MALFORMED_PAYLOAD, "at byte"},
        {"{'RegionId':'a'}", ERROR_MALFORMED_PAYLOAD, "at byte"},
        {"{" NEEDED ",\"ClientToken\":\"\xff\"}", ERROR_MALFORMED_PAYLOAD, "UTF-8"},
        {"{" NEEDED ",\"ClientToken\":\"a\\u0000b\"}", ERROR_MALFORMED_PAYLOAD, "U+0000"},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}", ERROR_MALFORMED_PAYLOAD, "nested"},
    };
    assert_faults(rows, sizeof rows / sizeof rows[0]);
}

static void test_a_field_of_the_wrong_type_is_refused_with_its_type(void **state)
{
    (void)state;
    static const struct fault_row rows[] = {
        {"{\"RegionId\":null}", ERROR_INVALID_PARAMETER, "RegionId must be a string"},
        {"{\"RegionId\":null}", ERROR_INVALID_PARAMETER, "type null"},
        {"{" NEEDED ",\"ClientToken\":7}", ERROR_INVALID_PARAMETER, "type number"},
        {"{" NEEDED ",\"ClientToken\":true}", ERROR_INVALID_PARAMETER, "type boolean"},
        {"{" NEEDED ",\"ReplyTo\":[]}", ERROR_INVALID_PARAMETER, "type array"},
        {"{" NEEDED ",\"CorrelationId\":{\"a\":1}}", ERROR_INVALID_PARAMETER, "type object"},
        {"{" NEEDED ",\"NotAfter\":1767323045}", ERROR_INVALID_PARAMETER, "NotAfter"},
        {"{" NEEDED ",\"Action\":false}", ERROR_INVALID_PARAMETER, "Action"},
        {"{" NEEDED ",\"OneShot\":null}", ERROR_INVALID_PARAMETER, "OneShot must be true or false"},
        {"{" NEEDED ",\"traceparent\":1}", ERROR_INVALID_PARAMETER, "traceparent"},
        {"{" NEEDED ",\"tracestate\":null}", ERROR_INVALID_PARAMETER, "tracestate"},
    };
    assert_faults(rows, sizeof rows / sizeof rows[0]);
}

static void test_a_value_against_its_rule_is_refused_with_its_length(void **state)
{
    (void)state;
    static const struct fault_row rows[] = {
        {"{\"RegionId\":\"\"}", ERROR_INVALID_PARAMETER, "RegionId"},
        {"{\"RegionId\":\"cn.evil.example\"}", ERROR_INVALID_PARAMETER, "15 bytes"},
        {"{\"RegionId\":\"cn_b\"}", ERROR_INVALID_PARAMETER, "4 bytes"},
        {"{\"RegionId\":\"cn/b\"}", ERROR_INVALID_PARAMETER, "letters, digits and '-'"},
        {"{\"RegionId\":\"CN-BEIJING\"}", ERROR_INVALID_PARAMETER, "lower-case letters"},
        {"{\"RegionId\":\"\xc3\xa9\"}", ERROR_INVALID_PARAMETER, "2 bytes"},
        {"{" NEEDED ",\"ClientToken\":\"\"}", ERROR_INVALID_PARAMETER, "ClientToken"},
        {"{" NEEDED ",\"ClientToken\":\"\xc3\xa9\"}", ERROR_INVALID_PARAMETER, "printable ASCII"},
        {"{" NEEDED ",\"ClientToken\":\"a\\n\"}", ERROR_INVALID_PARAMETER, "2 bytes"},
        {"{" NEEDED ",\"ClientToken\":\"\\u007f\"}", ERROR_INVALID_PARAMETER, "1 bytes"},
        {"{\"RegionId\":\"a\",\"ReplicaGroupId\":\"\"}", ERROR_INVALID_PARAMETER, "ReplicaGroupId"},
        {"{\"RegionId\":\"a\",\"ReplicaGroupId\":\"\\t\"}", ERROR_INVALID_PARAMETER, "128"},
        {"{" NEEDED ",\"Action\":\"StopDiskReplicaGroup\"}", ERROR_INVALID_PARAMETER, "20 bytes"},
        {"{" NEEDED ",\"Action\":\"startdiskreplicagroup\"}", ERROR_INVALID_PARAMETER, "Action"},
        {"{" NEEDED ",\"Action\":\"\"}", ERROR_INVALID_PARAMETER, "0 bytes"},
        {"{" NEEDED ",\"ReplyTo\":\"\"}", ERROR_INVALID_PARAMETER, "ReplyTo"},
        {"{" NEEDED ",\"ReplyTo\":\"a\\u0001\"}", ERROR_INVALID_PARAMETER, "control characters"},
        {"{" NEEDED ",\"NotAfter\":\"tomorrow\"}", ERROR_INVALID_PARAMETER, "RFC 3339"},
        {"{" NEEDED ",\"NotAfter\":\"2026-02-30T00:00:00Z\"}", ERROR_INVALID_PARAMETER, "20 bytes"},
        {"{" NEEDED ",\"NotAfter\":\"\"}", ERROR_INVALID_PARAMETER, "NotAfter"},
        {"{" NEEDED ",\"traceparent\":\"\\u0001\"}", ERROR_INVALID_PARAMETER, "traceparent"},
    };
    assert_faults(rows, sizeof rows / sizeof rows[0]);
}

static void test_lengths_are_accepted_up_to_the_limit(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t bytes_max;
    } rows[] = {
        {"RegionId", 63},       {"ReplicaGroupId", 128}, {"ClientToken", 64},
        {"CorrelationId", 256}, {"traceparent", 512},    {"tracestate", 512},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t extra = 0; extra <= 1; extra++) {
            struct route route = command_fixture_route();
            struct buf text = {0};
            route.default_region = "cn-beijing";
            route.default_group = "pg-example";
            buf_printf(&text, "{\"%s\":\"", rows[i].name);
            for (size_t k = 0; k < rows[i].bytes_max + extra; k++) {
                buf_append_char(&text, 'x');
            }
            buf_append_text(&text, "\"}");
            struct delivery delivery = command_fixture_delivery(text.data);
            struct command_reading reading = command_fixture_read(&route, &delivery);
            assert_int_equal(reading.refusal.error,
                             extra == 0 ? ERROR_NONE : ERROR_INVALID_PARAMETER);
            request_fini(&reading.request);
            buf_fini(&text);
        }
    }
}

static void test_a_reply_topic_of_more_than_65535_bytes_is_invalid(void **state)
{
    (void)state;
    struct command_limits wide = {.payload_bytes = 100000, .deadline_s = 300};
    struct route route = command_fixture_route();
    struct buf text = {0};
    buf_append_text(&text, "{" NEEDED ",\"ReplyTo\":\"");
    for (size_t i = 0; i < 65536; i++) {
        buf_append_char(&text, 'x');
    }
    buf_append_text(&text, "\"}");
    struct delivery delivery = command_fixture_delivery(text.data);
    struct request request;
    struct refusal refusal;
    assert_int_equal(request_read(&route, &delivery, &wide, &request, &refusal), STATUS_INVALID);
    assert_int_equal(refusal.error, ERROR_INVALID_PARAMETER);
    assert_false(slice_is_present(request.reply_to));
    request_fini(&request);
    buf_fini(&text);
}

static void test_unknown_fields_are_named(void **state)
{
    (void)state;
    static const struct fault_row rows[] = {
        {"{" NEEDED ",\"Oneshot\":true}", ERROR_UNKNOWN_PARAMETER, "\"Oneshot\""},
        {"{" NEEDED ",\"regionId\":\"a\"}", ERROR_UNKNOWN_PARAMETER, "\"regionId\""},
        {"{" NEEDED ",\"\":1}", ERROR_UNKNOWN_PARAMETER, "0 bytes"},
        {"{" NEEDED ",\"a\\\"b\\\\c\\nd\\u007f\":1}", ERROR_UNKNOWN_PARAMETER,
         "\"a\\x22b\\x5cc\\x0ad\\x7f\""},
        {"{" NEEDED ",\"a\xc2\x88\":1}", ERROR_UNKNOWN_PARAMETER, "\"a\\xc2\\x88\""},
        {"{" NEEDED ",\"deep\":[{}]}", ERROR_UNKNOWN_PARAMETER, "\"deep\""},
        {"{}", ERROR_MISSING_PARAMETER, "RegionId"},
    };
    assert_faults(rows, sizeof rows / sizeof rows[0]);
}

static void test_a_parameter_of_another_action_is_unknown(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    route.action = "StopDiskReplicaGroup";
    struct delivery delivery = command_fixture_delivery("{" NEEDED ",\"OneShot\":false}");
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_UNKNOWN_PARAMETER);
    assert_non_null(strstr(reading.refusal.message, "\"OneShot\""));
    request_fini(&reading.request);
    delivery = command_fixture_delivery("{" NEEDED ",\"Action\":\"StopDiskReplicaGroup\"}");
    reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_NONE);
    assert_params(&reading.request, "{}");
    request_fini(&reading.request);
}

static void test_a_long_unknown_name_is_cut_between_characters(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_append_text(&text, "{\"x");
    for (int i = 0; i < 100; i++) {
        buf_append_text(&text, "\xc3\xa9");
    }
    buf_append_text(&text, "\":1}");
    struct command_reading reading = read_text(text.data);
    assert_int_equal(reading.refusal.error, ERROR_UNKNOWN_PARAMETER);
    const char *open = strchr(reading.refusal.message, '"');
    const char *close = strrchr(reading.refusal.message, '"');
    assert_int_equal(close - open - 1, 63);
    assert_non_null(strstr(reading.refusal.message, "201 bytes"));
    request_fini(&reading.request);
    buf_fini(&text);
}

static void test_missing_fields_are_named(void **state)
{
    (void)state;
    static const struct fault_row rows[] = {
        {"{}", ERROR_MISSING_PARAMETER, "RegionId is missing"},
        {"{\"RegionId\":\"a\"}", ERROR_MISSING_PARAMETER, "ReplicaGroupId is missing"},
        {"{\"ReplicaGroupId\":\"a\"}", ERROR_MISSING_PARAMETER, "RegionId is missing"},
    };
    assert_faults(rows, sizeof rows / sizeof rows[0]);
    struct route route = command_fixture_route();
    route.needs_client_token = true;
    struct delivery delivery = command_fixture_delivery("{" NEEDED "}");
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_MISSING_PARAMETER);
    assert_non_null(strstr(reading.refusal.message, "ClientToken is missing"));
    request_fini(&reading.request);
}

static void test_a_repeated_field_is_invalid_and_not_readable(void **state)
{
    (void)state;
    static const struct fault_row rows[] = {
        {"{" NEEDED ",\"OneShot\":false,\"OneShot\":false}", ERROR_INVALID_PARAMETER,
         "OneShot is given more than once"},
        {"{" NEEDED ",\"RegionId\":\"a\"}", ERROR_INVALID_PARAMETER, "RegionId is given more"},
        {"{" NEEDED ",\"RegionId\":null}", ERROR_INVALID_PARAMETER, "RegionId is given more"},
        {"{" NEEDED ",\"Action\":\"StartDiskReplicaGroup\",\"Action\":\"StartDiskReplicaGroup\"}",
         ERROR_INVALID_PARAMETER, "Action is given more"},
    };
    assert_faults(rows, sizeof rows / sizeof rows[0]);
    struct route route = command_fixture_route();
    route.default_region = "cn-default";
    route.default_group = "pg-default";
    route.parameter_defaults[PARAMETER_StartDiskReplicaGroup_OneShot].is_set = true;
    struct delivery delivery = command_fixture_delivery(
        "{" NEEDED "," NEEDED ",\"ClientToken\":\"a\",\"ClientToken\":\"a\",\"ReplyTo\":\"a\","
        "\"ReplyTo\":\"a\",\"CorrelationId\":\"a\",\"CorrelationId\":\"b\",\"OneShot\":true,"
        "\"OneShot\":true,\"NotAfter\":\"2026-01-02T03:04:05Z\",\"NotAfter\":\"2026-01-02T03:04:"
        "05Z\","
        "\"traceparent\":\"a\",\"traceparent\":\"b\",\"tracestate\":\"a\",\"tracestate\":\"b\"}");
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_false(slice_is_present(reading.request.region));
    assert_false(slice_is_present(reading.request.group));
    assert_false(slice_is_present(reading.request.token));
    assert_false(slice_is_present(reading.request.reply_to));
    assert_false(slice_is_present(reading.request.correlation_id));
    assert_false(slice_is_present(reading.request.traceparent));
    assert_false(slice_is_present(reading.request.tracestate));
    assert_false(reading.request.has_body_trace);
    assert_params(&reading.request, "{}");
    assert_true(reading.request.not_after_ms == INT64_MAX);
    request_fini(&reading.request);
}

static void test_the_first_fault_in_the_text_is_reported_and_missing_fields_last(void **state)
{
    (void)state;
    static const struct fault_row rows[] = {
        {"{\"OneShot\":1,\"What\":1}", ERROR_INVALID_PARAMETER, "OneShot"},
        {"{\"What\":1,\"OneShot\":1}", ERROR_UNKNOWN_PARAMETER, "What"},
        {"{\"OneShot\":true,\"OneShot\":true,\"What\":1}", ERROR_INVALID_PARAMETER,
         "more than once"},
        {"{\"CorrelationId\":1}", ERROR_INVALID_PARAMETER, "CorrelationId"},
    };
    assert_faults(rows, sizeof rows / sizeof rows[0]);
}

static void test_reading_goes_on_after_a_fault(void **state)
{
    (void)state;
    struct command_reading reading =
        read_text("{\"What\":1,\"RegionId\":\"bad/region\","
                  "\"ReplicaGroupId\":\"pg-1\","
                  "\"ClientToken\":\"t-1\",\"ReplyTo\":\"replies/a\",\"CorrelationId\":\"c\","
                  "\"traceparent\":\"tp\",\"OneShot\":true}");
    assert_int_equal(reading.refusal.error, ERROR_UNKNOWN_PARAMETER);
    assert_false(slice_is_present(reading.request.region));
    assert_text(reading.request.group, "pg-1");
    assert_text(reading.request.token, "t-1");
    assert_text(reading.request.reply_to, "replies/a");
    assert_text(reading.request.correlation_id, "c");
    assert_text(reading.request.traceparent, "tp");
    assert_params(&reading.request, "{\"OneShot\":true}");
    request_fini(&reading.request);
}

static void test_messages_never_show_a_value(void **state)
{
    (void)state;
    static const char *const names[] = {"RegionId", "ReplicaGroupId", "ClientToken",
                                        "OneShot",  "Action",         "ReplyTo",
                                        "NotAfter", "traceparent",    "Unknown"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char payload[100];
        snprintf(payload, sizeof payload, "{\"%s\":\"hunter2\\u0001\"}", names[i]);
        struct command_reading reading = read_text(payload);
        assert_int_not_equal(reading.refusal.error, ERROR_NONE);
        assert_null(strstr(reading.refusal.message, "hunter2"));
        assert_non_null(strstr(reading.refusal.message, names[i]));
        request_fini(&reading.request);
    }
}

static void test_missing_fields_get_the_defaults_of_the_route(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    route.default_region = "cn-default";
    route.default_group = "pg-default";
    route.parameter_defaults[PARAMETER_StartDiskReplicaGroup_OneShot] =
        (struct optional_bool){true, true};
    struct delivery delivery = command_fixture_delivery("{}");
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.status, STATUS_OK);
    assert_text(reading.request.region, "cn-default");
    assert_text(reading.request.group, "pg-default");
    assert_params(&reading.request, "{\"OneShot\":true}");
    request_fini(&reading.request);

    delivery = command_fixture_delivery("{" NEEDED ",\"OneShot\":false}");
    reading = command_fixture_read(&route, &delivery);
    assert_text(reading.request.region, "cn-beijing");
    assert_text(reading.request.group, "pg-example");
    assert_params(&reading.request, "{\"OneShot\":false}");
    request_fini(&reading.request);
}

/* No settings allow such a route; its action has the kinds of parameter that a start has not. */
static void test_the_parameters_are_those_of_the_routes_action(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        enum bridge_error error;
        const char *params;
    } rows[] = {
        {"{" NEEDED ",\"MaxResults\":\"5\"}", ERROR_NONE, "{\"MaxResults\":\"5\"}"},
        {"{" NEEDED ",\"MaxResults\":\"a\\\"b\"}", ERROR_NONE, "{\"MaxResults\":\"a\\\"b\"}"},
        {"{" NEEDED "}", ERROR_MISSING_PARAMETER, "{}"},
        {"{" NEEDED ",\"MaxResults\":\"\"}", ERROR_INVALID_PARAMETER, "{}"},
        {"{" NEEDED ",\"MaxResults\":true}", ERROR_INVALID_PARAMETER, "{}"},
        {"{" NEEDED ",\"MaxResults\":\"5\",\"OneShot\":true}", ERROR_UNKNOWN_PARAMETER,
         "{\"MaxResults\":\"5\"}"},
    };
    struct route route = command_fixture_route();
    route.action = "DescribeDiskReplicaGroups";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct delivery delivery = command_fixture_delivery(rows[i].payload);
        struct command_reading reading = command_fixture_read(&route, &delivery);
        assert_int_equal(reading.refusal.error, rows[i].error);
        assert_params(&reading.request, rows[i].params);
        request_fini(&reading.request);
    }
    struct command_reading reading = read_text("{" NEEDED ",\"MaxResults\":\"5\"}");
    assert_int_equal(reading.refusal.error, ERROR_UNKNOWN_PARAMETER);
    request_fini(&reading.request);
}

static void test_a_default_does_not_replace_a_field_with_a_fault(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    route.default_region = "cn-default";
    route.default_group = "pg-default";
    route.parameter_defaults[PARAMETER_StartDiskReplicaGroup_OneShot].is_set = true;
    struct delivery delivery =
        command_fixture_delivery("{\"RegionId\":null,\"OneShot\":\"maybe\"}");
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_INVALID_PARAMETER);
    assert_false(slice_is_present(reading.request.region));
    assert_params(&reading.request, "{}");
    request_fini(&reading.request);
}

static void test_a_retained_message_is_refused_but_still_read(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    struct delivery delivery =
        command_fixture_delivery("{" NEEDED ",\"ClientToken\":\"t\",\"What\":1}");
    delivery.is_retained = true;
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_RETAINED);
    assert_text(reading.request.token, "t");
    request_fini(&reading.request);
    delivery.payload = slice_text("");
    delivery.payload_bytes = 0;
    reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_RETAINED);
    delivery.payload_bytes = 1 << 20;
    reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_RETAINED);
}

static void assert_nothing_readable(const struct request *request)
{
    assert_null(request->document);
    assert_false(slice_is_present(request->region));
    assert_false(slice_is_present(request->group));
    assert_false(slice_is_present(request->token));
    assert_false(slice_is_present(request->reply_to));
    assert_params(request, "");
}

static void test_nothing_of_a_payload_too_large_or_malformed_is_readable(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    route.default_region = "cn-default";
    route.default_group = "pg-default";
    struct delivery delivery = command_fixture_delivery("{" NEEDED ",\"ClientToken\":\"t\"}");
    delivery.payload_bytes = delivery.payload.length + 1;
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_PAYLOAD_TOO_LARGE);
    assert_nothing_readable(&reading.request);
    delivery = command_fixture_delivery("{" NEEDED ",\"ClientToken\":\"t\"");
    reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_MALFORMED_PAYLOAD);
    assert_nothing_readable(&reading.request);
}

static void test_a_payload_of_the_limit_is_read_and_one_byte_more_is_refused(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    struct buf text = {0};
    buf_append_text(&text, "{" NEEDED "}");
    while (text.length < command_fixture_limits.payload_bytes) {
        buf_append_char(&text, ' ');
    }
    struct delivery delivery = command_fixture_delivery(text.data);
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.status, STATUS_OK);
    request_fini(&reading.request);
    buf_append_char(&text, ' ');
    delivery = command_fixture_delivery(text.data);
    reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_PAYLOAD_TOO_LARGE);
    assert_non_null(strstr(reading.refusal.message, "16385 bytes"));
    assert_non_null(strstr(reading.refusal.message, "16384"));
    buf_fini(&text);
}

static void test_trace_user_properties_win_over_the_body_by_name(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    struct delivery delivery = command_fixture_delivery(
        "{" NEEDED ",\"traceparent\":\"body-parent\",\"tracestate\":\"body-state\"}");
    delivery.traceparent = slice_text("user-parent");
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_text(reading.request.traceparent, "user-parent");
    assert_text(reading.request.tracestate, "body-state");
    assert_true(reading.request.has_body_trace);
    request_fini(&reading.request);
    delivery.tracestate = slice_text("user-state");
    reading = command_fixture_read(&route, &delivery);
    assert_text(reading.request.tracestate, "user-state");
    assert_false(reading.request.has_body_trace);
    request_fini(&reading.request);
}

static void test_unusable_trace_user_properties_are_ignored(void **state)
{
    (void)state;
    struct route route = command_fixture_route();
    char *large = mem_alloc(513);
    memset(large, 'x', 513);
    struct delivery delivery = command_fixture_delivery("{" NEEDED ",\"traceparent\":\"body\"}");
    delivery.traceparent = slice_of(large, 513);
    delivery.tracestate = slice_text("a\nb");
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.status, STATUS_OK);
    assert_text(reading.request.traceparent, "body");
    assert_false(slice_is_present(reading.request.tracestate));
    request_fini(&reading.request);
    delivery.traceparent.length = 512;
    reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.request.traceparent.length, 512);
    request_fini(&reading.request);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_command_is_read),
        cmocka_unit_test(test_a_bare_command_is_read),
        cmocka_unit_test(test_one_shot_accepts_booleans_and_their_texts_only),
        cmocka_unit_test(test_payloads_that_are_no_json_object_are_malformed),
        cmocka_unit_test(test_a_field_of_the_wrong_type_is_refused_with_its_type),
        cmocka_unit_test(test_a_value_against_its_rule_is_refused_with_its_length),
        cmocka_unit_test(test_lengths_are_accepted_up_to_the_limit),
        cmocka_unit_test(test_a_reply_topic_of_more_than_65535_bytes_is_invalid),
        cmocka_unit_test(test_unknown_fields_are_named),
        cmocka_unit_test(test_a_parameter_of_another_action_is_unknown),
        cmocka_unit_test(test_a_long_unknown_name_is_cut_between_characters),
        cmocka_unit_test(test_missing_fields_are_named),
        cmocka_unit_test(test_a_repeated_field_is_invalid_and_not_readable),
        cmocka_unit_test(test_the_first_fault_in_the_text_is_reported_and_missing_fields_last),
        cmocka_unit_test(test_reading_goes_on_after_a_fault),
        cmocka_unit_test(test_messages_never_show_a_value),
        cmocka_unit_test(test_missing_fields_get_the_defaults_of_the_route),
        cmocka_unit_test(test_the_parameters_are_those_of_the_routes_action),
        cmocka_unit_test(test_a_default_does_not_replace_a_field_with_a_fault),
        cmocka_unit_test(test_a_retained_message_is_refused_but_still_read),
        cmocka_unit_test(test_nothing_of_a_payload_too_large_or_malformed_is_readable),
        cmocka_unit_test(test_a_payload_of_the_limit_is_read_and_one_byte_more_is_refused),
        cmocka_unit_test(test_trace_user_properties_win_over_the_body_by_name),
        cmocka_unit_test(test_unusable_trace_user_properties_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
