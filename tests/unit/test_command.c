#include "domain/command.h"

#include "base/json.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */

static char *all[] = {"*"};
static char *beijing[] = {"cn-beijing"};
static char *examples[] = {"pg-ex*", "pg-other"};

static const struct command_limits limits = {.payload_bytes = 16384, .deadline_s = 300};

static struct route start_route(void)
{
    return (struct route){
        .name = "start",
        .action = "StartDiskReplicaGroup",
        .reply_topic = "replies/{ClientToken}",
        .response_topics = {all, 1},
        .regions = {all, 1},
        .groups = {all, 1},
    };
}

static struct delivery delivery_of(const char *payload)
{
    return (struct delivery){
        .topic = slice_text("commands/start"),
        .payload = slice_text(payload),
        .payload_bytes = strlen(payload),
        .qos = 1,
        .expiry_s = -1,
    };
}

/* What one payload reads as, on a route without defaults. */
struct reading {
    struct request request;
    struct refusal refusal;
    enum status status;
};

static struct reading read_on(const struct route *route, const struct delivery *delivery)
{
    struct reading reading = {.refusal = {.error = ERROR_NONE}};
    reading.status = request_read(route, delivery, &limits, &reading.request, &reading.refusal);
    assert_int_equal(reading.status == STATUS_OK, reading.refusal.error == ERROR_NONE);
    return reading;
}

static struct reading read_text(const char *payload)
{
    struct route route = start_route();
    struct delivery delivery = delivery_of(payload);
    return read_on(&route, &delivery);
}

static void assert_text(struct slice text, const char *expected)
{
    assert_true(slice_is_present(text));
    assert_true(slice_equals_text(text, expected));
}

#define NEEDED "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-example\""

static void test_a_full_command_is_read(void **state)
{
    (void)state;
    struct reading reading = read_text(
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
    assert_true(reading.request.has_one_shot);
    assert_true(reading.request.one_shot);
    assert_true(reading.request.not_after_ms == NOW_MS);
    request_fini(&reading.request);
}

static void test_a_bare_command_is_read(void **state)
{
    (void)state;
    struct reading reading = read_text("{" NEEDED "}");
    assert_int_equal(reading.status, STATUS_OK);
    assert_false(slice_is_present(reading.request.token));
    assert_false(slice_is_present(reading.request.reply_to));
    assert_false(slice_is_present(reading.request.correlation_id));
    assert_false(slice_is_present(reading.request.traceparent));
    assert_false(reading.request.has_body_trace);
    assert_true(reading.request.has_one_shot);
    assert_false(reading.request.one_shot);
    assert_true(reading.request.not_after_ms == INT64_MAX);
    request_fini(&reading.request);
    request_fini(NULL);
}

static void test_one_shot_takes_booleans_and_their_words_only(void **state)
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
        struct reading reading = read_text(payload);
        assert_int_equal(reading.request.has_one_shot, rows[i].is_taken);
        assert_int_equal(reading.request.one_shot, rows[i].one_shot);
        assert_int_equal(reading.refusal.error,
                         rows[i].is_taken ? ERROR_NONE : ERROR_INVALID_PARAMETER);
        request_fini(&reading.request);
    }
}

struct fault_row {
    const char *payload;
    enum bridge_error error;
    const char *says; /* part of the message */
};

