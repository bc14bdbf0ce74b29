/*
 * Reads the fields of a command by a table, and behind them the parameters of the route's action by
 * its row. Each has a place in `values`. The first fault is kept and the reading goes on, so that a
 * refusal can still go to the reply topic that the sender named.
 */
#include "intake/command_read.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "model/region.h"
#include "model/topic.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define FIELD_NAME_BYTES_MAX 64 /* of an unknown field's name in a message */

enum field_id {
    FIELD_REGION,
    FIELD_GROUP,
    FIELD_TOKEN,
    FIELD_ACTION,
    FIELD_REPLY_TO,
    FIELD_CORRELATION_ID,
    FIELD_NOT_AFTER,
    FIELD_TRACEPARENT,
    FIELD_TRACESTATE,
    FIELD_COUNT /* the action's parameters follow */
};

#define VALUES_MAX (FIELD_COUNT + ACTION_PARAMETERS_MAX)

struct reading {
    const struct route *route;
    const struct action *action;
    struct request *request;
    struct refusal *refusal; /* its error is ERROR_NONE until the first fault */
    bool is_seen[VALUES_MAX];
    struct slice values[VALUES_MAX]; /* absent: not seen, or at fault */
};

static void note(struct reading *reading, enum bridge_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void note(struct reading *reading, enum bridge_error error, const char *format, ...)
{
    struct refusal *refusal = reading->refusal;
    if (refusal->error != ERROR_NONE) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    refusal->error = error;
    vsnprintf(refusal->message, sizeof refusal->message, format, arguments);
    va_end(arguments);
}

static bool is_time(struct slice text)
{
    int64_t wall_ms;
    return clock_parse(text, &wall_ms) == STATUS_OK;
}

struct field {
    const char *name;
    const char *rule; /* completes "NAME must be ..." */
    size_t bytes_min;
    size_t bytes_max;
    bool (*is_valid)(struct slice text); /* NULL: any text */
};

static const struct field fields[FIELD_COUNT] = {
    [FIELD_REGION] = {"RegionId", "a string of 1 to 63 lower-case letters, digits and '-'", 1,
                      REGION_BYTES_MAX, region_is_valid},
    [FIELD_GROUP] = {"ReplicaGroupId", "a string of 1 to 128 printable ASCII characters", 1,
                     COMMAND_GROUP_BYTES_MAX, utf8_is_printable_ascii},
    [FIELD_TOKEN] = {"ClientToken", "a string of 1 to 64 printable ASCII characters", 1,
                     COMMAND_TOKEN_BYTES_MAX, utf8_is_printable_ascii},
    [FIELD_ACTION] = {"Action", "the action of the route", 1, SIZE_MAX, NULL}, /* read_value() */
    [FIELD_REPLY_TO] = {"ReplyTo", "a topic of 1 to 65535 bytes without control characters", 1,
                        TOPIC_BYTES_MAX, utf8_is_mqtt_text},
    [FIELD_CORRELATION_ID] = {"CorrelationId", "a string of at most 256 bytes", 0,
                              COMMAND_CORRELATION_BYTES_MAX, NULL},
    [FIELD_NOT_AFTER] = {"NotAfter", "an RFC 3339 time such as 2026-01-02T03:04:05Z", 1, SIZE_MAX,
                         is_time},
    [FIELD_TRACEPARENT] = {"traceparent",
                           "a string of at most 512 bytes without control characters", 0,
                           COMMAND_TRACE_BYTES_MAX, utf8_is_mqtt_text},
    [FIELD_TRACESTATE] = {"tracestate", "a string of at most 512 bytes without control characters",
                          0, COMMAND_TRACE_BYTES_MAX, utf8_is_mqtt_text},
};

/* NULL for a field. */
static const struct parameter *parameter_at(const struct reading *reading, int place)
{
    return place < FIELD_COUNT ? NULL
                               : action_parameter(reading->action, (size_t)(place - FIELD_COUNT));
}

static const char *name_at(const struct reading *reading, int place)
{
    return place < FIELD_COUNT ? fields[place].name : parameter_at(reading, place)->name;
}

static const char *rule_at(const struct reading *reading, int place)
{
    return place < FIELD_COUNT ? fields[place].rule : parameter_at(reading, place)->rule;
}

/* The place of the name's value, or -1 where a command has no such field. */
static int place_of_name(const struct reading *reading, struct slice name)
{
    for (int place = 0; place < FIELD_COUNT; place++) {
        if (slice_equals_text(name, fields[place].name)) {
            return place;
        }
    }
    const struct parameter *parameter;
    for (int place = FIELD_COUNT; (parameter = parameter_at(reading, place)) != NULL; place++) {
        if (slice_equals_text(name, parameter->name)) {
            return place;
        }
    }
    return -1;
}

/* `origin` as in struct field_text. */
static void read_text(struct reading *reading, int place, struct slice text, const char *origin)
{
    bool is_valid;
    if (place < FIELD_COUNT) {
        const struct field *field = &fields[place];
        is_valid = text.length >= field->bytes_min && text.length <= field->bytes_max &&
                   (field->is_valid == NULL || field->is_valid(text)) &&
                   (place != FIELD_ACTION || slice_equals_text(text, reading->action->name));
    } else {
        is_valid = parameter_takes(parameter_at(reading, place), text);
    }
    if (!is_valid) {
        note(reading, ERROR_INVALID_PARAMETER, "%s must be %s; the value%s has %zu bytes.",
             name_at(reading, place), rule_at(reading, place), origin, text.length);
    } else {
        reading->values[place] = text;
    }
}

static void read_value(struct reading *reading, int place, const struct json *value)
{
    const struct parameter *parameter = parameter_at(reading, place);
    enum json_kind kind = json_kind(value);
    struct slice text = json_text(value);
    /* A boolean may be JSON's true or false, or the same as a string. */
    if (parameter != NULL && parameter->type == PARAMETER_BOOL &&
        (kind == JSON_TRUE || kind == JSON_FALSE)) {
        text = slice_text(kind == JSON_TRUE ? "true" : "false");
    }
    if (!slice_is_present(text)) {
        note(reading, ERROR_INVALID_PARAMETER, "%s must be %s; it is of the JSON type %s.",
             name_at(reading, place), rule_at(reading, place), json_kind_text(kind));
    } else {
        read_text(reading, place, text, "");
    }
}

/* Shows the beginning of the name: whole characters, at most 64 bytes, in hexadecimal where a
 * character is not printable or needs quoting. The name is valid UTF-8. */
static void note_unknown(struct reading *reading, struct slice name)
{
    struct buf shown = {0};
    size_t shown_bytes = 0;
    for (struct slice rest = name; rest.length > 0 && shown.length <= FIELD_NAME_BYTES_MAX;) {
        shown_bytes = shown.length;
        struct slice character = slice_of(rest.data, utf8_character_length(rest));
        if (utf8_is_mqtt_text(character) && strchr("\"\\", rest.data[0]) == NULL) {
            buf_append(&shown, character);
        } else {
            for (size_t i = 0; i < character.length; i++) {
                buf_printf(&shown, "\\x%02x", (unsigned)(unsigned char)character.data[i]);
            }
        }
        rest = slice_of(rest.data + character.length, rest.length - character.length);
    }
    shown_bytes = shown.length <= FIELD_NAME_BYTES_MAX ? shown.length : shown_bytes;
    note(reading, ERROR_UNKNOWN_PARAMETER, "A command has no field \"%.*s\" (a name of %zu bytes).",
         (int)shown_bytes, buf_slice(&shown).data, name.length);
    buf_fini(&shown);
}

static void read_members(struct reading *reading, const struct json *object)
{
    for (const struct json *member = json_first(object); member != NULL;
         member = json_next(member)) {
        int place = place_of_name(reading, json_name(member));
        if (place < 0) {
            note_unknown(reading, json_name(member));
        } else if (reading->is_seen[place]) {
            note(reading, ERROR_INVALID_PARAMETER, "%s is given more than once.",
                 name_at(reading, place));
            /* A repeated field has no value at all: neither the first nor the last one counts. */
            reading->values[place] = (struct slice){0};
        } else {
            reading->is_seen[place] = true;
            read_value(reading, place, member);
        }
    }
}

/* `otherwise`: the default, absent where there is none. */
static void fill_in(struct reading *reading, int place, bool is_needed, struct slice otherwise)
{
    if (reading->is_seen[place]) {
        return; /* a field at fault is neither missing nor replaced by the default */
    }
    reading->values[place] = otherwise;
    if (is_needed && !slice_is_present(otherwise)) {
        note(reading, ERROR_MISSING_PARAMETER, "%s is missing; it must be %s.",
             name_at(reading, place), rule_at(reading, place));
    }
}

static void fill_in_all(struct reading *reading)
{
    const struct route *route = reading->route;
    fill_in(reading, FIELD_REGION, true, slice_text(route->default_region));
    fill_in(reading, FIELD_GROUP, true, slice_text(route->default_group));
    fill_in(reading, FIELD_TOKEN, route->needs_client_token, (struct slice){0});
    const struct parameter *parameter;
    for (int place = FIELD_COUNT; (parameter = parameter_at(reading, place)) != NULL; place++) {
        bool is_optional = parameter->need == PARAMETER_OPTIONAL;
        struct slice otherwise = {0};
        if (is_optional && parameter->type == PARAMETER_BOOL) {
            otherwise =
                slice_text(route->parameter_defaults[parameter->id].value ? "true" : "false");
        }
        fill_in(reading, place, !is_optional, otherwise);
    }
}

static void use_body_trace(struct request *request, struct slice *trace, struct slice from_body)
{
    if (!slice_is_present(*trace) && slice_is_present(from_body)) {
        *trace = from_body;
        request->has_body_trace = true;
    }
}

/* What was read becomes the request. */
static void keep_values(struct reading *reading)
{
    struct request *request = reading->request;
    const struct slice *values = reading->values;
    request->region = values[FIELD_REGION];
    request->group = values[FIELD_GROUP];
    request->token = values[FIELD_TOKEN];
    request->reply_to = values[FIELD_REPLY_TO];
    request->correlation_id = values[FIELD_CORRELATION_ID];
    if (slice_is_present(values[FIELD_NOT_AFTER])) {
        (void)clock_parse(values[FIELD_NOT_AFTER], &request->not_after_ms);
    }
    use_body_trace(request, &request->traceparent, values[FIELD_TRACEPARENT]);
    use_body_trace(request, &request->tracestate, values[FIELD_TRACESTATE]);
    memcpy(request->parameters.texts, values + FIELD_COUNT, sizeof request->parameters.texts);
    action_params_write(reading->action, &request->parameters, &request->params);
}

static void read_payload(struct reading *reading, struct slice payload)
{
    struct json_fault fault = {0};
    struct json *document = json_parse(payload, COMMAND_JSON_DEPTH_MAX, &fault);
    if (document == NULL) {
        note(reading, ERROR_MALFORMED_PAYLOAD,
             "The payload of %zu bytes is not a JSON object: %s at byte %zu.", payload.length,
             fault.what, fault.offset);
        return;
    }
    if (json_kind(document) != JSON_OBJECT) {
        note(reading, ERROR_MALFORMED_PAYLOAD,
             "The payload of %zu bytes is not a JSON object; it is of the JSON type %s.",
             payload.length, json_kind_text(json_kind(document)));
        json_free(document);
        return;
    }
    reading->request->document = document;
    read_members(reading, document);
    fill_in_all(reading);
    keep_values(reading);
}

static struct slice usable_trace(struct slice text)
{
    bool is_usable = text.length <= COMMAND_TRACE_BYTES_MAX && utf8_is_mqtt_text(text);
    return is_usable ? text : (struct slice){0};
}

size_t route_payload_bytes(const struct route *route, const struct command_limits *limits)
{
    return route->payload_bytes > 0 ? (size_t)route->payload_bytes : limits->payload_bytes;
}

enum status request_begin(const struct route *route, const struct delivery *delivery,
                          const struct command_limits *limits, struct request *out_request,
                          struct refusal *out_refusal)
{
    struct refusal refusal = {.error = ERROR_NONE};
    struct reading reading = {.refusal = &refusal};
    size_t payload_bytes = route_payload_bytes(route, limits);
    *out_request = (struct request){
        .traceparent = usable_trace(delivery->traceparent),
        .tracestate = usable_trace(delivery->tracestate),
        .not_after_ms = INT64_MAX,
    };
    if (delivery->is_retained) {
        note(&reading, ERROR_RETAINED, "A retained message is not a command.");
    }
    if (delivery->payload_bytes > payload_bytes ||
        delivery->payload_bytes > delivery->payload.length) {
        note(&reading, ERROR_PAYLOAD_TOO_LARGE, "The payload has %" PRIu64 " bytes; %s is %zu.",
             delivery->payload_bytes,
             route->payload_bytes > 0 ? "payload_bytes of the route" : "limits.payload_bytes",
             payload_bytes);
    }
    if (refusal.error == ERROR_NONE) {
        return STATUS_OK;
    }
    *out_refusal = refusal;
    return STATUS_INVALID;
}

enum status request_read_texts(const struct route *route, const struct field_text *texts,
                               size_t count, struct request *request, struct refusal *refusal)
{
    struct reading reading = {
        .route = route, .action = route_action(route), .request = request, .refusal = refusal};
    for (size_t i = 0; i < count; i++) {
        int place = place_of_name(&reading, slice_text(texts[i].name));
        assert(place >= 0);
        reading.is_seen[place] = true;
        read_text(&reading, place, texts[i].text, texts[i].origin);
    }
    fill_in_all(&reading);
    keep_values(&reading);
    return refusal->error == ERROR_NONE ? STATUS_OK : STATUS_INVALID;
}

enum status request_read(const struct route *route, const struct delivery *delivery,
                         const struct command_limits *limits, struct request *out_request,
                         struct refusal *out_refusal)
{
    struct refusal refusal = {.error = ERROR_NONE};
    struct reading reading = {
        .route = route, .action = route_action(route), .request = out_request, .refusal = &refusal};
    (void)request_begin(route, delivery, limits, out_request, &refusal);
    if (delivery->payload_bytes <= route_payload_bytes(route, limits) &&
        delivery->payload_bytes <= delivery->payload.length) {
        read_payload(&reading, delivery->payload);
    }
    if (refusal.error == ERROR_NONE) {
        return STATUS_OK;
    }
    *out_refusal = refusal;
    return STATUS_INVALID;
}

void request_fini(struct request *request)
{
    if (request == NULL) {
        return;
    }
    json_free(request->document);
    buf_fini(&request->params);
    *request = (struct request){0};
}
