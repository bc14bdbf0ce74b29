/* The path of a valid command: what its sender and the API see. */
#include "flow_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 2026-01-02T03:04:05.123Z */
static bool is_time(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    if (strlen(text) != sizeof form - 1) {
        return false;
    }
    for (size_t i = 0; form[i] != '\0'; i++) {
        bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == 'd' ? !is_digit : text[i] != form[i]) {
            return false;
        }
    }
    return true;
}

static void test_a_command_gets_its_reply_on_the_default_topic(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct message *reply = fixture_request(fixture, token, group, "");
    check_succeeded(reply);
    check_text(reply, "Action", "StartDiskReplicaGroup");
    check_text(reply, "RegionId", "cn-beijing");
    check_text(reply, "ReplicaGroupId", group);
    check_text(reply, "ClientToken", token);
    assert_true(cJSON_IsFalse(json_at(reply->json, "OneShot")));
    assert_true(cJSON_IsFalse(json_at(reply->json, "Replayed")));
    assert_int_equal(json_number(reply->json, "Attempts"), 1);
    assert_true(is_time(json_text(reply->json, "ReceivedAt")));
    assert_true(is_time(json_text(reply->json, "CompletedAt")));
    assert_int_equal(cJSON_GetArraySize(reply->json), 11);
}

static void test_the_reply_has_the_request_id_of_the_api(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const struct message *reply = fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    cJSON *seen = simulator_get(&fixture->simulator, fixture_format(fixture, "tokens/%s", token));
    check_text(reply, "RequestId", json_text(seen, "RequestId"));
    assert_int_equal(json_number(seen, "Effects"), 1);
    cJSON_Delete(seen);
}

static void test_the_api_gets_the_parameters_of_the_command(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token *+/%~");
    const char *group = fixture_name(fixture, "pg &=?#");
    fixture_send(fixture, fixture_command(fixture, token, group, ""));
    client_expect(fixture->sender, &(struct match){.token = token});
    cJSON *rows = simulator_requests(&fixture->simulator, token);
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    assert_string_equal(json_text(row, "Action"), "StartDiskReplicaGroup");
    assert_string_equal(json_text(row, "Version"), "2021-07-30");
    assert_string_equal(json_text(row, "Signature"), "V3");
    assert_string_equal(json_text(row, "Params.RegionId"), "cn-beijing");
    assert_string_equal(json_text(row, "Params.ReplicaGroupId"), group);
    cJSON_Delete(rows);
}

static void check_one_shot(struct fixture *fixture, const char *extra)
{
    const char *token = fixture_name(fixture, "token");
    const struct message *reply =
        fixture_request(fixture, token, fixture_name(fixture, "pg"), extra);
    check_succeeded(reply);
    assert_true(json_is_true(reply->json, "OneShot"));
    cJSON *rows = simulator_requests(&fixture->simulator, token);
    assert_string_equal(json_text(cJSON_GetArrayItem(rows, 0), "Params.OneShot"), "true");
    cJSON_Delete(rows);
}

static void test_one_shot_reaches_the_api(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_one_shot(fixture, ",\"OneShot\":true");
}

static void test_one_shot_may_be_a_string(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_one_shot(fixture, ",\"OneShot\":\"true\"");
}

static const char correlation[] = "a\0b\xff\x01 c";

static const struct message *ask_with_properties(struct fixture *fixture, const char *topic)
{
    const char *token = fixture_name(fixture, "token");
    client_publish(
        fixture->sender,
        &(struct outgoing){
            .topic = FLOW_COMMANDS,
            .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"),
                                       ",\"ReplyTo\":\"ecs-bridge/v1/replies/not-this\""),
            .qos = 1,
            .response_topic = topic,
            .correlation = correlation,
            .correlation_length = sizeof correlation,
            .user = {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                     "tracestate", "vendor=1"}});
    return client_expect(fixture->sender, &(struct match){.topic = topic});
}

static void test_the_response_topic_beats_reply_to(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_succeeded(ask_with_properties(fixture, fixture_format(fixture, FLOW_REPLIES "%s/inbox",
                                                                fixture_name(fixture, "sender"))));
}

