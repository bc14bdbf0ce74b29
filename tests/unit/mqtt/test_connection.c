/*
 * A connection in this process, against mosquitto where that behaves as needed and against a far
 * side that answers what the test wants where it does not.
 */
#include "mqtt/connection.h"

#include "base/clock.h"
#include "base/mem.h"
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

#define PATIENCE_MS 20000

/* ---- A far side with one client, that answers every packet as told ---- */

struct answers {
    const char *connack; /* of `connack_bytes`, sent as it is */
    size_t connack_bytes;
    const char *suback_codes;
    size_t suback_count;
    int puback_code;        /* -1: none */
    const char *disconnect; /* sent after SUBACK, or NULL */
    size_t disconnect_bytes;
};

struct far_side {
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

/* The packet's type and what follows its length; -1 at the end. */
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

static void answer_subscribe(const struct far_side *far, int fd, const uint8_t *body)
{
    const struct answers *answers = &far->answers;
    bool is_5 = far->protocol == 5;
    uint8_t packet[64] = {0x90, (uint8_t)(2 + is_5 + answers->suback_count), body[0], body[1], 0};
    memcpy(packet + 4 + is_5, answers->suback_codes, answers->suback_count);
    send_bytes(fd, packet, 4 + is_5 + answers->suback_count);
    if (answers->disconnect != NULL) {
        send_bytes(fd, answers->disconnect, answers->disconnect_bytes);
    }
}

static void answer_publish(const struct far_side *far, int fd, const uint8_t *body)
{
    size_t topic_bytes = (size_t)body[0] << 8 | body[1];
    const uint8_t *packet_id = body + 2 + topic_bytes;
    if (far->answers.puback_code >= 0) {
        uint8_t packet[] = {0x40, 4, packet_id[0], packet_id[1], (uint8_t)far->answers.puback_code,
                            0};
        send_bytes(fd, packet, sizeof packet);
    }
}

static void *far_side_run(void *arg)
{
    struct far_side *far = arg;
    int fd = accept(far->listener, NULL, NULL);
    uint8_t body[4096];
    for (int type = 0; type >= 0;) {
        type = read_packet(fd, body, sizeof body);
        if (type == 1) {
            send_bytes(fd, far->answers.connack, far->answers.connack_bytes);
        } else if (type == 8) {
            answer_subscribe(far, fd, body);
        } else if (type == 3) {
            answer_publish(far, fd, body);
        }
    }
    close(fd);
    return NULL;
}

static void far_side_start(struct far_side *far, int protocol, const struct answers *answers)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    *far = (struct far_side){.answers = *answers, .protocol = protocol};
    far->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(far->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(far->listener, 1), 0);
    assert_int_equal(getsockname(far->listener, (struct sockaddr *)&address, &length), 0);
    far->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&far->thread, NULL, far_side_run, far), 0);
}

static void far_side_stop(struct far_side *far)
{
    pthread_join(far->thread, NULL);
    close(far->listener);
}

/* ---- What the connection told ---- */

struct told {
    struct connect_params params;
    char uri[64];
    struct connection *connection;
    int event_fd;
    _Atomic int up_count;
    _Atomic int arrived_count;
    _Atomic int published_count;
    _Atomic int refused_count;
    _Atomic int down_count;
    bool is_taking; /* what `arrived` returns */
    struct wire_up up;
    struct wire_down down;
    char text[256];
    uint32_t refusal_code;
    int nodelay; /* of the socket, when it was up */
};

static void tell(struct told *told, _Atomic int *count)
{
    uint64_t one = 1;
    (*count)++;
    assert_int_equal(write(told->event_fd, &one, sizeof one), sizeof one);
}

static int broker_nodelay(const struct told *told)
{
    int port = atoi(strrchr(told->uri, ':') + 1);
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
    struct told *told = arg;
    told->up = *up;
    told->nodelay = broker_nodelay(told);
    tell(told, &told->up_count);
}

static bool on_arrived(void *arg, const struct delivery *delivery)
{
    struct told *told = arg;
    (void)delivery;
    bool is_taking = told->is_taking;
    tell(told, &told->arrived_count);
    return is_taking;
}

