#include "cloudevent.h"

#include "base/digest.h"
#include "base/json_pointer.h"
#include "base/utf8.h"

#include <stdio.h>
#include <strings.h>

#define EVENT_TYPE  "application/cloudevents+json"
#define EVENT_TYPES "application/cloudevents" /* all event formats and batches begin with it */

static const char *const required[] = {"specversion", "id", "source", "type"};
#define REQUIRED_COUNT (sizeof required / sizeof required[0])

static enum status refuse(struct refusal *out_refusal, const char *why)
{
    out_refusal->error = ERROR_MALFORMED_PAYLOAD;
    snprintf(out_refusal->message, sizeof out_refusal->message,
             "The message is not a CloudEvent: %s.", why);
    return STATUS_INVALID;
}

struct json *message_json(struct slice text, const char *what, struct refusal *out_refusal)
{
    struct json_fault fault = {0};
    struct json *document = json_parse(text, MESSAGE_JSON_DEPTH_MAX, &fault);
    if (document == NULL) {
        out_refusal->error = ERROR_MALFORMED_PAYLOAD;
        snprintf(out_refusal->message, sizeof out_refusal->message,
                 "%s of %zu bytes is not JSON: %s at byte %zu.", what, text.length, fault.what,
                 fault.offset);
    }
    return document;
}

/* The media type without its parameters. */
static struct slice media_type(struct slice content_type)
{
    const char *end =
        content_type.length == 0 ? NULL : memchr(content_type.data, ';', content_type.length);
    size_t length = end == NULL ? content_type.length : (size_t)(end - content_type.data);
    return slice_trim(slice_of(content_type.data, length), " \t");
}

static bool equals_ignoring_case(struct slice text, const char *other)
{
    return text.length == strlen(other) && strncasecmp(text.data, other, text.length) == 0;
}

/* NULL, or what is wrong. `values` are those of `required`. */
static const char *why_attributes(const struct slice values[])
{
    static const char *const missing[] = {
        "it has no specversion, or one that is no text", "it has no id, or one that is no text",
        "it has no source, or one that is no text", "it has no type, or one that is no text"};
    for (size_t i = 0; i < REQUIRED_COUNT; i++) {
        if (values[i].length == 0 || !utf8_is_mqtt_text(values[i])) {
            return missing[i];
        }
    }
    return slice_equals_text(values[0], "1.0") ? NULL : "its specversion is not 1.0";
}

static enum status take_attributes(const struct slice values[], struct cloudevent *out,
                                   struct refusal *out_refusal)
{
    const char *why = why_attributes(values);
    out->id = values[1];
    out->source = values[2];
    return why == NULL ? STATUS_OK : refuse(out_refusal, why);
}

static enum status decode_data(struct slice text, struct cloudevent *out,
                               struct refusal *out_refusal)
{
    struct buf bytes = {0};
    enum status status = STATUS_INVALID;
    if (!slice_is_present(text) || digest_base64_decode(text, &bytes) != STATUS_OK) {
        refuse(out_refusal, "its data_base64 is not base64");
    } else {
        out->decoded = message_json(buf_slice(&bytes), "data_base64", out_refusal);
        out->data = out->decoded;
        status = out->decoded == NULL ? STATUS_INVALID : STATUS_OK;
    }
    buf_fini(&bytes);
    return status;
}

static enum status read_structured(struct cloudevent *out, struct refusal *out_refusal)
{
    struct slice values[REQUIRED_COUNT] = {0};
    const struct json *member = NULL;
    const struct json *encoded = NULL;
    if (json_kind(out->document) != JSON_OBJECT) {
        return refuse(out_refusal, "it is JSON, but not an object");
    }
    for (size_t i = 0; i < REQUIRED_COUNT; i++) {
        char pointer[16];
        snprintf(pointer, sizeof pointer, "/%s", required[i]);
        if (json_pointer_find(slice_text(pointer), out->document, &member) == JSON_POINTER_FOUND) {
            values[i] = json_text(member);
        }
    }
    enum json_pointer_result data =
        json_pointer_find(slice_text("/data"), out->document, &out->data);
    enum json_pointer_result base64 =
        json_pointer_find(slice_text("/data_base64"), out->document, &encoded);
    out->event = out->document;
    if (data == JSON_POINTER_REPEATED || base64 == JSON_POINTER_REPEATED ||
        (data == JSON_POINTER_FOUND && base64 == JSON_POINTER_FOUND)) {
        return refuse(out_refusal, "it has more than one of data and data_base64");
    }
    enum status status = take_attributes(values, out, out_refusal);
    if (status == STATUS_OK && base64 == JSON_POINTER_FOUND) {
        status = decode_data(json_text(encoded), out, out_refusal);
    }
    return status;
}

static bool has_attributes(const struct delivery *delivery)
{
    bool has_all = true;
    for (size_t i = 0; i < REQUIRED_COUNT; i++) {
        has_all = has_all && slice_is_present(delivery_property(delivery, required[i]));
    }
    return has_all;
}

/* The payload is the data, and was read already unless `document` is NULL. */
static enum status read_binary(const struct delivery *delivery, struct cloudevent *out,
                               struct refusal *out_refusal)
{
    struct slice values[REQUIRED_COUNT];
    for (size_t i = 0; i < REQUIRED_COUNT; i++) {
        values[i] = delivery_property(delivery, required[i]);
    }
    enum status status = take_attributes(values, out, out_refusal);
    if (status == STATUS_OK && out->document == NULL && delivery->payload.length > 0) {
        out->document = message_json(delivery->payload, "The data", out_refusal);
        status = out->document == NULL ? STATUS_INVALID : STATUS_OK;
    }
    out->data = out->document;
    return status;
}

/* Without a Content Type, an object with a specversion is structured. */
static enum status read_untyped(const struct delivery *delivery, struct cloudevent *out,
                                struct refusal *out_refusal)
{
    struct refusal not_json = {0};
    out->document = message_json(delivery->payload, "The payload", &not_json);
    if (json_member(out->document, "specversion") != NULL) {
        return read_structured(out, out_refusal);
    }
    if (has_attributes(delivery)) {
        return read_binary(delivery, out, out_refusal);
    }
    return refuse(out_refusal, "it has no Content Type, and is no JSON object with a specversion, "
                               "and lacks user properties specversion, id, source and type");
}

enum status cloudevent_read(const struct delivery *delivery, struct cloudevent *out,
                            struct refusal *out_refusal)
{
    struct slice type = media_type(delivery->content_type);
    *out = (struct cloudevent){0};
    if (type.length == 0) {
        return read_untyped(delivery, out, out_refusal);
    }
    if (equals_ignoring_case(type, EVENT_TYPE)) {
        out->document = message_json(delivery->payload, "The payload", out_refusal);
        return out->document == NULL ? STATUS_INVALID : read_structured(out, out_refusal);
    }
    if (type.length >= strlen(EVENT_TYPES) &&
        strncasecmp(type.data, EVENT_TYPES, strlen(EVENT_TYPES)) == 0) {
        return refuse(out_refusal, "its Content Type is that of a batch or of an event format "
                                   "other than JSON");
    }
    if (has_attributes(delivery)) {
        return read_binary(delivery, out, out_refusal);
    }
    return refuse(out_refusal, "its Content Type is not " EVENT_TYPE ", and it lacks user "
                               "properties specversion, id, source and type");
}

void cloudevent_fini(struct cloudevent *event)
{
    json_free(event->document);
    json_free(event->decoded);
    *event = (struct cloudevent){0};
}
