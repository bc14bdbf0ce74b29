/*
 * connection_internal - what the files of connection share.
 *
 * Thread: given at each field.
 */
#ifndef MQTT_PAHO_CONNECTION_INTERNAL_H
#define MQTT_PAHO_CONNECTION_INTERNAL_H

#include "base/buf.h"
#include "mqtt/connection.h"

#include <MQTTAsync.h>

#include <pthread.h>
#include <stdatomic.h>

#define CONNECTION_TEXT_BYTES 200
/*
 * The highest QoS for subscribing and publishing. Without persistence Paho loses received messages
 * of QoS 2, and in a resumed session the broker may know our packet ids of QoS 2 from the previous
 * process. A broker lowers the QoS of what it delivers to that of the subscription.
 */
#define CONNECTION_QOS_MAX 1

struct connection {
    const struct connect_params *params;
    struct connection_hooks hooks;
    MQTTAsync client;
    int64_t attempt_ends_ms;
    _Atomic bool is_closing;
    _Atomic bool is_waiting; /* for connection_go_on() */
    _Atomic bool is_up;
    struct subscribe_batch *batches; /* of SUBSCRIBE and UNSUBSCRIBE, for Paho's callbacks */
    _Atomic int unanswered;          /* of these */
    bool has_subscription_id; /* new subscriptions have one, so that old ones can be told apart */
    struct buf properties;    /* those to forward, of the message that arrived last */
    struct wire_up limits;    /* written before UP, then only read */
    pthread_mutex_t mutex;    /* guards what follows */
    pthread_cond_t changed;
    bool is_closed;
};

bool connection_is_v5(const struct connection *connection);
/* Calls the `down` hook, unless connection_close() or connection_free() has been called. */
void connection_down(struct connection *connection, enum wire_down_reason reason, uint32_t code,
                     const char *text);
/* Connected and subscribed: calls the `up` hook. */
void connection_up(struct connection *connection);
/* Subscribes to the filters of the params and unsubscribes; connection_up() or connection_down()
 * follows. */
void connection_subscribe(struct connection *connection);
/* Whether the params have a shared subscription. */
bool connection_is_shared(const struct connection *connection);
/* Paho's callbacks. */
void connection_on_lost(void *context, char *cause);
int connection_on_arrived(void *context, char *topic, int topic_bytes, MQTTAsync_message *message);

#endif
