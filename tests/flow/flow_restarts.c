/* Processes that are killed or stopped at a bad moment: nothing is lost, nothing happens twice. */
#include "flow_load.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Sends a command that hangs at the far side; its reply place and correlation are its token. */
static const char *send_hanging(struct world *world, const char *fault)
{
    const char *token = world_name(world, "token");
    simulator_fault(&world->simulator, "%s,\"Match\":{\"ClientToken\":\"%s\"}", fault, token);
    client_publish(
        world->sender,
        &(struct outgoing){.topic = FLOW_COMMANDS,
                           .payload = world_command(world, token, world_name(world, "pg"), ""),
                           .qos = 1,
                           .response_topic = world_format(world, FLOW_REPLIES "%s", token),
                           .correlation = token});
    simulator_wait_token(&world->simulator, token, 1);
    return token;
}

static const struct message *expect_resumed(struct world *world, const char *token)
{
    const struct message *reply = client_expect(
        world->sender, &(struct match){.topic = world_format(world, FLOW_REPLIES "%s", token),
                                       .correlation = token});
    check_succeeded(reply);
    assert_int_equal(simulator_token(&world->simulator, token, "Effects"), 1);
    return reply;
}

static void test_a_command_acknowledged_before_a_kill_is_answered_after_it(struct world *world)
{
    struct bridge *bridge = world_bridge(world, "");
    const char *token = send_hanging(world, "\"hang\"");
    bridge_kill(bridge);
    simulator_clear(&world->simulator);
    bridge_start(bridge);
    const struct message *reply = expect_resumed(world, token);
    assert_int_equal(json_number(reply->json, "Attempts"), 2);
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 2);
}

/* The first attempt may have had an effect; that the bridge was killed since does not make it
 * undone. */
static void test_a_call_cut_by_a_kill_is_never_told_as_failed(struct world *world)
{
    struct bridge *bridge = world_bridge(world, "limits.deadline_s = 4;");
    const char *token = send_hanging(world, "\"hang\"");
    bridge_kill(bridge);
    simulator_clear(&world->simulator);
    simulator_fault(&world->simulator, "\"error\",\"Code\":\"ServiceUnavailable\",\"Count\":-1");
    bridge_start(bridge);
    check_text(world_expect_reply(world, token), "Status", "unknown");
}

static void test_a_deadline_that_passed_while_the_bridge_was_away_leaves_the_outcome_unknown(
    struct world *world)
{
    struct bridge *bridge = world_bridge(world, "limits.deadline_s = 1;");
    const char *token = send_hanging(world, "\"hang\"");
    int64_t end_ms = flow_now_ms() + 1100;
    bridge_kill(bridge);
    while (flow_now_ms() < end_ms) {
        flow_pause();
    }
    simulator_clear(&world->simulator);
    bridge_start(bridge);
    check_error(world_expect_reply(world, token), "unknown", "Bridge.NoDefiniteAnswer",
                "unknown_outcome", true);
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 1);
}

static void test_an_effect_before_a_kill_does_not_happen_again(struct world *world)
{
    struct bridge *bridge = world_bridge(world, "");
    const char *token = send_hanging(world, "\"latency\",\"DelayMs\":500");
    bridge_kill(bridge);
    simulator_wait(&world->simulator, "Effects", 1);
    bridge_start(bridge);
    expect_resumed(world, token);
}

static void test_waiting_duplicates_survive_a_kill(struct world *world)
{
    enum { WAITERS = 3 };
    struct bridge *bridge = world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *payload = world_command(world, token, world_name(world, "pg"), "");
    const char *topics[WAITERS];
    simulator_fault(&world->simulator, "\"hang\"");
    for (int i = 0; i < WAITERS; i++) {
        topics[i] = world_format(world, FLOW_REPLIES "%s", world_name(world, "inbox"));
        client_publish(world->sender, &(struct outgoing){.topic = FLOW_COMMANDS,
                                                         .payload = payload,
                                                         .qos = 1,
                                                         .response_topic = topics[i]});
    }
    /* A mismatch is answered behind them: they are stored then. */
    world_send(world, world_command(world, token, world_name(world, "pg"), ""));
    check_text(world_expect_reply(world, token), "Status", "failed");
    simulator_wait_token(&world->simulator, token, 1);
    bridge_kill(bridge);
    simulator_clear(&world->simulator);
    bridge_start(bridge);
    for (int i = 0; i < WAITERS; i++) {
        const struct message *reply =
            client_expect(world->sender, &(struct match){.topic = topics[i]});
        check_succeeded(reply);
        assert_int_equal(json_is_true(reply->json, "Replayed"), i > 0);
    }
    assert_int_equal(simulator_token(&world->simulator, token, "Effects"), 1);
}

