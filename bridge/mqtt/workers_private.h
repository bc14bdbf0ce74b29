/*
 * workers_private - what workers.c (the workers and what its children say) and mqtt_child.c (how
 * they begin and end) share.
 *
 * Thread: the loop's.
 */
#ifndef MQTT_WORKERS_PRIVATE_H
#define MQTT_WORKERS_PRIVATE_H

#include "link.h"
#include "mqtt/workers.h"

#define WORKER_TEXT_BYTES         256
#define WORKER_ENVIRONMENT_VALUES 4

struct worker {
    struct workers *workers;
    enum wire_role role;
    uint32_t index;
    uint32_t generation; /* counts its processes */
    char name[32];
    char *client_id; /* of the running process */
    struct loop_process *process;
    struct frame_link control;
    struct frame_link delivery; /* receivers only */
    struct loop_timer *restart;
    uint32_t failures; /* in a row */
    int64_t up_ms;
    bool is_up;
    bool has_worked;              /* passed a message for good */
    bool is_wanted;               /* to be started again */
    bool is_outdated;             /* runs with what was replaced since */
    bool is_renewed;              /* is started anew for that, and not yet up */
    bool is_ending;               /* was told to end, to be started at once */
    enum wire_down_reason reason; /* its last words */
    uint32_t code;
    char text[WORKER_TEXT_BYTES];
    bool has_last_words;
};

struct workers {
    struct loop *loop;
    const struct settings *settings;
    const struct tls_files *tls;
    const char *program;
    struct slice will;
    struct counters *counters;
    struct workers_hooks hooks;
    struct worker *children; /* the receivers, then the publisher */
    size_t worker_count;
    char *environment[WORKER_ENVIRONMENT_VALUES + 1];
    struct loop_timer *flush;
    struct loop_timer *kill;
    struct loop_timer *stopped;
    bool is_stopping;
};

/* Begins a process; where it cannot, it is tried again after a pause. */
void worker_start(struct worker *worker);
/* Ends it by SIGKILL, if it still runs. */
void worker_kill(struct worker *worker);
/* Lets go of a process and its sockets; also of a running one, which is then not waited for. */
void worker_close(struct worker *worker);

/* In workers.c: */

/* Takes in the frames that were read from the control socket. */
void worker_take_control(struct worker *worker);
/* Callbacks of the two sockets. */
void worker_control_ready(void *arg, int events);
void worker_delivery_ready(void *arg, int events);
/* Ends the next one that is outdated, once those before it are up again. */
void workers_renew_next(struct workers *workers);
/* Tells the hooks that `is_up` changed. */
void worker_tell_change(struct worker *worker);
bool workers_is_anyone_left(const struct workers *workers);

#endif
