/*
 * The recipe for edge sites (deploy/recipes/edge.md) with two real brokers: a mosquitto at a site
 * that forwards commands to the central one, and the bridge at the central broker.
 */
#include "flow_fixture.h"

#include <stdio.h>
#include <sys/stat.h>

#define SITE "sites/a/"

static const char routes[] =
    "routes = ( { name = \"site-a\"; action = \"StartDiskReplicaGroup\";"
    " topics = (\"" SITE FLOW_COMMANDS "\"); client_token = \"required\";"
    " reply_topic = \"" SITE FLOW_REPLIES "{ClientToken}\";"
    " response_topics = (\"" SITE FLOW_REPLIES "#\");"
    " regions = (\"cn-beijing\"); groups = (\"a-*\"); },"
    " { name = \"site-b\"; action = \"StartDiskReplicaGroup\";"
    " topics = (\"sites/b/" FLOW_COMMANDS "\"); client_token = \"required\";"
    " reply_topic = \"sites/b/" FLOW_REPLIES "{ClientToken}\";"
    " response_topics = (\"sites/b/" FLOW_REPLIES "#\");"
    " regions = (\"cn-beijing\"); groups = (\"b-*\"); } );";

struct site {
    struct broker broker;
    struct client *client; /* with a persistent session, subscribed to the replies */
    char client_id[64];
};

/* One connection to the central broker for commands and replies, with MQTT 5. */
static const char one_connection[] = "topic " FLOW_COMMANDS " out 1 \"\" " SITE "\n"
                                     "topic " FLOW_REPLIES "# in 1 \"\" " SITE "\n";

/*
 * A second one for replies, with MQTT 3.1.1: mosquitto asks for no Session Expiry Interval, so the
 * session of a connection with MQTT 5 ends with the connection.
 */
static const char two_connections[] = "topic " FLOW_COMMANDS " out 1 \"\" " SITE "\n"
                                      "connection replies\n"
                                      "address 127.0.0.1:%d\n"
                                      "bridge_protocol_version mqttv311\n"
                                      "remote_clientid site-a-replies-%d\n"
                                      "cleansession false\n"
                                      "notifications false\n"
                                      "restart_timeout 1\n"
                                      "topic " FLOW_REPLIES "# in 1 \"\" " SITE "\n";

static void begin(struct site *site, struct fixture *fixture, const char *connections)
{
    static int number;
    const char *directory = fixture_format(fixture, "%s/site-%d", fixture->directory, ++number);
    char rest[1024];
    mkdir(directory, 0700);
    if (connections == two_connections) {
        snprintf(rest, sizeof rest, two_connections, fixture->broker.port, number);
    } else {
        snprintf(rest, sizeof rest, "%s", connections);
    }
    broker_init(&site->broker, directory,
                fixture_format(fixture,
                               "persistence true\n"
                               "connection central\n"
                               "address 127.0.0.1:%d\n"
                               "bridge_protocol_version mqttv50\n"
                               "remote_clientid site-a-%d\n"
                               "cleansession false\n"
                               "notifications false\n"
                               "restart_timeout 1\n"
                               "%s",
                               fixture->broker.port, number, rest));
    broker_start(&site->broker);
    broker_wait_log(&site->broker, "Received SUBACK");
    snprintf(site->client_id, sizeof site->client_id, "sender-%d", number);
    site->client = client_new_lasting(site->broker.port, site->client_id);
    client_subscribe(site->client, FLOW_REPLIES "#");
}

static void end(struct site *site)
{
    client_free(site->client);
    broker_fini(&site->broker);
}

static void send_token(const struct site *site, struct fixture *fixture, const char *token)
{
    client_publish(site->client,
                   &(struct outgoing){.topic = FLOW_COMMANDS,
                                      .payload = fixture_command(fixture, token, "a-1", ""),
                                      .qos = 1});
}

/* Publishes a command for the group a-1 at the site, with no MQTT 5 property. */
static const char *send_at_site(const struct site *site, struct fixture *fixture)
{
    const char *token = fixture_name(fixture, "token");
    send_token(site, fixture, token);
    return token;
}

static const struct message *expect_at_site(const struct site *site, struct fixture *fixture,
                                            const char *token)
{
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", token);
    return client_expect(site->client, &(struct match){.topic = topic});
}

static void test_a_command_of_a_site_is_answered_at_the_site(struct fixture *fixture)
{
    struct site site;
    begin(&site, fixture, one_connection);
    fixture_bridge(fixture, routes);
    const char *token = send_at_site(&site, fixture);
    check_succeeded(expect_at_site(&site, fixture, token));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    end(&site);
}

