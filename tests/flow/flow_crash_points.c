/*
 * The bridge crashes at each crash point: nothing is lost, nothing happens twice. A command or a
 * reply during which it crashes again and again is set aside.
 */
#include "flow_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE "ECS_MQTT_BRIDGE_CRASH_AT="

enum { KILLED = 128 + SIGKILL, CRASHES = 3 };

static const char *const points[] = {
#define CRASH_POINT(id, name, meaning) name,
#include "tables/crash_points.def"
#undef CRASH_POINT
};

enum { POINT_COUNT = sizeof points / sizeof points[0] };

/* Makes the bridge crash at this point from its next start on; NULL: nowhere. */
static void crash_at(struct bridge *bridge, const char *where)
{
    bridge->env[2] = where == NULL ? NULL : fixture_format(bridge->fixture, VARIABLE "%s", where);
}

static void expect_crash(struct bridge *bridge)
{
    int code = bridge_wait_exit(bridge);
    if (code != KILLED) {
        flow_fail("the bridge ended with code %d", code);
    }
}

static int ledger_number(struct bridge *bridge, const char *name)
{
    const char *const argv[] = {BRIDGE_BINARY, "ledger", "--config", bridge->config, "count", NULL};
    struct tool_result result = tool_run(bridge->directory, NULL, argv);
    cJSON *json = cJSON_Parse(result.output);
    int number = (int)json_number(json, name);
    cJSON_Delete(json);
    tool_result_fini(&result);
    return number;
}

/* The ledger deletes acknowledged replies a moment later. */
static void expect_clean_ledger(struct bridge *bridge)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    assert_int_equal(ledger_number(bridge, "Unfinished"), 0);
    assert_int_equal(ledger_number(bridge, "Waiting"), 0);
    while (ledger_number(bridge, "Outbox") != 0) {
        if (flow_now_ms() > end_ms) {
            flow_fail("the outbox does not become empty");
        }
        flow_pause();
    }
}

/* The same reply may arrive again, and one more for a command that was delivered again. */
static void check_further_replies(struct fixture *fixture, const struct message *first)
{
    const struct match match = {.topic = first->topic};
    const struct message *reply;
    while ((reply = client_take(fixture->sender, &match, 0)) != NULL) {
        check_succeeded(reply);
        if (!json_is_true(reply->json, "Replayed") && !json_is_true(first->json, "Replayed")) {
            assert_string_equal(reply->payload, first->payload);
        }
        check_text(reply, "RequestId", json_text(first->json, "RequestId"));
    }
}

static void check_done_once(struct fixture *fixture, struct bridge *bridge, const char *token,
                            const char *group)
{
    const struct message *first = fixture_expect_reply(fixture, token);
    check_succeeded(first);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    /* When this command is answered, all earlier ones are, also those that were delivered again. */
    fixture_expect_nothing(fixture, &(struct match){.token = "no such token"});
    expect_clean_ledger(bridge);
    check_further_replies(fixture, first);
    int calls = simulator_token(&fixture->simulator, token, "Calls");
    const struct message *again = fixture_request(fixture, token, group, "");
    check_succeeded(again);
    assert_true(json_is_true(again->json, "Replayed"));
    check_text(again, "RequestId", json_text(first->json, "RequestId"));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), calls);
}

/* Sends the command to a bridge that ends at this point of it, and starts the bridge again. */
static void crash_during_command(struct fixture *fixture, struct bridge *bridge, const char *point,
                                 const char *token, const char *group)
{
    crash_at(bridge, fixture_format(fixture, "%s+bridge/%s", point, token));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    fixture_send(fixture, fixture_command(fixture, token, group, ""));
    expect_crash(bridge);
    crash_at(bridge, NULL);
    bridge_start(bridge);
}

static bool is_in_a_process_of_its_own(const char *point)
{
    return strstr(point, "puback") != NULL || strstr(point, "publish") != NULL;
}

