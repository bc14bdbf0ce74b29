/*
 * flow_broker - a real mosquitto on a port of 127.0.0.1 that stays its own while it is down.
 */
#ifndef FLOW_BROKER_H
#define FLOW_BROKER_H

#include <stdbool.h>
#include <sys/types.h>

struct broker {
    pid_t pid; /* 0 while it is down */
    int port;
    int guard; /* socket that reserves the port among the tests running at the same time */
    char directory[128];
    char log[160];
};

/* A port of 127.0.0.1 that no other test takes until *out_guard is closed, with nobody listening.
 */
int port_reserve(int *out_guard);

/* `extra` is added to the configuration; NULL for none. */
void broker_init(struct broker *broker, const char *directory, const char *extra);
/* Ends it where it runs. Takes {0}. */
void broker_fini(struct broker *broker);
/* Starts it and waits until it listens. */
void broker_start(struct broker *broker);
/* Ends it in good order; with persistence in `extra` it knows everything when it starts again. */
void broker_stop(struct broker *broker);
/* Ends it at once. */
void broker_kill(struct broker *broker);
/* Waits until its log has the text. */
void broker_wait_log(const struct broker *broker, const char *text);

#endif
