/* A table by descriptor number: numbers are small, and libcurl passes nothing else. */
#include "sockets.h"

#include "base/mem.h"
#include "must.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The types of TLS records; TLS 1.3 gives an alert the same type as data. */
#define TLS_RECORD_FIRST 0x14
#define TLS_RECORD_LAST  0x17
/* An encrypted alert, such as close_notify, has at most 5 bytes of head, 2 of its own, and a nonce,
 * a MAC and padding. No answer of HTTP is as short. */
#define TLS_ALERT_BYTES_MAX 85

struct http_watch {
    struct http_watches *watches;
    int fd;
    struct loop_watch *loop_watch; /* NULL until libcurl asks for one */
    bool is_opened_here;
    bool is_idle;
    int local_port; /* 0: not asked for yet */
    uint64_t uses;
};

void http_watches_init(struct http_watches *watches, struct loop *loop,
                       http_watches_ready_fn *ready, void *arg)
{
    *watches = (struct http_watches){.loop = loop, .ready = ready, .arg = arg};
}

void http_watches_fini(struct http_watches *watches)
{
    for (size_t i = 0; i < watches->capacity; i++) {
        assert(watches->by_number[i] == NULL);
    }
    free(watches->by_number);
    *watches = (struct http_watches){0};
}

static struct http_watch *watch_of(struct http_watches *watches, int fd)
{
    size_t number = (size_t)fd;
    if (number >= watches->capacity) {
        size_t capacity = 2 * number + 16;
        watches->by_number =
            mem_realloc(watches->by_number, capacity * sizeof(struct http_watch *));
        memset(watches->by_number + watches->capacity, 0,
               (capacity - watches->capacity) * sizeof(struct http_watch *));
        watches->capacity = capacity;
    }
    if (watches->by_number[number] == NULL) {
        struct http_watch *watch = mem_zalloc(1, sizeof *watch);
        watch->watches = watches;
        watch->fd = fd;
        watches->by_number[number] = watch;
    }
    return watches->by_number[number];
}

static void on_ready(void *arg, int events)
{
    struct http_watch *watch = arg;
    if (watch->is_idle) {
        /* The server closed an idle connection or sent something: see http_socket_input(). */
        loop_watch_set(watch->loop_watch, 0);
        return;
    }
    watch->watches->ready(watch->watches->arg, watch->fd, events);
}

static int ask_local_port(const struct http_watch *watch)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t length = sizeof address;
    if (getsockname(watch->fd, &address.any, &length) != 0) {
        return 0;
    }
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static int local_port_of(struct http_watch *watch)
{
    if (watch->local_port == 0) {
        watch->local_port = ask_local_port(watch);
    }
    return watch->local_port;
}

struct http_use http_watches_begin_use(struct http_watches *watches, int local_port)
{
    struct http_watch *found = NULL;
    for (size_t i = 0; i < watches->capacity; i++) {
        struct http_watch *watch = watches->by_number[i];
        if (watch != NULL && watch->is_opened_here && local_port_of(watch) == local_port) {
            if (found != NULL) {
                return (struct http_use){.fd = -1};
            }
            found = watch;
        }
    }
    return found == NULL ? (struct http_use){.fd = -1}
                         : (struct http_use){found->fd, local_port, ++found->uses};
}

bool http_watches_is_open(const struct http_watches *watches, const struct http_use *use)
{
    struct http_watch *watch = watches->by_number[use->fd];
    return watch != NULL && watch->is_opened_here && local_port_of(watch) == use->local_port;
}

bool http_watches_is_latest(const struct http_watches *watches, const struct http_use *use)
{
    return watches->by_number[use->fd]->uses == use->number;
}

enum http_input http_socket_input(int fd)
{
    char bytes[TLS_ALERT_BYTES_MAX + 1];
    ssize_t count = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return HTTP_INPUT_NONE;
    }
    bool is_alert = count > 0 && count <= TLS_ALERT_BYTES_MAX && bytes[0] >= TLS_RECORD_FIRST &&
                    bytes[0] <= TLS_RECORD_LAST;
    return count <= 0 || is_alert ? HTTP_INPUT_END : HTTP_INPUT_BYTES;
}

bool http_socket_is_acknowledged(int fd)
{
    int count = 0;
    return ioctl(fd, SIOCOUTQ, &count) != 0 || count == 0;
}

/* --- libcurl's callbacks --- */

static void watch_free(struct http_watch *watch)
{
    watch->watches->by_number[watch->fd] = NULL;
    loop_watch_free(watch->loop_watch);
    free(watch);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_watches *watches = arg;
    struct http_watch *watch = watch_of(watches, fd);
    (void)easy;
    (void)socket_arg;
    watch->is_idle = what == CURL_POLL_REMOVE;
    if (watch->is_idle && !watch->is_opened_here) {
        watch_free(watch);
    } else if (!watch->is_idle) {
        if (watch->loop_watch == NULL) {
            watch->loop_watch = loop_watch_new(watches->loop, fd, on_ready, watch);
        }
        loop_watch_set(watch->loop_watch, ((what & CURL_POLL_IN) != 0 ? LOOP_READ : 0) |
                                              ((what & CURL_POLL_OUT) != 0 ? LOOP_WRITE : 0));
    }
    return 0;
}

/* Closed on exec: the bridge starts other programs, and they must not hold its connections. */
static curl_socket_t socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    watch_of(arg, fd)->is_opened_here = true;
    return fd;
}

static int socket_close(void *arg, curl_socket_t fd)
{
    watch_free(watch_of(arg, fd));
    return close(fd);
}

void http_watches_serve(struct http_watches *watches, CURLM *multi)
{
    must_multi(curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_wanted));
    must_multi(curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, watches));
}

void http_watches_use(struct http_watches *watches, CURL *easy)
{
    must(curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, socket_open));
    must(curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, watches));
    must(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, socket_close));
    must(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, watches));
}
