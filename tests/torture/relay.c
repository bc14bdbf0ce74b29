/*
 * A connection moves what it can without waiting, and then waits for either socket. A direction
 * reads only when everything that it read before is written, so a stalled side stalls the other.
 */
#include "relay.h"

#include "flow_check.h"
#include "flow_process.h"
#include "flow_raw.h"
#include "flow_tls.h"
#include "support/websocket_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The bytes of one read, and the buffers that the kernel is asked for. */
enum { CHUNK_BYTES = 8192, SOCKET_BYTES = 32768 };

struct side {
    int fd;
    SSL *ssl; /* NULL without TLS */
    bool is_websocket;
    bool is_upgraded; /* with WebSocket */
    bool is_hung;     /* both of its directions are over */
    struct buf raw;   /* read, not yet taken out of its frames */
};

struct direction {
    struct side *from;
    struct side *to;
    struct buf bytes; /* read and not yet written, in the form of the target */
    bool is_ended;    /* its source has closed */
    bool is_shut;     /* so was its target */
};

/* The one connection of a process. */
static struct side bridge;
static struct side proxy;
static struct direction up = {.from = &bridge, .to = &proxy};
static struct direction down = {.from = &proxy, .to = &bridge};

static const char *const names[TRANSPORT_COUNT] = {"mqtt", "mqtts", "ws", "wss"};

const char *transport_name(enum transport transport)
{
    return names[transport];
}

enum transport transport_of(const char *name)
{
    int i = 0;
    while (i < TRANSPORT_COUNT && strcmp(names[i], name) != 0) {
        i++;
    }
    return (enum transport)i;
}

static _Noreturn void reset_both(void)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(bridge.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    setsockopt(proxy.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    _exit(0);
}

/* --- moving bytes --- */

/* The result of a read or write: the number of bytes, 0 at the end, -1 if it would have to wait. */
static ssize_t check_result(const struct side *side, ssize_t result)
{
    int error = side->ssl == NULL ? SSL_ERROR_NONE : SSL_get_error(side->ssl, (int)result);
    if (error == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return -1;
    }
    bool must_wait = side->ssl == NULL && (errno == EAGAIN || errno == EINTR);
    if (error != SSL_ERROR_NONE || (result < 0 && !must_wait)) {
        reset_both();
    }
    return result;
}

static ssize_t read_side(struct side *side)
{
    char *room = buf_reserve(&side->raw, CHUNK_BYTES);
    ERR_clear_error();
    ssize_t got = check_result(side, side->ssl != NULL ? SSL_read(side->ssl, room, CHUNK_BYTES)
                                                       : recv(side->fd, room, CHUNK_BYTES, 0));
    side->raw.length += got > 0 ? (size_t)got : 0;
    return got;
}

static ssize_t write_side(const struct side *side, struct buf *bytes)
{
    ERR_clear_error();
    ssize_t sent = check_result(
        side, side->ssl != NULL ? SSL_write(side->ssl, bytes->data, (int)bytes->length)
                                : send(side->fd, bytes->data, bytes->length, MSG_NOSIGNAL));
    buf_consume(bytes, sent > 0 ? (size_t)sent : 0);
    return sent;
}

/* From the form of the source to the form of the target. */
static void convert(struct direction *direction)
{
    struct buf *raw = &direction->from->raw;
    enum websocket_frame frame = WEBSOCKET_DATA;
    if (direction->from->is_websocket) {
        bridge.is_upgraded = bridge.is_upgraded || websocket_upgrade(raw, &down.bytes);
        while (bridge.is_upgraded && frame == WEBSOCKET_DATA) {
            frame = websocket_take_frame(raw, &up.bytes);
        }
        if (frame == WEBSOCKET_WRONG) {
            reset_both();
        }
        up.is_ended = frame == WEBSOCKET_CLOSE;
        return;
    }
    if (direction->to->is_websocket) {
        websocket_put_frame(&direction->bytes, raw->data, raw->length);
    } else {
        buf_append(&direction->bytes, buf_slice(raw));
    }
    buf_clear(raw);
}

/* Whether something happened. */
static bool move(struct direction *direction)
{
    bool has_moved = false;
    if (!direction->is_ended && direction->bytes.length == 0) {
        ssize_t got = read_side(direction->from);
        if (got > 0) {
            convert(direction);
        }
        direction->is_ended |= got == 0;
        has_moved = got >= 0;
    }
    if (direction->bytes.length > 0) {
        return write_side(direction->to, &direction->bytes) > 0 || has_moved;
    }
    if (direction->is_ended && !direction->is_shut) {
        direction->is_shut = true;
        if (direction->to->ssl != NULL) {
            SSL_shutdown(direction->to->ssl);
        }
        shutdown(direction->to->fd, SHUT_WR);
    }
    return has_moved;
}

/* --- a connection --- */

/* Waits for either side. A reset is seen at once, also on a side that is not read now. */
static void wait_for_sides(void)
{
    struct side *const sides[] = {&bridge, &proxy};
    const struct direction *const from[] = {&up, &down};
    struct pollfd polls[2];
    for (int i = 0; i < 2; i++) {
        bool reads = !from[i]->is_ended && from[i]->bytes.length == 0;
        bool writes = from[1 - i]->bytes.length > 0;
        /* poll() always reports a side that is hung. */
        polls[i].fd = sides[i]->is_hung && !reads && !writes ? -1 : sides[i]->fd;
        polls[i].events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
    }
    poll(polls, 2, -1);
    for (int i = 0; i < 2; i++) {
        if ((polls[i].revents & POLLERR) != 0) {
            reset_both();
        }
        sides[i]->is_hung |= (polls[i].revents & POLLHUP) != 0;
    }
}

static void set_buffers(int fd)
{
    int on = 1;
    int size = SOCKET_BYTES;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static _Noreturn void serve(int target, SSL_CTX *context)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)target),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    proxy.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_buffers(proxy.fd);
    if (connect(proxy.fd, (struct sockaddr *)&address, sizeof address) != 0) {
        reset_both();
    }
    if (context != NULL) {
        bridge.ssl = SSL_new(context);
        SSL_set_fd(bridge.ssl, bridge.fd);
        SSL_set_accept_state(bridge.ssl); /* the first reads do the handshake */
    }
    fcntl(proxy.fd, F_SETFL, O_NONBLOCK);
    while (!up.is_shut || !down.is_shut) {
        bool has_moved = true;
        wait_for_sides();
        while (has_moved) {
            has_moved = move(&up);
            has_moved |= move(&down);
        }
    }
    _exit(0);
}

