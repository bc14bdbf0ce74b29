/*
 * The receiver and the publisher. Each one starts and restarts its own process (worker.c); here is
 * what concerns both: the order of a renewal, the stop.
 */
#include "mqtt/workers.h"

#include "base/crash_point.h"
#include "base/hardening.h"
#include "base/log.h"
#include "base/mem.h"
#include "landlock.h"
#include "worker.h"

#include <stdlib.h>

/* The processes' whole environment: where OpenSSL finds the authorities it trusts, and whether they
 * may be debugged. */
static const char *const environment_names[] = {
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    HARDENING_OFF_VARIABLE,
#ifdef BRIDGE_CRASH_POINTS
    CRASH_POINT_VARIABLE,
#endif
};

#define ENVIRONMENT_COUNT (sizeof environment_names / sizeof environment_names[0])

struct workers {
    struct worker_setup setup;
    struct workers_hooks hooks;
    struct worker receiver;
    struct worker publisher;
    char *environment[ENVIRONMENT_COUNT + 1];
    struct loop_timer *kill;
    struct loop_timer *stopped;
    bool is_stopping;
};

bool workers_is_receiving(const struct workers *workers)
{
    return workers->receiver.is_up;
}

static bool is_anyone_running(const struct workers *workers)
{
    return workers->receiver.process != NULL || workers->publisher.process != NULL;
}

/* ---- Renewal: the receiver, then the publisher ---- */

/* Renews the next outdated worker, unless one is still being renewed or the bridge is stopping. */
static void renew_next(struct workers *workers)
{
    struct worker *receiver = &workers->receiver;
    struct worker *publisher = &workers->publisher;
    if (receiver->is_renewing || publisher->is_renewing || !receiver->is_wanted ||
        !publisher->is_wanted) {
        return;
    }
    if (receiver->is_outdated) {
        worker_renew(receiver);
    } else if (publisher->is_outdated) {
        worker_renew(publisher);
    }
}

void workers_renew(struct workers *workers)
{
    worker_set_outdated(&workers->receiver);
    worker_set_outdated(&workers->publisher);
    renew_next(workers);
}

/* ---- Hooks of the workers ---- */

static void on_change(void *arg, struct worker *worker)
{
    struct workers *workers = arg;
    if (worker->role == WIRE_PUBLISHER) {
        workers->hooks.publisher_changed(workers->hooks.arg, worker->is_up);
    } else {
        workers->hooks.receiver_changed(workers->hooks.arg, worker->is_up);
    }
}

static void on_connected(void *arg, struct worker *worker, bool is_session_present)
{
    struct workers *workers = arg;
    if (worker->role == WIRE_RECEIVER) {
        workers->hooks.session_opened(workers->hooks.arg, worker->client_id, is_session_present);
    }
}

static void on_up(void *arg, struct worker *worker)
{
    struct workers *workers = arg;
    on_change(workers, worker);
    renew_next(workers);
}

static void on_failed(void *arg, const char *reason, const char *text)
{
    struct workers *workers = arg;
    if (workers->hooks.failed != NULL) {
        workers->hooks.failed(workers->hooks.arg, reason, text);
    }
}

static void on_delivered(void *arg, struct worker *worker, const struct delivery *delivery)
{
    struct workers *workers = arg;
    struct mqtt_ticket ticket = {worker->generation, worker->delivered_count++};
    workers->hooks.delivered(workers->hooks.arg, delivery, ticket);
}

static void on_published(void *arg, int64_t id)
{
    struct workers *workers = arg;
    workers->hooks.published(workers->hooks.arg, id);
}

static void on_unpublished(void *arg, int64_t id, uint32_t code, struct slice why)
{
    struct workers *workers = arg;
    workers->hooks.unpublished(workers->hooks.arg, id, code, why);
}

static void on_ended(void *arg)
{
    struct workers *workers = arg;
    if (workers->is_stopping && !is_anyone_running(workers)) {
        loop_timer_start(workers->stopped, 0);
    }
}

