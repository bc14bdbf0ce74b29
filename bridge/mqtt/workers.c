/*
 * A worker is one MQTT connection: started, then read until its end of file, reaped, and started
 * anew after a pause. Nothing is freed while frames are taken in, so the hooks may call any
 * function of the workers but workers_free().
 */
#include "mqtt/workers.h"

#include "base/crash_point.h"
#include "base/hardening.h"
#include "base/log.h"
#include "base/mem.h"
#include "workers_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_BYTES_MAX (1u << 20) /* handed to the publisher and not yet written to it */

static size_t receiver_count(const struct workers *workers)
{
    return workers->worker_count - 1;
}

static struct worker *publisher_of(const struct workers *workers)
{
    return &workers->children[workers->worker_count - 1];
}

size_t workers_receivers_up(const struct workers *workers)
{
    size_t up_count = 0;
    for (size_t i = 0; i < receiver_count(workers); i++) {
        up_count += workers->children[i].is_up;
    }
    return up_count;
}

void worker_tell_change(struct worker *worker)
{
    struct workers *workers = worker->workers;
    if (worker->role == WIRE_PUBLISHER) {
        workers->hooks.publisher_changed(workers->hooks.arg, worker->is_up);
    } else {
        workers->hooks.receivers_changed(workers->hooks.arg, workers_receivers_up(workers),
                                         receiver_count(workers));
    }
}

/* ---- What a worker says ---- */

static void set_last_words(struct worker *worker, enum wire_down_reason reason, uint32_t code,
                           struct slice text)
{
    worker->has_last_words = true;
    worker->reason = reason;
    worker->code = code;
    snprintf(worker->text, sizeof worker->text, "%.*s",
             (int)(text.length < WORKER_TEXT_BYTES ? text.length : WORKER_TEXT_BYTES), text.data);
}

/* It is the same program: this is a bug or a broken memory, and a new process the cure. */
static void worker_talks_garbage(struct worker *worker)
{
    set_last_words(worker, WIRE_DOWN_INTERNAL, 0, slice_text("it sent something that is no frame"));
    worker_kill(worker);
    worker->control.is_broken = true;
    worker->delivery.is_broken = true;
}

static enum status worker_up(struct worker *worker, const struct wire_up *up)
{
    struct workers *workers = worker->workers;
    if (worker->is_up) {
        return STATUS_INVALID;
    }
    const struct text_list *uris = &workers->settings->broker.uris;
    LOG_INFO(
        worker->role == WIRE_PUBLISHER ? "publisher_up" : "receiver_up",
        LOG_TEXT("process", worker->name), LOG_TEXT("client_id", worker->client_id),
        LOG_TEXT("broker", up->address_index < uris->count ? uris->items[up->address_index] : ""),
        LOG_INT("session_present", up->is_session_present),
        LOG_INT("receive_maximum", up->receive_maximum),
        LOG_INT("packet_bytes_max", up->packet_bytes_max));
    worker->is_up = true;
    worker->is_renewed = false;
    worker->up_ms = loop_now_ms(workers->loop);
    if (worker->role == WIRE_RECEIVER) {
        workers->hooks.session_opened(workers->hooks.arg, worker->index, worker->client_id,
                                      up->is_session_present);
    }
    worker_tell_change(worker);
    workers_renew_next(workers);
    return STATUS_OK;
}

