/*
 * connection - one MQTT connection: it is made once and never resumed.
 *
 * Wraps Eclipse Paho's MQTTAsync (bridge/mqtt/paho is the only code that does). There is one
 * attempt at one address. When it has failed or the connection is over, a new process makes the
 * next one, because Paho's own reconnecting loses subscriptions and publishes freed memory, and two
 * clients in one process share threads and descriptors. Paho sends the PUBACK when the `arrived`
 * hook has returned, whatever it returns. A receiver holds it until the message is durable
 * (held_acks.h).
 *
 * Thread: hooks run on Paho's threads with Paho's lock held (`down` also on the main thread), so
 * they must not wait for anything that waits for a connection_ function. The thread of each
 * function is given below.
 */
#ifndef MQTT_CONNECTION_H
#define MQTT_CONNECTION_H

#include "base/slice.h"
#include "base/status.h"
#include "held_acks.h"
#include "model/delivery.h"
#include "model/message.h"
#include "mqtt/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;

/* From each point on the connection needs less. */
enum connection_point {
    /* Nothing was read from the network yet; it opens no files but connection_files(). On the main
     * thread. */
    CONNECTION_STARTS,
    CONNECTION_CONNECTS, /* it makes no other socket; before connect() */
    /* The broker has accepted the connection: no file, no socket and no thread is opened. Before
     * `connected` and `up`. */
    CONNECTION_ACCEPTED
};

struct connection_hooks {
    void *arg;
    /* Called once for each point, in the order of the enumeration. NULL: the caller does not need
     * it. */
    void (*passed)(void *arg, enum connection_point point);
    /* NULL: the connection subscribes at once. Else called when the broker has accepted the
     * connection, which subscribes after connection_go_on(). */
    void (*connected)(void *arg, bool is_session_present);
    /* Connected, subscribed to all filters of the params, and unsubscribed. Once. */
    void (*up)(void *arg, const struct wire_up *up);
    /* NULL: messages are acknowledged when `arrived` has returned. Else the acknowledgements of all
     * messages above QoS 0 are held, in order of arrival, for held_acks_release(). */
    const struct held_acks_hooks *held;
    /* A message; comes before `up` if the broker has kept the session. */
    void (*arrived)(void *arg, const struct delivery *delivery);
    /* The broker has acknowledged the message (QoS 0: it was sent). `has_subscriber` is false if it
     * said that nobody subscribes to the topic (MQTT 5, not over WebSockets). */
    void (*published)(void *arg, int64_t id, bool has_subscriber);
    /* The broker has refused the message with a reason code of 0x80 or more. */
    void (*refused)(void *arg, int64_t id, uint32_t code, struct slice text);
    /* The connection could not be made, is over, or has to be made again with another keepalive.
     * May be called more than once. */
    void (*down)(void *arg, const struct wire_down *down);
};

/* `params` must outlive it. */
struct connection *connection_new(const struct connect_params *params,
                                  const struct connection_hooks *hooks);
/* Drops the connection, if there still is one, and frees. Takes NULL. Thread: main. */
void connection_free(struct connection *connection);
/* The files that an attempt with these params may have to open, and the folders of certificates,
 * with ':' between them; "" without TLS. To be freed. Thread: any. */
char *connection_files(const struct connect_params *params);
/* Starts to connect, once. Thread: main. */
void connection_open(struct connection *connection);
/* Subscribes, if the connection waits for that. Thread: main. */
void connection_go_on(struct connection *connection);
/* Reports `down` if the attempt takes too long. To be called when connection_max_delay_ms() has
 * passed. Thread: main. */
void connection_check(struct connection *connection);
/* How long to wait at most before connection_check(); -1: no limit. Thread: main. */
int connection_max_delay_ms(const struct connection *connection);
/*
 * Hands a message to Paho, which copies it; published, refused or down follows. QoS and retain flag
 * are lowered to what is safe with Paho and what the broker supports. STATUS_INVALID: the message
 * can never be published, *out_why is the reason. STATUS_CLOSED: the connection is over. Thread:
 * any, also in hooks, one at a time.
 */
enum status connection_publish(struct connection *connection, int64_t id,
                               const struct message *message, const char **out_why);
/*
 * Wakes Paho's send thread: in 1.3.12 it can miss the signal for a new message and then sleeps for
 * a second. To be called when an answer is late. Thread: main.
 */
void connection_wake_sender(struct connection *connection);
/*
 * Sends DISCONNECT, so that the broker keeps the session and drops the Last Will, and waits for
 * that, `timeout_ms` at most. Acknowledgements that are held are never sent. No `down` follows.
 * False if it was not sent. Thread: main.
 */
bool connection_close(struct connection *connection, int64_t timeout_ms);

/* Paho's version, for `version`. */
const char *connection_library_version(void);

#endif
