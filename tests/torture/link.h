/*
 * link - an MQTT connection that comes back by itself, for as long as it takes.
 *
 * Wraps libmosquitto, which sends what was not acknowledged again. Thread: the driver's only one;
 * nothing blocks.
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
    bool has_begun;   /* the first connection was tried */
    int64_t retry_ms; /* when it is tried again */
    int64_t tried_ms; /* when it was tried last */
    int64_t lost_count;
    void (*connected)(void *arg); /* or NULL */
    void *arg;
};

/* `version` is 5, or 4 for MQTT 3.1.1. The session outlives the connection. `arg` is the
 * callbacks'. */
void link_init(struct link *link, const char *id, int port, int version, void *arg);
void link_fini(struct link *link);
/* Where to wait for it; events 0 and fd -1 while there is nothing. */
struct pollfd link_poll(const struct link *link);
/* Does what is to be done. `revents` as poll() told. */
void link_turn(struct link *link, short revents, int64_t now_ms);
/* Connects at once with the next turn. */
void link_hurry(struct link *link);

#endif
