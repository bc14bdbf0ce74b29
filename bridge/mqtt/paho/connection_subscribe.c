/*
 * The subscription to all filters of the params, in one SUBSCRIBE, and directly behind it one
 * UNSUBSCRIBE, so that there is no time without a subscription and little time with both. One
 * refused filter ends the connection.
 */
#include "base/log.h"
#include "base/mem.h"
#include "connection_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE "$share/"

/* False if the broker refused the filter; the connection is down then. */
static bool subscribe_answered(struct connection *connection, size_t filter, int code)
{
    const struct wire_filter *wanted = &connection->params->filters[filter];
    if (code >= 0x80) {
        const char *name = connection_is_v5(connection)
                               ? MQTTReasonCode_toString((enum MQTTReasonCodes)code)
                               : NULL;
        char text[CONNECTION_TEXT_BYTES];
        snprintf(text, sizeof text, "the broker refused to subscribe to %.*s: %s",
                 (int)(wanted->filter.length < 100 ? wanted->filter.length : 100),
                 wanted->filter.data, name == NULL ? "no reason given" : name);
        connection_down(connection, WIRE_DOWN_SUBSCRIBE, (uint32_t)code, text);
        return false;
    }
    if (code < wanted->qos && wanted->qos <= CONNECTION_QOS_MAX) {
        LOG_WARN("qos_lowered", LOG_SLICE("filter", wanted->filter), LOG_INT("granted_qos", code));
    }
    return true;
}

/* Calls the `up` hook after the last answer. */
static void answered(struct connection *connection)
{
    if (atomic_fetch_sub(&connection->unanswered, 1) == 1) {
        connection_up(connection);
    }
}

/* Paho gives no count of the codes: with too few, this reads past them and the process crashes. */
static void on_subscribed(void *context, MQTTAsync_successData *success)
{
    struct connection *connection = context;
    size_t count = connection->params->filter_count;
    for (size_t i = 0; i < count; i++) {
        int code = count == 1 ? success->alt.qos : success->alt.qosList[i];
        if (!subscribe_answered(connection, i, code)) {
            return;
        }
    }
    answered(connection);
}

static void on_subscribed_5(void *context, MQTTAsync_successData5 *success)
{
    struct connection *connection = context;
    size_t count = connection->params->filter_count;
    if (count > 1 && (size_t)success->alt.sub.reasonCodeCount < count) {
        connection_down(connection, WIRE_DOWN_SUBSCRIBE, 0,
                        "the broker did not answer every filter");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        int code = (int)(count == 1 ? success->reasonCode : success->alt.sub.reasonCodes[i]);
        if (!subscribe_answered(connection, i, code)) {
            return;
        }
    }
    answered(connection);
}

static void on_subscribe_failed(void *context, MQTTAsync_failureData *failure)
{
    if (failure->code >= 0x80) {
        (void)subscribe_answered(context, 0, failure->code);
    } else {
        connection_on_lost(context, NULL);
    }
}

static void on_subscribe_failed_5(void *context, MQTTAsync_failureData5 *failure)
{
    if (failure->reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR) {
        (void)subscribe_answered(context, 0, (int)failure->reasonCode);
    } else {
        connection_on_lost(context, NULL);
    }
}

/* MQTT 5: retained messages are not sent at the subscription, and messages keep their retain flag:
 * a retained message is not a command. */
static void set_subscribe_options(struct connection *connection, MQTTSubscribe_options *list,
                                  MQTTAsync_responseOptions *response)
{
    int count = (int)connection->params->filter_count;
    for (int i = 0; i < count; i++) {
        list[i] = (MQTTSubscribe_options)MQTTSubscribe_options_initializer;
        list[i].retainHandling = 2;
        list[i].retainAsPublished = 1;
    }
    response->subscribeOptions = list[0];
    response->subscribeOptionsList = list;
    response->subscribeOptionsCount = count;
    if (connection->has_subscription_id) {
        MQTTProperty id = {.identifier = MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER,
                           .value.integer4 = 1};
        MQTTProperties_add(&response->properties, &id);
    }
    response->onSuccess5 = on_subscribed_5;
    response->onFailure5 = on_subscribe_failed_5;
}

