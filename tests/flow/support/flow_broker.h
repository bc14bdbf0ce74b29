/*
 * flow_broker - a real mosquitto on a port of 127.0.0.1 that stays reserved while it is down.
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

/* Reserves a free port of 127.0.0.1: no other test takes it until *out_guard is closed.
 */
int port_reserve(int *out_guard);

/*
 * It has mosquitto's default limits. `extra` is added to its configuration; NULL for nothing. A
 * test that changes a limit says why.
 */
void broker_init(struct broker *broker, const char *directory, const char *extra);
/* Stops it if it runs. Takes {0}. */
void broker_fini(struct broker *broker);
/* Starts it and waits until it listens. */
void broker_start(struct broker *broker);
/* Stops it in order (SIGTERM); with persistence in `extra` it keeps its state. */
void broker_stop(struct broker *broker);
/* Kills it (SIGKILL). */
void broker_kill(struct broker *broker);
/* Waits until its log contains the text. */
void broker_wait_log(const struct broker *broker, const char *text);

#endif
