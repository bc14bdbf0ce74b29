/*
 * tap - reads the traffic between bridges and broker: which command reached a bridge, when the
 * bridge acknowledged it, and when the broker acknowledged its answer.
 *
 * Every packet of a command contains its number as `~number~` (tap_find_mark()). The proxy's
 * process writes to shared memory, the driver reads. Each field is written once or is a counter, so
 * no lock is needed.
 */
#ifndef TORTURE_TAP_H
#define TORTURE_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Times are on the monotonic clock, in ms; 0 is never. An arrival is taken when the bridge has
 * acknowledged it. An answer is a dead letter, or a reply other than "accepted", that the broker
 * has acknowledged. The bridge answers every arrival that it takes, after it arrived. So there are
 * at least as many answers as taken arrivals, and the last answer was sent after the last of them.
 */
struct tap_mark {
    int64_t taken_ms;        /* time of the last arrival that was taken */
    int64_t answer_sent_ms;  /* time at which the last answer was sent */
    int64_t answer_acked_ms; /* time of the broker's last PUBACK of an answer */
    uint16_t delivered;      /* PUBLISH packets of the command to the bridge */
    uint16_t taken;
    uint16_t answers;
};

/* The packet at which the bridge is killed: random kills rarely hit these moments. */
enum tap_trap {
    TAP_TRAP_NONE,
    TAP_TRAP_TAKEN,    /* the bridge acknowledges a command */
    TAP_TRAP_ANSWERED, /* the bridge sends an answer, or an event about a watched group */
};

/* The trap of one bridge. */
struct tap_trap_state {
    /* The tap kills `pid` when it has seen this packet of the bridge `count` times, and sets this
     * to TAP_TRAP_NONE. The driver sets the other fields first. */
    _Atomic int packet; /* enum tap_trap */
    pid_t pid;
    int count;
};

/* A bridge of several is told by its instance, which is in its client id: this and its number. */
#define TAP_INSTANCE "torture-b"
enum { TAP_BRIDGES_MAX = 8 };

/* Second answers of the API, on the route to it. */
struct tap_strays {
    uint32_t passed; /* to an idle connection of the bridge */
    uint32_t reused; /* of these: the bridge sent another request on the connection long after */
};

struct tap {
    uint32_t capacity;
    uint32_t subscribed_count;   /* SUBACK packets to the bridge */
    uint32_t unsubscribed_count; /* UNSUBACK packets to the bridge */
    uint32_t refused_count;      /* answers of the bridge that the broker refused */
    struct tap_strays strays;
    uint64_t delivered_count;
    struct tap_trap_state traps[TAP_BRIDGES_MAX];
    /* Each event of the bridge, and the broker's acknowledgement of it, is appended to this file;
     * check_watch.c has the form. */
    char events_path[128];
    /* The first 16 digits of the 64-digit tokens in the answers, 0 for none: a table of
     * `token_count` entries after the marks. */
    uint64_t *tokens;
    size_t token_count;
    struct tap_mark marks[];
};

/* In shared memory, for forked processes; it is freed when they end. */
struct tap *tap_new(uint32_t capacity, const char *events_path);

/* The number of the first `~number~` in the bytes, or -1. */
int64_t tap_find_mark(const char *data, size_t length);

/* Whether this reply is "accepted", which is no answer. */
bool tap_is_early(const char *data, size_t length);

/* Whether an answer contained this token, which the bridge made. */
bool tap_has_token(const struct tap *tap, const char *token);

/* One connection, both directions. */
struct tap_stream;

struct tap_stream *tap_stream_new(struct tap *tap);
/* Takes NULL. */
void tap_stream_free(struct tap_stream *stream);
/* Feeds forwarded bytes, in pieces of any size. */
void tap_feed(struct tap_stream *stream, bool is_from_bridge, const char *data, size_t length,
              int64_t now_ms);

#endif
