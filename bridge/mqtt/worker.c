/*
 * How a worker begins, and how it ends: all cleaning up is done in one place, worker_ended(), when
 * the kernel says that it is gone; whatever goes wrong before that only kills it.
 */
#include "base/crash_point.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "model/retry.h"
#include "mqtt/connect_params.h"
#include "workers_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STOOD_MS 10000 /* a connection that lasted this long was a good one */

/* ---- The end of a worker ---- */

static const char *reason_of(const struct worker *worker, int signal_number)
{
    if (worker->has_last_words) {
        return wire_down_reason_text(worker->reason);
    }
    return signal_number != 0 ? "killed" : "crashed";
}

static void log_end(const struct worker *worker, int exit_status, int signal_number,
                    int64_t retry_ms)
{
    const char *event = worker->role == WIRE_PUBLISHER ? "publisher_down" : "receiver_down";
    const char *reason = reason_of(worker, signal_number);
    if (retry_ms <= 0) {
        LOG_INFO(event, LOG_TEXT("process", worker->name), LOG_TEXT("reason", reason),
                 LOG_TEXT("text", worker->text));
    } else {
        LOG_WARN(event, LOG_TEXT("process", worker->name), LOG_TEXT("reason", reason),
                 LOG_INT("code", worker->code), LOG_TEXT("text", worker->text),
                 LOG_INT("exit_status", exit_status), LOG_INT("signal", signal_number),
                 LOG_INT("retry_in_ms", retry_ms));
    }
}

/* How long until the next start. */
static int64_t pause_ms(struct worker *worker)
{
    const struct settings *settings = worker->workers->settings;
    uint32_t random;
    digest_random(&random, sizeof random);
    return retry_reconnect_ms(worker->failures, settings->broker.reconnect_min_s * 1000,
                              settings->broker.reconnect_max_s * 1000, random);
}

static void count_failure(struct worker *worker, bool was_up)
{
    int64_t stood_ms = loop_now_ms(worker->workers->loop) - worker->up_ms;
    bool was_good = worker->has_worked || (was_up && stood_ms >= STOOD_MS);
    worker->failures = was_good ? 1 : worker->failures + 1;
}

/* What it said before it went; deliveries without a ack come again and are not looked at. */
static void worker_drain(struct worker *worker)
{
    while (frame_link_read(&worker->control) == STATUS_OK) {
        worker_take_control(worker);
    }
}

static void worker_let_go(struct worker *worker)
{
    loop_process_free(worker->process);
    worker->process = NULL;
}

void worker_kill(struct worker *worker)
{
    if (worker->process != NULL) {
        loop_process_kill(worker->process, SIGKILL);
    }
}

void worker_close(struct worker *worker)
{
    frame_link_close(&worker->control);
    frame_link_close(&worker->delivery);
    worker_let_go(worker);
    free(worker->client_id);
    worker->client_id = NULL;
}

/* A receiver that is replaced is missed by nobody, unless its successor does not come up. */
static bool is_news(const struct worker *worker, bool was_up, bool is_replaced)
{
    if (worker->role == WIRE_PUBLISHER) {
        return was_up;
    }
    return was_up ? !is_replaced : worker->is_renewed && !is_replaced;
}

static void worker_ended(void *arg, int exit_status, int signal_number)
{
    struct worker *worker = arg;
    struct workers *workers = worker->workers;
    worker_let_go(worker); /* first: its pid may be somebody else's from now on */
    worker_drain(worker);
    worker_close(worker);
    bool was_up = worker->is_up;
    bool is_replaced = worker->is_ending && worker->is_wanted; /* nothing failed */
    worker->is_ending = false;
    worker->is_up = false;
    if (!is_replaced) {
        count_failure(worker, was_up);
    }
    if (is_news(worker, was_up, is_replaced)) {
        worker_tell_change(worker);
    }
    int64_t retry_ms = !worker->is_wanted ? -1 : is_replaced ? 0 : pause_ms(worker);
    log_end(worker, exit_status, signal_number, retry_ms);
    if (worker->is_wanted) {
        loop_timer_start(worker->restart, retry_ms);
    } else if (workers->is_stopping && !workers_is_anyone_left(workers)) {
        loop_timer_start(workers->stopped, 0);
    }
}

