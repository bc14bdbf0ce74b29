/* The schemas in config/schema, the AsyncAPI document and the page of messages, compared with what
 * the code reads and writes. tests/schema/run validates real messages. */
#include "base/counters.h"
#include "base/health.h"
#include "base/json.h"
#include "base/mem.h"
#include "intake/command_read.h"
#include "model/reply.h"
#include "model/status_report.h"
#include "model/watch_rules.h"
#include "settings/settings.h"
#include "support/command_fixture.h"
#include "support/read_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define RECEIVED_MS INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */

static struct json *read_json(const char *path)
{
    struct buf text = {0};
    struct json_fault fault = {0};
    read_file(path, &text);
    struct json *document = json_parse(buf_slice(&text), 32, &fault);
    if (document == NULL) {
        fail_msg("%s: %s at byte %zu", path, fault.what, fault.offset);
    }
    buf_fini(&text);
    return document;
}

static const struct json *properties_of(const struct json *schema)
{
    const struct json *properties = json_member(schema, "properties");
    assert_non_null(properties);
    return properties;
}

/* Every member of the message, and of its members, is a property of the schema. */
static void assert_described(const struct json *message, const struct json *schema)
{
    for (const struct json *member = json_first(message); member != NULL;
         member = json_next(member)) {
        char *name = mem_dup(json_name(member).data, json_name(member).length);
        const struct json *property = json_member(properties_of(schema), name);
        if (property == NULL) {
            fail_msg("the schema has no \"%s\"", name);
        }
        if (json_kind(member) == JSON_OBJECT) {
            assert_described(member, property);
        }
        free(name);
    }
}

static void assert_body_described(struct slice body, const char *path)
{
    struct json_fault fault = {0};
    struct json *message = json_parse(body, 8, &fault);
    struct json *schema = read_json(path);
    assert_non_null(message);
    assert_described(message, schema);
    json_free(message);
    json_free(schema);
}

static void assert_message_described(const struct buf *encoded, const char *path)
{
    struct message message;
    assert_int_equal(message_decode(buf_slice(encoded), &message), STATUS_OK);
    assert_body_described(message.body, path);
}

/* Reads a command that has only this field. */
static enum bridge_error fault_of_field(struct slice name)
{
    struct buf payload = {0};
    struct route route = command_fixture_route();
    json_put_open(&payload, '{');
    json_quote(&payload, name);
    buf_append_text(&payload, ":true}");
    struct delivery delivery = command_fixture_delivery(payload.data);
    struct command_reading reading = command_fixture_read(&route, &delivery);
    assert_int_equal(reading.status, STATUS_INVALID);
    enum bridge_error error = reading.refusal.error;
    request_fini(&reading.request);
    buf_fini(&payload);
    return error;
}

static void test_every_field_of_the_schema_of_commands_is_read(void **state)
{
    (void)state;
    struct json *schema = read_json("config/schema/command.json");
    size_t count = 0;
    for (const struct json *field = json_first(properties_of(schema)); field != NULL;
         field = json_next(field)) {
        assert_int_not_equal(fault_of_field(json_name(field)), ERROR_UNKNOWN_PARAMETER);
        count++;
    }
    assert_true(count > ACTION_PARAMETERS_MAX);
    assert_int_equal(fault_of_field(slice_text("Oneshot")), ERROR_UNKNOWN_PARAMETER);
    json_free(schema);
}

static void test_every_field_of_a_command_is_in_its_schema(void **state)
{
    (void)state;
    assert_body_described(
        slice_text("{\"RegionId\":\"r\",\"ReplicaGroupId\":\"g\",\"ClientToken\":\"t\","
                   "\"OneShot\":true,\"Action\":\"a\",\"ReplyTo\":\"r\",\"CorrelationId\":\"c\","
                   "\"NotAfter\":\"n\",\"traceparent\":\"p\",\"tracestate\":\"s\"}"),
        "config/schema/command.json");
}

static void test_every_field_of_a_reply_is_in_its_schema(void **state)
{
    (void)state;
    struct buf error = {0};
    struct buf encoded = {0};
    const struct outcome outcome = {
        .status = OUTCOME_FAILED,
        .code = "OperationDenied.ManualSyncLimit",
        .message = "Too early.",
        .hint = "Wait.",
        .http_status = 403,
        .category = CATEGORY_COOLDOWN,
        .retry_after_ms = 450000,
    };
    outcome_put_error(&outcome, &error);
    const struct reply reply = {
        .status = "failed",
        .is_coalesced = true,
        .action = slice_text("StartDiskReplicaGroup"),
        .region = slice_text("cn-beijing"),
        .group = slice_text("pg-example"),
        .params = slice_text("{\"OneShot\":true}"),
        .token = slice_text("t"),
        .request_id = slice_text("C123F94F"),
        .received_at_ms = RECEIVED_MS,
        .completed_at_ms = RECEIVED_MS,
        .error = buf_slice(&error),
    };
    const struct reply_to reply_to = {
        .topic = "replies/t",
        .correlation_id = "c",
        .traceparent = "p",
        .tracestate = "s",
        .has_body_trace = true,
        .element_place = 3,
    };
    const struct reply_settings settings = {.qos = 1, .expiry_s = 3600};
    reply_render(&reply, &reply_to, RECEIVED_MS, &settings, &encoded);
    assert_message_described(&encoded, "config/schema/reply.json");
    buf_fini(&error);
    buf_fini(&encoded);
}