bool connection_is_shared(const struct connection *connection)
{
    const struct connect_params *params = connection->params;
    bool is_shared = false;
    for (size_t i = 0; i < params->filter_count; i++) {
        struct slice filter = params->filters[i].filter;
        is_shared = is_shared || (filter.length > sizeof SHARE &&
                                  memcmp(filter.data, SHARE, sizeof SHARE - 1) == 0);
    }
    return is_shared;
}

/* Copies with a NUL at their end, for Paho; free them with free_texts(). */
static char **copy_texts(const struct wire_filter *filters, size_t count)
{
    char **texts = mem_zalloc(count, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        texts[i] = mem_dup(filters[i].filter.data, filters[i].filter.length);
    }
    return texts;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(texts[i]);
    }
    free(texts);
}

static int subscribe(struct connection *connection)
{
    const struct connect_params *params = connection->params;
    size_t count = params->filter_count;
    char **filters = copy_texts(params->filters, count);
    int *qos = mem_zalloc(count, sizeof *qos);
    MQTTSubscribe_options *options = mem_zalloc(count, sizeof *options);
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = connection;
    for (size_t i = 0; i < count; i++) {
        qos[i] = params->filters[i].qos > CONNECTION_QOS_MAX ? CONNECTION_QOS_MAX
                                                             : params->filters[i].qos;
    }
    if (connection_is_v5(connection)) {
        set_subscribe_options(connection, options, &response);
    } else {
        response.onSuccess = on_subscribed;
        response.onFailure = on_subscribe_failed;
    }
    int code = MQTTAsync_subscribeMany(connection->client, (int)count, filters, qos, &response);
    MQTTProperties_free(&response.properties);
    free_texts(filters, count);
    free(qos);
    free(options);
    return code;
}

static void unsubscribe_failed(struct connection *connection, int code)
{
    if (code >= 0x80) {
        connection_down(connection, WIRE_DOWN_SUBSCRIBE, (uint32_t)code,
                        "the broker refused to end a subscription that the settings do not name "
                        "any more");
    } else {
        connection_on_lost(connection, NULL);
    }
}

static void on_unsubscribed(void *context, MQTTAsync_successData *success)
{
    (void)success; /* MQTT 3.1.1 has no codes here */
    answered(context);
}

static void on_unsubscribed_5(void *context, MQTTAsync_successData5 *success)
{
    struct connection *connection = context;
    size_t count = connection->params->unsubscribe_count;
    size_t known = count > 1 ? (size_t)success->alt.unsub.reasonCodeCount : 1;
    for (size_t i = 0; i < known; i++) {
        int code = (int)(count == 1 ? success->reasonCode : success->alt.unsub.reasonCodes[i]);
        if (code >= 0x80) {
            unsubscribe_failed(connection, code);
            return;
        }
    }
    answered(connection);
}

static void on_unsubscribe_failed(void *context, MQTTAsync_failureData *failure)
{
    unsubscribe_failed(context, failure->code);
}

static void on_unsubscribe_failed_5(void *context, MQTTAsync_failureData5 *failure)
{
    unsubscribe_failed(context, (int)failure->reasonCode);
}

static int unsubscribe(struct connection *connection)
{
    const struct connect_params *params = connection->params;
    size_t count = params->unsubscribe_count;
    char **filters = copy_texts(params->unsubscribe, count);
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = connection;
    if (connection_is_v5(connection)) {
        response.onSuccess5 = on_unsubscribed_5;
        response.onFailure5 = on_unsubscribe_failed_5;
    } else {
        response.onSuccess = on_unsubscribed;
        response.onFailure = on_unsubscribe_failed;
    }
    int code = MQTTAsync_unsubscribeMany(connection->client, (int)count, filters, &response);
    free_texts(filters, count);
    return code;
}

void connection_subscribe(struct connection *connection)
{
    const struct connect_params *params = connection->params;
    int code = MQTTASYNC_SUCCESS;
    connection->unanswered = 1 + (params->filter_count > 0) + (params->unsubscribe_count > 0);
    if (params->filter_count > 0) {
        code = subscribe(connection);
    }
    if (code == MQTTASYNC_SUCCESS && params->unsubscribe_count > 0) {
        code = unsubscribe(connection);
    }
    if (code != MQTTASYNC_SUCCESS) {
        connection_down(connection, WIRE_DOWN_SUBSCRIBE, (uint32_t)-code, MQTTAsync_strerror(code));
    } else {
        answered(connection);
    }
}
