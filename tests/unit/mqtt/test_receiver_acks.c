/*
 * When a receiver acknowledges: the test is both the broker, over each transport, and the bridge.
 *
 * That something has not been written is asserted after an event that comes later: a receiver
 * writes what is durable before it sends the next delivery or its DISCONNECT.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "model/delivery.h"
#include "mqtt/wire.h"
#include "support/scripted_broker.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT       256
#define BIG_FILTERS 140
#define BIG_BYTES   60000 /* of each filter: together more than the kernel buffers */

struct options {
    uint32_t keepalive_s;    /* 0: 30 */
    uint32_t ack_timeout_ms; /* 0: 15000 */
    bool has_big_subscribe;
    bool has_unsubscribe;
};

struct fixture {
    struct scripted_broker broker;
    pid_t pid;
    int control;
    int delivery;
    struct wire_input control_in;
    struct wire_input delivery_in;
    char ca_file[64];
};

/* ---- The bridge's side ---- */

static void start_process(struct fixture *fixture)
{
    int control[2];
    int delivery[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, delivery), 0);
    fixture->pid = fork();
    assert_true(fixture->pid >= 0);
    if (fixture->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* Out of the way of the numbers they are to get. */
        int control_fd = dup(dup(dup(dup(control[1]))));
        int delivery_fd = dup(delivery[1]);
        dup2(control_fd, WIRE_CONTROL_FD);
        dup2(delivery_fd, WIRE_DELIVERY_FD);
        execl(MQTT_PROGRAM, WIRE_RECEIVER_TITLE, BRIDGE_VERSION, NULL);
        _exit(127);
    }
    close(control[1]);
    close(delivery[1]);
    fixture->control = control[0];
    fixture->delivery = delivery[0];
}

static void send_frames(int fd, struct buf *frames)
{
    assert_int_equal(send(fd, frames->data, frames->length, MSG_NOSIGNAL), frames->length);
    buf_fini(frames);
}

static struct wire_frame next_frame(int fd, struct wire_input *in)
{
    struct wire_frame frame;
    enum status status;
    while ((status = wire_input_next(in, &frame)) == STATUS_NOT_FOUND) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, SCRIPTED_TIMEOUT_MS) != 1) {
            fail_msg("the receiver sends no frame");
        }
        char *room = buf_reserve(&in->bytes, 65536);
        ssize_t got = recv(fd, room, 65536, 0);
        if (got <= 0) {
            fail_msg("the receiver has ended");
        }
        in->bytes.length += (size_t)got;
    }
    assert_int_equal(status, STATUS_OK);
    return frame;
}

static void expect_deliveries(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        struct wire_frame frame = next_frame(fixture->delivery, &fixture->delivery_in);
        assert_int_equal(frame.type, WIRE_DELIVERY);
    }
}