static void on_published(void *arg, int64_t id)
{
    struct told *told = arg;
    (void)id;
    tell(told, &told->published_count);
}

static void on_refused(void *arg, int64_t id, uint32_t code, struct slice text)
{
    struct told *told = arg;
    (void)id;
    (void)text;
    told->refusal_code = code;
    tell(told, &told->refused_count);
}

static void on_down(void *arg, const struct wire_down *down)
{
    struct told *told = arg;
    if (told->down_count == 0) {
        told->down = *down;
        snprintf(told->text, sizeof told->text, "%.*s", (int)down->text.length, down->text.data);
    }
    tell(told, &told->down_count);
}

static void told_start(struct told *told, int protocol, int port)
{
    struct connection_hooks hooks = {.arg = told,
                                     .up = on_up,
                                     .arrived = on_arrived,
                                     .published = on_published,
                                     .refused = on_refused,
                                     .down = on_down};
    snprintf(told->uri, sizeof told->uri, "mqtt://127.0.0.1:%d", port);
    told->params.protocol = (uint8_t)protocol;
    told->params.addresses[0] =
        (struct wire_address){slice_text("mqtt"), slice_text("127.0.0.1"), (uint32_t)port, {0}};
    told->params.address_count = 1;
    told->params.client_id = slice_text("client");
    told->params.keepalive_s = 30;
    told->params.session_expiry_s = 60;
    told->params.receive_maximum = 10;
    told->params.payload_bytes_max = 1024;
    told->params.packet_bytes_max = 1 << 20;
    told->params.connect_timeout_s = 5;
    told->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    told->connection = connection_new(&told->params, &hooks);
    connection_open(told->connection);
}

static void told_turn(struct told *told)
{
    struct pollfd fds[] = {{.fd = told->event_fd, .events = POLLIN},
                           {.fd = connection_wake_fd(told->connection), .events = POLLIN}};
    poll(fds, 2, 1000);
    uint64_t count;
    (void)!read(told->event_fd, &count, sizeof count);
    connection_turn(told->connection);
}

