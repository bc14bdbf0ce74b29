/* Restarts of the broker and of the bridge, the status topic, MQTT 3.1.1. */
#include "flow_load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct message *expect_status(struct fixture *fixture, const struct bridge *bridge,
                                           const char *state)
{
    return client_expect(fixture->sender,
                         &(struct match){.topic = bridge->status_topic, .state = state});
}

/* The retained message on the status topic. */
static const struct message *retained_status(struct client *client, const struct bridge *bridge)
{
    client_subscribe(client, bridge->status_topic);
    const struct message *status =
        client_expect(client, &(struct match){.topic = bridge->status_topic});
    assert_true(status->is_retained);
    return status;
}

static void test_online_is_retained_and_names_the_instance(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "instance = \"press 7\";");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    struct client *client = client_new(fixture->broker.port, 5);
    const struct message *status = retained_status(client, bridge);
    check_text(status, "State", "online");
    check_text(status, "Instance", "press 7");
    client_free(client);
    bridge_stop(bridge);
}

static void test_a_stop_publishes_offline_with_its_reason(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    bridge_stop(bridge);
    const struct message *status = expect_status(fixture, bridge, "offline");
    assert_true(json_text(status->json, "Reason")[0] != '\0');
    struct client *client = client_new(fixture->broker.port, 5);
    check_text(retained_status(client, bridge), "State", "offline");
    client_free(client);
}

static void test_a_killed_bridge_is_offline_by_its_last_will(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const struct match offline = {.topic = bridge->status_topic, .state = "offline"};
    int64_t begin_ms = flow_now_ms();
    bridge_kill(bridge);
    client_expect(fixture->sender, &offline);
    assert_true(flow_now_ms() - begin_ms > 8000);
    struct client *client = client_new(fixture->broker.port, 5);
    check_text(retained_status(client, bridge), "State", "offline");
    client_free(client);
}

static void test_a_quick_restart_publishes_no_offline(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    bridge_kill(bridge);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    /* After the Will Delay of the killed connection. */
    const struct message *offline = client_take(
        fixture->sender, &(struct match){.topic = bridge->status_topic, .state = "offline"}, 11000);
    assert_null(offline);
}

static void test_a_killed_publisher_publishes_no_offline(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    bridge_kill_children(bridge, "publisher");
    expect_status(fixture, bridge, "online");
    fixture_expect_nothing(fixture,
                           &(struct match){.topic = bridge->status_topic, .state = "offline"});
}

static void test_a_bridge_may_start_before_its_broker(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    broker_stop(&fixture->broker);
    client_free(fixture->sender);
    fixture->sender = NULL;
    bridge_start(bridge);
    bridge_wait_log(bridge, "could not connect");
    broker_start(&fixture->broker);
    fixture_renew_sender(fixture);
    bridge_wait_online(bridge);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    bridge_stop(bridge);
}

static void test_the_next_broker_address_is_tried(struct fixture *fixture)
{
    int guard = -1;
    int dead = port_reserve(&guard);
    fixture_bridge(fixture, fixture_format(fixture,
                                           "broker.uris = (\"mqtt://127.0.0.1:%d\","
                                           "\"mqtt://127.0.0.1:%d\");",
                                           dead, fixture->broker.port));
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    close(guard);
}

/* --- MQTT 3.1.1 --- */

static void test_mqtt_3_1_1_works(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "broker.protocol = 4;");
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, "inbox"));
    const char *token = fixture_name(fixture, "token");
    const struct message *reply =
        fixture_request(fixture, token, fixture_name(fixture, "pg"), ",\"CorrelationId\":\"c-1\"");
    check_succeeded(reply);
    check_text(reply, "CorrelationId", "c-1");
    fixture_send(fixture, fixture_command(fixture, fixture_name(fixture, "token"),
                                          fixture_name(fixture, "pg"),
                                          fixture_format(fixture, ",\"ReplyTo\":\"%s\"", topic)));
    check_succeeded(client_expect(fixture->sender, &(struct match){.topic = topic}));
    fixture_send(fixture, "{\"RegionId\":\"cn-beijing\"}");
    client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    bridge_stop(bridge);
    expect_status(fixture, bridge, "offline");
}

/* mosquitto has shared subscriptions with MQTT 3.1.1, too. Of other brokers the bridge cannot know.
 */
static void test_a_share_with_mqtt_3_1_1_is_logged_at_the_start(struct fixture *fixture)
{
    struct bridge *bridge =
        fixture_bridge(fixture, "log.level = \"warn\"; broker.protocol = 4; routes.share = \"g\";");
    bridge_wait_log(bridge, "routes[0].share: needs shared subscriptions");
    bridge_wait_log(bridge, "use broker.protocol = 5, or no share");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
}

static void test_the_session_is_kept_with_mqtt_3_1_1(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "broker.protocol = 4;");
    const char *token = fixture_name(fixture, "token");
    bridge_kill(bridge);
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    bridge_start(bridge);
    check_succeeded(fixture_expect_reply(fixture, token));
}

static void test_the_last_will_works_with_mqtt_3_1_1(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "broker.protocol = 4;");
    bridge_kill(bridge);
    expect_status(fixture, bridge, "offline");
}

/* --- restarts of the broker --- */

static void test_a_broker_restart_during_load_loses_no_reply(struct fixture *fixture)
{
    struct load load;
    enum { COMMANDS = 200, TOKENS = 100 };
    fixture_bridge(fixture, "");
    load_init(&load, fixture, fixture_name(fixture, "t"), COMMANDS, TOKENS, 10);
    simulator_fault(&fixture->simulator, "\"latency\",\"DelayMs\":10,\"Count\":-1");
    load_send(&load, 0, COMMANDS);
    load_wait_answered(&load, 5);
    broker_stop(&fixture->broker);
    broker_start(&fixture->broker);
    client_reconnect(load.client);
    load_wait_answered(&load, COMMANDS);
    load_check(&load);
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), TOKENS);
    load_fini(&load);
    fixture_renew_sender(fixture);
}