static void assert_faults(const struct fault_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct reading reading = read_text(rows[i].payload);
        if (reading.refusal.error != rows[i].error ||
            strstr(reading.refusal.message, rows[i].says) == NULL) {
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

static void test_fields_of_the_wrong_type_are_named_with_the_type_found(void **state)
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

static void test_values_that_break_their_rule_are_named_with_their_length(void **state)
{
    (void)state;
    static const struct fault_row rows[] = {
        {"{\"RegionId\":\"\"}", ERROR_INVALID_PARAMETER, "RegionId"},
        {"{\"RegionId\":\"cn.evil.example\"}", ERROR_INVALID_PARAMETER, "15 bytes"},
        {"{\"RegionId\":\"cn_b\"}", ERROR_INVALID_PARAMETER, "4 bytes"},
        {"{\"RegionId\":\"cn/b\"}", ERROR_INVALID_PARAMETER, "letters, digits and '-'"},
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

static void test_lengths_are_taken_up_to_the_limit_and_not_beyond(void **state)
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
            struct route route = start_route();
            struct buf text = {0};
            route.default_region = "cn-beijing";
            route.default_group = "pg-example";
            buf_printf(&text, "{\"%s\":\"", rows[i].name);
            for (size_t k = 0; k < rows[i].bytes_max + extra; k++) {
                buf_append_char(&text, 'x');
            }
            buf_append_text(&text, "\"}");
            struct delivery delivery = delivery_of(text.data);
            struct reading reading = read_on(&route, &delivery);
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
    struct route route = start_route();
    struct buf text = {0};
    buf_append_text(&text, "{" NEEDED ",\"ReplyTo\":\"");
    for (size_t i = 0; i < 65536; i++) {
        buf_append_char(&text, 'x');
    }
    buf_append_text(&text, "\"}");
    struct delivery delivery = delivery_of(text.data);
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
        {"{" NEEDED ",\"deep\":[{}]}", ERROR_UNKNOWN_PARAMETER, "\"deep\""},
        {"{}", ERROR_MISSING_PARAMETER, "RegionId"},
    };
    assert_faults(rows, sizeof rows / sizeof rows[0]);
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
    struct reading reading = read_text(text.data);
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
    struct route route = start_route();
    route.needs_client_token = true;
    struct delivery delivery = delivery_of("{" NEEDED "}");
    struct reading reading = read_on(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_MISSING_PARAMETER);
    assert_non_null(strstr(reading.refusal.message, "ClientToken is missing"));
    request_fini(&reading.request);
}

static void test_a_repeated_field_is_invalid_and_not_readable(void **state)
{
    (void)state;
    static const struct fault_row rows[] = {
        {"{" NEEDED ",\"OneShot\":false,\"OneShot\":false}", ERROR_INVALID_PARAMETER,
         "OneShot is there more than once"},
        {"{" NEEDED ",\"RegionId\":\"a\"}", ERROR_INVALID_PARAMETER, "RegionId is there more"},
        {"{" NEEDED ",\"RegionId\":null}", ERROR_INVALID_PARAMETER, "RegionId is there more"},
        {"{" NEEDED ",\"Action\":\"StartDiskReplicaGroup\",\"Action\":\"StartDiskReplicaGroup\"}",
         ERROR_INVALID_PARAMETER, "Action is there more"},
    };
    assert_faults(rows, sizeof rows / sizeof rows[0]);
    struct route route = start_route();
    route.default_region = "cn-default";
    route.default_group = "pg-default";
    route.has_default_one_shot = true;
    struct delivery delivery = delivery_of(
        "{" NEEDED "," NEEDED ",\"ClientToken\":\"a\",\"ClientToken\":\"a\",\"ReplyTo\":\"a\","
        "\"ReplyTo\":\"a\",\"CorrelationId\":\"a\",\"CorrelationId\":\"b\",\"OneShot\":true,"
        "\"OneShot\":true,\"NotAfter\":\"2026-01-02T03:04:05Z\",\"NotAfter\":\"2026-01-02T03:04:"
        "05Z\","
        "\"traceparent\":\"a\",\"traceparent\":\"b\",\"tracestate\":\"a\",\"tracestate\":\"b\"}");
    struct reading reading = read_on(&route, &delivery);
    assert_false(slice_is_present(reading.request.region));
    assert_false(slice_is_present(reading.request.group));
    assert_false(slice_is_present(reading.request.token));
    assert_false(slice_is_present(reading.request.reply_to));
    assert_false(slice_is_present(reading.request.correlation_id));
    assert_false(slice_is_present(reading.request.traceparent));
    assert_false(slice_is_present(reading.request.tracestate));
    assert_false(reading.request.has_body_trace);
    assert_false(reading.request.has_one_shot);
    assert_true(reading.request.not_after_ms == INT64_MAX);
    request_fini(&reading.request);
}

static void test_the_first_fault_in_the_text_is_told_and_missing_fields_last(void **state)
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
    struct reading reading =
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
    assert_true(reading.request.has_one_shot);
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
        struct reading reading = read_text(payload);
        assert_int_not_equal(reading.refusal.error, ERROR_NONE);
        assert_null(strstr(reading.refusal.message, "hunter2"));
        assert_non_null(strstr(reading.refusal.message, names[i]));
        request_fini(&reading.request);
    }
}