static bool has_delivery(const struct fixture *fixture)
{
    char byte;
    return fixture->delivery_in.bytes.length > fixture->delivery_in.taken ||
           recv(fixture->delivery, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void put_ack(struct buf *frames, uint32_t number, bool is_durable)
{
    wire_put(frames, &(struct wire_frame){WIRE_ACK, .ack = {number, is_durable}});
}

static void send_ack(struct fixture *fixture, uint32_t number, bool is_durable)
{
    struct buf frames = {0};
    put_ack(&frames, number, is_durable);
    send_frames(fixture->delivery, &frames);
}

static void send_connect_params(struct fixture *fixture, const struct options *options)
{
    struct buf frames = {0};
    struct connect_params *params = mem_zalloc(1, sizeof *params);
    char *filter = mem_alloc(BIG_BYTES);
    memset(filter, 'f', BIG_BYTES);
    *params = (struct connect_params){
        .role = WIRE_RECEIVER,
        .name = "receiver",
        .protocol = (uint8_t)fixture->broker.protocol,
        .address = {slice_text(scripted_broker_scheme(&fixture->broker)),
                    slice_text("127.0.0.1"),
                    slice_text(NULL),
                    (uint32_t)fixture->broker.port,
                    {0}},
        .client_id = slice_text("client"),
        .keepalive_s = options->keepalive_s > 0 ? options->keepalive_s : 30,
        .session_expiry_s = 60,
        .receive_maximum = 65535,
        .payload_bytes_max = 1024,
        .ack_timeout_ms = options->ack_timeout_ms > 0 ? options->ack_timeout_ms : 15000,
        .connect_timeout_s = 10,
        .tls_ca_file = slice_text(fixture->ca_file),
        .has_tls_verify = true,
        .filters = {{slice_text("t"), 1}},
        .filter_count = 1,
        .tls_fds = {-1, -1, -1},
    };
    if (options->has_big_subscribe) {
        params->filter_count = BIG_FILTERS;
        for (size_t i = 0; i < BIG_FILTERS; i++) {
            params->filters[i] = (struct wire_filter){slice_of(filter, BIG_BYTES), 1};
        }
    }
    if (options->has_unsubscribe) {
        params->unsubscribe[params->unsubscribe_count++] =
            (struct wire_filter){.filter = slice_text("former")};
    }
    wire_put_connect_params(&frames, params);
    /* More than the socket holds: its other end reads meanwhile. */
    send_frames(fixture->control, &frames);
    free(filter);
    free(params);
}

/* ---- The fixture ---- */

static void write_ca_file(struct fixture *fixture)
{
    strcpy(fixture->ca_file, "/tmp/receiver-ca-XXXXXX");
    int fd = mkstemp(fixture->ca_file);
    assert_true(fd >= 0);
    const char *pem = fixture->broker.identity.certificate_pem;
    if (pem != NULL) {
        assert_int_equal(write(fd, pem, strlen(pem)), strlen(pem));
    }
    close(fd);
}

/* Up to CONNECT. */
static struct fixture *fixture_connect(int transport, int protocol, struct options options)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    scripted_broker_start(&fixture->broker, (enum scripted_transport)transport, protocol,
                          options.has_big_subscribe);
    write_ca_file(fixture);
    start_process(fixture);
    send_connect_params(fixture, &options);
    scripted_broker_accept(&fixture->broker);
    return fixture;
}

static void send_subscribe(struct fixture *fixture)
{
    struct buf frames = {0};
    wire_put(&frames, &(struct wire_frame){.type = WIRE_SUBSCRIBE});
    send_frames(fixture->control, &frames);
}

/* CONNACK, what the receiver says about it, and the bridge's order to subscribe. */
static void expect_connected(struct fixture *fixture, bool is_session_present)
{
    scripted_broker_connack(&fixture->broker, is_session_present);
    struct wire_frame frame = next_frame(fixture->control, &fixture->control_in);
    if (frame.type != WIRE_CONNECTED) {
        fail_msg("%s: not connected: %.*s", scripted_broker_scheme(&fixture->broker),
                 (int)frame.down.text.length, frame.down.text.data);
    }
    assert_int_equal(frame.connected.is_session_present, is_session_present);
    send_subscribe(fixture);
}

/* Up to WIRE_UP. */
static struct fixture *fixture_new(int transport, int protocol, struct options options)
{
    struct fixture *fixture = fixture_connect(transport, protocol, options);
    expect_connected(fixture, false);
    assert_int_equal(scripted_broker_read(&fixture->broker), SCRIPTED_SUBSCRIBE);
    scripted_broker_suback(&fixture->broker, 1);
    assert_int_equal(next_frame(fixture->control, &fixture->control_in).type, WIRE_UP);
    return fixture;
}

/* The receiver ends by itself, with this reason. */
static void expect_down(struct fixture *fixture, enum wire_down_reason reason, const char *text)
{
    struct wire_frame frame = next_frame(fixture->control, &fixture->control_in);
    assert_int_equal(frame.type, WIRE_DOWN);
    assert_int_equal(frame.down.reason, reason);
    if (memmem(frame.down.text.data, frame.down.text.length, text, strlen(text)) == NULL) {
        fail_msg("\"%.*s\" instead of \"%s\"", (int)frame.down.text.length, frame.down.text.data,
                 text);
    }
}

static void fixture_free(struct fixture *fixture)
{
    kill(fixture->pid, SIGKILL);
    waitpid(fixture->pid, NULL, 0);
    close(fixture->control);
    close(fixture->delivery);
    buf_fini(&fixture->control_in.bytes);
    buf_fini(&fixture->delivery_in.bytes);
    scripted_broker_stop(&fixture->broker);
    unlink(fixture->ca_file);
    free(fixture);
}

static void publish(struct fixture *fixture, int first, int last)
{
    for (int i = first; i <= last; i++) {
        scripted_broker_publish(&fixture->broker, 1, (uint16_t)i);
    }
}

static void expect_pubacks(struct fixture *fixture, int first, int last)
{
    for (int i = first; i <= last; i++) {
        assert_int_equal(scripted_broker_read(&fixture->broker), SCRIPTED_PUBACK);
        assert_int_equal(fixture->broker.body.length, 2);
        assert_int_equal(scripted_broker_packet_id(&fixture->broker), i);
    }
}

/* Nothing more than the end of the connection. */
static void expect_end(struct fixture *fixture)
{
    assert_int_equal(scripted_broker_read(&fixture->broker), 0);
}

#define EACH_CONNECTION(transport, protocol)                                    \
    for (int transport = SCRIPTED_TCP; transport < SCRIPTED_COUNT; transport++) \
        for (int protocol = 4; protocol <= 5; protocol++)

static const struct options PLAIN = {0};

/* ---- When and in which order ---- */

static void test_no_acknowledgement_is_written_before_its_command_is_durable(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture = fixture_new(transport, protocol, PLAIN);
        publish(fixture, 1, 3);
        expect_deliveries(fixture, 3);
        send_ack(fixture, 2, true);
        send_ack(fixture, 1, true);
        publish(fixture, 4, 4);
        expect_deliveries(fixture, 1);
        assert_false(scripted_broker_has_input(&fixture->broker));
        send_ack(fixture, 0, true);
        expect_pubacks(fixture, 1, 3);
        publish(fixture, 5, 5);
        expect_deliveries(fixture, 1);
        assert_false(scripted_broker_has_input(&fixture->broker));
        send_ack(fixture, 3, true);
        expect_pubacks(fixture, 4, 4);
        send_ack(fixture, 4, true);
        expect_pubacks(fixture, 5, 5);
        fixture_free(fixture);
    }
}

