/* What the bridge itself refuses: with which error, on which topic, and without a call. */
#include "flow_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sends a payload with its own reply topic and returns the reply. */
static const struct message *request_bytes(struct fixture *fixture, const char *payload,
                                           size_t length)
{
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "inbox"));
    client_publish(fixture->sender, &(struct outgoing){.topic = FLOW_COMMANDS,
                                                       .payload = payload,
                                                       .payload_length = length,
                                                       .qos = 1,
                                                       .response_topic = topic,
                                                       .correlation = topic});
    return client_expect(fixture->sender, &(struct match){.topic = topic, .correlation = topic});
}

static void check_refusal(const struct message *reply, const char *code, const char *category,
                          bool is_retryable)
{
    check_error(reply, "failed", code, category, is_retryable);
    check_text(reply, "Error.Source", "bridge");
    assert_string_equal(message_user(reply, "code"), code);
    assert_string_equal(message_user(reply, "status"), "failed");
    assert_true(json_text(reply->json, "Error.Hint")[0] != '\0');
    assert_false(json_has(reply->json, "Error.HttpStatus"));
    assert_false(json_has(reply->json, "RequestId"));
    assert_false(json_is_true(reply->json, "Replayed"));
}

/* The payload is refused with this code and a message that names the field; no call is made. */
static void check_payload(struct fixture *fixture, const char *payload, const char *code,
                          const char *field)
{
    const struct message *reply = request_bytes(fixture, payload, 0);
    check_refusal(reply, code, "invalid", false);
    if (strstr(json_text(reply->json, "Error.Message"), field) == NULL) {
        flow_fail("%s is not named for %s: %s", field, payload, reply->payload);
    }
}

static void check_no_call(struct fixture *fixture)
{
    assert_int_equal(simulator_total(&fixture->simulator, "Requests"), 0);
}

static void test_what_is_no_json_object_is_malformed(struct fixture *fixture)
{
    static const char *const payloads[] = {"not json",
                                           "{",
                                           "[]",
                                           "\"text\"",
                                           "null",
                                           "7",
                                           "{\"RegionId\":}",
                                           "{'RegionId':'x'}",
                                           "{\"RegionId\":\"cn-beijing\",}",
                                           "{\"RegionId\":\"cn-beijing\"",
                                           "{\"RegionId\":\"\xff\"}",
                                           "{\"RegionId\":\"\xc0\xaf\"}",
                                           "{\"RegionId\":\"a\nb\"}",
                                           "{\"RegionId\":\"\\ud800\"}",
                                           "{\"RegionId\":\"\\u0000\"}",
                                           " "};
    fixture_bridge(fixture, "");
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        check_payload(fixture, payloads[i], "Bridge.MalformedPayload", "");
    }
    check_no_call(fixture);
}