#define WAIT_FOR(told, condition)                                                    \
    do {                                                                             \
        int64_t ends_ms = clock_mono_ms() + PATIENCE_MS;                             \
        while (!(condition) && clock_mono_ms() < ends_ms) {                          \
            told_turn(told);                                                         \
        }                                                                            \
        if (!(condition)) {                                                          \
            fail_msg("waited in vain for: %s (down: %s)", #condition, (told)->text); \
        }                                                                            \
    } while (0)

static struct told *told_new(void)
{
    struct told *told = mem_zalloc(1, sizeof *told);
    told->is_taking = true;
    return told;
}

static void subscribe_to(struct told *told, const char *filter)
{
    told->params.filters[told->params.filter_count++] =
        (struct wire_filter){.filter = slice_text(filter), .qos = 1};
}

static void told_free(struct told *told)
{
    connection_free(told->connection);
    close(told->event_fd);
    free(told);
}

/* ---- Against mosquitto ---- */

static void test_a_connection_has_no_delay_and_is_subscribed(void **state)
{
    (void)state;
    struct broker broker;
    broker_start(&broker, NULL);
    for (int protocol = 4; protocol <= 5; protocol++) {
        struct told *told = told_new();
        subscribe_to(told, "a/+");
        subscribe_to(told, "b");
        told_start(told, protocol, broker.port);
        WAIT_FOR(told, told->up_count == 1);
        assert_int_equal(told->nodelay, 1);
        assert_int_equal(told->up.receive_maximum, 20);
        const char *const arguments[] = {"-q", "1", "-t", "b", "-m", "x", NULL};
        broker_publish(&broker, arguments);
        WAIT_FOR(told, told->arrived_count == 1);
        assert_true(connection_close(told->connection, PATIENCE_MS));
        assert_int_equal(told->down_count, 0);
        told_free(told);
    }
    broker_stop(&broker);
}

static void test_what_was_not_taken_is_not_acknowledged(void **state)
{
    (void)state;
    for (int protocol = 4; protocol <= 5; protocol++) {
        struct broker broker;
        broker_start(&broker, NULL);
        struct told *told = told_new();
        told->is_taking = false;
        subscribe_to(told, "b");
        told_start(told, protocol, broker.port);
        WAIT_FOR(told, told->up_count == 1);
        const char *const arguments[] = {"-q", "1", "-t", "b", "-m", "x", NULL};
        broker_publish(&broker, arguments);
        WAIT_FOR(told, told->down_count > 0);
        assert_int_equal(told->down.reason, WIRE_DOWN_LOST);
        told_free(told);
        told = told_new();
        subscribe_to(told, "b");
        told_start(told, protocol, broker.port);
        WAIT_FOR(told, told->arrived_count == 1);
        WAIT_FOR(told, told->up_count == 1);
        assert_true(told->up.is_session_present);
        assert_true(connection_close(told->connection, PATIENCE_MS));
        told_free(told);
        broker_stop(&broker);
    }
}

static void test_the_session_survives_an_orderly_end(void **state)
{
    (void)state;
    struct broker broker;
    broker_start(&broker, NULL);
    for (int protocol = 4; protocol <= 5; protocol++) {
        for (int i = 0; i < 2; i++) {
            struct told *told = told_new();
            subscribe_to(told, "b");
            told_start(told, protocol, broker.port);
            WAIT_FOR(told, told->up_count == 1);
            assert_int_equal(told->up.is_session_present, i == 1 || protocol == 5);
            assert_true(connection_close(told->connection, PATIENCE_MS));
            told_free(told);
        }
    }
    broker_stop(&broker);
}

static void test_a_shorter_keepalive_of_the_broker_is_obeyed(void **state)
{
    (void)state;
    struct broker broker;
    broker_start(&broker, "allow_anonymous true\nmax_keepalive 10");
    struct told *told = told_new();
    subscribe_to(told, "b");
    told_start(told, 5, broker.port);
    WAIT_FOR(told, told->up_count == 1);
    /* The second CONNECT asked for it, so the broker did not tell it again, and the session is that
     * of the first. */
    assert_true(told->up.is_session_present);
    assert_true(connection_close(told->connection, PATIENCE_MS));
    told_free(told);
    broker_stop(&broker);
}

/* ---- Against a far side that says no ---- */

#define BYTES(text) (text), sizeof(text) - 1

static void test_a_refusal_is_told_with_its_code(void **state)
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
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct answers answers = {.connack = refusals[i].connack,
                                  .connack_bytes = refusals[i].bytes};
        struct far_side far;
        struct told *told = told_new();
        far_side_start(&far, refusals[i].protocol, &answers);
        told_start(told, refusals[i].protocol, far.port);
        WAIT_FOR(told, told->down_count == 1);
        assert_int_equal(told->down.reason, WIRE_DOWN_REFUSED);
        assert_int_equal(told->down.code, refusals[i].code);
        assert_non_null(strstr(told->text, refusals[i].text));
        assert_non_null(strstr(told->text, told->uri));
        told_free(told);
        far_side_stop(&far);
    }
}