static void test_many_acknowledgements_go_in_one_write_in_order_of_arrival(void **state)
{
    enum { COUNT = 100 };
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture = fixture_new(transport, protocol, PLAIN);
        struct buf frames = {0};
        publish(fixture, 1, COUNT);
        expect_deliveries(fixture, COUNT);
        for (uint32_t number = COUNT; number-- > 0;) {
            put_ack(&frames, number, true);
        }
        send_frames(fixture->delivery, &frames);
        expect_pubacks(fixture, 1, COUNT);
        bool is_websocket = transport == SCRIPTED_WS || transport == SCRIPTED_WSS;
        assert_int_equal(fixture->broker.bytes_read, COUNT * (is_websocket ? 10 : 4));
        fixture_free(fixture);
    }
}

static void test_a_message_of_qos_0_is_stored_and_not_acknowledged(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture = fixture_new(transport, protocol, PLAIN);
        scripted_broker_publish(&fixture->broker, 0, 0);
        publish(fixture, 7, 7);
        scripted_broker_publish(&fixture->broker, 0, 0);
        expect_deliveries(fixture, 3);
        send_ack(fixture, 1, true);
        send_ack(fixture, 0, true);
        expect_pubacks(fixture, 7, 7);
        send_ack(fixture, 2, true);
        publish(fixture, 8, 8);
        expect_deliveries(fixture, 1);
        publish(fixture, 9, 9);
        expect_deliveries(fixture, 1);
        assert_false(scripted_broker_has_input(&fixture->broker));
        send_ack(fixture, 3, true);
        expect_pubacks(fixture, 8, 8);
        send_ack(fixture, 4, true);
        expect_pubacks(fixture, 9, 9);
        fixture_free(fixture);
    }
}