/* ---- Messages ---- */

void workers_ack(struct workers *workers, struct mqtt_ticket ticket, bool is_durable)
{
    worker_ack(&workers->receiver, ticket.generation, ticket.number, is_durable);
}

bool workers_may_publish(const struct workers *workers)
{
    return worker_may_publish(&workers->publisher);
}

void workers_publish(struct workers *workers, int64_t id, struct slice message)
{
    worker_publish(&workers->publisher, id, message);
}

/* ---- Start and stop ---- */

static void kill_all(void *arg)
{
    struct workers *workers = arg;
    worker_kill(&workers->receiver);
    worker_kill(&workers->publisher);
}

static void report_stopped(void *arg)
{
    struct workers *workers = arg;
    loop_timer_stop(workers->kill);
    workers->hooks.stopped(workers->hooks.arg); /* may free the workers */
}

static void set_environment(struct workers *workers)
{
    size_t count = 0;
    for (size_t i = 0; i < ENVIRONMENT_COUNT; i++) {
        const char *value = getenv(environment_names[i]);
        if (value != NULL) {
            struct buf text = {0};
            buf_printf(&text, "%s=%s", environment_names[i], value);
            workers->environment[count++] = buf_take(&text);
        }
    }
}

struct workers *workers_new(struct loop *loop, const struct settings *settings,
                            const struct tls_files *tls, const char *program, struct slice will,
                            struct counters *counters, const struct workers_hooks *hooks)
{
    struct workers *workers = mem_zalloc(1, sizeof *workers);
    set_environment(workers);
    workers->setup = (struct worker_setup){
        .loop = loop,
        .settings = settings,
        .tls = tls,
        .program = program,
        .environment = workers->environment,
        .will = will,
        .counters = counters,
        .hooks = {.arg = workers,
                  .connected = on_connected,
                  .up = on_up,
                  .down = on_change,
                  .failed = on_failed,
                  .delivered = on_delivered,
                  .published = on_published,
                  .unpublished = on_unpublished,
                  .ended = on_ended},
    };
    workers->hooks = *hooks;
    workers->kill = loop_timer_new(loop, kill_all, workers);
    workers->stopped = loop_timer_new(loop, report_stopped, workers);
    worker_init(&workers->receiver, &workers->setup, WIRE_RECEIVER);
    worker_init(&workers->publisher, &workers->setup, WIRE_PUBLISHER);
    return workers;
}

void workers_start(struct workers *workers)
{
    if (landlock_version() == 0) {
        LOG_INFO("landlock_missing",
                 LOG_TEXT("text", "seccomp alone keeps the MQTT processes from files"));
    }
    worker_start(&workers->receiver);
    if (!workers->is_stopping) { /* by the hook `failed` */
        worker_start(&workers->publisher);
    }
}

void workers_start_publisher(struct workers *workers)
{
    worker_start(&workers->publisher);
}

void workers_stop_intake(struct workers *workers)
{
    worker_stop(&workers->receiver);
}

void workers_stop(struct workers *workers, int64_t timeout_ms)
{
    if (workers->is_stopping) {
        return;
    }
    workers->is_stopping = true;
    worker_stop(&workers->receiver);
    worker_stop(&workers->publisher);
    if (is_anyone_running(workers)) {
        loop_timer_start(workers->kill, timeout_ms);
    } else {
        loop_timer_start(workers->stopped, 0);
    }
}

void workers_free(struct workers *workers)
{
    if (workers == NULL) {
        return;
    }
    worker_fini(&workers->receiver);
    worker_fini(&workers->publisher);
    loop_timer_free(workers->kill);
    loop_timer_free(workers->stopped);
    for (size_t i = 0; i < ENVIRONMENT_COUNT; i++) {
        free(workers->environment[i]);
    }
    free(workers);
}
