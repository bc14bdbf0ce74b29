/*
 * workers - the bridge's MQTT processes: a receiver and a publisher.
 *
 * Starts them, one for each attempt to connect, with backoff and jitter when all addresses have
 * failed or a connection has ended, and passes messages. The
 * receiver has a persistent session and up to 256 deliveries that wait for their acks. The
 * publisher publishes and reports what the broker has acknowledged. Processes are restarted until
 * workers_stop().
 *
 * Thread: the loop's, for every function and callback.
 */
#ifndef MQTT_WORKERS_H
#define MQTT_WORKERS_H

#include "base/counters.h"
#include "base/loop.h"
#include "base/slice.h"
#include "model/delivery.h"
#include "settings/settings.h"
#include "tls/files.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct workers;

/* Names one delivery that waits for its ack; a copy stays valid after its process has ended. */
struct mqtt_ticket {
    uint32_t generation; /* of the receiver process */
    uint32_t number;     /* of the delivery in that process, from 0 */
};

struct workers_hooks {
    void *arg;
    /* A message on a command topic. Call workers_ack() once with the ticket. */
    void (*delivered)(void *arg, const struct delivery *delivery, struct mqtt_ticket ticket);
    /* The broker acknowledged a message. */
    void (*published)(void *arg, int64_t id);
    /* A message was not published: the broker refused it with this reason code, or (0) it cannot be
     * published on this connection. Whoever runs the broker can change either. */
    void (*unpublished)(void *arg, int64_t id, uint32_t code, struct slice why);
    /* The publisher is connected, or not any more: count every message that was handed over and not
     * reported as not published. */
    void (*publisher_changed)(void *arg, bool is_up);
    /* The receiver is subscribed, or not any more. */
    void (*receiver_changed)(void *arg, bool is_up);
    /* The receiver has connected; is_session_present: the broker still had its session. Comes once
     * more where the broker wants a shorter keepalive: then the receiver connects again. */
    void (*session_opened)(void *arg, const char *client_id, bool is_session_present);
    /*
     * A process has ended without being asked to, after an attempt at each address, or could not be
     * started; it is tried again unless this calls workers_stop(). The log has it too. NULL: not
     * needed.
     */
    void (*failed)(void *arg, const char *reason, const char *text);
    /* Both processes have ended after workers_stop(). */
    void (*stopped)(void *arg);
};

/*
 * `settings`, `tls`, `counters` and `will` (an encoded message, absent for none) must outlive the
 * workers. `program` is the path of the executable (mqtt/program.h). Each process that is started
 * reads the broker password again and gets a copy of what `tls` holds then.
 */
struct workers *workers_new(struct loop *loop, const struct settings *settings,
                            const struct tls_files *tls, const char *program, struct slice will,
                            struct counters *counters, const struct workers_hooks *hooks);
/* Starts both processes. */
void workers_start(struct workers *workers);
/* Starts only the publisher, for somebody who receives nothing. */
void workers_start_publisher(struct workers *workers);
/* Answers a delivery; the order does not matter. The answers of one turn of the loop are sent
 * together. is_durable: the broker may get its acknowledgement; else the receiver cuts
 * its connection and the broker delivers again. */
void workers_ack(struct workers *workers, struct mqtt_ticket ticket, bool is_durable);
/* Whether the publisher is connected and its buffer has room. */
bool workers_may_publish(const struct workers *workers);
/* Hands an encoded message to the publisher, which must be connected; `id` comes back by published
 * or unpublished. */
void workers_publish(struct workers *workers, int64_t id, struct slice message);
/*
 * Replaces both connections, after `tls` or the password has changed: the receiver, then, when it
 * is up again, the publisher. If the receiver does not come up, it is retried as usual and the
 * publisher keeps its connection, so that it can report it. Sessions are kept.
 */
void workers_renew(struct workers *workers);
/* Ends the receiver: no more deliveries. Those without an ack stay unacknowledged. */
void workers_stop_intake(struct workers *workers);
/* Ends both processes cleanly and kills them after `timeout_ms`. hooks.stopped is called when both
 * have ended. */
void workers_stop(struct workers *workers, int64_t timeout_ms);
/* Kills what still runs. Takes NULL. */
void workers_free(struct workers *workers);

/* Whether the receiver is subscribed. */
bool workers_is_receiving(const struct workers *workers);

#endif
