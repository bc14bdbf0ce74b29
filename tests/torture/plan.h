/*
 * plan - the commands of a run, each decided by the seed and its number alone.
 *
 * A command has a number, which stands as `~number~` in its topic and in what its reply goes by. It
 * uses the token of its `origin`: its own, or the one of the earlier command it repeats or
 * contradicts.
 */
#ifndef TORTURE_PLAN_H
#define TORTURE_PLAN_H

#include "random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLAN_SENDERS = 6, /* the last two speak MQTT 3.1.1 */
    PLAN_SENDERS_V5 = 4,
    PLAN_GROUPS = 48,
    PLAN_PLAIN_GROUPS =
        24, /* the first ones are never asked for a one-time start, so they never refuse */
    PLAN_TOKEN_BYTES = 72,
};

#define PLAN_COMMANDS "ecs-bridge/v1/commands/start"

enum plan_kind {
    PLAN_NEW,
    PLAN_DUPLICATE, /* the same command again, from whomever */
    PLAN_MISMATCH,  /* another command with a token that was used */
    PLAN_INVALID,
    PLAN_ASK, /* a command asked again at the end */
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
    FAULT_REPLY_TOPIC,
    FAULT_EXPIRED,
    FAULT_RETAINED,
    FAULT_COUNT
};

enum plan_place {
    PLACE_SHARED,  /* the sender's own reply topic, told apart by correlation */
    PLACE_OWN,     /* a reply topic of this command alone */
    PLACE_DEFAULT, /* the route's */
};

enum plan_token {
    TOKEN_PLAIN,
    TOKEN_ODD,     /* with every character that topics and JSON trip over */
    TOKEN_DERIVED, /* none; the bridge derives it from the correlation data */
    TOKEN_RANDOM,  /* none, and nothing to derive it from */
};

struct plan_item {
    int64_t due_ms;  /* after the start */
    uint32_t origin; /* whose token it has */
    uint8_t kind;    /* enum plan_kind */
    uint8_t fault;   /* enum plan_fault */
    uint8_t place;   /* enum plan_place */
    uint8_t token;   /* enum plan_token */
    uint8_t sender;
    uint8_t group;
    uint8_t not_after_s; /* 0: none */
    bool is_one_shot;
    bool has_correlation;
    char *told_token; /* the bridge's own, for asking again; NULL: the plan's */
};

struct plan {
    uint64_t seed;
    struct random random;
    struct plan_item *items;
    uint32_t count;
    uint32_t capacity;
    int rate_per_s;
    int burst_left;
};

void plan_init(struct plan *plan, uint64_t seed, uint32_t capacity, int rate_per_s);
void plan_fini(struct plan *plan);
/* Decides the next command; returns its number, or -1 where there is no room. */
int64_t plan_next(struct plan *plan);
/* The command `number` once more, with a token the bridge told or NULL; -1 where there is no room.
 */
int64_t plan_ask(struct plan *plan, uint32_t number, const char *told_token);

/* The token that a command names; "" where it names none. */
void plan_token(const struct plan *plan, uint32_t number, char out[PLAN_TOKEN_BYTES]);
const char *plan_region(int group);
void plan_group(int group, char out[16]);
/* Whether two commands ask the API for the same. */
bool plan_is_same(const struct plan *plan, uint32_t one, uint32_t other);
/* The bridge's error code for a fault. */
const char *plan_fault_code(enum plan_fault fault);
/* Whether the answer can only be a dead letter. */
bool plan_is_unanswerable(const struct plan *plan, uint32_t number);
bool plan_is_v5(const struct plan_item *item);

/* A command as it is published. */
struct plan_text {
    char topic[96];
    char *payload;
    size_t payload_length;
    char response_topic[96]; /* MQTT 5; "" for none */
    char correlation[64];    /* correlation data, or CorrelationId without MQTT 5; "" for none */
    bool is_retained;
};

/* `wall_ms` is now, for NotAfter. */
void plan_render(const struct plan *plan, uint32_t number, int64_t wall_ms,
                 struct plan_text *out_text);
void plan_text_fini(struct plan_text *text);
/* Where its reply must go; `token` is the one the reply tells. */
void plan_reply_topic(const struct plan *plan, uint32_t number, const char *token, char *out,
                      size_t size);
void plan_correlation(const struct plan *plan, uint32_t number, char out[64]);

#endif
