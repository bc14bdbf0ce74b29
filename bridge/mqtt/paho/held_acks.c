/*
 * The invariant: a packet that was announced is held until its number is durable. More than that,
 * where acknowledgements are held no PUBACK at all leaves through writev() or SSL_write(): one that
 * was not announced ends the connection. (PUBREC and PUBCOMP of QoS 2, which nobody subscribes,
 * are held where they were announced.)
 *
 * What this stands on, in Paho 1.3.12 (Debian 12) and 1.3.14 (Debian 13):
 *   - a packet is written by one call of writev() (MQTT, WebSockets) or SSL_write() (both with
 *     TLS), in whole, with the header of its WebSocket frame in front; what the socket does not
 *     take is continued by further calls, and no other packet is begun before that is complete;
 *   - the PUBACK of a QoS 1 message is the next packet of the thread that has called the callback,
 *     or is queued behind an incomplete write; it has 4 bytes in MQTT 3.1.1 and 5;
 *   - poll() is called twice in a cycle of the receive thread: with POLLOUT and no timeout, to
 *     continue incomplete writes, then with POLLIN and without any lock;
 *   - after a poll() that returned 0 it sleeps 100 ms and then looks whether a PINGREQ is due;
 *   - where OpenSSL has decrypted more than was read (SSL_pending), it reads on without poll(); but
 *     it asks only behind some reads, so that a packet can wait for the next one. Here
 *     SSL_pending() always returns 0, and poll() asks OpenSSL itself.
 * The linker gives Paho the functions of the executable because Paho is a shared library and calls
 * them by name; held_acks_begin() checks that CONNECT has come this way.
 *
 * Whatever poll() reports is passed on, so an end of the connection is noticed at most PACE_MS
 * later than without this file.
 */

/* With hardening the headers would replace the functions that are defined here. */
#undef _FORTIFY_SOURCE

#include "mqtt/held_acks.h"

#include "base/buf.h"
#include "base/clock.h"
#include "connection_read_ahead.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define TYPE_CONNECT 0x10
#define TYPE_PUBLISH 0x30 /* with flags in the lower four bits */
#define TYPE_PUBACK  0x40
#define TYPE_PUBREC  0x50
#define TYPE_PUBCOMP 0x70
#define TYPE_PINGREQ 0xc0
#define ACK_BYTES    4
/* Of a WebSocket frame with at most 125 bytes: opcode, length, mask. */
#define FRAME_HEAD_BYTES 6
#define FRAME_BINARY     0x82 /* final, binary */
#define FRAME_MASKED     0x80
#define PACKET_BYTES     (FRAME_HEAD_BYTES + ACK_BYTES)
/* After so many packets in a row the broker's socket is left alone for a moment: what comes under
 * load is read together, because a wake-up costs more than a packet. */
#define PACE_COUNT_MIN 2
#define PACE_MS        1
/* A longer PUBLISH is sent at once. */
#define JOINED_BYTES_MAX 4096

static struct {
    /* Of the attempt. */
    bool is_tls;
    bool is_websocket;
    _Atomic int connect_fd; /* where CONNECT was written; -1: not yet */
    SSL *_Atomic connect_ssl;
    _Atomic uint64_t polled; /* a bit for each descriptor (modulo 64) that was waited for */
    /* Of the connection that stands. */
    _Atomic int fd; /* -1: none */
    SSL *ssl;       /* NULL without TLS */
    bool is_holding;
    struct held_acks_hooks hooks;
    int64_t keepalive_ms; /* 0: none */
    int wake_fd;
    _Atomic bool is_ended;
    /* Of the receive thread. */
    struct buf packets; /* held, all of the same length */
    size_t expected;    /* announced, and not yet written by Paho */
    size_t durable;     /* released, and not yet written here */
    int64_t read_ms;    /* when the broker last sent something */
    size_t read_count;  /* packets since the thread last waited */
    int64_t paced_until_ms;
    /* Writes. */
    _Atomic size_t publishing; /* handed to Paho, and not yet written by it */
    pthread_mutex_t mutex;
    _Atomic bool is_blocked;      /* Paho has an incomplete write */
    _Atomic int64_t sent_ms;      /* last write to the socket */
    _Atomic int64_t paho_sent_ms; /* last write as Paho sees it */
} held = {.connect_fd = -1, .fd = -1, .wake_fd = -1, .mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- The functions in whose place these are ---- */

static ssize_t kernel_writev(int fd, const struct iovec *parts, int count)
{
    return syscall(SYS_writev, fd, parts, count);
}

/* Leaves the bytes to the kernel, which sends them with those of the next write. */
static ssize_t kernel_write_more(int fd, const struct iovec *parts, int count)
{
    char joined[JOINED_BYTES_MAX];
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) {
            memcpy(joined + length, parts[i].iov_base, parts[i].iov_len);
            length += parts[i].iov_len;
        }
    }
    return syscall(SYS_sendto, fd, joined, length, MSG_MORE | MSG_NOSIGNAL, NULL, 0);
}

