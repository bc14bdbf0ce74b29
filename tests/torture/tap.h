/*
 * tap - reads along on the bridge's connections with the broker: which command reached the bridge,
 * when the bridge acknowledged it, and when the broker took its answer.
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
#include <sys/types.h>

/*
 * Times are of the monotonic clock, in ms; 0 is never. An arrival is taken when the bridge has
 * acknowledged it; an answer is a reply other than the early "accepted", or a dead letter, that the
 * broker has acknowledged. Every arrival that the bridge takes has an answer of its own, sent after
 * it came: so there are as many answers as arrivals taken at least, and the last answer was sent
 * after the last of those came.
 */
struct tap_mark {
    int64_t taken_ms;        /* when the last arrival came of those that were taken */
    int64_t answer_sent_ms;  /* the last answer */
    int64_t answer_acked_ms; /* when the broker acknowledged an answer last */
    uint16_t delivered;      /* PUBLISH packets of the command to the bridge */
    uint16_t taken;
    uint16_t answers;
};

/* What shall happen when a packet is seen: it catches the bridge in a moment that chance hardly
 * ever meets. */
enum tap_trap {
    TAP_TRAP_NONE,
    TAP_TRAP_TAKEN,    /* the bridge acknowledges a command */
    TAP_TRAP_ANSWERED, /* the bridge sends an answer */
};

struct tap {
    uint32_t capacity;
    uint32_t subscribed_count; /* SUBACK packets to the bridge */
    uint64_t delivered_count;
    /* The process that dies the moment the trap's packet is seen `trap_count` times, at which the
     * trap is TAP_TRAP_NONE again. The driver sets the others first. */
    _Atomic int trap; /* enum tap_trap */
    pid_t trap_pid;
    int trap_count;
    /* Of the tokens of 64 digits that the bridge told, the first 16, 0 for none: a table of
     * `token_count` entries, behind the marks. */
    uint64_t *tokens;
    size_t token_count;
    struct tap_mark marks[];
};

/* In memory that a forked process shares; it goes with the processes. */
struct tap *tap_new(uint32_t capacity);

/* The number of the first `~number~` in the bytes, or -1. */
int64_t tap_find_mark(const char *data, size_t length);

/* Whether this reply is the early "accepted", which is no answer. */
bool tap_is_early(const char *data, size_t length);

/* Whether the bridge told this token of its own making in an answer. */
bool tap_has_token(const struct tap *tap, const char *token);

/* Both directions of one connection. */
struct tap_stream;

struct tap_stream *tap_stream_new(struct tap *tap);
/* Takes NULL. */
void tap_stream_free(struct tap_stream *stream);
/* Bytes on their way, as they come, cut anywhere. */
void tap_feed(struct tap_stream *stream, bool is_from_bridge, const char *data, size_t length,
              int64_t now_ms);

#endif
