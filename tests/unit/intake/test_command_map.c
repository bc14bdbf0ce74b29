/* What messages become: the worked examples of alerts and events, and every kind of refusal. */
#include "intake/command_map.h"

#include "settings/settings.h"
#include "support/command_fixture.h"
#include "support/read_file.h"
#include "support/settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#define VECTORS      "tests/vectors/payloads/"
#define EVENT_DIGEST "8ee54574fff7af285eee9e9c7f600a179ceb9fbcdc736ec907c3b963eba07"
#define TOKEN_DIGEST "12bc8ccd6c4e515d5e06113339cf08e870a8daf2ced57bc83c27c3a46d753b46"

/* A message and what it becomes, with all that it points to. */
struct mapping {
    struct settings *settings;
    struct command_map *map;
    struct delivery delivery;
    struct buf payload;
    struct buf properties;
    struct mapped_message message;
};

static void set_up(struct mapping *mapping, struct settings *settings, const char *route,
                   const char *topic)
{
    *mapping = (struct mapping){.settings = settings};
    const struct route *found = route_of_name(settings->routes, settings->route_count, route);
    assert_non_null(found);
    mapping->map = command_map_new(found, &settings->tables);
    mapping->delivery = command_fixture_delivery("");
    mapping->delivery.topic = slice_text(topic);
}

static void add_property(struct mapping *mapping, const char *name, const char *value)
{
    delivery_put_property(&mapping->properties, slice_text(name), slice_text(value));
}

static void map_payload(struct mapping *mapping)
{
    mapped_message_fini(&mapping->message);
    mapping->delivery.payload = buf_slice(&mapping->payload);
    mapping->delivery.payload_bytes = mapping->payload.length;
    if (mapping->properties.length > 0) {
        mapping->delivery.properties = buf_slice(&mapping->properties);
    }
    command_map_read(mapping->map, &mapping->delivery, &command_fixture_limits, &mapping->message);
}

static void map_text(struct mapping *mapping, const char *payload)
{
    buf_clear(&mapping->payload);
    buf_append_text(&mapping->payload, payload);
    map_payload(mapping);
}

static void tear_down(struct mapping *mapping)
{
    mapped_message_fini(&mapping->message);
    command_map_free(mapping->map);
    settings_free(mapping->settings);
    buf_fini(&mapping->payload);
    buf_fini(&mapping->properties);
}

static struct mapping map_example(const char *route, const char *topic, const char *file)
{
    struct mapping mapping;
    set_up(&mapping, settings_of_file(VECTORS "payloads.conf"), route, topic);
    read_file(file, &mapping.payload);
    map_payload(&mapping);
    return mapping;
}

