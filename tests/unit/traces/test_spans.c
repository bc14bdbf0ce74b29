/* What a collector gets of one reply: its ids, parents, times and attributes. */
#include "base/json.h"
#include "model/message.h"
#include "traces/spans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN   "00f067aa0ba902b7"
#define PARENT "00-" TRACE "-" SPAN "-01"

#define ARRIVED_MS 1000000
#define ID         7

static struct {
    struct stored_times stored;
    struct ledger_record record;
    struct spans_reply reply;
    struct buf message;
    struct json *document;
    const struct json *spans;
    size_t count;
} fixture;

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.record.token = slice_text("t-1");
    fixture.reply = (struct spans_reply){.instance = "i-1",
                                         .id = ID,
                                         .acknowledged_at_ms = ARRIVED_MS + 90,
                                         .record = &fixture.record,
                                         .stored = &fixture.stored};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_free(fixture.document);
    buf_fini(&fixture.message);
    return 0;
}

/* Makes the reply's message; each text may be NULL. */
static void set_message(const char *status, const char *body_extra, const char *traceparent,
                        const char *tracestate)
{
    struct buf body = {0};
    struct message message = {.topic = slice_text("replies/t-1"),
                              .qos = 1,
                              .expiry_s = -1,
                              .made_at_ms = ARRIVED_MS + 80};
    buf_printf(&body,
               "{\"Status\":\"%s\",\"Action\":\"StartDiskReplicaGroup\",\"RegionId\":\"cn-a\","
               "\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"t-1\"%s}",
               status, body_extra == NULL ? "" : body_extra);
    message.body = buf_slice(&body);
    message_add_property(&message, "status", slice_text(status));
    message_add_property(&message, "traceparent", slice_text(traceparent));
    message_add_property(&message, "tracestate", slice_text(tracestate));
    buf_clear(&fixture.message);
    message_encode(&message, &fixture.message);
    fixture.reply.message = buf_slice(&fixture.message);
    buf_fini(&body);
}

static void set_events(const struct ledger_event *events, size_t count)
{
    fixture.record.events = events;
    fixture.record.event_count = count;
}

/* Makes the spans and parses the whole request. */
static void make(void)
{
    struct buf spans = {0};
    struct buf request = {0};
    struct json_fault fault;
    fixture.count = spans_put(&fixture.reply, &spans);
    spans_put_request("i-1", buf_slice(&spans), &request);
    json_free(fixture.document);
    fixture.document = json_parse(buf_slice(&request), 32, &fault);
    assert_non_null(fixture.document);
    const struct json *resource = json_first(json_member(fixture.document, "resourceSpans"));
    fixture.spans = json_member(json_first(json_member(resource, "scopeSpans")), "spans");
    buf_fini(&spans);
    buf_fini(&request);
}

/* The n-th span, from 0, which must have this name. */
static const struct json *span_at(size_t index, const char *name)
{
    const struct json *span = json_first(fixture.spans);
    for (size_t i = 0; i < index && span != NULL; i++) {
        span = json_next(span);
    }
    assert_non_null(span);
    assert_true(slice_equals_text(json_text(json_member(span, "name")), name));
    return span;
}

static void assert_member(const struct json *span, const char *name, const char *value)
{
    struct slice text = json_text(json_member(span, name));
    assert_int_equal(text.length, strlen(value));
    assert_memory_equal(text.data, value, text.length);
}

static void assert_times(const struct json *span, int64_t start_ms, int64_t end_ms)
{
    char text[32];
    snprintf(text, sizeof text, "%lld000000", (long long)(ARRIVED_MS + start_ms));
    assert_member(span, "startTimeUnixNano", text);
    snprintf(text, sizeof text, "%lld000000", (long long)(ARRIVED_MS + end_ms));
    assert_member(span, "endTimeUnixNano", text);
}

/* NULL: the span does not have it. */
static void assert_attribute(const struct json *span, const char *key, const char *value)
{
    const struct json *item = json_first(json_member(span, "attributes"));
    while (item != NULL && !slice_equals_text(json_text(json_member(item, "key")), key)) {
        item = json_next(item);
    }
    if (value == NULL) {
        assert_null(item);
        return;
    }
    const struct json *held = json_first(json_member(item, "value"));
    assert_non_null(held);
    assert_true(slice_equals_text(json_text(held), value));
}

static void assert_error(const struct json *span, const char *text)
{
    const struct json *status = json_member(span, "status");
    assert_true(json_number(json_member(status, "code")) == 2);
    assert_member(status, "message", text);
}

