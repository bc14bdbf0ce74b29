/* Everything is drawn in a fixed order from one random stream; nothing depends on events during the
 * run.
 */
#include "plan.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_BACK = 400, BURST_MIN = 20, BURST_MAX = 80, ALERTS_PERCENT = 8, ALERTS_MAX = 4 };

static const char *const regions[] = {"cn-beijing", "cn-shanghai", "cn-hangzhou"};

void plan_init(struct plan *plan, uint64_t seed, uint32_t capacity, int rate_per_s)
{
    *plan = (struct plan){.seed = seed, .capacity = capacity, .rate_per_s = rate_per_s};
    plan->items = calloc(capacity, sizeof *plan->items);
    assert(plan->items != NULL);
    random_init(&plan->random, seed, 1);
}

void plan_fini(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        free(plan->items[i].bridge_token);
    }
    free(plan->items);
    *plan = (struct plan){0};
}

bool plan_is_v5(const struct plan_item *item)
{
    return item->sender < PLAN_SENDERS_V5;
}

bool plan_has_bad_reply_topic(const struct plan_item *item)
{
    return item->fault >= FAULT_REPLY_TOPIC && item->fault <= FAULT_REPLY_CONTROL;
}

const char *plan_action(const struct plan_item *item)
{
    return item->is_stop ? "StopDiskReplicaGroup" : "StartDiskReplicaGroup";
}

uint32_t plan_message(const struct plan *plan, uint32_t number)
{
    return number - plan->items[number].element;
}

uint32_t plan_commands(const struct plan *plan, uint32_t number)
{
    uint8_t count = plan->items[number].element_count;
    return count == 0 ? 1 : count;
}

void plan_topic(const struct plan *plan, uint32_t number, char out[PLAN_COMMAND_TOPIC_BYTES])
{
    const struct plan_item *item = &plan->items[number];
    if (item->element_count > 0) {
        snprintf(out, PLAN_COMMAND_TOPIC_BYTES, PLAN_ALERTS "/~%u~/%d", plan_message(plan, number),
                 item->element_count);
    } else {
        snprintf(out, PLAN_COMMAND_TOPIC_BYTES, "%s/~%u~",
                 item->is_stop ? PLAN_STOPS : PLAN_COMMANDS, number);
    }
}

const char *plan_region(int group)
{
    return regions[group % 3];
}

void plan_group(int group, char out[16])
{
    snprintf(out, 16, "pg-%02d", group);
}

/* Bursts of commands, and single commands at random intervals. */
static int64_t next_gap_ms(struct plan *plan)
{
    double mean_ms = 1000.0 / plan->rate_per_s;
    double share = ((double)random_below(&plan->random, 1000000) + 1) / 1000001;
    if (plan->burst_left > 0) {
        plan->burst_left--;
        return 0;
    }
    if (random_below(&plan->random, 200) == 0) {
        plan->burst_left = random_between(&plan->random, BURST_MIN, BURST_MAX);
    }
    /* One gap in 200 is a burst of 50 commands without delay, so the other gaps are a quarter
     * longer. */
    return (int64_t)llround(-log(share) * mean_ms * 1.25);
}

/* An earlier valid command that was the first to use its own token; -1 if none is found. */
static int64_t find_origin(struct plan *plan, bool may_be_derived)
{
    for (int tries = 0; tries < 20 && plan->count > 0; tries++) {
        uint32_t reach =
            random_chance(&plan->random, 70) && plan->count > LOOK_BACK ? LOOK_BACK : plan->count;
        uint32_t number = plan->count - 1 - random_below(&plan->random, reach);
        const struct plan_item *item = &plan->items[number];
        if (item->kind == PLAN_NEW &&
            (item->token <= TOKEN_ODD || (may_be_derived && item->token == TOKEN_DERIVED))) {
            return number;
        }
    }
    return -1;
}

static void draw_place(struct plan *plan, struct plan_item *item)
{
    static const int weights[PLACE_COUNT] = {53, 20, 19, 2, 2, 2, 2};
    item->place = (uint8_t)random_weighted(&plan->random, weights, PLACE_COUNT);
    item->has_correlation = item->place != PLACE_OWN || random_chance(&plan->random, 50);
}

