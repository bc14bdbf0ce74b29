#include "flow_message.h"

#include <assert.h>
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>

static void read_properties(struct message *message, const mosquitto_property *properties)
{
    uint8_t format = 0;
    uint32_t expiry_s = 0;
    void *correlation = NULL;
    uint16_t length = 0;
    if (mosquitto_property_read_byte(properties, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, &format,
                                     false) != NULL) {
        message->payload_format = format;
    }
    if (mosquitto_property_read_int32(properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, &expiry_s,
                                      false) != NULL) {
        message->expiry_s = expiry_s;
    }
    mosquitto_property_read_string(properties, MQTT_PROP_CONTENT_TYPE, &message->content_type,
                                   false);
    if (mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &correlation,
                                       &length, false) != NULL) {
        message->correlation = correlation;
        message->correlation_length = length;
    }
}

static void read_user_properties(struct message *message, const mosquitto_property *properties)
{
    const mosquitto_property *property = properties;
    bool skips_first = false;
    while (message->user_count < USER_PROPERTIES_MAX) {
        struct user_property *user = &message->user[message->user_count];
        property = mosquitto_property_read_string_pair(property, MQTT_PROP_USER_PROPERTY,
                                                       &user->name, &user->value, skips_first);
        if (property == NULL) {
            return;
        }
        skips_first = true;
        message->user_count++;
    }
}

struct message *message_new(const struct mosquitto_message *from,
                            const mosquitto_property *properties)
{
    struct message *message = calloc(1, sizeof *message);
    assert(message != NULL);
    size_t length = (size_t)from->payloadlen;
    *message = (struct message){.topic = strdup(from->topic),
                                .payload = calloc(1, length + 1),
                                .payload_length = length,
                                .qos = from->qos,
                                .is_retained = from->retain,
                                .payload_format = -1,
                                .expiry_s = -1};
    assert(message->topic != NULL && message->payload != NULL);
    if (length > 0) {
        memcpy(message->payload, from->payload, length);
    }
    message->json = cJSON_ParseWithOpts(message->payload, NULL, true);
    read_properties(message, properties);
    read_user_properties(message, properties);
    return message;
}

void message_free(struct message *message)
{
    if (message == NULL) {
        return;
    }
    for (int i = 0; i < message->user_count; i++) {
        free(message->user[i].name);
        free(message->user[i].value);
    }
    free(message->topic);
    free(message->payload);
    free(message->content_type);
    free(message->correlation);
    cJSON_Delete(message->json);
    free(message);
}

const char *message_user(const struct message *message, const char *name)
{
    for (int i = 0; i < message->user_count; i++) {
        if (strcmp(message->user[i].name, name) == 0) {
            return message->user[i].value;
        }
    }
    return "";
}

const cJSON *json_at(const cJSON *json, const char *path)
{
    char name[128];
    while (json != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");
        assert(length < sizeof name);
        memcpy(name, path, length);
        name[length] = '\0';
        json = cJSON_GetObjectItemCaseSensitive(json, name);
        path += length + (path[length] == '.');
    }
    return json;
}

const char *json_text(const cJSON *json, const char *path)
{
    const char *text = cJSON_GetStringValue(json_at(json, path));
    return text == NULL ? "" : text;
}

double json_number(const cJSON *json, const char *path)
{
    const cJSON *item = json_at(json, path);
    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

bool json_is_true(const cJSON *json, const char *path)
{
    return cJSON_IsTrue(json_at(json, path));
}

bool json_has(const cJSON *json, const char *path)
{
    return json_at(json, path) != NULL;
}