static void assert_text(struct slice text, const char *expected)
{
    assert_true(slice_is_present(text));
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

static void assert_command(const struct mapped_command *command, const char *region,
                           const char *group, const char *token, const char *params)
{
    if (command->refusal.error != ERROR_NONE) {
        fail_msg("refused: %s", command->refusal.message);
    }
    assert_text(command->request.region, region);
    assert_text(command->request.group, group);
    assert_text(command->request.token, token);
    assert_text(buf_slice(&command->request.params), params);
}

/* The message became exactly one item, a refusal with this text. */
static void assert_refused(const struct mapping *mapping, enum bridge_error error,
                           const char *message)
{
    assert_int_equal(mapping->message.count, 1);
    assert_string_equal(mapping->message.commands[0].refusal.message, message);
    assert_int_equal(mapping->message.commands[0].refusal.error, error);
}

static void test_example_a_grafana(void **state)
{
    (void)state;
    struct mapping mapping = map_example("grafana", "grafana/alerts", VECTORS "a-grafana.json");
    assert_int_equal(mapping.message.count, 1);
    assert_int_equal(mapping.message.filtered_count, 1);
    assert_int_equal(mapping.message.commands[0].element, 0);
    assert_command(&mapping.message.commands[0], "cn-beijing", "pg-a",
                   "grafana:fac0861a85de433a:2026-01-02T03:04:05Z", "{\"OneShot\":true}");
    tear_down(&mapping);
}

static void test_example_b_alertmanager(void **state)
{
    (void)state;
    struct mapping mapping =
        map_example("alertmanager", "alerts/alertmanager", VECTORS "b-alertmanager.json");
    assert_int_equal(mapping.message.count, 1);
    assert_int_equal(mapping.message.filtered_count, 0);
    assert_command(&mapping.message.commands[0], "cn-beijing", "pg-b",
                   "am:9b1e7c0d11aa22bb:2026-01-02T03:04:05.123Z", "{\"OneShot\":false}");
    tear_down(&mapping);
}

static void test_example_c_one_message_per_alert(void **state)
{
    (void)state;
    struct mapping mapping =
        map_example("one-alert", "alerts/SyncDisks", VECTORS "c-one-alert.json");
    assert_int_equal(mapping.message.count, 1);
    assert_true(mapping.message.commands[0].element == NO_ELEMENT);
    assert_command(&mapping.message.commands[0], "cn-beijing", "pg-a",
                   "SyncDisks:db-1:9100:2026-01-02T03:04:05Z", "{\"OneShot\":false}");
    tear_down(&mapping);
}

static void test_example_d_eventbridge(void **state)
{
    (void)state;
    struct mapping mapping =
        map_example("disk-events", "ecsbridge/evt-in", VECTORS "d-eventbridge.json");
    assert_int_equal(mapping.message.count, 1);
    /* printf 'acs.ebs\n45ef4d01-7c35-447a-bd93-fab000000000' | sha256sum */
    assert_command(&mapping.message.commands[0], "cn-hangzhou", "pg-a", "ce-" EVENT_DIGEST,
                   "{\"OneShot\":true}");
    tear_down(&mapping);
}

static void test_an_event_of_a_disk_that_is_not_in_the_table_is_filtered(void **state)
{
    (void)state;
    struct mapping mapping =
        map_example("disk-events", "ecsbridge/evt-in", VECTORS "d-eventbridge.json");
    map_text(&mapping, "{\"id\":\"1\",\"source\":\"s\",\"specversion\":\"1.0\",\"type\":"
                       "\"ebs:Disk:DiskIOHang\",\"data\":{\"resourceId\":\"d-other\"}}");
    assert_int_equal(mapping.message.count, 0);
    assert_int_equal(mapping.message.filtered_count, 1);
    tear_down(&mapping);
}

static void set_up_binary(struct mapping *mapping)
{
    set_up(mapping, settings_of_file(VECTORS "payloads.conf"), "backup-windows", "backup/windows");
    add_property(mapping, "specversion", "1.0");
    add_property(mapping, "type", "com.example.backup.window");
    add_property(mapping, "source", "/scheduler/nightly");
    add_property(mapping, "id", "run-0815");
    add_property(mapping, "tenant", "t1");
    add_property(mapping, "tenant", "t2");
    mapping->delivery.content_type = slice_text("application/json");
}

static void test_example_e_binary_cloudevent(void **state)
{
    (void)state;
    struct mapping mapping;
    set_up_binary(&mapping);
    read_file(VECTORS "e-binary.json", &mapping.payload);
    map_payload(&mapping);
    assert_int_equal(mapping.message.count, 1);
    assert_command(&mapping.message.commands[0], "cn-beijing", "pg-a", "run-0815",
                   "{\"OneShot\":false}");
    map_text(&mapping, "{\"region\":\"cn-beijing\",\"group\":\"pg-a\"}");
    assert_command(&mapping.message.commands[0], "cn-beijing", "pg-a", "run-0815",
                   "{\"OneShot\":true}");
    tear_down(&mapping);
}

static void test_faults_of_an_element_name_field_place_and_element(void **state)
{
    (void)state;
    static const struct {
        const char *alert;
        enum bridge_error error;
        const char *message;
    } rows[] = {
        {"\"labels\":{\"action\":\"sync-disks\",\"region\":\"cn-beijing\"}",
         ERROR_MISSING_PARAMETER,
         "ReplicaGroupId: nothing at /labels/replica_group in element 1 of /alerts."},
        {"\"labels\":{\"action\":\"sync-disks\",\"region\":\"cn-beijing\",\"replica_group\":null}",
         ERROR_INVALID_PARAMETER,
         "ReplicaGroupId: the value at /labels/replica_group in element 1 of /alerts is null."},
        {"\"labels\":{\"action\":\"sync-disks\",\"region\":[],\"replica_group\":\"pg-a\"}",
         ERROR_INVALID_PARAMETER,
         "RegionId: the value at /labels/region in element 1 of /alerts is an array."},
        {"\"labels\":{\"action\":\"sync-disks\",\"region\":\"CN\",\"replica_group\":\"pg-a\"}",
         ERROR_INVALID_PARAMETER,
         "RegionId must be a string of 1 to 63 lower-case letters, digits and '-'; the value of "
         "{/labels/region} in element 1 of /alerts has 2 bytes."},
        {"\"labels\":{\"action\":\"sync-disks\",\"region\":\"a\",\"region\":\"b\","
         "\"replica_group\":\"pg-a\"}",
         ERROR_INVALID_PARAMETER,
         "RegionId: the value at /labels/region in element 1 of /alerts is ambiguous, because a "
         "member is there more than once."},
        {"\"labels\":{\"action\":{}}", ERROR_INVALID_PARAMETER,
         "when[1]: the value at /labels/action in element 1 of /alerts is an object."},
    };
    struct mapping mapping;
    set_up(&mapping, settings_of_file(VECTORS "payloads.conf"), "grafana", "grafana/alerts");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf payload = {0};
        buf_printf(&payload,
                   "{\"alerts\":[{\"status\":\"resolved\"},{\"status\":\"firing\",\"fingerprint\":"
                   "\"f\",\"startsAt\":\"t\",%s}]}",
                   rows[i].alert);
        map_text(&mapping, payload.data);
        assert_refused(&mapping, rows[i].error, rows[i].message);
        assert_int_equal(mapping.message.filtered_count, 1);
        assert_int_equal(mapping.message.commands[0].element, 1);
        buf_fini(&payload);
    }
    tear_down(&mapping);
}