static void assert_same_member(const struct json *a, const char *a_name, const struct json *b,
                               const char *b_name)
{
    struct slice text = json_text(json_member(a, a_name));
    assert_true(slice_is_present(text));
    assert_true(slice_equals(text, json_text(json_member(b, b_name))));
}

/* A command with two attempts; the first call was made at once. */
static const struct ledger_event two_attempts[] = {
    {.kind = LEDGER_EVENT_ARRIVED, .at_ms = ARRIVED_MS, .result = "claimed"},
    {.kind = LEDGER_EVENT_ATTEMPT_STARTED, .at_ms = ARRIVED_MS, .attempt = 1},
    {.kind = LEDGER_EVENT_ATTEMPT_ENDED,
     .at_ms = ARRIVED_MS + 20,
     .result = "failed",
     .attempt = 1,
     .code = {"Throttling.User", 15},
     .request_id = {"R-1", 3}},
    {.kind = LEDGER_EVENT_ATTEMPT_STARTED, .at_ms = ARRIVED_MS + 50, .attempt = 2},
    {.kind = LEDGER_EVENT_ATTEMPT_ENDED,
     .at_ms = ARRIVED_MS + 70,
     .result = "succeeded",
     .attempt = 2,
     .request_id = {"R-2", 3}},
    {.kind = LEDGER_EVENT_OUTCOME,
     .at_ms = ARRIVED_MS + 70,
     .result = "succeeded",
     .reply_id = ID,
     .count = 1},
};
#define EVENTS(array) (array), sizeof(array) / sizeof(array)[0]

static void test_a_command_has_a_span_for_each_step_with_its_times(void **state)
{
    (void)state;
    set_message("succeeded", NULL, PARENT, NULL);
    set_events(EVENTS(two_attempts));
    stored_times_set(&fixture.stored, slice_text("t-1"), ARRIVED_MS, ARRIVED_MS + 5);
    make();
    assert_int_equal(fixture.count, 5);
    assert_times(span_at(0, "receive"), 0, 90);
    assert_times(span_at(1, "claim"), 0, 5);
    assert_times(span_at(2, "call"), 5, 20);
    assert_times(span_at(3, "call"), 50, 70);
    assert_times(span_at(4, "publish"), 80, 90);
}

static void test_the_spans_are_children_of_receive_and_that_of_the_senders_span(void **state)
{
    (void)state;
    set_message("succeeded", NULL, PARENT, "vendor=1");
    set_events(EVENTS(two_attempts));
    make();
    const struct json *root = span_at(0, "receive");
    assert_member(root, "traceId", TRACE);
    assert_member(root, "parentSpanId", SPAN);
    assert_member(root, "traceState", "vendor=1");
    for (const struct json *span = json_next(root); span != NULL; span = json_next(span)) {
        assert_member(span, "traceId", TRACE);
        assert_same_member(span, "parentSpanId", root, "spanId");
        for (const struct json *other = root; other != span; other = json_next(other)) {
            assert_false(slice_equals(json_text(json_member(other, "spanId")),
                                      json_text(json_member(span, "spanId"))));
        }
    }
}

static void test_a_parent_in_the_body_is_the_parent_too(void **state)
{
    (void)state;
    set_message("succeeded", ",\"traceparent\":\"" PARENT "\",\"tracestate\":\"b=2\"", NULL, NULL);
    set_events(EVENTS(two_attempts));
    make();
    assert_member(span_at(0, "receive"), "parentSpanId", SPAN);
    assert_member(span_at(0, "receive"), "traceState", "b=2");
}

static void test_without_a_valid_parent_the_trace_has_an_id_of_its_own(void **state)
{
    static const char *const parents[] = {NULL, "00-ab-cd-01"};
    (void)state;
    for (size_t i = 0; i < sizeof parents / sizeof parents[0]; i++) {
        set_message("succeeded", NULL, parents[i], "vendor=1");
        set_events(EVENTS(two_attempts));
        make();
        const struct json *root = span_at(0, "receive");
        assert_null(json_member(root, "parentSpanId"));
        assert_null(json_member(root, "traceState"));
        assert_int_equal(json_text(json_member(root, "traceId")).length, 32);
        assert_int_equal(json_text(json_member(root, "spanId")).length, 16);
        assert_same_member(span_at(1, "claim"), "traceId", root, "traceId");
    }
}

