/*
 * workers - the bridge's side of its MQTT processes: starts them, restarts them with backoff and
 * jitter, passes frames.
 *
 * A receiver process holds a persistent session and waits for a ack after every delivery; the
 * publisher process publishes and tells what the broker acknowledged. A process that ends, for
 * whatever reason, is started anew until workers_stop().
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

/* Names one delivery that waits for its ack; a copy stays good when its process has gone. */
struct mqtt_ticket {
    uint32_t receiver;   /* 0 .. receivers-1 */
    uint32_t generation; /* of its process */
};

struct workers_hooks {
    void *arg;
    /* A message on a command topic; workers_ack() is owed for the ticket. */
    void (*delivered)(void *arg, const struct delivery *delivery, struct mqtt_ticket ticket);
    /* The broker acknowledged a message. */
    void (*published)(void *arg, int64_t id);
    /* The publisher could not publish it; is_final: sending it again cannot help. */
    void (*unpublished)(void *arg, int64_t id, bool is_final, struct slice why);
    /* The publisher stands (messages may be handed over), or not (whatever was handed over and not
     * reported is not published). */
    void (*publisher_changed)(void *arg, bool is_up);
    /* How many receivers are subscribed, of how many. */
    void (*receivers_changed)(void *arg, size_t up_count, size_t wanted_count);
    /* A receiver came up: whether the broker still had its session. `client_id` names it. */
    void (*session_opened)(void *arg, uint32_t receiver, const char *client_id,
                           bool is_session_present);
    /* All processes have ended after workers_stop(). */
    void (*stopped)(void *arg);
};

/*
 * `settings`, `tls`, `counters` and `will` (an encoded message, absent for none) must outlive the
 * workers. `program` is the path of this binary. The broker password is read anew at each start of
 * a process; of what `tls` holds then, a process uses a copy.
 */
struct workers *workers_new(struct loop *loop, const struct settings *settings,
                            const struct tls_files *tls, const char *program, struct slice will,
                            struct counters *counters, const struct workers_hooks *hooks);
/* Starts all processes. */
void workers_start(struct workers *workers);
/* The ack on a delivery: durable, so that the broker may get its acknowledgement, or not. */
void workers_ack(struct workers *workers, struct mqtt_ticket ticket, bool is_durable);
/* Whether the publisher stands and its pipe takes more. */
bool workers_may_publish(const struct workers *workers);
/* Whether the publisher's last process ended without last words, killed or crashed. */
bool workers_has_publisher_crashed(const struct workers *workers);
/* Hands an encoded message to the publisher; `id` comes back by published or unpublished. Only
 * while it stands. */
void workers_publish(struct workers *workers, int64_t id, struct slice message);
/*
 * Makes all connections anew, for after `tls` or the password has changed: one receiver after the
 * other, then the publisher, each when the one before is up. One that does not come up is tried
 * again as ever, and the others stay as they are until it does; so there is a publisher to tell of
 * it. Sessions outlast it.
 */
void workers_renew(struct workers *workers);
/* Ends the receivers: no more deliveries. Those without a ack stay unacknowledged. */
void workers_stop_intake(struct workers *workers);
/* Ends everything in good order; hooks.stopped is called when all processes are gone. They are
 * killed after `timeout_ms`. */
void workers_stop(struct workers *workers, int64_t timeout_ms);
/* Kills what still runs. Takes NULL. */
void workers_free(struct workers *workers);

/* A line about where the receivers and the publisher stand, for the log and the status pages. */
size_t workers_receivers_up(const struct workers *workers);

#endif
