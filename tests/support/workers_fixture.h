/*
 * workers_fixture - workers with real processes and a real broker, and the reports of their hooks.
 */
#ifndef SUPPORT_WORKERS_FIXTURE_H
#define SUPPORT_WORKERS_FIXTURE_H

#include "mqtt/workers.h"
#include "support/broker.h"

#include <sys/types.h>

#define WORKERS_FIXTURE_TIMEOUT_MS 20000

/* The bridge's side, and the last reports of the hooks. */
struct workers_fixture {
    struct broker broker;
    struct settings *settings;
    struct loop *loop;
    struct workers *workers;
    struct counters counters;
    struct buf will;
    const char *uris;    /* before the broker's own */
    const char *host;    /* in the broker's own; NULL: 127.0.0.1 */
    const char *program; /* NULL: the executable of the MQTT processes */
    bool acks;           /* each delivery, at once */
    int64_t waits_until_ms;
    struct loop_timer *tick;
    bool is_late;
    /* deliveries */
    int delivered_count;
    struct mqtt_ticket ticket;
    struct delivery delivery; /* its slices are no longer valid; see `text` */
    char topic[64];
    char text[4096];
    char response_topic[64];
    char traceparent[64];
    /* the rest */
    int published_count;
    int64_t published_id;
    bool has_subscriber;
    int expired_count;
    int64_t expired_id;
    int unpublished_count;
    uint32_t code;
    char why[128];
    bool is_publisher_up;
    bool is_receiving;
    bool do_brokers_differ;
    int differ_count;
    int session_count;
    int lost_session_count;
    int failed_count; /* the reason is in `why`, its text in `text` */
    bool is_session_present;
    bool is_drained; /* the session of workers_adopt() */
    int ended_count; /* of such sessions */
    bool is_stopped;
};

/* Starts a broker with these lines in its configuration (NULL: none) and the workers with these
 * lines in `broker` of their settings. */
struct workers_fixture *workers_fixture_new(const char *mosquitto_lines, const char *broker_lines);
/* Starts the workers of a fixture whose broker runs. */
void workers_fixture_start(struct workers_fixture *fixture, const char *broker_lines);
/* Waits until both are connected. */
void workers_fixture_wait_up(struct workers_fixture *fixture);
/* Stops the workers and waits for that. */
void workers_fixture_stop(struct workers_fixture *fixture);
/* Frees the workers; the broker still runs. */
void workers_fixture_close(struct workers_fixture *fixture);
/* Frees everything. */
void workers_fixture_end(struct workers_fixture *fixture);
/* Publishes a message on the command topic. */
void workers_fixture_send(struct workers_fixture *fixture, const char *text);
/* The pid of the worker process of that name. */
pid_t workers_fixture_pid(const char *name);

/* Runs the loop until the condition is true; it is checked after every hook and tick. */
#define WAIT_FOR(fixture, condition)                                                           \
    do {                                                                                       \
        (fixture)->waits_until_ms = loop_now_ms((fixture)->loop) + WORKERS_FIXTURE_TIMEOUT_MS; \
        while (!(condition) && !(fixture)->is_late) {                                          \
            loop_run((fixture)->loop);                                                         \
        }                                                                                      \
        if (!(condition)) {                                                                    \
            fail_msg("timed out waiting for: %s", #condition);                                 \
        }                                                                                      \
    } while (0)

#endif
