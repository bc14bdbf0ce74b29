/*
 * The receiver, the publisher, and the receivers of other sessions (former.c). Each one starts and
 * restarts its own process (worker.c); here is what concerns several: who waits for whom when they
 * subscribe, the order of a renewal, the stop.
 */
#include "mqtt/workers.h"

#include "base/crash_point.h"
#include "base/hardening.h"
#include "base/log.h"
#include "base/mem.h"
#include "landlock.h"
#include "workers_common.h"

#include <stdlib.h>

/* How long copies are still expected after the last message that came by an old subscription. */
#define OVERLAP_MS 10000

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
_Static_assert(ENVIRONMENT_COUNT <= WORKERS_ENVIRONMENT_MAX, "there is room for all");

bool workers_is_receiving(const struct workers *workers)
{
    return workers->receiver.is_up;
}

static bool is_anyone_running(const struct workers *workers)
{
    bool is_running = workers->receiver.process != NULL || workers->publisher.process != NULL;
    for (size_t i = 0; i < workers->former_count; i++) {
        is_running |= workers->former[i].worker.process != NULL;
    }
    return is_running;
}

/* ---- Who waits for whom ---- */

/* A former session of this bridge has not been found empty: copies may be in it. */
static bool is_draining(const struct workers *workers)
{
    for (size_t i = 0; i < workers->former_count; i++) {
        const struct former *former = &workers->former[i];
        if (former->worker.is_up && !former->is_adopted &&
            former->session.use != MQTT_SESSION_END) {
            return true;
        }
    }
    return false;
}

static void overlap_over(void *arg)
{
    struct workers *workers = arg;
    if (is_draining(workers)) {
        loop_timer_start(workers->overlap, OVERLAP_MS);
    } else {
        copies_fini(&workers->copies);
    }
}

/* Another bridge's session gets no copy: both bridges subscribe with the same shares. */
static bool has_old_subscription(const struct workers *workers)
{
    size_t adopted_count = workers->adopted == NULL ? 0 : 1;
    return workers->former_count > adopted_count || workers->session.unsubscribe.count > 0;
}

static void subscribe(struct workers *workers, struct worker *worker)
{
    bool is_adopted = workers->adopted != NULL && worker == &workers->adopted->worker;
    if (has_old_subscription(workers) && !is_adopted && !workers->is_leaving) {
        loop_timer_start(workers->overlap, OVERLAP_MS);
    }
    worker_go_on(worker);
}

void workers_let_go_on(struct workers *workers)
{
    struct worker *receiver = &workers->receiver;
    bool were_tried = true;
    for (size_t i = 0; i < workers->former_count; i++) {
        struct former *former = &workers->former[i];
        bool is_free =
            receiver->is_up || workers->is_leaving || former->session.use == MQTT_SESSION_END;
        were_tried &= former->was_tried;
        if (former->worker.is_waiting && is_free &&
            former->may_go_on == former->worker.generation) {
            subscribe(workers, &former->worker);
        }
    }
    if (receiver->is_waiting && were_tried && workers->may_go_on == receiver->generation) {
        subscribe(workers, receiver);
    }
}

void workers_go_on(struct workers *workers, uint32_t generation)
{
    if (generation == workers->receiver.generation) {
        workers->may_go_on = generation;
    }
    for (size_t i = 0; i < workers->former_count; i++) {
        if (generation == workers->former[i].worker.generation) {
            workers->former[i].may_go_on = generation;
        }
    }
    workers_let_go_on(workers);
}

