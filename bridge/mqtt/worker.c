/*
 * All cleaning up is done in one place, process_ended(), when the loop reports that the process
 * has ended. Any error before that only kills it.
 */
#include "worker.h"

#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "worker_attempt.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_BYTES_MAX (1u << 20) /* handed to the publisher and not yet written to it */
/* A process that sends more than this is not our program any more. */
#define CONTROL_BYTES_MAX (128u << 10)               /* of a frame */
#define ACKS_BYTES_MAX    ((size_t)16 * WIRE_WINDOW) /* for a receiver, and not yet written to it */

static const struct {
    const char *name;
    const char *title;
    const char *up_event;
    const char *down_event;
    enum counter starts;
    enum counter crashes;
    enum counter reconnects;
    enum counter failures;
} roles[] = {
    [WIRE_RECEIVER] = {"receiver", WIRE_RECEIVER_TITLE, "receiver_up", "receiver_down",
                       COUNTER_RECEIVER_STARTS, COUNTER_RECEIVER_CRASHES,
                       COUNTER_RECEIVER_RECONNECTS, COUNTER_RECEIVER_FAILURES},
    [WIRE_PUBLISHER] = {"publisher", WIRE_PUBLISHER_TITLE, "publisher_up", "publisher_down",
                        COUNTER_PUBLISHER_STARTS, COUNTER_PUBLISHER_CRASHES,
                        COUNTER_PUBLISHER_RECONNECTS, COUNTER_PUBLISHER_FAILURES},
};

/* ---- Frames of the process ---- */

static void set_reason(struct worker *worker, enum wire_down_reason reason, uint32_t code,
                       struct slice text)
{
    struct worker_end *end = &worker->end;
    end->is_known = true;
    end->reason = reason;
    end->code = code;
    snprintf(end->text, sizeof end->text, "%.*s",
             (int)(text.length < WORKER_TEXT_BYTES ? text.length : WORKER_TEXT_BYTES), text.data);
}

static enum status read_up(struct worker *worker, const struct wire_up *up)
{
    const struct worker_setup *setup = worker->setup;
    if (worker->is_up) {
        return STATUS_INVALID;
    }
    LOG_INFO(roles[worker->role].up_event, LOG_TEXT("process", worker->name),
             LOG_TEXT("client_id", worker->client_id),
             LOG_TEXT("broker", setup->settings->broker.uris.items[worker->attempt.uri]),
             LOG_TEXT("ip", worker->attempt.ip == NULL ? "" : worker->attempt.ip),
             LOG_INT("session_present", up->is_session_present),
             LOG_INT("receive_maximum", up->receive_maximum),
             LOG_INT("packet_bytes_max", up->packet_bytes_max));
    counter_add(setup->counters, roles[worker->role].reconnects, worker->was_up ? 1 : 0);
    worker->is_up = true;
    worker->was_up = true;
    worker->is_renewing = false;
    worker->up_ms = loop_now_ms(setup->loop);
    worker->first_end = (struct worker_end){0};
    worker_attempt_report_limits(worker, up);
    setup->hooks.up(setup->hooks.arg, worker);
    return STATUS_OK;
}

static enum status read_connected(struct worker *worker, const struct wire_connected *connected)
{
    const struct worker_hooks *hooks = &worker->setup->hooks;
    if (worker->is_up || worker->is_waiting) {
        return STATUS_INVALID;
    }
    worker->is_waiting = true;
    hooks->connected(hooks->arg, worker, connected->is_session_present);
    return STATUS_OK;
}

