/*
 * Messages in and out of a connection: from Paho's structs and to them.
 */
#include "base/log.h"
#include "base/mem.h"
#include "connection_internal.h"
#include "connection_options.h"
#include "connection_puback.h"
#include "model/topic.h"
#include "mqtt/held_acks.h"

#include <stdlib.h>
#include <string.h>

/* A message that has not been acknowledged yet. */
struct sending {
    struct connection *connection;
    int64_t id;
};

/* ---- Messages in ---- */

/* Packs those user properties that the params name: of each name the first one, if it is not too
 * long. */
static struct slice forwarded_properties(struct connection *connection, MQTTProperties *properties)
{
    const struct connect_params *params = connection->params;
    bool is_seen[DELIVERY_PROPERTIES_MAX] = {false};
    buf_clear(&connection->properties);
    for (int i = 0; i < properties->count && params->property_count > 0; i++) {
        const MQTTProperty *property = &properties->array[i];
        if (property->identifier != MQTTPROPERTY_CODE_USER_PROPERTY) {
            continue;
        }
        struct slice name = len_slice(property->value.data);
        struct slice value = len_slice(property->value.value);
        for (size_t k = 0; k < params->property_count; k++) {
            if (is_seen[k] || !slice_equals(params->properties[k].name, name)) {
                continue;
            }
            is_seen[k] = true;
            if (name.length + value.length <= DELIVERY_PROPERTY_BYTES_MAX) {
                delivery_put_property(&connection->properties, name, value);
            }
        }
    }
    return connection->properties.length > 0 ? buf_slice(&connection->properties)
                                             : (struct slice){0};
}

static void delivery_from(struct connection *connection, struct slice topic,
                          MQTTAsync_message *message, struct delivery *out)
{
    MQTTProperties *properties = &message->properties;
    size_t payload_bytes = (size_t)message->payloadlen;
    size_t limit = connection->params->payload_bytes_max;
    *out = (struct delivery){
        .topic = topic,
        .payload = slice_of(message->payload, payload_bytes < limit ? payload_bytes : limit),
        .payload_bytes = payload_bytes,
        .qos = (uint8_t)message->qos,
        .is_retained = message->retained != 0,
        .is_redelivered = message->dup != 0,
        .is_former =
            connection->has_subscription_id &&
            !MQTTProperties_hasProperty(properties, MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER),
        .response_topic = property_text(properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC, NULL),
        .correlation_data = property_text(properties, MQTTPROPERTY_CODE_CORRELATION_DATA, NULL),
        .traceparent = property_text(properties, MQTTPROPERTY_CODE_USER_PROPERTY, "traceparent"),
        .tracestate = property_text(properties, MQTTPROPERTY_CODE_USER_PROPERTY, "tracestate"),
        .expiry_s = -1,
        .content_type = property_text(properties, MQTTPROPERTY_CODE_CONTENT_TYPE, NULL),
        .properties = forwarded_properties(connection, properties),
    };
    if (MQTTProperties_hasProperty(properties, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL)) {
        out->expiry_s = property_number(properties, MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL, 0);
    }
}

int connection_on_arrived(void *context, char *topic, int topic_bytes, MQTTAsync_message *message)
{
    struct connection *connection = context;
    /* Depending on the path through Paho, topic_bytes is the length or 0. */
    size_t length = topic_bytes > 0 ? (size_t)topic_bytes : strlen(topic);
    struct delivery delivery;
    if (connection->hooks.held != NULL && message->qos > 0) {
        held_acks_expect();
    }
    delivery_from(connection, slice_of(topic, length), message, &delivery);
    connection->hooks.arrived(connection->hooks.arg, &delivery);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1; /* 0 would acknowledge as well, and block every later message */
}

/* ---- Messages out ---- */

static void sent(void *context, bool has_subscriber)
{
    struct sending sending = *(struct sending *)context;
    free(context);
    sending.connection->hooks.published(sending.connection->hooks.arg, sending.id, has_subscriber);
}

static void on_sent(void *context, MQTTAsync_successData *success)
{
    (void)success;
    sent(context, true);
}

static void on_sent_5(void *context, MQTTAsync_successData5 *success)
{
    (void)success;
    sent(context, puback_code() != PUBACK_NO_SUBSCRIBERS);
}

/* Called for a failed write and for the end of the connection only. */
static void on_send_failed(void *context, MQTTAsync_failureData *failure)
{
    (void)failure;
    struct sending sending = *(struct sending *)context;
    free(context);
    connection_on_lost(sending.connection, NULL);
}

static void on_send_failed_5(void *context, MQTTAsync_failureData5 *failure)
{
    struct sending sending = *(struct sending *)context;
    if (failure->reasonCode < MQTTREASONCODE_UNSPECIFIED_ERROR) {
        on_send_failed(context, NULL);
        return;
    }
    free(context);
    const char *name = MQTTReasonCode_toString(failure->reasonCode);
    struct slice why = property_text(&failure->properties, MQTTPROPERTY_CODE_REASON_STRING, NULL);
    sending.connection->hooks.refused(sending.connection->hooks.arg, sending.id,
                                      (uint32_t)failure->reasonCode,
                                      why.length > 0 ? why : slice_text(name == NULL ? "" : name));
}

static enum status send_message(struct connection *connection, int64_t id,
                                const struct message *message, MQTTProperties *properties)
{
    struct sending *sending = mem_alloc(sizeof *sending);
    *sending = (struct sending){connection, id};
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = sending;
    if (properties != NULL) {
        response.properties = *properties;
        response.onSuccess5 = on_sent_5;
        response.onFailure5 = on_send_failed_5;
    } else {
        response.onSuccess = on_sent;
        response.onFailure = on_send_failed;
    }
    char *topic = mem_dup(message->topic.data, message->topic.length);
    held_acks_publishing();
    int code = MQTTAsync_send(connection->client, topic, (int)message->body.length,
                              message->body.data, message->qos, message->is_retained, &response);
    free(topic);
    if (code != MQTTASYNC_SUCCESS) {
        free(sending);
    }
    return code == MQTTASYNC_SUCCESS ? STATUS_OK : STATUS_CLOSED;
}

enum status connection_publish(struct connection *connection, int64_t id,
                               const struct message *message, const char **out_why)
{
    const struct wire_up *limits = &connection->limits;
    struct message fitted = *message;
    fitted.qos = message->qos > CONNECTION_QOS_MAX ? CONNECTION_QOS_MAX : message->qos;
    fitted.qos = fitted.qos > limits->max_qos ? limits->max_qos : fitted.qos;
    fitted.is_retained = message->is_retained && limits->has_retain;
    if (!topic_is_name(message->topic)) {
        /* The broker would close the connection for it, at every attempt. */
        *out_why = "the topic is not 1 to 65535 bytes of text without '+' and '#'";
        return STATUS_INVALID;
    }
    MQTTProperties properties = MQTTProperties_initializer;
    if (connection_is_v5(connection)) {
        message_properties(&fitted, &properties);
    }
    MQTTProperties *given = connection_is_v5(connection) ? &properties : NULL;
    enum status status = STATUS_INVALID;
    if (limits->packet_bytes_max > 0 &&
        message_packet_bytes(&fitted, given) > limits->packet_bytes_max) {
        *out_why = "larger than the Maximum Packet Size of the broker";
    } else {
        status = send_message(connection, id, &fitted, given);
    }
    MQTTProperties_free(&properties);
    return status;
}
