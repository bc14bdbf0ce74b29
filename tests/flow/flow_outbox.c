/*
 * One reply that the broker refuses, or at which it closes the connection, does not stop the
 * others: with a mosquitto whose permissions change, and with a broker that answers as the test
 * wants.
 */
#include "flow_fixture.h"
#include "flow_raw.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORBIDDEN FLOW_REPLIES "forbidden/"
#define ALLOWED   FLOW_REPLIES "allowed/"

#define ALL_RIGHTS   "topic readwrite #\n"
#define BRIDGE_READS "user bridge\ntopic read ecs-bridge/v1/commands/#\n"
#define FEW_RIGHTS                                          \
    BRIDGE_READS "topic write ecs-bridge/v1/status/#\n"     \
                 "topic write ecs-bridge/v1/dead-letters\n" \
                 "topic write " ALLOWED "#\n"
#define MENDED_RIGHTS BRIDGE_READS "topic write #\n"

/* With max_queued_messages 0, as the fixture sets it, mosquitto 2.0 closes the connection at each
 * refusal; with a limit it does not. */
#define QUEUE_LIMIT "max_queued_messages 1000\n"

/* A broker whose operator changes permissions, a bridge and a sender there. */
struct guarded {
    struct fixture *fixture;
    struct broker broker;
    char acl[160];
    struct client *client; /* subscribed to replies, dead letters and status */
    struct bridge *bridge;
};

/* `rights` are those of the bridge. */
static void set_rights(const struct guarded *guarded, const char *rights)
{
    file_write(guarded->acl, fixture_format(guarded->fixture, ALL_RIGHTS "%s", rights));
    if (guarded->broker.pid != 0) {
        kill(guarded->broker.pid, SIGHUP);
    }
}

static void wait_state(const struct guarded *guarded, const char *state)
{
    client_expect(guarded->client,
                  &(struct match){.topic = guarded->bridge->status_topic, .state = state});
}

/* `broker_extra` is added to the configuration of the broker. */
static void guarded_begin(struct guarded *guarded, struct fixture *fixture,
                          const char *broker_extra, const char *rights, const char *settings)
{
    *guarded = (struct guarded){.fixture = fixture};
    const char *directory =
        fixture_format(fixture, "%s/%s", fixture->directory, fixture_name(fixture, "guarded"));
    mkdir(directory, 0755);
    snprintf(guarded->acl, sizeof guarded->acl, "%s/acl", directory);
    broker_init(&guarded->broker, directory,
                fixture_format(fixture, "acl_file %s\n%s", guarded->acl, broker_extra));
    set_rights(guarded, rights);
    broker_start(&guarded->broker);
    guarded->client = client_new(guarded->broker.port, 5);
    client_subscribe(guarded->client, "ecs-bridge/v1/replies/#");
    client_subscribe(guarded->client, FLOW_DEAD_LETTERS);
    client_subscribe(guarded->client, "ecs-bridge/v1/status/#");
    guarded->bridge =
        fixture_bridge_alone(fixture, fixture_format(fixture,
                                                     "broker.uris = (\"mqtt://127.0.0.1:%d\");\n"
                                                     "broker.username = \"bridge\";\n%s",
                                                     guarded->broker.port, settings));
    bridge_start(guarded->bridge);
    wait_state(guarded, "online");
}

static void guarded_end(struct guarded *guarded)
{
    bridge_stop(guarded->bridge);
    client_free(guarded->client);
    broker_fini(&guarded->broker);
}

/* Sends a command; `place` and its token are the reply topic, NULL for the route's. */
static const char *ask(const struct guarded *guarded, const char *place)
{
    struct fixture *fixture = guarded->fixture;
    const char *token = fixture_name(fixture, "token");
    client_publish(guarded->client,
                   &(struct outgoing){
                       .topic = FLOW_COMMANDS,
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
                       .qos = 1,
                       .response_topic =
                           place == NULL ? NULL : fixture_format(fixture, "%s%s", place, token)});
    return token;
}

static void expect_success(const struct guarded *guarded, const char *token)
{
    check_succeeded(client_expect(guarded->client, &(struct match){.token = token}));
}

