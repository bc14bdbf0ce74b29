/*
 * frame_link - one end of a socket pair that carries frames (domain/wire.h), without blocking.
 *
 * Private to workers. What is appended to `out` leaves with frame_link_flush() and, where the
 * socket is full, whenever the loop finds it writable. A broken link takes everything and delivers
 * nothing. Thread: the loop's.
 */
#ifndef MQTT_LINK_H
#define MQTT_LINK_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/status.h"
#include "mqtt/wire.h"

#include <stdbool.h>
#include <stddef.h>

struct frame_link {
    int fd; /* -1 while closed */
    struct loop_watch *watch;
    struct buf in;
    size_t in_taken; /* bytes of `in` the last frame took */
    struct buf out;
    bool is_broken;
};

/* A closed link. */
#define FRAME_LINK_CLOSED \
    {                     \
        .fd = -1          \
    }

/* Takes the descriptor, which does not block, and watches it for reading. */
void frame_link_open(struct frame_link *link, struct loop *loop, int fd, loop_ready_fn *ready,
                     void *arg);
/* Closes the descriptor and drops what is buffered. Takes a closed link. */
void frame_link_close(struct frame_link *link);
bool frame_link_is_open(const struct frame_link *link);
/* Writes what it can of `out`. */
void frame_link_flush(struct frame_link *link);
/* Reads once. STATUS_OK; STATUS_NOT_FOUND where nothing was there; STATUS_CLOSED at the end, when
 * it is watched no more. */
enum status frame_link_read(struct frame_link *link);
/*
 * The next whole frame that was read; its body is valid until the next call. STATUS_NOT_FOUND for
 * none, STATUS_INVALID for bytes that are no frame.
 */
enum status frame_link_next(struct frame_link *link, struct wire_frame *out_frame);

#endif