static void test_nothing_but_white_space_may_follow_the_object(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *command =
        fixture_command(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    check_payload(fixture, fixture_format(fixture, "%s x", command), "Bridge.MalformedPayload", "");
    check_payload(fixture, fixture_format(fixture, "%s%s", command, command),
                  "Bridge.MalformedPayload", "");
    const struct message *reply = request_bytes(fixture, command, strlen(command) + 1);
    check_refusal(reply, "Bridge.MalformedPayload", "invalid", false);
    check_no_call(fixture);
}

static void test_an_empty_payload_is_malformed(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_payload(fixture, "", "Bridge.MalformedPayload", "");
}

static void test_deep_nesting_is_refused(struct fixture *fixture)
{
    char payload[8001];
    fixture_bridge(fixture, "");
    memset(payload, '[', 8000);
    memcpy(payload, "{\"a\":", 5);
    payload[8000] = '\0';
    const struct message *reply = request_bytes(fixture, payload, 0);
    check_error(reply, "failed", "Bridge.MalformedPayload", "invalid", false);
}

/* Sends a command padded with white space to this size. */
static const struct message *request_size(struct fixture *fixture, const char *token, size_t size)
{
    const char *command = fixture_command(fixture, token, fixture_name(fixture, "pg"), "");
    char *payload = malloc(size);
    assert_non_null(payload);
    memset(payload, ' ', size);
    memcpy(payload, command, strlen(command));
    const struct message *reply = request_bytes(fixture, payload, size);
    free(payload);
    return reply;
}

static void test_the_largest_command_is_accepted(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_succeeded(request_size(fixture, fixture_name(fixture, "token"), 16384));
}

static void test_a_larger_command_is_refused_with_limit_and_length(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const struct message *reply = request_size(fixture, fixture_name(fixture, "token"), 16385);
    check_refusal(reply, "Bridge.PayloadTooLarge", "invalid", false);
    assert_non_null(strstr(json_text(reply->json, "Error.Message"), "16384"));
    assert_non_null(strstr(json_text(reply->json, "Error.Message"), "16385"));
    check_no_call(fixture);
}

static void test_a_huge_command_is_refused_and_the_next_is_accepted(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_refusal(request_size(fixture, fixture_name(fixture, "token"), 1024 * 1024),
                  "Bridge.PayloadTooLarge", "invalid", false);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
}

static void test_a_missing_parameter_is_named(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_payload(fixture, "{}", "Bridge.MissingParameter", "");
    check_payload(fixture, "{\"ReplicaGroupId\":\"pg-1\"}", "Bridge.MissingParameter", "RegionId");
    check_payload(fixture, "{\"RegionId\":\"cn-beijing\"}", "Bridge.MissingParameter",
                  "ReplicaGroupId");
    check_no_call(fixture);
}

static void test_a_route_may_require_a_client_token(struct fixture *fixture)
{
    fixture_bridge(fixture, "routes.client_token = \"required\";");
    check_payload(fixture, "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\"}",
                  "Bridge.MissingParameter", "ClientToken");
    check_no_call(fixture);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
}

#define TEN "0123456789"

/* Each row replaces or adds one field; the others are valid. */
static const struct {
    const char *field;
    const char *json;
} wrong_values[] = {
    {"RegionId", "\"RegionId\":null,\"ReplicaGroupId\":\"pg-1\""},
    {"RegionId", "\"RegionId\":7,\"ReplicaGroupId\":\"pg-1\""},
    {"RegionId", "\"RegionId\":\"\",\"ReplicaGroupId\":\"pg-1\""},
    {"RegionId", "\"RegionId\":\"cn.beijing\",\"ReplicaGroupId\":\"pg-1\""},
    {"RegionId", "\"RegionId\":\"evil.example/\",\"ReplicaGroupId\":\"pg-1\""},
    {"RegionId", "\"RegionId\":\"cn-beijing@evil\",\"ReplicaGroupId\":\"pg-1\""},
    {"ReplicaGroupId", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"\""},
    {"ReplicaGroupId", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg\\u00e4\""},
    {"ReplicaGroupId", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":[\"pg-1\"]"},
    {"ReplicaGroupId", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"" TEN TEN TEN TEN TEN TEN
                           TEN TEN TEN TEN TEN TEN "012345678\""},
    {"ClientToken", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"\""},
    {"ClientToken", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":null"},
    {"ClientToken",
     "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"ClientToken\":\"a\\u0007\""},
    {"ClientToken", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\","
                    "\"ClientToken\":\"" TEN TEN TEN TEN TEN TEN "01234\""},
    {"OneShot", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"OneShot\":1"},
    {"OneShot", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"OneShot\":\"True\""},
    {"OneShot", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"OneShot\":null"},
    {"Action",
     "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"Action\":\"StopDiskReplicaGroup\""},
    {"NotAfter", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"NotAfter\":\"soon\""},
    {"NotAfter", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\","
                 "\"NotAfter\":\"2099-02-30T00:00:00Z\""},
    {"ReplyTo", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"ReplyTo\":7"},
    {"CorrelationId", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\","
                      "\"CorrelationId\":{}"},
    {"CorrelationId",
     "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"CorrelationId\":\"" TEN TEN TEN TEN
         TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
     "0123456\""},
    {"traceparent", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\",\"traceparent\":1"},
    {"RegionId", "\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\","
                 "\"RegionId\":\"cn-beijing\""},
    {"OneShot", "\"OneShot\":false,\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\","
                "\"OneShot\":true"},
};

static void test_a_wrong_value_is_an_invalid_parameter_by_name(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    for (size_t i = 0; i < sizeof wrong_values / sizeof wrong_values[0]; i++) {
        check_payload(fixture, fixture_format(fixture, "{%s}", wrong_values[i].json),
                      "Bridge.InvalidParameter", wrong_values[i].field);
    }
    check_no_call(fixture);
}

static void test_an_unknown_field_is_named(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    static const char *const fields[] = {"Oneshot", "oneShot", "Regionid", "DryRun", ""};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        check_payload(fixture,
                      fixture_command(fixture, fixture_name(fixture, "token"),
                                      fixture_name(fixture, "pg"),
                                      fixture_format(fixture, ",\"%s\":true", fields[i])),
                      "Bridge.UnknownParameter", fields[i]);
    }
    check_no_call(fixture);
}

