/*
 * Hostile input: each case ends with a clear refusal or a clear log line, the next valid command is
 * carried out, and the memory of the bridge's processes stays bounded.
 */
#include "flow_fixture.h"
#include "flow_memory.h"
#include "flow_raw.h"
#include "support/sanitizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOPIC_BYTES_MAX 65535
#define MIB             ((size_t)1 << 20)

enum {
    RESPONSE_TOPIC = 0x08,
    USER_PROPERTY = 0x26,
    MAXIMUM_PACKET_SIZE = 0x27,
    SUBSCRIBE = 0x82,
    CONNECT = 0x10,
};

static const unsigned char empty_user_property[] = {USER_PROPERTY, 0, 0, 0, 0};

/* The bridge still works, and no process had to be restarted. */
static void check_unharmed(struct fixture *fixture, struct bridge *bridge)
{
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    assert_false(bridge_log_contains(bridge, "receiver_down"));
    assert_false(bridge_log_contains(bridge, "publisher_down"));
    check_memory(bridge);
}

static void put_string(struct raw_bytes *bytes, const char *text)
{
    raw_put(bytes, text, strlen(text));
}

static void put_property(struct raw_bytes *bytes, int id, const void *data, size_t length)
{
    const unsigned char byte = (unsigned char)id;
    raw_put(bytes, &byte, 1);
    raw_put_text(bytes, data, length);
}

static void message_fini(struct raw_message *message)
{
    raw_fini(&message->topic);
    raw_fini(&message->properties);
    raw_fini(&message->payload);
}

/* Publishes the message, on the topic of the commands unless it has one, and frees it. */
static void publish(struct fixture *fixture, struct raw_message *message)
{
    int fd = raw_connect(fixture->broker.port);
    if (message->topic.length == 0) {
        put_string(&message->topic, FLOW_COMMANDS);
    }
    assert_true(raw_publish(fd, message));
    message_fini(message);
    close(fd);
}

/* --- what senders can publish through a correct broker --- */

static void test_very_long_numbers_are_refused(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    static const char *const fronts[] = {"{\"OneShot\":1", "{\"OneShot\":-0.", "{\"OneShot\":1e"};
    for (size_t i = 0; i < sizeof fronts / sizeof fronts[0]; i++) {
        struct raw_message message = {0};
        put_string(&message.payload, fronts[i]);
        raw_put_many(&message.payload, '9', 12000);
        put_string(&message.payload, "}");
        publish(fixture, &message);
        const struct message *letter =
            client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
        check_text(letter, "Error.Category", "invalid");
    }
    check_unharmed(fixture, bridge);
}

static void test_payloads_that_are_not_text_are_refused(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    static const struct {
        const char *bytes;
        size_t length;
    } payloads[] = {
        {"{\"ReplicaGroupId\":\"pg-\xff\xfe\"}", 26},
        {"{\"ReplicaGroupId\":\"pg\0x\"}", 25},
        {"{\"ReplicaGroupId\":\"\xed\xa0\x80\"}", 24},
        {"{\"ReplicaGroupId\":\"pg\\u0000\"}", 29},
        {"\0\0\0\0", 4},
        {"{\"ReplicaGroupId\":\"\xc0\xaf\"}", 23},
    };
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        struct raw_message message = {0};
        raw_put(&message.payload, payloads[i].bytes, payloads[i].length);
        publish(fixture, &message);
        const struct message *letter =
            client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
        check_text(letter, "Error.Category", "invalid");
        check_text(letter, "Error.Source", "bridge");
    }
    check_unharmed(fixture, bridge);
}

/* As many as a packet of the announced size can hold; a tenth with a sanitizer, because Paho's
 * growing array is copied each time: on a busy machine that takes longer than the keepalive. */
#if IS_SANITIZED
#define PROPERTIES_MAX 20000
#else
#define PROPERTIES_MAX 212000
#endif