static enum status control_frame(struct worker *worker, const struct wire_frame *frame)
{
    const struct workers_hooks *hooks = &worker->workers->hooks;
    bool is_publisher = worker->role == WIRE_PUBLISHER;
    if (frame->type == WIRE_UP) {
        return worker_up(worker, &frame->up);
    }
    if (frame->type == WIRE_DOWN) {
        set_last_words(worker, frame->down.reason, frame->down.code, frame->down.text);
    } else if (frame->type == WIRE_PUBLISHED && is_publisher) {
        worker->has_worked = true;
        hooks->published(hooks->arg, frame->published.id);
    } else if (frame->type == WIRE_UNPUBLISHED && is_publisher) {
        hooks->unpublished(hooks->arg, frame->unpublished.id, frame->unpublished.is_final,
                           frame->unpublished.text);
    } else {
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status delivery_frame(struct worker *worker, const struct wire_frame *frame)
{
    struct workers *workers = worker->workers;
    struct delivery delivery;
    if (frame->type != WIRE_DELIVERY || delivery_decode(frame->delivery, &delivery) != STATUS_OK) {
        return STATUS_INVALID;
    }
    struct mqtt_ticket ticket = {worker->index, worker->generation};
    counter_add(workers->counters, COUNTER_RECEIVED, 1);
    workers->hooks.delivered(workers->hooks.arg, &delivery, ticket);
    return STATUS_OK;
}

typedef enum status frame_fn(struct worker *worker, const struct wire_frame *frame);

static void take_frames(struct worker *worker, struct frame_link *link, frame_fn *take)
{
    struct wire_frame frame;
    enum status status;
    while ((status = frame_link_next(link, &frame)) == STATUS_OK) {
        status = take(worker, &frame);
        if (status != STATUS_OK) {
            break;
        }
    }
    if (status == STATUS_INVALID) {
        worker_talks_garbage(worker);
    }
}

void worker_take_control(struct worker *worker)
{
    take_frames(worker, &worker->control, control_frame);
}

static void link_ready(struct worker *worker, struct frame_link *link, int events, frame_fn *take)
{
    if ((events & LOOP_WRITE) != 0) {
        frame_link_flush(link);
    }
    if ((events & LOOP_READ) == 0) {
        return;
    }
    enum status status = frame_link_read(link);
    if (status == STATUS_OK) {
        take_frames(worker, link, take);
    } else if (status == STATUS_CLOSED) {
        /* It is ending; where it does not, it is of no use any more. */
        worker_kill(worker);
    }
}

void worker_control_ready(void *arg, int events)
{
    struct worker *worker = arg;
    link_ready(worker, &worker->control, events, control_frame);
}

void worker_delivery_ready(void *arg, int events)
{
    struct worker *worker = arg;
    link_ready(worker, &worker->delivery, events, delivery_frame);
}

/* ---- Orders to the children ---- */

void workers_ack(struct workers *workers, struct mqtt_ticket ticket, bool is_durable)
{
    assert(ticket.receiver < receiver_count(workers));
    struct worker *worker = &workers->children[ticket.receiver];
    if (worker->generation != ticket.generation || !frame_link_is_open(&worker->delivery)) {
        return;
    }
    worker->has_worked = worker->has_worked || is_durable;
    wire_put(&worker->delivery.out, &(struct wire_frame){WIRE_ACK, .ack = {is_durable}});
    frame_link_flush(&worker->delivery);
}

bool workers_may_publish(const struct workers *workers)
{
    const struct worker *publisher = publisher_of(workers);
    return publisher->is_up && publisher->is_wanted &&
           publisher->control.out.length <= OUT_BYTES_MAX;
}

bool workers_has_publisher_crashed(const struct workers *workers)
{
    const struct worker *publisher = publisher_of(workers);
    return publisher->generation > 0 && publisher->process == NULL && !publisher->has_last_words;
}

static void flush_publisher(void *arg)
{
    frame_link_flush(&publisher_of(arg)->control);
}

void workers_publish(struct workers *workers, int64_t id, struct slice message)
{
    struct worker *publisher = publisher_of(workers);
    assert(publisher->is_up);
    wire_put(&publisher->control.out, &(struct wire_frame){WIRE_PUBLISH, .publish = {id, message}});
    /* What is handed over in one turn goes in one write. */
    if (!loop_timer_is_running(workers->flush)) {
        loop_timer_start(workers->flush, 0);
    }
}

static void worker_order_stop(struct worker *worker)
{
    wire_put(&worker->control.out, &(struct wire_frame){.type = WIRE_STOP});
    frame_link_flush(&worker->control);
}

/* One that has no connection yet holds nothing, and may be waiting for the old broker. */
static void worker_renew(struct worker *worker)
{
    worker->is_renewed = true;
    worker->is_ending = worker->process != NULL;
    if (!worker->is_ending) {
        loop_timer_start(worker->restart, 0);
    } else if (worker->is_up) {
        worker_order_stop(worker);
    } else {
        worker_kill(worker);
    }
}

void workers_renew_next(struct workers *workers)
{
    struct worker *next = NULL;
    for (size_t i = 0; i < workers->worker_count; i++) {
        struct worker *worker = &workers->children[i];
        if (worker->is_renewed || !worker->is_wanted) {
            return;
        }
        if (worker->is_outdated && next == NULL) {
            next = worker;
        }
    }
    if (next != NULL) {
        worker_renew(next);
    }
}

void workers_renew(struct workers *workers)
{
    for (size_t i = 0; i < workers->worker_count; i++) {
        struct worker *worker = &workers->children[i];
        if (!worker->is_ending) {
            /* One that is being renewed has begun with what is old by now. */
            worker->is_outdated = true;
            worker->is_renewed = false;
        }
    }
    workers_renew_next(workers);
}

static void worker_stop(struct worker *worker)
{
    if (!worker->is_wanted) {
        return;
    }
    worker->is_wanted = false;
    loop_timer_stop(worker->restart);
    if (worker->process != NULL) {
        worker_order_stop(worker);
    }
}

void workers_stop_intake(struct workers *workers)
{
    for (size_t i = 0; i < receiver_count(workers); i++) {
        worker_stop(&workers->children[i]);
    }
}

bool workers_is_anyone_left(const struct workers *workers)
{
    for (size_t i = 0; i < workers->worker_count; i++) {
        if (workers->children[i].process != NULL) {
            return true;
        }
    }
    return false;
}

static void kill_all(void *arg)
{
    struct workers *workers = arg;
    for (size_t i = 0; i < workers->worker_count; i++) {
        worker_kill(&workers->children[i]);
    }
}

void workers_stop(struct workers *workers, int64_t timeout_ms)
{
    if (workers->is_stopping) {
        return;
    }
    workers->is_stopping = true;
    for (size_t i = 0; i < workers->worker_count; i++) {
        worker_stop(&workers->children[i]);
    }
    if (workers_is_anyone_left(workers)) {
        loop_timer_start(workers->kill, timeout_ms);
    } else {
        loop_timer_start(workers->stopped, 0);
    }
}

static void tell_stopped(void *arg)
{
    struct workers *workers = arg;
    loop_timer_stop(workers->kill);
    workers->hooks.stopped(workers->hooks.arg); /* which may free the workers */
}

/* ---- Beginning and end ---- */

/* The children's whole environment: where OpenSSL finds the authorities it trusts, and whether they
 * may be debugged. */
static void set_environment(struct workers *workers)
{
    static const char *const names[] = {
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        GUARD_OFF_VARIABLE,
#ifdef BRIDGE_CRASH_POINTS
        CRASH_POINT_VARIABLE,
#endif
    };
    _Static_assert(sizeof names / sizeof names[0] <= WORKER_ENVIRONMENT_VALUES, "room for all");
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL) {
            struct buf text = {0};
            buf_printf(&text, "%s=%s", names[i], value);
            workers->environment[count++] = buf_take(&text);
        }
    }
}