/* ---- Limits ---- */

static void test_at_the_limit_nothing_is_read_and_the_keepalive_goes_on(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture =
            fixture_new(transport, protocol, (struct options){.keepalive_s = 1});
        for (int i = 1; i <= LIMIT + 10; i++) {
            scripted_broker_publish(&fixture->broker, i % 2, (uint16_t)i);
        }
        expect_deliveries(fixture, LIMIT);
        for (uint32_t number = 1; number < LIMIT; number++) {
            send_ack(fixture, number, true);
        }
        /* A second later: the first one is still not durable. */
        assert_int_equal(scripted_broker_read(&fixture->broker), SCRIPTED_PINGREQ);
        assert_false(has_delivery(fixture));
        send_ack(fixture, 0, true);
        expect_deliveries(fixture, 10);
        fixture_free(fixture);
    }
}

static void test_a_ping_is_sent_while_an_acknowledgement_is_held(void **state)
{
    static const unsigned char pingresp[] = {0xd0, 0};
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture =
            fixture_new(transport, protocol, (struct options){.keepalive_s = 2});
        int64_t begun_ms = clock_mono_ms();
        int count = 0;
        /* The broker does not fall silent: then Paho would ping by itself. */
        while (!scripted_broker_has_input(&fixture->broker) && clock_mono_ms() - begun_ms < 2900) {
            count++;
            publish(fixture, count, count);
            expect_deliveries(fixture, 1);
            (void)poll(NULL, 0, 100);
        }
        assert_int_equal(scripted_broker_read(&fixture->broker), SCRIPTED_PINGREQ);
        /* The broker may close the connection after 3 s. */
        assert_true(clock_mono_ms() - begun_ms < 2900);
        scripted_broker_send(&fixture->broker, pingresp, sizeof pingresp);
        send_ack(fixture, 0, true);
        /* Paho pings, too, when it has received nothing for so long. */
        int type;
        while ((type = scripted_broker_read(&fixture->broker)) == SCRIPTED_PINGREQ) {
        }
        assert_int_equal(type, SCRIPTED_PUBACK);
        fixture_free(fixture);
    }
}

/* ---- Ends ---- */

static void test_a_refused_delivery_ends_the_connection_unacknowledged(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture = fixture_new(transport, protocol, PLAIN);
        publish(fixture, 1, 3);
        expect_deliveries(fixture, 3);
        send_ack(fixture, 0, true);
        expect_pubacks(fixture, 1, 1);
        send_ack(fixture, 2, true);
        send_ack(fixture, 1, false);
        expect_end(fixture);
        expect_down(fixture, WIRE_DOWN_ACK, "could not store");
        fixture_free(fixture);
    }
}

static void test_a_late_ack_ends_the_connection_unacknowledged(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture =
            fixture_new(transport, protocol, (struct options){.ack_timeout_ms = 200});
        publish(fixture, 1, 2);
        expect_deliveries(fixture, 2);
        send_ack(fixture, 1, true);
        expect_end(fixture);
        expect_down(fixture, WIRE_DOWN_ACK, "no ack in time");
        fixture_free(fixture);
    }
}