static void expect_others(const struct guarded *guarded)
{
    for (int i = 0; i < 5; i++) {
        expect_success(guarded, ask(guarded, ALLOWED));
    }
}

/* Its Topic is where the reply was to go, its Payload the reply. */
static void expect_dead_letter(const struct guarded *guarded, const char *topic)
{
    const struct message *letter =
        client_expect(guarded->client, &(struct match){.topic = FLOW_DEAD_LETTERS});
    assert_string_equal(json_text(letter->json, "Error.Code"), "Bridge.ReplyUndelivered");
    assert_string_equal(json_text(letter->json, "Error.Category"), "unavailable");
    assert_string_equal(json_text(letter->json, "Topic"), topic);
    assert_string_equal(message_user(letter, "code"), "Bridge.ReplyUndelivered");
    assert_true(json_number(letter->json, "PayloadBytes") > 100);
    assert_true(json_has(letter->json, "ReceivedAt"));
}

static void test_a_refused_reply_arrives_once_the_broker_allows_it_and_delays_no_other(
    struct fixture *fixture)
{
    struct guarded guarded;
    guarded_begin(&guarded, fixture, QUEUE_LIMIT, FEW_RIGHTS, "");
    const char *token = ask(&guarded, FORBIDDEN);
    bridge_wait_log(guarded.bridge, "event=reply_refused");
    assert_true(bridge_log_contains(
        guarded.bridge,
        fixture_format(fixture, "topic=" FORBIDDEN "%s token=%s code=135", token, token)));
    wait_state(&guarded, "degraded");
    bridge_wait_log(guarded.bridge, "reply_refused\\\"]");
    expect_others(&guarded);
    set_rights(&guarded, MENDED_RIGHTS);
    expect_success(&guarded, token);
    wait_state(&guarded, "online");
    assert_false(bridge_log_contains(guarded.bridge, "publisher_down"));
    guarded_end(&guarded);
}

static void test_a_refused_reply_is_kept_over_a_restart(struct fixture *fixture)
{
    struct guarded guarded;
    guarded_begin(&guarded, fixture, "", FEW_RIGHTS, "");
    const char *token = ask(&guarded, FORBIDDEN);
    bridge_wait_log(guarded.bridge, "event=reply_refused");
    bridge_stop(guarded.bridge);
    assert_false(bridge_log_contains(guarded.bridge, "stop_step_timed_out"));
    set_rights(&guarded, MENDED_RIGHTS);
    bridge_start(guarded.bridge);
    expect_success(&guarded, token);
    guarded_end(&guarded);
}

static void test_a_reply_that_is_refused_until_it_expires_becomes_a_dead_letter(
    struct fixture *fixture)
{
    struct guarded guarded;
    guarded_begin(&guarded, fixture, "", FEW_RIGHTS, "replies.expiry_s = 2;");
    const char *token = ask(&guarded, FORBIDDEN);
    expect_others(&guarded);
    expect_dead_letter(&guarded, fixture_format(fixture, FORBIDDEN "%s", token));
    bridge_wait_log(guarded.bridge, "event=reply_undelivered");
    wait_state(&guarded, "degraded");
    wait_state(&guarded, "online");
    /* The outcome is not lost with its reply. */
    set_rights(&guarded, MENDED_RIGHTS);
    client_publish(guarded.client,
                   &(struct outgoing){.topic = FLOW_COMMANDS,
                                      .payload = fixture_command(fixture, token, "other", ""),
                                      .qos = 1});
    check_error(client_expect(guarded.client, &(struct match){.token = token}), "failed",
                "IdempotentParameterMismatch", "invalid", false);
    guarded_end(&guarded);
}