static void test_defaults_of_the_route_fill_what_is_not_there(void **state)
{
    (void)state;
    struct route route = start_route();
    route.default_region = "cn-default";
    route.default_group = "pg-default";
    route.has_default_one_shot = true;
    route.default_one_shot = true;
    struct delivery delivery = delivery_of("{}");
    struct reading reading = read_on(&route, &delivery);
    assert_int_equal(reading.status, STATUS_OK);
    assert_text(reading.request.region, "cn-default");
    assert_text(reading.request.group, "pg-default");
    assert_true(reading.request.one_shot);
    request_fini(&reading.request);

    delivery = delivery_of("{" NEEDED ",\"OneShot\":false}");
    reading = read_on(&route, &delivery);
    assert_text(reading.request.region, "cn-beijing");
    assert_text(reading.request.group, "pg-example");
    assert_false(reading.request.one_shot);
    request_fini(&reading.request);
}

static void test_a_default_does_not_cover_up_a_field_at_fault(void **state)
{
    (void)state;
    struct route route = start_route();
    route.default_region = "cn-default";
    route.default_group = "pg-default";
    route.has_default_one_shot = true;
    struct delivery delivery = delivery_of("{\"RegionId\":null,\"OneShot\":\"maybe\"}");
    struct reading reading = read_on(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_INVALID_PARAMETER);
    assert_false(slice_is_present(reading.request.region));
    assert_false(reading.request.has_one_shot);
    request_fini(&reading.request);
}

static void test_a_retained_message_is_refused_but_still_read(void **state)
{
    (void)state;
    struct route route = start_route();
    struct delivery delivery = delivery_of("{" NEEDED ",\"ClientToken\":\"t\",\"What\":1}");
    delivery.is_retained = true;
    struct reading reading = read_on(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_RETAINED);
    assert_text(reading.request.token, "t");
    request_fini(&reading.request);
    delivery.payload = slice_text("");
    delivery.payload_bytes = 0;
    reading = read_on(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_RETAINED);
    delivery.payload_bytes = 1 << 20;
    reading = read_on(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_RETAINED);
}

static void assert_nothing_readable(const struct request *request)
{
    assert_null(request->document);
    assert_false(slice_is_present(request->region));
    assert_false(slice_is_present(request->group));
    assert_false(slice_is_present(request->token));
    assert_false(slice_is_present(request->reply_to));
    assert_false(request->has_one_shot);
}

static void test_nothing_of_a_payload_too_large_or_malformed_is_readable(void **state)
{
    (void)state;
    struct route route = start_route();
    route.default_region = "cn-default";
    route.default_group = "pg-default";
    struct delivery delivery = delivery_of("{" NEEDED ",\"ClientToken\":\"t\"}");
    delivery.payload_bytes = delivery.payload.length + 1;
    struct reading reading = read_on(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_PAYLOAD_TOO_LARGE);
    assert_nothing_readable(&reading.request);
    delivery = delivery_of("{" NEEDED ",\"ClientToken\":\"t\"");
    reading = read_on(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_MALFORMED_PAYLOAD);
    assert_nothing_readable(&reading.request);
}

static void test_a_payload_of_the_limit_is_taken_and_one_byte_more_is_not(void **state)
{
    (void)state;
    struct route route = start_route();
    struct buf text = {0};
    buf_append_text(&text, "{" NEEDED "}");
    while (text.length < limits.payload_bytes) {
        buf_append_char(&text, ' ');
    }
    struct delivery delivery = delivery_of(text.data);
    struct reading reading = read_on(&route, &delivery);
    assert_int_equal(reading.status, STATUS_OK);
    request_fini(&reading.request);
    buf_append_char(&text, ' ');
    delivery = delivery_of(text.data);
    reading = read_on(&route, &delivery);
    assert_int_equal(reading.refusal.error, ERROR_PAYLOAD_TOO_LARGE);
    assert_non_null(strstr(reading.refusal.message, "16385 bytes"));
    assert_non_null(strstr(reading.refusal.message, "16384"));
    buf_fini(&text);
}