static void test_an_ack_for_an_unknown_delivery_ends_the_connection(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(SCRIPTED_TCP, 5, PLAIN);
    publish(fixture, 1, 1);
    expect_deliveries(fixture, 1);
    send_ack(fixture, 1, true);
    expect_end(fixture);
    expect_down(fixture, WIRE_DOWN_ACK, "unexpected ack");
    fixture_free(fixture);
}

static void test_a_second_ack_for_a_delivery_ends_the_connection(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(SCRIPTED_TCP, 5, PLAIN);
    publish(fixture, 1, 2);
    expect_deliveries(fixture, 2);
    send_ack(fixture, 1, true); /* it waits for the first one */
    send_ack(fixture, 1, true);
    expect_end(fixture);
    expect_down(fixture, WIRE_DOWN_ACK, "unexpected ack");
    fixture_free(fixture);
}

static void test_a_disconnect_of_the_broker_leaves_the_rest_unacknowledged(void **state)
{
    static const unsigned char disconnect[] = {0xe0, 2, 0x8b, 0};
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture = fixture_new(transport, protocol, PLAIN);
        publish(fixture, 1, 3);
        expect_deliveries(fixture, 3);
        send_ack(fixture, 1, true);
        if (protocol == 5) {
            scripted_broker_send(&fixture->broker, disconnect, sizeof disconnect);
            expect_end(fixture);
            expect_down(fixture, WIRE_DOWN_LOST, "shutting down");
        } else {
            scripted_broker_close(&fixture->broker);
            expect_down(fixture, WIRE_DOWN_LOST, "lost");
        }
        fixture_free(fixture);
    }
}

static void order_stop(struct fixture *fixture)
{
    struct buf frames = {0};
    wire_put(&frames, &(struct wire_frame){.type = WIRE_STOP});
    send_frames(fixture->delivery, &frames);
    wire_put(&frames, &(struct wire_frame){.type = WIRE_STOP});
    send_frames(fixture->control, &frames);
}

static void test_a_stop_waits_for_what_was_handed_over(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture = fixture_new(transport, protocol, PLAIN);
        publish(fixture, 1, 4);
        expect_deliveries(fixture, 4);
        order_stop(fixture);
        send_ack(fixture, 1, true);
        send_ack(fixture, 0, true);
        expect_pubacks(fixture, 1, 2);
        send_ack(fixture, 3, true);
        assert_false(scripted_broker_has_input(&fixture->broker));
        send_ack(fixture, 2, true);
        expect_pubacks(fixture, 3, 4);
        assert_int_equal(scripted_broker_read(&fixture->broker), SCRIPTED_DISCONNECT);
        expect_down(fixture, WIRE_DOWN_STOPPED, "");
        fixture_free(fixture);
    }
}

static void test_at_a_stop_a_refused_delivery_and_later_ones_stay_with_the_broker(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture = fixture_new(transport, protocol, PLAIN);
        publish(fixture, 1, 3);
        expect_deliveries(fixture, 3);
        order_stop(fixture);
        send_ack(fixture, 0, true);
        expect_pubacks(fixture, 1, 1);
        publish(fixture, 4, 4);
        send_ack(fixture, 2, true);
        send_ack(fixture, 1, false);
        /* Where message 4 was not read, the connection is reset, and DISCONNECT may be lost. */
        int type = scripted_broker_read(&fixture->broker);
        assert_true(type == SCRIPTED_DISCONNECT || type == 0);
        expect_down(fixture, WIRE_DOWN_STOPPED, "");
        assert_false(has_delivery(fixture));
        fixture_free(fixture);
    }
}

static void test_a_stop_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(SCRIPTED_TCP, 5, PLAIN);
    publish(fixture, 1, 1);
    expect_deliveries(fixture, 1);
    order_stop(fixture);
    assert_int_equal(scripted_broker_read(&fixture->broker), SCRIPTED_DISCONNECT);
    expect_down(fixture, WIRE_DOWN_STOPPED, "");
    fixture_free(fixture);
}

