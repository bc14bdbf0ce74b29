/*
 * A child is one MQTT connection: started, then read until its end of file, reaped, and started
 * anew after a pause. Nothing is freed while frames are taken in, so the hooks may call any
 * function of the port but mqtt_port_free().
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

static size_t receiver_count(const struct mqtt_port *port)
{
    return port->child_count - 1;
}

static struct child *publisher_of(const struct mqtt_port *port)
{
    return &port->children[port->child_count - 1];
}

size_t mqtt_port_receivers_up(const struct mqtt_port *port)
{
    size_t up_count = 0;
    for (size_t i = 0; i < receiver_count(port); i++) {
        up_count += port->children[i].is_up;
    }
    return up_count;
}

void child_tell_change(struct child *child)
{
    struct mqtt_port *port = child->port;
    if (child->role == WIRE_PUBLISHER) {
        port->hooks.publisher_changed(port->hooks.arg, child->is_up);
    } else {
        port->hooks.receivers_changed(port->hooks.arg, mqtt_port_receivers_up(port),
                                      receiver_count(port));
    }
}

/* ---- What a child says ---- */

static void set_last_words(struct child *child, enum wire_down_reason reason, uint32_t code,
                           struct slice text)
{
    child->has_last_words = true;
    child->reason = reason;
    child->code = code;
    snprintf(child->text, sizeof child->text, "%.*s",
             (int)(text.length < CHILD_TEXT_BYTES ? text.length : CHILD_TEXT_BYTES), text.data);
}

/* It is the same program: this is a bug or a broken memory, and a new process the cure. */
static void child_talks_garbage(struct child *child)
{
    set_last_words(child, WIRE_DOWN_INTERNAL, 0, slice_text("it sent something that is no frame"));
    child_kill(child);
    child->control.is_broken = true;
    child->delivery.is_broken = true;
}

static enum status child_up(struct child *child, struct slice body)
{
    struct mqtt_port *port = child->port;
    struct wire_up up;
    if (child->is_up || wire_get_up(body, &up) != STATUS_OK) {
        return STATUS_INVALID;
    }
    const struct text_list *uris = &port->settings->broker.uris;
    LOG_INFO(child->role == WIRE_PUBLISHER ? "publisher_up" : "receiver_up",
             LOG_TEXT("process", child->name), LOG_TEXT("client_id", child->client_id),
             LOG_TEXT("broker", up.uri_index < uris->count ? uris->items[up.uri_index] : ""),
             LOG_INT("session_present", up.is_session_present),
             LOG_INT("receive_maximum", up.receive_maximum),
             LOG_INT("packet_bytes_max", up.packet_bytes_max));
    child->is_up = true;
    child->is_renewed = false;
    child->up_ms = loop_now_ms(port->loop);
    if (child->role == WIRE_RECEIVER) {
        port->hooks.session_opened(port->hooks.arg, child->index, child->client_id,
                                   up.is_session_present);
    }
    child_tell_change(child);
    mqtt_port_renew_next(port);
    return STATUS_OK;
}

static enum status child_down(struct child *child, struct slice body)
{
    struct wire_down down;
    enum status status = wire_get_down(body, &down);
    if (status == STATUS_OK) {
        set_last_words(child, down.reason, down.code, down.text);
    }
    return status;
}

static enum status child_published(struct child *child, struct slice body)
{
    struct mqtt_port_hooks *hooks = &child->port->hooks;
    int64_t id;
    enum status status = wire_get_published(body, &id);
    if (status == STATUS_OK) {
        child->has_worked = true;
        hooks->published(hooks->arg, id);
    }
    return status;
}

static enum status child_unpublished(struct child *child, struct slice body)
{
    struct mqtt_port_hooks *hooks = &child->port->hooks;
    struct wire_unpublished mark;
    enum status status = wire_get_unpublished(body, &mark);
    if (status == STATUS_OK) {
        hooks->unpublished(hooks->arg, mark.id, mark.is_final, mark.text);
    }
    return status;
}

static enum status control_frame(struct child *child, const struct wire_frame *frame)
{
    bool is_publisher = child->role == WIRE_PUBLISHER;
    if (frame->type == WIRE_UP) {
        return child_up(child, frame->body);
    }
    if (frame->type == WIRE_DOWN) {
        return child_down(child, frame->body);
    }
    if (frame->type == WIRE_PUBLISHED && is_publisher) {
        return child_published(child, frame->body);
    }
    if (frame->type == WIRE_UNPUBLISHED && is_publisher) {
        return child_unpublished(child, frame->body);
    }
    return STATUS_INVALID;
}