static void test_trace_user_properties_win_over_the_body_by_name(void **state)
{
    (void)state;
    struct route route = start_route();
    struct delivery delivery =
        delivery_of("{" NEEDED ",\"traceparent\":\"body-parent\",\"tracestate\":\"body-state\"}");
    delivery.traceparent = slice_text("user-parent");
    struct reading reading = read_on(&route, &delivery);
    assert_text(reading.request.traceparent, "user-parent");
    assert_text(reading.request.tracestate, "body-state");
    assert_true(reading.request.has_body_trace);
    request_fini(&reading.request);
    delivery.tracestate = slice_text("user-state");
    reading = read_on(&route, &delivery);
    assert_text(reading.request.tracestate, "user-state");
    assert_false(reading.request.has_body_trace);
    request_fini(&reading.request);
}

static void test_unusable_trace_user_properties_are_ignored(void **state)
{
    (void)state;
    struct route route = start_route();
    char *large = mem_alloc(513);
    memset(large, 'x', 513);
    struct delivery delivery = delivery_of("{" NEEDED ",\"traceparent\":\"body\"}");
    delivery.traceparent = slice_of(large, 513);
    delivery.tracestate = slice_text("a\nb");
    struct reading reading = read_on(&route, &delivery);
    assert_int_equal(reading.status, STATUS_OK);
    assert_text(reading.request.traceparent, "body");
    assert_false(slice_is_present(reading.request.tracestate));
    request_fini(&reading.request);
    delivery.traceparent.length = 512;
    reading = read_on(&route, &delivery);
    assert_int_equal(reading.request.traceparent.length, 512);
    request_fini(&reading.request);
    free(large);
}

static void test_what_a_route_does_not_list_is_not_authorised(void **state)
{
    (void)state;
    static const struct {
        const char *region;
        const char *group;
        enum status status;
    } rows[] = {
        {"cn-beijing", "pg-example", STATUS_OK},
        {"cn-beijing", "pg-other", STATUS_OK},
        {"cn-beijing", "pg-secret", STATUS_INVALID},
        {"cn-hangzhou", "pg-example", STATUS_INVALID},
    };
    struct route route = start_route();
    route.regions = (struct text_list){beijing, 1};
    route.groups = (struct text_list){examples, 2};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct request request = {.region = slice_text(rows[i].region),
                                  .group = slice_text(rows[i].group)};
        struct refusal refusal = {.error = ERROR_NONE};
        assert_int_equal(request_authorise(&route, &request, &refusal), rows[i].status);
        assert_int_equal(refusal.error,
                         rows[i].status == STATUS_OK ? ERROR_NONE : ERROR_NOT_ALLOWED);
        assert_null(strstr(refusal.message, "pg-secret"));
    }
}

static void token_of(const struct route *route, struct slice correlation_data, const char *payload,
                     char out[DIGEST_SHA256_HEX_BYTES])
{
    struct delivery delivery = delivery_of(payload);
    delivery.correlation_data = correlation_data;
    struct reading reading = read_on(route, &delivery);
    command_make_token(route, &delivery, &reading.request, out);
    assert_int_equal(strlen(out), 64);
    assert_int_equal(strspn(out, "0123456789abcdef"), 64);
    request_fini(&reading.request);
}

static void test_a_token_is_derived_from_everything_that_makes_the_command(void **state)
{
    (void)state;
    struct route route = start_route();
    struct route other = start_route();
    other.name = "other";
    char tokens[8][DIGEST_SHA256_HEX_BYTES];
    token_of(&route, slice_text("c"), "{" NEEDED "}", tokens[0]);
    token_of(&other, slice_text("c"), "{" NEEDED "}", tokens[1]);
    token_of(&route, slice_text("d"), "{" NEEDED "}", tokens[2]);
    token_of(&route, slice_text(""), "{" NEEDED "}", tokens[3]);
    token_of(&route, slice_text("c"), "{" NEEDED ",\"OneShot\":true}", tokens[4]);
    token_of(&route, slice_text("c"), "{\"RegionId\":\"a\",\"ReplicaGroupId\":\"bc\"}", tokens[5]);
    token_of(&route, slice_text("c"), "{\"RegionId\":\"ab\",\"ReplicaGroupId\":\"c\"}", tokens[6]);
    other = start_route();
    other.action = "StopDiskReplicaGroup";
    token_of(&other, slice_text("c"), "{" NEEDED "}", tokens[7]);
    for (int a = 0; a < 8; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(tokens[a], tokens[b]);
        }
    }
    char again[DIGEST_SHA256_HEX_BYTES];
    token_of(&route, slice_text("c"), "{" NEEDED ",\"CorrelationId\":\"x\",\"OneShot\":false}",
             again);
    assert_string_equal(again, tokens[0]);
    token_of(&route, slice_text(""), "{" NEEDED "}", again);
    assert_string_equal(again, tokens[3]);
}

