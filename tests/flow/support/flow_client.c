#include "flow_client.h"

#include "flow_check.h"
#include "flow_process.h"

#include <assert.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct client {
    struct mosquitto *mosq;
    bool is_connected;
    int refused; /* reason code of the broker's last refusal, 0 for none */
    int posted_count;
    int acknowledged_count;
    int subscribed_count;
    struct message *first;
    struct message **last;
};

static void connected(struct mosquitto *mosq, void *arg, int code, int flags,
                      const mosquitto_property *properties)
{
    struct client *client = arg;
    (void)mosq;
    (void)flags;
    (void)properties;
    client->is_connected = code == 0;
    client->refused = code;
}

static void disconnected(struct mosquitto *mosq, void *arg, int code,
                         const mosquitto_property *properties)
{
    struct client *client = arg;
    (void)mosq;
    (void)code;
    (void)properties;
    client->is_connected = false;
}

static void subscribed(struct mosquitto *mosq, void *arg, int id, int count, const int *granted,
                       const mosquitto_property *properties)
{
    struct client *client = arg;
    (void)mosq;
    (void)id;
    (void)properties;
    client->subscribed_count++;
    client->refused = count == 1 && granted[0] < 0x80 ? 0 : 0x80;
}

static void acknowledged(struct mosquitto *mosq, void *arg, int id, int code,
                         const mosquitto_property *properties)
{
    struct client *client = arg;
    (void)mosq;
    (void)id;
    (void)properties;
    client->acknowledged_count++;
    if (code >= 0x80) {
        client->refused = code;
    }
}

static void arrived(struct mosquitto *mosq, void *arg, const struct mosquitto_message *from,
                    const mosquitto_property *properties)
{
    struct client *client = arg;
    (void)mosq;
    *client->last = message_new(from, properties);
    client->last = &(*client->last)->next;
}

static void set_callbacks(struct mosquitto *mosq)
{
    mosquitto_connect_v5_callback_set(mosq, connected);
    mosquitto_disconnect_v5_callback_set(mosq, disconnected);
    mosquitto_subscribe_v5_callback_set(mosq, subscribed);
    mosquitto_publish_v5_callback_set(mosq, acknowledged);
    mosquitto_message_v5_callback_set(mosq, arrived);
}

bool client_step(struct client *client, int timeout_ms)
{
    if (mosquitto_loop(client->mosq, timeout_ms, 1) != MOSQ_ERR_SUCCESS) {
        client->is_connected = false;
    }
    return client->is_connected;
}

/* Works until *count is `wanted`. */
static void wait_for(struct client *client, const int *count, int wanted, const char *what)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (*count < wanted) {
        if (!client_step(client, 50)) {
            flow_fail("the test client lost its connection: %s", what);
        }
        if (flow_now_ms() > end_ms) {
            flow_fail("the broker did not answer the test client: %s", what);
        }
    }
    if (client->refused != 0) {
        flow_fail("the broker refused the test client with %d: %s", client->refused, what);
    }
}

/* Waits for the broker's CONNACK. */
static void wait_connected(struct client *client, int rc)
{
    if (rc != MOSQ_ERR_SUCCESS) {
        flow_fail("the test client cannot connect: %s", mosquitto_strerror(rc));
    }
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (!client->is_connected && flow_now_ms() < end_ms && client->refused == 0) {
        mosquitto_loop(client->mosq, 50, 1);
    }
    if (!client->is_connected) {
        flow_fail("the test client was not let in: %d", client->refused);
    }
}

static struct client *open_client(int port, int version, const char *id, bool is_lasting)
{
    mosquitto_property *properties = NULL;
    struct client *client = calloc(1, sizeof *client);
    assert(client != NULL);
    client->last = &client->first;
    mosquitto_lib_init();
    client->mosq = mosquitto_new(id, !is_lasting, client);
    assert(client->mosq != NULL);
    mosquitto_int_option(client->mosq, MOSQ_OPT_PROTOCOL_VERSION,
                         version == 5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    mosquitto_int_option(client->mosq, MOSQ_OPT_TCP_NODELAY, 1);
    set_callbacks(client->mosq);
    if (is_lasting) {
        mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 3600);
    }
    int rc = mosquitto_connect_bind_v5(client->mosq, "127.0.0.1", port, 60, NULL, properties);
    mosquitto_property_free_all(&properties);
    wait_connected(client, rc);
    return client;
}

struct client *client_new(int port, int version)
{
    static int number;
    char id[64];
    snprintf(id, sizeof id, "test-%ld-%d", (long)getpid(), ++number);
    return open_client(port, version, id, false);
}

struct client *client_new_lasting(int port, const char *id)
{
    return open_client(port, 5, id, true);
}

void client_reconnect(struct client *client)
{
    client->is_connected = false;
    client->refused = 0;
    client->posted_count = 0;
    client->acknowledged_count = 0;
    wait_connected(client, mosquitto_reconnect(client->mosq));
}

void client_free(struct client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->is_connected) {
        mosquitto_disconnect(client->mosq);
    }
    mosquitto_destroy(client->mosq);
    while (client->first != NULL) {
        struct message *message = client->first;
        client->first = message->next;
        message_free(message);
    }
    free(client);
    mosquitto_lib_cleanup();
}