/* Reached by an order of an operator only. */
static bool is_of_an_order(const char *point)
{
    return strstr(point, "retry") != NULL || strstr(point, "resolve") != NULL;
}

/* Reached only where groups are watched. */
static bool is_of_a_watch(const char *point)
{
    return strstr(point, "watch") != NULL;
}

/* The outcome and the watch come together or not at all: in both cases the events are complete. */
static void test_the_bridge_may_die_when_a_watch_begins(struct fixture *fixture)
{
    struct bridge *bridge =
        fixture_bridge_alone(fixture, "routes.watch = \"until_done\"; watch.poll_min_s = 1;");
    client_subscribe(fixture->sender, "ecs-bridge/v1/events/#");
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":600000}");
    for (int i = 0; i < POINT_COUNT; i++) {
        if (!is_of_a_watch(points[i])) {
            continue;
        }
        const char *token = fixture_name(fixture, points[i]);
        const char *group = fixture_name(fixture, "pg");
        const char *topic = fixture_format(fixture, "ecs-bridge/v1/events/%s", group);
        crash_during_command(fixture, bridge, points[i], token, group);
        check_succeeded(fixture_expect_reply(fixture, token));
        assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
        const struct message *event =
            client_expect(fixture->sender, &(struct match){.topic = topic, .token = token});
        check_text(event, "Event", "watching");
        assert_int_equal((int)json_number(event->json, "Seq"), 1);
        bridge_kill(bridge);
    }
    simulator_reset(&fixture->simulator);
}

/* After all crashes the audit file has every line once, in one chain. */
static void check_audit(struct fixture *fixture, struct bridge *bridge)
{
    const char *const argv[] = {BRIDGE_BINARY,  "ledger",       "--config",
                                bridge->config, "verify-audit", NULL};
    struct tool_result result = tool_run(bridge->directory, NULL, argv);
    if (result.code != 0 || strstr(result.output, "end as the ledger says") == NULL) {
        flow_fail("exit code %d: %s%s", result.code, result.output, result.errors);
    }
    tool_result_fini(&result);
    char *text = file_read(fixture_format(fixture, "%s/audit.log", bridge->directory));
    for (int i = 0; i < POINT_COUNT && !is_of_an_order(points[i]); i++) {
        const char *part = fixture_format(
            fixture, "\"Event\":\"outcome\",\"Route\":\"start\",\"ClientToken\":\"%s", points[i]);
        const char *first = strstr(text, part);
        assert_non_null(first);
        assert_null(strstr(first + 1, part));
    }
    free(text);
}

/* The records and their histories fit each other. */
static void check_records(struct bridge *bridge)
{
    const char *const argv[] = {BRIDGE_BINARY,  "ledger", "--config",
                                bridge->config, "verify", NULL};
    struct tool_result result = tool_run(bridge->directory, NULL, argv);
    if (result.code != 0) {
        flow_fail("exit code %d: %s%s", result.code, result.output, result.errors);
    }
    tool_result_fini(&result);
}

static void test_the_bridge_may_die_at_every_step(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "audit.file = \"audit.log\";");
    for (int i = 0; i < POINT_COUNT && !is_of_an_order(points[i]); i++) {
        const char *token = fixture_name(fixture, points[i]);
        const char *group = fixture_name(fixture, "pg");
        crash_during_command(fixture, bridge, points[i], token, group);
        check_done_once(fixture, bridge, token, group);
        assert_false(bridge_log_contains(bridge, "set_aside"));
        bridge_kill(bridge);
    }
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_stop(bridge);
    check_audit(fixture, bridge);
    check_records(bridge);
}

#define MAPPED                                                                                    \
    "routes = ( { name = \"start\"; topics = (\"" FLOW_COMMANDS "\"); },"                         \
    " { name = \"list\"; topics = (\"lists\"); input = \"json\"; each = \"/c\";"                  \
    " map: { RegionId = \"cn-beijing\"; ReplicaGroupId = \"{/g}\"; ClientToken = \"{/t}\"; }; } " \
    ");"

