/*
 * Only what is on the broker's socket is kept: the main thread reads its own sockets with recv().
 * With TLS the bytes come from SSL_read(), so they are those of MQTT too.
 */

/* With hardening the headers would replace the functions that are defined here. */
#undef _FORTIFY_SOURCE

#include "connection_cause.h"

#include "connection_connack.h"
#include "connection_puback.h"
#include "connection_read_ahead.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_BYTES      512
#define IP_BYTES         64
#define SHOWN_BYTES      40 /* of what is not MQTT */
#define TEXT_BYTES       120
#define TYPE_CONNACK     0x20
#define TYPE_AUTH        0xf0
#define TLS_ALERT        0x15
#define MQTT_VERSION_5   5
#define WEBSOCKET_ANSWER "HTTP/1.1 101"

static struct {
    _Atomic bool is_running;
    _Atomic int fd; /* -1: none yet */
    bool is_websocket;
    bool is_tls;
    uint8_t protocol;
    void (*on_socket)(void *arg);
    void *arg;
    char ip[IP_BYTES]; /* "": Paho resolves the host */
    int connect_error; /* errno */
    bool is_connected;
    bool is_closed; /* by the broker */
    size_t length;
    char first[FIRST_BYTES];
} cause = {.fd = -1};

void cause_begin(const struct wire_address *address, bool is_tls, uint8_t protocol,
                 void (*on_socket)(void *arg), void *arg)
{
    cause.fd = -1;
    cause.on_socket = on_socket;
    cause.arg = arg;
    cause.is_websocket = address->scheme.data[0] == 'w';
    cause.is_tls = is_tls;
    cause.protocol = protocol;
    snprintf(cause.ip, sizeof cause.ip, "%.*s", (int)address->ip.length,
             slice_is_present(address->ip) ? address->ip.data : "");
    cause.connect_error = 0;
    cause.is_connected = false;
    cause.is_closed = false;
    cause.length = 0;
    cause.is_running = true;
}

void cause_end(void)
{
    cause.is_running = false;
}

/* ---- What Paho calls ---- */

/* The function of that name which would be called if this file did not define one. */
#define REAL(name, type)                            \
    static _Atomic(type) real;                      \
    if (real == NULL) {                             \
        void *found = dlsym(RTLD_NEXT, name);       \
        type function;                              \
        memcpy(&function, &found, sizeof function); \
        real = function;                            \
    }

typedef int (*getaddrinfo_fn)(const char *, const char *, const struct addrinfo *,
                              struct addrinfo **);
typedef int (*connect_fn)(int, const struct sockaddr *, socklen_t);
typedef int (*getsockopt_fn)(int, int, int, void *, socklen_t *);
typedef ssize_t (*recv_fn)(int, void *, size_t, int);
typedef int (*ssl_read_fn)(SSL *, void *, int);

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    REAL("getaddrinfo", getaddrinfo_fn)
    bool is_known = cause.is_running && cause.ip[0] != '\0';
    return real(is_known ? cause.ip : node, service, hints, out);
}

/* The type that the header gives the address: a union of pointers, passed as a pointer. */
int connect(int fd, __CONST_SOCKADDR_ARG any, socklen_t length)
{
    REAL("connect", connect_fn)
    const struct sockaddr *address = any.__sockaddr__;
    bool is_internet = address->sa_family == AF_INET || address->sa_family == AF_INET6;
    bool is_brokers = cause.is_running && is_internet;
    if (is_brokers && cause.fd < 0) {
        cause.on_socket(cause.arg);
    }
    int result = real(fd, address, length);
    if (is_brokers) {
        cause.fd = fd;
        cause.is_connected = result == 0;
        cause.connect_error = result == 0 || errno == EINPROGRESS ? 0 : errno;
    }
    return result;
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
    REAL("getsockopt", getsockopt_fn)
    int result = real(fd, level, name, value, length);
    if (cause.is_running && fd == cause.fd && level == SOL_SOCKET && name == SO_ERROR &&
        result == 0) {
        int error;
        memcpy(&error, value, sizeof error);
        cause.connect_error = error;
        cause.is_connected = error == 0;
    }
    return result;
}