void client_subscribe(struct client *client, const char *filter)
{
    int wanted = client->subscribed_count + 1;
    int rc = mosquitto_subscribe(client->mosq, NULL, filter, 1);
    if (rc != MOSQ_ERR_SUCCESS) {
        flow_fail("cannot subscribe %s: %s", filter, mosquitto_strerror(rc));
    }
    wait_for(client, &client->subscribed_count, wanted, filter);
}

static mosquitto_property *make_properties(const struct outgoing *outgoing)
{
    mosquitto_property *list = NULL;
    if (outgoing->response_topic != NULL) {
        mosquitto_property_add_string(&list, MQTT_PROP_RESPONSE_TOPIC, outgoing->response_topic);
    }
    if (outgoing->correlation != NULL) {
        size_t length = outgoing->correlation_length != 0 ? outgoing->correlation_length
                                                          : strlen(outgoing->correlation);
        mosquitto_property_add_binary(&list, MQTT_PROP_CORRELATION_DATA, outgoing->correlation,
                                      (uint16_t)length);
    }
    if (outgoing->expiry_s != 0) {
        mosquitto_property_add_int32(&list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, outgoing->expiry_s);
    }
    if (outgoing->content_type != NULL) {
        mosquitto_property_add_string(&list, MQTT_PROP_CONTENT_TYPE, outgoing->content_type);
    }
    for (int i = 0; i + 1 < 16 && outgoing->user[i] != NULL; i += 2) {
        mosquitto_property_add_string_pair(&list, MQTT_PROP_USER_PROPERTY, outgoing->user[i],
                                           outgoing->user[i + 1]);
    }
    return list;
}

bool client_post(struct client *client, const struct outgoing *outgoing)
{
    size_t length = outgoing->payload_length;
    if (length == 0 && outgoing->payload != NULL) {
        length = strlen(outgoing->payload);
    }
    mosquitto_property *properties = make_properties(outgoing);
    int rc =
        mosquitto_publish_v5(client->mosq, NULL, outgoing->topic, (int)length, outgoing->payload,
                             outgoing->qos, outgoing->is_retained, properties);
    mosquitto_property_free_all(&properties);
    client->posted_count += rc == MOSQ_ERR_SUCCESS;
    return rc == MOSQ_ERR_SUCCESS;
}

void client_flush(struct client *client)
{
    wait_for(client, &client->acknowledged_count, client->posted_count, "a message it published");
}

void client_publish(struct client *client, const struct outgoing *outgoing)
{
    if (!client_post(client, outgoing)) {
        flow_fail("cannot publish to %s", outgoing->topic);
    }
    client_flush(client);
}

static bool is_same(const char *wanted, const char *value)
{
    return wanted == NULL || strcmp(wanted, value) == 0;
}

static bool is_match(const struct message *message, const struct match *match)
{
    bool is_correlated =
        match->correlation == NULL ||
        (message->correlation != NULL &&
         message->correlation_length == strlen(match->correlation) &&
         memcmp(message->correlation, match->correlation, message->correlation_length) == 0);
    return !message->is_taken && is_correlated && is_same(match->topic, message->topic) &&
           is_same(match->token, json_text(message->json, "ClientToken")) &&
           is_same(match->state, json_text(message->json, "State")) &&
           is_same(match->status, json_text(message->json, "Status"));
}

const struct message *client_take(struct client *client, const struct match *match, int timeout_ms)
{
    int64_t end_ms = flow_now_ms() + timeout_ms;
    struct message *const *at = &client->first;
    for (;;) {
        for (; *at != NULL; at = &(*at)->next) {
            if (is_match(*at, match)) {
                (*at)->is_taken = true;
                return *at;
            }
        }
        int64_t left_ms = end_ms - flow_now_ms();
        if (left_ms <= 0 || !client_step(client, left_ms > 50 ? 50 : (int)left_ms)) {
            return NULL;
        }
    }
}

static const char *or_any(const char *text)
{
    return text == NULL ? "*" : text;
}

const struct message *client_expect(struct client *client, const struct match *match)
{
    const struct message *message = client_take(client, match, FLOW_TIMEOUT_MS);
    if (message == NULL) {
        client_print(client);
        flow_fail("no message with topic %s, correlation %s, token %s, state %s, status %s came%s",
                  or_any(match->topic), or_any(match->correlation), or_any(match->token),
                  or_any(match->state), or_any(match->status),
                  client->is_connected ? "" : "; the connection is gone");
    }
    return message;
}

int client_count(const struct client *client, const struct match *match)
{
    int count = 0;
    for (const struct message *message = client->first; message != NULL; message = message->next) {
        count += is_match(message, match);
    }
    return count;
}

void client_forget(struct client *client, const struct match *match)
{
    for (struct message *message = client->first; message != NULL; message = message->next) {
        if (is_match(message, match)) {
            message->is_taken = true;
        }
    }
}

/* An acknowledgement of the broker may overtake messages that wait in its queue for this client; a
 * message of the same quality of service does not. */
void client_sync(struct client *client)
{
    static unsigned count;
    char topic[64];
    snprintf(topic, sizeof topic, "test/sync/%d/%u", (int)getpid(), ++count);
    client_subscribe(client, topic);
    client_publish(client, &(struct outgoing){.topic = topic, .payload = "sync", .qos = 1});
    client_expect(client, &(struct match){.topic = topic});
}

void client_print(const struct client *client)
{
    for (const struct message *message = client->first; message != NULL; message = message->next) {
        if (!message->is_taken) {
            print_message("  not expected: %s %.500s\n", message->topic, message->payload);
        }
    }
}