static void test_without_correlation_data_tokens_are_random(void **state)
{
    (void)state;
    struct route route = start_route();
    char a[DIGEST_SHA256_HEX_BYTES];
    char b[DIGEST_SHA256_HEX_BYTES];
    token_of(&route, slice_text(NULL), "{" NEEDED ",\"CorrelationId\":\"x\"}", a);
    token_of(&route, slice_text(NULL), "{" NEEDED ",\"CorrelationId\":\"x\"}", b);
    assert_string_not_equal(a, b);
}

static void test_the_deadline_is_the_first_of_three(void **state)
{
    (void)state;
    static const struct {
        int64_t not_after_ms;
        int64_t expiry_s;
        int64_t deadline_s;
        int64_t deadline_at_ms;
    } rows[] = {
        {INT64_MAX, -1, 300, NOW_MS + 300000},
        {INT64_MAX, 60, 300, NOW_MS + 60000},
        {INT64_MAX, 0, 300, NOW_MS},
        {NOW_MS + 5, 60, 300, NOW_MS + 5},
        {NOW_MS - 5, 60, 300, NOW_MS - 5},
        {-1000, -1, 300, -1000},
        {INT64_MAX, UINT32_MAX, 300, NOW_MS + 300000},
        {INT64_MAX, -1, INT64_MAX, INT64_MAX},
        {INT64_MAX, 4294967295, INT64_MAX / 1000, NOW_MS + INT64_C(4294967295000)},
    };
    struct route route = start_route();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct delivery delivery = {.expiry_s = rows[i].expiry_s};
        struct command_limits own = {.deadline_s = rows[i].deadline_s};
        struct request request = {.region = slice_text("r"),
                                  .group = slice_text("g"),
                                  .has_one_shot = true,
                                  .not_after_ms = rows[i].not_after_ms};
        struct command *command =
            command_new(&route, &request, &delivery, slice_text("t"), &own, NOW_MS);
        assert_true(command->deadline_at_ms == rows[i].deadline_at_ms);
        assert_true(command->received_at_ms == NOW_MS);
        command_free(command);
    }
}

static void test_a_command_owns_what_it_was_made_of(void **state)
{
    (void)state;
    struct route route = start_route();
    struct delivery delivery = delivery_of("{" NEEDED ",\"ClientToken\":\"tok\",\"OneShot\":true}");
    struct reading reading = read_on(&route, &delivery);
    struct command *command =
        command_new(&route, &reading.request, &delivery, reading.request.token, &limits, NOW_MS);
    request_fini(&reading.request);
    assert_string_equal(command->action, "StartDiskReplicaGroup");
    assert_string_equal(command->region, "cn-beijing");
    assert_string_equal(command->group, "pg-example");
    assert_string_equal(command->token, "tok");
    assert_true(command->one_shot);
    assert_ptr_equal(command->route, &route);
    assert_int_equal(command->state, STATE_NONE);
    assert_int_equal(command->id, 0);
    assert_int_equal(command->attempts, 0);
    assert_int_equal(command->not_before_ms, 0);

    struct command *record =
        command_of_record(NULL, slice_text(command->action), slice_text(command->region),
                          slice_text(command->group), slice_text(command->token), true);
    assert_memory_equal(record->fingerprint, command->fingerprint, DIGEST_SHA256_BYTES);
    assert_string_equal(record->token, "tok");
    assert_null(record->route);
    command_free(record);
    command_free(command);
    command_free(NULL);
}