/* ---- The beginning of a worker ---- */

static void worker_not_started(struct worker *worker, const char *why)
{
    worker->failures++;
    int64_t retry_ms = pause_ms(worker);
    LOG_ERROR(worker->role == WIRE_PUBLISHER ? "publisher_down" : "receiver_down",
              LOG_TEXT("process", worker->name), LOG_TEXT("reason", "not_started"),
              LOG_TEXT("text", why), LOG_INT("retry_in_ms", retry_ms));
    loop_timer_start(worker->restart, retry_ms);
}

static void worker_send_params(struct worker *worker, const struct connect_params *params)
{
    wire_put_connect_params(&worker->control.out, params);
    frame_link_flush(&worker->control);
    if (worker->control.out.length == 0 && worker->control.out.data != NULL) {
        secret_wipe(worker->control.out.data, worker->control.out.capacity);
    }
}

/* The worker's ends block, ours do not. */
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

static int worker_spawn(struct worker *worker, int control_fd, int delivery_fd, const int *tls_fds)
{
    struct workers *workers = worker->workers;
    bool is_receiver = worker->role == WIRE_RECEIVER;
    char role[] = "publisher";
#ifdef BRIDGE_CRASH_POINTS
    if (worker->generation > 0) {
        crash_point_forget(workers->environment);
    }
#endif
    snprintf(role, sizeof role, "%s", is_receiver ? "receiver" : "publisher");
    char *argv[] = {(char *)workers->program, role, NULL};
    int fds[] = {-1,          STDERR_FILENO, STDERR_FILENO, control_fd,
                 delivery_fd, tls_fds[0],    tls_fds[1],    tls_fds[2]};
    struct loop_process_options options = {
        .path = workers->program,
        .argv = argv,
        .envp = workers->environment,
        .fds = fds,
        .fd_count = WIRE_TLS_FD + WIRE_TLS_FD_COUNT,
    };
    int error = 0;
    worker->process = loop_process_start(workers->loop, &options, worker_ended, worker, &error);
    return error;
}

/* 0, or an errno value. */
static int worker_connect(struct worker *worker, const int *tls_fds)
{
    struct loop *loop = worker->workers->loop;
    bool is_receiver = worker->role == WIRE_RECEIVER;
    int control[2] = {-1, -1};
    int delivery[2] = {-1, -1};
    int error = EMFILE;
    if (make_pair(control) && (!is_receiver || make_pair(delivery))) {
        error = worker_spawn(worker, control[1], delivery[1], tls_fds);
    }
    close_if_open(control[1]);
    close_if_open(delivery[1]);
    if (error != 0) {
        close_if_open(control[0]);
        close_if_open(delivery[0]);
        return error;
    }
    frame_link_open(&worker->control, loop, control[0], worker_control_ready, worker);
    if (is_receiver) {
        frame_link_open(&worker->delivery, loop, delivery[0], worker_delivery_ready, worker);
    }
    return 0;
}

static void worker_reset(struct worker *worker, const struct connect_params *params)
{
    worker->generation++;
    worker->client_id = mem_dup(params->client_id.data, params->client_id.length);
    worker->is_up = false;
    worker->is_outdated = false;
    worker->has_worked = false;
    worker->has_last_words = false;
    worker->code = 0;
    worker->text[0] = '\0';
}

void worker_start(struct worker *worker)
{
    struct workers *workers = worker->workers;
    struct connect_params params;
    const char *why = "";
    enum status status = connect_params_init(&params, workers->settings, workers->tls, worker->role,
                                             worker->index, workers->will, &why);
    connect_params_move_files(&params);
    int error = status == STATUS_OK ? worker_connect(worker, params.tls_fds) : 0;
    if (status != STATUS_OK || error != 0) {
        worker_not_started(worker, error != 0 ? strerror(error) : why);
    } else {
        bool is_receiver = worker->role == WIRE_RECEIVER;
        counter_add(workers->counters,
                    is_receiver ? COUNTER_RECEIVER_STARTS : COUNTER_PUBLISHER_STARTS, 1);
        worker_reset(worker, &params);
        worker_send_params(worker, &params);
    }
    connect_params_fini(&params);
}
