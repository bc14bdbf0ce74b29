/*
 * flow_simulator - the API: starts the real ecs-simulator and steers it with control requests.
 *
 * Fails the running test if a control request is refused.
 */
#ifndef FLOW_SIMULATOR_H
#define FLOW_SIMULATOR_H

#include "flow_message.h"

#include <stdbool.h>
#include <sys/types.h>

#define FLOW_ACCESS_KEY    "LTAI5tFlowTestKey"
#define FLOW_ACCESS_SECRET "FlowTestSecret0123456789abcdef"

struct simulator {
    pid_t pid;
    int port;
    char directory[128];
};

/*
 * Starts it on `port`, 0 for a free one. It creates unknown groups at their first use and ends a
 * synchronization at once, so that a group may be started any number of times.
 */
void simulator_start(struct simulator *simulator, const char *directory, int port);
void simulator_stop(struct simulator *simulator);

/* GET /_sim/<path>; the caller frees the answer. */
cJSON *simulator_get(const struct simulator *simulator, const char *path);
/* Sends a control request and ignores the answer; the body is a format, NULL for none. */
void simulator_order(const struct simulator *simulator, const char *method, const char *path,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Adds a fault: the fields behind "Fault", as in `"reset_after","Count":2`. */
void simulator_fault(const struct simulator *simulator, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Removes all faults; hanging requests are dropped. */
void simulator_clear(const struct simulator *simulator);
/* Resets everything: groups, tokens, faults, counters. */
void simulator_reset(const struct simulator *simulator);

/* One number of /_sim/totals, as "Effects". */
int simulator_total(const struct simulator *simulator, const char *name);
/* One number of a token's record, for example "Effects" or "Answers.Lost"; 0 if the token was never
 * seen. */
int simulator_token(const struct simulator *simulator, const char *token, const char *name);
/* The requests with a token among the last 1000, in order of arrival; the caller frees the array.
 */
cJSON *simulator_requests(const struct simulator *simulator, const char *token);
/* Waits until a total ("Requests": starts and stops arrived, "Describes", "Effects", "Answered") is
 * reached; fails when it has not grown within FLOW_TIMEOUT_MS. */
void simulator_wait(const struct simulator *simulator, const char *name, int count);
/* Waits until `calls` starts with this token have arrived. */
void simulator_wait_token(const struct simulator *simulator, const char *token, int calls);

#endif