/*
 * A killed broker may lose messages that it has acknowledged. The senders get no reply and send the
 * same command again.
 */
static void test_a_broker_kill_during_load_needs_at_most_a_resent_command(struct fixture *fixture)
{
    struct load load;
    enum { COMMANDS = 100 };
    fixture_bridge(fixture, "");
    load_init(&load, fixture, fixture_name(fixture, "t"), COMMANDS, COMMANDS, 10);
    simulator_fault(&fixture->simulator, "\"latency\",\"DelayMs\":10,\"Count\":-1");
    load_send(&load, 0, COMMANDS);
    load_wait_answered(&load, 5);
    broker_kill(&fixture->broker);
    broker_start(&fixture->broker);
    client_reconnect(load.client);
    client_subscribe(load.client, fixture_format(fixture, FLOW_REPLIES "load/%s", load.name));
    for (int round = 0; round < 10 && load.answered_count < COMMANDS; round++) {
        for (int i = 0; i < COMMANDS; i++) {
            if (load.reply_counts[i] == 0) {
                load_post(&load, i);
            }
        }
        client_flush(load.client);
        int64_t end_ms = flow_now_ms() + 2000;
        while (load.answered_count < COMMANDS && flow_now_ms() < end_ms) {
            client_step(load.client, 50);
            load_count(&load);
        }
    }
    load_check(&load);
    assert_int_equal(simulator_total(&fixture->simulator, "MaxEffectsPerToken"), 1);
    load_fini(&load);
    fixture_renew_sender(fixture);
}

static void test_replies_wait_for_the_broker(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    struct client *inbox = client_new_lasting(fixture->broker.port, fixture_name(fixture, "inbox"));
    client_subscribe(inbox, fixture_format(fixture, FLOW_REPLIES "%s", token));
    simulator_fault(&fixture->simulator, "\"hang\"");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    simulator_wait_token(&fixture->simulator, token, 1);
    broker_stop(&fixture->broker);
    simulator_clear(&fixture->simulator);
    simulator_wait(&fixture->simulator, "Answered", 1);
    bridge_wait_log(bridge, "command_done");
    broker_start(&fixture->broker);
    client_reconnect(inbox);
    check_succeeded(client_expect(inbox, &(struct match){.token = token}));
    client_free(inbox);
    fixture_renew_sender(fixture);
}

/* The broker is not running at that time. */
static void test_replies_survive_a_kill_of_the_bridge(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    struct client *inbox = client_new_lasting(fixture->broker.port, fixture_name(fixture, "inbox"));
    client_subscribe(inbox, fixture_format(fixture, FLOW_REPLIES "%s", token));
    simulator_fault(&fixture->simulator, "\"hang\"");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    simulator_wait_token(&fixture->simulator, token, 1);
    broker_stop(&fixture->broker);
    simulator_clear(&fixture->simulator);
    bridge_wait_log(bridge, "command_done");
    bridge_kill(bridge);
    client_free(fixture->sender);
    fixture->sender = NULL;
    bridge_start(bridge);
    broker_start(&fixture->broker);
    client_reconnect(inbox);
    check_succeeded(client_expect(inbox, &(struct match){.token = token}));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    client_free(inbox);
    fixture_renew_sender(fixture);
}

/* mosquitto 2.0.11 closes the older connection without a word, 2.0.21 says that it was taken over.
 */
static void test_two_bridges_with_one_client_id_say_so(struct fixture *fixture)
{
    static const char settings[] = "broker.client_id = \"same\"; broker.reconnect_max_s = 1;";
    struct bridge *one = fixture_bridge_alone(fixture, settings);
    struct bridge *other = fixture_bridge_new(fixture, settings);
    bridge_start(one);
    bridge_wait_online(one);
    bridge_start(other);
    bridge_wait_log(one, "the same client id");
    bridge_stop(other);
    bridge_stop(one);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_killed_publisher_publishes_no_offline),
        FLOW_TEST(test_a_stop_publishes_offline_with_its_reason),
        FLOW_TEST(test_online_is_retained_and_names_the_instance),
        FLOW_TEST(test_the_next_broker_address_is_tried),
        FLOW_TEST(test_mqtt_3_1_1_works),
        FLOW_TEST(test_a_share_with_mqtt_3_1_1_is_logged_at_the_start),
        FLOW_TEST(test_the_session_is_kept_with_mqtt_3_1_1),
        FLOW_TEST(test_the_last_will_works_with_mqtt_3_1_1),
        FLOW_TEST(test_a_bridge_may_start_before_its_broker),
        FLOW_TEST(test_a_broker_restart_during_load_loses_no_reply),
        FLOW_TEST(test_a_broker_kill_during_load_needs_at_most_a_resent_command),
        FLOW_TEST(test_replies_wait_for_the_broker),
        FLOW_TEST(test_replies_survive_a_kill_of_the_bridge),
        FLOW_TEST(test_a_killed_bridge_is_offline_by_its_last_will),
        FLOW_TEST(test_a_quick_restart_publishes_no_offline),
        FLOW_TEST(test_two_bridges_with_one_client_id_say_so),
    };
    return flow_main("connection", tests, sizeof tests / sizeof tests[0],
                     "persistence true\nautosave_interval 1\nautosave_on_changes true\n", argc,
                     argv);
}
