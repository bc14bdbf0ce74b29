/*
 * A connection in this process: to mosquitto, or to a fake broker that sends the answers a test
 * needs.
 */
#include "mqtt/connection.h"

#include "base/clock.h"
#include "base/mem.h"
#include "mqtt/held_acks.h"
#include "support/broker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TIMEOUT_MS 20000

/* ---- A fake broker with one client ---- */

struct answers {
    const char *connack; /* of `connack_bytes`, sent as it is */
    size_t connack_bytes;
    bool closes_after_connack;
    const char *suback_codes;
    size_t suback_count;
    int puback_code;        /* -1: none */
    const char *disconnect; /* sent after SUBACK, or NULL */
    size_t disconnect_bytes;
};

struct fake_broker {
    struct answers answers;
    int protocol;
    int listener;
    int port;
    pthread_t thread;
};

static bool read_bytes(int fd, uint8_t *bytes, size_t count)
{
    return count == 0 || recv(fd, bytes, count, MSG_WAITALL) == (ssize_t)count;
}

/* Returns the packet's type and reads what follows its length; -1 at the end. */
static int read_packet(int fd, uint8_t *body, size_t size)
{
    uint8_t head;
    uint8_t digit;
    size_t length = 0;
    unsigned shift = 0;
    if (!read_bytes(fd, &head, 1)) {
        return -1;
    }
    do {
        if (!read_bytes(fd, &digit, 1)) {
            return -1;
        }
        length |= (size_t)(digit & 127) << shift;
        shift += 7;
    } while ((digit & 128) != 0);
    return length <= size && read_bytes(fd, body, length) ? head >> 4 : -1;
}

static void send_bytes(int fd, const void *bytes, size_t count)
{
    (void)!send(fd, bytes, count, MSG_NOSIGNAL);
}

static void answer_subscribe(const struct fake_broker *fake, int fd, const uint8_t *body)
{
    const struct answers *answers = &fake->answers;
    bool is_5 = fake->protocol == 5;
    uint8_t packet[64] = {0x90, (uint8_t)(2 + is_5 + answers->suback_count), body[0], body[1], 0};
    memcpy(packet + 4 + is_5, answers->suback_codes, answers->suback_count);
    send_bytes(fd, packet, 4 + is_5 + answers->suback_count);
    if (answers->disconnect != NULL) {
        send_bytes(fd, answers->disconnect, answers->disconnect_bytes);
    }
}

static void answer_publish(const struct fake_broker *fake, int fd, const uint8_t *body)
{
    size_t topic_bytes = (size_t)body[0] << 8 | body[1];
    const uint8_t *packet_id = body + 2 + topic_bytes;
    if (fake->answers.puback_code >= 0) {
        uint8_t packet[] = {0x40, 4, packet_id[0], packet_id[1], (uint8_t)fake->answers.puback_code,
                            0};
        send_bytes(fd, packet, sizeof packet);
    }
}

static void *fake_broker_run(void *arg)
{
    struct fake_broker *fake = arg;
    int fd = accept(fake->listener, NULL, NULL);
    uint8_t body[4096];
    for (int type = 0; type >= 0;) {
        type = read_packet(fd, body, sizeof body);
        if (type == 1) {
            send_bytes(fd, fake->answers.connack, fake->answers.connack_bytes);
            type = fake->answers.closes_after_connack ? -1 : type;
        } else if (type == 8) {
            answer_subscribe(fake, fd, body);
        } else if (type == 3) {
            answer_publish(fake, fd, body);
        }
    }
    close(fd);
    return NULL;
}

static void fake_broker_start(struct fake_broker *fake, int protocol, const struct answers *answers)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    *fake = (struct fake_broker){.answers = *answers, .protocol = protocol};
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fake->listener, 1), 0);
    assert_int_equal(getsockname(fake->listener, (struct sockaddr *)&address, &length), 0);
    fake->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&fake->thread, NULL, fake_broker_run, fake), 0);
}

static void fake_broker_stop(struct fake_broker *fake)
{
    pthread_join(fake->thread, NULL);
    close(fake->listener);
}

/* ---- The connection and what its hooks reported ---- */