static void test_correlation_data_comes_back_byte_for_byte(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const struct message *reply = ask_with_properties(
        fixture, fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "s")));
    assert_int_equal(reply->correlation_length, sizeof correlation);
    assert_memory_equal(reply->correlation, correlation, sizeof correlation);
}

static void test_the_reply_has_the_mqtt_5_properties(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const struct message *reply = ask_with_properties(
        fixture, fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "s")));
    assert_non_null(reply->content_type);
    assert_string_equal(reply->content_type, "application/json");
    assert_int_equal(reply->payload_format, 1);
    assert_true(reply->expiry_s > 3500 && reply->expiry_s <= 3600);
    assert_string_equal(message_user(reply, "status"), "succeeded");
    assert_string_equal(message_user(reply, "replayed"), "false");
    assert_string_equal(message_user(reply, "code"), "");
    assert_int_equal(reply->qos, 1);
    assert_false(reply->is_retained);
}

static void test_trace_context_of_user_properties_comes_back_as_user_properties(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const struct message *reply = ask_with_properties(
        fixture, fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "s")));
    assert_string_equal(message_user(reply, "traceparent"),
                        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_string_equal(message_user(reply, "tracestate"), "vendor=1");
    assert_false(json_has(reply->json, "traceparent"));
    assert_true(bridge_log_contains(bridge, "0af7651916cd43dd8448eb211c80319c"));
}

#define BODY_TRACE "00-11111111111111111111111111111111-2222222222222222-01"

static void test_trace_context_of_the_body_comes_back_in_the_body(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"),
                        ",\"traceparent\":\"" BODY_TRACE "\",\"tracestate\":\"vendor=2\"");
    check_text(reply, "traceparent", BODY_TRACE);
    check_text(reply, "tracestate", "vendor=2");
}

static void test_trace_context_of_user_properties_wins_over_the_body(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *trace = "00-33333333333333333333333333333333-4444444444444444-01";
    client_publish(
        fixture->sender,
        &(struct outgoing){.topic = FLOW_COMMANDS,
                           .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"),
                                                      ",\"traceparent\":\"" BODY_TRACE "\""),
                           .qos = 1,
                           .user = {"traceparent", trace}});
    const struct message *reply = fixture_expect_reply(fixture, token);
    assert_string_equal(message_user(reply, "traceparent"), trace);
}

static void test_the_correlation_id_comes_back_in_the_body(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"),
                        ",\"CorrelationId\":\"order \\u00e4 \\\"7\\\"\"");
    check_text(reply, "CorrelationId", "order \xc3\xa4 \"7\"");
}

static const struct message *ask_without_token(struct fixture *fixture, const char *group,
                                               const char *sender)
{
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", sender);
    const char *payload =
        fixture_format(fixture, "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\"}", group);
    client_publish(fixture->sender, &(struct outgoing){.topic = FLOW_COMMANDS,
                                                       .payload = payload,
                                                       .qos = 1,
                                                       .response_topic = topic,
                                                       .correlation = sender});
    return client_expect(fixture->sender, &(struct match){.topic = topic});
}

static void test_the_same_correlation_data_makes_the_same_token(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *group = fixture_name(fixture, "pg");
    const char *sender = fixture_name(fixture, "s");
    const struct message *first = ask_without_token(fixture, group, sender);
    const struct message *second = ask_without_token(fixture, group, sender);
    check_succeeded(first);
    assert_int_equal(strlen(json_text(first->json, "ClientToken")), 64);
    check_text(second, "ClientToken", json_text(first->json, "ClientToken"));
    assert_true(json_is_true(second->json, "Replayed"));
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), 1);
}

static void test_other_correlation_data_makes_another_token(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *group = fixture_name(fixture, "pg");
    ask_without_token(fixture, group, fixture_name(fixture, "s"));
    ask_without_token(fixture, group, fixture_name(fixture, "s"));
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), 2);
}

static const struct message *ask_with_reply_to(struct fixture *fixture, const char *group,
                                               const char *topic)
{
    fixture_send(fixture, fixture_format(fixture,
                                         "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\","
                                         "\"CorrelationId\":\"same\",\"ReplyTo\":\"%s\"}",
                                         group, topic));
    return client_expect(fixture->sender, &(struct match){.topic = topic});
}