static void test_a_message_that_cannot_be_read_is_refused_as_a_whole(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        const char *message;
    } rows[] = {
        {"no", "The payload of 2 bytes is not JSON: this is not a JSON value at byte 0."},
        {"{}", "The message has no array at /alerts, but nothing."},
        {"{\"alerts\":{}}", "The message has no array at /alerts, but object."},
        {"{\"alerts\":[],\"alerts\":[]}",
         "The message has no array at /alerts, but a member more than once."},
    };
    struct mapping mapping;
    set_up(&mapping, settings_of_file(VECTORS "payloads.conf"), "grafana", "grafana/alerts");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        map_text(&mapping, rows[i].payload);
        assert_refused(&mapping, ERROR_MALFORMED_PAYLOAD, rows[i].message);
        assert_true(mapping.message.commands[0].element == NO_ELEMENT);
    }
    map_text(&mapping, "{\"alerts\":[]}");
    assert_int_equal(mapping.message.count + mapping.message.filtered_count, 0);
    mapping.delivery.is_retained = true;
    map_text(&mapping, "{\"alerts\":[]}");
    assert_refused(&mapping, ERROR_RETAINED, "A retained message is not a command.");
    tear_down(&mapping);
}

static void test_a_message_with_too_many_elements_is_refused_once(void **state)
{
    (void)state;
    struct mapping mapping;
    struct buf payload = {0};
    set_up(&mapping, settings_of_file(VECTORS "payloads.conf"), "grafana", "grafana/alerts");
    buf_append_text(&payload, "{\"alerts\":[1");
    for (size_t i = 1; i < command_fixture_limits.commands_per_message; i++) {
        buf_append_text(&payload, ",1");
    }
    struct buf more = {0};
    buf_printf(&more, "%s,1]}", payload.data);
    buf_append_text(&payload, "]}");
    map_text(&mapping, payload.data);
    assert_int_equal(mapping.message.filtered_count, command_fixture_limits.commands_per_message);
    map_text(&mapping, more.data);
    assert_refused(&mapping, ERROR_TOO_MANY_COMMANDS,
                   "The message has 65 elements at /alerts; limits.commands_per_message is 64.");
    buf_fini(&payload);
    buf_fini(&more);
    tear_down(&mapping);
}

