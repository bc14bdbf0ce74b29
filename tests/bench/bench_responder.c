/*
 * bench_responder - an API that costs as little as possible.
 *
 * An HTTP/1.1 keep-alive server on one epoll set: every request is answered with the same 200 and
 * a fresh RequestId. It checks nothing; the tests use the simulator for that. It answers in the
 * loop iteration that read the request, with three system calls for each request (wait, read,
 * write). A request with GroupIds is answered with these groups, all `normal`, each with a new
 * recovery point once in RPO_S seconds. With --delay-ms each request waits so long before it is
 * read.
 *
 * bench_responder --listen 127.0.0.1:0 [--port-file FILE] [--delay-ms N]
 *
 * When it accepts connections, it writes the port to FILE (which may be a FIFO) or to standard
 * output. On SIGTERM or SIGINT it prints {"requests":n,"cpu_us":n} and exits with 0.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX_BYTES = 16384, EVENTS_MAX = 256, ID_DIGITS = 16 };
/* Of an answer about groups, whose sum is below the socket's buffer. */
enum { GROUPS_MAX_BYTES = 131072, GROUP_MAX_BYTES = 1024, HEAD_BYTES = 160, RPO_S = 900 };

/* One descriptor in the epoll set; the buffer is used by client connections only. */
struct peer {
    int fd;
    size_t used_bytes;
    size_t body_left_bytes;
    uint64_t due_ns;           /* when its request is read */
    struct peer *next_delayed; /* became readable after this one */
    char buffer[REQUEST_MAX_BYTES + 1];
};

struct responder {
    int epoll;
    struct peer listener;
    struct peer signals;
    uint64_t delay_ns;
    struct peer *first_delayed;
    struct peer *last_delayed;
    uint64_t requests;
    uint64_t next_id;
    char answer[512];
    size_t answer_bytes;
    char *answer_id; /* the digits of the RequestId inside the answer */
    char groups[GROUPS_MAX_BYTES];
};

static const char ID_MARK[] = "XXXXXXXX-XXXX-XXXX-942A-A8D6F44F0000";

static void answer_init(struct responder *responder)
{
    char body[128];
    int body_bytes = snprintf(body, sizeof(body), "{\"RequestId\":\"%s\"}", ID_MARK);
    int bytes = snprintf(responder->answer, sizeof(responder->answer),
                         "HTTP/1.1 200 OK\r\n"
                         "Content-Type: application/json;charset=utf-8\r\n"
                         "Content-Length: %d\r\n"
                         "Connection: keep-alive\r\n"
                         "\r\n%s",
                         body_bytes, body);

    responder->answer_bytes = (size_t)bytes;
    responder->answer_id = strstr(responder->answer, ID_MARK);
}

static void answer_renew_id(struct responder *responder)
{
    static const char digits[] = "0123456789ABCDEF";
    uint64_t id = bench_mix(responder->next_id++);
    char *at = responder->answer_id;

    for (int i = 0; i < ID_DIGITS; i++, id >>= 4) {
        if (*at == '-') {
            at++;
        }
        *at++ = digits[id & 15U];
    }
}

static void watch_with(struct responder *responder, struct peer *peer, int operation,
                       uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = peer}};

    if (epoll_ctl(responder->epoll, operation, peer->fd, &event) != 0) {
        bench_die(EX_OSERR, "epoll_ctl: %s", strerror(errno));
    }
}

static void watch(struct responder *responder, struct peer *peer)
{
    watch_with(responder, peer, EPOLL_CTL_ADD, EPOLLIN);
}