static int kernel_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct timespec timeout = {.tv_sec = timeout_ms / 1000,
                               .tv_nsec = (timeout_ms % 1000) * 1000000L};
    return (int)syscall(SYS_ppoll, fds, count, timeout_ms < 0 ? NULL : &timeout, NULL, (size_t)0);
}

/* As SSL_write(), which is the same but for its results. */
static int openssl_write(SSL *ssl, const void *data, int length)
{
    size_t sent = 0;
    return SSL_write_ex(ssl, data, (size_t)length, &sent) == 1 ? (int)sent : -1;
}

static int openssl_pending(const SSL *ssl)
{
    static int (*pending)(const SSL *);
    if (pending == NULL) {
        *(void **)&pending = dlsym(RTLD_NEXT, "SSL_pending");
        assert(pending != NULL);
    }
    return pending(ssl);
}

/* ---- What Paho writes ---- */

/* The first byte of the MQTT packet that begins here; -1 where none does. */
static int packet_type(const unsigned char *bytes, size_t length)
{
    if (!held.is_websocket) {
        return length == 0 ? -1 : bytes[0];
    }
    if (length < 2 || bytes[0] != FRAME_BINARY) {
        return -1;
    }
    size_t more = (bytes[1] & 0x7f) < 126 ? 0 : (bytes[1] & 0x7f) == 126 ? 2 : 8;
    size_t at = FRAME_HEAD_BYTES + more;
    return length <= at ? -1 : bytes[at] ^ bytes[at - 4];
}

/* Nothing is acknowledged any more. */
static void give_up(const char *why)
{
    held.is_ended = true;
    held.hooks.broken(held.hooks.arg, why);
}

static size_t ack_bytes(void)
{
    return ACK_BYTES + (held.is_websocket ? FRAME_HEAD_BYTES : 0);
}

/* Whether the packet stays here; *out_is_good is false where it must not be written either. */
static bool keep(const unsigned char *bytes, size_t length, bool *out_is_good)
{
    int type = packet_type(bytes, length);
    *out_is_good = true;
    if (held.is_blocked || (type != TYPE_PUBACK && type != TYPE_PUBREC && type != TYPE_PUBCOMP) ||
        (type != TYPE_PUBACK && held.expected == 0)) {
        return false;
    }
    if (held.expected == 0 || length != ack_bytes()) {
        *out_is_good = false;
        give_up("the MQTT library wrote an unexpected acknowledgement");
        return false;
    }
    held.expected--;
    buf_append(&held.packets, slice_of((const char *)bytes, length));
    return true;
}

/* Whether Paho begins a PUBLISH here and has the next one already. Sending each by itself would
 * wake the broker for each. */
static bool is_followed(const unsigned char *bytes, size_t length)
{
    int type = packet_type(bytes, length);
    return !held.is_blocked && type >= 0 && (type & 0xf0) == TYPE_PUBLISH && held.publishing > 0 &&
           --held.publishing > 0;
}