/* At each step of the second of three commands: the message comes again until all are durable. */
static void test_the_bridge_may_die_within_a_message_of_several_commands(struct fixture *fixture)
{
    enum { COMMANDS = 3 };
    static const char *const steps[] = {"before_claim_commit", "after_claim_commit",
                                        "before_sending", "after_outcome_commit"};
    struct bridge *bridge = fixture_bridge_alone(fixture, MAPPED);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const char *tokens[COMMANDS];
        const char *groups[COMMANDS];
        const char *list = "";
        for (int k = 0; k < COMMANDS; k++) {
            tokens[k] = fixture_name(fixture, "token");
            groups[k] = fixture_name(fixture, "pg");
            list = fixture_format(fixture, "%s%s{\"t\":\"%s\",\"g\":\"%s\"}", list,
                                  k > 0 ? "," : "", tokens[k], groups[k]);
        }
        crash_at(bridge, fixture_format(fixture, "%s/%s", steps[i], tokens[1]));
        bridge_start(bridge);
        bridge_wait_online(bridge);
        client_publish(fixture->sender,
                       &(struct outgoing){.topic = "lists",
                                          .payload = fixture_format(fixture, "{\"c\":[%s]}", list),
                                          .qos = 1});
        expect_crash(bridge);
        crash_at(bridge, NULL);
        bridge_start(bridge);
        for (int k = 0; k < COMMANDS; k++) {
            check_done_once(fixture, bridge, tokens[k], groups[k]);
        }
        bridge_stop(bridge);
    }
}

static void test_an_mqtt_process_may_die_at_every_step_of_its_own(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    for (int i = 0; i < POINT_COUNT; i++) {
        if (!is_in_a_process_of_its_own(points[i])) {
            continue;
        }
        const char *token = fixture_name(fixture, points[i]);
        const char *group = fixture_name(fixture, "pg");
        bridge->log_offset = file_size(bridge->log);
        crash_at(bridge, fixture_format(fixture, "%s/%s", points[i], token));
        bridge_start(bridge);
        bridge_wait_online(bridge);
        fixture_send(fixture, fixture_command(fixture, token, group, ""));
        bridge_wait_log(bridge, "signal=9");
        check_done_once(fixture, bridge, token, group);
        bridge_stop(bridge);
    }
}

static int order(struct bridge *bridge, const char *name, const char *token)
{
    bool is_resolve = strcmp(name, "resolve") == 0;
    const char *const argv[] = {BRIDGE_BINARY,
                                "ctl",
                                "--config",
                                bridge->config,
                                name,
                                token,
                                is_resolve ? "--as" : NULL,
                                "succeeded",
                                "--request-id",
                                "C123F94F-4E38-19AE-942A-A8D6F44F0000",
                                "--note",
                                "found in the console",
                                NULL};
    struct tool_result result = tool_run(bridge->directory, NULL, argv);
    int code = result.code;
    tool_result_fini(&result);
    return code;
}

/* What is not durable did not happen, and can be ordered again; what is durable is gone through
 * with. */