static void test_the_limit_of_the_route_replaces_that_of_all(void **state)
{
    (void)state;
    struct mapping mapping;
    set_up(&mapping,
           settings_of_text("routes = ({ regions = (\"a\"); input = \"json\"; payload_bytes = 30;"
                            "map: { RegionId = \"a\"; ReplicaGroupId = \"b\"; ClientToken = \"c\"; "
                            "}; });"),
           "start", "t");
    map_text(&mapping, "{\"aaaaaaaaaaaaaaaaaaaa\":12345}");
    assert_command(&mapping.message.commands[0], "a", "b", "c", "{\"OneShot\":false}");
    map_text(&mapping, "{\"aaaaaaaaaaaaaaaaaaaa\":12345678}");
    assert_refused(&mapping, ERROR_PAYLOAD_TOO_LARGE,
                   "The payload has 33 bytes; payload_bytes of the route is 30.");
    tear_down(&mapping);
}

#define EVENT(more) "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\",\"type\":\"t\"" more "}"

static void test_what_is_no_cloudevent_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *content_type; /* NULL: none */
        const char *payload;
        const char *message;
    } rows[] = {
        {NULL, "{}",
         "The message is not a CloudEvent: it has no Content Type, and is no JSON object with a "
         "specversion, and lacks user properties specversion, id, source and type."},
        {"application/json", EVENT(""),
         "The message is not a CloudEvent: its Content Type is not application/cloudevents+json, "
         "and it lacks user properties specversion, id, source and type."},
        {"application/cloudevents-batch+json", "[]",
         "The message is not a CloudEvent: its Content Type is that of a batch or of an event "
         "format other than JSON."},
        {"application/cloudevents+avro", "x",
         "The message is not a CloudEvent: its Content Type is that of a batch or of an event "
         "format other than JSON."},
        {"Application/CloudEvents+JSON; charset=utf-8", "[]",
         "The message is not a CloudEvent: it is JSON, but not an object."},
        {"application/cloudevents+json", "{\"specversion\":\"1.0\"}",
         "The message is not a CloudEvent: it has no id, or one that is no text."},
        {NULL, "{\"specversion\":\"0.3\",\"id\":\"i\",\"source\":\"s\",\"type\":\"t\"}",
         "The message is not a CloudEvent: its specversion is not 1.0."},
        {NULL, EVENT(",\"data\":1,\"data_base64\":\"MQ==\""),
         "The message is not a CloudEvent: it has more than one of data and data_base64."},
        {NULL, EVENT(",\"data_base64\":\"MQ=\""),
         "The message is not a CloudEvent: its data_base64 is not base64."},
        {NULL, EVENT(",\"data_base64\":\"eA==\""),
         "data_base64 of 1 bytes is not JSON: this is not a JSON value at byte 0."},
    };
    struct mapping mapping;
    set_up(&mapping, settings_of_file(VECTORS "payloads.conf"), "backup-windows", "t");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mapping.delivery.content_type = slice_text(rows[i].content_type);
        map_text(&mapping, rows[i].payload);
        assert_refused(&mapping, ERROR_MALFORMED_PAYLOAD, rows[i].message);
    }
    tear_down(&mapping);
}