static void on_connected(void *arg, struct worker *worker, bool is_session_present)
{
    struct workers *workers = arg;
    struct former *former = former_of(workers, worker);
    bool is_recorded = former == NULL || former->session.use != MQTT_SESSION_END;
    if (former != NULL) {
        former->was_tried = true;
        former->is_present = is_session_present;
    }
    if (is_recorded && workers->hooks.session_connected != NULL) {
        workers->hooks.session_connected(workers->hooks.arg, worker->client_id, is_session_present,
                                         worker->generation);
        workers_let_go_on(workers); /* the receiver may wait for this connection */
    } else {
        workers_go_on(workers, worker->generation);
    }
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

void workers_set_unsubscribe(struct workers *workers, const struct text_list *unsubscribe)
{
    workers->session.unsubscribe = *unsubscribe;
}

bool workers_has_unsubscribed(const struct workers *workers)
{
    return workers->receiver.is_up && workers->session.unsubscribe.count == 0;
}

/* ---- Both at one broker ---- */

static void compare_brokers(struct workers *workers)
{
    const struct worker *receiver = &workers->receiver;
    const struct worker *publisher = &workers->publisher;
    const struct settings *settings = workers->setup.settings;
    bool do_differ =
        receiver->is_up && publisher->is_up && receiver->attempt.uri != publisher->attempt.uri;
    if (!do_differ) {
        loop_timer_stop(workers->reunite);
    } else if (!loop_timer_is_running(workers->reunite)) {
        loop_timer_start(workers->reunite, settings->broker.reconnect_max_s * 1000);
    }
    if (do_differ == workers->do_brokers_differ) {
        return;
    }
    workers->do_brokers_differ = do_differ;
    if (do_differ) {
        const struct text_list *uris = &settings->broker.uris;
        LOG_WARN("brokers_differ", LOG_TEXT("receiver", uris->items[receiver->attempt.uri]),
                 LOG_TEXT("publisher", uris->items[publisher->attempt.uri]));
    }
    if (workers->hooks.brokers_differ != NULL) {
        workers->hooks.brokers_differ(workers->hooks.arg, do_differ);
    }
}

/* A new connection begins with the first address, and may find the other one there. */
static void reunite(void *arg)
{
    struct workers *workers = arg;
    struct worker *receiver = &workers->receiver;
    struct worker *publisher = &workers->publisher;
    struct worker *later = receiver->attempt.uri > publisher->attempt.uri ? receiver : publisher;
    if (later->is_wanted && !receiver->is_renewing && !publisher->is_renewing) {
        worker_renew(later);
    }
}

/* ---- Hooks of the workers ---- */

static void on_change(void *arg, struct worker *worker)
{
    struct workers *workers = arg;
    struct former *former = former_of(workers, worker);
    if (former != NULL) {
        loop_timer_stop(former->quiet);
    } else if (worker->role == WIRE_PUBLISHER) {
        workers->hooks.publisher_changed(workers->hooks.arg, worker->is_up);
    } else {
        workers->hooks.receiver_changed(workers->hooks.arg, worker->is_up);
    }
    compare_brokers(workers);
}

static void on_up(void *arg, struct worker *worker)
{
    struct workers *workers = arg;
    struct former *former = former_of(workers, worker);
    if (loop_timer_is_running(workers->overlap)) {
        loop_timer_start(workers->overlap, OVERLAP_MS);
    }
    if (former != NULL) {
        former_is_up(former);
        return;
    }
    if (worker->role == WIRE_RECEIVER && !worker->is_outdated && !worker->is_ending) {
        workers->session.unsubscribe.count = 0; /* it has unsubscribed */
    }
    on_change(workers, worker);
    workers_let_go_on(workers);
    renew_next(workers);
}

static void on_failed(void *arg, struct worker *worker, const char *reason, const char *text)
{
    struct workers *workers = arg;
    struct former *former = former_of(workers, worker);
    if (former != NULL) {
        former->was_tried = true;
        workers_let_go_on(workers);
    } else if (workers->hooks.failed != NULL) {
        workers->hooks.failed(workers->hooks.arg, reason, text);
    }
}

static void on_delivered(void *arg, struct worker *worker, const struct delivery *delivery)
{
    struct workers *workers = arg;
    struct mqtt_ticket ticket = {worker->generation, worker->delivered_count - 1};
    struct former *former = former_of(workers, worker);
    if (former != NULL && loop_timer_is_running(former->quiet)) {
        loop_timer_start(former->quiet, WORKERS_QUIET_MS);
    }
    struct delivery marked = *delivery;
    char mark[DIGEST_SHA256_HEX_BYTES];
    marked.is_former |= former != NULL;
    bool is_adopted = former != NULL && former->is_adopted;
    if (!is_adopted && loop_timer_is_running(workers->overlap)) {
        if (marked.is_former) {
            loop_timer_start(workers->overlap, OVERLAP_MS);
        }
        if (copies_mark(&workers->copies, &marked, mark)) {
            marked.copy_mark = slice_text(mark);
        }
    }
    workers->hooks.delivered(workers->hooks.arg, &marked, ticket);
}

static void on_published(void *arg, int64_t id, bool has_subscriber)
{
    struct workers *workers = arg;
    workers->hooks.published(workers->hooks.arg, id, has_subscriber);
}

static void on_unpublished(void *arg, int64_t id, uint32_t code, struct slice why)
{
    struct workers *workers = arg;
    workers->hooks.unpublished(workers->hooks.arg, id, code, why);
}

static void on_expired(void *arg, int64_t id)
{
    struct workers *workers = arg;
    if (workers->hooks.expired != NULL) {
        workers->hooks.expired(workers->hooks.arg, id);
    }
}

static void on_ended(void *arg, struct worker *worker)
{
    struct workers *workers = arg;
    struct former *former = former_of(workers, worker);
    if (former != NULL && (former->is_over || former->is_left)) {
        loop_timer_stop(former->quiet);
        workers->hooks.session_ended(workers->hooks.arg, former->session.client_id);
    }
    if (worker == &workers->receiver) {
        former_start_next(workers);
    }
    if (workers->is_stopping && !is_anyone_running(workers)) {
        loop_timer_start(workers->stopped, 0);
    }
}

/* ---- Messages ---- */

void workers_ack(struct workers *workers, struct mqtt_ticket ticket, bool is_durable)
{
    worker_ack(&workers->receiver, ticket.generation, ticket.number, is_durable);
    for (size_t i = 0; i < workers->former_count; i++) {
        worker_ack(&workers->former[i].worker, ticket.generation, ticket.number, is_durable);
    }
}

bool workers_may_publish(const struct workers *workers)
{
    return worker_may_publish(&workers->publisher);
}

void workers_publish(struct workers *workers, int64_t id, int64_t valid_until_ms,
                     struct slice message)
{
    worker_publish(&workers->publisher, id, valid_until_ms, message);
}

/* ---- Start and stop ---- */

void workers_kill(struct workers *workers)
{
    worker_kill(&workers->receiver);
    worker_kill(&workers->publisher);
    for (size_t i = 0; i < workers->former_count; i++) {
        worker_kill(&workers->former[i].worker);
    }
}

static void kill_all(void *arg)
{
    workers_kill(arg);
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
        .generations = &workers->generations,
        .hooks = {.arg = workers,
                  .connected = on_connected,
                  .up = on_up,
                  .down = on_change,
                  .failed = on_failed,
                  .delivered = on_delivered,
                  .published = on_published,
                  .unpublished = on_unpublished,
                  .expired = on_expired,
                  .ended = on_ended},
    };
    workers->hooks = *hooks;
    workers->overlap = loop_timer_new(loop, overlap_over, workers);
    workers->kill = loop_timer_new(loop, kill_all, workers);
    workers->stopped = loop_timer_new(loop, report_stopped, workers);
    workers->reunite = loop_timer_new(loop, reunite, workers);
    worker_init(&workers->receiver, &workers->setup, WIRE_RECEIVER, &workers->session);
    worker_init(&workers->publisher, &workers->setup, WIRE_PUBLISHER, NULL);
    return workers;
}