static void test_the_bridge_may_die_at_every_step_of_an_order(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(
        fixture, "audit.file = \"audit.log\"; limits.deadline_s = 2; api.read_timeout_ms = 1000;"
                 "api.connect_timeout_ms = 1000;");
    for (int i = 0; i < POINT_COUNT; i++) {
        if (!is_of_an_order(points[i])) {
            continue;
        }
        const char *name = strstr(points[i], "retry") != NULL ? "retry" : "resolve";
        bool is_durable = strncmp(points[i], "after", 5) == 0;
        const char *token = fixture_name(fixture, points[i]);
        simulator_fault(&fixture->simulator,
                        "\"reset_after\",\"Count\":-1,\"Match\":{\"ClientToken\":\"%s\"}", token);
        crash_at(bridge, fixture_format(fixture, "%s+bridge/%s", points[i], token));
        bridge_start(bridge);
        bridge_wait_online(bridge);
        check_error(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""), "unknown",
                    "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
        simulator_clear(&fixture->simulator);
        assert_int_equal(order(bridge, name, token), 69);
        expect_crash(bridge);
        crash_at(bridge, NULL);
        bridge_start(bridge);
        bridge_wait_online(bridge);
        if (!is_durable) {
            assert_int_equal(order(bridge, name, token), 0);
        }
        /* The first reply may come again. */
        client_expect(fixture->sender, &(struct match){.token = token, .status = "succeeded"});
        assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
        expect_clean_ledger(bridge);
        bridge_stop(bridge);
    }
    char *text = file_read(fixture_format(fixture, "%s/audit.log", bridge->directory));
    assert_non_null(strstr(text, "\"Event\":\"retried\""));
    assert_non_null(strstr(text, "\"Event\":\"resolved\""));
    free(text);
}

static void test_a_refusal_survives_every_step_from_its_answer_on(struct fixture *fixture)
{
    static const struct {
        const char *name;
        const char *status; /* a call whose answer the bridge has not stored may have had effect */
    } places[] = {{"before_answer", "unknown"},
                  {"after_outcome_commit", "failed"},
                  {"after_publish", "failed"}};
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        simulator_fault(&fixture->simulator,
                        "\"error\",\"Code\":\"Forbidden\",\"Count\":-1,"
                        "\"Match\":{\"ClientToken\":\"%s\"}",
                        token);
        crash_at(bridge, fixture_format(fixture, "%s+bridge/%s", places[i].name, token));
        bridge_start(bridge);
        bridge_wait_online(bridge);
        fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
        expect_crash(bridge);
        crash_at(bridge, NULL);
        bridge_start(bridge);
        check_error(fixture_expect_reply(fixture, token), places[i].status, "Forbidden", "denied",
                    strcmp(places[i].status, "unknown") == 0);
        expect_clean_ledger(bridge);
        bridge_kill(bridge);
    }
}

/* The end of the attempt is durable long before: the API does not tell the state within its 3 s. */
static void test_a_refusal_survives_a_crash_while_it_waits_for_a_state(struct fixture *fixture)
{
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    struct bridge *bridge = fixture_bridge_alone(fixture, "routes.explain = true;");
    simulator_order(&fixture->simulator, "POST", "groups",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\","
                    "\"Status\":\"failovered\"}",
                    group);
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1,"
                                         "\"Match\":{\"Action\":\"DescribeDiskReplicaGroups\"}");
    crash_at(bridge, fixture_format(fixture, "state_read+bridge/%s", token));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    fixture_send(fixture, fixture_command(fixture, token, group, ""));
    expect_crash(bridge);
    simulator_clear(&fixture->simulator);
    crash_at(bridge, NULL);
    bridge_start(bridge);
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_error(reply, "failed", "OperationDenied.InvalidStatus", "conflict", false);
    check_text(reply, "Error.GroupStatus", "failovered");
    assert_int_equal((int)json_number(reply->json, "Attempts"), 2);
    expect_clean_ledger(bridge);
    bridge_kill(bridge);
}

static void test_an_unknown_crash_point_ends_the_start_with_the_known_names(struct fixture *fixture)
{
    static const char *const wrong[] = {"nowhere", "before_publish:0", "before_publish:x",
                                        "before_publish/", "before_publish+"};
    struct bridge *bridge = fixture_bridge_new(fixture, "");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bridge->log_offset = file_size(bridge->log);
        crash_at(bridge, wrong[i]);
        bridge_start(bridge);
        assert_int_equal(bridge_wait_exit(bridge), 78);
        for (int j = 0; j < POINT_COUNT; j++) {
            assert_true(bridge_log_contains(bridge, points[j]));
        }
    }
}

/* ---- what crashes the bridge again and again ---- */

/* Lets the bridge crash until the command is set aside, with another command beside it each time.
 */
