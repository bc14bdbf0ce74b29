#include "record.h"

#include "flow_process.h"
#include "tap.h"

#include <assert.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROPERTIES_BYTES = 2048, CORRELATION_BYTES = 512 };

void record_init(struct record *record, uint32_t capacity)
{
    *record = (struct record){.capacity = capacity};
    record->rows = calloc(capacity, sizeof *record->rows);
    assert(record->rows != NULL);
}

void record_fini(struct record *record)
{
    for (uint32_t i = 0; i < record->capacity; i++) {
        while (record->rows[i].replies != NULL) {
            struct record_reply *reply = record->rows[i].replies;
            record->rows[i].replies = reply->next;
            free(reply);
        }
    }
    free(record->rows);
    *record = (struct record){0};
}

/* The user properties in their order. The expiry interval is left out, because the broker decreases
 * it. */
static void print_properties(const mosquitto_property *properties, char *out, size_t size)
{
    char *name = NULL;
    char *value = NULL;
    char *type = NULL;
    uint8_t format = 0xff;
    bool skips_first = false;
    const mosquitto_property *at = properties;
    mosquitto_property_read_string(properties, MQTT_PROP_CONTENT_TYPE, &type, false);
    mosquitto_property_read_byte(properties, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, &format, false);
    size_t length =
        (size_t)snprintf(out, size, "type=%s format=%u", type == NULL ? "" : type, format);
    free(type);
    while ((at = mosquitto_property_read_string_pair(at, MQTT_PROP_USER_PROPERTY, &name, &value,
                                                     skips_first)) != NULL) {
        skips_first = true;
        if (length < size) {
            length += (size_t)snprintf(out + length, size - length, " %s=%s", name, value);
        }
        free(name);
        free(value);
    }
}

/* Binary data is cut at its first NUL; then it matches nothing, which is reported. */
static void print_correlation(const mosquitto_property *properties, char *out, size_t size)
{
    void *data = NULL;
    uint16_t length = 0;
    out[0] = '\0';
    if (mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &data, &length,
                                       false) != NULL) {
        snprintf(out, size, "%.*s", (int)length, (const char *)data);
        free(data);
    }
}

static struct record_reply *make_reply(const struct mosquitto_message *message,
                                       const char *correlation, const char *properties)
{
    size_t topic_size = strlen(message->topic) + 1;
    size_t correlation_size = strlen(correlation) + 1;
    size_t properties_size = strlen(properties) + 1;
    size_t body_length = (size_t)message->payloadlen;
    struct record_reply *reply = calloc(1, sizeof *reply + topic_size + correlation_size +
                                               properties_size + body_length + 1);
    assert(reply != NULL);
    char *at = reply->bytes;
    reply->topic = memcpy(at, message->topic, topic_size);
    reply->correlation = memcpy(at += topic_size, correlation, correlation_size);
    reply->properties = memcpy(at += correlation_size, properties, properties_size);
    reply->body = at += properties_size;
    if (body_length > 0) {
        memcpy(at, message->payload, body_length);
    }
    reply->first_ms = flow_now_ms();
    reply->count = 1;
    return reply;
}

static bool is_same(const struct record_reply *one, const struct record_reply *other)
{
    return strcmp(one->topic, other->topic) == 0 &&
           strcmp(one->correlation, other->correlation) == 0 &&
           strcmp(one->properties, other->properties) == 0 && strcmp(one->body, other->body) == 0;
}

/* The command that a reply answers: found by its topic, else its correlation, else its body.
 */
static int64_t number_of(const struct record_reply *reply)
{
    int64_t number = tap_find_mark(reply->topic, strlen(reply->topic));
    if (number < 0) {
        number = tap_find_mark(reply->correlation, strlen(reply->correlation));
    }
    return number < 0 ? tap_find_mark(reply->body, strlen(reply->body)) : number;
}

void record_add(struct record *record, const struct mosquitto_message *message,
                const mosquitto_property *properties, const char *dead_letters)
{
    char correlation[CORRELATION_BYTES];
    char text[PROPERTIES_BYTES];
    print_correlation(properties, correlation, sizeof correlation);
    print_properties(properties, text, sizeof text);
    struct record_reply *reply = make_reply(message, correlation, text);
    int64_t number = number_of(reply);
    record->reply_count++;
    reply->is_dead_letter = strcmp(reply->topic, dead_letters) == 0;
    if (number < 0 || number >= record->capacity) {
        if (record->strange_count++ == 0) {
            snprintf(record->strange, sizeof record->strange, "%s %.400s", reply->topic,
                     reply->body);
        }
        free(reply);
        return;
    }
    struct record_reply **at = &record->rows[number].replies;
    while (*at != NULL && !is_same(*at, reply)) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        (*at)->count++;
        record->repeated_count++;
        free(reply);
        return;
    }
    *at = reply;
}
