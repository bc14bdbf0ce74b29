/*
 * Crash-only: process_end() is the one way to end, and the kernel does all the cleaning up. Reads
 * and writes block. The bridge always reads, so a write cannot block for long.
 */
#include "process.h"

#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "sandbox.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define PROCESS_READ_BYTES 65536
#define MQTT_VERSION_5     5
/* Measured: 17 MiB when idle, with stacks; at most 180 bytes for one byte of a packet, which are
 * empty user properties. */
#define MEMORY_BYTES           (48u << 20)
#define MEMORY_PER_PACKET_BYTE 192u

/* NULL unless a sanitizer is linked: all of them define this function. */
extern void sanitizer_mark(void) __asm__("__sanitizer_print_stack_trace") __attribute__((weak));

/* False if the bridge has ended. */
static bool process_read(struct process *process)
{
    char *room = buf_reserve(&process->in.bytes, PROCESS_READ_BYTES);
    ssize_t got;
    do {
        got = recv(WIRE_CONTROL_FD, room, PROCESS_READ_BYTES, 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        return false;
    }
    process->in.bytes.length += (size_t)got;
    return true;
}

/* The next complete frame that has been read, if any. */
static bool process_take(struct process *process, struct wire_frame *out_frame)
{
    enum status status = wire_input_next(&process->in, out_frame);
    if (status == STATUS_INVALID) {
        process_end_because(process, WIRE_DOWN_INTERNAL, "the bridge sent an invalid frame");
    }
    return status == STATUS_OK;
}

void process_begin(struct process *process, enum wire_role role)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        signal(ignored[i], SIG_IGN);
    }
    if (role == WIRE_PUBLISHER) {
        close_range(WIRE_DELIVERY_FD, WIRE_DELIVERY_FD, 0);
    }
    close_range(WIRE_TLS_FD + WIRE_TLS_FD_COUNT, ~0U, 0); /* anything else inherited */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The three threads rarely allocate at the same time: one heap takes less memory than three. */
    mallopt(M_ARENA_MAX, 1);
    pthread_mutex_init(&process->send_mutex, NULL);
    struct wire_frame frame;
    while (!process_take(process, &frame)) {
        if (!process_read(process)) {
            _exit(EX_UNAVAILABLE);
        }
    }
    if (frame.type != WIRE_CONNECT_PARAMS) {
        process_end_because(process, WIRE_DOWN_INTERNAL, "the first frame is not connect params");
    }
    buf_append(&process->params_body, frame.params);
    secret_wipe(process->in.bytes.data, process->in.taken);
    if (wire_get_connect_params(buf_slice(&process->params_body), &process->params) != STATUS_OK ||
        process->params.role != role) {
        process_end_because(process, WIRE_DOWN_INTERNAL, "the connect params do not parse");
    }
#ifdef BRIDGE_CRASH_POINTS
    (void)crash_point_setup(true, &(struct buf){0}); /* checked by the bridge */
#endif
    prctl(PR_SET_NAME, process->params.name);
    log_setup((enum log_level)process->params.log_level, (enum log_style)process->params.log_style,
              process->params.name);
}

/* ---- The sandbox ---- */

#define DENIED_BYTES    512
#define DENIED_TRIES    100 /* a millisecond each */
#define DENIED_PAUSE_NS 1000000

/* For the signal handler, which must not allocate memory. */
static struct process *confined;
static struct buf denied; /* with room for the frame */

/*
 * A system call that the sandbox does not allow. The thread may be anywhere, also in malloc(), or
 * within a frame; then the process ends by SIGSYS, and only the kernel's log names the call.
 */
static void on_denied(int signal_number, siginfo_t *info, void *context)
{
    const struct timespec pause = {.tv_nsec = DENIED_PAUSE_NS};
    char text[128];
    (void)context;
    snprintf(text, sizeof text, "the sandbox does not allow the system call %s (%d)",
             sandbox_call_name(info->si_syscall), info->si_syscall);
    for (int i = 0; i < DENIED_TRIES; i++) {
        if (pthread_mutex_trylock(&confined->send_mutex) == 0) {
            wire_put(&denied, &(struct wire_frame){WIRE_DOWN, .down = {.reason = WIRE_DOWN_INTERNAL,
                                                                       .text = slice_text(text)}});
            (void)process_write(WIRE_CONTROL_FD, buf_slice(&denied));
            _exit(EX_SOFTWARE);
        }
        nanosleep(&pause, NULL);
    }
    raise(signal_number); /* not handled a second time */
}

