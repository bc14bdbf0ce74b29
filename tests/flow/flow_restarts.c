/* Processes are killed or stopped at a bad moment: nothing is lost, nothing happens twice. */
#include "flow_load.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Sends a command whose call hangs at the simulator; its reply topic and correlation are its token.
 */
static const char *send_hanging(struct fixture *fixture, const char *fault)
{
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "%s,\"Match\":{\"ClientToken\":\"%s\"}", fault, token);
    client_publish(fixture->sender,
                   &(struct outgoing){
                       .topic = FLOW_COMMANDS,
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
                       .qos = 1,
                       .response_topic = fixture_format(fixture, FLOW_REPLIES "%s", token),
                       .correlation = token});
    simulator_wait_token(&fixture->simulator, token, 1);
    return token;
}

static const struct message *expect_resumed(struct fixture *fixture, const char *token)
{
    const struct message *reply = client_expect(
        fixture->sender, &(struct match){.topic = fixture_format(fixture, FLOW_REPLIES "%s", token),
                                         .correlation = token});
    check_succeeded(reply);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    return reply;
}

static void test_a_command_acknowledged_before_a_kill_is_answered_after_it(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = send_hanging(fixture, "\"hang\"");
    bridge_kill(bridge);
    simulator_clear(&fixture->simulator);
    bridge_start(bridge);
    const struct message *reply = expect_resumed(fixture, token);
    assert_int_equal(json_number(reply->json, "Attempts"), 2);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 2);
}

/* The first attempt may have had an effect, also after the bridge was killed. */
static void test_a_call_cut_by_a_kill_is_never_reported_as_failed(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "limits.deadline_s = 4;");
    const char *token = send_hanging(fixture, "\"hang\"");
    bridge_kill(bridge);
    simulator_clear(&fixture->simulator);
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"ServiceUnavailable\",\"Count\":-1");
    bridge_start(bridge);
    check_text(fixture_expect_reply(fixture, token), "Status", "unknown");
}

static void test_a_group_that_is_no_longer_allowed_is_not_called_again(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    const char *token = send_hanging(fixture, "\"hang\"");
    bridge_kill(bridge);
    simulator_clear(&fixture->simulator);
    fixture_set(bridge, "routes.groups = (\"other-*\");");
    bridge_start(bridge);
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_error(reply, "unknown", "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
    bridge_wait_log(bridge, "event=command_forbidden_now");
}

static void test_a_deadline_that_passed_while_the_bridge_was_away_leaves_the_outcome_unknown(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "limits.deadline_s = 1;");
    const char *token = send_hanging(fixture, "\"hang\"");
    int64_t end_ms = flow_now_ms() + 1100;
    bridge_kill(bridge);
    while (flow_now_ms() < end_ms) {
        flow_pause();
    }
    simulator_clear(&fixture->simulator);
    bridge_start(bridge);
    check_error(fixture_expect_reply(fixture, token), "unknown", "Bridge.NoDefiniteAnswer",
                "unknown_outcome", true);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
}

static void test_an_effect_before_a_kill_does_not_happen_again(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = send_hanging(fixture, "\"latency\",\"DelayMs\":500");
    bridge_kill(bridge);
    simulator_wait(&fixture->simulator, "Effects", 1);
    bridge_start(bridge);
    expect_resumed(fixture, token);
}

static void test_waiting_duplicates_survive_a_kill(struct fixture *fixture)
{
    enum { WAITERS = 3 };
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), "");
    const char *topics[WAITERS];
    simulator_fault(&fixture->simulator, "\"hang\"");
    for (int i = 0; i < WAITERS; i++) {
        topics[i] = fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "inbox"));
        client_publish(fixture->sender, &(struct outgoing){.topic = FLOW_COMMANDS,
                                                           .payload = payload,
                                                           .qos = 1,
                                                           .response_topic = topics[i]});
    }
    /* The mismatch is answered after them, so they are stored then. */
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    check_text(fixture_expect_reply(fixture, token), "Status", "failed");
    simulator_wait_token(&fixture->simulator, token, 1);
    bridge_kill(bridge);
    simulator_clear(&fixture->simulator);
    bridge_start(bridge);
    for (int i = 0; i < WAITERS; i++) {
        const struct message *reply =
            client_expect(fixture->sender, &(struct match){.topic = topics[i]});
        check_succeeded(reply);
        assert_int_equal(json_is_true(reply->json, "Replayed"), i > 0);
    }
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
}

static void test_commands_sent_while_the_bridge_is_down_are_done_when_it_is_back(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    bridge_kill(bridge);
    const char *token = fixture_name(fixture, "token");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    bridge_start(bridge);
    check_succeeded(fixture_expect_reply(fixture, token));
}