static void test_one_refused_filter_of_several_is_enough(void **state)
{
    (void)state;
    static const struct {
        int protocol;
        size_t count;
        const char *codes;
    } cases[] = {
        {4, 1, "\x80"},
        {4, 3, "\x01\x80\x01"},
        {5, 1, "\x87"},
        {5, 3, "\x01\x01\x9e"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_5 = cases[i].protocol == 5;
        struct answers answers = {.connack = is_5 ? "\x20\x03\x00\x00\x00" : "\x20\x02\x00\x00",
                                  .connack_bytes = is_5 ? 5 : 4,
                                  .suback_codes = cases[i].codes,
                                  .suback_count = cases[i].count};
        struct far_side far;
        struct told *told = told_new();
        static const char *const filters[] = {"a", "b", "c"};
        for (size_t k = 0; k < cases[i].count; k++) {
            subscribe_to(told, filters[k]);
        }
        far_side_start(&far, cases[i].protocol, &answers);
        told_start(told, cases[i].protocol, far.port);
        WAIT_FOR(told, told->down_count > 0);
        assert_int_equal(told->down.reason, WIRE_DOWN_SUBSCRIBE);
        assert_true(told->down.code >= 0x80);
        assert_int_equal(told->up_count, 0);
        told_free(told);
        far_side_stop(&far);
    }
}

static void test_a_disconnect_of_the_broker_is_told_with_its_reason(void **state)
{
    (void)state;
    struct answers answers = {.connack = "\x20\x03\x00\x00\x00",
                              .connack_bytes = 5,
                              .suback_codes = "\x01",
                              .suback_count = 1,
                              .disconnect = "\xe0\x02\x8e\x00",
                              .disconnect_bytes = 4};
    struct far_side far;
    struct told *told = told_new();
    subscribe_to(told, "a");
    far_side_start(&far, 5, &answers);
    told_start(told, 5, far.port);
    WAIT_FOR(told, told->down_count > 0);
    assert_int_equal(told->down.reason, WIRE_DOWN_LOST);
    assert_int_equal(told->down.code, 0x8e);
    assert_non_null(strstr(told->text, "Session taken over"));
    told_free(told);
    far_side_stop(&far);
}

static void test_a_message_the_broker_refuses_is_told_and_the_next_goes_out(void **state)
{
    (void)state;
    struct answers answers = {
        .connack = "\x20\x03\x00\x00\x00", .connack_bytes = 5, .puback_code = 0x87};
    struct far_side far;
    struct told *told = told_new();
    far_side_start(&far, 5, &answers);
    told_start(told, 5, far.port);
    WAIT_FOR(told, told->up_count == 1);
    struct message message = {
        .topic = slice_text("t"), .body = slice_text("x"), .qos = 1, .expiry_s = -1};
    const char *why = NULL;
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(connection_publish(told->connection, i, &message, &why), STATUS_OK);
        WAIT_FOR(told, told->refused_count == i);
        assert_int_equal(told->refusal_code, 0x87);
    }
    assert_int_equal(told->down_count, 0);
    assert_int_equal(told->published_count, 0);
    told_free(told);
    far_side_stop(&far);
}

static void test_a_packet_of_exactly_the_brokers_maximum_goes_out_and_one_more_byte_does_not(
    void **state)
{
    (void)state;
    /* Maximum Packet Size 200 */
    struct answers answers = {.connack = "\x20\x08\x00\x00\x05\x27\x00\x00\x00\xc8",
                              .connack_bytes = 10};
    struct far_side far;
    struct told *told = told_new();
    char body[256];
    memset(body, 'x', sizeof body);
    far_side_start(&far, 5, &answers);
    told_start(told, 5, far.port);
    WAIT_FOR(told, told->up_count == 1);
    assert_int_equal(told->up.packet_bytes_max, 200);
    /* 1 type, 2 length (from 128 on), 2 + 1 topic, 2 packet id, 1 no properties */
    struct message message = {
        .topic = slice_text("t"), .body = slice_of(body, 200 - 9), .qos = 1, .expiry_s = -1};
    const char *why = NULL;
    assert_int_equal(connection_publish(told->connection, 1, &message, &why), STATUS_OK);
    WAIT_FOR(told, told->published_count == 1);
    message.body.length++;
    assert_int_equal(connection_publish(told->connection, 2, &message, &why), STATUS_INVALID);
    assert_non_null(why);
    told_free(told);
    far_side_stop(&far);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_has_no_delay_and_is_subscribed),
        cmocka_unit_test(test_what_was_not_taken_is_not_acknowledged),
        cmocka_unit_test(test_the_session_survives_an_orderly_end),
        cmocka_unit_test(test_a_shorter_keepalive_of_the_broker_is_obeyed),
        cmocka_unit_test(test_a_refusal_is_told_with_its_code),
        cmocka_unit_test(test_one_refused_filter_of_several_is_enough),
        cmocka_unit_test(test_a_disconnect_of_the_broker_is_told_with_its_reason),
        cmocka_unit_test(test_a_message_the_broker_refuses_is_told_and_the_next_goes_out),
        cmocka_unit_test(
            test_a_packet_of_exactly_the_brokers_maximum_goes_out_and_one_more_byte_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
