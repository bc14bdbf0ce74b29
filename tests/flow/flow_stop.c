/* StopDiskReplicaGroup: its states and errors, and its order with starts of the same group. */
#include "flow_fixture.h"

#include <string.h>

#define STOP_COMMANDS "ecs-bridge/v1/commands/stop"
#define ROUTES                                                                                    \
    "routes = ( { name = \"start\"; topics = (\"" FLOW_COMMANDS "\"); },"                         \
    "           { name = \"stop\"; action = \"StopDiskReplicaGroup\"; topics = (\"" STOP_COMMANDS \
    "\"); } );"

static void send_stop(struct fixture *fixture, const char *token, const char *group)
{
    client_publish(fixture->sender,
                   &(struct outgoing){.topic = STOP_COMMANDS,
                                      .payload = fixture_command(fixture, token, group, ""),
                                      .qos = 1});
}

static const struct message *stop(struct fixture *fixture, const char *token, const char *group)
{
    send_stop(fixture, token, group);
    return fixture_expect_reply(fixture, token);
}

static void set_status(struct fixture *fixture, const char *group, const char *status)
{
    simulator_order(&fixture->simulator, "POST", "groups",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",\"Status\":\"%s\"}",
                    group, status);
}

/* The calls for the group, oldest first, are these tokens. */
static void check_calls(struct fixture *fixture, const char *group, const char *const *tokens,
                        int count)
{
    int place = 0;
    cJSON *rows = simulator_get(&fixture->simulator, "requests?Last=1000");
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, rows)
    {
        if (strcmp(json_text(row, "Params.ReplicaGroupId"), group) == 0) {
            assert_true(place < count);
            assert_string_equal(json_text(row, "Params.ClientToken"), tokens[place++]);
        }
    }
    assert_int_equal(place, count);
    cJSON_Delete(rows);
}

static void test_a_running_group_is_stopped(struct fixture *fixture)
{
    fixture_bridge(fixture, ROUTES);
    const char *group = fixture_name(fixture, "pg");
    const char *token = fixture_name(fixture, "token");
    check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"), group, ""));
    const struct message *reply = stop(fixture, token, group);
    check_succeeded(reply);
    check_text(reply, "Action", "StopDiskReplicaGroup");
    check_text(reply, "ReplicaGroupId", group);
    assert_false(json_has(reply->json, "OneShot"));
    cJSON *rows = simulator_requests(&fixture->simulator, token);
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    assert_string_equal(json_text(row, "Action"), "StopDiskReplicaGroup");
    assert_false(json_has(row, "Params.OneShot"));
    cJSON_Delete(rows);
    const struct message *again = stop(fixture, token, group);
    check_succeeded(again);
    assert_true(json_is_true(again->json, "Replayed"));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
}

static void test_the_groups_state_decides_whether_it_can_be_stopped(struct fixture *fixture)
{
    static const struct {
        const char *status;
        bool is_allowed;
    } rows[] = {
        {"created", false},    {"initial_syncing", false}, {"manual_syncing", true},
        {"syncing", true},     {"normal", true},           {"stopping", true},
        {"stop_failed", true}, {"stopped", true},          {"failovering", false},
        {"failovered", false}, {"reprotecting", false},    {"invalid", false},
    };
    fixture_bridge(fixture, ROUTES);
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":600000}");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *group = fixture_name(fixture, "pg");
        set_status(fixture, group, rows[i].status);
        const struct message *reply = stop(fixture, fixture_name(fixture, "token"), group);
        if (rows[i].is_allowed) {
            check_succeeded(reply);
            continue;
        }
        check_error(reply, "failed", "OperationDenied.InvalidStatus", "conflict", false);
        check_text(reply, "Error.Hint",
                   "A stop is allowed in the states manual_syncing, syncing, normal, stopping, "
                   "stop_failed and stopped; look at the group's state.");
    }
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":0}");
}

/* Every error of the action, once, and what the sender reads. */
static void test_the_errors_of_a_stop_are_passed_on(struct fixture *fixture)
{
    static const struct {
        const char *code;
        const char *category;
        const char *hint; /* a part of it */
    } rows[] = {
        {"OperationDenied", "conflict", "state of the group"},
        {"Forbidden", "denied", "ebs:StopDiskReplicaGroup"},
        {"Forbidden.Action", "denied", "ebs:StopDiskReplicaGroup"},
        {"NoSuchResource", "not_found", "ReplicaGroupId"},
    };
    fixture_bridge(fixture, ROUTES);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        simulator_fault(&fixture->simulator,
                        "\"error\",\"Code\":\"%s\",\"Match\":{\"Action\":\"StopDiskReplicaGroup\"}",
                        rows[i].code);
        const struct message *reply = stop(fixture, token, fixture_name(fixture, "pg"));
        check_error(reply, "failed", rows[i].code, rows[i].category, false);
        assert_non_null(strstr(json_text(reply->json, "Error.Hint"), rows[i].hint));
        assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
    }
}

