/*
 * plan - the commands of a run; the seed and the number of a command determine it.
 *
 * A command has a number, which is in its topic as `~number~`, and in the topic or correlation of
 * its reply. It uses the token of its `origin`: itself, or the earlier command that it repeats or
 * contradicts.
 */
#ifndef TORTURE_PLAN_H
#define TORTURE_PLAN_H

#include "random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLAN_SENDERS = 6, /* the last two use MQTT 3.1.1 */
    PLAN_SENDERS_V5 = 4,
    PLAN_GROUPS = 48,
    PLAN_PLAIN_GROUPS = 24, /* the first ones get neither one-time starts nor stops: they never
                               refuse */
    PLAN_TOKEN_BYTES = 72,
    PLAN_TOPIC_BYTES = 1100,
    PLAN_COMMAND_TOPIC_BYTES = 96,
};

#define PLAN_COMMANDS "ecs-bridge/v1/commands/start"
#define PLAN_STOPS    "ecs-bridge/v1/stops"  /* no filter of starts takes these in */
#define PLAN_ALERTS   "ecs-bridge/v1/alerts" /* behind it the number, and how many commands */
#define PLAN_REFUSED  "ecs-bridge/v1/replies/refused/"

enum plan_kind {
    PLAN_NEW,
    PLAN_DUPLICATE, /* the same command again, from any sender */
    PLAN_MISMATCH, /* another command with a used token: of another group, or of the other action */
    PLAN_INVALID,
    PLAN_ASK, /* a command that is sent again at the end */
    PLAN_KIND_COUNT
};

enum plan_fault {
    FAULT_NONE,
    FAULT_JSON,
    FAULT_EMPTY,
    FAULT_UNKNOWN_FIELD,
    FAULT_MISSING_FIELD,
    FAULT_TYPE,
    FAULT_REPEATED_FIELD,
    FAULT_ACTION,
    FAULT_SIZE,
    FAULT_GROUP,
    FAULT_REPLY_TOPIC, /* not one of the route's */
    FAULT_REPLY_LONG,  /* a byte too many */
    /* mosquitto, at the latest with 2.0.21, closes the connection that has these as Response Topic,
     * so a sender with MQTT 3.1.1 has them in the command. */
    FAULT_REPLY_DEEP, /* so many levels that it would close at a topic, too */
    FAULT_REPLY_WILDCARD,
    FAULT_REPLY_CONTROL, /* a control character */
    FAULT_EXPIRED,
    FAULT_RETAINED,
    FAULT_COUNT
};

enum plan_place {
    PLACE_SHARED,  /* the sender's own reply topic; the correlation identifies the command */
    PLACE_OWN,     /* a reply topic for this command alone */
    PLACE_DEFAULT, /* the route's reply topic */
    PLACE_DEEP,    /* as many levels as are allowed */
    PLACE_LONG,    /* as many bytes as are allowed */
    PLACE_EDGE,    /* what a wildcard takes in as well: its parent, and empty levels */
    PLACE_REFUSED, /* where the broker lets the bridge publish at times only */
    PLACE_COUNT
};

enum plan_token {
    TOKEN_PLAIN,
    TOKEN_MAPPED,  /* of an alert: it contains `~number~`, which its reply topic then has too */
    TOKEN_ODD,     /* with all characters that are special in topics and JSON */
    TOKEN_DERIVED, /* none: the bridge derives it from the correlation data */
    TOKEN_RANDOM,  /* none, and no correlation data */
};

struct plan_item {
    int64_t due_ms;  /* time of sending, from the start of the run */
    uint32_t origin; /* the command whose token it uses */
    uint8_t kind;    /* enum plan_kind */
    uint8_t fault;   /* enum plan_fault */
    uint8_t place;   /* enum plan_place */
    uint8_t token;   /* enum plan_token */
    uint8_t sender;
    uint8_t group;
    uint8_t not_after_s; /* 0: none */
    bool is_one_shot;
    bool is_stop;
    bool has_correlation;
    /* A message with several commands: they follow each other, and the first one's number is that
     * of the message. */
    uint8_t element;       /* the command's place in the message */
    uint8_t element_count; /* 0: the message is the command */
    char *bridge_token;    /* made by the bridge, for a repeated command; NULL: the plan's token */
};

struct plan {
    uint64_t seed;
    struct random random;
    struct plan_item *items;
    uint32_t count;
    uint32_t capacity;
    int rate_per_s;
    int burst_left;
    bool has_alerts;
};

void plan_init(struct plan *plan, uint64_t seed, uint32_t capacity, int rate_per_s);
void plan_fini(struct plan *plan);
/* Makes the next command, or the commands of the next message; returns the number of the first one,
 * or -1 if the plan is full. */
int64_t plan_next(struct plan *plan);
/* Adds the command `number` again, with the token that the bridge made, or NULL; -1 if the plan is
 * full.
 */
int64_t plan_ask(struct plan *plan, uint32_t number, const char *bridge_token);

/* The token in a command; "" if it has none. */
void plan_token(const struct plan *plan, uint32_t number, char out[PLAN_TOKEN_BYTES]);
const char *plan_action(const struct plan_item *item);
/* The number of the message that brings the command. */
uint32_t plan_message(const struct plan *plan, uint32_t number);
/* How many commands the message with this number brings. */
uint32_t plan_commands(const struct plan *plan, uint32_t number);
/* The topic to which the command is published. */
void plan_topic(const struct plan *plan, uint32_t number, char out[PLAN_COMMAND_TOPIC_BYTES]);
const char *plan_region(int group);
void plan_group(int group, char out[16]);
/* Whether two commands have the same parameters for the API. */
bool plan_is_same(const struct plan *plan, uint32_t one, uint32_t other);
/* The bridge's error code for an invalid command. */
const char *plan_fault_code(enum plan_fault fault);
/* Whether only a dead letter can answer the command. */
bool plan_is_unanswerable(const struct plan *plan, uint32_t number);
bool plan_is_v5(const struct plan_item *item);
/* Whether the bridge must refuse its reply topic. */
bool plan_has_bad_reply_topic(const struct plan_item *item);

/* A command in the form in which it is published. */
struct plan_text {
    char topic[PLAN_COMMAND_TOPIC_BYTES];
    char *payload;
    size_t payload_length;
    char response_topic[PLAN_TOPIC_BYTES]; /* MQTT 5; "" for none */
    char correlation[64]; /* correlation data, or CorrelationId without MQTT 5; "" for none */
    bool is_retained;
};

/* `wall_ms` is the current time, for NotAfter. */
void plan_render(const struct plan *plan, uint32_t number, int64_t wall_ms,
                 struct plan_text *out_text);
void plan_text_fini(struct plan_text *text);
/* The topic on which its reply must arrive; `token` is the one in the reply. */
void plan_reply_topic(const struct plan *plan, uint32_t number, const char *token, char *out,
                      size_t size);
void plan_correlation(const struct plan *plan, uint32_t number, char out[64]);

#endif