/* ---- The session ---- */

/* A lost session must be recorded before anything else happens. A subscription that the settings do
 * not name any more ends directly behind the SUBSCRIBE, without waiting for its answer, and the
 * receiver is not up before that. */
static void test_a_receiver_subscribes_when_told_and_unsubscribes_directly_behind(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture =
            fixture_connect(transport, protocol, (struct options){.has_unsubscribe = true});
        scripted_broker_connack(&fixture->broker, false);
        struct wire_frame frame = next_frame(fixture->control, &fixture->control_in);
        assert_int_equal(frame.type, WIRE_CONNECTED);
        assert_false(frame.connected.is_session_present);
        publish(fixture, 1, 1);
        expect_deliveries(fixture, 1);
        assert_false(scripted_broker_has_input(&fixture->broker));
        send_subscribe(fixture);
        assert_int_equal(scripted_broker_read(&fixture->broker), SCRIPTED_SUBSCRIBE);
        uint16_t subscribe_id = scripted_broker_packet_id(&fixture->broker);
        assert_int_equal(scripted_broker_read(&fixture->broker), SCRIPTED_UNSUBSCRIBE);
        assert_non_null(
            memmem(fixture->broker.body.data, fixture->broker.body.length, "former", 6));
        assert_int_not_equal(scripted_broker_packet_id(&fixture->broker), subscribe_id);
        scripted_broker_unsuback(&fixture->broker);
        publish(fixture, 2, 2);
        expect_deliveries(fixture, 1);
        char byte;
        assert_int_equal(recv(fixture->control, &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1);
        fixture->broker.body.data[0] = (char)(subscribe_id >> 8);
        fixture->broker.body.data[1] = (char)subscribe_id;
        scripted_broker_suback(&fixture->broker, 1);
        assert_int_equal(next_frame(fixture->control, &fixture->control_in).type, WIRE_UP);
        fixture_free(fixture);
    }
}

/* With MQTT 5 the broker tells by which subscription a message came. */
static void test_messages_of_a_former_subscription_are_marked(void **state)
{
    (void)state;
    static const unsigned char id_1[] = {0x32, 10, 0, 1, 't', 0, 2, 2, 0x0b, 1, '{', '}'};
    struct fixture *fixture =
        fixture_connect(SCRIPTED_TCP, 5, (struct options){.has_unsubscribe = true});
    expect_connected(fixture, true);
    assert_int_equal(scripted_broker_read(&fixture->broker), SCRIPTED_SUBSCRIBE);
    static const char properties[] = {2, 0x0b, 1}; /* behind the packet id */
    assert_memory_equal(fixture->broker.body.data + 2, properties, sizeof properties);
    publish(fixture, 1, 1);
    scripted_broker_send(&fixture->broker, id_1, sizeof id_1);
    for (int i = 0; i < 2; i++) {
        struct delivery delivery;
        struct wire_frame frame = next_frame(fixture->delivery, &fixture->delivery_in);
        assert_int_equal(frame.type, WIRE_DELIVERY);
        assert_int_equal(delivery_decode(frame.delivery, &delivery), STATUS_OK);
        assert_int_equal(delivery.is_former, i == 0);
    }
    fixture_free(fixture);
}

/* ---- Incomplete writes ---- */

