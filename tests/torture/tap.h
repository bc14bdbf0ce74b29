/*
 * tap - reads along on the bridge's connections with the broker: which command reached the bridge,
 * when the bridge acknowledged it, and when the broker took its reply.
 *
 * Every packet that belongs to a command holds its number as `~number~` (tap_find_mark()). The
 * proxy's process writes, the driver reads, in shared memory; a row's fields are written once each
 * or counted, so no lock is needed.
 */
#ifndef TORTURE_TAP_H
#define TORTURE_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Times are of the monotonic clock, in ms; 0 is never. */
struct tap_mark {
    int64_t acked_ms;       /* the bridge's last PUBACK of the command */
    int64_t reply_acked_ms; /* the broker's last PUBACK of a reply to it */
    uint16_t delivered;     /* PUBLISH packets of the command to the bridge */
    uint16_t replied;       /* PUBLISH packets of replies to it to the broker */
};

struct tap {
    uint32_t capacity;
    uint32_t subscribed_count; /* SUBACK packets to the bridge */
    int64_t subscribed_ms;     /* the last of them */
    uint64_t delivered_count;
    uint64_t replied_count;
    struct tap_mark marks[];
};

/* In memory that a forked process shares; it goes with the processes. */
struct tap *tap_new(uint32_t capacity);

/* The number of the first `~number~` in the bytes, or -1. */
int64_t tap_find_mark(const char *data, size_t length);

/* Both directions of one connection. */
struct tap_stream;

struct tap_stream *tap_stream_new(struct tap *tap);
/* Takes NULL. */
void tap_stream_free(struct tap_stream *stream);
/* Bytes on their way, as they come, cut anywhere. */
void tap_feed(struct tap_stream *stream, bool is_from_bridge, const char *data, size_t length,
              int64_t now_ms);

#endif