/* Notes the result of a write by Paho of so many bytes. */
static void note_written(ssize_t sent, size_t length, bool has_to_wait)
{
    held.is_blocked = sent < 0 ? has_to_wait : (size_t)sent < length;
    if (sent > 0) {
        held.sent_ms = clock_mono_ms();
    }
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    unsigned char start[PACKET_BYTES + 8];
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        for (size_t k = 0; k < parts[i].iov_len && length + k < sizeof start; k++) {
            start[length + k] = ((const unsigned char *)parts[i].iov_base)[k];
        }
        length += parts[i].iov_len;
    }
    size_t start_bytes = length < sizeof start ? length : sizeof start;
    if (fd != held.fd) {
        if (packet_type(start, start_bytes) == TYPE_CONNECT) {
            held.connect_fd = fd;
        }
        return kernel_writev(fd, parts, count);
    }
    bool is_good = true;
    held.paho_sent_ms = clock_mono_ms();
    if (held.is_holding && keep(start, length, &is_good)) {
        return (ssize_t)length;
    }
    if (!is_good) {
        errno = ECONNABORTED;
        return -1;
    }
    bool has_more = is_followed(start, start_bytes) && length <= JOINED_BYTES_MAX;
    pthread_mutex_lock(&held.mutex);
    ssize_t sent = has_more ? kernel_write_more(fd, parts, count) : kernel_writev(fd, parts, count);
    int error = errno;
    note_written(sent, length, error == EAGAIN);
    pthread_mutex_unlock(&held.mutex);
    errno = error;
    return sent;
}

int SSL_write(SSL *ssl, const void *data, int length)
{
    if (held.fd < 0 || ssl != held.ssl) {
        if (packet_type(data, (size_t)length) == TYPE_CONNECT) {
            held.connect_ssl = ssl;
            held.connect_fd = SSL_get_fd(ssl);
        }
        return openssl_write(ssl, data, length);
    }
    bool is_good = true;
    held.paho_sent_ms = clock_mono_ms();
    if (held.is_holding && keep(data, (size_t)length, &is_good)) {
        return length;
    }
    if (!is_good) {
        return -1;
    }
    pthread_mutex_lock(&held.mutex);
    int sent = openssl_write(ssl, data, length);
    note_written(sent, (size_t)length, SSL_get_error(ssl, sent) == SSL_ERROR_WANT_WRITE);
    pthread_mutex_unlock(&held.mutex);
    return sent;
}

/* ---- What is written here ---- */

/* Writes bytes of our own between two packets of Paho; false if the socket does not take all of
 * them. While Paho has an incomplete write it does nothing, and *out_is_sent is false. */
static bool write_between(const char *bytes, size_t length, bool *out_is_sent)
{
    bool is_whole = true;
    *out_is_sent = false;
    pthread_mutex_lock(&held.mutex);
    if (!held.is_blocked && !held.is_ended) {
        struct iovec part = {(char *)bytes, length};
        ssize_t sent = held.ssl != NULL ? openssl_write(held.ssl, bytes, (int)length)
                                        : kernel_writev(held.fd, &part, 1);
        is_whole = sent == (ssize_t)length;
        *out_is_sent = is_whole;
        held.sent_ms = clock_mono_ms();
    }
    pthread_mutex_unlock(&held.mutex);
    return is_whole;
}

static void write_durable(void)
{
    size_t there = held.packets.length / ack_bytes(); /* some may be queued in Paho */
    size_t count = held.durable < there ? held.durable : there;
    size_t length = count * ack_bytes();
    bool is_sent = false;
    if (count == 0) {
        return;
    }
    if (!write_between(held.packets.data, length, &is_sent)) {
        give_up("the broker does not take acknowledgements");
    }
    if (is_sent) {
        buf_consume(&held.packets, length);
        held.durable -= count;
    }
}

/* Paho counts a held packet as written, so its own PINGREQ would be late. */
static void ping(void)
{
    unsigned char packet[FRAME_HEAD_BYTES + 2] = {TYPE_PINGREQ, 0};
    size_t length = 2;
    bool is_sent;
    if (held.is_websocket) {
        length = sizeof packet;
        packet[0] = FRAME_BINARY;
        packet[1] = FRAME_MASKED | 2;
        RAND_bytes(packet + 2, 4);
        packet[FRAME_HEAD_BYTES] = TYPE_PINGREQ ^ packet[2];
        packet[FRAME_HEAD_BYTES + 1] = packet[3];
    }
    if (!write_between((const char *)packet, length, &is_sent)) {
        give_up("the broker does not take a ping");
    }
}