static void test_commands_sent_while_the_bridge_is_away_are_taken_when_it_is_back(
    struct world *world)
{
    struct bridge *bridge = world_bridge(world, "");
    bridge_kill(bridge);
    const char *token = world_name(world, "token");
    world_send(world, world_command(world, token, world_name(world, "pg"), ""));
    bridge_start(bridge);
    check_succeeded(world_expect_reply(world, token));
}

static void test_resumed_commands_of_a_group_keep_their_order(struct world *world)
{
    struct bridge *bridge = world_bridge(world, "");
    const char *group = world_name(world, "pg");
    const char *tokens[4];
    simulator_fault(&world->simulator, "\"hang\",\"Count\":-1");
    for (int i = 0; i < 4; i++) {
        tokens[i] = world_name(world, "token");
        world_send(world, world_command(world, tokens[i], group, ""));
    }
    world_expect_nothing(world, &(struct match){.token = tokens[0]});
    simulator_wait_token(&world->simulator, tokens[0], 1);
    bridge_kill(bridge);
    simulator_clear(&world->simulator);
    bridge_start(bridge);
    for (int i = 0; i < 4; i++) {
        check_succeeded(world_expect_reply(world, tokens[i]));
    }
    cJSON *rows = simulator_get(&world->simulator, "requests?Last=1000");
    for (int i = 0; i < 4; i++) {
        const cJSON *row = cJSON_GetArrayItem(rows, cJSON_GetArraySize(rows) - 4 + i);
        assert_string_equal(json_text(row, "Params.ClientToken"), tokens[i]);
    }
    cJSON_Delete(rows);
    assert_int_equal(simulator_total(&world->simulator, "Overlaps"), 0);
}

static void test_sigterm_parks_calls_that_do_not_end_and_they_are_resumed(struct world *world)
{
    struct bridge *bridge = world_bridge(world, "api.read_timeout_ms = 60000;");
    const char *token = send_hanging(world, "\"hang\"");
    int64_t begin_ms = flow_now_ms();
    bridge_stop(bridge);
    assert_true(flow_now_ms() - begin_ms < 11000);
    simulator_clear(&world->simulator);
    bridge_start(bridge);
    expect_resumed(world, token);
}

static void test_sigterm_lets_a_call_end_and_its_reply_go_out(struct world *world)
{
    struct bridge *bridge = world_bridge(world, "");
    const char *token = send_hanging(world, "\"latency\",\"DelayMs\":1000");
    bridge_stop(bridge);
    check_succeeded(world_expect_reply(world, token));
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 1);
}

static void test_sigint_ends_the_bridge_in_good_order(struct world *world)
{
    struct bridge *bridge = world_bridge(world, "");
    int code = process_end(bridge->pid, SIGINT, 11500);
    bridge->pid = 0;
    assert_int_equal(code, 0);
}

/* --- a load, and what happens to the bridge meanwhile --- */

enum { COMMANDS = 300, TOKENS = 150 };

typedef void disturb_fn(struct bridge *bridge);