static void test_the_action_may_be_named(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"),
                                    fixture_name(fixture, "pg"),
                                    ",\"Action\":\"StartDiskReplicaGroup\""));
}

static void test_a_refusal_reports_what_could_be_read(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const struct message *reply = fixture_request(
        fixture, token, "pg-1", ",\"CorrelationId\":\"c-1\",\"traceparent\":\"t-1\",\"OneShot\":7");
    check_refusal(reply, "Bridge.InvalidParameter", "invalid", false);
    check_text(reply, "ClientToken", token);
    check_text(reply, "CorrelationId", "c-1");
    check_text(reply, "traceparent", "t-1");
}

static void test_an_expired_command_is_refused(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *payload =
        fixture_command(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"),
                        ",\"NotAfter\":\"2020-01-01T01:00:00.5+01:00\"");
    check_refusal(request_bytes(fixture, payload, 0), "Bridge.Expired", "expired", false);
    check_no_call(fixture);
}

static void check_not_allowed(struct fixture *fixture, const char *region, const char *group)
{
    const char *payload = fixture_format(
        fixture, "{\"RegionId\":\"%s\",\"ReplicaGroupId\":\"%s\",\"ClientToken\":\"%s\"}", region,
        group, fixture_name(fixture, "token"));
    check_refusal(request_bytes(fixture, payload, 0), "Bridge.NotAllowed", "denied", false);
}

static void test_a_route_starts_only_its_regions_and_groups(struct fixture *fixture)
{
    fixture_bridge(fixture,
                   "routes.regions = (\"cn-*\"); routes.groups = (\"pg-a?\", \"pg-test-*\");");
    check_not_allowed(fixture, "us-east-1", "pg-a1");
    check_not_allowed(fixture, "cn-beijing", "pg-a");
    check_not_allowed(fixture, "cn-beijing", "PG-a1");
    check_not_allowed(fixture, "cn-beijing", "xpg-a1");
    check_no_call(fixture);
    check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"), "pg-a1", ""));
}

static void test_without_an_access_key_commands_fail_and_may_be_sent_again(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "limits.deadline_s = 1;");
    bridge->env[0] = "ALIBABA_CLOUD_ACCESS_KEY_ID=";
    bridge->env[1] = "ALIBABA_CLOUD_ACCESS_KEY_SECRET=";
    bridge->env[2] = "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true";
    bridge_start(bridge);
    bridge_wait_log(bridge, "event=receiver_up");
    bridge_wait_log(bridge, "event=credentials_unavailable");
    bridge_wait_log(bridge, "no_credentials"); /* before the first command */
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    check_refusal(reply, "Bridge.NoCredentials", "unavailable", true);
    assert_null(strstr(reply->payload, "aliyun/config.json")); /* names of files are for the log */
    check_no_call(fixture);
    bridge_stop(bridge);
}

/* --- where a reply may go --- */

static void test_a_response_topic_that_is_not_allowed_is_refused_on_the_routes_topic(
    struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    client_subscribe(fixture->sender, "somewhere/else");
    client_publish(fixture->sender,
                   &(struct outgoing){
                       .topic = FLOW_COMMANDS,
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
                       .qos = 1,
                       .response_topic = "somewhere/else",
                       .correlation = "c-7"});
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_refusal(reply, "Bridge.ReplyTopicNotAllowed", "denied", false);
    assert_int_equal(reply->correlation_length, 3);
    assert_memory_equal(reply->correlation, "c-7", 3);
    fixture_expect_nothing(fixture, &(struct match){.topic = "somewhere/else"});
    check_no_call(fixture);
}