static void test_acknowledgements_wait_for_a_packet_that_is_not_written_whole(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture =
            fixture_connect(transport, protocol, (struct options){.has_big_subscribe = true});
        expect_connected(fixture, true);
        /* The SUBSCRIBE has begun, and its end is in no buffer. Until it is written Paho reads no
         * message. */
        scripted_broker_wait_input(&fixture->broker);
        publish(fixture, 1, 2);
        uint32_t early_count = has_delivery(fixture) ? 1 : 0;
        if (early_count > 0) {
            expect_deliveries(fixture, 1);
            send_ack(fixture, 0, true);
        }
        size_t filter_bytes = 0;
        uint16_t acked_count = 0;
        for (size_t left = BIG_FILTERS; left > 0;) {
            /* At most 8 filters a packet: some brokers refuse more. */
            size_t count = left < 8 ? left : 8;
            int type = scripted_broker_read(&fixture->broker);
            if (type == SCRIPTED_PUBACK) { /* whole, between two others */
                assert_int_equal(scripted_broker_packet_id(&fixture->broker), ++acked_count);
                continue;
            }
            assert_int_equal(type, SCRIPTED_SUBSCRIBE);
            assert_true(fixture->broker.body.length < (count + 1) * BIG_BYTES);
            for (size_t i = 0; i < fixture->broker.body.length; i++) {
                filter_bytes += fixture->broker.body.data[i] == 'f';
            }
            scripted_broker_suback(&fixture->broker, count);
            left -= count;
        }
        assert_int_equal(filter_bytes, BIG_FILTERS * BIG_BYTES);
        for (uint32_t number = early_count; number < 2; number++) {
            expect_deliveries(fixture, 1);
            send_ack(fixture, number, true);
        }
        expect_pubacks(fixture, (uint16_t)(acked_count + 1), 2);
        fixture_free(fixture);
    }
}

static void test_several_packets_come_in_one_frame(void **state)
{
    (void)state;
    EACH_CONNECTION(transport, protocol)
    {
        struct fixture *fixture = fixture_new(transport, protocol, PLAIN);
        unsigned char packets[64];
        size_t length = 0;
        for (unsigned char id = 1; id <= 3; id++) {
            const unsigned char v5[] = {0x32, 8, 0, 1, 't', 0, id, 0, '{', '}'};
            const unsigned char v4[] = {0x32, 7, 0, 1, 't', 0, id, '{', '}'};
            size_t bytes = protocol == 5 ? sizeof v5 : sizeof v4;
            memcpy(packets + length, protocol == 5 ? v5 : v4, bytes);
            length += bytes;
        }
        scripted_broker_send(&fixture->broker, packets, length);
        expect_deliveries(fixture, 3);
        for (uint32_t i = 0; i < 3; i++) {
            send_ack(fixture, i, true);
        }
        expect_pubacks(fixture, 1, 3);
        fixture_free(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_packets_come_in_one_frame),
        cmocka_unit_test(test_no_acknowledgement_is_written_before_its_command_is_durable),
        cmocka_unit_test(test_many_acknowledgements_go_in_one_write_in_order_of_arrival),
        cmocka_unit_test(test_a_message_of_qos_0_is_stored_and_not_acknowledged),
        cmocka_unit_test(test_at_the_limit_nothing_is_read_and_the_keepalive_goes_on),
        cmocka_unit_test(test_a_ping_is_sent_while_an_acknowledgement_is_held),
        cmocka_unit_test(test_a_refused_delivery_ends_the_connection_unacknowledged),
        cmocka_unit_test(test_a_late_ack_ends_the_connection_unacknowledged),
        cmocka_unit_test(test_an_ack_for_an_unknown_delivery_ends_the_connection),
        cmocka_unit_test(test_a_second_ack_for_a_delivery_ends_the_connection),
        cmocka_unit_test(test_a_disconnect_of_the_broker_leaves_the_rest_unacknowledged),
        cmocka_unit_test(test_a_stop_waits_for_what_was_handed_over),
        cmocka_unit_test(test_at_a_stop_a_refused_delivery_and_later_ones_stay_with_the_broker),
        cmocka_unit_test(test_a_stop_does_not_wait_for_ever),
        cmocka_unit_test(test_a_receiver_subscribes_when_told_and_unsubscribes_directly_behind),
        cmocka_unit_test(test_messages_of_a_former_subscription_are_marked),
        cmocka_unit_test(test_acknowledgements_wait_for_a_packet_that_is_not_written_whole),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
