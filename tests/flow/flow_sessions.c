/* Sessions that the broker keeps for a bridge: what happens to them when the settings change. */
#include "flow_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BETWEEN = 3 };

static void send_tokenless(struct fixture *fixture, const char *group)
{
    fixture_send(
        fixture,
        fixture_format(fixture, "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\"}", group));
}

/* Commands that come while no bridge is connected. */
static void send_between(struct fixture *fixture)
{
    for (int i = 0; i < BETWEEN; i++) {
        send_tokenless(fixture, fixture_name(fixture, "pg"));
    }
}

/* So many calls with an effect since `before`; and no more, when a later command has its reply. */
static void expect_effects(struct fixture *fixture, int before, int count)
{
    simulator_wait(&fixture->simulator, "Effects", before + count);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), before + count + 1);
}

static const char *client_id_setting(struct fixture *fixture, const char *id, int protocol)
{
    return fixture_format(fixture, "broker.client_id = \"%s\"; broker.protocol = %d;", id,
                          protocol);
}

/* With both protocols: MQTT 3.1.1 knows no session expiry. */
static void change_client_id(struct fixture *fixture, int protocol)
{
    const char *former = client_id_setting(fixture, fixture_name(fixture, "former"), protocol);
    const char *present = client_id_setting(fixture, fixture_name(fixture, "present"), protocol);
    struct bridge *bridge = fixture_bridge_alone(fixture, former);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_stop(bridge);
    int before = simulator_total(&fixture->simulator, "Effects");
    send_between(fixture);
    fixture_set(bridge, present);
    bridge_start(bridge);
    client_expect(fixture->sender,
                  &(struct match){.topic = bridge->status_topic, .state = "degraded"});
    assert_true(bridge_log_contains(bridge, "draining_session"));
    expect_effects(fixture, before, BETWEEN);
    bridge_wait_online(bridge);
    assert_true(bridge_log_contains(bridge, "event=session_ended"));
    bridge_stop(bridge);
    /* The broker has forgotten the former session, and that is no loss. */
    fixture_set(bridge, former);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    assert_false(bridge_log_contains(bridge, "event=session_lost"));
    bridge_stop(bridge);
}

static void test_a_changed_client_id_strands_no_command(struct fixture *fixture)
{
    change_client_id(fixture, 5);
}

static void test_a_changed_client_id_strands_no_command_with_mqtt_3_1_1(struct fixture *fixture)
{
    change_client_id(fixture, 4);
}

static void test_changed_topics_and_share_do_nothing_twice(struct fixture *fixture)
{
    static const char *const settings[] = {
        "routes.topics = (\"ecs-bridge/v1/commands/+\");",
        "routes.topics = (\"ecs-bridge/v1/commands/start\");",
        "routes.share = \"blue\";",
        "routes.share = \"green\";",
    };
    const char *id = fixture_name(fixture, "id");
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        fixture_set(bridge,
                    fixture_format(fixture, "broker.client_id = \"%s\"; %s", id, settings[i]));
        bridge_start(bridge);
        bridge_wait_online(bridge);
        int before = simulator_total(&fixture->simulator, "Effects");
        send_between(fixture);
        expect_effects(fixture, before, BETWEEN);
        bridge_stop(bridge);
    }
}

/* At most four messages in a millisecond, and no more ahead of the bridge than it can call in time
 * on a slow machine. What arrives is read after each of them. */
static void keep_pace(struct fixture *fixture, int64_t begin_ms, int effects_before, int count)
{
    enum { LEAD = 3000 };
    client_step(fixture->sender, 0);
    while (flow_now_ms() < begin_ms + count / 4) {
        client_step(fixture->sender, 1);
    }
    while (count % 100 == 0 &&
           simulator_total(&fixture->simulator, "Effects") < effects_before + count - LEAD) {
        client_step(fixture->sender, 10);
    }
}

/*
 * Commands that come all the time while the old and the new subscription change places: each is for
 * a group of its own, so one that is lost or done twice shows in the number of effects.
 */