static void crash_in_a_row(struct fixture *fixture, struct bridge *bridge, const char **tokens)
{
    for (int i = 0; i < CRASHES; i++) {
        if (i > 0) {
            bridge_start(bridge);
        }
        expect_crash(bridge);
        tokens[i] = fixture_name(fixture, "innocent");
        fixture_send(fixture, fixture_command(fixture, tokens[i], fixture_name(fixture, "pg"), ""));
    }
    bridge_start(bridge);
}

static void expect_innocents(struct fixture *fixture, const char *const *tokens)
{
    for (int i = 0; i < CRASHES; i++) {
        check_succeeded(fixture_expect_reply(fixture, tokens[i]));
        assert_int_equal(simulator_token(&fixture->simulator, tokens[i], "Effects"), 1);
    }
}

static void check_set_aside(const struct message *reply, bool is_replayed)
{
    check_error(reply, "unknown", "Bridge.SetAside", "internal", true);
    check_text(reply, "Error.Source", "bridge");
    assert_true(json_has(reply->json, "Error.Hint"));
    assert_int_equal(json_is_true(reply->json, "Replayed"), is_replayed);
}

/* Drops the replies, also those of a second delivery that have not arrived yet. */
static void forget_replies(struct fixture *fixture, const char *topic)
{
    fixture_expect_nothing(fixture, &(struct match){.token = "no such token"});
    client_sync(fixture->sender);
    client_forget(fixture->sender, &(struct match){.topic = topic});
}

static void test_a_command_that_crashes_the_bridge_three_times_is_set_aside(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *token = fixture_name(fixture, "poison");
    const char *group = fixture_name(fixture, "pg");
    const char *innocents[CRASHES];
    crash_at(bridge, fixture_format(fixture, "before_sending/%s", token));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    fixture_send(fixture, fixture_command(fixture, token, group, ""));
    crash_in_a_row(fixture, bridge, innocents);
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_set_aside(reply, false);
    int64_t replied_ms = flow_now_ms();
    client_expect(fixture->sender,
                  &(struct match){.topic = bridge->status_topic, .state = "degraded"});
    expect_innocents(fixture, innocents);
    forget_replies(fixture, reply->topic);
    check_set_aside(fixture_request(fixture, token, group, ""), true);
    check_succeeded(fixture_request(fixture, fixture_name(fixture, "next"), group, ""));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 0);
    assert_true(bridge_log_contains(bridge, "command_set_aside"));
    /* With a shorter time the recorded outcome has expired: the command is called again, this time
     * without a crash. */
    bridge_kill(bridge);
    crash_at(bridge, NULL);
    fixture_set(bridge, "dedup.failure_ttl_s = 1;");
    bridge_start(bridge);
    while (flow_now_ms() < replied_ms + 1000) {
        flow_pause();
    }
    forget_replies(fixture, reply->topic);
    check_succeeded(fixture_request(fixture, token, group, ""));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
}

/* The first crash counts for all calls in progress, each later one for the command that is called
 * alone. */
static void test_a_command_that_crashes_the_bridge_is_found_among_its_neighbours(
    struct fixture *fixture)
{
    enum { NEIGHBOURS = 5 };
    struct bridge *bridge = fixture_bridge_alone(fixture, "routes.regions = (\"cn-beijing\");");
    const char *token = fixture_name(fixture, "poison");
    const char *neighbours[NEIGHBOURS];
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    crash_at(bridge, fixture_format(fixture, "after_sending/%s", token));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    for (int i = 0; i < NEIGHBOURS; i++) {
        neighbours[i] = fixture_name(fixture, "neighbour");
        fixture_send(fixture,
                     fixture_command(fixture, neighbours[i], fixture_name(fixture, "pg"), ""));
    }
    simulator_wait(&fixture->simulator, "Requests", NEIGHBOURS);
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    expect_crash(bridge);
    simulator_clear(&fixture->simulator);
    for (int crashes = 1; crashes < CRASHES; crashes++) {
        bridge_start(bridge);
        expect_crash(bridge);
    }
    bridge_start(bridge);
    check_set_aside(client_expect(fixture->sender, &(struct match){.token = token}), false);
    for (int i = 0; i < NEIGHBOURS; i++) {
        check_succeeded(fixture_expect_reply(fixture, neighbours[i]));
        assert_int_equal(simulator_token(&fixture->simulator, neighbours[i], "Effects"), 1);
    }
}