static void test_a_stop_without_a_definite_answer_is_repeated_with_its_token(
    struct fixture *fixture)
{
    static const char *const faults[] = {"\"error_after\"", "\"reset_after\"", "\"html_502\"",
                                         "\"error\",\"Code\":\"RequestTimeout\""};
    fixture_bridge(fixture, ROUTES);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        const char *group = fixture_name(fixture, "pg");
        const char *token = fixture_name(fixture, "token");
        set_status(fixture, group, "normal");
        simulator_fault(&fixture->simulator, "%s,\"Match\":{\"Action\":\"StopDiskReplicaGroup\"}",
                        faults[i]);
        check_succeeded(stop(fixture, token, group));
        assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 2);
        assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    }
}

static void test_starts_and_stops_of_one_group_are_called_in_order(struct fixture *fixture)
{
    enum { COUNT = 12 };
    const char *tokens[COUNT];
    fixture_bridge(fixture, ROUTES);
    const char *group = fixture_name(fixture, "pg");
    simulator_fault(&fixture->simulator,
                    "\"latency\",\"Ms\":20,\"Count\":-1,\"Match\":{\"Action\":\"*\"}");
    for (int i = 0; i < COUNT; i++) {
        tokens[i] = fixture_name(fixture, "token");
        if (i % 2 == 0) {
            fixture_send(fixture, fixture_command(fixture, tokens[i], group, ""));
        } else {
            send_stop(fixture, tokens[i], group);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        check_succeeded(fixture_expect_reply(fixture, tokens[i]));
    }
    simulator_clear(&fixture->simulator);
    check_calls(fixture, group, tokens, COUNT);
    assert_int_equal(simulator_total(&fixture->simulator, "Overlaps"), 0);
}

static void test_the_order_survives_a_crash(struct fixture *fixture)
{
    const char *const tokens[] = {fixture_name(fixture, "token"), fixture_name(fixture, "token"),
                                  fixture_name(fixture, "token")};
    struct bridge *bridge = fixture_bridge_alone(fixture, ROUTES);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    const char *group = fixture_name(fixture, "pg");
    fixture_send_hanging(fixture, tokens[0], group);
    send_stop(fixture, tokens[1], group);
    fixture_send(fixture, fixture_command(fixture, tokens[2], group, ""));
    /* These are claimed when the next one, of another group, is answered. */
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    bridge_kill(bridge);
    simulator_clear(&fixture->simulator);
    bridge_start(bridge);
    for (int i = 0; i < 3; i++) {
        check_succeeded(fixture_expect_reply(fixture, tokens[i]));
        assert_int_equal(simulator_token(&fixture->simulator, tokens[i], "Effects"), 1);
    }
    const char *const calls[] = {tokens[0], tokens[0], tokens[1], tokens[2]};
    check_calls(fixture, group, calls, 4);
}

static void test_a_token_of_another_action_is_refused(struct fixture *fixture)
{
    fixture_bridge(fixture, ROUTES);
    const char *group = fixture_name(fixture, "pg");
    const char *token = fixture_name(fixture, "token");
    check_succeeded(fixture_request(fixture, token, group, ""));
    const struct message *reply = stop(fixture, token, group);
    check_error(reply, "failed", "IdempotentParameterMismatch", "invalid", false);
    check_text(reply, "Error.Source", "bridge");
    check_text(reply, "Action", "StopDiskReplicaGroup");
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
    /* The record of the start is as it was. */
    reply = fixture_request(fixture, token, group, "");
    check_succeeded(reply);
    check_text(reply, "Action", "StartDiskReplicaGroup");
    assert_true(json_is_true(reply->json, "Replayed"));
}

static void test_a_command_for_the_other_route_is_refused(struct fixture *fixture)
{
    fixture_bridge(fixture, ROUTES);
    const char *group = fixture_name(fixture, "pg");
    const char *token = fixture_name(fixture, "token");
    const struct message *reply =
        fixture_request(fixture, token, group, ",\"Action\":\"StopDiskReplicaGroup\"");
    check_error(reply, "failed", "Bridge.InvalidParameter", "invalid", false);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 0);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_running_group_is_stopped),
        FLOW_TEST(test_the_groups_state_decides_whether_it_can_be_stopped),
        FLOW_TEST(test_the_errors_of_a_stop_are_passed_on),
        FLOW_TEST(test_a_stop_without_a_definite_answer_is_repeated_with_its_token),
        FLOW_TEST(test_starts_and_stops_of_one_group_are_called_in_order),
        FLOW_TEST(test_the_order_survives_a_crash),
        FLOW_TEST(test_a_token_of_another_action_is_refused),
        FLOW_TEST(test_a_command_for_the_other_route_is_refused),
    };
    return flow_main("stop", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