static void worker_restart(void *arg)
{
    worker_start(arg);
}

static void worker_init(struct worker *worker, struct workers *workers, size_t position)
{
    bool is_publisher = position == receiver_count(workers);
    worker->workers = workers;
    worker->role = is_publisher ? WIRE_PUBLISHER : WIRE_RECEIVER;
    worker->index = is_publisher ? 0 : (uint32_t)position;
    worker->control = (struct frame_link)FRAME_LINK_CLOSED;
    worker->delivery = (struct frame_link)FRAME_LINK_CLOSED;
    worker->restart = loop_timer_new(workers->loop, worker_restart, worker);
    if (is_publisher) {
        snprintf(worker->name, sizeof worker->name, "publisher");
    } else {
        snprintf(worker->name, sizeof worker->name, "receiver-%u", worker->index + 1);
    }
}

struct workers *workers_new(struct loop *loop, const struct settings *settings,
                            const struct tls_files *tls, const char *program, struct slice will,
                            struct counters *counters, const struct workers_hooks *hooks)
{
    struct workers *workers = mem_zalloc(1, sizeof *workers);
    workers->loop = loop;
    workers->settings = settings;
    workers->tls = tls;
    workers->program = program;
    workers->will = will;
    workers->counters = counters;
    workers->hooks = *hooks;
    workers->flush = loop_timer_new(loop, flush_publisher, workers);
    workers->kill = loop_timer_new(loop, kill_all, workers);
    workers->stopped = loop_timer_new(loop, tell_stopped, workers);
    set_environment(workers);
    workers->worker_count = (size_t)settings->broker.receivers + 1;
    workers->children = mem_zalloc(workers->worker_count, sizeof *workers->children);
    for (size_t i = 0; i < workers->worker_count; i++) {
        worker_init(&workers->children[i], workers, i);
    }
    return workers;
}

void workers_start(struct workers *workers)
{
    for (size_t i = 0; i < workers->worker_count; i++) {
        workers->children[i].is_wanted = true;
        worker_start(&workers->children[i]);
    }
}

void workers_free(struct workers *workers)
{
    if (workers == NULL) {
        return;
    }
    kill_all(workers);
    for (size_t i = 0; i < workers->worker_count; i++) {
        worker_close(&workers->children[i]);
        loop_timer_free(workers->children[i].restart);
    }
    loop_timer_free(workers->flush);
    loop_timer_free(workers->kill);
    loop_timer_free(workers->stopped);
    for (size_t i = 0; i < WORKER_ENVIRONMENT_VALUES; i++) {
        free(workers->environment[i]);
    }
    free(workers->children);
    free(workers);
}