static void test_every_field_of_a_dead_letter_is_in_its_schema(void **state)
{
    (void)state;
    const struct route route = command_fixture_route();
    const struct delivery delivery = command_fixture_delivery("{");
    const struct refusal refusal = {
        .error = ERROR_MALFORMED_PAYLOAD, .element_place = 1, .message = "No object."};
    struct buf encoded = {0};
    reply_render_dead_letter(&refusal, &route, &delivery, "dead", RECEIVED_MS, 1, &encoded);
    assert_message_described(&encoded, "config/schema/dead-letter.json");
    buf_fini(&encoded);
}

static void test_every_field_of_a_status_is_in_its_schema(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct counters *counters = mem_zalloc(1, sizeof *counters);
    struct health *health = health_new(loop);
    const struct status_report report = {"bridge-1", health, counters};
    struct buf degraded = {0};
    struct buf offline = {0};
    health_set(health, HEALTH_SESSION_LOST, true);
    json_put_open(&degraded, '{');
    status_report_put(&report, RECEIVED_MS, &degraded);
    json_put_close(&degraded, '}');
    health_stop(health, "stopped");
    json_put_open(&offline, '{');
    status_report_put(&report, RECEIVED_MS, &offline);
    json_put_close(&offline, '}');
    assert_body_described(buf_slice(&degraded), "config/schema/status.json");
    assert_body_described(buf_slice(&offline), "config/schema/status.json");
    buf_fini(&degraded);
    buf_fini(&offline);
    health_free(health);
    free(counters);
    loop_free(loop);
}

static void test_every_field_of_an_event_is_in_its_schema(void **state)
{
    (void)state;
    const struct watch watch = {
        .action = &action_rows[ACTION_StartDiskReplicaGroup],
        .route = "start",
        .region = "cn-beijing",
        .object = "pg-example",
        .token = "t",
        .started_at_ms = RECEIVED_MS,
    };
    const struct watch_step step = {.state = {.view = {.status = "invalid",
                                                       .recover_point_s = RECEIVED_MS / 1000,
                                                       .progress_percent = 10}},
                                    .pairs = slice_text("[{\"ReplicaPairId\":\"pair-1\"}]")};
    struct watch_event event = {.seq = 1,
                                .at_ms = RECEIVED_MS,
                                .basis = WATCH_BASIS_RECOVER_POINT,
                                .ends_blindness = true,
                                .previous_status = "normal"};
    for (int kind = WATCH_NOTHING + 1; kind < WATCH_EVENT_KIND_COUNT; kind++) {
        struct buf body = {0};
        event.kind = (enum watch_event_kind)kind;
        watch_event_write(&watch, &step, &event, 900, &body);
        assert_body_described(buf_slice(&body), "config/schema/event.json");
        buf_fini(&body);
    }
}

static bool has_text(const struct json *list, const char *text)
{
    for (const struct json *element = json_first(list); element != NULL;
         element = json_next(element)) {
        if (slice_equals_text(json_text(element), text)) {
            return true;
        }
    }
    return false;
}

/* Whether one of the schema's alternatives has this code with this category. */
static bool allows_error(const struct json *error, const char *code, const char *category)
{
    const struct json *alternatives = json_member(json_member(error, "then"), "anyOf");
    for (const struct json *alternative = json_first(alternatives); alternative != NULL;
         alternative = json_next(alternative)) {
        const struct json *properties = properties_of(alternative);
        if (slice_equals_text(json_text(json_member(json_member(properties, "Category"), "const")),
                              category) &&
            has_text(json_member(json_member(properties, "Code"), "enum"), code)) {
            return true;
        }
    }
    return false;
}

static void test_the_schemas_have_every_error_of_the_bridge(void **state)
{
    (void)state;
    static const char *const paths[] = {"config/schema/reply.json",
                                        "config/schema/dead-letter.json"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct json *schema = read_json(paths[i]);
        const struct json *error = json_member(properties_of(schema), "Error");
        for (int e = ERROR_NONE + 1; e < ERROR_COUNT; e++) {
            const struct bridge_error_row *row = bridge_error_row((enum bridge_error)e);
            if (!allows_error(error, row->code, category_text(row->category))) {
                fail_msg("%s does not allow %s", paths[i], row->code);
            }
        }
        assert_false(allows_error(error, "Bridge.Expired", "denied"));
        json_free(schema);
    }
}