static enum status control_frame(struct worker *worker, const struct wire_frame *frame)
{
    const struct worker_hooks *hooks = &worker->setup->hooks;
    bool is_publisher = worker->role == WIRE_PUBLISHER;
    if (worker->end.is_known) {
        return STATUS_INVALID; /* WIRE_DOWN is the last frame */
    }
    if (frame->type == WIRE_UP) {
        return read_up(worker, &frame->up);
    }
    if (frame->type == WIRE_CONNECTED && !is_publisher) {
        return read_connected(worker, &frame->connected);
    }
    if (frame->type == WIRE_DOWN) {
        set_reason(worker, frame->down.reason, frame->down.code, frame->down.text);
        if (frame->down.reason == WIRE_DOWN_KEEPALIVE && !is_publisher) {
            hooks->connected(hooks->arg, worker, frame->down.is_session_present);
        }
    } else if (frame->type == WIRE_PUBLISHED && is_publisher) {
        worker->has_worked = true;
        hooks->published(hooks->arg, frame->published.id, frame->published.has_subscriber);
    } else if (frame->type == WIRE_UNPUBLISHED && is_publisher) {
        hooks->unpublished(hooks->arg, frame->unpublished.id, frame->unpublished.code,
                           frame->unpublished.text);
    } else if (frame->type == WIRE_EXPIRED && is_publisher) {
        hooks->expired(hooks->arg, frame->expired.id);
    } else {
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status delivery_frame(struct worker *worker, const struct wire_frame *frame)
{
    const struct worker_hooks *hooks = &worker->setup->hooks;
    struct delivery delivery;
    if (frame->type != WIRE_DELIVERY || delivery_decode(frame->delivery, &delivery) != STATUS_OK) {
        return STATUS_INVALID;
    }
    if (worker->delivered_count - worker->acked_count >= WIRE_WINDOW) {
        return STATUS_LIMIT;
    }
    worker->delivered_count++;
    counter_add(worker->setup->counters, COUNTER_RECEIVED, 1);
    hooks->delivered(hooks->arg, worker, &delivery);
    return STATUS_OK;
}

/* The process is our own program: a bug, damaged memory, or somebody who has taken it over. A new
 * process is the cure. */
static void misbehaved(struct worker *worker, const char *how)
{
    set_reason(worker, WIRE_DOWN_INTERNAL, 0, slice_text(how));
    worker_kill(worker);
    worker->control.is_broken = true;
    worker->delivery.is_broken = true;
}

typedef enum status frame_fn(struct worker *worker, const struct wire_frame *frame);

static void read_frames(struct worker *worker, struct frame_link *link, frame_fn *read)
{
    struct wire_frame frame;
    enum status status;
    while ((status = wire_input_next(&link->in, &frame)) == STATUS_OK) {
        status = read(worker, &frame);
        if (status != STATUS_OK) {
            break;
        }
    }
    if (status == STATUS_INVALID) {
        misbehaved(worker, "it sent an invalid frame, or one that is too long");
    } else if (status == STATUS_LIMIT) {
        misbehaved(worker, "it sent more deliveries than may wait for an ack");
    }
}

static void link_ready(struct worker *worker, struct frame_link *link, int events, frame_fn *read)
{
    if ((events & LOOP_WRITE) != 0) {
        frame_link_flush(link);
    }
    if ((events & LOOP_READ) == 0) {
        return;
    }
    enum status status = frame_link_read(link);
    if (status == STATUS_OK) {
        read_frames(worker, link, read);
    } else if (status == STATUS_CLOSED) {
        /* It is ending. If it is not, it is of no use without its socket. */
        worker_kill(worker);
    }
}

static void control_ready(void *arg, int events)
{
    struct worker *worker = arg;
    link_ready(worker, &worker->control, events, control_frame);
}

static void delivery_ready(void *arg, int events)
{
    struct worker *worker = arg;
    link_ready(worker, &worker->delivery, events, delivery_frame);
}

/* ---- The end of a process ---- */

static const char *reason_of(const struct worker *worker, int signal_number)
{
    return worker->end.is_known ? wire_down_reason_text(worker->end.reason)
           : signal_number != 0 ? "killed"
                                : "crashed";
}

static void log_end(const struct worker *worker, const char *reason, int exit_status,
                    int signal_number, int64_t retry_ms)
{
    const char *event = roles[worker->role].down_event;
    if (retry_ms <= 0) {
        LOG_INFO(event, LOG_TEXT("process", worker->name), LOG_TEXT("reason", reason),
                 LOG_TEXT("text", worker->end.text));
    } else {
        LOG_WARN(event, LOG_TEXT("process", worker->name), LOG_TEXT("reason", reason),
                 LOG_INT("code", worker->end.code), LOG_TEXT("text", worker->end.text),
                 LOG_INT("exit_status", exit_status), LOG_INT("signal", signal_number),
                 LOG_INT("retry_in_ms", retry_ms));
    }
}

static void close_links(struct worker *worker)
{
    frame_link_close(&worker->control);
    frame_link_close(&worker->delivery);
    free(worker->client_id);
    worker->client_id = NULL;
}

/* The process, or the lookup in its place, is over. */
static void attempt_ended(struct worker *worker, int exit_status, int signal_number)
{
    const struct worker_hooks *hooks = &worker->setup->hooks;
    bool was_up = worker->is_up;
    bool is_replaced = worker->is_ending && worker->is_wanted;
    worker->is_ending = false;
    worker->is_up = false;
    worker->is_waiting = false;
    if (worker->is_wanted && !is_replaced && !was_up && worker_attempt_next(worker)) {
        log_end(worker, reason_of(worker, signal_number), exit_status, signal_number, 0);
        loop_timer_start(worker->restart, 0);
        return;
    }
    worker_attempt_reset(worker);
    if (!is_replaced) {
        worker_attempt_count_failure(worker, was_up);
    }
    /* A receiver that is being replaced only counts as down when the new process fails too. */
    bool is_receiver = worker->role == WIRE_RECEIVER;
    bool is_down = is_receiver ? !is_replaced && (was_up || worker->is_renewing) : was_up;
    if (is_down) {
        hooks->down(hooks->arg, worker);
    }
    const char *reason = reason_of(worker, signal_number);
    if (worker->is_wanted && !is_replaced) {
        counter_add(worker->setup->counters, roles[worker->role].failures, was_up ? 0 : 1);
        hooks->failed(hooks->arg, worker, reason, worker->end.text);
    }
    int64_t retry_ms = !worker->is_wanted ? -1 : is_replaced ? 0 : worker_attempt_delay_ms(worker);
    worker->retry_ms = retry_ms > 0 ? retry_ms : 0;
    log_end(worker, reason, exit_status, signal_number, retry_ms);
    if (worker->is_wanted) {
        loop_timer_start(worker->restart, retry_ms);
    } else {
        hooks->ended(hooks->arg, worker);
    }
}

static void process_ended(void *arg, int exit_status, int signal_number)
{
    struct worker *worker = arg;
    /* First: its pid may belong to another process from now on. */
    loop_process_free(worker->process);
    worker->process = NULL;
    /* The reason for its end may still be in the socket. Unread deliveries have no ack, so the
     * broker sends them again. */
    while (frame_link_read(&worker->control) == STATUS_OK) {
        read_frames(worker, &worker->control, control_frame);
    }
    close_links(worker);
    if (!worker->end.is_known && worker->is_wanted && !worker->is_ending) {
        counter_add(worker->setup->counters, roles[worker->role].crashes, 1);
    }
    attempt_ended(worker, exit_status, signal_number);
}

/* ---- The start of a process ---- */

/* The process's ends of the sockets block, ours do not. */
static bool make_pair(int out_fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out_fds) != 0) {
        out_fds[0] = -1;
        out_fds[1] = -1;
        return false;
    }
    return true;
}

