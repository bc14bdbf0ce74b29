/*
 * flow_bridge - the program under test: the real ecs-mqtt-bridge with its own ledger, configuration
 * and log.
 *
 * Made by fixture_bridge() and fixture_bridge_new(), owned by the fixture. Fails the running test
 * if something does not happen in time.
 */
#ifndef FLOW_BRIDGE_H
#define FLOW_BRIDGE_H

#include <stdbool.h>
#include <sys/types.h>

enum { BRIDGE_ENV_MAX = 8, BRIDGE_CHILDREN_MAX = 16 };

struct fixture;

struct bridge {
    struct fixture *fixture;
    int number;         /* of the fixture's bridges, from 1 */
    const char *binary; /* NULL: the one under test */
    pid_t pid;          /* 0: not running */
    char *overrides;
    char directory[160];
    char config[192];
    char log[192];
    const char *output; /* where it writes its log, if somebody else writes `log`; NULL: `log` */
    long log_offset;    /* where the running test's part of the log begins */
    char status_topic[128];
    const char *env[BRIDGE_ENV_MAX]; /* ends with NULL; entries may be replaced before a start */
    bool is_leaving;                 /* starts with --leave */
    bool has_descriptors;            /* starts with the test's open sockets inherited */
    struct bridge *next;
};

/* Starts it on its existing ledger. */
void bridge_start(struct bridge *bridge);
/* Waits for `online` on the status topic, published since the last start. */
void bridge_wait_online(struct bridge *bridge);
/* SIGTERM; it must end within 10 s with exit code 0. */
void bridge_stop(struct bridge *bridge);
/* SIGKILL. */
void bridge_kill(struct bridge *bridge);
/* Waits until it exits by itself; returns its exit code. */
int bridge_wait_exit(struct bridge *bridge);

/* The process ids of its MQTT processes of a role, "receiver" or "publisher"; returns their number.
 */
int bridge_children(const struct bridge *bridge, const char *role,
                    pid_t out_pids[BRIDGE_CHILDREN_MAX]);
/* Sends SIGKILL to every process of a role; waits until the bridge has replaced them. */
void bridge_kill_children(const struct bridge *bridge, const char *role);

/* Whether the log contains the text since the running test began. */
bool bridge_log_contains(const struct bridge *bridge, const char *text);
void bridge_wait_log(const struct bridge *bridge, const char *text);
/* The port of its admin endpoint, which its log names; it listens at port 0. */
int bridge_admin_port(const struct bridge *bridge);
/* Prints the end of the log, for a failing test. */
void bridge_print_log(const struct bridge *bridge);

#endif
