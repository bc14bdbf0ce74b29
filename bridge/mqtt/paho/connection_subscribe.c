/*
 * The subscription to all filters of the params, and directly behind it the end of those that are
 * not wanted any more, so that there is no time without a subscription and little time with both.
 * One refused filter ends the connection. AWS allows 8 filters a packet, so there are several
 * packets, all in flight at once.
 */
#include "base/log.h"
#include "base/mem.h"
#include "connection_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE         "$share/"
#define BATCH_FILTERS 8

/* The filters of one packet. */
struct subscribe_batch {
    struct connection *connection;
    size_t first; /* of filters or of unsubscribe */
    size_t count;
};

static bool is_shared(struct slice filter)
{
    return filter.length > sizeof SHARE && memcmp(filter.data, SHARE, sizeof SHARE - 1) == 0;
}

/* False if the broker refused the filter; the connection is down then. */
static bool subscribe_answered(struct connection *connection, size_t filter, int code)
{
    const struct wire_filter *wanted = &connection->params->filters[filter];
    if (code >= 0x80) {
        const char *name = connection_is_v5(connection)
                               ? MQTTReasonCode_toString((enum MQTTReasonCodes)code)
                               : NULL;
        /* MQTT 3.1.1 has no reason codes here, and no shared subscriptions. */
        bool may_not_know_share = !connection_is_v5(connection) && is_shared(wanted->filter);
        char text[CONNECTION_TEXT_BYTES];
        snprintf(text, sizeof text, "the broker refused to subscribe to %.*s: %s%s",
                 (int)(wanted->filter.length < 80 ? wanted->filter.length : 80),
                 wanted->filter.data, name == NULL ? "no reason given" : name,
                 may_not_know_share ? "; it may not know shared subscriptions: use no `share`"
                                    : "");
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
    const struct subscribe_batch *batch = context;
    for (size_t i = 0; i < batch->count; i++) {
        int code = batch->count == 1 ? success->alt.qos : success->alt.qosList[i];
        if (!subscribe_answered(batch->connection, batch->first + i, code)) {
            return;
        }
    }
    answered(batch->connection);
}

static void on_subscribed_5(void *context, MQTTAsync_successData5 *success)
{
    const struct subscribe_batch *batch = context;
    size_t count = batch->count;
    if (count > 1 && (size_t)success->alt.sub.reasonCodeCount < count) {
        connection_down(batch->connection, WIRE_DOWN_SUBSCRIBE, 0,
                        "the broker did not answer every filter");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        int code = (int)(count == 1 ? success->reasonCode : success->alt.sub.reasonCodes[i]);
        if (!subscribe_answered(batch->connection, batch->first + i, code)) {
            return;
        }
    }
    answered(batch->connection);
}

static void on_subscribe_failed(void *context, MQTTAsync_failureData *failure)
{
    const struct subscribe_batch *batch = context;
    if (failure->code >= 0x80) {
        (void)subscribe_answered(batch->connection, batch->first, failure->code);
    } else {
        connection_on_lost(batch->connection, NULL);
    }
}

static void on_subscribe_failed_5(void *context, MQTTAsync_failureData5 *failure)
{
    const struct subscribe_batch *batch = context;
    if (failure->reasonCode >= MQTTREASONCODE_UNSPECIFIED_ERROR) {
        (void)subscribe_answered(batch->connection, batch->first, (int)failure->reasonCode);
    } else {
        connection_on_lost(batch->connection, NULL);
    }
}

/* MQTT 5: retained messages are not sent at the subscription, and messages keep their retain flag:
 * a retained message is not a command. */
static void set_subscribe_options(const struct subscribe_batch *batch, MQTTSubscribe_options *list,
                                  MQTTAsync_responseOptions *response)
{
    size_t count = batch->count;
    for (size_t i = 0; i < count; i++) {
        list[i] = (MQTTSubscribe_options)MQTTSubscribe_options_initializer;
        list[i].retainHandling = 2;
        list[i].retainAsPublished = 1;
    }
    response->subscribeOptions = list[0];
    response->subscribeOptionsList = list;
    response->subscribeOptionsCount = (int)count;
    if (batch->connection->has_subscription_id) {
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
    bool has_share = false;
    for (size_t i = 0; i < params->filter_count; i++) {
        has_share = has_share || is_shared(params->filters[i].filter);
    }
    return has_share;
}

/* Copies with a NUL at their end, for Paho; free them with free_texts(). */
static void copy_texts(const struct wire_filter *filters, size_t count, char **out_texts)
{
    for (size_t i = 0; i < count; i++) {
        out_texts[i] = mem_dup(filters[i].filter.data, filters[i].filter.length);
    }
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(texts[i]);
    }
}

static int subscribe(struct subscribe_batch *batch)
{
    const struct wire_filter *wanted = batch->connection->params->filters + batch->first;
    char *filters[BATCH_FILTERS];
    int qos[BATCH_FILTERS];
    MQTTSubscribe_options options[BATCH_FILTERS];
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = batch;
    copy_texts(wanted, batch->count, filters);
    for (size_t i = 0; i < batch->count; i++) {
        qos[i] = wanted[i].qos > CONNECTION_QOS_MAX ? CONNECTION_QOS_MAX : wanted[i].qos;
    }
    if (connection_is_v5(batch->connection)) {
        set_subscribe_options(batch, options, &response);
    } else {
        response.onSuccess = on_subscribed;
        response.onFailure = on_subscribe_failed;
    }
    int code = MQTTAsync_subscribeMany(batch->connection->client, (int)batch->count, filters, qos,
                                       &response);
    MQTTProperties_free(&response.properties);
    free_texts(filters, batch->count);
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
    answered(((struct subscribe_batch *)context)->connection);
}

static void on_unsubscribed_5(void *context, MQTTAsync_successData5 *success)
{
    const struct subscribe_batch *batch = context;
    size_t known = batch->count > 1 ? (size_t)success->alt.unsub.reasonCodeCount : 1;
    for (size_t i = 0; i < known; i++) {
        int code =
            (int)(batch->count == 1 ? success->reasonCode : success->alt.unsub.reasonCodes[i]);
        if (code >= 0x80) {
            unsubscribe_failed(batch->connection, code);
            return;
        }
    }
    answered(batch->connection);
}

static void on_unsubscribe_failed(void *context, MQTTAsync_failureData *failure)
{
    unsubscribe_failed(((struct subscribe_batch *)context)->connection, failure->code);
}

static void on_unsubscribe_failed_5(void *context, MQTTAsync_failureData5 *failure)
{
    unsubscribe_failed(((struct subscribe_batch *)context)->connection, (int)failure->reasonCode);
}

static int unsubscribe(struct subscribe_batch *batch)
{
    struct connection *connection = batch->connection;
    char *filters[BATCH_FILTERS];
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = batch;
    copy_texts(connection->params->unsubscribe + batch->first, batch->count, filters);
    if (connection_is_v5(connection)) {
        response.onSuccess5 = on_unsubscribed_5;
        response.onFailure5 = on_unsubscribe_failed_5;
    } else {
        response.onSuccess = on_unsubscribed;
        response.onFailure = on_unsubscribe_failed;
    }
    int code = MQTTAsync_unsubscribeMany(connection->client, (int)batch->count, filters, &response);
    free_texts(filters, batch->count);
    return code;
}

/* Sends `count` filters in batches, beginning with *batch, which is moved on. Returns Paho's code.
 */
static int send_batches(struct connection *connection, struct subscribe_batch **batch, size_t count,
                        int (*send)(struct subscribe_batch *batch))
{
    int code = MQTTASYNC_SUCCESS;
    for (size_t first = 0; first < count && code == MQTTASYNC_SUCCESS; first += BATCH_FILTERS) {
        size_t rest = count - first;
        **batch = (struct subscribe_batch){connection, first,
                                           rest < BATCH_FILTERS ? rest : BATCH_FILTERS};
        connection->unanswered++;
        code = send((*batch)++);
    }
    return code;
}

void connection_subscribe(struct connection *connection)
{
    const struct connect_params *params = connection->params;
    size_t most = 2 + (params->filter_count + params->unsubscribe_count) / BATCH_FILTERS;
    struct subscribe_batch *batch = mem_zalloc(most, sizeof *batch);
    connection->batches = batch;
    connection->unanswered = 1;
    int code = send_batches(connection, &batch, params->filter_count, subscribe);
    if (code == MQTTASYNC_SUCCESS) {
        code = send_batches(connection, &batch, params->unsubscribe_count, unsubscribe);
    }
    if (code != MQTTASYNC_SUCCESS) {
        connection_down(connection, WIRE_DOWN_SUBSCRIBE, (uint32_t)-code, MQTTAsync_strerror(code));
    } else {
        answered(connection);
    }
}