/* Here the operator's own reply topic has so many levels that mosquitto closes the connection. */
static void test_a_reply_at_which_the_broker_closes_becomes_a_dead_letter_and_stops_no_other(
    struct fixture *fixture)
{
    char deep[600] = "ecs-bridge/v1/replies";
    for (int i = 0; i < 220; i++) {
        strcat(deep, "/a");
    }
    struct guarded guarded;
    guarded_begin(&guarded, fixture, "", MENDED_RIGHTS,
                  fixture_format(fixture,
                                 "routes.reply_topic = \"%s/{ClientToken}\";\n"
                                 "broker.reconnect_max_s = 1;",
                                 deep));
    const char *token = ask(&guarded, NULL);
    bridge_wait_log(guarded.bridge, "publisher_down");
    expect_others(&guarded);
    bridge_wait_log(guarded.bridge, "event=reply_set_back");
    expect_others(&guarded);
    expect_dead_letter(&guarded, fixture_format(fixture, "%s/%s", deep, token));
    wait_state(&guarded, "degraded");
    expect_others(&guarded);
    wait_state(&guarded, "online");
    guarded_end(&guarded);
}

static void test_a_full_outbox_takes_no_command_and_recovers(struct fixture *fixture)
{
    enum { COUNT = 6, LIMIT = 2 };
    const char *tokens[COUNT];
    struct guarded guarded;
    guarded_begin(&guarded, fixture, "", FEW_RIGHTS,
                  "limits.outbox_messages = 2; broker.reconnect_max_s = 1;");
    for (int i = 0; i < LIMIT; i++) {
        tokens[i] = ask(&guarded, FORBIDDEN);
    }
    bridge_wait_log(guarded.bridge, "outbox_full");
    for (int i = LIMIT; i < COUNT; i++) {
        tokens[i] = ask(&guarded, ALLOWED);
    }
    bridge_wait_log(guarded.bridge, "receiver_down"); /* it left a command unacknowledged */
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), LIMIT);
    set_rights(&guarded, MENDED_RIGHTS);
    for (int i = 0; i < COUNT; i++) {
        expect_success(&guarded, tokens[i]);
    }
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), COUNT);
    wait_state(&guarded, "degraded");
    wait_state(&guarded, "online");
    guarded_end(&guarded);
}

/* ---- a broker that answers as the test wants ---- */

struct scripted {
    struct fixture *fixture;
    int listener;
    int receiver;
    int publisher;
    struct bridge *bridge;
};

/* Accepts connections until there are a receiver and a publisher. */
static void scripted_accept(struct scripted *scripted)
{
    static const unsigned char connack[] = {0x20, 3, 0, 0, 0};
    unsigned char suback[] = {0x90, 4, 0, 0, 0, 1};
    struct raw_bytes body = {0};
    while (scripted->receiver < 0 || scripted->publisher < 0) {
        int fd = raw_accept(scripted->listener);
        raw_read(fd, &body);
        bool is_receiver = memmem(body.data, body.length, "-in", 3) != NULL;
        raw_write(fd, connack, sizeof connack);
        if (is_receiver) {
            raw_read(fd, &body);
            memcpy(suback + 2, body.data, 2);
            raw_write(fd, suback, sizeof suback);
        }
        *(is_receiver ? &scripted->receiver : &scripted->publisher) = fd;
    }
    raw_fini(&body);
}

static void scripted_begin(struct scripted *scripted, struct fixture *fixture)
{
    int port = 0;
    *scripted = (struct scripted){.fixture = fixture, .receiver = -1, .publisher = -1};
    scripted->listener = raw_listen(&port);
    scripted->bridge =
        fixture_bridge_alone(fixture, fixture_format(fixture,
                                                     "broker.uris = (\"mqtt://127.0.0.1:%d\");\n"
                                                     "broker.reconnect_max_s = 1;",
                                                     port));
    bridge_start(scripted->bridge);
    scripted_accept(scripted);
}

static void scripted_end(struct scripted *scripted)
{
    bridge_kill(scripted->bridge);
    close(scripted->receiver);
    close(scripted->publisher);
    close(scripted->listener);
}

static const char *scripted_deliver(struct scripted *scripted)
{
    struct fixture *fixture = scripted->fixture;
    const char *token = fixture_name(fixture, "token");
    const char *command = fixture_command(fixture, token, fixture_name(fixture, "pg"), "");
    struct raw_message message = {0};
    raw_put(&message.topic, FLOW_COMMANDS, strlen(FLOW_COMMANDS));
    raw_put(&message.payload, command, strlen(command));
    assert_true(raw_deliver(scripted->receiver, &message));
    raw_fini(&message.topic);
    raw_fini(&message.payload);
    return token;
}