struct fixture {
    struct connect_params params;
    char uri[64];
    const char *host; /* NULL: loopback */
    const char *ip;   /* of `host`; or NULL */
    struct connection *connection;
    int event_fd;
    _Atomic int up_count;
    _Atomic int arrived_count;
    _Atomic int published_count;
    _Atomic int refused_count;
    _Atomic int down_count;
    const struct held_acks_hooks *held;
    struct wire_up up;
    struct wire_down down;
    char text[256];
    uint32_t refusal_code;
    int nodelay; /* of the socket, when it was up */
};

static void count_event(struct fixture *fixture, _Atomic int *count)
{
    uint64_t one = 1;
    (*count)++;
    assert_int_equal(write(fixture->event_fd, &one, sizeof one), sizeof one);
}

static int broker_nodelay(const struct fixture *fixture)
{
    int port = atoi(strrchr(fixture->uri, ':') + 1);
    for (int fd = 0; fd < 64; fd++) {
        struct sockaddr_in peer = {0};
        socklen_t length = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == port) {
            int value = -1;
            length = sizeof value;
            getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length);
            return value;
        }
    }
    return -1;
}

static void on_up(void *arg, const struct wire_up *up)
{
    struct fixture *fixture = arg;
    fixture->up = *up;
    fixture->nodelay = broker_nodelay(fixture);
    count_event(fixture, &fixture->up_count);
}

static void on_arrived(void *arg, const struct delivery *delivery)
{
    struct fixture *fixture = arg;
    (void)delivery;
    count_event(fixture, &fixture->arrived_count);
}

static void on_published(void *arg, int64_t id, bool has_subscriber)
{
    (void)has_subscriber;
    struct fixture *fixture = arg;
    (void)id;
    count_event(fixture, &fixture->published_count);
}

static void on_refused(void *arg, int64_t id, uint32_t code, struct slice text)
{
    struct fixture *fixture = arg;
    (void)id;
    (void)text;
    fixture->refusal_code = code;
    count_event(fixture, &fixture->refused_count);
}

static void on_down(void *arg, const struct wire_down *down)
{
    struct fixture *fixture = arg;
    if (fixture->down_count == 0) {
        fixture->down = *down;
        snprintf(fixture->text, sizeof fixture->text, "%.*s", (int)down->text.length,
                 down->text.data);
    }
    count_event(fixture, &fixture->down_count);
}

static void fixture_start(struct fixture *fixture, int protocol, int port)
{
    struct connection_hooks hooks = {.arg = fixture,
                                     .up = on_up,
                                     .held = fixture->held,
                                     .arrived = on_arrived,
                                     .published = on_published,
                                     .refused = on_refused,
                                     .down = on_down};
    const char *host = fixture->host == NULL ? "127.0.0.1" : fixture->host;
    snprintf(fixture->uri, sizeof fixture->uri, "mqtt://%s:%d", host, port);
    fixture->params.protocol = (uint8_t)protocol;
    fixture->params.address = (struct wire_address){
        slice_text("mqtt"), slice_text(host), slice_text(fixture->ip), (uint32_t)port, {0}};
    fixture->params.client_id = slice_text("client");
    fixture->params.keepalive_s = 30;
    fixture->params.session_expiry_s = 60;
    fixture->params.receive_maximum = 10;
    fixture->params.payload_bytes_max = 1024;
    fixture->params.packet_bytes_max = 1 << 20;
    fixture->params.connect_timeout_s = 5;
    fixture->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fixture->connection = connection_new(&fixture->params, &hooks);
    connection_open(fixture->connection);
}

static void fixture_step(struct fixture *fixture)
{
    struct pollfd event = {.fd = fixture->event_fd, .events = POLLIN};
    poll(&event, 1, 1000);
    uint64_t count;
    (void)!read(fixture->event_fd, &count, sizeof count);
    connection_check(fixture->connection);
}

