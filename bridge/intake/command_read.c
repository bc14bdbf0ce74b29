/*
 * Reads the fields of a command by a table: a row has the rule for a field's text and the function
 * that stores it. The first fault is kept and reading goes on, so that a refusal can still go to
 * the reply topic that the sender named.
 */
#include "command_read.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "model/region.h"
#include "model/topic.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define FIELD_NAME_BYTES_MAX 64 /* of an unknown field's name in a message */

struct reading {
    const struct route *route;
    struct request *request;
    struct refusal *refusal;  /* its error is ERROR_NONE until the first fault */
    struct slice traceparent; /* the body's; user properties win over them */
    struct slice tracestate;
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

/* ---- rules for the texts of the fields ---- */

static bool is_printable_ascii(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7e) {
            return false;
        }
    }
    return text.length > 0;
}

static bool is_topic_text(struct slice text)
{
    return text.length > 0 && utf8_is_mqtt_text(text);
}

static bool is_any(struct slice text)
{
    (void)text;
    return true;
}

/* ---- where the texts go; false where the text is against the field's rule ---- */

static bool take_region(struct reading *reading, struct slice text)
{
    reading->request->region = text;
    return true;
}

static bool take_group(struct reading *reading, struct slice text)
{
    reading->request->group = text;
    return true;
}

static bool take_token(struct reading *reading, struct slice text)
{
    reading->request->token = text;
    return true;
}

static bool take_one_shot(struct reading *reading, struct slice text)
{
    struct request *request = reading->request;
    request->one_shot = slice_equals_text(text, "true");
    request->has_one_shot = request->one_shot || slice_equals_text(text, "false");
    return request->has_one_shot;
}

static bool take_action(struct reading *reading, struct slice text)
{
    return slice_equals_text(text, reading->route->action);
}

static bool take_reply_to(struct reading *reading, struct slice text)
{
    reading->request->reply_to = text;
    return true;
}

static bool take_correlation_id(struct reading *reading, struct slice text)
{
    reading->request->correlation_id = text;
    return true;
}

static bool take_not_after(struct reading *reading, struct slice text)
{
    return clock_parse(text, &reading->request->not_after_ms) == STATUS_OK;
}

static bool take_traceparent(struct reading *reading, struct slice text)
{
    reading->traceparent = text;
    return true;
}

static bool take_tracestate(struct reading *reading, struct slice text)
{
    reading->tracestate = text;
    return true;
}

enum field_id {
    FIELD_REGION,
    FIELD_GROUP,
    FIELD_TOKEN,
    FIELD_ONE_SHOT,
    FIELD_ACTION,
    FIELD_REPLY_TO,
    FIELD_CORRELATION_ID,
    FIELD_NOT_AFTER,
    FIELD_TRACEPARENT,
    FIELD_TRACESTATE,
    FIELD_COUNT
};

struct field {
    const char *name;
    const char *rule; /* completes "NAME must be ..." */
    size_t bytes_max;
    bool (*is_valid)(struct slice text);
    bool (*take)(struct reading *reading, struct slice text);
};

static const struct field fields[FIELD_COUNT] = {
    [FIELD_REGION] = {"RegionId", "a string of 1 to 63 letters, digits and '-'", REGION_BYTES_MAX,
                      region_is_valid, take_region},
    [FIELD_GROUP] = {"ReplicaGroupId", "a string of 1 to 128 printable ASCII characters",
                     COMMAND_GROUP_BYTES_MAX, is_printable_ascii, take_group},
    [FIELD_TOKEN] = {"ClientToken", "a string of 1 to 64 printable ASCII characters",
                     COMMAND_TOKEN_BYTES_MAX, is_printable_ascii, take_token},
    [FIELD_ONE_SHOT] = {"OneShot", "true or false", SIZE_MAX, is_any, take_one_shot},
    [FIELD_ACTION] = {"Action", "the action of the route", SIZE_MAX, is_any, take_action},
    [FIELD_REPLY_TO] = {"ReplyTo", "a topic of 1 to 65535 bytes without control characters",
                        TOPIC_BYTES_MAX, is_topic_text, take_reply_to},
    [FIELD_CORRELATION_ID] = {"CorrelationId", "a string of at most 256 bytes",
                              COMMAND_CORRELATION_BYTES_MAX, is_any, take_correlation_id},
    [FIELD_NOT_AFTER] = {"NotAfter", "an RFC 3339 time such as 2026-01-02T03:04:05Z", SIZE_MAX,
                         is_any, take_not_after},
    [FIELD_TRACEPARENT] = {"traceparent",
                           "a string of at most 512 bytes without control characters",
                           COMMAND_TRACE_BYTES_MAX, utf8_is_mqtt_text, take_traceparent},
    [FIELD_TRACESTATE] = {"tracestate", "a string of at most 512 bytes without control characters",
                          COMMAND_TRACE_BYTES_MAX, utf8_is_mqtt_text, take_tracestate},
};

