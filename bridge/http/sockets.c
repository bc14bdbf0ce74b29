/* A table by descriptor number: numbers are small, and libcurl passes nothing else. */
#include "sockets.h"

#include "base/mem.h"
#include "must.h"

#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct http_watch {
    struct http_watches *watches;
    int fd;
    struct loop_watch *loop_watch; /* NULL until libcurl asks for one */
    bool is_opened_here;
    bool is_idle;
    int local_port; /* 0: not asked for yet */
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
        /* The server closed an idle connection or sent something: http_watches_has_bytes(). */
        loop_watch_set(watch->loop_watch, 0);
        return;
    }
    watch->watches->ready(watch->watches->arg, watch->fd, events);
}

static int local_port_of(struct http_watch *watch)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t length = sizeof address;
    if (watch->local_port == 0 && getsockname(watch->fd, &address.any, &length) == 0) {
        bool is_v6 = address.any.sa_family == AF_INET6;
        watch->local_port = ntohs(is_v6 ? address.v6.sin6_port : address.v4.sin_port);
    }
    return watch->local_port;
}

bool http_watches_has_bytes(const struct http_watches *watches, int local_port)
{
    bool is_known = false;
    bool has_bytes = false;
    /* Connections to different servers may have the same local port. */
    for (size_t i = 0; i < watches->capacity; i++) {
        struct http_watch *watch = watches->by_number[i];
        if (watch != NULL && watch->is_opened_here && local_port_of(watch) == local_port) {
            struct pollfd readable = {.fd = watch->fd, .events = POLLIN};
            is_known = true;
            has_bytes = has_bytes || poll(&readable, 1, 0) != 0;
        }
    }
    return has_bytes || !is_known;
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