static void check_reply_to(struct fixture *fixture, const char *reply_to)
{
    const char *token = fixture_name(fixture, "token");
    const struct message *reply =
        fixture_request(fixture, token, fixture_name(fixture, "pg"),
                        fixture_format(fixture, ",\"ReplyTo\":\"%s\"", reply_to));
    check_refusal(reply, "Bridge.ReplyTopicNotAllowed", "denied", false);
}

static void test_a_reply_to_that_is_not_allowed_is_refused_on_the_routes_topic(
    struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_reply_to(fixture, "somewhere/else");
    check_reply_to(fixture, "ecs-bridge/v1/repliesx/a");
    check_reply_to(fixture, "ecs-bridge/v1/commands/start");
    check_reply_to(fixture, "$SYS/broker");
    check_no_call(fixture);
}

static void test_a_reply_to_with_a_wildcard_is_refused(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_reply_to(fixture, FLOW_REPLIES "#");
    check_reply_to(fixture, FLOW_REPLIES "+/a");
    check_reply_to(fixture, FLOW_REPLIES "a/+");
    check_no_call(fixture);
}

static void test_with_an_empty_list_no_reply_topic_is_allowed(struct fixture *fixture)
{
    fixture_bridge(fixture, "routes.response_topics = ();");
    check_reply_to(fixture, FLOW_REPLIES "a");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
}

static void test_a_refusal_goes_to_the_reply_to_topic(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "inbox"));
    fixture_send(fixture, fixture_format(fixture, "{\"ReplyTo\":\"%s\"}", topic));
    check_refusal(client_expect(fixture->sender, &(struct match){.topic = topic}),
                  "Bridge.MissingParameter", "invalid", false);
}

static void check_topic_of_token(struct fixture *fixture, const char *token, const char *level)
{
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    const struct message *reply =
        client_expect(fixture->sender,
                      &(struct match){.topic = fixture_format(fixture, FLOW_REPLIES "%s", level)});
    check_succeeded(reply);
    check_text(reply, "ClientToken", token);
}

static void test_a_token_cannot_leave_its_topic_level(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_topic_of_token(fixture, "a/b+c#d%e", "a%2Fb%2Bc%23d%25e");
    check_topic_of_token(fixture, "../#", "..%2F%23");
    check_topic_of_token(fixture, "+", "%2B");
    check_topic_of_token(fixture, "x y~z&$", "x y~z&$");
}

static void test_a_refusal_of_such_a_token_keeps_to_its_topic_level(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    fixture_send(fixture, "{\"ClientToken\":\"r/+/#\"}");
    const struct message *reply =
        client_expect(fixture->sender, &(struct match){.topic = FLOW_REPLIES "r%2F%2B%2F%23"});
    check_refusal(reply, "Bridge.MissingParameter", "invalid", false);
}

/* --- dead letters --- */

static const struct message *expect_dead_letter(struct fixture *fixture, const char *code)
{
    const struct message *letter =
        client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    check_text(letter, "Error.Code", code);
    check_text(letter, "Error.Source", "bridge");
    check_text(letter, "Route", "start");
    check_text(letter, "Topic", FLOW_COMMANDS);
    assert_true(json_text(letter->json, "Error.Message")[0] != '\0');
    assert_int_equal(strlen(json_text(letter->json, "ReceivedAt")), 24);
    return letter;
}

static void test_a_command_that_cannot_be_answered_is_a_dead_letter(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    fixture_send(fixture, "not json");
    const struct message *letter = expect_dead_letter(fixture, "Bridge.MalformedPayload");
    check_text(letter, "Payload", "bm90IGpzb24=");
    assert_int_equal(json_number(letter->json, "PayloadBytes"), 8);
    assert_int_equal(cJSON_GetArraySize(letter->json), 6);
    fixture_send(fixture, "{\"RegionId\":\"cn-beijing\"}");
    expect_dead_letter(fixture, "Bridge.MissingParameter");
}

static void test_a_reply_topic_that_is_not_allowed_and_no_token_is_a_dead_letter(
    struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    client_publish(
        fixture->sender,
        &(struct outgoing){.topic = FLOW_COMMANDS,
                           .payload = "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\"}",
                           .qos = 1,
                           .response_topic = "somewhere/else"});
    expect_dead_letter(fixture, "Bridge.ReplyTopicNotAllowed");
    check_no_call(fixture);
}