static enum field_id field_of_name(struct slice name)
{
    for (int id = 0; id < FIELD_COUNT; id++) {
        if (slice_equals_text(name, fields[id].name)) {
            return (enum field_id)id;
        }
    }
    return FIELD_COUNT;
}

/* JSON's true and false are accepted where the field is a boolean. */
static struct slice text_of(enum field_id id, const struct json *value)
{
    enum json_kind kind = json_kind(value);
    if (id == FIELD_ONE_SHOT && (kind == JSON_TRUE || kind == JSON_FALSE)) {
        return slice_text(kind == JSON_TRUE ? "true" : "false");
    }
    return json_text(value);
}

static void read_field(struct reading *reading, enum field_id id, const struct json *value)
{
    const struct field *field = &fields[id];
    struct slice text = text_of(id, value);
    if (!slice_is_present(text)) {
        note(reading, ERROR_INVALID_PARAMETER, "%s must be %s; it is of the JSON type %s.",
             field->name, field->rule, json_kind_text(json_kind(value)));
    } else if (text.length > field->bytes_max || !field->is_valid(text) ||
               !field->take(reading, text)) {
        note(reading, ERROR_INVALID_PARAMETER, "%s must be %s; the value has %zu bytes.",
             field->name, field->rule, text.length);
    }
}

/* One character of a name; in hexadecimal where it is no printable text or needs quoting. */
static void append_character(struct buf *out, struct slice character)
{
    if (utf8_is_mqtt_text(character) && character.data[0] != '"' && character.data[0] != '\\') {
        buf_append(out, character);
        return;
    }
    for (size_t i = 0; i < character.length; i++) {
        buf_printf(out, "\\x%02x", (unsigned)(unsigned char)character.data[i]);
    }
}

/* The beginning of a name for a message: whole characters, at most 64 bytes. The name is valid
 * UTF-8. */
static void show_name(struct slice name, struct buf *out)
{
    while (name.length > 0) {
        size_t before = out->length;
        size_t length = utf8_character_length(name);
        append_character(out, slice_of(name.data, length));
        if (out->length > FIELD_NAME_BYTES_MAX) {
            out->length = before;
            return;
        }
        name = slice_of(name.data + length, name.length - length);
    }
}

static void note_unknown(struct reading *reading, struct slice name)
{
    struct buf shown = {0};
    show_name(name, &shown);
    note(reading, ERROR_UNKNOWN_PARAMETER, "A command has no field \"%.*s\" (a name of %zu bytes).",
         (int)shown.length, buf_slice(&shown).data, name.length);
    buf_fini(&shown);
}

/* A repeated field has no value at all: neither the first nor the last one counts. */
static void forget_field(struct reading *reading, enum field_id id)
{
    struct request *request = reading->request;
    struct slice *const targets[FIELD_COUNT] = {
        [FIELD_REGION] = &request->region,
        [FIELD_GROUP] = &request->group,
        [FIELD_TOKEN] = &request->token,
        [FIELD_REPLY_TO] = &request->reply_to,
        [FIELD_CORRELATION_ID] = &request->correlation_id,
        [FIELD_TRACEPARENT] = &reading->traceparent,
        [FIELD_TRACESTATE] = &reading->tracestate,
    };
    if (targets[id] != NULL) {
        *targets[id] = (struct slice){0};
    } else if (id == FIELD_ONE_SHOT) {
        request->has_one_shot = false;
    } else if (id == FIELD_NOT_AFTER) {
        request->not_after_ms = INT64_MAX;
    }
}

