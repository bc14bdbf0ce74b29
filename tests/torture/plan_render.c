/* The bytes of commands, and the topics of their replies. */
#include "plan.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOO_LARGE_BYTES = 17000 };

/* Of a reply topic: the limits of the bridge, and more levels than mosquitto takes. */
enum { BYTES_ALLOWED = 1024, LEVELS_ALLOWED = 32, LEVELS_CLOSING = 210, REPLIES_LEVELS = 3 };

#define REPLIES "ecs-bridge/v1/replies/"

void plan_correlation(const struct plan *plan, uint32_t number, char out[64])
{
    const struct plan_item *item = &plan->items[number];
    if (!item->has_correlation) {
        out[0] = '\0';
    } else if (item->token == TOKEN_DERIVED && item->bridge_token == NULL) {
        /* Commands with the same derived token need the same correlation. */
        snprintf(out, 64, "derived from %u", item->origin);
    } else {
        snprintf(out, 64, "~%u~ of sender %d", number, item->sender);
    }
}

/* What stands before and behind `~number~`, and what fills the topic up to a number of bytes or
 * levels. */
struct shape {
    const char *before;
    const char *behind;
    const char *filler;
    size_t bytes;
    size_t levels;
};

static const struct shape fault_shapes[FAULT_COUNT] = {
    [FAULT_REPLY_TOPIC] = {"elsewhere/", "", .filler = ""},
    [FAULT_REPLY_DEEP] = {REPLIES, "", "/a", .levels = LEVELS_CLOSING},
    [FAULT_REPLY_LONG] = {REPLIES, "/", "x", .bytes = BYTES_ALLOWED + 1},
    [FAULT_REPLY_WILDCARD] = {REPLIES "+/", "", .filler = ""},
    [FAULT_REPLY_CONTROL] = {REPLIES, "/\001", .filler = ""},
};

static const struct shape place_shapes[PLACE_COUNT] = {
    [PLACE_OWN] = {REPLIES "own/", "", .filler = ""},
    [PLACE_DEEP] = {REPLIES, "", "/a", .levels = LEVELS_ALLOWED},
    [PLACE_LONG] = {REPLIES, "/", "x", .bytes = BYTES_ALLOWED},
    [PLACE_EDGE] = {REPLIES "/", "/", .filler = ""},
    [PLACE_REFUSED] = {PLAN_REFUSED, "", .filler = ""},
};

static void fill_topic(const struct shape *shape, uint32_t number, char out[PLAN_TOPIC_BYTES])
{
    snprintf(out, PLAN_TOPIC_BYTES, "%s~%u~%s", shape->before, number, shape->behind);
    size_t length = strlen(out);
    size_t end =
        shape->levels > 0 ? length + (shape->levels - REPLIES_LEVELS - 1) * 2 : shape->bytes;
    while (length < end) {
        length = (size_t)(stpcpy(out + length, shape->filler) - out);
    }
}

/* "" for the route's reply topic. */
static void wanted_topic(const struct plan *plan, uint32_t number, char out[PLAN_TOPIC_BYTES])
{
    const struct plan_item *item = &plan->items[number];
    out[0] = '\0';
    if (item->fault == FAULT_REPLY_WILDCARD && number % 2 == 0) {
        snprintf(out, PLAN_TOPIC_BYTES, REPLIES "~%u~/#", number);
    } else if (plan_has_bad_reply_topic(item)) {
        fill_topic(&fault_shapes[item->fault], number, out);
    } else if (item->place == PLACE_SHARED) {
        snprintf(out, PLAN_TOPIC_BYTES, REPLIES "sender-%d", item->sender);
    } else if (item->place == PLACE_EDGE && number % 2 == 0) {
        snprintf(out, PLAN_TOPIC_BYTES, "%.*s", (int)sizeof REPLIES - 2, REPLIES);
    } else if (item->place != PLACE_DEFAULT) {
        fill_topic(&place_shapes[item->place], number, out);
    }
}

/* Encodes the value of a placeholder as the bridge must do it. */
static void encode(const char *value, char *out, size_t size)
{
    size_t length = 0;
    for (const char *c = value; *c != '\0' && length + 4 < size; c++) {
        if (strchr("/+#%", *c) != NULL) {
            length += (size_t)snprintf(out + length, size - length, "%%%02X", (unsigned)*c);
        } else {
            out[length++] = *c;
        }
    }
    out[length] = '\0';
}

void plan_reply_topic(const struct plan *plan, uint32_t number, const char *token, char *out,
                      size_t size)
{
    const struct plan_item *item = &plan->items[number];
    char wanted[PLAN_TOPIC_BYTES];
    char encoded[256];
    wanted_topic(plan, number, wanted);
    if (wanted[0] != '\0' && !plan_has_bad_reply_topic(item)) {
        snprintf(out, size, "%s", wanted);
        return;
    }
    encode(token, encoded, sizeof encoded);
    snprintf(out, size, REPLIES "%s", encoded);
}

static void add_not_after(cJSON *json, int64_t wall_ms)
{
    char text[40];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    cJSON_AddStringToObject(json, "NotAfter", text);
}