static void test_a_token_that_is_no_token_makes_a_dead_letter(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    fixture_send(fixture, "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-1\","
                          "\"ClientToken\":\"\\u0007\"}");
    expect_dead_letter(fixture, "Bridge.InvalidParameter");
}

static void test_a_dead_letter_has_at_most_4_kib_of_the_payload(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    char payload[20001];
    memset(payload, 'x', 20000);
    payload[20000] = '\0';
    fixture_send(fixture, payload);
    const struct message *letter = expect_dead_letter(fixture, "Bridge.PayloadTooLarge");
    assert_int_equal(json_number(letter->json, "PayloadBytes"), 20000);
    assert_int_equal(strlen(json_text(letter->json, "Payload")), (4096 + 2) / 3 * 4);
}

/* --- retained --- */

static void retain(struct fixture *fixture, const char *payload, const char *topic)
{
    client_publish(fixture->sender, &(struct outgoing){.topic = FLOW_COMMANDS,
                                                       .payload = payload,
                                                       .qos = 1,
                                                       .is_retained = true,
                                                       .response_topic = topic});
}

static void test_a_command_published_as_retained_is_refused(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "inbox"));
    retain(
        fixture,
        fixture_command(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""),
        topic);
    const struct message *reply = client_expect(fixture->sender, &(struct match){.topic = topic});
    retain(fixture, "", NULL);
    check_refusal(reply, "Bridge.Retained", "invalid", false);
    check_no_call(fixture);
}

static void test_a_stored_retained_command_is_not_even_delivered(struct fixture *fixture)
{
    const char *token = fixture_name(fixture, "token");
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    retain(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""), NULL);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    fixture_expect_nothing(
        fixture, &(struct match){.topic = fixture_format(fixture, FLOW_REPLIES "%s", token)});
    retain(fixture, "", NULL);
    check_no_call(fixture);
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_what_is_no_json_object_is_malformed),
        FLOW_TEST(test_nothing_but_white_space_may_follow_the_object),
        FLOW_TEST(test_an_empty_payload_is_malformed),
        FLOW_TEST(test_deep_nesting_is_refused),
        FLOW_TEST(test_the_largest_command_is_accepted),
        FLOW_TEST(test_a_larger_command_is_refused_with_limit_and_length),
        FLOW_TEST(test_a_huge_command_is_refused_and_the_next_is_accepted),
        FLOW_TEST(test_a_missing_parameter_is_named),
        FLOW_TEST(test_a_wrong_value_is_an_invalid_parameter_by_name),
        FLOW_TEST(test_an_unknown_field_is_named),
        FLOW_TEST(test_the_action_may_be_named),
        FLOW_TEST(test_a_refusal_reports_what_could_be_read),
        FLOW_TEST(test_an_expired_command_is_refused),
        FLOW_TEST(test_a_response_topic_that_is_not_allowed_is_refused_on_the_routes_topic),
        FLOW_TEST(test_a_reply_to_that_is_not_allowed_is_refused_on_the_routes_topic),
        FLOW_TEST(test_a_reply_to_with_a_wildcard_is_refused),
        FLOW_TEST(test_a_refusal_goes_to_the_reply_to_topic),
        FLOW_TEST(test_a_token_cannot_leave_its_topic_level),
        FLOW_TEST(test_a_refusal_of_such_a_token_keeps_to_its_topic_level),
        FLOW_TEST(test_a_command_that_cannot_be_answered_is_a_dead_letter),
        FLOW_TEST(test_a_reply_topic_that_is_not_allowed_and_no_token_is_a_dead_letter),
        FLOW_TEST(test_a_token_that_is_no_token_makes_a_dead_letter),
        FLOW_TEST(test_a_dead_letter_has_at_most_4_kib_of_the_payload),
        FLOW_TEST(test_a_command_published_as_retained_is_refused),
        FLOW_TEST(test_a_stored_retained_command_is_not_even_delivered),
        FLOW_TEST(test_with_an_empty_list_no_reply_topic_is_allowed),
        FLOW_TEST(test_a_route_may_require_a_client_token),
        FLOW_TEST(test_a_route_starts_only_its_regions_and_groups),
        FLOW_TEST(test_without_an_access_key_commands_fail_and_may_be_sent_again),
    };
    return flow_main("refusals", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