static void test_the_same_reply_has_the_same_ids_again_and_another_one_has_others(void **state)
{
    char first[33] = "";
    char again[33] = "";
    char other[33] = "";
    (void)state;
    set_message("succeeded", NULL, NULL, NULL);
    set_events(EVENTS(two_attempts));
    make();
    memcpy(first, json_text(json_member(span_at(0, "receive"), "traceId")).data, 32);
    make();
    memcpy(again, json_text(json_member(span_at(0, "receive"), "traceId")).data, 32);
    fixture.reply.id = ID + 1;
    make();
    memcpy(other, json_text(json_member(span_at(0, "receive"), "traceId")).data, 32);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
}

static void test_a_sender_that_does_not_sample_gets_no_trace(void **state)
{
    (void)state;
    set_message("succeeded", NULL, "00-" TRACE "-" SPAN "-00", NULL);
    set_events(EVENTS(two_attempts));
    make();
    assert_int_equal(fixture.count, 0);
    assert_null(json_first(fixture.spans));
}

static void test_spans_say_what_the_command_was_and_how_it_went(void **state)
{
    (void)state;
    set_message("succeeded", ",\"RequestId\":\"R-2\"", NULL, NULL);
    set_events(EVENTS(two_attempts));
    make();
    const struct json *root = span_at(0, "receive");
    assert_true(json_number(json_member(root, "kind")) == 5);
    assert_null(json_member(root, "status"));
    assert_attribute(root, "ecs_bridge.token", "t-1");
    assert_attribute(root, "ecs_bridge.action", "StartDiskReplicaGroup");
    assert_attribute(root, "ecs_bridge.group", "pg-1");
    assert_attribute(root, "cloud.region", "cn-a");
    assert_attribute(root, "ecs_bridge.status", "succeeded");
    assert_attribute(root, "ecs_bridge.request_id", "R-2");
    assert_attribute(root, "ecs_bridge.code", NULL);
    assert_attribute(span_at(1, "claim"), "ecs_bridge.claim", "claimed");
    assert_error(span_at(2, "call"), "Throttling.User");
    assert_attribute(span_at(2, "call"), "ecs_bridge.attempt", "1");
    assert_attribute(span_at(2, "call"), "ecs_bridge.result", "failed");
    assert_attribute(span_at(2, "call"), "ecs_bridge.request_id", "R-1");
    assert_null(json_member(span_at(3, "call"), "status"));
    assert_attribute(span_at(3, "call"), "ecs_bridge.attempt", "2");
    assert_attribute(span_at(4, "publish"), "messaging.destination.name", "replies/t-1");
}

static void test_a_failed_command_is_an_error_with_its_code(void **state)
{
    (void)state;
    set_message("failed", ",\"Error\":{\"Code\":\"Forbidden\"}", NULL, NULL);
    set_events(EVENTS(two_attempts));
    make();
    assert_error(span_at(0, "receive"), "Forbidden");
    assert_attribute(span_at(0, "receive"), "ecs_bridge.code", "Forbidden");
}

static void test_duplicates_that_waited_have_their_own_arrival_and_no_calls(void **state)
{
    static const struct ledger_event events[] = {
        {.kind = LEDGER_EVENT_ARRIVED, .at_ms = ARRIVED_MS, .result = "claimed"},
        {.kind = LEDGER_EVENT_ATTEMPT_STARTED, .at_ms = ARRIVED_MS, .attempt = 1},
        {.kind = LEDGER_EVENT_ARRIVED, .at_ms = ARRIVED_MS + 10, .result = "waits"},
        {.kind = LEDGER_EVENT_ARRIVED, .at_ms = ARRIVED_MS + 30, .result = "waits"},
        {.kind = LEDGER_EVENT_ATTEMPT_ENDED,
         .at_ms = ARRIVED_MS + 70,
         .result = "succeeded",
         .attempt = 1},
        {.kind = LEDGER_EVENT_OUTCOME,
         .at_ms = ARRIVED_MS + 70,
         .result = "succeeded",
         .reply_id = ID - 2,
         .count = 3},
    };
    (void)state;
    set_message("succeeded", ",\"Replayed\":true", NULL, NULL);
    set_events(EVENTS(events));
    make();
    assert_int_equal(fixture.count, 3);
    assert_times(span_at(0, "receive"), 30, 90);
    assert_attribute(span_at(1, "claim"), "ecs_bridge.claim", "waits");
    span_at(2, "publish");
    fixture.reply.id = ID - 2; /* the sender of the command */
    make();
    assert_int_equal(fixture.count, 4);
    assert_times(span_at(0, "receive"), 0, 90);
}