static void draw_new(struct plan *plan, struct plan_item *item)
{
    static const int weights[] = {86, 0, 4, 7, 3};
    item->kind = PLAN_NEW;
    item->token = (uint8_t)random_weighted(&plan->random, weights, 5);
    item->group = (uint8_t)random_below(&plan->random, PLAN_GROUPS);
    if (item->group >= PLAN_PLAIN_GROUPS) {
        static const int kinds[] = {40, 40, 20};
        int kind = random_weighted(&plan->random, kinds, 3);
        item->is_one_shot = kind == 1;
        item->is_stop = kind == 2;
    }
    if (random_chance(&plan->random, 4)) {
        item->not_after_s = (uint8_t)random_between(&plan->random, 2, 9);
    }
    if (item->token == TOKEN_DERIVED) {
        item->sender = (uint8_t)random_below(&plan->random, PLAN_SENDERS_V5);
        item->place = PLACE_OWN;
        item->has_correlation = true;
    } else if (item->token == TOKEN_RANDOM) {
        item->sender = (uint8_t)random_between(&plan->random, PLAN_SENDERS_V5, PLAN_SENDERS - 1);
    }
}

/* A command by itself with the token of an alert: its correlation must come before the token in
 * every packet. */
static void take_apart(struct plan_item *item)
{
    item->element = 0;
    item->element_count = 0;
    item->sender %= PLAN_SENDERS_V5;
    item->place = item->place == PLACE_DEFAULT ? (uint8_t)PLACE_SHARED : item->place;
    item->has_correlation = true;
}

static void draw_repeated(struct plan *plan, struct plan_item *item, bool is_mismatch)
{
    int64_t number = find_origin(plan, !is_mismatch);
    if (number < 0) {
        draw_new(plan, item);
        return;
    }
    const struct plan_item *origin = &plan->items[number];
    item->kind = is_mismatch ? PLAN_MISMATCH : PLAN_DUPLICATE;
    item->origin = (uint32_t)number;
    item->token = origin->token;
    item->group = origin->group;
    item->is_one_shot = origin->is_one_shot;
    item->is_stop = origin->is_stop;
    if (is_mismatch && item->group >= PLAN_PLAIN_GROUPS && random_chance(&plan->random, 50)) {
        item->is_stop = !origin->is_stop;
        item->is_one_shot = false;
    } else if (is_mismatch) {
        bool is_plain = item->group < PLAN_PLAIN_GROUPS;
        int half = is_plain ? PLAN_PLAIN_GROUPS : PLAN_GROUPS - PLAN_PLAIN_GROUPS;
        int first = is_plain ? 0 : PLAN_PLAIN_GROUPS;
        item->group = (uint8_t)(first + (item->group - first + 1) % half);
    }
    if (item->token == TOKEN_DERIVED) {
        item->sender = (uint8_t)random_below(&plan->random, PLAN_SENDERS_V5);
        item->place = PLACE_OWN;
        item->has_correlation = true;
    } else if (item->token == TOKEN_MAPPED) {
        take_apart(item);
    }
}

/* The commands of one message of alerts. */
static void draw_alerts(struct plan *plan, uint32_t first)
{
    uint32_t count = (uint32_t)random_between(&plan->random, 2, ALERTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct plan_item *item = &plan->items[first + i];
        *item = (struct plan_item){.origin = first + i,
                                   .due_ms = plan->items[first].due_ms,
                                   .kind = PLAN_NEW,
                                   .sender = plan->items[first].sender,
                                   .token = TOKEN_MAPPED,
                                   .place = PLACE_DEFAULT,
                                   .element = (uint8_t)i,
                                   .element_count = (uint8_t)count};
        item->group = (uint8_t)random_below(&plan->random, PLAN_GROUPS);
        item->is_one_shot = item->group >= PLAN_PLAIN_GROUPS && random_chance(&plan->random, 50);
    }
    plan->count += count;
}

static void draw_invalid(struct plan *plan, struct plan_item *item)
{
    item->kind = PLAN_INVALID;
    item->fault = (uint8_t)random_between(&plan->random, FAULT_NONE + 1, FAULT_COUNT - 1);
    item->group = (uint8_t)random_below(&plan->random, PLAN_GROUPS);
    if (item->fault == FAULT_RETAINED) {
        item->sender = (uint8_t)random_below(&plan->random, PLAN_SENDERS_V5);
    }
    if (item->fault >= FAULT_REPLY_DEEP && item->fault <= FAULT_REPLY_CONTROL) {
        item->sender = (uint8_t)random_between(&plan->random, PLAN_SENDERS_V5, PLAN_SENDERS - 1);
    }
    if (plan_has_bad_reply_topic(item)) {
        item->place = PLACE_OWN;
        item->has_correlation = true;
    }
}