static void test_thousands_of_user_properties_are_ignored(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    struct raw_message message = {0};
    const char *token = fixture_name(fixture, "token");
    raw_put_times(&message.properties, empty_user_property, sizeof empty_user_property,
                  PROPERTIES_MAX);
    put_string(&message.payload, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    publish(fixture, &message);
    check_succeeded(fixture_expect_reply(fixture, token));
    check_unharmed(fixture, bridge);
}

static void test_a_packet_above_the_announced_size_is_not_delivered(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    struct raw_message wide = {0};
    struct raw_message long_one = {0};
    raw_put_times(&wide.properties, empty_user_property, sizeof empty_user_property, 1000000);
    raw_put_many(&long_one.payload, ' ', 64 * MIB);
    publish(fixture, &wide);
    publish(fixture, &long_one);
    check_unharmed(fixture, bridge);
    assert_int_equal(client_count(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS}), 0);
}

static void test_a_topic_of_65535_bytes_is_accepted(struct fixture *fixture)
{
    struct bridge *bridge =
        fixture_bridge(fixture, "routes.topics = (\"" FLOW_COMMANDS "\", \"long/#\");");
    struct raw_message good = {0};
    struct raw_message bad = {0};
    const char *token = fixture_name(fixture, "token");
    put_string(&good.topic, "long/");
    raw_put_many(&good.topic, 'a', TOPIC_BYTES_MAX - good.topic.length);
    put_string(&good.payload, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    raw_put(&bad.topic, good.topic.data, good.topic.length);
    put_string(&bad.payload, "no JSON");
    publish(fixture, &good);
    check_succeeded(fixture_expect_reply(fixture, token));
    publish(fixture, &bad);
    const struct message *letter =
        client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    assert_int_equal(strlen(json_text(letter->json, "Topic")), TOPIC_BYTES_MAX);
    check_unharmed(fixture, bridge);
}

static void ask_with_response_topic(struct fixture *fixture, const char *token, const void *place,
                                    size_t length)
{
    struct raw_message message = {0};
    put_property(&message.properties, RESPONSE_TOPIC, place, length);
    put_string(&message.payload, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    publish(fixture, &message);
}

/* Refused at the topic of the route; other commands get their replies. */
static void check_refused_response_topic(struct fixture *fixture, struct bridge *bridge,
                                         const struct raw_bytes *place, size_t length)
{
    const char *token = fixture_name(fixture, "token");
    ask_with_response_topic(fixture, token, place->data, length);
    check_error(fixture_expect_reply(fixture, token), "failed", "Bridge.ReplyTopicNotAllowed",
                "denied", false);
    check_unharmed(fixture, bridge);
}

static void test_a_response_topic_of_65535_bytes_is_refused(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    struct raw_bytes place = {0};
    put_string(&place, FLOW_REPLIES);
    raw_put_many(&place, 'r', TOPIC_BYTES_MAX - place.length);
    check_refused_response_topic(fixture, bridge, &place, TOPIC_BYTES_MAX);
    raw_fini(&place);
}

static bool broker_takes_response_topic(struct fixture *fixture, const struct raw_bytes *place)
{
    struct raw_message message = {0};
    int fd = raw_connect(fixture->broker.port);
    put_string(&message.topic, "to/nobody");
    put_property(&message.properties, RESPONSE_TOPIC, place->data, place->length);
    bool is_taken = raw_publish(fd, &message);
    message_fini(&message);
    close(fd);
    return is_taken;
}

/* Mosquitto closes the connection of a client that publishes to more than 200 levels; 2.0.21 also
 * that of a client which names such a response topic. */
static void test_a_response_topic_of_more_than_200_levels_stops_no_other_reply(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    struct raw_bytes place = {0};
    put_string(&place, FLOW_REPLIES);
    raw_put_many(&place, '/', 220);
    if (broker_takes_response_topic(fixture, &place)) {
        check_refused_response_topic(fixture, bridge, &place, place.length);
    } else {
        check_unharmed(fixture, bridge);
    }
    assert_false(bridge_log_contains(bridge, "publisher_down"));
    raw_fini(&place);
}

static void test_correlation_data_of_60000_bytes_is_refused(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    struct raw_bytes data = {0};
    const char *token = fixture_name(fixture, "token");
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s/own", token);
    raw_put_many(&data, 'c', 60000);
    client_publish(fixture->sender,
                   &(struct outgoing){
                       .topic = FLOW_COMMANDS,
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
                       .qos = 1,
                       .response_topic = topic,
                       .correlation = data.data,
                       .correlation_length = data.length});
    const struct message *reply = client_expect(fixture->sender, &(struct match){.topic = topic});
    check_error(reply, "failed", "Bridge.InvalidParameter", "invalid", false);
    assert_int_equal(reply->correlation_length, 0);
    raw_fini(&data);
    check_unharmed(fixture, bridge);
}

static void test_no_sender_makes_the_bridge_publish_to_the_brokers_own_topics(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "routes.response_topics = (\"#\");");
    static const char *const places[] = {"$SYS/broker/x", "$share/g/x", "$x"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        ask_with_response_topic(fixture, token, places[i], strlen(places[i]));
        check_error(fixture_expect_reply(fixture, token), "failed", "Bridge.ReplyTopicNotAllowed",
                    "denied", false);
    }
    check_unharmed(fixture, bridge);
}

/* --- a hostile broker --- */

struct hostile_broker {
    int listener;
    int receiver;
    int publisher;
    struct raw_bytes connect; /* the receiver's packet */
};

static bool holds(const struct raw_bytes *bytes, const void *part, size_t length)
{
    return memmem(bytes->data, bytes->length, part, length) != NULL;
}

/* Accepts the receiver, its subscription and the publisher. */
static void hostile_accept(struct hostile_broker *hostile)
{
    static const unsigned char connack[] = {0x20, 3, 0, 0, 0};
    unsigned char suback[] = {0x90, 4, 0, 0, 0, 1};
    struct raw_bytes body = {0};
    while (hostile->receiver < 0 || hostile->publisher < 0) {
        int fd = raw_accept(hostile->listener);
        assert_int_equal(raw_read(fd, &body), CONNECT);
        bool is_receiver = holds(&body, "-in", 3);
        assert_true(raw_write(fd, connack, sizeof connack));
        if (is_receiver) {
            raw_fini(&hostile->connect);
            hostile->connect = body;
            body = (struct raw_bytes){0};
        }
        *(is_receiver ? &hostile->receiver : &hostile->publisher) = fd;
    }
    assert_int_equal(raw_read(hostile->receiver, &body), SUBSCRIBE);
    memcpy(suback + 2, body.data, 2);
    assert_true(raw_write(hostile->receiver, suback, sizeof suback));
    raw_fini(&body);
}

static struct bridge *hostile_start(struct fixture *fixture, struct hostile_broker *hostile)
{
    int port = 0;
    *hostile = (struct hostile_broker){.receiver = -1, .publisher = -1};
    hostile->listener = raw_listen(&port);
    struct bridge *bridge = fixture_bridge_new(
        fixture, fixture_format(fixture, "broker.uris = (\"mqtt://127.0.0.1:%d\");", port));
    bridge_start(bridge);
    hostile_accept(hostile);
    bridge_wait_log(bridge, "receiver_up");
    bridge_wait_log(bridge, "publisher_up");
    return bridge;
}

static void hostile_stop(struct hostile_broker *hostile)
{
    close(hostile->receiver);
    close(hostile->publisher);
    close(hostile->listener);
    raw_fini(&hostile->connect);
}

/* Reads and acknowledges what is published, until a packet contains the text. */
static void hostile_expect(struct hostile_broker *hostile, const char *text)
{
    struct raw_bytes body = {0};
    unsigned char acknowledged[] = {0x40, 2, 0, 0};
    bool is_there = false;
    while (!is_there) {
        int first = raw_read(hostile->publisher, &body);
        if (first < 0) {
            flow_fail("the publisher is gone");
        }
        if ((first & 0xf0) == 0x30) {
            size_t topic_bytes = (size_t)body.data[0] << 8 | body.data[1];
            memcpy(acknowledged + 2, body.data + 2 + topic_bytes, 2);
            raw_write(hostile->publisher, acknowledged, sizeof acknowledged);
            is_there = holds(&body, text, strlen(text));
        }
    }
    raw_fini(&body);
}

static void test_the_largest_packet_is_announced(struct fixture *fixture)
{
    static const unsigned char property[] = {MAXIMUM_PACKET_SIZE, 0, 0x10, 0x40, 0};
    struct hostile_broker hostile;
    struct bridge *bridge = hostile_start(fixture, &hostile);
    assert_true(holds(&hostile.connect, property, sizeof property)); /* 16 KiB and 1 MiB */
    bridge_kill(bridge);
    hostile_stop(&hostile);
}

static void test_a_packet_of_268_mb_ends_the_connection_and_takes_no_memory(struct fixture *fixture)
{
#if IS_SANITIZED
    skip(); /* with a sanitizer memory is not limited */
#endif
    static const unsigned char begin[] = {0x32, 0xff, 0xff, 0xff, 0x7f, 0, 1, 'x'};
    struct hostile_broker hostile;
    struct bridge *bridge = hostile_start(fixture, &hostile);
    char *megabyte = calloc(1, MIB);
    bool is_open = raw_write(hostile.receiver, begin, sizeof begin);
    for (int i = 0; i < 255 && is_open; i++) {
        is_open = raw_write(hostile.receiver, megabyte, MIB);
        check_memory(bridge);
    }
    free(megabyte);
    assert_false(is_open);
    bridge_wait_log(bridge, "a packet of the broker needed more memory than allowed");
    close(hostile.receiver);
    hostile.receiver = -1;
    hostile_accept(&hostile); /* the receiver connects again */
    check_memory(bridge);
    bridge_kill(bridge);
    hostile_stop(&hostile);
}

static void test_a_response_topic_that_is_no_topic_is_refused(struct fixture *fixture)
{
    static const char *const places[] = {FLOW_REPLIES "#", FLOW_REPLIES "+/x",
                                         FLOW_REPLIES "\xc0\xaf"};
    struct hostile_broker hostile;
    struct bridge *bridge = hostile_start(fixture, &hostile);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct raw_message message = {0};
        const char *token = fixture_name(fixture, "token");
        put_string(&message.topic, FLOW_COMMANDS);
        put_property(&message.properties, RESPONSE_TOPIC, places[i], strlen(places[i]));
        put_string(&message.payload,
                   fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
        assert_true(raw_deliver(hostile.receiver, &message));
        hostile_expect(&hostile, "Bridge.ReplyTopicNotAllowed");
        message_fini(&message);
    }
    check_memory(bridge);
    bridge_kill(bridge);
    hostile_stop(&hostile);
}

static void test_malformed_packets_end_the_connection_only(struct fixture *fixture)
{
    static const struct {
        const unsigned char bytes[12];
        size_t length;
    } packets[] = {
        {{0x32, 0xff, 0xff, 0xff, 0xff, 0x7f}, 6},       /* a length of five digits */
        {{0x32, 4, 0, 9, 'a', 'b'}, 6},                  /* a topic beyond the packet */
        {{0x32, 9, 0, 1, 'x', 0, 1, 0x7f, 0, 0, 0}, 11}, /* properties beyond the packet */
        {{0x32, 8, 0, 1, 'x', 0, 1, 2, 0x99, 0}, 10},    /* an unknown property */
        {{0xf0, 0}, 2},                                  /* an unexpected AUTH */
        {{0x36, 5, 0, 1, 'x', 0, 1}, 7},                 /* QoS 3 */
    };
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        struct hostile_broker hostile;
        struct bridge *bridge = hostile_start(fixture, &hostile);
        raw_write(hostile.receiver, packets[i].bytes, packets[i].length);
        shutdown(hostile.receiver, SHUT_WR);
        bridge_wait_log(bridge, "receiver_down");
        check_memory(bridge);
        assert_int_equal(process_wait(bridge->pid, 0), -1);
        bridge_kill(bridge);
        hostile_stop(&hostile);
    }
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_very_long_numbers_are_refused),
        FLOW_TEST(test_payloads_that_are_not_text_are_refused),
        FLOW_TEST(test_thousands_of_user_properties_are_ignored),
        FLOW_TEST(test_a_packet_above_the_announced_size_is_not_delivered),
        FLOW_TEST(test_a_response_topic_of_65535_bytes_is_refused),
        FLOW_TEST(test_a_response_topic_of_more_than_200_levels_stops_no_other_reply),
        FLOW_TEST(test_correlation_data_of_60000_bytes_is_refused),
        FLOW_TEST(test_a_topic_of_65535_bytes_is_accepted),
        FLOW_TEST(test_no_sender_makes_the_bridge_publish_to_the_brokers_own_topics),
        FLOW_TEST(test_the_largest_packet_is_announced),
        FLOW_TEST(test_a_packet_of_268_mb_ends_the_connection_and_takes_no_memory),
        FLOW_TEST(test_a_response_topic_that_is_no_topic_is_refused),
        FLOW_TEST(test_malformed_packets_end_the_connection_only),
    };
    return flow_main("hostile input", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
