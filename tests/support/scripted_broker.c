#include "support/scripted_broker.h"

#include "support/websocket_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define READ_BYTES         65536
#define SMALL_WINDOW_BYTES 4096

static bool is_tls(const struct scripted_broker *broker)
{
    return broker->transport >= SCRIPTED_TLS;
}

static bool is_websocket(const struct scripted_broker *broker)
{
    return broker->transport == SCRIPTED_WS || broker->transport == SCRIPTED_WSS;
}

const char *scripted_broker_scheme(const struct scripted_broker *broker)
{
    static const char *const schemes[] = {"mqtt", "ws", "mqtts", "wss"};
    return schemes[broker->transport];
}

/* ---- Start and end ---- */

void scripted_broker_start(struct scripted_broker *broker, enum scripted_transport transport,
                           int protocol, bool has_small_window)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int window = SMALL_WINDOW_BYTES;
    *broker = (struct scripted_broker){.transport = transport, .protocol = protocol, .fd = -1};
    broker->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1; /* another broker may have the port afterwards */
    setsockopt(broker->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (has_small_window) {
        setsockopt(broker->listener, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    }
    assert_int_equal(bind(broker->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(broker->listener, 1), 0);
    assert_int_equal(getsockname(broker->listener, (struct sockaddr *)&address, &length), 0);
    broker->port = ntohs(address.sin_port);
    if (is_tls(broker)) {
        tls_identity_init(&broker->identity, "scripted broker");
        broker->context = SSL_CTX_new(TLS_server_method());
        SSL_CTX_use_certificate(broker->context, broker->identity.certificate);
        SSL_CTX_use_PrivateKey(broker->context, broker->identity.key);
        SSL_CTX_set_num_tickets(broker->context, 0);
    }
}

void scripted_broker_close(struct scripted_broker *broker)
{
    SSL_free(broker->ssl);
    broker->ssl = NULL;
    if (broker->fd >= 0) {
        close(broker->fd);
        broker->fd = -1;
    }
}

void scripted_broker_stop(struct scripted_broker *broker)
{
    scripted_broker_close(broker);
    close(broker->listener);
    if (is_tls(broker)) {
        SSL_CTX_free(broker->context);
        tls_identity_fini(&broker->identity);
    }
    buf_fini(&broker->raw);
    buf_fini(&broker->stream);
    buf_fini(&broker->body);
}

/* ---- The transport ---- */

static bool wait_readable(int fd, int timeout_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int count;
    do { /* a process of the test that ends interrupts it */
        count = poll(&ready, 1, timeout_ms);
    } while (count < 0 && errno == EINTR);
    return count == 1;
}

static void send_raw(struct scripted_broker *broker, const void *bytes, size_t count)
{
    if (broker->ssl != NULL) {
        assert_int_equal(SSL_write(broker->ssl, bytes, (int)count), count);
    } else {
        assert_int_equal(send(broker->fd, bytes, count, MSG_NOSIGNAL), count);
    }
}

/* Reads what is there, after a wait; false at the end of the connection. */
static bool read_raw(struct scripted_broker *broker)
{
    bool is_pending = broker->ssl != NULL && SSL_pending(broker->ssl) > 0;
    if (!is_pending && !wait_readable(broker->fd, SCRIPTED_TIMEOUT_MS)) {
        fail_msg("the client sends nothing");
    }
    char *room = buf_reserve(&broker->raw, READ_BYTES);
    ssize_t got = broker->ssl != NULL ? SSL_read(broker->ssl, room, READ_BYTES)
                                      : recv(broker->fd, room, READ_BYTES, 0);
    if (got <= 0) {
        return false;
    }
    broker->raw.length += (size_t)got;
    broker->bytes_read = (size_t)got;
    return true;
}

static void take_raw(struct scripted_broker *broker)
{
    enum websocket_frame frame = WEBSOCKET_INCOMPLETE;
    if (is_websocket(broker)) {
        while ((frame = websocket_take_frame(&broker->raw, &broker->stream)) !=
               WEBSOCKET_INCOMPLETE) {
            assert_int_not_equal(frame, WEBSOCKET_WRONG);
        }
    } else {
        buf_append(&broker->stream, buf_slice(&broker->raw));
        buf_clear(&broker->raw);
    }
}

static void upgrade(struct scripted_broker *broker)
{
    struct buf answer = {0};
    while (!websocket_upgrade(&broker->raw, &answer)) {
        assert_true(read_raw(broker));
    }
    send_raw(broker, answer.data, answer.length);
    buf_fini(&answer);
}

/* ---- Packets ---- */

void scripted_broker_send(struct scripted_broker *broker, const void *bytes, size_t count)
{
    struct buf frame = {0};
    if (is_websocket(broker)) {
        websocket_put_frame(&frame, bytes, count);
        send_raw(broker, frame.data, frame.length);
        buf_fini(&frame);
    } else {
        send_raw(broker, bytes, count);
    }
}

/* The packet at the start of `stream`; 0 while it is not complete. */
static int take_packet(struct scripted_broker *broker)
{
    const unsigned char *bytes = (const unsigned char *)broker->stream.data;
    size_t length = 0;
    size_t at = 1;
    for (unsigned shift = 0; at < broker->stream.length; shift += 7) {
        unsigned char digit = bytes[at++];
        length |= (size_t)(digit & 127) << shift;
        if ((digit & 128) == 0) {
            break;
        }
        if (at == broker->stream.length) {
            return 0;
        }
    }
    if (broker->stream.length < 2 || broker->stream.length < at + length) {
        return 0;
    }
    int type = bytes[0];
    buf_clear(&broker->body);
    buf_append(&broker->body, slice_of(broker->stream.data + at, length));
    buf_consume(&broker->stream, at + length);
    return type;
}

int scripted_broker_read(struct scripted_broker *broker)
{
    for (;;) {
        take_raw(broker);
        int type = take_packet(broker);
        if (type != 0) {
            return type;
        }
        if (!read_raw(broker)) {
            assert_int_equal(broker->stream.length + broker->raw.length, 0);
            return 0;
        }
    }
}

uint16_t scripted_broker_packet_id(const struct scripted_broker *broker)
{
    const unsigned char *body = (const unsigned char *)broker->body.data;
    assert_true(broker->body.length >= 2);
    return (uint16_t)(body[0] << 8 | body[1]);
}

bool scripted_broker_has_input(struct scripted_broker *broker)
{
    return broker->raw.length > 0 || broker->stream.length > 0 ||
           (broker->ssl != NULL && SSL_pending(broker->ssl) > 0) || wait_readable(broker->fd, 0);
}

void scripted_broker_wait_input(struct scripted_broker *broker)
{
    assert_true(wait_readable(broker->fd, SCRIPTED_TIMEOUT_MS));
}

bool scripted_broker_has_client(const struct scripted_broker *broker)
{
    return wait_readable(broker->listener, 0);
}

void scripted_broker_accept(struct scripted_broker *broker)
{
    int one = 1;
    assert_true(wait_readable(broker->listener, SCRIPTED_TIMEOUT_MS));
    broker->fd = accept4(broker->listener, NULL, NULL, SOCK_CLOEXEC);
    setsockopt(broker->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    buf_clear(&broker->raw);
    buf_clear(&broker->stream);
    if (is_tls(broker)) {
        broker->ssl = SSL_new(broker->context);
        SSL_set_fd(broker->ssl, broker->fd);
        assert_int_equal(SSL_accept(broker->ssl), 1);
    }
    if (is_websocket(broker)) {
        upgrade(broker);
    }
    assert_int_equal(scripted_broker_read(broker), SCRIPTED_CONNECT);
}

void scripted_broker_connack(struct scripted_broker *broker, bool is_session_present)
{
    const unsigned char packet[] = {0x20, 3, is_session_present, 0, 0};
    unsigned char packet_4[] = {0x20, 2, is_session_present, 0};
    if (broker->protocol == 5) {
        scripted_broker_send(broker, packet, sizeof packet);
    } else {
        scripted_broker_send(broker, packet_4, sizeof packet_4);
    }
}

void scripted_broker_unsuback(struct scripted_broker *broker)
{
    uint16_t id = scripted_broker_packet_id(broker);
    const unsigned char packet[] = {0xb0, 4, (unsigned char)(id >> 8), (unsigned char)id, 0, 0};
    const unsigned char packet_4[] = {0xb0, 2, (unsigned char)(id >> 8), (unsigned char)id};
    if (broker->protocol == 5) {
        scripted_broker_send(broker, packet, sizeof packet);
    } else {
        scripted_broker_send(broker, packet_4, sizeof packet_4);
    }
}

void scripted_broker_suback(struct scripted_broker *broker, size_t filter_count)
{
    unsigned char packet[300] = {0x90, 0x80};
    size_t length = 3; /* of two bytes, both used */
    packet[length++] = (unsigned char)(scripted_broker_packet_id(broker) >> 8);
    packet[length++] = (unsigned char)scripted_broker_packet_id(broker);
    if (broker->protocol == 5) {
        packet[length++] = 0;
    }
    for (size_t i = 0; i < filter_count; i++) {
        packet[length++] = 1;
    }
    packet[1] = (unsigned char)(0x80 | ((length - 3) & 127));
    packet[2] = (unsigned char)((length - 3) >> 7);
    scripted_broker_send(broker, packet, length);
}

void scripted_broker_publish(struct scripted_broker *broker, int qos, uint16_t packet_id)
{
    unsigned char packet[16] = {(unsigned char)(0x30 | qos << 1), 0, 0, 1, 't'};
    size_t length = 5;
    if (qos > 0) {
        packet[length++] = (unsigned char)(packet_id >> 8);
        packet[length++] = (unsigned char)packet_id;
    }
    if (broker->protocol == 5) {
        packet[length++] = 0;
    }
    packet[length++] = '{';
    packet[length++] = '}';
    packet[1] = (unsigned char)(length - 2);
    scripted_broker_send(broker, packet, length);
}