static void test_an_answer_between_the_crashes_resets_the_count(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"ServiceUnavailable\",\"Count\":1,"
                    "\"Match\":{\"ClientToken\":\"%s\"}",
                    token);
    /* One crash before the first call. Then the API refuses that call, and two crashes follow at
     * the second call. */
    crash_at(bridge, fixture_format(fixture, "before_sending/%s", token));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    expect_crash(bridge);
    bridge_start(bridge);
    expect_crash(bridge);
    crash_at(bridge, fixture_format(fixture, "before_sending:2/%s", token));
    bridge_start(bridge);
    expect_crash(bridge);
    crash_at(bridge, fixture_format(fixture, "before_sending/%s", token));
    bridge_start(bridge);
    expect_crash(bridge);
    crash_at(bridge, NULL);
    bridge_start(bridge);
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_false(bridge_log_contains(bridge, "set_aside"));
}

static void test_a_reply_during_which_connections_are_lost_does_not_stop_the_others(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *token = fixture_name(fixture, "poison");
    const char *group = fixture_name(fixture, "pg");
    const char *innocents[CRASHES];
    crash_at(bridge, fixture_format(fixture, "before_publish+always/%s", token));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    /* Its dead letter must not contain the token. */
    fixture_send(fixture,
                 fixture_command(fixture, token, group, ",\"ReplyTo\":\"" FLOW_REPLIES "x\""));
    for (int i = 0; i < CRASHES; i++) {
        innocents[i] = fixture_name(fixture, "innocent");
        fixture_send(fixture,
                     fixture_command(fixture, innocents[i], fixture_name(fixture, "pg"), ""));
    }
    expect_innocents(fixture, innocents);
    const struct message *letter =
        client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    assert_string_equal(json_text(letter->json, "Error.Code"), "Bridge.ReplyUndelivered");
    assert_string_equal(json_text(letter->json, "Topic"), FLOW_REPLIES "x");
    assert_true(bridge_log_contains(bridge, "event=reply_undelivered"));
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "next"), fixture_name(fixture, "pg"), ""));
    bridge_stop(bridge);
    crash_at(bridge, NULL);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    const struct message *replay = fixture_request(fixture, token, group, "");
    check_succeeded(replay);
    assert_true(json_is_true(replay->json, "Replayed"));
    expect_clean_ledger(bridge);
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_the_bridge_may_die_when_a_watch_begins),
        FLOW_TEST(test_the_bridge_may_die_at_every_step),
        FLOW_TEST(test_the_bridge_may_die_within_a_message_of_several_commands),
        FLOW_TEST(test_an_mqtt_process_may_die_at_every_step_of_its_own),
        FLOW_TEST(test_the_bridge_may_die_at_every_step_of_an_order),
        FLOW_TEST(test_a_refusal_survives_every_step_from_its_answer_on),
        FLOW_TEST(test_a_refusal_survives_a_crash_while_it_waits_for_a_state),
        FLOW_TEST(test_an_unknown_crash_point_ends_the_start_with_the_known_names),
        FLOW_TEST(test_a_command_that_crashes_the_bridge_three_times_is_set_aside),
        FLOW_TEST(test_a_command_that_crashes_the_bridge_is_found_among_its_neighbours),
        FLOW_TEST(test_an_answer_between_the_crashes_resets_the_count),
        FLOW_TEST(test_a_reply_during_which_connections_are_lost_does_not_stop_the_others),
    };
    return flow_main("crash_points", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