#define WAIT_FOR(fixture, condition)                                                       \
    do {                                                                                   \
        int64_t ends_ms = clock_mono_ms() + TIMEOUT_MS;                                    \
        while (!(condition) && clock_mono_ms() < ends_ms) {                                \
            fixture_step(fixture);                                                         \
        }                                                                                  \
        if (!(condition)) {                                                                \
            fail_msg("timed out waiting for: %s (down: %s)", #condition, (fixture)->text); \
        }                                                                                  \
    } while (0)

static struct fixture *fixture_new(void)
{
    return mem_zalloc(1, sizeof(struct fixture));
}

static void subscribe_to(struct fixture *fixture, const char *filter)
{
    fixture->params.filters[fixture->params.filter_count++] =
        (struct wire_filter){.filter = slice_text(filter), .qos = 1};
}

static void fixture_free(struct fixture *fixture)
{
    connection_free(fixture->connection);
    close(fixture->event_fd);
    free(fixture);
}

/* ---- Against mosquitto ---- */

static void test_a_connection_has_no_delay_and_is_subscribed(void **state)
{
    (void)state;
    struct broker broker;
    broker_start(&broker, NULL);
    for (int protocol = 4; protocol <= 5; protocol++) {
        struct fixture *fixture = fixture_new();
        subscribe_to(fixture, "a/+");
        subscribe_to(fixture, "b");
        fixture_start(fixture, protocol, broker.port);
        WAIT_FOR(fixture, fixture->up_count == 1);
        assert_int_equal(fixture->nodelay, 1);
        assert_int_equal(fixture->up.receive_maximum, 20);
        const char *const arguments[] = {"-q", "1", "-t", "b", "-m", "x", NULL};
        broker_publish(&broker, arguments);
        WAIT_FOR(fixture, fixture->arrived_count == 1);
        assert_true(connection_close(fixture->connection, TIMEOUT_MS));
        assert_int_equal(fixture->down_count, 0);
        fixture_free(fixture);
    }
    broker_stop(&broker);
}

static void test_more_filters_than_a_packet_may_have_are_all_subscribed(void **state)
{
    (void)state;
    static const char *const topics[] = {"f/0", "f/7", "f/8", "f/19"};
    struct broker broker;
    broker_start(&broker, NULL);
    for (int protocol = 4; protocol <= 5; protocol++) {
        struct fixture *fixture = fixture_new();
        char filters[20][8];
        for (int i = 0; i < 20; i++) {
            snprintf(filters[i], sizeof filters[i], "f/%d", i);
            subscribe_to(fixture, filters[i]);
        }
        fixture_start(fixture, protocol, broker.port);
        WAIT_FOR(fixture, fixture->up_count == 1);
        for (int i = 0; i < 4; i++) {
            const char *const arguments[] = {"-q", "1", "-t", topics[i], "-m", "x", NULL};
            broker_publish(&broker, arguments);
            WAIT_FOR(fixture, fixture->arrived_count == i + 1);
        }
        assert_int_equal(fixture->up_count, 1);
        assert_true(connection_close(fixture->connection, TIMEOUT_MS));
        fixture_free(fixture);
    }
    broker_stop(&broker);
}

static void plan_nothing(void *arg, struct held_acks_plan *plan)
{
    (void)arg;
    (void)plan;
}

static void test_a_message_that_is_not_released_is_not_acknowledged(void **state)
{
    (void)state;
    static const struct held_acks_hooks held = {.plan = plan_nothing};
    for (int protocol = 4; protocol <= 5; protocol++) {
        struct broker broker;
        broker_start(&broker, NULL);
        struct fixture *fixture = fixture_new();
        fixture->held = &held;
        subscribe_to(fixture, "b");
        fixture_start(fixture, protocol, broker.port);
        WAIT_FOR(fixture, fixture->up_count == 1);
        const char *const arguments[] = {"-q", "1", "-t", "b", "-m", "x", NULL};
        broker_publish(&broker, arguments);
        broker_publish(&broker, arguments);
        WAIT_FOR(fixture, fixture->arrived_count == 2);
        assert_true(connection_close(fixture->connection, TIMEOUT_MS));
        fixture_free(fixture);
        fixture = fixture_new();
        subscribe_to(fixture, "b");
        fixture_start(fixture, protocol, broker.port);
        WAIT_FOR(fixture, fixture->arrived_count == 2);
        WAIT_FOR(fixture, fixture->up_count == 1);
        assert_true(fixture->up.is_session_present);
        assert_true(connection_close(fixture->connection, TIMEOUT_MS));
        fixture_free(fixture);
        broker_stop(&broker);
    }
}

static void test_the_session_survives_a_clean_disconnect(void **state)
{
    (void)state;
    struct broker broker;
    broker_start(&broker, NULL);
    for (int protocol = 4; protocol <= 5; protocol++) {
        for (int i = 0; i < 2; i++) {
            struct fixture *fixture = fixture_new();
            subscribe_to(fixture, "b");
            fixture_start(fixture, protocol, broker.port);
            WAIT_FOR(fixture, fixture->up_count == 1);
            assert_int_equal(fixture->up.is_session_present, i == 1 || protocol == 5);
            assert_true(connection_close(fixture->connection, TIMEOUT_MS));
            fixture_free(fixture);
        }
    }
    broker_stop(&broker);
}

static void test_a_shorter_keepalive_of_the_broker_is_reported_with_its_session(void **state)
{
    (void)state;
    struct broker broker;
    broker_start(&broker, "allow_anonymous true\nmax_keepalive 10");
    for (int i = 0; i < 2; i++) {
        struct fixture *fixture = fixture_new();
        subscribe_to(fixture, "b");
        fixture_start(fixture, 5, broker.port);
        WAIT_FOR(fixture, fixture->down_count == 1);
        assert_int_equal(fixture->down.reason, WIRE_DOWN_KEEPALIVE);
        assert_int_equal(fixture->down.code, 10);
        assert_int_equal(fixture->down.is_session_present, i == 1);
        assert_int_equal(fixture->up_count, 0);
        fixture_free(fixture);
    }
    broker_stop(&broker);
}

/* ---- Against a broker that refuses ---- */

#define BYTES(text) (text), sizeof(text) - 1

static void test_a_refusal_is_reported_with_its_code(void **state)
{
    (void)state;
    static const struct {
        int protocol;
        const char *connack;
        size_t bytes;
        uint32_t code;
        const char *text;
    } refusals[] = {
        {4, BYTES("\x20\x02\x00\x05"), 5, "authorise"},
        {4, BYTES("\x20\x02\x00\x02"), 2, "client id"},
        {5, BYTES("\x20\x03\x00\x87\x00"), 0x87, "Not authorized"},
        {5, BYTES("\x20\x03\x00\x86\x00"), 0x86, "Bad User Name or Password"},
        /* A broker that does not know MQTT 5 answers in the form of MQTT 3.1.1, or with 0x84. */
        {5, BYTES("\x20\x02\x00\x01"), 1, "set broker.protocol = 4"},
        {5, BYTES("\x20\x03\x00\x84\x00"), 0x84, "set broker.protocol = 4"},
        {5, BYTES("\x20\x0b\x00\x97\x08\x1f\x00\x05plan!"), 0x97, "Quota exceeded: plan!"},
        {5, BYTES("\x20\x0f\x00\x9c\x0c\x21\x00\x0a\x1c\x00\x06host:1"), 0x9c,
         "Use another server: use the server host:1"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct answers answers = {.connack = refusals[i].connack,
                                  .connack_bytes = refusals[i].bytes};
        struct fake_broker fake;
        struct fixture *fixture = fixture_new();
        fake_broker_start(&fake, refusals[i].protocol, &answers);
        fixture_start(fixture, refusals[i].protocol, fake.port);
        WAIT_FOR(fixture, fixture->down_count == 1);
        assert_int_equal(fixture->down.reason, WIRE_DOWN_REFUSED);
        assert_int_equal(fixture->down.code, refusals[i].code);
        assert_non_null(strstr(fixture->text, refusals[i].text));
        assert_non_null(strstr(fixture->text, fixture->uri));
        fixture_free(fixture);
        fake_broker_stop(&fake);
    }
}

static void test_one_refused_filter_of_several_is_enough(void **state)
{
    (void)state;
    static const struct {
        int protocol;
        size_t count;
        const char *codes;
        const char *text;
    } cases[] = {
        {4, 1, "\x80", "subscribe to $share/g/a: no reason given; it may not know shared"},
        {4, 3, "\x01\x80\x01", "subscribe to b: no reason given"},
        {5, 1, "\x87", "subscribe to $share/g/a: Not authorized"},
        {5, 3, "\x01\x01\x9e", "subscribe to c: Shared subscriptions not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_5 = cases[i].protocol == 5;
        struct answers answers = {.connack = is_5 ? "\x20\x03\x00\x00\x00" : "\x20\x02\x00\x00",
                                  .connack_bytes = is_5 ? 5 : 4,
                                  .suback_codes = cases[i].codes,
                                  .suback_count = cases[i].count};
        struct fake_broker fake;
        struct fixture *fixture = fixture_new();
        static const char *const filters[] = {"$share/g/a", "b", "c"};
        for (size_t k = 0; k < cases[i].count; k++) {
            subscribe_to(fixture, filters[k]);
        }
        fake_broker_start(&fake, cases[i].protocol, &answers);
        fixture_start(fixture, cases[i].protocol, fake.port);
        WAIT_FOR(fixture, fixture->down_count > 0);
        assert_int_equal(fixture->down.reason, WIRE_DOWN_SUBSCRIBE);
        assert_true(fixture->down.code >= 0x80);
        assert_non_null(strstr(fixture->text, cases[i].text));
        assert_int_equal(fixture->up_count, 0);
        fixture_free(fixture);
        fake_broker_stop(&fake);
    }
}

static void test_a_disconnect_of_the_broker_is_reported_with_its_reason(void **state)
{
    (void)state;
    struct answers answers = {.connack = "\x20\x03\x00\x00\x00",
                              .connack_bytes = 5,
                              .suback_codes = "\x01",
                              .suback_count = 1,
                              .disconnect = "\xe0\x02\x8e\x00",
                              .disconnect_bytes = 4};
    struct fake_broker fake;
    struct fixture *fixture = fixture_new();
    subscribe_to(fixture, "a");
    fake_broker_start(&fake, 5, &answers);
    fixture_start(fixture, 5, fake.port);
    WAIT_FOR(fixture, fixture->down_count > 0);
    assert_int_equal(fixture->down.reason, WIRE_DOWN_TAKEN_OVER);
    assert_int_equal(fixture->down.code, 0x8e);
    assert_non_null(strstr(fixture->text, "another client took over: it uses the same client id"));
    fixture_free(fixture);
    fake_broker_stop(&fake);
}

static void test_a_message_the_broker_refuses_is_reported_and_the_next_one_is_sent(void **state)
{
    (void)state;
    struct answers answers = {
        .connack = "\x20\x03\x00\x00\x00", .connack_bytes = 5, .puback_code = 0x87};
    struct fake_broker fake;
    struct fixture *fixture = fixture_new();
    fake_broker_start(&fake, 5, &answers);
    fixture_start(fixture, 5, fake.port);
    WAIT_FOR(fixture, fixture->up_count == 1);
    struct message message = {
        .topic = slice_text("t"), .body = slice_text("x"), .qos = 1, .expiry_s = -1};
    const char *why = NULL;
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(connection_publish(fixture->connection, i, &message, &why), STATUS_OK);
        WAIT_FOR(fixture, fixture->refused_count == i);
        assert_int_equal(fixture->refusal_code, 0x87);
    }
    assert_int_equal(fixture->down_count, 0);
    assert_int_equal(fixture->published_count, 0);
    fixture_free(fixture);
    fake_broker_stop(&fake);
}

static void test_a_packet_of_the_brokers_maximum_size_is_sent_and_one_more_byte_is_not(void **state)
{
    (void)state;
    /* Maximum Packet Size 200 */
    struct answers answers = {.connack = "\x20\x08\x00\x00\x05\x27\x00\x00\x00\xc8",
                              .connack_bytes = 10};
    struct fake_broker fake;
    struct fixture *fixture = fixture_new();
    char body[256];
    memset(body, 'x', sizeof body);
    fake_broker_start(&fake, 5, &answers);
    fixture_start(fixture, 5, fake.port);
    WAIT_FOR(fixture, fixture->up_count == 1);
    assert_int_equal(fixture->up.packet_bytes_max, 200);
    /* 1 type, 2 length (from 128 on), 2 + 1 topic, 2 packet id, 1 no properties */
    struct message message = {
        .topic = slice_text("t"), .body = slice_of(body, 200 - 9), .qos = 1, .expiry_s = -1};
    const char *why = NULL;
    assert_int_equal(connection_publish(fixture->connection, 1, &message, &why), STATUS_OK);
    WAIT_FOR(fixture, fixture->published_count == 1);
    message.body.length++;
    assert_int_equal(connection_publish(fixture->connection, 2, &message, &why), STATUS_INVALID);
    assert_non_null(why);
    fixture_free(fixture);
    fake_broker_stop(&fake);
}

/* ---- Where there is no broker ---- */

/* The text of a connection that cannot be made to the address in `params`. */
static void check_cause(struct fixture *fixture, const char *text)
{
    WAIT_FOR(fixture, fixture->down_count == 1);
    assert_int_equal(fixture->down.reason, WIRE_DOWN_CONNECT);
    if (strstr(fixture->text, text) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", fixture->text, text);
    }
    fixture_free(fixture);
}

static void test_a_port_that_nobody_listens_on_is_named(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int unused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, and not listening */
    assert_int_equal(bind(unused, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(unused, (struct sockaddr *)&address, &length), 0);
    struct fixture *fixture = fixture_new();
    fixture_start(fixture, 5, ntohs(address.sin_port));
    check_cause(fixture, "connection refused");
    close(unused);
}

static void test_the_given_address_of_a_name_is_used(void **state)
{
    (void)state;
    struct broker broker;
    broker_start(&broker, NULL);
    struct fixture *fixture = fixture_new();
    fixture->host = "no-such-host.invalid";
    fixture->ip = "127.0.0.1";
    fixture_start(fixture, 5, broker.port);
    WAIT_FOR(fixture, fixture->up_count == 1);
    assert_true(connection_close(fixture->connection, TIMEOUT_MS));
    fixture_free(fixture);
    broker_stop(&broker);
}

static void test_an_answer_that_is_not_mqtts_is_named(void **state)
{
    (void)state;
    static const struct {
        int protocol;
        const char *answer; /* "": it closes the connection */
        size_t bytes;
        const char *text;
    } cases[] = {
        {5, BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"),
         "this is not an MQTT broker; it answered HTTP/1.1 400 Bad Request"},
        {5, BYTES("\x15\x03\x01\x00\x02\x02\x46"), "expects TLS on this port"},
        {5, BYTES(""),
         "closed the connection before it answered: it may not know MQTT 5 "
         "(broker.protocol = 4)"},
        {4, BYTES(""), "closed the connection before it answered: it may expect TLS"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answers answers = {.connack = cases[i].answer,
                                  .connack_bytes = cases[i].bytes,
                                  .closes_after_connack = true};
        struct fake_broker fake;
        struct fixture *fixture = fixture_new();
        fake_broker_start(&fake, cases[i].protocol, &answers);
        fixture_start(fixture, cases[i].protocol, fake.port);
        check_cause(fixture, cases[i].text);
        fake_broker_stop(&fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_has_no_delay_and_is_subscribed),
        cmocka_unit_test(test_more_filters_than_a_packet_may_have_are_all_subscribed),
        cmocka_unit_test(test_a_message_that_is_not_released_is_not_acknowledged),
        cmocka_unit_test(test_the_session_survives_a_clean_disconnect),
        cmocka_unit_test(test_a_shorter_keepalive_of_the_broker_is_reported_with_its_session),
        cmocka_unit_test(test_a_refusal_is_reported_with_its_code),
        cmocka_unit_test(test_one_refused_filter_of_several_is_enough),
        cmocka_unit_test(test_a_disconnect_of_the_broker_is_reported_with_its_reason),
        cmocka_unit_test(test_a_message_the_broker_refuses_is_reported_and_the_next_one_is_sent),
        cmocka_unit_test(
            test_a_packet_of_the_brokers_maximum_size_is_sent_and_one_more_byte_is_not),
        cmocka_unit_test(test_a_port_that_nobody_listens_on_is_named),
        cmocka_unit_test(test_the_given_address_of_a_name_is_used),
        cmocka_unit_test(test_an_answer_that_is_not_mqtts_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