static void test_structured_events_may_have_encoded_data(void **state)
{
    (void)state;
    struct mapping mapping;
    set_up(&mapping, settings_of_file(VECTORS "payloads.conf"), "backup-windows", "t");
    /* {"region":"cn-beijing","group":"pg-a"} */
    map_text(&mapping, EVENT(",\"tenant\":\"t1\",\"data_base64\":"
                             "\"eyJyZWdpb24iOiJjbi1iZWlqaW5nIiwiZ3JvdXAiOiJwZy1hIn0=\""));
    assert_int_equal(mapping.message.count, 1);
    assert_command(&mapping.message.commands[0], "cn-beijing", "pg-a", "i", "{\"OneShot\":true}");
    map_text(&mapping, EVENT(",\"tenant\":null,\"data\":{}"));
    assert_int_equal(mapping.message.filtered_count, 1);
    map_text(&mapping, EVENT(",\"tenant\":\"t1\""));
    assert_refused(&mapping, ERROR_MISSING_PARAMETER, "RegionId: nothing at /region.");
    tear_down(&mapping);
}

static void test_a_long_token_becomes_its_digest(void **state)
{
    (void)state;
    struct mapping mapping;
    set_up(&mapping,
           settings_of_text("routes = ({ regions = (\"a\"); input = \"json\";"
                            "map: { RegionId = \"a\"; ReplicaGroupId = \"b\"; "
                            "ClientToken = \"{/t}\"; NotAfter = \"{/n}\"; CorrelationId = \"{/c}\";"
                            "OneShot = \"{/o}\"; }; });"),
           "start", "t");
    map_text(&mapping, "{\"t\":\"abc\\u00e4\"}");
    /* printf 'abcä' | sha256sum */
    assert_command(&mapping.message.commands[0], "a", "b", TOKEN_DIGEST, "{\"OneShot\":false}");
    assert_true(mapping.message.commands[0].request.not_after_ms == INT64_MAX);
    assert_false(slice_is_present(mapping.message.commands[0].request.correlation_id));
    map_text(&mapping, "{\"t\":\"\"}");
    assert_refused(&mapping, ERROR_MISSING_PARAMETER, "ClientToken: {/t} is empty.");
    map_text(&mapping, "{\"t\":9007199254740991,\"n\":\"2026-01-02T03:04:05Z\",\"c\":\"\","
                       "\"o\":true}");
    assert_command(&mapping.message.commands[0], "a", "b", "9007199254740991",
                   "{\"OneShot\":true}");
    assert_true(mapping.message.commands[0].request.not_after_ms == INT64_C(1767323045000));
    assert_text(mapping.message.commands[0].request.correlation_id, "");
    map_text(&mapping, "{}");
    assert_refused(&mapping, ERROR_MISSING_PARAMETER, "ClientToken: nothing at /t.");
    map_text(&mapping, "{\"t\":9007199254740992}");
    assert_refused(&mapping, ERROR_INVALID_PARAMETER,
                   "ClientToken: the value at /t is a number that is not whole or not below 2^53.");
    tear_down(&mapping);
}

static void test_defaults_of_the_route_replace_what_is_absent(void **state)
{
    (void)state;
    struct mapping mapping;
    set_up(&mapping,
           settings_of_text("routes = ({ regions = (\"?\"); input = \"json\";"
                            "defaults: { RegionId = \"r\"; ReplicaGroupId = \"g\"; OneShot = true; "
                            "}; map: { RegionId = \"{/r}\"; OneShot = \"{/o}\"; "
                            "ClientToken = \"{/t}\"; }; });"),
           "start", "t");
    map_text(&mapping, "{\"t\":\"1\"}");
    assert_command(&mapping.message.commands[0], "r", "g", "1", "{\"OneShot\":true}");
    map_text(&mapping, "{\"t\":\"1\",\"r\":\"x\",\"o\":\"false\"}");
    assert_command(&mapping.message.commands[0], "x", "g", "1", "{\"OneShot\":false}");
    tear_down(&mapping);
}

