/*
 * route - one kind of command: the topics it arrives on, where replies may go, which groups it may
 * touch.
 *
 * Filled from the settings once, then only read. Strings are owned by the settings.
 *
 * Thread: any, as it never changes after start.
 */
#ifndef MODEL_ROUTE_H
#define MODEL_ROUTE_H

#include "action.h"
#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Filters of all routes together: one SUBSCRIBE carries them. */
#define ROUTE_FILTERS_MAX 256

struct text_list {
    char **items;
    size_t count;
};

bool text_list_has(const struct text_list *list, const char *text);
/* Whether the text matches one of the list's shell patterns. Case-sensitive. */
bool text_list_matches(const struct text_list *patterns, const char *text);
/* Frees the texts too, and empties the list. */
void text_list_fini(struct text_list *list);

struct optional_bool {
    bool is_set;
    bool value;
};

/* A condition of `when`: the value matches one of `is`, where there are some, and none of `not`. */
struct route_condition {
    char *value;           /* template, see template.h */
    struct text_list is;   /* shell patterns (fnmatch) */
    struct text_list isnt; /* the key `not` */
};

struct route_conditions {
    struct route_condition *items;
    size_t count;
};

/* Templates of a command's fields; NULL or "" where a field is not mapped. */
struct route_map {
    char *region;
    char *group;
    char *token;
    char *not_after;
    char *correlation_id;
    char *parameters[PARAMETER_COUNT];
};

struct route {
    char *name;
    char *action;            /* the name of a row of tables/actions.def */
    struct text_list topics; /* filters, without a $share prefix */
    char *share;             /* shared-subscription group, "" for none */
    int qos;
    bool needs_client_token;
    char *reply_topic;                /* template, see topic.h */
    struct text_list response_topics; /* filters a Response Topic or ReplyTo must match */
    struct text_list regions;         /* shell patterns (fnmatch) */
    struct text_list groups;
    char *default_region; /* NULL: the command must name it */
    char *default_group;
    struct optional_bool parameter_defaults[PARAMETER_COUNT]; /* of those that are OPTIONAL */
    bool has_accepted_reply;
    bool may_defer_cooldown;
    char *input;           /* "command", "json" or "cloudevents" */
    int64_t payload_bytes; /* 0: limits.payload_bytes */
    char *each;            /* JSON Pointer to an array, "" for none */
    struct route_conditions when;
    struct route_map map;
    int64_t coalesce_s; /* 0: never */
    bool explain;       /* replies say in which state the group was found */
    char *watch;        /* "off" (or NULL), "until_done" or "continuous" */
};

/* The row of the route's action. */
const struct action *route_action(const struct route *route);
/* Whether the bridge reads the states of groups for this route: for events, or for replies. */
bool route_reads_state(const struct route *route);
/* Whether the region and the group each match one of the route's patterns. Case-sensitive. */
bool route_allows(const struct route *route, const char *region, const char *group);
/* Whether the route names the region itself, not by a pattern. */
bool route_names_region(const struct route *route, const char *region);
/* Only the region, only the group. */
bool route_allows_region(const struct route *route, const char *region);
bool route_allows_group(const struct route *route, const char *group);
/* Whether a topic matches one of the route's `response_topics`. */
bool route_allows_reply_topic(const struct route *route, struct slice topic);
/* The first of the routes with a filter that matches the topic, or NULL. */
const struct route *route_of_topic(const struct route *routes, size_t count, struct slice topic);
/*
 * Whether the settings still allow a command of an earlier run: its own route decides, or where the
 * settings no longer have that one (`own` is NULL), any route of the same action.
 */
bool route_still_allows(const struct route *routes, size_t count, const struct route *own,
                        const struct action *action, const char *region, const char *group);
/* Appends the filter number `topic` as it is subscribed to: with "$share/<group>/" in front where
 * the route shares it with other bridges. */
void route_append_filter(const struct route *route, size_t topic, struct buf *out);
/* Adds the names of the user properties that the routes read, each once: those that their templates
 * name, and the attributes that every CloudEvent may have. Free the list. */
void route_list_properties(const struct route *routes, size_t count, struct text_list *out);
/* By name, or NULL. */
const struct route *route_of_name(const struct route *routes, size_t count, const char *name);

#endif
