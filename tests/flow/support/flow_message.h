/*
 * flow_message - an MQTT message as a sender receives it, with its JSON body.
 */
#ifndef FLOW_MESSAGE_H
#define FLOW_MESSAGE_H

#include <cjson/cJSON.h>
#include <mosquitto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { USER_PROPERTIES_MAX = 16 };

struct user_property {
    char *name;
    char *value;
};

struct message {
    char *topic;
    char *payload; /* followed by a NUL that is not counted */
    size_t payload_length;
    cJSON *json; /* NULL: the payload is no JSON */
    int qos;
    bool is_retained;
    bool is_taken; /* a test has taken it */
    /* MQTT 5 properties; NULL or -1: absent. */
    char *content_type;
    int payload_format;
    char *correlation;
    size_t correlation_length;
    int64_t expiry_s;
    struct user_property user[USER_PROPERTIES_MAX];
    int user_count;
    struct message *next;
};

struct message *message_new(const struct mosquitto_message *from,
                            const mosquitto_property *properties);
void message_free(struct message *message);

/* The value of a user property, "" if there is none. */
const char *message_user(const struct message *message, const char *name);

/* A field of the body by its path, for example "Error.Code"; NULL if it is absent. */
const cJSON *json_at(const cJSON *json, const char *path);
/* "" if it is absent or no string. */
const char *json_text(const cJSON *json, const char *path);
/* -1 if it is absent or no number. */
double json_number(const cJSON *json, const char *path);
bool json_is_true(const cJSON *json, const char *path);
bool json_has(const cJSON *json, const char *path);

#endif
