/*
 * http_watches - which of libcurl's descriptors the loop watches, and for what.
 *
 * libcurl requests a watch at the start of each exchange and removes it at the end. A socket that
 * was opened here stays in the loop while its connection is idle: removing and adding it again
 * would cost two system calls for each exchange.
 *
 * Thread: the loop's.
 */
#ifndef HTTP_SOCKETS_H
#define HTTP_SOCKETS_H

#include "base/loop.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `events` as in loop.h. The descriptor may be closed within. */
typedef void http_watches_ready_fn(void *arg, int fd, int events);

struct http_watch;
struct http_watches {
    struct loop *loop;
    http_watches_ready_fn *ready;
    void *arg;
    struct http_watch **by_number;
    size_t capacity;
};

void http_watches_init(struct http_watches *watches, struct loop *loop,
                       http_watches_ready_fn *ready, void *arg);
/* All descriptors must have been closed. */
void http_watches_fini(struct http_watches *watches);
/* Watches the descriptors of this multi handle. */
void http_watches_serve(struct http_watches *watches, CURLM *multi);
/* Opens and closes the sockets of this easy handle, which belongs to that multi handle. */
void http_watches_use(struct http_watches *watches, CURL *easy);

/* What is there to be read on a connection. */
enum http_input {
    HTTP_INPUT_NONE,
    HTTP_INPUT_END,   /* the end of the connection, or a TLS record that is too short for more */
    HTTP_INPUT_BYTES, /* at least the beginning of an answer */
};

/* One use of a connection: of the socket with this number, by one request. */
struct http_use {
    int fd; /* -1: none */
    int local_port;
    uint64_t number;
};

/*
 * Begins a use of the connection with this local port; -1 in `fd` where there is none, or several:
 * connections to different servers may have the same local port. libcurl 7.88 cannot tell the
 * socket of a connection that it is about to use again (CURLINFO_ACTIVESOCKET is that of the
 * handle's last exchange).
 */
struct http_use http_watches_begin_use(struct http_watches *watches, int local_port);
/* Whether the connection is still open. */
bool http_watches_is_open(const struct http_watches *watches, const struct http_use *use);
/* Whether no other use of the open connection has begun. */
bool http_watches_is_latest(const struct http_watches *watches, const struct http_use *use);
enum http_input http_socket_input(int fd);
/* Whether the peer's kernel has acknowledged everything that was written. */
bool http_socket_is_acknowledged(int fd);

#endif