static void test_a_replayed_outcome_is_found_by_its_arrival(void **state)
{
    static const struct ledger_event events[] = {
        {.kind = LEDGER_EVENT_ARRIVED, .at_ms = ARRIVED_MS - 9000, .result = "claimed"},
        {.kind = LEDGER_EVENT_ATTEMPT_STARTED, .at_ms = ARRIVED_MS - 9000, .attempt = 1},
        {.kind = LEDGER_EVENT_OUTCOME,
         .at_ms = ARRIVED_MS - 8000,
         .result = "succeeded",
         .reply_id = 1,
         .count = 1},
        {.kind = LEDGER_EVENT_ARRIVED,
         .at_ms = ARRIVED_MS + 60,
         .result = "replayed",
         .reply_id = ID},
    };
    (void)state;
    set_message("succeeded", NULL, NULL, NULL);
    set_events(EVENTS(events));
    make();
    assert_int_equal(fixture.count, 3);
    assert_times(span_at(0, "receive"), 60, 90);
    assert_attribute(span_at(1, "claim"), "ecs_bridge.claim", "replayed");
}

static void test_the_early_reply_is_in_the_trace_of_the_last_one(void **state)
{
    static const struct ledger_event events[] = {
        {.kind = LEDGER_EVENT_ARRIVED, .at_ms = ARRIVED_MS, .result = "claimed", .reply_id = 3},
        {.kind = LEDGER_EVENT_ATTEMPT_STARTED, .at_ms = ARRIVED_MS + 10, .attempt = 1},
        {.kind = LEDGER_EVENT_REPLY_ACKNOWLEDGED, .at_ms = ARRIVED_MS + 40, .reply_id = 3},
        {.kind = LEDGER_EVENT_OUTCOME,
         .at_ms = ARRIVED_MS + 70,
         .result = "succeeded",
         .reply_id = ID,
         .count = 1},
    };
    (void)state;
    set_message("accepted", NULL, NULL, NULL);
    set_events(EVENTS(events));
    fixture.reply.id = 3;
    make();
    assert_int_equal(fixture.count, 0);
    set_message("succeeded", NULL, NULL, NULL);
    fixture.reply.id = ID;
    make();
    assert_int_equal(fixture.count, 5);
    assert_attribute(span_at(2, "publish"), "ecs_bridge.status", "accepted");
    assert_times(span_at(2, "publish"), 0, 40);
    span_at(3, "call");
    assert_times(span_at(4, "publish"), 80, 90);
}

static void test_an_interrupted_attempt_ends_at_the_interruption(void **state)
{
    static const struct ledger_event events[] = {
        {.kind = LEDGER_EVENT_ARRIVED, .at_ms = ARRIVED_MS, .result = "claimed"},
        {.kind = LEDGER_EVENT_ATTEMPT_STARTED, .at_ms = ARRIVED_MS + 10, .attempt = 1},
        {.kind = LEDGER_EVENT_INTERRUPTED, .at_ms = ARRIVED_MS + 20, .result = "crash"},
        {.kind = LEDGER_EVENT_OUTCOME,
         .at_ms = ARRIVED_MS + 70,
         .result = "unknown",
         .reply_id = ID,
         .count = 1},
    };
    (void)state;
    set_message("unknown", NULL, NULL, NULL);
    set_events(EVENTS(events));
    make();
    assert_int_equal(fixture.count, 4);
    assert_times(span_at(2, "call"), 10, 20);
    assert_attribute(span_at(2, "call"), "ecs_bridge.result", "interrupted");
}

static void test_a_reply_after_an_order_has_the_calls_since_then(void **state)
{
    static const struct ledger_event events[] = {
        {.kind = LEDGER_EVENT_ARRIVED, .at_ms = ARRIVED_MS, .result = "claimed"},
        {.kind = LEDGER_EVENT_ATTEMPT_STARTED, .at_ms = ARRIVED_MS + 10, .attempt = 1},
        {.kind = LEDGER_EVENT_OUTCOME,
         .at_ms = ARRIVED_MS + 20,
         .result = "unknown",
         .reply_id = 1,
         .count = 1},
        {.kind = LEDGER_EVENT_ORDERED, .at_ms = ARRIVED_MS + 40, .result = "retry"},
        {.kind = LEDGER_EVENT_ATTEMPT_STARTED, .at_ms = ARRIVED_MS + 50, .attempt = 2},
        {.kind = LEDGER_EVENT_OUTCOME,
         .at_ms = ARRIVED_MS + 70,
         .result = "succeeded",
         .reply_id = ID,
         .count = 1},
    };
    (void)state;
    set_message("succeeded", NULL, NULL, NULL);
    set_events(EVENTS(events));
    make();
    assert_int_equal(fixture.count, 4);
    assert_times(span_at(2, "call"), 50, 70);
}