static void test_the_fingerprint_is_over_the_parameters_only(void **state)
{
    (void)state;
    static const struct {
        const char *action;
        const char *region;
        const char *group;
        bool one_shot;
    } rows[] = {
        {"A", "r", "g", false}, {"B", "r", "g", false}, {"A", "s", "g", false},
        {"A", "r", "h", false}, {"A", "r", "g", true},  {"Ar", "", "g", false},
        {"A", "rg", "", false},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    uint8_t prints[ROWS][DIGEST_SHA256_BYTES];
    for (size_t i = 0; i < ROWS; i++) {
        command_fingerprint(rows[i].action, slice_text(rows[i].region), slice_text(rows[i].group),
                            rows[i].one_shot, prints[i]);
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(prints[i], prints[k], DIGEST_SHA256_BYTES);
        }
    }
    struct command *a = command_of_record(NULL, slice_text("A"), slice_text("r"), slice_text("g"),
                                          slice_text("token-1"), false);
    assert_memory_equal(a->fingerprint, prints[0], DIGEST_SHA256_BYTES);
    command_free(a);
}

/* Ledgers hold fingerprints: a change of how they are made would turn every repeat into a mismatch.
 */
static void test_the_fingerprint_is_the_one_that_ledgers_hold(void **state)
{
    (void)state;
    uint8_t print[DIGEST_SHA256_BYTES];
    char hex[DIGEST_SHA256_HEX_BYTES];
    command_fingerprint("StartDiskReplicaGroup", slice_text("cn-beijing"), slice_text("pg-example"),
                        false, print);
    digest_hex(print, sizeof print, hex);
    assert_string_equal(hex, "0658f828cec14c4c08eca92310b8494173a90c45c33d0d0a4d93786edfb35498");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_command_is_read),
        cmocka_unit_test(test_a_bare_command_is_read),
        cmocka_unit_test(test_one_shot_takes_booleans_and_their_words_only),
        cmocka_unit_test(test_payloads_that_are_no_json_object_are_malformed),
        cmocka_unit_test(test_fields_of_the_wrong_type_are_named_with_the_type_found),
        cmocka_unit_test(test_values_that_break_their_rule_are_named_with_their_length),
        cmocka_unit_test(test_lengths_are_taken_up_to_the_limit_and_not_beyond),
        cmocka_unit_test(test_a_reply_topic_of_more_than_65535_bytes_is_invalid),
        cmocka_unit_test(test_unknown_fields_are_named),
        cmocka_unit_test(test_a_long_unknown_name_is_cut_between_characters),
        cmocka_unit_test(test_missing_fields_are_named),
        cmocka_unit_test(test_a_repeated_field_is_invalid_and_not_readable),
        cmocka_unit_test(test_the_first_fault_in_the_text_is_told_and_missing_fields_last),
        cmocka_unit_test(test_reading_goes_on_after_a_fault),
        cmocka_unit_test(test_messages_never_show_a_value),
        cmocka_unit_test(test_defaults_of_the_route_fill_what_is_not_there),
        cmocka_unit_test(test_a_default_does_not_cover_up_a_field_at_fault),
        cmocka_unit_test(test_a_retained_message_is_refused_but_still_read),
        cmocka_unit_test(test_nothing_of_a_payload_too_large_or_malformed_is_readable),
        cmocka_unit_test(test_a_payload_of_the_limit_is_taken_and_one_byte_more_is_not),
        cmocka_unit_test(test_trace_user_properties_win_over_the_body_by_name),
        cmocka_unit_test(test_unusable_trace_user_properties_are_ignored),
        cmocka_unit_test(test_what_a_route_does_not_list_is_not_authorised),
        cmocka_unit_test(test_a_token_is_derived_from_everything_that_makes_the_command),
        cmocka_unit_test(test_without_correlation_data_tokens_are_random),
        cmocka_unit_test(test_the_deadline_is_the_first_of_three),
        cmocka_unit_test(test_a_command_owns_what_it_was_made_of),
        cmocka_unit_test(test_the_fingerprint_is_over_the_parameters_only),
        cmocka_unit_test(test_the_fingerprint_is_the_one_that_ledgers_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