static enum status delivery_frame(struct child *child, const struct wire_frame *frame)
{
    struct mqtt_port *port = child->port;
    struct delivery delivery;
    if (frame->type != WIRE_DELIVERY || delivery_decode(frame->body, &delivery) != STATUS_OK) {
        return STATUS_INVALID;
    }
    struct mqtt_ticket ticket = {child->index, child->generation};
    counter_add(port->counters, COUNTER_RECEIVED, 1);
    port->hooks.delivered(port->hooks.arg, &delivery, ticket);
    return STATUS_OK;
}

typedef enum status frame_fn(struct child *child, const struct wire_frame *frame);

static void take_frames(struct child *child, struct frame_link *link, frame_fn *take)
{
    struct wire_frame frame;
    enum status status;
    while ((status = frame_link_next(link, &frame)) == STATUS_OK) {
        status = take(child, &frame);
        if (status != STATUS_OK) {
            break;
        }
    }
    if (status == STATUS_INVALID) {
        child_talks_garbage(child);
    }
}

void child_take_control(struct child *child)
{
    take_frames(child, &child->control, control_frame);
}

static void link_ready(struct child *child, struct frame_link *link, int events, frame_fn *take)
{
    if ((events & LOOP_WRITE) != 0) {
        frame_link_flush(link);
    }
    if ((events & LOOP_READ) == 0) {
        return;
    }
    enum status status = frame_link_read(link);
    if (status == STATUS_OK) {
        take_frames(child, link, take);
    } else if (status == STATUS_CLOSED) {
        /* It is ending; where it does not, it is of no use any more. */
        child_kill(child);
    }
}

void child_control_ready(void *arg, int events)
{
    struct child *child = arg;
    link_ready(child, &child->control, events, control_frame);
}

void child_delivery_ready(void *arg, int events)
{
    struct child *child = arg;
    link_ready(child, &child->delivery, events, delivery_frame);
}

/* ---- Orders to the children ---- */

void mqtt_port_settle(struct mqtt_port *port, struct mqtt_ticket ticket, bool is_durable)
{
    assert(ticket.receiver < receiver_count(port));
    struct child *child = &port->children[ticket.receiver];
    if (child->generation != ticket.generation || !frame_link_is_open(&child->delivery)) {
        return;
    }
    child->has_worked = child->has_worked || is_durable;
    wire_put_verdict(&child->delivery.out, is_durable);
    frame_link_flush(&child->delivery);
}

bool mqtt_port_may_publish(const struct mqtt_port *port)
{
    const struct child *publisher = publisher_of(port);
    return publisher->is_up && publisher->is_wanted &&
           publisher->control.out.length <= OUT_BYTES_MAX;
}

bool mqtt_port_has_publisher_crashed(const struct mqtt_port *port)
{
    const struct child *publisher = publisher_of(port);
    return publisher->generation > 0 && publisher->process == NULL && !publisher->has_last_words;
}

static void flush_publisher(void *arg)
{
    frame_link_flush(&publisher_of(arg)->control);
}

void mqtt_port_publish(struct mqtt_port *port, int64_t id, struct slice message)
{
    struct child *publisher = publisher_of(port);
    assert(publisher->is_up);
    wire_put_publish(&publisher->control.out, id, message);
    /* What is handed over in one turn goes in one write. */
    if (!loop_timer_is_running(port->flush)) {
        loop_timer_start(port->flush, 0);
    }
}

static void child_order_stop(struct child *child)
{
    wire_put(&child->control.out, WIRE_STOP, (struct slice){0});
    frame_link_flush(&child->control);
}

/* One that has no connection yet holds nothing, and may be waiting for the old broker. */
static void child_renew(struct child *child)
{
    child->is_renewed = true;
    child->is_ending = child->process != NULL;
    if (!child->is_ending) {
        loop_timer_start(child->restart, 0);
    } else if (child->is_up) {
        child_order_stop(child);
    } else {
        child_kill(child);
    }
}

void mqtt_port_renew_next(struct mqtt_port *port)
{
    struct child *next = NULL;
    for (size_t i = 0; i < port->child_count; i++) {
        struct child *child = &port->children[i];
        if (child->is_renewed || !child->is_wanted) {
            return;
        }
        if (child->is_outdated && next == NULL) {
            next = child;
        }
    }
    if (next != NULL) {
        child_renew(next);
    }
}

void mqtt_port_renew(struct mqtt_port *port)
{
    for (size_t i = 0; i < port->child_count; i++) {
        struct child *child = &port->children[i];
        if (!child->is_ending) {
            /* One that is being renewed has begun with what is old by now. */
            child->is_outdated = true;
            child->is_renewed = false;
        }
    }
    mqtt_port_renew_next(port);
}