int64_t plan_next(struct plan *plan)
{
    static const int weights[] = {62, 22, 5, 11};
    if (plan->count + ALERTS_MAX > plan->capacity) {
        return -1;
    }
    uint32_t number = plan->count;
    struct plan_item *item = &plan->items[number];
    int64_t before_ms = number == 0 ? 0 : plan->items[number - 1].due_ms;
    *item = (struct plan_item){.origin = number, .due_ms = before_ms + next_gap_ms(plan)};
    item->sender = (uint8_t)random_below(&plan->random, PLAN_SENDERS);
    if (plan->has_alerts && random_chance(&plan->random, ALERTS_PERCENT)) {
        draw_alerts(plan, number);
        return number;
    }
    draw_place(plan, item);
    switch (random_weighted(&plan->random, weights, 4)) {
    case PLAN_DUPLICATE:
        draw_repeated(plan, item, false);
        break;
    case PLAN_MISMATCH:
        draw_repeated(plan, item, true);
        break;
    case PLAN_INVALID:
        draw_invalid(plan, item);
        break;
    default:
        draw_new(plan, item);
        break;
    }
    plan->count++;
    return number;
}

int64_t plan_ask(struct plan *plan, uint32_t number, const char *bridge_token)
{
    if (plan->count >= plan->capacity) {
        return -1;
    }
    struct plan_item item = plan->items[number];
    if (item.kind != PLAN_INVALID) {
        item.kind = PLAN_ASK;
    }
    if (item.token == TOKEN_MAPPED) {
        take_apart(&item);
    }
    bridge_token = bridge_token == NULL ? item.bridge_token : bridge_token;
    if (bridge_token != NULL) {
        item.bridge_token = strdup(bridge_token);
        assert(item.bridge_token != NULL);
        item.place = PLACE_SHARED;
        item.has_correlation = true;
    }
    item.not_after_s = 0;
    plan->items[plan->count] = item;
    return plan->count++;
}

void plan_token(const struct plan *plan, uint32_t number, char out[PLAN_TOKEN_BYTES])
{
    const struct plan_item *item = &plan->items[number];
    unsigned long long seed = (unsigned long long)plan->seed;
    if (item->bridge_token != NULL) {
        snprintf(out, PLAN_TOKEN_BYTES, "%s", item->bridge_token);
    } else if (item->token == TOKEN_PLAIN) {
        snprintf(out, PLAN_TOKEN_BYTES, "t%llu-%u", seed, item->origin);
    } else if (item->token == TOKEN_MAPPED) {
        snprintf(out, PLAN_TOKEN_BYTES, "m%llu~%u~", seed, item->origin);
    } else if (item->token == TOKEN_ODD) {
        snprintf(out, PLAN_TOKEN_BYTES, "t%llu/%u +#%%2F\"\\", seed, item->origin);
    } else {
        out[0] = '\0';
    }
}

bool plan_is_same(const struct plan *plan, uint32_t one, uint32_t other)
{
    const struct plan_item *a = &plan->items[one];
    const struct plan_item *b = &plan->items[other];
    return a->group == b->group && a->is_one_shot == b->is_one_shot && a->is_stop == b->is_stop;
}

const char *plan_fault_code(enum plan_fault fault)
{
    static const char *const codes[FAULT_COUNT] = {
        [FAULT_NONE] = "",
        [FAULT_JSON] = "Bridge.MalformedPayload",
        [FAULT_EMPTY] = "Bridge.MalformedPayload",
        [FAULT_UNKNOWN_FIELD] = "Bridge.UnknownParameter",
        [FAULT_MISSING_FIELD] = "Bridge.MissingParameter",
        [FAULT_TYPE] = "Bridge.InvalidParameter",
        [FAULT_REPEATED_FIELD] = "Bridge.InvalidParameter",
        [FAULT_ACTION] = "Bridge.InvalidParameter",
        [FAULT_SIZE] = "Bridge.PayloadTooLarge",
        [FAULT_GROUP] = "Bridge.NotAllowed",
        [FAULT_REPLY_TOPIC] = "Bridge.ReplyTopicNotAllowed",
        [FAULT_REPLY_DEEP] = "Bridge.ReplyTopicNotAllowed",
        [FAULT_REPLY_LONG] = "Bridge.ReplyTopicNotAllowed",
        [FAULT_REPLY_WILDCARD] = "Bridge.ReplyTopicNotAllowed",
        [FAULT_REPLY_CONTROL] = "Bridge.InvalidParameter",
        [FAULT_EXPIRED] = "Bridge.Expired",
        [FAULT_RETAINED] = "Bridge.Retained",
    };
    return codes[fault];
}

bool plan_is_unanswerable(const struct plan *plan, uint32_t number)
{
    const struct plan_item *item = &plan->items[number];
    bool is_unreadable =
        item->fault == FAULT_JSON || item->fault == FAULT_EMPTY || item->fault == FAULT_SIZE;
    return is_unreadable && (!plan_is_v5(item) || item->place == PLACE_DEFAULT);
}
