/*
 * The subscription to all filters of the params, in one SUBSCRIBE. One refused filter ends the
 * connection.
 */
#include "base/log.h"
#include "base/mem.h"
#include "connection_internal.h"

#include <stdio.h>
#include <stdlib.h>

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
    connection_up(connection);
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
    connection_up(connection);
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
    response->onSuccess5 = on_subscribed_5;
    response->onFailure5 = on_subscribe_failed_5;
}

void connection_subscribe(struct connection *connection)
{
    const struct connect_params *params = connection->params;
    size_t count = params->filter_count;
    char **filters = mem_zalloc(count, sizeof *filters);
    int *qos = mem_zalloc(count, sizeof *qos);
    MQTTSubscribe_options *options = mem_zalloc(count, sizeof *options);
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = connection;
    for (size_t i = 0; i < count; i++) {
        filters[i] = mem_dup(params->filters[i].filter.data, params->filters[i].filter.length);
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
    for (size_t i = 0; i < count; i++) {
        free(filters[i]);
    }
    free(filters);
    free(qos);
    free(options);
    if (code != MQTTASYNC_SUCCESS) {
        connection_down(connection, WIRE_DOWN_SUBSCRIBE, (uint32_t)-code, MQTTAsync_strerror(code));
    }
}