/* The properties pass both brokers because both connections are MQTT 5. */
static void test_a_site_may_name_a_reply_topic_by_its_central_name(struct fixture *fixture)
{
    struct site site;
    begin(&site, fixture, one_connection);
    fixture_bridge(fixture, routes);
    const char *token = fixture_name(fixture, "token");
    client_publish(site.client,
                   &(struct outgoing){
                       .topic = FLOW_COMMANDS,
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "a"), ""),
                       .qos = 1,
                       .response_topic = SITE FLOW_REPLIES "own",
                       .correlation = "c-1"});
    const struct message *reply =
        client_expect(site.client, &(struct match){.topic = FLOW_REPLIES "own"});
    check_succeeded(reply);
    assert_int_equal(reply->correlation_length, 3);
    assert_memory_equal(reply->correlation, "c-1", 3);
    assert_string_equal(message_user(reply, "status"), "succeeded");
    /* By its name at the site it is not one of this route's reply topics. */
    client_publish(site.client,
                   &(struct outgoing){.topic = FLOW_COMMANDS,
                                      .payload = fixture_command(fixture, "local-name", "a-1", ""),
                                      .qos = 1,
                                      .response_topic = FLOW_REPLIES "own"});
    check_error(expect_at_site(&site, fixture, "local-name"), "failed",
                "Bridge.ReplyTopicNotAllowed", "denied", false);
    end(&site);
}

static void test_a_site_may_start_its_own_groups_only_and_sees_its_own_replies_only(
    struct fixture *fixture)
{
    struct site site;
    begin(&site, fixture, one_connection);
    fixture_bridge(fixture, routes);
    const char *token = fixture_name(fixture, "token");
    client_publish(site.client,
                   &(struct outgoing){.topic = FLOW_COMMANDS,
                                      .payload = fixture_command(fixture, token, "b-1", ""),
                                      .qos = 1});
    check_error(expect_at_site(&site, fixture, token), "failed", "Bridge.NotAllowed", "denied",
                false);
    client_subscribe(fixture->sender, "sites/b/" FLOW_REPLIES "#");
    client_publish(fixture->sender,
                   &(struct outgoing){.topic = "sites/b/" FLOW_COMMANDS,
                                      .payload = fixture_command(fixture, "of-site-b", "b-1", ""),
                                      .qos = 1});
    check_succeeded(client_expect(fixture->sender,
                                  &(struct match){.topic = "sites/b/" FLOW_REPLIES "of-site-b"}));
    expect_at_site(&site, fixture, send_at_site(&site, fixture));
    assert_int_equal(client_count(site.client, &(struct match){.token = "of-site-b"}), 0);
    end(&site);
}

static void test_commands_wait_at_the_site_while_the_central_broker_is_down(struct fixture *fixture)
{
    enum { COMMANDS = 20 };
    struct site site;
    const char *tokens[COMMANDS];
    begin(&site, fixture, one_connection);
    fixture_bridge(fixture, routes);
    broker_stop(&fixture->broker);
    for (int i = 0; i < COMMANDS; i++) {
        tokens[i] = send_at_site(&site, fixture);
    }
    broker_start(&fixture->broker);
    for (int i = 0; i < COMMANDS; i++) {
        check_succeeded(expect_at_site(&site, fixture, tokens[i]));
        assert_int_equal(simulator_token(&fixture->simulator, tokens[i], "Effects"), 1);
    }
    end(&site);
    fixture_renew_sender(fixture);
}

/* Sends a command; the site's broker is down when its reply goes out. */
static const char *miss_reply(struct site *site, struct fixture *fixture)
{
    fixture_bridge(fixture, routes);
    simulator_fault(&fixture->simulator, "\"hang\"");
    const char *token = send_at_site(site, fixture);
    simulator_wait_token(&fixture->simulator, token, 1);
    broker_stop(&site->broker);
    simulator_clear(&fixture->simulator);
    client_expect(fixture->sender,
                  &(struct match){.topic = fixture_format(fixture, SITE FLOW_REPLIES "%s", token)});
    broker_start(&site->broker);
    client_reconnect(site->client);
    return token;
}

static void test_a_reply_that_a_site_has_missed_is_given_again(struct fixture *fixture)
{
    struct site site;
    client_subscribe(fixture->sender, SITE FLOW_REPLIES "#");
    begin(&site, fixture, one_connection);
    const char *token = miss_reply(&site, fixture);
    send_token(&site, fixture, token);
    const struct message *reply = expect_at_site(&site, fixture, token);
    check_succeeded(reply);
    assert_true(json_is_true(reply->json, "Replayed"));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    end(&site);
}

static void test_replies_wait_for_a_site_whose_replies_have_a_connection_with_mqtt_3_1_1(
    struct fixture *fixture)
{
    struct site site;
    client_subscribe(fixture->sender, SITE FLOW_REPLIES "#");
    begin(&site, fixture, two_connections);
    const char *token = miss_reply(&site, fixture);
    const struct message *reply = expect_at_site(&site, fixture, token);
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    end(&site);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_command_of_a_site_is_answered_at_the_site),
        FLOW_TEST(test_a_site_may_name_a_reply_topic_by_its_central_name),
        FLOW_TEST(test_a_site_may_start_its_own_groups_only_and_sees_its_own_replies_only),
        FLOW_TEST(test_a_reply_that_a_site_has_missed_is_given_again),
        FLOW_TEST(test_replies_wait_for_a_site_whose_replies_have_a_connection_with_mqtt_3_1_1),
        FLOW_TEST(test_commands_wait_at_the_site_while_the_central_broker_is_down),
    };
    return flow_main("edge", tests, sizeof tests / sizeof tests[0], "persistence true\n", argc,
                     argv);
}