static void test_resumed_commands_of_a_group_keep_their_order(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *group = fixture_name(fixture, "pg");
    const char *tokens[4];
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    for (int i = 0; i < 4; i++) {
        tokens[i] = fixture_name(fixture, "token");
        fixture_send(fixture, fixture_command(fixture, tokens[i], group, ""));
    }
    fixture_expect_nothing(fixture, &(struct match){.token = tokens[0]});
    simulator_wait_token(&fixture->simulator, tokens[0], 1);
    bridge_kill(bridge);
    simulator_clear(&fixture->simulator);
    bridge_start(bridge);
    for (int i = 0; i < 4; i++) {
        check_succeeded(fixture_expect_reply(fixture, tokens[i]));
    }
    cJSON *rows = simulator_get(&fixture->simulator, "requests?Last=1000");
    for (int i = 0; i < 4; i++) {
        const cJSON *row = cJSON_GetArrayItem(rows, cJSON_GetArraySize(rows) - 4 + i);
        assert_string_equal(json_text(row, "Params.ClientToken"), tokens[i]);
    }
    cJSON_Delete(rows);
    assert_int_equal(simulator_total(&fixture->simulator, "Overlaps"), 0);
}

static void test_sigterm_parks_calls_that_do_not_end_and_they_are_resumed(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "api.read_timeout_ms = 60000;");
    const char *token = send_hanging(fixture, "\"hang\"");
    int64_t begin_ms = flow_now_ms();
    bridge_stop(bridge);
    assert_true(flow_now_ms() - begin_ms < 11000);
    simulator_clear(&fixture->simulator);
    bridge_start(bridge);
    expect_resumed(fixture, token);
}

static void test_sigterm_lets_a_call_end_and_its_reply_go_out(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = send_hanging(fixture, "\"latency\",\"DelayMs\":1000");
    bridge_stop(bridge);
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
}

static void test_sigint_stops_the_bridge_in_order(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    int code = process_end(bridge->pid, SIGINT, 11500);
    bridge->pid = 0;
    assert_int_equal(code, 0);
}

/* --- a load during which the bridge is killed or stopped --- */

enum { COMMANDS = 300, TOKENS = 150 };

typedef void disturb_fn(struct bridge *bridge);

static void check_disturbed(struct fixture *fixture, const char *settings, int times,
                            disturb_fn *disturb)
{
    struct load load;
    struct bridge *bridge = fixture_bridge(fixture, settings);
    simulator_fault(&fixture->simulator, "\"latency\",\"DelayMs\":5,\"Count\":-1");
    load_init(&load, fixture, fixture_name(fixture, "t"), COMMANDS, TOKENS, 10);
    for (int i = 0; i < times; i++) {
        load_send(&load, COMMANDS * i / times, COMMANDS * (i + 1) / times);
        load_wait_answered(&load, load.answered_count + 1);
        disturb(bridge);
    }
    load_wait_answered(&load, COMMANDS);
    load_check(&load);
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), TOKENS);
    assert_int_equal(simulator_total(&fixture->simulator, "Overlaps"), 0);
    load_fini(&load);
}

static void kill_receiver(struct bridge *bridge)
{
    bridge_kill_children(bridge, "receiver");
}

static void kill_publisher(struct bridge *bridge)
{
    bridge_kill_children(bridge, "publisher");
}

static void kill_and_start(struct bridge *bridge)
{
    bridge_kill(bridge);
    bridge_start(bridge);
}

static void stop_and_start(struct bridge *bridge)
{
    bridge_stop(bridge);
    bridge_start(bridge);
    bridge_wait_online(bridge);
}

static void test_a_killed_receiver_loses_nothing(struct fixture *fixture)
{
    check_disturbed(fixture, "", 3, kill_receiver);
}

static void test_a_killed_publisher_loses_nothing(struct fixture *fixture)
{
    check_disturbed(fixture, "", 3, kill_publisher);
}

static void test_a_bridge_killed_during_load_loses_nothing(struct fixture *fixture)
{
    check_disturbed(fixture, "", 3, kill_and_start);
}

static void test_a_bridge_killed_without_syncing_loses_nothing(struct fixture *fixture)
{
    check_disturbed(fixture, "ledger.durability = \"process\";", 3, kill_and_start);
}

static void test_a_bridge_stopped_during_load_loses_nothing(struct fixture *fixture)
{
    check_disturbed(fixture, "", 2, stop_and_start);
}

