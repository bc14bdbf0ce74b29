#include "model/reply.h"

#include "base/json.h"
#include "base/mem.h"
#include "model/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#define RECEIVED_MS INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */
#define NOW_MS      (RECEIVED_MS + 1000)

static const struct reply_settings settings = {.qos = 1, .expiry_s = 3600};

static const struct route start = {.name = "start", .action = "StartDiskReplicaGroup"};

static struct reply succeeded(void)
{
    return (struct reply){
        .status = "succeeded",
        .action = slice_text("StartDiskReplicaGroup"),
        .region = slice_text("cn-beijing"),
        .group = slice_text("pg-example"),
        .params = slice_text("{\"OneShot\":false}"),
        .token = slice_text("123e4567"),
        .request_id = slice_text("C123F94F"),
        .attempts = 1,
        .received_at_ms = RECEIVED_MS,
        .completed_at_ms = RECEIVED_MS + 333,
    };
}

/* The bytes must outlive the message. */
static struct message message_in(const struct buf *bytes)
{
    struct message message;
    assert_int_equal(message_decode(buf_slice(bytes), &message), STATUS_OK);
    return message;
}

static void assert_body(const struct message *message, const char *expected)
{
    char *body = mem_dup(message->body.data, message->body.length);
    assert_string_equal(body, expected);
    free(body);
}

static void assert_properties(const struct message *message, const char *const (*expected)[2],
                              size_t count)
{
    assert_int_equal(message->property_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(slice_equals_text(message->properties[i].name, expected[i][0]));
        assert_true(slice_equals_text(message->properties[i].value, expected[i][1]));
    }
}

static void test_the_reply_of_a_success_is_that_of_the_contract(void **state)
{
    (void)state;
    struct reply reply = succeeded();
    struct reply_to reply_to = {.topic = "replies/t"};
    struct buf bytes = {0};
    reply_render(&reply, &reply_to, NOW_MS, &settings, &bytes);
    struct message message = message_in(&bytes);
    assert_body(&message,
                "{\"Status\":\"succeeded\",\"Action\":\"StartDiskReplicaGroup\","
                "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-example\",\"OneShot\":false,"
                "\"ClientToken\":\"123e4567\",\"RequestId\":\"C123F94F\",\"Replayed\":false,"
                "\"Attempts\":1,\"ReceivedAt\":\"2026-01-02T03:04:05.123Z\","
                "\"CompletedAt\":\"2026-01-02T03:04:05.456Z\"}");
    static const char *const properties[][2] = {{"status", "succeeded"}, {"replayed", "false"}};
    assert_properties(&message, properties, 2);
    assert_true(slice_equals_text(message.topic, "replies/t"));
    assert_int_equal(message.qos, 1);
    assert_true(message.is_json);
    assert_false(message.is_retained);
    assert_int_equal(message.expiry_s, 3600);
    assert_false(slice_is_present(message.correlation_data));
    buf_fini(&bytes);
}

static void test_a_failure_carries_its_error_and_all_the_sender_gave(void **state)
{
    (void)state;
    struct reply reply = succeeded();
    reply.status = "failed";
    reply.params = slice_text("{\"OneShot\":true}");
    reply.is_replayed = true;
    reply.attempts = 3;
    reply.error = slice_text("{\"Code\":\"X\"}");
    reply.code = slice_text("X");
    struct reply_to reply_to = {.topic = "replies/t",
                                .correlation_data = "\0\1",
                                .correlation_data_bytes = 2,
                                .correlation_id = "c\"1",
                                .traceparent = "tp",
                                .tracestate = "ts",
                                .has_body_trace = true};
    struct buf bytes = {0};
    reply_render(&reply, &reply_to, NOW_MS, &settings, &bytes);
    struct message message = message_in(&bytes);
    assert_body(&message,
                "{\"Status\":\"failed\",\"Action\":\"StartDiskReplicaGroup\","
                "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-example\",\"OneShot\":true,"
                "\"ClientToken\":\"123e4567\",\"RequestId\":\"C123F94F\",\"Replayed\":true,"
                "\"Attempts\":3,\"ReceivedAt\":\"2026-01-02T03:04:05.123Z\","
                "\"CompletedAt\":\"2026-01-02T03:04:05.456Z\",\"CorrelationId\":\"c\\\"1\","
                "\"traceparent\":\"tp\",\"tracestate\":\"ts\",\"Error\":{\"Code\":\"X\"}}");
    static const char *const properties[][2] = {{"status", "failed"},
                                                {"code", "X"},
                                                {"replayed", "true"},
                                                {"traceparent", "tp"},
                                                {"tracestate", "ts"}};
    assert_properties(&message, properties, 5);
    assert_true(slice_equals(message.correlation_data, slice_of("\0\1", 2)));
    buf_fini(&bytes);
}