static void add_group(cJSON *json, const struct plan_item *item)
{
    char group[16];
    plan_group(item->group, group);
    if (item->fault == FAULT_GROUP) {
        cJSON_AddStringToObject(json, "ReplicaGroupId", "zz-not-allowed");
    } else if (item->fault == FAULT_SIZE) {
        char *large = calloc(1, TOO_LARGE_BYTES + 1);
        assert(large != NULL);
        memset(large, 'x', TOO_LARGE_BYTES);
        cJSON_AddStringToObject(json, "ReplicaGroupId", large);
        free(large);
    } else if (item->fault != FAULT_MISSING_FIELD) {
        cJSON_AddStringToObject(json, "ReplicaGroupId", group);
    }
}

static void add_fault(cJSON *json, enum plan_fault fault)
{
    if (fault == FAULT_UNKNOWN_FIELD) {
        cJSON_AddBoolToObject(json, "Oneshot", true);
    } else if (fault == FAULT_ACTION) {
        cJSON_AddStringToObject(json, "Action", "StopDiskReplicaGroup");
    } else if (fault == FAULT_EXPIRED) {
        cJSON_AddStringToObject(json, "NotAfter", "2001-02-03T04:05:06Z");
    }
}

static cJSON *make_json(const struct plan *plan, uint32_t number, int64_t wall_ms,
                        const struct plan_text *text)
{
    const struct plan_item *item = &plan->items[number];
    char token[PLAN_TOKEN_BYTES];
    char wanted[PLAN_TOPIC_BYTES];
    cJSON *json = cJSON_CreateObject();
    plan_token(plan, number, token);
    wanted_topic(plan, number, wanted);
    cJSON_AddStringToObject(json, "RegionId", plan_region(item->group));
    add_group(json, item);
    if (token[0] != '\0') {
        cJSON_AddStringToObject(json, "ClientToken", token);
    }
    if (item->fault == FAULT_TYPE) {
        cJSON_AddStringToObject(json, "OneShot", "yes");
    } else if (!item->is_stop) {
        cJSON_AddBoolToObject(json, "OneShot", item->is_one_shot);
    }
    if (item->not_after_s > 0) {
        add_not_after(json, wall_ms + item->not_after_s * 1000);
    }
    if (!plan_is_v5(item) && wanted[0] != '\0') {
        cJSON_AddStringToObject(json, "ReplyTo", wanted);
    }
    if (!plan_is_v5(item) && text->correlation[0] != '\0') {
        cJSON_AddStringToObject(json, "CorrelationId", text->correlation);
    }
    add_fault(json, (enum plan_fault)item->fault);
    return json;
}

/* As Alertmanager sends them; the last one is resolved, which the route filters. */
static cJSON *make_alerts(const struct plan *plan, uint32_t number)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *alerts = cJSON_AddArrayToObject(json, "alerts");
    int count = plan->items[number].element_count;
    for (int i = 0; i <= count; i++) {
        const struct plan_item *item = &plan->items[number + (uint32_t)(i == count ? 0 : i)];
        cJSON *alert = cJSON_CreateObject();
        char token[PLAN_TOKEN_BYTES];
        char group[16];
        plan_group(item->group, group);
        plan_token(plan, item->origin, token);
        cJSON_AddStringToObject(alert, "status", i == count ? "resolved" : "firing");
        cJSON *labels = cJSON_AddObjectToObject(alert, "labels");
        cJSON_AddStringToObject(labels, "region", plan_region(item->group));
        cJSON_AddStringToObject(labels, "group", group);
        cJSON_AddBoolToObject(labels, "once", item->is_one_shot);
        cJSON_AddStringToObject(alert, "fingerprint", token);
        cJSON_AddItemToArray(alerts, alert);
    }
    return json;
}

static char *distort(char *payload, enum plan_fault fault)
{
    char *text = NULL;
    if (fault == FAULT_JSON) {
        payload[strlen(payload) - 1] = '\0';
    } else if (fault == FAULT_EMPTY) {
        payload[0] = '\0';
    } else if (fault == FAULT_REPEATED_FIELD) {
        int length = asprintf(&text, "{\"OneShot\":true,%s", payload + 1);
        assert(length > 0);
        free(payload);
        return text;
    }
    return payload;
}

void plan_render(const struct plan *plan, uint32_t number, int64_t wall_ms,
                 struct plan_text *out_text)
{
    const struct plan_item *item = &plan->items[number];
    struct plan_text text = {.is_retained = item->fault == FAULT_RETAINED};
    plan_topic(plan, number, text.topic);
    plan_correlation(plan, number, text.correlation);
    cJSON *json = item->element_count > 0 ? make_alerts(plan, number)
                                          : make_json(plan, number, wall_ms, &text);
    char *payload = cJSON_PrintUnformatted(json);
    assert(payload != NULL);
    text.payload = distort(payload, (enum plan_fault)item->fault);
    text.payload_length = strlen(text.payload);
    cJSON_Delete(json);
    if (plan_is_v5(item)) {
        wanted_topic(plan, number, text.response_topic);
    }
    *out_text = text;
}

void plan_text_fini(struct plan_text *text)
{
    free(text->payload);
    *text = (struct plan_text){0};
}