static void accept_peer(struct responder *responder)
{
    int fd = accept4(responder->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int one = 1;
    int send_bytes = 2 * GROUPS_MAX_BYTES;

    if (fd < 0) {
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
    struct peer *peer = bench_alloc(1, sizeof(*peer));
    peer->fd = fd;
    watch_with(responder, peer, EPOLL_CTL_ADD,
               EPOLLIN | (responder->delay_ns > 0 ? EPOLLONESHOT : 0U));
}

static void peer_free(struct peer *peer)
{
    close(peer->fd);
    free(peer);
}

static size_t body_bytes_of(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");

    return field == NULL ? 0 : strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
}

/* As the documentation's sample: about 450 bytes. The groups do not change at the same time. */
static size_t group_write(const char *id, size_t id_bytes, time_t now_s, char *out)
{
    uint64_t seed = 0;

    for (size_t i = 0; i < id_bytes; i++) {
        seed = seed * 31 + (unsigned char)id[i];
    }
    long recover_point_s = (long)(now_s - (now_s + (time_t)(bench_mix(seed) % RPO_S)) % RPO_S);
    int bytes = snprintf(
        out, GROUP_MAX_BYTES,
        "{\"ReplicaGroupId\":\"%.*s\",\"GroupName\":\"bench\",\"Site\":\"production\","
        "\"Status\":\"normal\",\"RPO\":%d,\"LastRecoverPoint\":%ld,\"PairIds\":[\"pair-1,pair-2\"],"
        "\"PairNumber\":2,\"SourceRegionId\":\"cn-beijing\",\"SourceZoneId\":\"cn-beijing-f\","
        "\"DestinationRegionId\":\"cn-shanghai\",\"DestinationZoneId\":\"cn-shanghai-e\","
        "\"PrimaryRegion\":\"cn-beijing\",\"PrimaryZone\":\"cn-beijing-h\","
        "\"StandbyRegion\":\"cn-shanghai\",\"StandbyZone\":\"cn-shanghai-e\",\"Bandwidth\":0,"
        "\"EnableRtc\":true,\"Tags\":[]}",
        (int)id_bytes, id, RPO_S, recover_point_s);
    return bytes < GROUP_MAX_BYTES ? (size_t)bytes : 0;
}

/* The answer about an encoded list of ids; the body has room for the head before it. */
static const char *groups_write(struct responder *responder, const char *ids, size_t *out_bytes)
{
    char *body = responder->groups + HEAD_BYTES;
    size_t used = (size_t)sprintf(body, "{\"RequestId\":\"%s\",\"ReplicaGroups\":[", ID_MARK);
    char head[HEAD_BYTES];
    time_t now_s = time(NULL);

    while (*ids != '\0' && *ids != '&' && *ids != ' ' &&
           HEAD_BYTES + used + GROUP_MAX_BYTES + 4 < GROUPS_MAX_BYTES) {
        size_t id_bytes = strcspn(ids, "%& ");
        used += group_write(ids, id_bytes, now_s, body + used);
        body[used++] = ',';
        ids += id_bytes;
        ids += strncmp(ids, "%2C", 3) == 0 ? 3 : 0;
    }
    used -= body[used - 1] == ',';
    used += (size_t)sprintf(body + used, "]}");
    int head_bytes = snprintf(head, sizeof(head),
                              "HTTP/1.1 200 OK\r\n"
                              "Content-Type: application/json;charset=utf-8\r\n"
                              "Content-Length: %zu\r\n\r\n",
                              used);
    memcpy(body - head_bytes, head, (size_t)head_bytes);
    *out_bytes = used + (size_t)head_bytes;
    return body - head_bytes;
}

/* Whether the whole answer was sent; a client that does not read its answers is disconnected.
 * `head` is the request's. */
static bool answer(struct responder *responder, const struct peer *peer, const char *head)
{
    const char *ids = strstr(head, "GroupIds=");
    const char *bytes = responder->answer;
    size_t count = responder->answer_bytes;

    responder->requests++;
    if (ids == NULL) {
        answer_renew_id(responder);
    } else {
        bytes = groups_write(responder, ids + strlen("GroupIds="), &count);
    }
    return send(peer->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)count;
}

static void consume(struct peer *peer, size_t bytes)
{
    peer->used_bytes -= bytes;
    memmove(peer->buffer, peer->buffer + bytes, peer->used_bytes);
}

static void skip_body(struct peer *peer)
{
    size_t bytes =
        peer->used_bytes < peer->body_left_bytes ? peer->used_bytes : peer->body_left_bytes;

    peer->body_left_bytes -= bytes;
    consume(peer, bytes);
}

/* Answers every complete request in the buffer; false: close the connection. */
static bool serve(struct responder *responder, struct peer *peer)
{
    for (;;) {
        skip_body(peer);
        peer->buffer[peer->used_bytes] = '\0';
        char *end = strstr(peer->buffer, "\r\n\r\n");
        if (end == NULL) {
            return peer->used_bytes < REQUEST_MAX_BYTES;
        }
        end[2] = '\0'; /* ends the search for a field at the end of this request's head */
        peer->body_left_bytes = body_bytes_of(peer->buffer);
        if (!answer(responder, peer, peer->buffer)) {
            return false;
        }
        consume(peer, (size_t)(end - peer->buffer) + 4);
    }
}

/* False: it was closed. */
static bool read_peer(struct responder *responder, struct peer *peer)
{
    size_t room = REQUEST_MAX_BYTES - peer->used_bytes;
    ssize_t got = recv(peer->fd, peer->buffer + peer->used_bytes, room, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (got > 0) {
        peer->used_bytes += (size_t)got;
    }
    if (got <= 0 || !serve(responder, peer)) {
        peer_free(peer);
        return false;
    }
    return true;
}

static void delay_peer(struct responder *responder, struct peer *peer)
{
    peer->due_ns = bench_now_ns() + responder->delay_ns;
    peer->next_delayed = NULL;
    if (responder->first_delayed == NULL) {
        responder->first_delayed = peer;
    } else {
        responder->last_delayed->next_delayed = peer;
    }
    responder->last_delayed = peer;
}

/* Reads those whose time has come. Returns the time until the next one in ms, -1 for none. */
static int read_delayed(struct responder *responder)
{
    uint64_t now_ns = bench_now_ns();

    while (responder->first_delayed != NULL && responder->first_delayed->due_ns <= now_ns) {
        struct peer *peer = responder->first_delayed;
        responder->first_delayed = peer->next_delayed;
        if (read_peer(responder, peer)) {
            watch_with(responder, peer, EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT);
        }
    }
    return responder->first_delayed == NULL
               ? -1
               : (int)((responder->first_delayed->due_ns - now_ns) / 1000000) + 1;
}

static void listen_on(struct responder *responder, const char *place)
{
    char host[64] = "";
    const char *colon = strrchr(place, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    int one = 1;

    if (colon == NULL || (size_t)(colon - place) >= sizeof(host)) {
        bench_die(EX_USAGE, "--listen needs ADDRESS:PORT, not \"%s\"", place);
    }
    memcpy(host, place, (size_t)(colon - place));
    address.sin_port = htons((uint16_t)bench_number("--listen", colon + 1, 0, 65535));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        bench_die(EX_USAGE, "--listen needs an IPv4 address, not \"%s\"", host);
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1024) != 0) {
        bench_die(EX_OSERR, "%s: %s", place, strerror(errno));
    }
    responder->listener.fd = fd;
    watch(responder, &responder->listener);
}

static void write_port(const struct responder *responder, const char *path)
{
    struct sockaddr_in address = {0};
    socklen_t address_bytes = sizeof(address);
    FILE *file = path == NULL ? stdout : fopen(path, "we");

    getsockname(responder->listener.fd, (struct sockaddr *)&address, &address_bytes);
    if (file == NULL || fprintf(file, "%u\n", (unsigned)ntohs(address.sin_port)) < 0 ||
        fflush(file) != 0) {
        bench_die(EX_CANTCREAT, "%s: %s", path == NULL ? "stdout" : path, strerror(errno));
    }
    if (path != NULL) {
        fclose(file);
    }
}

static void take_signals(struct responder *responder)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    responder->signals.fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (responder->signals.fd < 0) {
        bench_die(EX_OSERR, "signalfd: %s", strerror(errno));
    }
    watch(responder, &responder->signals);
}

static void serve_until_signalled(struct responder *responder)
{
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int count = epoll_wait(responder->epoll, events, EVENTS_MAX, read_delayed(responder));
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &responder->signals) {
                return;
            }
            if (events[i].data.ptr == &responder->listener) {
                accept_peer(responder);
            } else if (responder->delay_ns > 0) {
                delay_peer(responder, events[i].data.ptr);
            } else {
                read_peer(responder, events[i].data.ptr);
            }
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"port-file", required_argument, NULL, 'p'},
        {"delay-ms", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    static struct responder responder;
    const char *place = "127.0.0.1:0";
    const char *port_file = NULL;

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'l') {
            place = optarg;
        } else if (option == 'p') {
            port_file = optarg;
        } else if (option == 'd') {
            responder.delay_ns = bench_number("--delay-ms", optarg, 0, 60000) * 1000000;
        } else {
            bench_die(EX_USAGE, "options: --listen ADDRESS:PORT, --port-file FILE, --delay-ms N");
        }
    }
    responder.epoll = epoll_create1(EPOLL_CLOEXEC);
    responder.next_id = bench_random();
    answer_init(&responder);
    take_signals(&responder);
    listen_on(&responder, place);
    write_port(&responder, port_file);
    serve_until_signalled(&responder);
    printf("{\"requests\":%" PRIu64 ",\"cpu_us\":%" PRIu64 "}\n", responder.requests,
           bench_cpu_ns() / 1000);
    return BENCH_EXIT_OK;
}