static void test_a_trace_from_user_properties_goes_back_there_only(void **state)
{
    (void)state;
    struct reply reply = succeeded();
    struct reply_to reply_to = {.topic = "t", .traceparent = "tp"};
    struct buf bytes = {0};
    reply_render(&reply, &reply_to, NOW_MS, &settings, &bytes);
    struct message message = message_in(&bytes);
    struct json_fault fault;
    struct json *body = json_parse(message.body, 4, &fault);
    assert_non_null(body);
    assert_null(json_member(body, "traceparent"));
    assert_int_equal(message.property_count, 3);
    assert_true(slice_equals_text(message.properties[2].name, "traceparent"));
    json_free(body);
    buf_fini(&bytes);
}

static void test_an_accepted_command_is_not_complete(void **state)
{
    (void)state;
    struct reply reply = succeeded();
    reply.status = "accepted";
    reply.request_id = slice_text(NULL);
    reply.attempts = 0;
    reply.completed_at_ms = 0;
    struct reply_to reply_to = {.topic = "t"};
    struct buf bytes = {0};
    reply_render(&reply, &reply_to, NOW_MS, &settings, &bytes);
    struct message message = message_in(&bytes);
    struct json_fault fault;
    struct json *body = json_parse(message.body, 4, &fault);
    assert_true(slice_equals_text(json_text(json_member(body, "Status")), "accepted"));
    assert_null(json_member(body, "CompletedAt"));
    assert_null(json_member(body, "RequestId"));
    assert_null(json_member(body, "Error"));
    json_free(body);
    buf_fini(&bytes);
}

static void test_a_code_that_is_no_mqtt_string_stays_out_of_the_properties(void **state)
{
    (void)state;
    struct reply reply = succeeded();
    reply.code = slice_text("a\nb");
    struct reply_to reply_to = {.topic = "t"};
    struct buf bytes = {0};
    reply_render(&reply, &reply_to, NOW_MS, &settings, &bytes);
    struct message message = message_in(&bytes);
    static const char *const properties[][2] = {{"status", "succeeded"}, {"replayed", "false"}};
    assert_properties(&message, properties, 2);
    buf_fini(&bytes);
}

static void test_rendering_is_repeatable_and_appends(void **state)
{
    (void)state;
    struct reply reply = succeeded();
    struct reply_to reply_to = {.topic = "t"};
    struct buf bytes = {0};
    reply_render(&reply, &reply_to, NOW_MS, &settings, &bytes);
    size_t length = bytes.length;
    reply_render(&reply, &reply_to, NOW_MS, &settings, &bytes);
    assert_int_equal(bytes.length, 2 * length);
    assert_memory_equal(bytes.data, bytes.data + length, length);
    buf_fini(&bytes);
}

static void test_a_refusal_has_what_is_known_of_the_request(void **state)
{
    (void)state;
    struct refusal refusal = {.error = ERROR_INVALID_PARAMETER,
                              .message = "RegionId must be right."};
    struct request request = {.group = slice_text("pg-1")};
    struct reply_to reply_to = {.topic = "t", .correlation_id = "c"};
    struct buf bytes = {0};
    reply_render_refusal(&refusal, &start, &request, slice_text("tok"), &reply_to, RECEIVED_MS,
                         &settings, &bytes);
    struct message message = message_in(&bytes);
    assert_body(&message, "{\"Status\":\"failed\",\"Action\":\"StartDiskReplicaGroup\","
                          "\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"tok\",\"Replayed\":false,"
                          "\"Attempts\":0,\"ReceivedAt\":\"2026-01-02T03:04:05.123Z\","
                          "\"CompletedAt\":\"2026-01-02T03:04:05.123Z\",\"CorrelationId\":\"c\","
                          "\"Error\":{\"Code\":\"Bridge.InvalidParameter\","
                          "\"Message\":\"RegionId must be right.\",\"Source\":\"bridge\","
                          "\"Category\":\"invalid\",\"Retryable\":false,"
                          "\"Hint\":\"Correct the named field and send the command again.\"}}");
    static const char *const properties[][2] = {
        {"status", "failed"}, {"code", "Bridge.InvalidParameter"}, {"replayed", "false"}};
    assert_properties(&message, properties, 3);
    buf_fini(&bytes);
}

static void test_a_dead_letter_holds_what_arrived(void **state)
{
    (void)state;
    struct refusal refusal = {.error = ERROR_MALFORMED_PAYLOAD,
                              .message = "The payload is not a JSON object."};
    struct delivery delivery = {.topic = slice_text("commands/start"),
                                .payload = slice_text("{oops"),
                                .payload_bytes = 5,
                                .correlation_data = slice_text("c")};
    struct buf bytes = {0};
    reply_render_dead_letter(&refusal, &start, &delivery, "dead", RECEIVED_MS, 1, &bytes);
    struct message message = message_in(&bytes);
    assert_body(&message,
                "{\"Error\":{\"Code\":\"Bridge.MalformedPayload\","
                "\"Message\":\"The payload is not a JSON object.\",\"Source\":\"bridge\","
                "\"Category\":\"invalid\",\"Retryable\":false,"
                "\"Hint\":\"Send one JSON object in UTF-8 and nothing after it.\"},"
                "\"Route\":\"start\",\"Topic\":\"commands/start\",\"Payload\":\"e29vcHM=\","
                "\"PayloadBytes\":5,\"ReceivedAt\":\"2026-01-02T03:04:05.123Z\"}");
    static const char *const properties[][2] = {{"status", "failed"},
                                                {"code", "Bridge.MalformedPayload"}};
    assert_properties(&message, properties, 2);
    assert_true(slice_equals_text(message.topic, "dead"));
    assert_int_equal(message.expiry_s, -1);
    assert_int_equal(message.qos, 1);
    assert_true(message.is_json);
    assert_false(message.is_retained);
    buf_fini(&bytes);
}

