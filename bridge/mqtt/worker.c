/*
 * How a child begins, and how it ends: all cleaning up is done in one place, child_ended(), when
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

#define STOOD_MS    10000 /* a connection that lasted this long was a good one */
#define HELLO_BYTES 8192

/* ---- The end of a child ---- */

static const char *reason_of(const struct child *child, int signal_number)
{
    if (child->has_last_words) {
        return wire_down_reason_text(child->reason);
    }
    return signal_number != 0 ? "killed" : "crashed";
}

static void log_end(const struct child *child, int exit_status, int signal_number, int64_t retry_ms)
{
    const char *event = child->role == WIRE_PUBLISHER ? "publisher_down" : "receiver_down";
    const char *reason = reason_of(child, signal_number);
    if (retry_ms <= 0) {
        LOG_INFO(event, LOG_TEXT("process", child->name), LOG_TEXT("reason", reason),
                 LOG_TEXT("text", child->text));
    } else {
        LOG_WARN(event, LOG_TEXT("process", child->name), LOG_TEXT("reason", reason),
                 LOG_INT("code", child->code), LOG_TEXT("text", child->text),
                 LOG_INT("exit_status", exit_status), LOG_INT("signal", signal_number),
                 LOG_INT("retry_in_ms", retry_ms));
    }
}

/* How long until the next start. */
static int64_t pause_ms(struct child *child)
{
    const struct settings *settings = child->port->settings;
    uint32_t random;
    digest_random(&random, sizeof random);
    return retry_reconnect_ms(child->failures, settings->broker.reconnect_min_s * 1000,
                              settings->broker.reconnect_max_s * 1000, random);
}

static void count_failure(struct child *child, bool was_up)
{
    int64_t stood_ms = loop_now_ms(child->port->loop) - child->up_ms;
    bool was_good = child->has_worked || (was_up && stood_ms >= STOOD_MS);
    child->failures = was_good ? 1 : child->failures + 1;
}

/* What it said before it went; deliveries without a verdict come again and are not looked at. */
static void child_drain(struct child *child)
{
    while (frame_link_read(&child->control) == STATUS_OK) {
        child_take_control(child);
    }
}

static void child_let_go(struct child *child)
{
    loop_process_free(child->process);
    child->process = NULL;
}

void child_kill(struct child *child)
{
    if (child->process != NULL) {
        loop_process_kill(child->process, SIGKILL);
    }
}

void child_close(struct child *child)
{
    frame_link_close(&child->control);
    frame_link_close(&child->delivery);
    child_let_go(child);
    free(child->client_id);
    child->client_id = NULL;
}

/* A receiver that is replaced is missed by nobody, unless its successor does not come up. */
static bool is_news(const struct child *child, bool was_up, bool is_replaced)
{
    if (child->role == WIRE_PUBLISHER) {
        return was_up;
    }
    return was_up ? !is_replaced : child->is_renewed && !is_replaced;
}

static void child_ended(void *arg, int exit_status, int signal_number)
{
    struct child *child = arg;
    struct mqtt_port *port = child->port;
    child_let_go(child); /* first: its pid may be somebody else's from now on */
    child_drain(child);
    child_close(child);
    bool was_up = child->is_up;
    bool is_replaced = child->is_ending && child->is_wanted; /* nothing failed */
    child->is_ending = false;
    child->is_up = false;
    if (!is_replaced) {
        count_failure(child, was_up);
    }
    if (is_news(child, was_up, is_replaced)) {
        child_tell_change(child);
    }
    int64_t retry_ms = !child->is_wanted ? -1 : is_replaced ? 0 : pause_ms(child);
    log_end(child, exit_status, signal_number, retry_ms);
    if (child->is_wanted) {
        loop_timer_start(child->restart, retry_ms);
    } else if (port->is_stopping && !mqtt_port_is_anyone_left(port)) {
        loop_timer_start(port->stopped, 0);
    }
}

/* ---- The beginning of a child ---- */