/* ---- How Paho waits ---- */

/* When the receive thread is to return from poll() at the latest: with Paho's timeout, but not
 * before a PINGREQ can be due. */
static int64_t wait_end_ms(int64_t now_ms, int timeout_ms)
{
    if (held.keepalive_ms == 0) {
        return INT64_MAX;
    }
    int64_t quiet_ms = held.paho_sent_ms < held.read_ms ? held.paho_sent_ms : held.read_ms;
    int64_t due_ms = quiet_ms + held.keepalive_ms;
    return due_ms > now_ms + timeout_ms ? due_ms : now_ms + timeout_ms;
}

/* When a PINGREQ of our own is due. */
static int64_t ping_ms(void)
{
    return held.packets.length == 0 || held.keepalive_ms == 0 || held.is_blocked
               ? INT64_MAX
               : held.sent_ms + held.keepalive_ms;
}

int SSL_pending(const SSL *ssl)
{
    return held.fd >= 0 && ssl == held.ssl && !held.is_ended ? 0 : openssl_pending(ssl);
}

static bool has_decrypted_input(void)
{
    if (held.ssl == NULL) {
        return false;
    }
    pthread_mutex_lock(&held.mutex); /* Paho frees it after held_acks_end() */
    bool has_input = !held.is_ended && openssl_pending(held.ssl) > 0;
    pthread_mutex_unlock(&held.mutex);
    return has_input;
}

/* Waits once for what the plan says; false when `end_ms` has passed. */
static bool wait_once(const struct held_acks_plan *plan, int64_t end_ms, struct pollfd fds[3])
{
    int64_t now_ms = clock_mono_ms();
    int64_t until_ms = plan->until_ms < end_ms ? plan->until_ms : end_ms;
    until_ms = ping_ms() < until_ms ? ping_ms() : until_ms;
    int64_t left_ms = until_ms <= now_ms ? 0 : until_ms - now_ms;
    int wait_ms = plan->has_deliveries    ? 0
                  : until_ms == INT64_MAX ? -1
                  : left_ms > INT32_MAX   ? INT32_MAX
                                          : (int)left_ms;
    int ready = kernel_poll(fds, 3, wait_ms);
    return ready != 0 || plan->has_deliveries || clock_mono_ms() < end_ms;
}

/* Whether the broker's socket is left out of this wait, which may be long. */
static bool is_paced(struct held_acks_plan *plan)
{
    int64_t now_ms = clock_mono_ms();
    if (held.read_count >= PACE_COUNT_MIN && !held.is_blocked) {
        held.paced_until_ms = now_ms + PACE_MS;
    }
    held.read_count = 0;
    if (now_ms >= held.paced_until_ms) {
        return false;
    }
    plan->until_ms = plan->until_ms < held.paced_until_ms ? plan->until_ms : held.paced_until_ms;
    return true;
}

static int wait_for_broker(struct pollfd *broker, int timeout_ms)
{
    int64_t end_ms = wait_end_ms(clock_mono_ms(), timeout_ms);
    bool is_waiting = true;
    while (is_waiting) {
        struct held_acks_plan plan = {.fd = -1, .has_room = true, .until_ms = INT64_MAX};
        if (held.is_holding && !held.is_ended) {
            if (held.expected > 0 && !held.is_blocked) {
                give_up("an acknowledgement of the MQTT library was not seen");
                return 0;
            }
            write_durable();
            held.hooks.plan(held.hooks.arg, &plan);
        }
        bool may_have_packets = held.is_websocket && !read_ahead_is_exhausted();
        bool has_input =
            plan.has_room && (read_ahead_has_bytes() || has_decrypted_input() || may_have_packets);
        bool is_read = plan.has_room && (has_input || plan.has_deliveries || !is_paced(&plan));
        short events = (short)(held.is_blocked ? POLLIN | POLLOUT : POLLIN);
        struct pollfd fds[] = {{.fd = held.wake_fd, .events = POLLIN},
                               {.fd = plan.fd, .events = POLLIN},
                               {.fd = is_read ? broker->fd : -1, .events = events}};
        if (!has_input) {
            is_waiting = wait_once(&plan, end_ms, fds);
        }
        if (fds[0].revents != 0) {
            uint64_t count;
            ssize_t got = read(held.wake_fd, &count, sizeof count);
            assert(got == sizeof count || errno == EAGAIN);
            is_waiting = is_waiting && !held.is_ended;
        }
        if (fds[1].revents != 0 && !held.is_ended) {
            held.hooks.readable(held.hooks.arg);
        }
        if (has_input || (fds[2].revents & ~POLLOUT) != 0) {
            broker->revents = fds[2].revents;
            if (has_input) {
                broker->revents = POLLIN;
            }
            held.read_ms = clock_mono_ms();
            held.read_count++;
            return 1;
        }
        if (fds[2].revents != 0) {
            return 0; /* Paho continues its write */
        }
        if (plan.has_deliveries && !held.is_ended) {
            held.hooks.send(held.hooks.arg);
        }
        if (ping_ms() <= clock_mono_ms()) {
            ping();
        }
    }
    return 0;
}