static void child_stop(struct child *child)
{
    if (!child->is_wanted) {
        return;
    }
    child->is_wanted = false;
    loop_timer_stop(child->restart);
    if (child->process != NULL) {
        child_order_stop(child);
    }
}

void mqtt_port_stop_intake(struct mqtt_port *port)
{
    for (size_t i = 0; i < receiver_count(port); i++) {
        child_stop(&port->children[i]);
    }
}

bool mqtt_port_is_anyone_left(const struct mqtt_port *port)
{
    for (size_t i = 0; i < port->child_count; i++) {
        if (port->children[i].process != NULL) {
            return true;
        }
    }
    return false;
}

static void kill_all(void *arg)
{
    struct mqtt_port *port = arg;
    for (size_t i = 0; i < port->child_count; i++) {
        child_kill(&port->children[i]);
    }
}

void mqtt_port_stop(struct mqtt_port *port, int64_t timeout_ms)
{
    if (port->is_stopping) {
        return;
    }
    port->is_stopping = true;
    for (size_t i = 0; i < port->child_count; i++) {
        child_stop(&port->children[i]);
    }
    if (mqtt_port_is_anyone_left(port)) {
        loop_timer_start(port->kill, timeout_ms);
    } else {
        loop_timer_start(port->stopped, 0);
    }
}

static void tell_stopped(void *arg)
{
    struct mqtt_port *port = arg;
    loop_timer_stop(port->kill);
    port->hooks.stopped(port->hooks.arg); /* which may free the port */
}

/* ---- Beginning and end ---- */

/* The children's whole environment: where OpenSSL finds the authorities it trusts, and whether they
 * may be debugged. */
static void set_environment(struct mqtt_port *port)
{
    static const char *const names[] = {
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        GUARD_OFF_VARIABLE,
#ifdef BRIDGE_CRASH_POINTS
        CRASH_POINT_VARIABLE,
#endif
    };
    _Static_assert(sizeof names / sizeof names[0] <= CHILD_ENVIRONMENT_VALUES, "room for all");
    size_t count = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL) {
            struct buf text = {0};
            buf_printf(&text, "%s=%s", names[i], value);
            port->environment[count++] = buf_take(&text);
        }
    }
}

static void child_restart(void *arg)
{
    child_start(arg);
}

static void child_init(struct child *child, struct mqtt_port *port, size_t position)
{
    bool is_publisher = position == receiver_count(port);
    child->port = port;
    child->role = is_publisher ? WIRE_PUBLISHER : WIRE_RECEIVER;
    child->index = is_publisher ? 0 : (uint32_t)position;
    child->control = (struct frame_link)FRAME_LINK_CLOSED;
    child->delivery = (struct frame_link)FRAME_LINK_CLOSED;
    child->restart = loop_timer_new(port->loop, child_restart, child);
    if (is_publisher) {
        snprintf(child->name, sizeof child->name, "publisher");
    } else {
        snprintf(child->name, sizeof child->name, "receiver-%u", child->index + 1);
    }
}

struct mqtt_port *mqtt_port_new(struct loop *loop, const struct settings *settings,
                                const struct tls_files *tls, const char *program, struct slice will,
                                struct counters *counters, const struct mqtt_port_hooks *hooks)
{
    struct mqtt_port *port = mem_zalloc(1, sizeof *port);
    port->loop = loop;
    port->settings = settings;
    port->tls = tls;
    port->program = program;
    port->will = will;
    port->counters = counters;
    port->hooks = *hooks;
    port->flush = loop_timer_new(loop, flush_publisher, port);
    port->kill = loop_timer_new(loop, kill_all, port);
    port->stopped = loop_timer_new(loop, tell_stopped, port);
    set_environment(port);
    port->child_count = (size_t)settings->broker.receivers + 1;
    port->children = mem_zalloc(port->child_count, sizeof *port->children);
    for (size_t i = 0; i < port->child_count; i++) {
        child_init(&port->children[i], port, i);
    }
    return port;
}

void mqtt_port_start(struct mqtt_port *port)
{
    for (size_t i = 0; i < port->child_count; i++) {
        port->children[i].is_wanted = true;
        child_start(&port->children[i]);
    }
}

void mqtt_port_free(struct mqtt_port *port)
{
    if (port == NULL) {
        return;
    }
    kill_all(port);
    for (size_t i = 0; i < port->child_count; i++) {
        child_close(&port->children[i]);
        loop_timer_free(port->children[i].restart);
    }
    loop_timer_free(port->flush);
    loop_timer_free(port->kill);
    loop_timer_free(port->stopped);
    for (size_t i = 0; i < CHILD_ENVIRONMENT_VALUES; i++) {
        free(port->environment[i]);
    }
    free(port->children);
    free(port);
}