static void test_a_refusal_without_a_record_has_the_times_of_its_message(void **state)
{
    (void)state;
    set_message("failed", ",\"Error\":{\"Code\":\"Bridge.InvalidParameter\"}", PARENT, NULL);
    fixture.reply.record = NULL;
    make();
    assert_int_equal(fixture.count, 3);
    assert_times(span_at(0, "receive"), 80, 90);
    assert_error(span_at(0, "receive"), "Bridge.InvalidParameter");
    assert_times(span_at(2, "publish"), 80, 90);
}

static void test_a_clock_that_was_set_back_makes_no_negative_span(void **state)
{
    (void)state;
    set_message("succeeded", NULL, NULL, NULL);
    set_events(EVENTS(two_attempts));
    fixture.reply.acknowledged_at_ms = ARRIVED_MS - 1000;
    make();
    assert_times(span_at(0, "receive"), 0, 0);
    assert_times(span_at(4, "publish"), 80, 80);
}

static void test_other_messages_have_no_trace(void **state)
{
    struct message letter = {.topic = slice_text("dead"),
                             .body = slice_text("{\"Status\":\"failed\"}"),
                             .expiry_s = -1,
                             .made_at_ms = 1,
                             .is_dead_letter = true};
    struct message other = {
        .topic = slice_text("x"), .body = slice_text("no JSON"), .expiry_s = -1};
    (void)state;
    fixture.reply.message = slice_text("no message");
    make();
    assert_int_equal(fixture.count, 0);
    message_encode(&letter, &fixture.message);
    fixture.reply.message = buf_slice(&fixture.message);
    make();
    assert_int_equal(fixture.count, 0);
    buf_clear(&fixture.message);
    message_encode(&other, &fixture.message);
    fixture.reply.message = buf_slice(&fixture.message);
    make();
    assert_int_equal(fixture.count, 0);
}

static void test_the_token_of_a_reply_is_read(void **state)
{
    struct buf token = {0};
    (void)state;
    set_message("succeeded", NULL, NULL, NULL);
    spans_token(fixture.reply.message, &token);
    assert_string_equal(token.data, "t-1");
    buf_clear(&token);
    spans_token(slice_text("no message"), &token);
    assert_int_equal(token.length, 0);
    buf_fini(&token);
}

static void test_a_request_names_the_service(void **state)
{
    (void)state;
    set_message("succeeded", NULL, NULL, NULL);
    make();
    const struct json *resource =
        json_member(json_first(json_member(fixture.document, "resourceSpans")), "resource");
    assert_attribute(resource, "service.name", "ecs-mqtt-bridge");
    assert_attribute(resource, "service.instance.id", "i-1");
    assert_attribute(resource, "service.version", BRIDGE_VERSION);
}

static void test_stored_times_are_those_of_their_message(void **state)
{
    (void)state;
    stored_times_set(&fixture.stored, slice_text("t-1"), 100, 105);
    assert_int_equal(stored_times_get(&fixture.stored, slice_text("t-1"), 100), 105);
    assert_int_equal(stored_times_get(&fixture.stored, slice_text("t-1"), 101), 0);
    assert_int_equal(stored_times_get(&fixture.stored, slice_text("t-2"), 100), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_command_has_a_span_for_each_step_with_its_times),
        TEST(test_the_spans_are_children_of_receive_and_that_of_the_senders_span),
        TEST(test_a_parent_in_the_body_is_the_parent_too),
        TEST(test_without_a_valid_parent_the_trace_has_an_id_of_its_own),
        TEST(test_the_same_reply_has_the_same_ids_again_and_another_one_has_others),
        TEST(test_a_sender_that_does_not_sample_gets_no_trace),
        TEST(test_spans_say_what_the_command_was_and_how_it_went),
        TEST(test_a_failed_command_is_an_error_with_its_code),
        TEST(test_duplicates_that_waited_have_their_own_arrival_and_no_calls),
        TEST(test_a_replayed_outcome_is_found_by_its_arrival),
        TEST(test_the_early_reply_is_in_the_trace_of_the_last_one),
        TEST(test_an_interrupted_attempt_ends_at_the_interruption),
        TEST(test_a_reply_after_an_order_has_the_calls_since_then),
        TEST(test_a_refusal_without_a_record_has_the_times_of_its_message),
        TEST(test_a_clock_that_was_set_back_makes_no_negative_span),
        TEST(test_other_messages_have_no_trace),
        TEST(test_the_token_of_a_reply_is_read),
        TEST(test_a_request_names_the_service),
        TEST(test_stored_times_are_those_of_their_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