static void handle_denied(struct process *process)
{
    struct sigaction action = {.sa_sigaction = on_denied,
                               .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER)};
    confined = process;
    (void)buf_reserve(&denied, DENIED_BYTES);
    sigaction(SIGSYS, &action, NULL);
}

static void close_tls_files(const struct connect_params *params)
{
    const struct slice files[WIRE_TLS_FD_COUNT] = {params->tls_ca_file, params->tls_cert_file,
                                                   params->tls_key_file};
    for (int i = 0; i < WIRE_TLS_FD_COUNT; i++) {
        if (slice_is_present(files[i])) {
            close(WIRE_TLS_FD + i);
        }
    }
}

void process_confine(struct process *process, enum connection_point point)
{
    static const enum sandbox_step steps[] = {
        [CONNECTION_STARTS] = SANDBOX_START,
        [CONNECTION_CONNECTS] = SANDBOX_CONNECT,
        [CONNECTION_ACCEPTED] = SANDBOX_ACCEPTED,
    };
    struct buf why = {0};
    char *files = NULL;
    struct sandbox_needs needs = {.port = (uint16_t)process->params.address.port};
    if (point == CONNECTION_ACCEPTED) {
        close_tls_files(&process->params);
    }
    if (sanitizer_mark != NULL) {
        return;
    }
    if (point == CONNECTION_STARTS) {
        handle_denied(process);
        files = connection_files(&process->params);
        needs.files = files;
    }
    enum status status = sandbox_enter(steps[point], &needs, &why);
    if (status == STATUS_NOT_FOUND && point == CONNECTION_ACCEPTED) {
        LOG_WARN("seccomp_missing", LOG_TEXT("process", process->params.name));
    } else if (status == STATUS_UNAVAILABLE) {
        process_end_because(process, WIRE_DOWN_INTERNAL, why.data);
    }
    free(files);
    buf_fini(&why);
}

void process_up(struct process *process, const struct wire_up *up)
{
    struct slice *const secrets[] = {&process->params.password, &process->params.tls_key_password};
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        if (slice_is_present(*secrets[i])) {
            /* Writable: the bytes are in params_body. */
            secret_wipe((char *)secrets[i]->data, secrets[i]->length);
        }
        *secrets[i] = (struct slice){0};
    }
    struct buf frame = {0};
    wire_put(&frame, &(struct wire_frame){WIRE_UP, .up = *up});
    process_send(process, buf_slice(&frame));
    buf_fini(&frame);
}

void process_limit_memory(const struct process *process)
{
    const struct connect_params *params = &process->params;
    const rlim_t bytes = MEMORY_BYTES + MEMORY_PER_PACKET_BYTE * (rlim_t)params->packet_bytes_max;
    const struct rlimit limit = {bytes, bytes};
    bool is_announced = params->protocol == MQTT_VERSION_5 && params->packet_bytes_max > 0;
    if (is_announced && sanitizer_mark == NULL) {
        setrlimit(RLIMIT_DATA, &limit);
    }
}

bool process_write(int fd, struct slice bytes)
{
    while (bytes.length > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return false;
        }
        if (sent > 0) {
            bytes.data += sent;
            bytes.length -= (size_t)sent;
        }
    }
    return true;
}

void process_send(struct process *process, struct slice frames)
{
    pthread_mutex_lock(&process->send_mutex);
    if (!process_write(WIRE_CONTROL_FD, frames)) {
        _exit(EX_UNAVAILABLE);
    }
    pthread_mutex_unlock(&process->send_mutex);
}

_Noreturn void process_end(struct process *process, const struct wire_down *down)
{
    struct buf frame = {0};
    wire_put(&frame, &(struct wire_frame){WIRE_DOWN, .down = *down});
    /* Never unlocked: a second caller waits here until the process has ended. */
    pthread_mutex_lock(&process->send_mutex);
    (void)process_write(WIRE_CONTROL_FD, buf_slice(&frame));
    (void)log_flush();
    _exit(down->reason == WIRE_DOWN_STOPPED ? EX_OK : EX_UNAVAILABLE);
}

_Noreturn void process_end_because(struct process *process, enum wire_down_reason reason,
                                   const char *text)
{
    process_end(process, &(struct wire_down){.reason = reason, .text = slice_text(text)});
}

bool process_wait(struct process *process, int timeout_ms, struct wire_frame *out_frame)
{
    while (!process_take(process, out_frame)) {
        struct pollfd control = {.fd = WIRE_CONTROL_FD, .events = POLLIN};
        int ready = poll(&control, 1, timeout_ms);
        if (ready == 0) {
            return false;
        }
        if (ready > 0 && !process_read(process)) {
            _exit(EX_UNAVAILABLE);
        }
    }
    return true;
}
