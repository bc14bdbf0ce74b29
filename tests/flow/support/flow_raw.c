#include "flow_raw.h"

#include "flow_check.h"
#include "flow_process.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT = 0x10, CONNACK = 0x20, PUBLISH_QOS_1 = 0x32, PUBACK = 0x40 };

void raw_fini(struct raw_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct raw_bytes){0};
}

static unsigned char *room(struct raw_bytes *bytes, size_t count)
{
    bytes->data = realloc(bytes->data, bytes->length + count + 1);
    assert(bytes->data != NULL);
    bytes->length += count;
    return bytes->data + bytes->length - count;
}

void raw_put(struct raw_bytes *bytes, const void *data, size_t length)
{
    if (length > 0) {
        memcpy(room(bytes, length), data, length);
    }
}

void raw_put_many(struct raw_bytes *bytes, int byte, size_t count)
{
    memset(room(bytes, count), byte, count);
}

void raw_put_times(struct raw_bytes *bytes, const void *data, size_t length, size_t count)
{
    unsigned char *out = room(bytes, length * count);
    for (size_t i = 0; i < count; i++) {
        memcpy(out + i * length, data, length);
    }
}

void raw_put_text(struct raw_bytes *bytes, const void *data, size_t length)
{
    const unsigned char size[] = {(unsigned char)(length >> 8), (unsigned char)length};
    assert(length <= 65535);
    raw_put(bytes, size, sizeof size);
    raw_put(bytes, data, length);
}

static void put_number(struct raw_bytes *bytes, size_t number)
{
    do {
        unsigned char digit = (unsigned char)(number & 127);
        number >>= 7;
        digit = (unsigned char)(digit | (number > 0 ? 128 : 0));
        raw_put(bytes, &digit, 1);
    } while (number > 0);
}

static void be_patient(int fd)
{
    const struct timeval limit = {.tv_sec = FLOW_TIMEOUT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

bool raw_write(int fd, const void *data, size_t length)
{
    const unsigned char *rest = data;
    while (length > 0) {
        ssize_t sent = send(fd, rest, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        rest += sent;
        length -= (size_t)sent;
    }
    return true;
}

static bool write_packet(int fd, int first, const struct raw_bytes *body)
{
    struct raw_bytes packet = {0};
    const unsigned char byte = (unsigned char)first;
    raw_put(&packet, &byte, 1);
    put_number(&packet, body->length);
    raw_put(&packet, body->data, body->length);
    bool is_sent = raw_write(fd, packet.data, packet.length);
    raw_fini(&packet);
    return is_sent;
}

static bool read_whole(int fd, unsigned char *out, size_t length)
{
    while (length > 0) {
        ssize_t got = TEMP_FAILURE_RETRY(recv(fd, out, length, 0));
        if (got <= 0) {
            return false;
        }
        out += got;
        length -= (size_t)got;
    }
    return true;
}

int raw_read(int fd, struct raw_bytes *body)
{
    unsigned char first;
    unsigned char digit = 128;
    size_t length = 0;
    raw_fini(body);
    if (!read_whole(fd, &first, 1)) {
        return -1;
    }
    for (int shift = 0; (digit & 128) != 0; shift += 7) {
        if (shift > 21 || !read_whole(fd, &digit, 1)) {
            return -1;
        }
        length |= (size_t)(digit & 127) << shift;
    }
    return read_whole(fd, room(body, length), length) ? first : -1;
}

int raw_connect(int port)
{
    static int number;
    char id[48];
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static const unsigned char clean_start_no_keepalive_no_properties[] = {5, 2, 0, 0, 0};
    struct raw_bytes body = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    be_patient(fd);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        flow_fail("nobody listens on port %d", port);
    }
    snprintf(id, sizeof id, "raw-%ld-%d", (long)getpid(), ++number);
    raw_put_text(&body, "MQTT", 4);
    raw_put(&body, clean_start_no_keepalive_no_properties,
            sizeof clean_start_no_keepalive_no_properties);
    raw_put_text(&body, id, strlen(id));
    if (!write_packet(fd, CONNECT, &body) || raw_read(fd, &body) != CONNACK) {
        flow_fail("the broker did not let a client in");
    }
    raw_fini(&body);
    return fd;
}

bool raw_deliver(int fd, const struct raw_message *message)
{
    static const unsigned char packet_id[] = {0, 1};
    struct raw_bytes body = {0};
    raw_put_text(&body, message->topic.data, message->topic.length);
    raw_put(&body, packet_id, sizeof packet_id);
    put_number(&body, message->properties.length);
    raw_put(&body, message->properties.data, message->properties.length);
    raw_put(&body, message->payload.data, message->payload.length);
    bool is_sent = write_packet(fd, PUBLISH_QOS_1, &body);
    raw_fini(&body);
    return is_sent;
}

bool raw_publish(int fd, const struct raw_message *message)
{
    struct raw_bytes answer = {0};
    bool is_taken = raw_deliver(fd, message) && raw_read(fd, &answer) == PUBACK;
    raw_fini(&answer);
    return is_taken;
}

int raw_listen(int *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (const struct sockaddr *)&address, length) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        flow_fail("no port to listen on");
    }
    *out_port = ntohs(address.sin_port);
    return fd;
}

int raw_accept(int listener)
{
    struct pollfd entry = {.fd = listener, .events = POLLIN};
    if (poll(&entry, 1, FLOW_TIMEOUT_MS) != 1) {
        flow_fail("nobody connects");
    }
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    be_patient(fd);
    return fd;
}
