/*
 * workers_common - what workers.c and former.c share.
 *
 * Thread: the loop's.
 */
#ifndef MQTT_WORKERS_COMMON_H
#define MQTT_WORKERS_COMMON_H

#include "copies.h"
#include "mqtt/workers.h"
#include "worker.h"

/* Variables of the processes. */
#define WORKERS_ENVIRONMENT_MAX 4

/* A session that the settings no longer name. */
struct former {
    struct workers *workers;
    struct mqtt_session session;
    struct worker worker;
    struct loop_timer
        *quiet;         /* runs while it may be empty; of an abandoned one, until it is killed */
    uint32_t may_go_on; /* the generation that may subscribe, as for the others */
    uint32_t drained_count; /* deliveries until it was reported as empty */
    bool was_tried;         /* it was connected or has failed: nobody waits for it */
    bool is_present;        /* the broker had it */
    bool is_over;           /* the broker has forgotten it */
    bool is_adopted;        /* it is another bridge's: workers_adopt() */
    bool is_left;           /* by workers_abandon() */
};

struct workers {
    struct worker_setup setup;
    struct workers_hooks hooks;
    struct mqtt_session session; /* the receiver's */
    struct worker receiver;
    struct worker publisher;
    struct former *former;
    size_t former_count;
    struct copies copies;
    struct loop_timer *overlap; /* runs while copies by old and new subscriptions may come */
    uint32_t generations;
    uint32_t may_go_on; /* the receiver's generation that may subscribe; 0: none */
    bool is_leaving;
    struct former *adopted;     /* the place for workers_adopt(); NULL: not used yet */
    struct former *next_former; /* starts when the receiver, which has its session, has ended */
    char *environment[WORKERS_ENVIRONMENT_MAX + 1];
    struct loop_timer *kill;
    struct loop_timer *stopped;
    struct loop_timer *reunite; /* runs while the brokers differ */
    bool do_brokers_differ;
    bool is_stopping;
};

/* --- workers.c --- */

/* Lets those go on that wait for nobody any more. */
void workers_let_go_on(struct workers *workers);

/* --- former.c --- */

/* The former session of this worker; NULL for the receiver and the publisher. */
struct former *former_of(struct workers *workers, const struct worker *worker);
/* Its worker has subscribed, or ended the session. */
void former_is_up(struct former *former);
/* The receiver has ended: starts the worker that has its session now, if there is one. */
void former_start_next(struct workers *workers);

#endif