void workers_start(struct workers *workers)
{
    if (landlock_version() == 0) {
        LOG_INFO("landlock_missing",
                 LOG_TEXT("text", "seccomp alone keeps the MQTT processes from files"));
    }
    for (size_t i = 0; i < workers->former_count; i++) {
        worker_start(&workers->former[i].worker);
    }
    if (!workers->is_leaving) {
        worker_start(&workers->receiver);
    }
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
    for (size_t i = 0; i < workers->former_count; i++) {
        loop_timer_stop(workers->former[i].quiet);
        worker_stop(&workers->former[i].worker);
    }
}

void workers_stop(struct workers *workers, int64_t timeout_ms)
{
    if (workers->is_stopping) {
        return;
    }
    workers->is_stopping = true;
    workers_stop_intake(workers);
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
    for (size_t i = 0; i < workers->former_count; i++) {
        worker_fini(&workers->former[i].worker);
        loop_timer_free(workers->former[i].quiet);
    }
    free(workers->former);
    copies_fini(&workers->copies);
    loop_timer_free(workers->overlap);
    loop_timer_free(workers->kill);
    loop_timer_free(workers->stopped);
    loop_timer_free(workers->reunite);
    for (size_t i = 0; i < ENVIRONMENT_COUNT; i++) {
        free(workers->environment[i]);
    }
    free(workers);
}
