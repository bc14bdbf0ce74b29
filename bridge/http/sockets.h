/*
 * http_watches - which of libcurl's descriptors the loop watches, and for what.
 *
 * libcurl asks anew for every exchange and forgets in between. A descriptor it opened through our
 * callbacks stays watched while it rests, since taking it off the loop and putting it back would
 * cost two system calls an exchange. Thread: the loop's.
 */
#ifndef HTTP_SOCKETS_H
#define HTTP_SOCKETS_H

#include "base/loop.h"

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
/* Opened for libcurl; http_watches_closed() will be called before it is closed. */
void http_watches_opened(struct http_watches *watches, int fd);
void http_watches_want(struct http_watches *watches, int fd, int events);
/* Nothing is reported until the next want. One that was not opened here is forgotten. */
void http_watches_rest(struct http_watches *watches, int fd);
void http_watches_closed(struct http_watches *watches, int fd);

#endif