static void test_the_asyncapi_document_has_the_default_topics(void **state)
{
    (void)state;
    struct settings *settings = NULL;
    struct settings_report report = {0};
    struct buf document = {0};
    assert_int_equal(settings_load("config/ecs-mqtt-bridge.conf", &settings, &report), STATUS_OK);
    read_file("config/asyncapi.yaml", &document);
    const char *const topics[] = {settings->routes[0].topics.items[0],
                                  settings->routes[0].reply_topic, settings->topics.dead_letters,
                                  settings->topics.status, settings->topics.events};
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        struct buf line = {0};
        buf_printf(&line, "    address: %s\n", topics[i]);
        if (strstr(document.data, line.data) == NULL) {
            fail_msg("config/asyncapi.yaml has no channel with the default topic %s", topics[i]);
        }
        buf_fini(&line);
    }
    buf_fini(&document);
    settings_free(settings);
    settings_report_fini(&report);
}

/* A section of deploy/messages.md and the schema of its messages. */
static const struct section {
    const char *title;
    const char *schema;
} sections[] = {
    {"\n## Command\n", "config/schema/command.json"},
    {"\n## Reply\n", "config/schema/reply.json"},
    {"\n## Dead letter\n", "config/schema/dead-letter.json"},
    {"\n## Status\n", "config/schema/status.json"},
    {"\n## Event\n", "config/schema/event.json"},
};

/* The section's text, to be freed with buf_fini(). */
static void read_section(const char *title, struct buf *out)
{
    struct buf page = {0};
    read_file("deploy/messages.md", &page);
    const char *begin = strstr(page.data, title);
    if (begin == NULL) {
        fail_msg("deploy/messages.md has no section \"%s\"", title);
    }
    begin += strlen(title);
    const char *end = strstr(begin, "\n## ");
    buf_append(out, slice_of(begin, end == NULL ? strlen(begin) : (size_t)(end - begin)));
    buf_fini(&page);
}

/* Each property has a row in the section's table; properties of objects are named with a dot. */
static void assert_rows(const char *text, const struct json *schema, const char *before)
{
    for (const struct json *property = json_first(properties_of(schema)); property != NULL;
         property = json_next(property)) {
        struct buf name = {0};
        struct buf row = {0};
        buf_printf(&name, "%s%.*s", before, (int)json_name(property).length,
                   json_name(property).data);
        buf_printf(&row, "\n| `%s` |", name.data);
        if (strstr(text, row.data) == NULL) {
            fail_msg("deploy/messages.md does not describe %s", name.data);
        }
        bool is_described_elsewhere = strstr(text, "the fields of `Error` in a [reply]") != NULL;
        if (json_member(property, "properties") != NULL && !is_described_elsewhere) {
            buf_append_char(&name, '.');
            assert_rows(text, property, name.data);
        }
        buf_fini(&name);
        buf_fini(&row);
    }
}

static void test_the_page_of_messages_describes_every_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        struct buf text = {0};
        struct json *schema = read_json(sections[i].schema);
        read_section(sections[i].title, &text);
        assert_rows(text.data, schema, "");
        json_free(schema);
        buf_fini(&text);
    }
}

static void test_the_examples_of_the_page_have_only_fields_of_the_schemas(void **state)
{
    (void)state;
    static const char fence[] = "```json\n";
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        struct buf text = {0};
        size_t count = 0;
        read_section(sections[i].title, &text);
        for (const char *example = strstr(text.data, fence); example != NULL;
             example = strstr(example, fence)) {
            example += strlen(fence);
            size_t length = (size_t)(strstr(example, "```") - example);
            assert_body_described(slice_of(example, length), sections[i].schema);
            count++;
        }
        assert_true(count > 0);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_of_the_schema_of_commands_is_read),
        cmocka_unit_test(test_every_field_of_a_command_is_in_its_schema),
        cmocka_unit_test(test_every_field_of_a_reply_is_in_its_schema),
        cmocka_unit_test(test_every_field_of_a_dead_letter_is_in_its_schema),
        cmocka_unit_test(test_every_field_of_a_status_is_in_its_schema),
        cmocka_unit_test(test_every_field_of_an_event_is_in_its_schema),
        cmocka_unit_test(test_the_schemas_have_every_error_of_the_bridge),
        cmocka_unit_test(test_the_asyncapi_document_has_the_default_topics),
        cmocka_unit_test(test_the_page_of_messages_describes_every_field),
        cmocka_unit_test(test_the_examples_of_the_page_have_only_fields_of_the_schemas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