static void change_under_load(struct fixture *fixture, const char *before, const char *after)
{
    enum { MORE = 1000 };
    struct bridge *bridge = fixture_bridge_alone(fixture, before);
    const char *prefix = fixture_name(fixture, "pg");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_stop(bridge);
    int effects = simulator_total(&fixture->simulator, "Effects");
    fixture_set(bridge, after);
    bridge_start(bridge);
    int count = 0;
    bool has_status = false;
    int64_t begin_ms = flow_now_ms();
    for (int left = MORE; left > 0; count++) {
        char payload[128];
        snprintf(payload, sizeof payload,
                 "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s-%d\"}", prefix, count);
        assert_true(
            client_post(fixture->sender,
                        &(struct outgoing){.topic = FLOW_COMMANDS, .payload = payload, .qos = 1}));
        keep_pace(fixture, begin_ms, effects, count);
        has_status = has_status || client_count(fixture->sender,
                                                &(struct match){.topic = bridge->status_topic}) > 0;
        left -= has_status;
    }
    client_flush(fixture->sender);
    expect_effects(fixture, effects, count);
    bridge_wait_online(bridge);
    bridge_stop(bridge);
}

/* The same while the bridge runs: it reads its settings again. With tokens, because what the former
 * receiver could not acknowledge any more comes again. */
static void test_topics_that_change_by_a_reload_lose_and_double_nothing(struct fixture *fixture)
{
    enum { BEFORE = 100, MORE = 500 };
    struct bridge *bridge =
        fixture_bridge_alone(fixture, "routes.topics = (\"ecs-bridge/v1/commands/+\");");
    const char *prefix = fixture_name(fixture, "pg");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    int effects = simulator_total(&fixture->simulator, "Effects");
    int count = 0;
    int64_t begin_ms = flow_now_ms();
    for (int left = MORE; left > 0; count++) {
        char payload[256];
        snprintf(payload, sizeof payload,
                 "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s-%d\",\"ClientToken\":"
                 "\"%s-%d\"}",
                 prefix, count, prefix, count);
        assert_true(
            client_post(fixture->sender,
                        &(struct outgoing){.topic = FLOW_COMMANDS, .payload = payload, .qos = 1}));
        if (count == BEFORE) {
            fixture_set(bridge, "");
            kill(bridge->pid, SIGHUP);
        }
        keep_pace(fixture, begin_ms, effects, count);
        left -= bridge_log_contains(bridge, "event=reloaded");
    }
    client_flush(fixture->sender);
    expect_effects(fixture, effects, count);
    /* The former filter is gone at the broker. */
    client_publish(fixture->sender, &(struct outgoing){.topic = "ecs-bridge/v1/commands/other",
                                                       .payload = "no command",
                                                       .qos = 1});
    fixture_expect_nothing(fixture, &(struct match){.topic = FLOW_DEAD_LETTERS});
    bridge_stop(bridge);
}

static void test_topics_that_change_under_load_lose_and_double_nothing(struct fixture *fixture)
{
    const char *id = client_id_setting(fixture, fixture_name(fixture, "id"), 5);
    change_under_load(
        fixture, fixture_format(fixture, "%s routes.topics = (\"ecs-bridge/v1/commands/+\");", id),
        id);
}

static void test_a_client_id_that_changes_under_load_loses_and_doubles_nothing(
    struct fixture *fixture)
{
    change_under_load(fixture, client_id_setting(fixture, fixture_name(fixture, "id"), 5),
                      client_id_setting(fixture, fixture_name(fixture, "id"), 5));
}

static void test_a_bridge_that_leaves_answers_what_the_broker_holds(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_stop(bridge);
    const char *token = fixture_name(fixture, "token");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    bridge->is_leaving = true;
    bridge_start(bridge);
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_int_equal(bridge_wait_exit(bridge), 0);
    assert_true(bridge_log_contains(bridge, "event=session_ended"));
    /* No status is retained, and nothing subscribes any more. */
    struct client *client = client_new(fixture->broker.port, 5);
    client_subscribe(client, bridge->status_topic);
    client_sync(client);
    assert_int_equal(client_count(client, &(struct match){.topic = bridge->status_topic}), 0);
    client_free(client);
    fixture_check_has_left(fixture, bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_changed_client_id_strands_no_command),
        FLOW_TEST(test_a_changed_client_id_strands_no_command_with_mqtt_3_1_1),
        FLOW_TEST(test_changed_topics_and_share_do_nothing_twice),
        FLOW_TEST(test_topics_that_change_under_load_lose_and_double_nothing),
        FLOW_TEST(test_topics_that_change_by_a_reload_lose_and_double_nothing),
        FLOW_TEST(test_a_client_id_that_changes_under_load_loses_and_doubles_nothing),
        FLOW_TEST(test_a_bridge_that_leaves_answers_what_the_broker_holds),
    };
    /* Under load more commands wait for the bridge than mosquitto's default of 1000. */
    return flow_main("sessions", tests, sizeof tests / sizeof tests[0],
                     "max_queued_messages 100000\n", argc, argv);
}
