/*
 * link - an MQTT connection that reconnects by itself, without a limit.
 *
 * Wraps libmosquitto, which sends unacknowledged messages again. Thread: the only thread of the
 * driver; nothing blocks.
 */
#ifndef TORTURE_LINK_H
#define TORTURE_LINK_H

#include <mosquitto.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct link {
    struct mosquitto *mosq;
    int port;
    int version;
    bool is_connected;
    bool has_begun;   /* the first connection attempt was made */
    int64_t retry_ms; /* time of the next attempt */
    int64_t tried_ms; /* time of the last attempt */
    int64_t lost_count;
    void (*connected)(void *arg); /* or NULL */
    void *arg;
};

/* `version` is 5, or 4 for MQTT 3.1.1. The session outlives the connection. `arg` is passed to the
 * callbacks. */
void link_init(struct link *link, const char *id, int port, int version, void *arg);
void link_fini(struct link *link);
/* The descriptor to poll; events 0 and fd -1 while there is none. */
struct pollfd link_poll(const struct link *link);
/* Processes the events of poll() and timeouts. */
void link_step(struct link *link, short revents, int64_t now_ms);
/* Makes the next link_step() connect at once. */
void link_hurry(struct link *link);

#endif