static void test_a_dead_letter_about_a_reply_holds_the_reply(void **state)
{
    (void)state;
    const struct message reply = {.topic = slice_text("replies/t"),
                                  .body = slice_text("{oops"),
                                  .qos = 1,
                                  .made_at_ms = RECEIVED_MS};
    struct buf bytes = {0};
    reply_render_undelivered(&reply, "It was refused.", "dead", NOW_MS, 1, &bytes);
    struct message message = message_in(&bytes);
    assert_body(&message,
                "{\"Error\":{\"Code\":\"Bridge.ReplyUndelivered\","
                "\"Message\":\"It was refused.\",\"Source\":\"bridge\","
                "\"Category\":\"unavailable\",\"Retryable\":true,"
                "\"Hint\":\"Allow the bridge to publish to the topic of the reply. The command has "
                "its outcome: the same command with the same ClientToken gets it.\"},"
                "\"Topic\":\"replies/t\",\"Payload\":\"e29vcHM=\","
                "\"PayloadBytes\":5,\"ReceivedAt\":\"2026-01-02T03:04:05.123Z\"}");
    static const char *const properties[][2] = {{"code", "Bridge.ReplyUndelivered"}};
    assert_properties(&message, properties, 1);
    assert_true(message.is_dead_letter);
    assert_true(message.made_at_ms == NOW_MS);
    buf_fini(&bytes);
}

static void test_a_dead_letter_has_4_kib_of_the_payload_and_its_size(void **state)
{
    (void)state;
    struct refusal refusal = {.error = ERROR_PAYLOAD_TOO_LARGE, .message = "too large"};
    char *payload = mem_zalloc(1, 5000);
    struct delivery delivery = {.topic = slice_of("a\xff/\n", 4),
                                .payload = slice_of(payload, 5000),
                                .payload_bytes = 70000};
    struct buf bytes = {0};
    reply_render_dead_letter(&refusal, NULL, &delivery, "dead", RECEIVED_MS, 0, &bytes);
    struct message message = message_in(&bytes);
    struct json_fault fault;
    struct json *body = json_parse(message.body, 4, &fault);
    assert_non_null(body);
    assert_int_equal(json_text(json_member(body, "Payload")).length, (4096 + 2) / 3 * 4);
    assert_true(json_number(json_member(body, "PayloadBytes")) == 70000);
    assert_true(slice_equals_text(json_text(json_member(body, "Topic")), "a\xef\xbf\xbd/\n"));
    assert_null(json_member(body, "Route"));
    json_free(body);
    buf_fini(&bytes);
    free(payload);
}

static void test_a_dead_letter_of_an_empty_payload_has_an_empty_one(void **state)
{
    (void)state;
    struct refusal refusal = {.error = ERROR_RETAINED, .message = "retained"};
    struct delivery delivery = {.topic = slice_text("t")};
    struct buf bytes = {0};
    reply_render_dead_letter(&refusal, &start, &delivery, "dead", RECEIVED_MS, 1, &bytes);
    struct message message = message_in(&bytes);
    struct json_fault fault;
    struct json *body = json_parse(message.body, 4, &fault);
    assert_true(slice_equals_text(json_text(json_member(body, "Payload")), ""));
    json_free(body);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reply_of_a_success_is_that_of_the_contract),
        cmocka_unit_test(test_a_failure_carries_its_error_and_all_the_sender_gave),
        cmocka_unit_test(test_a_trace_from_user_properties_goes_back_there_only),
        cmocka_unit_test(test_an_accepted_command_is_not_complete),
        cmocka_unit_test(test_a_code_that_is_no_mqtt_string_stays_out_of_the_properties),
        cmocka_unit_test(test_rendering_is_repeatable_and_appends),
        cmocka_unit_test(test_a_refusal_has_what_is_known_of_the_request),
        cmocka_unit_test(test_a_dead_letter_holds_what_arrived),
        cmocka_unit_test(test_a_dead_letter_about_a_reply_holds_the_reply),
        cmocka_unit_test(test_a_dead_letter_has_4_kib_of_the_payload_and_its_size),
        cmocka_unit_test(test_a_dead_letter_of_an_empty_payload_has_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
