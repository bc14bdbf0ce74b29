/* A table by descriptor number, since numbers are small and libcurl names nothing else. */
#include "sockets.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct http_watch {
    struct http_watches *watches;
    int fd;
    struct loop_watch *loop_watch; /* NULL: nothing was wanted yet */
    bool is_opened_here;
    bool is_resting;
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

static void grow(struct http_watches *watches, size_t capacity)
{
    size_t old_bytes = watches->capacity * sizeof(struct http_watch *);
    size_t bytes = capacity * sizeof(struct http_watch *);
    watches->by_number = mem_realloc(watches->by_number, bytes);
    memset((char *)watches->by_number + old_bytes, 0, bytes - old_bytes);
    watches->capacity = capacity;
}

static struct http_watch *watch_of(struct http_watches *watches, int fd)
{
    size_t number = (size_t)fd;
    if (number >= watches->capacity) {
        grow(watches, 2 * number + 16);
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
    if (watch->is_resting) {
        /* The far side ended an idle connection; libcurl finds out when it wants to use it. */
        loop_watch_set(watch->loop_watch, 0);
        return;
    }
    watch->watches->ready(watch->watches->arg, watch->fd, events);
}

void http_watches_opened(struct http_watches *watches, int fd)
{
    watch_of(watches, fd)->is_opened_here = true;
}

void http_watches_want(struct http_watches *watches, int fd, int events)
{
    struct http_watch *watch = watch_of(watches, fd);
    watch->is_resting = false;
    if (watch->loop_watch == NULL) {
        watch->loop_watch = loop_watch_new(watches->loop, fd, on_ready, watch);
    }
    loop_watch_set(watch->loop_watch, events);
}

void http_watches_rest(struct http_watches *watches, int fd)
{
    struct http_watch *watch = watch_of(watches, fd);
    watch->is_resting = true;
    if (!watch->is_opened_here) {
        http_watches_closed(watches, fd);
    }
}

void http_watches_closed(struct http_watches *watches, int fd)
{
    struct http_watch *watch = watch_of(watches, fd);
    loop_watch_free(watch->loop_watch);
    watches->by_number[fd] = NULL;
    free(watch);
}
