/*
 * flow_simulator - the far side: starts the real ecs-simulator and steers it through its control
 * requests.
 *
 * Fails the running test where a control request is refused.
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
 * Starts it on `port`, 0 for a free one. Unknown groups come into being when they are named and a
 * synchronization ends at once, so that a group may be started again and again.
 */
void simulator_start(struct simulator *simulator, const char *directory, int port);
void simulator_stop(struct simulator *simulator);

/* GET /_sim/<path>; the caller frees the answer. */
cJSON *simulator_get(const struct simulator *simulator, const char *path);
/* Sends a control request whose answer does not matter; the body is formatted, NULL for none. */
void simulator_order(const struct simulator *simulator, const char *method, const char *path,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Adds a fault: the fields behind "Fault", as in `"reset_after","Count":2`. */
void simulator_fault(const struct simulator *simulator, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Ends all faults; requests that hang are dropped. */
void simulator_clear(const struct simulator *simulator);
/* Forgets everything: groups, tokens, faults, counts. */
void simulator_reset(const struct simulator *simulator);

/* One number of /_sim/totals, as "Effects". */
int simulator_total(const struct simulator *simulator, const char *name);
/* One number of what is known of a token, as "Effects" or "Answers.Lost"; 0 where it was never
 * seen. */
int simulator_token(const struct simulator *simulator, const char *token, const char *name);
/* The requests with a token, at most the last 1000, in order of arrival: an array the caller frees.
 */
cJSON *simulator_requests(const struct simulator *simulator, const char *token);
/* Waits until a total ("Requests": starts arrived, "Effects", "Answered") is reached. */
void simulator_wait(const struct simulator *simulator, const char *name, int count);
/* Waits until that many starts with this token have arrived. */
void simulator_wait_token(const struct simulator *simulator, const char *token, int calls);

#endif