static void keep(const char *bytes, ssize_t count)
{
    size_t room = sizeof cause.first - cause.length;
    size_t taken = count < 0 ? 0 : (size_t)count < room ? (size_t)count : room;
    if (taken > 0) {
        memcpy(cause.first + cause.length, bytes, taken);
        cause.length += taken;
    }
}

ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
    REAL("recv", recv_fn)
    ssize_t count = read_ahead_is_on(fd) && flags == 0 ? read_ahead_recv(bytes, length)
                                                       : real(fd, bytes, length, flags);
    if (read_ahead_is_on(fd)) {
        read_ahead_note(count > 0);
        puback_note(slice_of(bytes, count > 0 ? (size_t)count : 0));
    }
    if (cause.is_running && fd == cause.fd) {
        bool has_failed = count < 0 && errno != EAGAIN && errno != EINTR;
        cause.is_closed |= (count == 0 && length > 0) || has_failed;
        keep(bytes, (flags & MSG_PEEK) == 0 ? count : 0);
    }
    return count;
}

int SSL_read(SSL *ssl, void *bytes, int length)
{
    REAL("SSL_read", ssl_read_fn)
    int count = real(ssl, bytes, length);
    read_ahead_note(count > 0);
    puback_note(slice_of(bytes, count > 0 ? (size_t)count : 0));
    if (cause.is_running) {
        keep(bytes, count);
    }
    return count;
}

/* ---- In words ---- */

static void append_connect_error(struct buf *out)
{
    if (cause.connect_error == ECONNREFUSED) {
        buf_append_text(out, "connection refused: nothing listens on this port");
    } else {
        buf_append_text(out, strerror(cause.connect_error));
    }
}

/* Whether the first bytes are not those of an MQTT broker. */
static bool is_other_protocol(void)
{
    size_t length = strlen(WEBSOCKET_ANSWER);
    uint8_t first = (uint8_t)cause.first[0];
    if (cause.length == 0) {
        return false;
    }
    if (cause.is_websocket) {
        return cause.length >= length && memcmp(cause.first, WEBSOCKET_ANSWER, length) != 0;
    }
    return first != TYPE_CONNACK && first != TYPE_AUTH;
}

/* The first line, as far as it is short. The log escapes what is not printable. */
static struct slice first_line(void)
{
    size_t length = 0;
    while (length < cause.length && length < SHOWN_BYTES && cause.first[length] != '\r' &&
           cause.first[length] != '\n') {
        length++;
    }
    return slice_of(cause.first, length);
}

static void append_other_protocol(struct buf *out)
{
    if (!cause.is_tls && cause.first[0] == TLS_ALERT) {
        buf_append_text(out, "the broker expects TLS on this port: use mqtts:// or wss://");
        return;
    }
    buf_append_text(out, cause.is_websocket ? "there is no MQTT over WebSocket here; it answered "
                                            : "this is not an MQTT broker; it answered ");
    buf_append(out, first_line());
}

void cause_append(struct buf *out, bool has_handshake, bool is_timeout)
{
    const char *hint =
        cause.protocol == MQTT_VERSION_5 ? ": it may not know MQTT 5 (broker.protocol = 4)" : "";
    if (cause.connect_error != 0) {
        append_connect_error(out);
    } else if (is_other_protocol()) {
        append_other_protocol(out);
    } else if (is_timeout) {
        buf_append_text(out, cause.is_connected ? "the broker did not answer in time"
                                                : "no connection in time");
    } else if (cause.is_tls && !has_handshake) {
        buf_append_text(out, "the broker ended the TLS handshake and gave no reason");
    } else if (cause.is_connected) {
        buf_append_text(out, "the broker closed the connection before it answered");
        buf_append_text(out, hint);
        buf_append_text(out, cause.is_tls    ? ""
                             : *hint != '\0' ? ", or expect TLS"
                                             : ": it may expect TLS");
    } else {
        buf_append_text(out, "unknown reason");
    }
}

static void append_text(struct buf *out, const char *label, struct slice text)
{
    if (text.length > 0) {
        text.length = text.length < TEXT_BYTES ? text.length : TEXT_BYTES;
        buf_append_text(out, label);
        buf_append(out, text);
    }
}

void cause_append_connack(struct buf *out)
{
    struct connack connack = connack_read(slice_of(cause.first, cause.length));
    append_text(out, ": ", connack.reason_string);
    append_text(out, ": use the server ", connack.server_reference);
}
