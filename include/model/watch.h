/*
 * watch - a group that the bridge looks at after a command, until it is known what became of it.
 *
 * Event names are rows of tables/watch_events.def. All times are on the API's clock, in
 * milliseconds since 1970, so that a wrong clock of this machine changes nothing.
 *
 * Thread: any.
 */
#ifndef MODEL_WATCH_H
#define MODEL_WATCH_H

#include "model/action.h"
#include "model/group.h"

#include <stdbool.h>
#include <stdint.h>

enum watch_event_kind {
    WATCH_NOTHING,
#define WATCH_EVENT(id, name, message) WATCH_##id,
#include "tables/watch_events.def"
    WATCH_EVENT_KIND_COUNT
};

/* Bits of struct watch_state, flags. */
enum watch_flag {
    WATCH_HAS_MOVED = 1,        /* the group was seen at work after the command */
    WATCH_IS_LAGGING = 2,       /* `lagging` was published, and not yet `caught_up` */
    WATCH_IS_BLIND = 4,         /* `blind` was published, and nothing was seen since */
    WATCH_NOT_BEGUN_SENT = 8,   /* `not_begun` was published */
    WATCH_STALLED_SENT = 16,    /* `stalled` was published, and nothing has changed since */
    WATCH_IS_SYNCHRONISED = 32, /* `synchronised` was published */
};

/* What changes while a group is watched. Before the first observation only observed_at_ms is set.
 */
struct watch_state {
    int64_t seq;            /* of the last event; 0: none */
    enum group_site site;   /* whose record is read */
    struct group_view view; /* as last seen */
    int64_t changed_at_ms;  /* when status, recovery point or progress last were new */
    unsigned flags;         /* enum watch_flag */
    /* Not stored: after a restart these begin again. */
    int64_t observed_at_ms;           /* the last answer; at first, the first call without one */
    int absent_count;                 /* complete answers in a row without the group */
    int64_t absent_since_ms;          /* the first of these */
    enum watch_event_kind suggested;  /* what the last answer showed, to be confirmed by the next */
    enum watch_event_kind last_event; /* WATCH_NOTHING: none since the start of the bridge */
    int64_t last_event_at_ms;
};

/* Strings belong to whoever made the watch. */
struct watch {
    int64_t id;                  /* that of the command; a random one in a shared ledger */
    const struct action *action; /* its goal is what is waited for */
    const char *route;
    const char *region;
    const char *object; /* the group's id */
    const char *token;
    const char *traceparent; /* NULL: none */
    bool is_one_shot;
    bool is_outcome_unknown; /* the command ended `unknown`, not `succeeded` */
    int64_t started_at_ms;   /* the success's answer; of an unknown, its first attempt */
    int64_t ends_at_ms;
    struct watch_state state;
};

/* A copy with its strings; free it with watch_free(). */
struct watch *watch_copy(const struct watch *watch);
/* Takes NULL. */
void watch_free(struct watch *watch);

/* The value of Event, and the sentence for people. Not of WATCH_NOTHING. */
const char *watch_event_name(enum watch_event_kind kind);
const char *watch_event_message(enum watch_event_kind kind);

#endif
