/*
 * watch_rules - what an answer about a watched group means: the events to publish, and the watch
 * after them. One table has all rules, in the order in which they are applied.
 *
 * A step changes nothing by itself. The caller stores the new state and the events in one
 * transaction; if that fails, the watch is as before, and the next answer gives the same events
 * with the same Seq.
 *
 * Thread: any; pure.
 */
#ifndef MODEL_WATCH_RULES_H
#define MODEL_WATCH_RULES_H

#include "base/buf.h"
#include "watch.h"

/* The settings that decide; see tables/settings.def. */
struct watch_policy {
    bool is_continuous; /* the route goes on after `synchronised`; a one-shot start never does */
    bool is_off;        /* the route does not watch any more: the watch ends */
    int64_t rpo_s;      /* of groups that do not name their own */
    int64_t begin_s;
    int64_t stall_s;
    int64_t blind_s;
    double lag_factor;
};

/* What `synchronised` was concluded from. */
enum watch_basis { WATCH_BASIS_NONE, WATCH_BASIS_RECOVER_POINT, WATCH_BASIS_STATUS };

struct watch_event {
    enum watch_event_kind kind;
    int64_t seq; /* 1 for the first of a watch, without gaps */
    int64_t at_ms;
    bool is_final; /* the watch is over */
    enum watch_basis basis;
    bool ends_blindness;                      /* the first event after `blind` */
    char previous_status[GROUP_STATUS_BYTES]; /* of the first event after a change; "": none */
};

/* More than any answer can give. */
#define WATCH_EVENTS_MAX 8
/* A group is gone when so many complete answers in a row do not list it, over so long a time. */
#define WATCH_ABSENT_COUNT 3
#define WATCH_ABSENT_MS    60000

struct watch_step {
    struct watch_state state; /* after the step */
    bool must_store;          /* the stored part of it differs */
    struct watch_event events[WATCH_EVENTS_MAX];
    size_t event_count; /* at most the last one is final */
    struct slice pairs; /* of `failed`: the states of the pairs, a JSON array; absent: not known */
};

/* The group was seen. A group whose status cannot be read ("") was not: that is watch_wait(). A
 * progress in the answer does not count; it is told by watch_progress(), and forgotten when the
 * copy is no longer under way. */
void watch_observe(const struct watch *watch, const struct group_observation *seen,
                   const struct watch_policy *policy, struct watch_step *out_step);
/* How much of the copy under way is done, of the pair that is behind the others: 0 to 100. */
void watch_progress(const struct watch *watch, int percent, int64_t now_ms,
                    const struct watch_policy *policy, struct watch_step *out_step);
/* A complete answer of both sites does not list the group. */
void watch_miss(const struct watch *watch, int64_t now_ms, const struct watch_policy *policy,
                struct watch_step *out_step);
/* Time has passed; nothing is known about the group. */
void watch_wait(const struct watch *watch, int64_t now_ms, const struct watch_policy *policy,
                struct watch_step *out_step);
/* A later command for the same group takes over. */
void watch_supersede(const struct watch *watch, int64_t now_ms, struct watch_step *out_step);

/* Whether the step ends the watch. */
bool watch_step_is_final(const struct watch_step *step);

/* How events are published. */
struct watch_publishing {
    const char *topic; /* the template of topics.events */
    const char *instance;
    uint8_t qos;
    bool is_retained;
    int64_t expiry_s;
    int64_t rpo_s; /* of groups that do not name their own */
};

/* Appends the encoded message of an event. `made_at_ms` is of the wall clock. Nothing is appended
 * where the topic cannot be made, which the check of the settings rules out. */
void watch_event_encode(const struct watch *watch, const struct watch_step *step,
                        const struct watch_event *event, const struct watch_publishing *publishing,
                        int64_t made_at_ms, struct buf *out);
/* Appends an event of the step as a JSON object: the payload that is published. `rpo_s` counts
 * where the group names none. */
void watch_event_write(const struct watch *watch, const struct watch_step *step,
                       const struct watch_event *event, int64_t rpo_s, struct buf *out);

#endif