static void test_without_token_and_correlation_data_each_command_is_its_own(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *group = fixture_name(fixture, "pg");
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "s"));
    check_succeeded(ask_with_reply_to(fixture, group, topic));
    check_succeeded(ask_with_reply_to(fixture, group, topic));
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), 2);
}

static void test_white_space_may_follow_the_command(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    fixture_send(fixture,
                 fixture_format(fixture, "%s \r\n\t\n",
                                fixture_command(fixture, token, fixture_name(fixture, "pg"), "")));
    check_succeeded(fixture_expect_reply(fixture, token));
}

static void check_qos(struct fixture *fixture, int qos)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    client_publish(fixture->sender,
                   &(struct outgoing){
                       .topic = FLOW_COMMANDS,
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
                       .qos = qos});
    check_succeeded(fixture_expect_reply(fixture, token));
}

static void test_a_command_at_qos_0_is_answered(struct fixture *fixture)
{
    check_qos(fixture, 0);
}

static void test_a_command_at_qos_2_is_answered(struct fixture *fixture)
{
    check_qos(fixture, 2);
}

static void test_the_defaults_of_a_route_fill_in(struct fixture *fixture)
{
    fixture_bridge(fixture, "routes.defaults.RegionId = \"cn-hangzhou\";"
                            "routes.defaults.ReplicaGroupId = \"pg-default\";");
    const char *token = fixture_name(fixture, "token");
    fixture_send(fixture, fixture_format(fixture, "{\"ClientToken\":\"%s\"}", token));
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_succeeded(reply);
    check_text(reply, "RegionId", "cn-hangzhou");
    check_text(reply, "ReplicaGroupId", "pg-default");
}

static void test_a_route_may_ask_for_an_accepted_reply(struct fixture *fixture)
{
    fixture_bridge(fixture, "routes.accepted_reply = true;");
    const char *token = fixture_name(fixture, "token");
    const struct message *first = fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    check_text(first, "Status", "accepted");
    check_text(first, "ClientToken", token);
    assert_false(json_has(first->json, "RequestId"));
    check_succeeded(fixture_expect_reply(fixture, token));
}

static void test_a_route_may_have_filters_with_wildcards(struct fixture *fixture)
{
    fixture_bridge(fixture, "routes.topics = (\"plants/+/start\", \"ecs-bridge/v1/commands/#\");");
    const char *token = fixture_name(fixture, "token");
    client_publish(fixture->sender,
                   &(struct outgoing){
                       .topic = "plants/7/start",
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
                       .qos = 1});
    check_succeeded(fixture_expect_reply(fixture, token));
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
}

static void test_replies_go_out_as_the_settings_say(struct fixture *fixture)
{
    fixture_bridge(fixture, "replies.qos = 0; replies.expiry_s = 60;"
                            "routes.reply_topic = \"ecs-bridge/v1/replies/own/{ClientToken}\";");
    const char *token = fixture_name(fixture, "token");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    const struct message *reply = client_expect(
        fixture->sender,
        &(struct match){.topic = fixture_format(fixture, FLOW_REPLIES "own/%s", token)});
    check_succeeded(reply);
    assert_int_equal(reply->qos, 0);
    assert_true(reply->expiry_s > 0 && reply->expiry_s <= 60);
}

/* --- senders that are other programs --- */

static const char *broker_port(struct fixture *fixture)
{
    return fixture_format(fixture, "%d", fixture->broker.port);
}

static void test_mosquitto_rr_gets_its_reply(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *payload =
        fixture_command(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "rr"));
    const char *const argv[] = {
        "mosquitto_rr", "-V", "5",  "-h",          "127.0.0.1", "-p",  broker_port(fixture),
        "-q",           "1",  "-t", FLOW_COMMANDS, "-e",        topic, "-m",
        payload,        "-W", "20", NULL};
    struct tool_result result = tool_run(fixture->directory, NULL, argv);
    assert_int_equal(result.code, 0);
    cJSON *reply = cJSON_Parse(result.output);
    assert_string_equal(json_text(reply, "Status"), "succeeded");
    assert_int_equal(strlen(json_text(reply, "RequestId")), 36);
    cJSON_Delete(reply);
    tool_result_fini(&result);
}

