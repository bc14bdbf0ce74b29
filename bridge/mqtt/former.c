/*
 * Sessions that are at the broker besides the receiver's: former ones of this bridge, and one of
 * another bridge. Each is drained by a receiver of its own, until nothing comes any more; then it
 * is ended.
 */
#include "workers_common.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

/* The session's own bridge waits for the end of this process. */
#define ABANDON_MS 2000

struct former *former_of(struct workers *workers, const struct worker *worker)
{
    for (size_t i = 0; i < workers->former_count; i++) {
        if (&workers->former[i].worker == worker) {
            return &workers->former[i];
        }
    }
    return NULL;
}

static void quiet_over(void *arg)
{
    struct former *former = arg;
    struct workers *workers = former->workers;
    if (former->is_left) {
        worker_kill(&former->worker);
    } else if (former->worker.acked_count != former->worker.delivered_count) {
        loop_timer_start(former->quiet, WORKERS_QUIET_MS);
    } else {
        former->drained_count = former->worker.delivered_count;
        workers->hooks.session_drained(workers->hooks.arg, former->session.client_id);
    }
}

static struct former *add_former(struct workers *workers, const struct mqtt_session *session)
{
    struct former *former = &workers->former[workers->former_count++];
    former->workers = workers;
    former->session = *session;
    former->quiet = loop_timer_new(workers->setup.loop, quiet_over, former);
    worker_init(&former->worker, &workers->setup, WIRE_RECEIVER, &former->session);
    return former;
}

void former_is_up(struct former *former)
{
    if (former->session.use == MQTT_SESSION_END) {
        former->is_over = true;
        worker_stop(&former->worker);
    } else {
        loop_timer_start(former->quiet, former->is_present ? WORKERS_QUIET_MS : 0);
    }
}

void workers_set_sessions(struct workers *workers, const struct workers_sessions *sessions)
{
    workers->session.unsubscribe = sessions->unsubscribe;
    workers->is_leaving = sessions->is_leaving;
    /* Two more: for workers_leave() and for workers_adopt(). */
    workers->former = mem_zalloc(sessions->former_count + 2, sizeof *workers->former);
    for (size_t i = 0; i < sessions->former_count; i++) {
        (void)add_former(workers, &sessions->former[i]);
    }
}

void workers_end_session(struct workers *workers, const char *client_id)
{
    for (size_t i = 0; i < workers->former_count; i++) {
        struct former *former = &workers->former[i];
        if (strcmp(former->session.client_id, client_id) != 0 || !former->worker.is_up ||
            !former->worker.is_wanted) {
            continue; /* one that is connected again is asked for again */
        }
        if (former->worker.delivered_count != former->drained_count) {
            loop_timer_start(former->quiet, WORKERS_QUIET_MS);
        } else {
            former->session.use = MQTT_SESSION_END;
            former->session.unsubscribe.count = 0;
            worker_renew(&former->worker);
        }
    }
}

void former_start_next(struct workers *workers)
{
    struct former *former = workers->next_former;
    workers->next_former = NULL;
    if (former != NULL && !workers->is_stopping) {
        worker_start(&former->worker);
    }
}

void workers_leave(struct workers *workers, const struct mqtt_session *session)
{
    assert(!workers->is_leaving);
    bool is_running = workers->receiver.process != NULL;
    workers->is_leaving = true;
    workers->next_former = add_former(workers, session);
    worker_stop(&workers->receiver);
    if (!is_running) {
        former_start_next(workers);
    }
    workers_let_go_on(workers);
}

void workers_adopt(struct workers *workers, const struct mqtt_session *session)
{
    struct former *former = workers->adopted;
    if (former == NULL) {
        former = add_former(workers, session);
        workers->adopted = former;
    } else {
        assert(former->worker.process == NULL && !former->worker.is_wanted);
        worker_fini(&former->worker);
        *former = (struct former){.workers = workers, .session = *session, .quiet = former->quiet};
        worker_init(&former->worker, &workers->setup, WIRE_RECEIVER, &former->session);
    }
    former->is_adopted = true;
    worker_start(&former->worker);
}

void workers_abandon(struct workers *workers, const char *client_id, bool at_once)
{
    struct former *former = workers->adopted;
    bool is_repeated = former != NULL && former->is_left;
    if (former == NULL || strcmp(former->session.client_id, client_id) != 0 ||
        (is_repeated && !at_once)) {
        return;
    }
    former->is_left = true;
    worker_stop(&former->worker);
    if (former->worker.process == NULL) {
        loop_timer_stop(former->quiet);
        if (!is_repeated) {
            workers->hooks.session_ended(workers->hooks.arg, client_id);
        }
    } else if (at_once || !former->worker.is_up) {
        worker_kill(&former->worker); /* one that is not up may be waiting for the broker */
    } else {
        loop_timer_start(former->quiet, ABANDON_MS);
    }
}
