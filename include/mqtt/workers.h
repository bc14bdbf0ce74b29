/*
 * workers - the bridge's MQTT processes: a receiver, a publisher, and one for each session at the
 * broker that the settings no longer name.
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
#include "session.h"
#include "settings/settings.h"
#include "tls/files.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct workers;

/* Names one delivery that waits for its ack; a copy stays valid after its process has ended. */
struct mqtt_ticket {
    uint32_t generation; /* of the process */
    uint32_t number;     /* of the delivery in that process, from 0 */
};

struct workers_hooks {
    void *arg;
    /* A message on a command topic. Call workers_ack() once with the ticket. */
    void (*delivered)(void *arg, const struct delivery *delivery, struct mqtt_ticket ticket);
    /* The broker acknowledged a message. `has_subscriber` is false if it said that nobody
     * subscribes to the topic (MQTT 5, not over WebSockets). */
    void (*published)(void *arg, int64_t id, bool has_subscriber);
    /* A message was not published: the broker refused it with this reason code, or (0) it cannot be
     * published on this connection. Whoever runs the broker can change either. */
    void (*unpublished)(void *arg, int64_t id, uint32_t code, struct slice why);
    /* A message was not published, because its valid_until_ms had passed. NULL: no message has one.
     */
    void (*expired)(void *arg, int64_t id);
    /* The publisher is connected, or not any more: count every message that was handed over and not
     * reported as not published. */
    void (*publisher_changed)(void *arg, bool is_up);
    /* The receiver and the publisher are connected to different addresses of broker.uris, or not
     * any more. NULL: not needed. */
    void (*brokers_differ)(void *arg, bool do_differ);
    /* The receiver is subscribed, or not any more. */
    void (*receiver_changed)(void *arg, bool is_up);
    /*
     * The broker has accepted the connection of a receiver, which waits for workers_go_on() before
     * it subscribes; is_session_present: the broker still had its session. Comes once more for a
     * connection that the broker wants with a shorter keepalive. NULL: nothing is waited for.
     */
    void (*session_connected)(void *arg, const char *client_id, bool is_session_present,
                              uint32_t generation);
    /* A former session is empty. workers_end_session() is owed. */
    void (*session_drained)(void *arg, const char *client_id);
    /* The broker has forgotten a former session, or the process has ended that was connected to an
     * abandoned one. */
    void (*session_ended)(void *arg, const char *client_id);
    /*
     * A process has ended without being asked to, after an attempt at each address, or could not be
     * started; it is tried again unless this calls workers_stop(). The log has it too. NULL: not
     * needed.
     */
    void (*failed)(void *arg, const char *reason, const char *text);
    /* All processes have ended after workers_stop(). */
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
/*
 * What there is at the broker besides what the settings name. A former session is connected by a
 * process of its own, and its deliveries are reported like all others. The receiver subscribes when
 * these processes are connected (or have failed once), and they unsubscribe when the receiver has
 * subscribed, so that there is always a subscription. A session is empty when it is unsubscribed,
 * all its deliveries have their acks, and nothing has come for WORKERS_QUIET_MS.
 */
struct workers_sessions {
    struct text_list unsubscribe; /* of the receiver's session: what the settings do not name */
    const struct mqtt_session *former;
    size_t former_count;
    bool is_leaving; /* the receiver is not started */
};
#define WORKERS_QUIET_MS 5000
/* Before workers_start(); borrows everything. */
void workers_set_sessions(struct workers *workers, const struct workers_sessions *sessions);
/* Starts all processes. */
void workers_start(struct workers *workers);
/* Starts only the publisher, for somebody who receives nothing. */
void workers_start_publisher(struct workers *workers);
/* What session_connected said is durable: the receiver may go on. Ignored where the process has
 * ended. */
void workers_go_on(struct workers *workers, uint32_t generation);
/*
 * The receiver's session becomes a former one, with these filters to unsubscribe (borrowed): its
 * process ends, and another one takes what the broker holds. Once, after workers_start().
 */
void workers_leave(struct workers *workers, const struct mqtt_session *session);
/*
 * Takes what the broker holds in the session of another bridge, as of a former session. Everything
 * in `session` is borrowed. After workers_start(), and one at a time: the next one after
 * hooks.session_ended.
 */
void workers_adopt(struct workers *workers, const struct mqtt_session *session);
/* Leaves the session of workers_adopt() to its own bridge. hooks.session_ended follows when nobody
 * is connected to it any more, before this returns where no process runs. The process has 2 s for
 * its end; `at_once`: it is killed, also if it was asked to end before. */
void workers_abandon(struct workers *workers, const char *client_id, bool at_once);
/* Makes the broker forget a former session that is empty. */
void workers_end_session(struct workers *workers, const char *client_id);
/* Answers a delivery; the order does not matter. The answers of one turn of the loop are sent
 * together. is_durable: the broker may get its acknowledgement; else the receiver cuts
 * its connection and the broker delivers again. */
void workers_ack(struct workers *workers, struct mqtt_ticket ticket, bool is_durable);
/* Whether the publisher is connected and its buffer has room. */
bool workers_may_publish(const struct workers *workers);
/* Hands an encoded message to the publisher, which must be connected; `id` comes back by published,
 * unpublished or expired. The broker does not get it from `valid_until_ms` on (CLOCK_BOOTTIME),
 * even while this process is stopped; 0: it gets it whenever it can. */
void workers_publish(struct workers *workers, int64_t id, int64_t valid_until_ms,
                     struct slice message);
/*
 * Replaces both connections, after `tls` or the password has changed: the receiver, then, when it
 * is up again, the publisher. If the receiver does not come up, it is retried as usual and the
 * publisher keeps its connection, so that it can report it. Sessions are kept.
 */
void workers_renew(struct workers *workers);
/*
 * The routes' filters have changed: `unsubscribe` is now what the broker may have of the receiver's
 * session and the settings do not name. Borrowed. Takes effect with the next receiver process, see
 * workers_renew().
 */
void workers_set_unsubscribe(struct workers *workers, const struct text_list *unsubscribe);
/* Whether the receiver is subscribed to what the settings name, and unsubscribed from the rest. */
bool workers_has_unsubscribed(const struct workers *workers);
/* Ends all receivers: no more deliveries. Those without an ack stay unacknowledged. */
void workers_stop_intake(struct workers *workers);
/* Ends all processes cleanly and kills them after `timeout_ms`. hooks.stopped is called when all
 * have ended. */
void workers_stop(struct workers *workers, int64_t timeout_ms);
/* Kills all processes at once; those that are wanted are started again. */
void workers_kill(struct workers *workers);
/* Kills what still runs. Takes NULL. */
void workers_free(struct workers *workers);

/* Whether the receiver is subscribed. */
bool workers_is_receiving(const struct workers *workers);

#endif
