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
/*
 * Whether bytes, or the end of the connection, are there to be read on a socket with this local
 * port; true where no such socket is known. To be called when libcurl is about to use a connection
 * again: what came while it was idle is no answer to any request, so the connection must not be
 * used. libcurl 7.88 takes it for a good one, and cannot tell its socket then
 * (CURLINFO_ACTIVESOCKET is that of the handle's last exchange).
 */
bool http_watches_has_bytes(const struct http_watches *watches, int local_port);

#endif
