/*
 * frame_link - one end of a socket pair that carries frames (mqtt/wire.h), without blocking.
 *
 * Append frames to `out` and call frame_link_flush(). What the socket does not take is sent when
 * the loop reports it writable. A broken link discards what is written and has nothing to read.
 *
 * Thread: the loop's.
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
    struct wire_input in;
    struct buf out;
    bool is_broken;
};

/* A closed link. */
#define FRAME_LINK_CLOSED \
    {                     \
        .fd = -1          \
    }

/* Takes over the descriptor, which the loop makes non-blocking, and watches it for reading. A frame
 * of more than `frame_bytes_max` is invalid as soon as its length has come. */
void frame_link_open(struct frame_link *link, struct loop *loop, int fd, uint32_t frame_bytes_max,
                     loop_ready_fn *ready, void *arg);
/* Closes the descriptor and discards what is buffered. A closed link stays closed. */
void frame_link_close(struct frame_link *link);
bool frame_link_is_open(const struct frame_link *link);
/* Writes as much of `out` as the socket takes. */
void frame_link_flush(struct frame_link *link);
/* Reads once. STATUS_OK; STATUS_NOT_FOUND if there was nothing to read; STATUS_CLOSED at the end of
 * file or on an error: the link is then broken and no longer watched. The frames that were read are
 * taken with wire_input_next(). */
enum status frame_link_read(struct frame_link *link);

#endif
