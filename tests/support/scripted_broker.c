#include "support/scripted_broker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
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
    return poll(&ready, 1, timeout_ms) == 1;
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

/* Moves a whole frame from `raw` to `stream`, without its mask. */
static bool take_frame(struct scripted_broker *broker)
{
    const unsigned char *bytes = (const unsigned char *)broker->raw.data;
    size_t head = 2;
    if (broker->raw.length < head) {
        return false;
    }
    uint64_t length = bytes[1] & 0x7f;
    size_t length_bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (broker->raw.length < head + length_bytes + 4) {
        return false;
    }
    for (size_t i = 0; i < length_bytes; i++) {
        length = (i == 0 ? 0 : length << 8) | bytes[head + i];
    }
    const unsigned char *mask = bytes + head + length_bytes;
    head += length_bytes + 4;
    if (broker->raw.length < head + length) {
        return false;
    }
    bool is_close = bytes[0] == 0x88;
    assert_true(is_close || bytes[0] == 0x82); /* final, binary */
    assert_true((bytes[1] & 0x80) != 0);
    for (size_t i = 0; i < length && !is_close; i++) {
        buf_append_char(&broker->stream, (char)(bytes[head + i] ^ mask[i % 4]));
    }
    buf_consume(&broker->raw, head + length);
    return true;
}

static void take_raw(struct scripted_broker *broker)
{
    if (is_websocket(broker)) {
        while (take_frame(broker)) {
        }
    } else {
        buf_append(&broker->stream, buf_slice(&broker->raw));
        buf_clear(&broker->raw);
    }
}

static void upgrade(struct scripted_broker *broker)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    char text[256];
    unsigned char digest[SHA_DIGEST_LENGTH];
    char accepted[2 * SHA_DIGEST_LENGTH];
    while (broker->raw.length == 0 ||
           memmem(broker->raw.data, broker->raw.length, "\r\n\r\n", 4) == NULL) {
        assert_true(read_raw(broker));
    }
    const char *key = memmem(broker->raw.data, broker->raw.length, name, sizeof name - 1);
    assert_non_null(key);
    key += sizeof name - 1;
    int length = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                          (int)strcspn(key, "\r"), key);
    SHA1((const unsigned char *)text, (size_t)length, digest);
    EVP_EncodeBlock((unsigned char *)accepted, digest, sizeof digest);
    length = snprintf(text, sizeof text,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                      "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
                      accepted);
    buf_clear(&broker->raw);
    send_raw(broker, text, (size_t)length);
}

/* ---- Packets ---- */

void scripted_broker_send(struct scripted_broker *broker, const void *bytes, size_t count)
{
    char frame[512] = {(char)0x82};
    if (is_websocket(broker)) {
        size_t head = count < 126 ? 2 : 4;
        assert_true(count + head <= sizeof frame);
        frame[1] = (char)(count < 126 ? count : 126);
        if (head == 4) {
            frame[2] = (char)(count >> 8);
            frame[3] = (char)count;
        }
        memcpy(frame + head, bytes, count);
        send_raw(broker, frame, head + count);
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