/* Runs mosquitto_pub or mosquitto_sub as a 3.1.1 client at QoS 1; the caller frees its output. */
static char *run_3_1_1(struct fixture *fixture, const char *program, const char *const *arguments)
{
    const char *argv[24] = {
        program, "-V", "311", "-q", "1", "-h", "127.0.0.1", "-p", broker_port(fixture)};
    size_t count = 9;
    for (size_t i = 0; arguments[i] != NULL; i++) {
        argv[count++] = arguments[i];
    }
    struct tool_result result = tool_run(fixture->directory, NULL, argv);
    if (result.code != 0) {
        flow_fail("%s exited with %d: %s", program, result.code, result.errors);
    }
    char *output = strdup(result.output);
    tool_result_fini(&result);
    return output;
}

/* Runs a 3.1.1 publisher and subscriber; the subscriber's session is made first, so that it misses
 * no message. */
static void check_pair(struct fixture *fixture, const char *topic, const char *payload)
{
    const char *id = fixture_name(fixture, "sub");
    const char *const make[] = {"-i", id, "-c", "-t", topic, "-E", NULL};
    const char *const publish[] = {"-t", FLOW_COMMANDS, "-m", payload, NULL};
    const char *const receive[] = {"-i", id, "-c", "-t", topic, "-C", "1", "-W", "20", NULL};
    free(run_3_1_1(fixture, "mosquitto_sub", make));
    free(run_3_1_1(fixture, "mosquitto_pub", publish));
    char *output = run_3_1_1(fixture, "mosquitto_sub", receive);
    cJSON *reply = cJSON_Parse(output);
    assert_string_equal(json_text(reply, "Status"), "succeeded");
    cJSON_Delete(reply);
    free(output);
}

static void test_a_3_1_1_pair_gets_its_reply_on_the_reply_to_topic(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "pair"));
    check_pair(fixture, topic,
               fixture_command(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"),
                               fixture_format(fixture, ",\"ReplyTo\":\"%s\"", topic)));
}

static void test_a_3_1_1_pair_gets_its_reply_on_the_default_topic(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    check_pair(fixture, fixture_format(fixture, FLOW_REPLIES "%s", token),
               fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_command_gets_its_reply_on_the_default_topic),
        FLOW_TEST(test_the_reply_has_the_request_id_of_the_api),
        FLOW_TEST(test_the_api_gets_the_parameters_of_the_command),
        FLOW_TEST(test_one_shot_reaches_the_api),
        FLOW_TEST(test_one_shot_may_be_a_string),
        FLOW_TEST(test_the_response_topic_beats_reply_to),
        FLOW_TEST(test_correlation_data_comes_back_byte_for_byte),
        FLOW_TEST(test_the_reply_has_the_mqtt_5_properties),
        FLOW_TEST(test_trace_context_of_user_properties_comes_back_as_user_properties),
        FLOW_TEST(test_trace_context_of_the_body_comes_back_in_the_body),
        FLOW_TEST(test_trace_context_of_user_properties_wins_over_the_body),
        FLOW_TEST(test_the_correlation_id_comes_back_in_the_body),
        FLOW_TEST(test_the_same_correlation_data_makes_the_same_token),
        FLOW_TEST(test_other_correlation_data_makes_another_token),
        FLOW_TEST(test_without_token_and_correlation_data_each_command_is_its_own),
        FLOW_TEST(test_white_space_may_follow_the_command),
        FLOW_TEST(test_a_command_at_qos_0_is_answered),
        FLOW_TEST(test_a_command_at_qos_2_is_answered),
        FLOW_TEST(test_mosquitto_rr_gets_its_reply),
        FLOW_TEST(test_a_3_1_1_pair_gets_its_reply_on_the_reply_to_topic),
        FLOW_TEST(test_a_3_1_1_pair_gets_its_reply_on_the_default_topic),
        FLOW_TEST(test_the_defaults_of_a_route_fill_in),
        FLOW_TEST(test_replies_go_out_as_the_settings_say),
        FLOW_TEST(test_a_route_may_ask_for_an_accepted_reply),
        FLOW_TEST(test_a_route_may_have_filters_with_wildcards),
    };
    return flow_main("main path", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
