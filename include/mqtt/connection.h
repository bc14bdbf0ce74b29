/*
 * connection - one MQTT connection, begun once and never resumed.
 *
 * Wraps Eclipse Paho's MQTTAsync (bridge/mqtt/connection*.c, the only code that does). The broker's
 * addresses are tried in order until one takes us; after that the connection stands until it is
 * over, and a new process makes the next one: Paho's own reconnecting loses subscriptions and
 * publishes freed memory. A PUBACK leaves when the `arrived` hook returns, whatever Paho is told;
 * so the hook waits until the message is durable, and where it cannot be, the socket is shut before
 * the hook returns.
 *
 * Thread: hooks run on Paho's threads with Paho's lock held (`down` also on the main thread), so
 * they must not wait for anything that waits for a connection_ function; the functions' threads are
 * told below.
 */
#ifndef MQTT_CONNECTION_H
#define MQTT_CONNECTION_H

#include "base/slice.h"
#include "base/status.h"
#include "model/delivery.h"
#include "model/message.h"
#include "wire.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;

struct connection_hooks {
    void *arg;
    /* Connected and, where the params_buf has filters, subscribed to all of them. Once. */
    void (*up)(void *arg, const struct wire_up *up);
    /* A message; also before `up`, where the broker had kept the session. True: acknowledge it;
     * false: cut the connection. */
    bool (*arrived)(void *arg, const struct delivery *delivery);
    /* The broker has the message (QoS 0: it was sent). */
    void (*published)(void *arg, int64_t id);
    /* The broker answered with a reason code of 0x80 or more and does not have it. */
    void (*refused)(void *arg, int64_t id, uint32_t code, struct slice text);
    /* The connection could not be made, or is over. May be called again when it returns. */
    void (*down)(void *arg, const struct wire_down *down);
};

/* `params` must outlive it. Ends the process where Paho cannot be set up. */
struct connection *connection_new(const struct connect_params *params,
                                  const struct connection_hooks *hooks);
/* Disconnects where it still stands and frees. Takes NULL. Thread: main. */
void connection_free(struct connection *connection);
/* Begins to connect. Thread: main. */
void connection_open(struct connection *connection);
/* Readable when connection_turn() has something to do. */
int connection_wake_fd(const struct connection *connection);
/* Goes on to the next address, or gives up; to be called when woken and when
 * connection_max_delay_ms() has passed. Thread: main. */
void connection_turn(struct connection *connection);
/* How long to wait at most for a wake-up; -1 for ever. Thread: main. */
int connection_max_delay_ms(const struct connection *connection);
/*
 * Hands a message to Paho, which copies it; published, refused or down follows. The QoS is lowered
 * to what is safe here and what the broker takes, as is the retain flag. STATUS_INVALID: it can
 * never be published, *out_why says why. STATUS_CLOSED: the connection is over. Thread: one at a
 * time, hooks too.
 */
enum status connection_publish(struct connection *connection, int64_t id,
                               const struct message *message, const char **out_why);
/*
 * Wakes Paho's sending thread: 1.3.12 may miss that it was given something and then sleeps for a
 * second. For when a message is not answered as soon as it could be. Thread: main.
 */
void connection_nudge(struct connection *connection);
/* Shuts the socket: nothing leaves any more. Ends the process where it cannot. Thread: any. */
void connection_cut(struct connection *connection);
/*
 * Disconnects in good order, so that the broker keeps the session and drops the Last Will; waits
 * for it, `timeout_ms` at most. No `down` follows. False where it could not be told to the broker.
 * Thread: main.
 */
bool connection_close(struct connection *connection, int64_t timeout_ms);

/* Paho's version, for `version`. */
const char *connection_library_version(void);

#endif