/* --- the process --- */

static _Noreturn void run(int listener, int target, SSL_CTX *context)
{
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    for (;;) {
        bridge.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (bridge.fd >= 0 && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve(target, context);
        }
        close(bridge.fd);
    }
}

static SSL_CTX *make_context(const char *directory)
{
    char cert[160];
    char key[160];
    struct tls_authority *authority = tls_authority_new(directory, "relay-ca");
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    tls_issue(authority, &(struct tls_subject){.name = "relay", .alt = "IP:127.0.0.1"});
    tls_authority_free(authority);
    snprintf(cert, sizeof cert, "%s/relay.pem", directory);
    snprintf(key, sizeof key, "%s/relay.key", directory);
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        flow_fail("the relay cannot use its certificate");
    }
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* The end of a killed bridge is an end, not an error. */
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    return context;
}

void relay_start(struct relay *relay, enum transport transport, int target, const char *directory)
{
    int port = target;
    *relay = (struct relay){.pid = 0};
    if (transport != TRANSPORT_MQTT) {
        SSL_CTX *context = NULL;
        pid_t parent = getpid();
        if ((transport & TRANSPORT_TLS) != 0) {
            context = make_context(directory);
            snprintf(relay->ca_file, sizeof relay->ca_file, "%s/relay-ca.pem", directory);
        }
        int listener = raw_listen(&port);
        set_buffers(listener); /* connections inherit them */
        fflush(NULL);
        relay->pid = fork();
        if (relay->pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            prctl(PR_SET_NAME, "torture-relay");
            bridge.is_websocket = (transport & TRANSPORT_WEBSOCKET) != 0;
            if (getppid() == parent) {
                run(listener, target, context);
            }
            _exit(1);
        }
        close(listener);
        SSL_CTX_free(context);
    }
    snprintf(relay->uri, sizeof relay->uri, "%s://127.0.0.1:%d%s", names[transport], port,
             (transport & TRANSPORT_WEBSOCKET) != 0 ? "/mqtt" : "");
}

void relay_stop(struct relay *relay)
{
    if (relay->pid > 0) {
        process_end(relay->pid, SIGKILL, FLOW_TIMEOUT_MS);
    }
    *relay = (struct relay){.pid = 0};
}