static void check_disturbed(struct world *world, const char *settings, int times,
                            disturb_fn *disturb)
{
    struct load load;
    struct bridge *bridge = world_bridge(world, settings);
    simulator_fault(&world->simulator, "\"latency\",\"DelayMs\":5,\"Count\":-1");
    load_init(&load, world, world_name(world, "t"), COMMANDS, TOKENS, 10);
    for (int i = 0; i < times; i++) {
        load_send(&load, COMMANDS * i / times, COMMANDS * (i + 1) / times);
        load_wait_answered(&load, load.answered_count + 1);
        disturb(bridge);
    }
    load_wait_answered(&load, COMMANDS);
    load_check(&load);
    assert_int_equal(simulator_total(&world->simulator, "Effects"), TOKENS);
    assert_int_equal(simulator_total(&world->simulator, "Overlaps"), 0);
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

static void test_a_killed_receiver_loses_nothing(struct world *world)
{
    check_disturbed(world, "", 3, kill_receiver);
}

static void test_several_killed_receivers_lose_nothing(struct world *world)
{
    check_disturbed(world, "broker.receivers = 3;", 2, kill_receiver);
}

static void test_a_killed_publisher_loses_nothing(struct world *world)
{
    check_disturbed(world, "", 3, kill_publisher);
}

static void test_a_bridge_killed_during_load_loses_nothing(struct world *world)
{
    check_disturbed(world, "", 3, kill_and_start);
}

static void test_a_bridge_killed_without_syncing_loses_nothing(struct world *world)
{
    check_disturbed(world, "ledger.durability = \"process\";", 3, kill_and_start);
}

static void test_a_bridge_stopped_during_load_loses_nothing(struct world *world)
{
    check_disturbed(world, "", 2, stop_and_start);
}

/*
 * What started the bridge may have left it connections of its own. A receiver that has to cut its
 * connection to the broker, as in a stop under load, must not take another for it.
 */
/* Whoever kills the bridge three times during one call cannot be told from the call doing it. */
static void test_a_call_under_way_at_three_kills_in_a_row_is_set_aside(struct world *world)
{
    struct bridge *bridge = world_bridge_alone(world, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    const char *token = send_hanging(world, "\"hang\",\"Count\":-1");
    for (int kills = 1; kills <= 3; kills++) {
        simulator_wait_token(&world->simulator, token, kills);
        bridge_kill(bridge);
        bridge_start(bridge);
    }
    const struct message *reply = client_expect(world->sender, &(struct match){.token = token});
    check_error(reply, "unknown", "Bridge.SetAside", "internal", false);
    assert_int_equal(json_number(reply->json, "Attempts"), 3);
    check_succeeded(world_ask(world, world_name(world, "next"), world_name(world, "pg"), ""));
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 3);
    bridge_stop(bridge);
}

/* Two kills find all of them on the wire, the third only the one that was called alone; what an
 * answer came to since is free of it. */
static void test_many_calls_under_way_at_several_kills_all_succeed(struct world *world)
{
    enum { CALLS = 30 };
    struct load load;
    struct bridge *bridge = world_bridge_alone(world, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    load_init(&load, world, world_name(world, "t"), CALLS, CALLS, CALLS);
    simulator_fault(&world->simulator, "\"hang\",\"Count\":-1");
    load_send(&load, 0, CALLS);
    simulator_wait(&world->simulator, "Requests", CALLS);
    bridge_kill(bridge);
    bridge_start(bridge);
    simulator_wait(&world->simulator, "Requests", 2 * CALLS);
    bridge_kill(bridge);
    simulator_clear(&world->simulator);
    simulator_fault(&world->simulator, "\"latency\",\"DelayMs\":20,\"Count\":-1");
    for (int kills = 0; kills < 4; kills++) {
        bridge_start(bridge);
        load_wait_answered(&load, load.answered_count + 2);
        bridge_kill(bridge);
    }
    bridge_start(bridge);
    load_wait_answered(&load, CALLS);
    load_check(&load);
    assert_int_equal(simulator_total(&world->simulator, "Effects"), CALLS);
    assert_false(bridge_log_contains(bridge, "set_aside"));
    load_fini(&load);
    bridge_stop(bridge);
}

static void test_inherited_connections_are_left_alone(struct world *world)
{
    enum { ROUNDS = 4, SHARE = COMMANDS / ROUNDS };
    struct load load;
    struct bridge *bridge = world_bridge_alone(world, "");
    load_init(&load, world, world_name(world, "t"), COMMANDS, COMMANDS, 10);
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
        FLOW_TEST(test_a_call_cut_by_a_kill_is_never_told_as_failed),
        FLOW_TEST(test_a_deadline_that_passed_while_the_bridge_was_away_leaves_the_outcome_unknown),
        FLOW_TEST(test_an_effect_before_a_kill_does_not_happen_again),
        FLOW_TEST(test_waiting_duplicates_survive_a_kill),
        FLOW_TEST(test_commands_sent_while_the_bridge_is_away_are_taken_when_it_is_back),
        FLOW_TEST(test_resumed_commands_of_a_group_keep_their_order),
        FLOW_TEST(test_a_killed_receiver_loses_nothing),
        FLOW_TEST(test_a_killed_publisher_loses_nothing),
        FLOW_TEST(test_a_bridge_killed_during_load_loses_nothing),
        FLOW_TEST(test_a_bridge_stopped_during_load_loses_nothing),
        FLOW_TEST(test_sigterm_lets_a_call_end_and_its_reply_go_out),
        FLOW_TEST(test_sigint_ends_the_bridge_in_good_order),
        FLOW_TEST(test_several_killed_receivers_lose_nothing),
        FLOW_TEST(test_a_bridge_killed_without_syncing_loses_nothing),
        FLOW_TEST(test_inherited_connections_are_left_alone),
        FLOW_TEST(test_a_call_under_way_at_three_kills_in_a_row_is_set_aside),
        FLOW_TEST(test_many_calls_under_way_at_several_kills_all_succeed),
        FLOW_TEST(test_sigterm_parks_calls_that_do_not_end_and_they_are_resumed),
    };
    return flow_main("restarts", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