/* Three kills during one call cannot be distinguished from three crashes by it. */
static void test_a_call_under_way_at_three_kills_in_a_row_is_set_aside(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    const char *token = send_hanging(fixture, "\"hang\",\"Count\":-1");
    for (int kills = 1; kills <= 3; kills++) {
        simulator_wait_token(&fixture->simulator, token, kills);
        bridge_kill(bridge);
        bridge_start(bridge);
    }
    const struct message *reply = client_expect(fixture->sender, &(struct match){.token = token});
    check_error(reply, "unknown", "Bridge.SetAside", "internal", true);
    assert_int_equal(json_number(reply->json, "Attempts"), 3);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "next"), fixture_name(fixture, "pg"), ""));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 3);
    bridge_stop(bridge);
}

/* The first kill interrupts all calls, each later one a single call: another command each time. */
static void test_many_calls_under_way_at_several_kills_all_succeed(struct fixture *fixture)
{
    enum { CALLS = 30 };
    struct load load;
    struct bridge *bridge = fixture_bridge_alone(
        fixture, "routes.regions = (\"cn-beijing\"); api.max_in_flight_per_region = 64;");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    load_init(&load, fixture, fixture_name(fixture, "t"), CALLS, CALLS, CALLS);
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    load_send(&load, 0, CALLS);
    simulator_wait(&fixture->simulator, "Requests", CALLS);
    bridge_kill(bridge);
    for (int kills = 1; kills <= 4; kills++) {
        bridge_start(bridge);
        simulator_wait(&fixture->simulator, "Requests", CALLS + kills);
        bridge_kill(bridge);
    }
    simulator_clear(&fixture->simulator);
    simulator_fault(&fixture->simulator, "\"latency\",\"DelayMs\":20,\"Count\":-1");
    for (int kills = 0; kills < 4; kills++) {
        bridge_start(bridge);
        load_wait_answered(&load, load.answered_count + 2);
        bridge_kill(bridge);
    }
    bridge_start(bridge);
    load_wait_answered(&load, CALLS);
    load_check(&load);
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), CALLS);
    assert_false(bridge_log_contains(bridge, "set_aside"));
    load_fini(&load);
    bridge_stop(bridge);
}

/*
 * The process that starts the bridge may leave it open connections of its own. A receiver that has
 * to cut its connection to the broker, as in a stop under load, must not cut one of these.
 */
static void test_inherited_connections_are_left_alone(struct fixture *fixture)
{
    enum { ROUNDS = 4, SHARE = COMMANDS / ROUNDS };
    struct load load;
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    load_init(&load, fixture, fixture_name(fixture, "t"), COMMANDS, COMMANDS, 10);
    bridge->has_descriptors = true;
    for (int round = 0; round < ROUNDS; round++) {
        bridge_start(bridge);
        bridge_wait_online(bridge);
        for (int i = 0; i < SHARE; i++) {
            load_post(&load, round * SHARE + i);
        }
        load_wait_answered(&load, load.answered_count + 1);
        bridge_stop(bridge);
    }
    bridge->has_descriptors = false;
    bridge_start(bridge);
    bridge_wait_online(bridge);
    load_wait_answered(&load, COMMANDS);
    load_check(&load);
    load_fini(&load);
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_command_acknowledged_before_a_kill_is_answered_after_it),
        FLOW_TEST(test_a_call_cut_by_a_kill_is_never_reported_as_failed),
        FLOW_TEST(test_a_group_that_is_no_longer_allowed_is_not_called_again),
        FLOW_TEST(test_a_deadline_that_passed_while_the_bridge_was_away_leaves_the_outcome_unknown),
        FLOW_TEST(test_an_effect_before_a_kill_does_not_happen_again),
        FLOW_TEST(test_waiting_duplicates_survive_a_kill),
        FLOW_TEST(test_commands_sent_while_the_bridge_is_down_are_done_when_it_is_back),
        FLOW_TEST(test_resumed_commands_of_a_group_keep_their_order),
        FLOW_TEST(test_a_killed_receiver_loses_nothing),
        FLOW_TEST(test_a_killed_publisher_loses_nothing),
        FLOW_TEST(test_a_bridge_killed_during_load_loses_nothing),
        FLOW_TEST(test_a_bridge_stopped_during_load_loses_nothing),
        FLOW_TEST(test_sigterm_lets_a_call_end_and_its_reply_go_out),
        FLOW_TEST(test_sigint_stops_the_bridge_in_order),
        FLOW_TEST(test_a_bridge_killed_without_syncing_loses_nothing),
        FLOW_TEST(test_inherited_connections_are_left_alone),
        FLOW_TEST(test_a_call_under_way_at_three_kills_in_a_row_is_set_aside),
        FLOW_TEST(test_many_calls_under_way_at_several_kills_all_succeed),
        FLOW_TEST(test_sigterm_parks_calls_that_do_not_end_and_they_are_resumed),
    };
    return flow_main("restarts", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
