/* Brokers with the limits of a service: ApsaraMQ for MQTT as mosquitto can show it, and a limited
 * publish rate. */
#include "flow_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The vectors of unit_mqtt_broker_login: what the key XXXXX makes of the two client ids. */
#define IN_PASSWORD  "UY0NukuJYAZWz2JLVezgC6xO/ZI="
#define OUT_PASSWORD "FAT+AvtmEqTVgL5GXtm2zA9PNgc="

/* Adds a user to the broker's file. */
static void add_user(const char *directory, const char *user, const char *password)
{
    const char *const argv[] = {"mosquitto_passwd", "-b", "users", user, password, NULL};
    struct tool_result result = tool_run(directory, NULL, argv);
    if (result.code != 0) {
        flow_fail("mosquitto_passwd: %s", result.errors);
    }
    tool_result_fini(&result);
}

/* A broker that knows the two devices, and has no retained messages. */
static void start_service(struct fixture *fixture, struct broker *broker)
{
    const char *directory = fixture_format(fixture, "%s/service", fixture->directory);
    mkdir(directory, 0700);
    file_write(fixture_format(fixture, "%s/users", directory), "");
    add_user(directory, "DeviceCredential|DC.in|i1", IN_PASSWORD);
    add_user(directory, "DeviceCredential|DC.out|i1", OUT_PASSWORD);
    broker_init(broker, directory,
                fixture_format(fixture,
                               "retain_available false\nmax_keepalive 480\n"
                               "max_packet_size 65536\npassword_file %s/users\n",
                               directory));
    broker_start(broker);
}

static void test_commands_and_replies_go_through_a_broker_with_the_limits_of_apsaramq(
    struct fixture *fixture)
{
    struct broker broker;
    start_service(fixture, &broker);
    const char *credentials =
        fixture_format(fixture, "%s/apsaramq.credentials", fixture->directory);
    file_write(credentials,
               "[GID_bridge@@@b1-in]\naccess_key_id = DC.in\naccess_key_secret = XXXXX\n"
               "[GID_bridge@@@b1-out]\naccess_key_id = DC.out\naccess_key_secret = XXXXX\n");
    chmod(credentials, 0600);
    struct bridge *bridge = fixture_bridge_new(
        fixture, fixture_format(fixture,
                                "instance = \"b1\"; broker.profile = \"apsaramq\";"
                                "broker.uris = (\"mqtt://127.0.0.1:%d\");"
                                "broker.apsaramq.instance_id = \"i1\";"
                                "broker.apsaramq.credentials_file = \"%s\";",
                                broker.port, credentials));
    bridge_start(bridge);
    broker_wait_log(&broker, "as GID_bridge@@@b1-out");
    bridge_wait_log(bridge, "publisher_up");
    bridge_wait_log(bridge, "receiver_up");
    struct client *sender = client_new(broker.port, 5);
    client_subscribe(sender, "ecsbridge/#");
    const char *own_topic = "ecsbridge/p2p/GID_ops@@@me";
    const char *token = fixture_name(fixture, "token");
    const char *other = fixture_name(fixture, "token");
    client_publish(sender,
                   &(struct outgoing){.topic = "ecsbridge/cmd/start",
                                      .payload = fixture_command(fixture, token, "pg-1", ""),
                                      .qos = 1});
    check_succeeded(
        client_expect(sender, &(struct match){.topic = "ecsbridge/rep", .token = token}));
    client_publish(sender,
                   &(struct outgoing){.topic = "ecsbridge/cmd/start",
                                      .payload = fixture_command(fixture, other, "pg-1", ""),
                                      .qos = 1,
                                      .response_topic = own_topic});
    check_succeeded(client_expect(sender, &(struct match){.topic = own_topic, .token = other}));
    /* Neither Last Will nor status, and no password or key in the log. */
    if (bridge_log_contains(bridge, "broker_limit") || bridge_log_contains(bridge, "XXXXX") ||
        bridge_log_contains(bridge, IN_PASSWORD) || bridge_log_contains(bridge, OUT_PASSWORD)) {
        flow_fail("the log has a limit of the broker or a secret");
    }
    client_free(sender);
    bridge_stop(bridge);
    broker_fini(&broker);
}

static void test_replies_wait_for_the_publish_rate_and_a_reload_lets_them_go(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "broker.publish_per_s = 0.001;");
    bridge_start(bridge);
    bridge_wait_online(bridge); /* the one message of a thousand seconds */
    const char *tokens[3];
    for (size_t i = 0; i < 3; i++) {
        tokens[i] = fixture_name(fixture, "token");
        fixture_send(fixture, fixture_command(fixture, tokens[i], fixture_name(fixture, "pg"), ""));
        simulator_wait_token(&fixture->simulator, tokens[i], 1);
    }
    client_sync(fixture->sender);
    for (size_t i = 0; i < 3; i++) {
        if (client_count(fixture->sender, &(struct match){.token = tokens[i]}) != 0) {
            flow_fail("a reply did not wait");
        }
    }
    fixture_set(bridge, "broker.publish_per_s = 0.0;");
    kill(bridge->pid, SIGHUP);
    for (size_t i = 0; i < 3; i++) {
        check_succeeded(fixture_expect_reply(fixture, tokens[i]));
    }
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_commands_and_replies_go_through_a_broker_with_the_limits_of_apsaramq),
        FLOW_TEST(test_replies_wait_for_the_publish_rate_and_a_reload_lets_them_go),
    };
    return flow_main("services", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