static void scripted_lose_publisher(struct scripted *scripted)
{
    close(scripted->publisher);
    scripted->publisher = -1;
    scripted_accept(scripted);
}

/* Reads what is published, and acknowledges it, until a message holds the text; this one is
 * answered with the reason code. */
static void scripted_answer(struct scripted *scripted, const char *text, unsigned char code)
{
    struct raw_bytes body = {0};
    bool is_there = false;
    while (!is_there) {
        int first = raw_read(scripted->publisher, &body);
        if (first < 0) {
            flow_fail("the publisher is gone");
        }
        if ((first & 0xf0) == 0x30) {
            size_t topic_bytes = (size_t)body.data[0] << 8 | body.data[1];
            is_there = memmem(body.data, body.length, text, strlen(text)) != NULL;
            const unsigned char puback[] = {0x40, 3, body.data[2 + topic_bytes],
                                            body.data[3 + topic_bytes], is_there ? code : 0};
            raw_write(scripted->publisher, puback, sizeof puback);
        }
    }
    raw_fini(&body);
}

/* MQTT 5, 3.4.2.1: the reason codes of a PUBACK from 0x80 on. */
static void test_no_reason_code_of_a_refusal_is_final(struct fixture *fixture)
{
    static const unsigned char codes[] = {0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
    enum { COUNT = sizeof codes };
    const char *tokens[COUNT];
    struct scripted scripted;
    scripted_begin(&scripted, fixture);
    for (size_t i = 0; i < COUNT; i++) {
        tokens[i] = scripted_deliver(&scripted);
        scripted_answer(&scripted, tokens[i], codes[i]);
    }
    /* They come again, in whatever order. */
    for (size_t i = 0; i < COUNT; i++) {
        const char *again = scripted_deliver(&scripted);
        scripted_answer(&scripted, again, 0);
    }
    bridge_wait_log(scripted.bridge, "reasons=\"[\\\"reply_refused\\\"]\"");
    scripted_answer(&scripted, "\"State\":\"online\"", 0);
    assert_false(bridge_log_contains(scripted.bridge, "reply_undelivered"));
    scripted_end(&scripted);
}

static void test_a_connection_that_ends_right_behind_a_refusal_is_no_loss(struct fixture *fixture)
{
    struct scripted scripted;
#ifdef __SANITIZE_THREAD__
    print_message("skipped: ThreadSanitizer delays the end of each process by a second, which is "
                  "longer than what counts as right behind\n");
    skip();
#endif
    scripted_begin(&scripted, fixture);
    const char *token = scripted_deliver(&scripted);
    for (int i = 0; i < 4; i++) {
        scripted_answer(&scripted, token, 0x97);
        scripted_lose_publisher(&scripted);
    }
    scripted_answer(&scripted, token, 0);
    assert_false(bridge_log_contains(scripted.bridge, "reply_set_back"));
    assert_false(bridge_log_contains(scripted.bridge, "reply_undelivered"));
    const char *next = scripted_deliver(&scripted);
    scripted_answer(&scripted, next, 0);
    scripted_end(&scripted);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_refused_reply_arrives_once_the_broker_allows_it_and_delays_no_other),
        FLOW_TEST(test_a_refused_reply_is_kept_over_a_restart),
        FLOW_TEST(test_a_reply_that_is_refused_until_it_expires_becomes_a_dead_letter),
        FLOW_TEST(test_a_reply_at_which_the_broker_closes_becomes_a_dead_letter_and_stops_no_other),
        FLOW_TEST(test_a_full_outbox_takes_no_command_and_recovers),
        FLOW_TEST(test_no_reason_code_of_a_refusal_is_final),
        FLOW_TEST(test_a_connection_that_ends_right_behind_a_refusal_is_no_loss),
    };
    return flow_main("outbox", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