static void child_not_started(struct child *child, const char *why)
{
    child->failures++;
    int64_t retry_ms = pause_ms(child);
    LOG_ERROR(child->role == WIRE_PUBLISHER ? "publisher_down" : "receiver_down",
              LOG_TEXT("process", child->name), LOG_TEXT("reason", "not_started"),
              LOG_TEXT("text", why), LOG_INT("retry_in_ms", retry_ms));
    loop_timer_start(child->restart, retry_ms);
}

static void child_greet(struct child *child, const struct wire_hello *hello)
{
    /* Room for it all at once, so that no copy of a password stays behind. */
    buf_reserve(&child->control.out, HELLO_BYTES);
    wire_put_hello(&child->control.out, hello);
    frame_link_flush(&child->control);
    if (child->control.out.length == 0 && child->control.out.data != NULL) {
        secret_wipe(child->control.out.data, child->control.out.capacity);
    }
}

/* The child's ends block, ours do not. */
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

static int child_spawn(struct child *child, int control_fd, int delivery_fd, const int *tls_fds)
{
    struct mqtt_port *port = child->port;
    bool is_receiver = child->role == WIRE_RECEIVER;
    char role[] = "publisher";
#ifdef BRIDGE_CRASH_POINTS
    if (child->generation > 0) {
        crash_point_forget(port->environment);
    }
#endif
    snprintf(role, sizeof role, "%s", is_receiver ? "receiver" : "publisher");
    char *argv[] = {(char *)port->program, role, NULL};
    int fds[] = {-1,          STDERR_FILENO, STDERR_FILENO, control_fd,
                 delivery_fd, tls_fds[0],    tls_fds[1],    tls_fds[2]};
    struct loop_process_options options = {
        .path = port->program,
        .argv = argv,
        .envp = port->environment,
        .fds = fds,
        .fd_count = WIRE_TLS_FD + WIRE_TLS_FD_COUNT,
    };
    int error = 0;
    child->process = loop_process_start(port->loop, &options, child_ended, child, &error);
    return error;
}

/* 0, or an errno value. */
static int child_connect(struct child *child, const int *tls_fds)
{
    struct loop *loop = child->port->loop;
    bool is_receiver = child->role == WIRE_RECEIVER;
    int control[2] = {-1, -1};
    int delivery[2] = {-1, -1};
    int error = EMFILE;
    if (make_pair(control) && (!is_receiver || make_pair(delivery))) {
        error = child_spawn(child, control[1], delivery[1], tls_fds);
    }
    close_if_open(control[1]);
    close_if_open(delivery[1]);
    if (error != 0) {
        close_if_open(control[0]);
        close_if_open(delivery[0]);
        return error;
    }
    frame_link_open(&child->control, loop, control[0], child_control_ready, child);
    if (is_receiver) {
        frame_link_open(&child->delivery, loop, delivery[0], child_delivery_ready, child);
    }
    return 0;
}

static void child_reset(struct child *child, const struct mqtt_greeting *greeting)
{
    child->generation++;
    child->client_id = mem_strdup(greeting->client_id);
    child->is_up = false;
    child->is_outdated = false;
    child->has_worked = false;
    child->has_last_words = false;
    child->code = 0;
    child->text[0] = '\0';
}

void child_start(struct child *child)
{
    struct mqtt_port *port = child->port;
    struct mqtt_greeting greeting;
    const char *why = "";
    enum status status = mqtt_greeting_init(&greeting, port->settings, port->tls, child->role,
                                            child->index, port->will, &why);
    mqtt_greeting_move_files(&greeting);
    int error = status == STATUS_OK ? child_connect(child, greeting.tls_fds) : 0;
    if (status != STATUS_OK || error != 0) {
        child_not_started(child, error != 0 ? strerror(error) : why);
    } else {
        bool is_receiver = child->role == WIRE_RECEIVER;
        counter_add(port->counters,
                    is_receiver ? COUNTER_RECEIVER_STARTS : COUNTER_PUBLISHER_STARTS, 1);
        child_reset(child, &greeting);
        child_greet(child, &greeting.hello);
    }
    mqtt_greeting_fini(&greeting);
}