static void test_conditions_with_not(void **state)
{
    (void)state;
    struct mapping mapping;
    set_up(&mapping,
           settings_of_text("routes = ({ regions = (\"a\"); input = \"json\";"
                            "when = ({ value = \"{/v}\"; not = (\"x*\", \"y\"); });"
                            "map: { RegionId = \"a\"; ReplicaGroupId = \"b\"; ClientToken = \"c\"; "
                            "}; });"),
           "start", "t");
    map_text(&mapping, "{\"v\":\"xx\"}");
    assert_int_equal(mapping.message.filtered_count, 1);
    map_text(&mapping, "{\"v\":\"z\"}");
    assert_int_equal(mapping.message.count, 1);
    map_text(&mapping, "{}");
    assert_int_equal(mapping.message.count, 1);
    tear_down(&mapping);
}

static void test_a_strict_command_is_one_command(void **state)
{
    (void)state;
    struct mapping mapping;
    set_up(&mapping, settings_of_text(""), "start", "t");
    map_text(&mapping, "{\"RegionId\":\"r\",\"ReplicaGroupId\":\"g\",\"ClientToken\":\"t\"}");
    assert_int_equal(mapping.message.count, 1);
    assert_command(&mapping.message.commands[0], "r", "g", "t", "{\"OneShot\":false}");
    map_text(&mapping, "{\"RegionId\":\"r\",\"ReplicaGroupId\":\"g\",\"x\":1}");
    assert_refused(&mapping, ERROR_UNKNOWN_PARAMETER,
                   "A command has no field \"x\" (a name of 1 bytes).");
    tear_down(&mapping);
}

static void test_a_route_lists_the_properties_that_it_reads(void **state)
{
    (void)state;
    static const char *const names[] = {"specversion", "id",   "source", "type",
                                        "subject",     "time", "tenant"};
    struct settings *settings = settings_of_file(VECTORS "payloads.conf");
    const struct route *route =
        route_of_name(settings->routes, settings->route_count, "backup-windows");
    struct text_list found = {0};
    route_list_properties(route, 1, &found);
    assert_int_equal(found.count, sizeof names / sizeof names[0]);
    for (size_t i = 0; i < found.count; i++) {
        assert_true(text_list_has(&found, names[i]));
    }
    text_list_fini(&found);
    settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_a_grafana),
        cmocka_unit_test(test_example_b_alertmanager),
        cmocka_unit_test(test_example_c_one_message_per_alert),
        cmocka_unit_test(test_example_d_eventbridge),
        cmocka_unit_test(test_an_event_of_a_disk_that_is_not_in_the_table_is_filtered),
        cmocka_unit_test(test_example_e_binary_cloudevent),
        cmocka_unit_test(test_faults_of_an_element_name_field_place_and_element),
        cmocka_unit_test(test_a_message_that_cannot_be_read_is_refused_as_a_whole),
        cmocka_unit_test(test_a_message_with_too_many_elements_is_refused_once),
        cmocka_unit_test(test_the_limit_of_the_route_replaces_that_of_all),
        cmocka_unit_test(test_what_is_no_cloudevent_is_refused),
        cmocka_unit_test(test_structured_events_may_have_encoded_data),
        cmocka_unit_test(test_a_long_token_becomes_its_digest),
        cmocka_unit_test(test_defaults_of_the_route_replace_what_is_absent),
        cmocka_unit_test(test_conditions_with_not),
        cmocka_unit_test(test_a_strict_command_is_one_command),
        cmocka_unit_test(test_a_route_lists_the_properties_that_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