static unsigned read_fields(struct reading *reading, const struct json *object)
{
    unsigned seen = 0;
    for (const struct json *member = json_first(object); member != NULL;
         member = json_next(member)) {
        enum field_id id = field_of_name(json_name(member));
        if (id == FIELD_COUNT) {
            note_unknown(reading, json_name(member));
        } else if ((seen & 1u << id) != 0) {
            note(reading, ERROR_INVALID_PARAMETER, "%s is given more than once.", fields[id].name);
            forget_field(reading, id);
        } else {
            read_field(reading, id, member);
        }
        seen |= id == FIELD_COUNT ? 0 : 1u << id;
    }
    return seen;
}

static void need(struct reading *reading, enum field_id id, struct slice *text,
                 const char *otherwise)
{
    *text = slice_text(otherwise);
    if (!slice_is_present(*text)) {
        note(reading, ERROR_MISSING_PARAMETER, "%s is missing; it must be %s.", fields[id].name,
             fields[id].rule);
    }
}

/* Defaults and missing fields. A field with a fault is neither missing nor replaced by a default.
 */
static void fill_in(struct reading *reading, unsigned seen)
{
    const struct route *route = reading->route;
    struct request *request = reading->request;
    if ((seen & 1u << FIELD_REGION) == 0) {
        need(reading, FIELD_REGION, &request->region, route->default_region);
    }
    if ((seen & 1u << FIELD_GROUP) == 0) {
        need(reading, FIELD_GROUP, &request->group, route->default_group);
    }
    if ((seen & 1u << FIELD_TOKEN) == 0 && route->needs_client_token) {
        need(reading, FIELD_TOKEN, &request->token, NULL);
    }
    if ((seen & 1u << FIELD_ONE_SHOT) == 0) {
        request->has_one_shot = true;
        request->one_shot = route->has_default_one_shot && route->default_one_shot;
    }
}

static void use_body_trace(struct request *request, struct slice *trace, struct slice from_body)
{
    if (!slice_is_present(*trace) && slice_is_present(from_body)) {
        *trace = from_body;
        request->has_body_trace = true;
    }
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
    fill_in(reading, read_fields(reading, document));
    use_body_trace(reading->request, &reading->request->traceparent, reading->traceparent);
    use_body_trace(reading->request, &reading->request->tracestate, reading->tracestate);
}

static struct slice usable_trace(struct slice text)
{
    bool is_usable = text.length <= COMMAND_TRACE_BYTES_MAX && utf8_is_mqtt_text(text);
    return is_usable ? text : (struct slice){0};
}

static bool is_too_large(const struct delivery *delivery, const struct command_limits *limits)
{
    return delivery->payload_bytes > limits->payload_bytes ||
           delivery->payload_bytes > delivery->payload.length;
}

enum status request_read(const struct route *route, const struct delivery *delivery,
                         const struct command_limits *limits, struct request *out_request,
                         struct refusal *out_refusal)
{
    struct refusal refusal = {.error = ERROR_NONE};
    struct reading reading = {.route = route, .request = out_request, .refusal = &refusal};
    *out_request = (struct request){
        .traceparent = usable_trace(delivery->traceparent),
        .tracestate = usable_trace(delivery->tracestate),
        .not_after_ms = INT64_MAX,
    };
    if (delivery->is_retained) {
        note(&reading, ERROR_RETAINED, "A retained message is not a command.");
    }
    if (is_too_large(delivery, limits)) {
        note(&reading, ERROR_PAYLOAD_TOO_LARGE,
             "The payload has %" PRIu64 " bytes; limits.payload_bytes is %zu.",
             delivery->payload_bytes, limits->payload_bytes);
    } else {
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
    *request = (struct request){0};
}