static void close_if_open(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

/* 0, or an errno value. */
static int spawn(struct worker *worker, int control_fd, int delivery_fd, const int *tls_fds)
{
    const struct worker_setup *setup = worker->setup;
#ifdef BRIDGE_CRASH_POINTS
    if (worker->has_started) {
        crash_point_forget(setup->environment);
    }
#endif
    char *argv[] = {(char *)roles[worker->role].title, BRIDGE_VERSION, NULL};
    int fds[] = {-1,          STDERR_FILENO, STDERR_FILENO, control_fd,
                 delivery_fd, tls_fds[0],    tls_fds[1],    tls_fds[2]};
    struct loop_process_options options = {
        .path = setup->program,
        .argv = argv,
        .envp = setup->environment,
        .fds = fds,
        .fd_count = WIRE_TLS_FD + WIRE_TLS_FD_COUNT,
    };
    int error = 0;
    worker->process = loop_process_start(setup->loop, &options, process_ended, worker, &error);
    return error;
}

/* Starts a process with its sockets; 0, or an errno value. */
static int spawn_linked(struct worker *worker, const int *tls_fds, uint32_t payload_bytes_max)
{
    struct loop *loop = worker->setup->loop;
    bool is_receiver = worker->role == WIRE_RECEIVER;
    int control[2] = {-1, -1};
    int delivery[2] = {-1, -1};
    int error = EMFILE;
    if (make_pair(control) && (!is_receiver || make_pair(delivery))) {
        error = spawn(worker, control[1], delivery[1], tls_fds);
    }
    close_if_open(control[1]);
    close_if_open(delivery[1]);
    if (error != 0) {
        close_if_open(control[0]);
        close_if_open(delivery[0]);
        return error;
    }
    frame_link_open(&worker->control, loop, control[0], CONTROL_BYTES_MAX, control_ready, worker);
    if (is_receiver) {
        frame_link_open(&worker->delivery, loop, delivery[0],
                        payload_bytes_max + WIRE_DELIVERY_BYTES_MORE, delivery_ready, worker);
    }
    return 0;
}

static void process_started(struct worker *worker, const struct connect_params *params)
{
    counter_add(worker->setup->counters, roles[worker->role].starts, 1);
    worker->generation = ++*worker->setup->generations;
    worker->has_started = true;
    worker->client_id = mem_dup(params->client_id.data, params->client_id.length);
    worker->delivered_count = 0;
    worker->acked_count = 0;
    worker->is_up = false;
    worker->is_outdated = false;
    worker->has_worked = false;
    worker->end = (struct worker_end){0};
    struct buf *out = &worker->control.out;
    wire_put_connect_params(out, params);
    frame_link_flush(&worker->control);
    if (out->length == 0 && out->data != NULL) {
        secret_wipe(out->data, out->capacity); /* the passwords */
    }
}

static void start_process(struct worker *worker)
{
    const struct worker_setup *setup = worker->setup;
    struct connect_params params;
    const char *why = "";
    worker->attempt.session = worker->session;
    worker->attempt.has_no_retain = worker->has_no_retain;
    worker->attempt.has_no_qos_1 = worker->has_no_qos_1;
    enum status status = connect_params_init(&params, setup->settings, setup->tls, worker->role,
                                             &worker->attempt, setup->will, &why);
    memcpy(worker->name, params.name, sizeof worker->name);
    connect_params_move_files(&params);
    int error =
        status == STATUS_OK ? spawn_linked(worker, params.tls_fds, params.payload_bytes_max) : 0;
    why = error != 0 ? strerror(error) : why;
    if (status != STATUS_OK || error != 0) {
        counter_add(setup->counters, roles[worker->role].failures, 1);
        worker->failures++;
        worker_attempt_reset(worker);
        int64_t retry_ms = worker_attempt_delay_ms(worker);
        LOG_ERROR(roles[worker->role].down_event, LOG_TEXT("process", worker->name),
                  LOG_TEXT("reason", "not_started"), LOG_TEXT("text", why),
                  LOG_INT("retry_in_ms", retry_ms));
        loop_timer_start(worker->restart, retry_ms);
        if (worker->role == WIRE_RECEIVER && worker->is_renewing) {
            setup->hooks.down(setup->hooks.arg, worker);
        }
        setup->hooks.failed(setup->hooks.arg, worker, "not_started", why);
    } else {
        process_started(worker, &params);
    }
    connect_params_fini(&params);
}

static void stop_lookup(struct worker *worker)
{
    lookup_free(worker->lookup);
    worker->lookup = NULL;
}

static void lookup_done(void *arg, const struct lookup_result *result)
{
    struct worker *worker = arg;
    worker->addresses = *result;
    worker->address = 0;
    stop_lookup(worker);
    if (worker->addresses.count > 0) {
        worker->attempt.ip = worker->addresses.addresses[0];
        start_process(worker);
    } else {
        struct buf text = {0};
        buf_printf(&text, "%s: %s", worker->setup->settings->broker.uris.items[worker->attempt.uri],
                   worker->addresses.error);
        set_reason(worker, WIRE_DOWN_CONNECT, 0, buf_slice(&text));
        buf_fini(&text);
        attempt_ended(worker, 0, 0);
    }
}

/* The next attempt: a process, or before it the addresses of the host name. */
static void start_attempt(void *arg)
{
    struct worker *worker = arg;
    const struct worker_setup *setup = worker->setup;
    char *host = NULL;
    if (worker->attempt.ip == NULL &&
        connect_params_needs_lookup(setup->settings, worker->attempt.uri, &host)) {
        worker->lookup = lookup_start(setup->loop, host, lookup_done, worker);
        free(host);
    } else {
        start_process(worker);
    }
}

/* ---- Orders of the owner ---- */

static void flush_links(void *arg)
{
    struct worker *worker = arg;
    frame_link_flush(&worker->control);
    frame_link_flush(&worker->delivery);
}

/* What is sent in one turn of the loop goes in one write. */
static void flush_soon(struct worker *worker)
{
    if (!loop_timer_is_running(worker->flush)) {
        loop_timer_start(worker->flush, 0);
    }
}

void worker_init(struct worker *worker, const struct worker_setup *setup, enum wire_role role,
                 const struct mqtt_session *session)
{
    *worker = (struct worker){
        .setup = setup,
        .role = role,
        .session = session,
        .control = FRAME_LINK_CLOSED,
        .delivery = FRAME_LINK_CLOSED,
        .restart = loop_timer_new(setup->loop, start_attempt, worker),
        .flush = loop_timer_new(setup->loop, flush_links, worker),
    };
    snprintf(worker->name, sizeof worker->name, "%s", roles[role].name);
}

void worker_fini(struct worker *worker)
{
    worker_kill(worker);
    stop_lookup(worker);
    loop_process_free(worker->process);
    close_links(worker);
    loop_timer_free(worker->restart);
    loop_timer_free(worker->flush);
}

void worker_start(struct worker *worker)
{
    worker->is_wanted = true;
    start_attempt(worker);
}

static void order_stop(struct worker *worker)
{
    wire_put(&worker->control.out, &(struct wire_frame){.type = WIRE_STOP});
    if (frame_link_is_open(&worker->delivery)) {
        /* In order with the acks: those that follow are no reason to end at once. */
        wire_put(&worker->delivery.out, &(struct wire_frame){.type = WIRE_STOP});
    }
    flush_links(worker);
}

void worker_stop(struct worker *worker)
{
    if (worker->is_wanted) {
        worker->is_wanted = false;
        loop_timer_stop(worker->restart);
        stop_lookup(worker);
        if (worker->process != NULL) {
            order_stop(worker);
        }
    }
}

void worker_kill(struct worker *worker)
{
    if (worker->process != NULL) {
        loop_process_kill(worker->process, SIGKILL);
    }
}

void worker_go_on(struct worker *worker)
{
    assert(worker->is_waiting);
    worker->is_waiting = false;
    wire_put(&worker->control.out, &(struct wire_frame){.type = WIRE_SUBSCRIBE});
    flush_soon(worker);
}

void worker_set_outdated(struct worker *worker)
{
    if (!worker->is_ending) {
        worker->is_outdated = true;
        worker->is_renewing = false; /* the new process began with params that are old by now */
    }
}

void worker_renew(struct worker *worker)
{
    worker->is_renewing = true;
    stop_lookup(worker);
    worker_attempt_reset(worker);
    worker->is_ending = worker->process != NULL;
    if (!worker->is_ending) {
        loop_timer_start(worker->restart, 0);
    } else if (worker->is_up) {
        order_stop(worker);
    } else {
        /* Not connected: it holds no message, and may be waiting for the old broker. */
        worker_kill(worker);
    }
}

void worker_ack(struct worker *worker, uint32_t generation, uint32_t number, bool is_durable)
{
    if (worker->generation == generation && frame_link_is_open(&worker->delivery)) {
        worker->has_worked = worker->has_worked || is_durable;
        worker->acked_count++;
        wire_put(&worker->delivery.out,
                 &(struct wire_frame){WIRE_ACK, .ack = {number, is_durable}});
        flush_soon(worker);
        if (worker->delivery.out.length > ACKS_BYTES_MAX && !worker->delivery.is_broken) {
            misbehaved(worker, "it does not read its acks");
        }
    }
}

bool worker_may_publish(const struct worker *worker)
{
    return worker->is_up && worker->is_wanted && worker->control.out.length <= OUT_BYTES_MAX;
}

void worker_publish(struct worker *worker, int64_t id, int64_t valid_until_ms, struct slice message)
{
    assert(worker->is_up);
    wire_put(&worker->control.out,
             &(struct wire_frame){WIRE_PUBLISH, .publish = {id, valid_until_ms, message}});
    flush_soon(worker);
}