static uint64_t poll_bit(int fd)
{
    return (uint64_t)1 << fd % 64;
}

#ifndef __clang__
/* glibc declares that poll() only writes to `fds`. */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    bool stands = held.fd >= 0 && !held.is_ended;
    bool is_ours = stands && count == 1 && fds[0].fd == held.fd;
    if (is_ours && (fds[0].events & POLLOUT) == 0) {
        fds[0].revents = 0;
        return wait_for_broker(fds, timeout_ms);
    }
    if (is_ours && !held.is_blocked) {
        /* Nothing is to be continued, and what a receiver writes in answer is held. */
        fds[0].revents = POLLOUT;
        return 1;
    }
    for (nfds_t i = 0; i < count && !stands; i++) {
        held.polled |= fds[i].fd < 0 ? 0 : poll_bit(fds[i].fd);
    }
    return kernel_poll(fds, count, timeout_ms);
}

/* ---- The connection ---- */

void held_acks_prepare(bool is_tls, bool is_websocket)
{
    read_ahead_begin(-1);
    held.fd = -1;
    held.ssl = NULL;
    held.is_tls = is_tls;
    held.is_websocket = is_websocket;
    held.connect_fd = -1;
    held.connect_ssl = NULL;
    held.polled = 0;
    held.is_holding = false;
    held.is_ended = false;
    held.is_blocked = false;
    held.expected = 0;
    held.durable = 0;
    held.publishing = 0;
    held.read_count = 0;
    held.paced_until_ms = 0;
    buf_clear(&held.packets);
    if (held.wake_fd < 0) {
        held.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (held.wake_fd < 0) {
        _exit(EX_OSERR);
    }
}

int held_acks_begin(uint32_t keepalive_s, const struct held_acks_hooks *hooks)
{
    int fd = held.connect_fd;
    SSL *ssl = held.connect_ssl;
    if (fd < 0 || (held.polled & poll_bit(fd)) == 0 || (ssl != NULL) != held.is_tls) {
        return -1;
    }
    if (hooks != NULL) {
        held.hooks = *hooks;
    }
    held.is_holding = hooks != NULL;
    held.keepalive_ms = (int64_t)keepalive_s * 1000;
    held.read_ms = clock_mono_ms();
    held.sent_ms = held.read_ms;
    held.paho_sent_ms = held.read_ms;
    held.ssl = ssl;
    held.fd = fd;
    read_ahead_begin(fd);
    return fd;
}

void held_acks_publishing(void)
{
    held.publishing++;
}

void held_acks_expect(void)
{
    assert(held.is_holding);
    held.expected++;
}

void held_acks_release(size_t count)
{
    held.durable += count;
    write_durable();
}

bool held_acks_wake(void)
{
    uint64_t one = 1;
    return held.fd >= 0 && write(held.wake_fd, &one, sizeof one) == sizeof one;
}

void held_acks_end(void)
{
    pthread_mutex_lock(&held.mutex);
    held.is_ended = true;
    pthread_mutex_unlock(&held.mutex);
    (void)held_acks_wake();
}
