/*
 * A handle is one heap object with libuv's handle in it. A _free function closes libuv's handle,
 * after which no callback comes; the memory is released in libuv's close callback.
 */
#include "base/loop.h"

#include "base/mem.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <uv.h>

struct loop {
    uv_loop_t uv;
    loop_fn *first; /* before every callback; NULL for none */
    void *first_arg;
};

struct loop_timer {
    uv_timer_t uv;
    loop_fn *due;
    void *arg;
};

struct loop_watch {
    uv_poll_t uv;
    loop_ready_fn *ready;
    void *arg;
    int events;
};

struct loop_wake {
    uv_async_t uv;
    loop_fn *woken;
    void *arg;
};

struct loop_signal {
    uv_signal_t uv;
    loop_signal_fn *caught;
    void *arg;
};

struct loop_process {
    uv_process_t uv;
    loop_exit_fn *ended;
    void *arg;
    bool leads_group;
};

/* These functions of libuv fail only for a bug of ours or on an exhausted machine. */
static void must(int result)
{
    if (result != 0) {
        abort();
    }
}

static void free_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_handle(uv_handle_t *handle, void *owner)
{
    handle->data = owner;
    uv_close(handle, free_closed);
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_zalloc(1, sizeof *loop);
    must(uv_loop_init(&loop->uv));
    loop->uv.data = loop;
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    /* Each iteration runs close callbacks; after loop_stop() the first one runs nothing, so there
     * are two. */
    int result = uv_loop_close(&loop->uv);
    for (int i = 0; result == UV_EBUSY && i < 2; i++) {
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        result = uv_loop_close(&loop->uv);
    }
    must(result);
    free(loop);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

int64_t loop_now_ms(struct loop *loop)
{
    return (int64_t)uv_now(&loop->uv);
}

void loop_call_first(struct loop *loop, loop_fn *first, void *arg)
{
    loop->first = first;
    loop->first_arg = arg;
}

static void call_first(const uv_loop_t *uv)
{
    const struct loop *loop = uv->data;
    if (loop->first != NULL) {
        loop->first(loop->first_arg);
    }
}

static void timer_due(uv_timer_t *uv)
{
    struct loop_timer *timer = uv->data;
    call_first(uv->loop);
    timer->due(timer->arg);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *due, void *arg)
{
    struct loop_timer *timer = mem_zalloc(1, sizeof *timer);
    must(uv_timer_init(&loop->uv, &timer->uv));
    timer->uv.data = timer;
    timer->due = due;
    timer->arg = arg;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    must(uv_timer_start(&timer->uv, timer_due, delay_ms > 0 ? (uint64_t)delay_ms : 0, 0));
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

bool loop_timer_is_running(const struct loop_timer *timer)
{
    return uv_is_active((const uv_handle_t *)&timer->uv) != 0;
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer != NULL) {
        close_handle((uv_handle_t *)&timer->uv, timer);
    }
}

static void watch_ready(uv_poll_t *uv, int status, int uv_events)
{
    struct loop_watch *watch = uv->data;
    int events = 0;
    if (status < 0) {
        events = watch->events;
    } else {
        events |= (uv_events & UV_READABLE) != 0 ? LOOP_READ : 0;
        events |= (uv_events & UV_WRITABLE) != 0 ? LOOP_WRITE : 0;
        events |= (uv_events & UV_DISCONNECT) != 0 ? watch->events & LOOP_READ : 0;
    }
    if (events != 0) {
        call_first(uv->loop);
        watch->ready(watch->arg, events);
    }
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, loop_ready_fn *ready, void *arg)
{
    struct loop_watch *watch = mem_zalloc(1, sizeof *watch);
    must(uv_poll_init(&loop->uv, &watch->uv, fd));
    watch->uv.data = watch;
    watch->ready = ready;
    watch->arg = arg;
    return watch;
}

void loop_watch_set(struct loop_watch *watch, int events)
{
    if (events == watch->events) {
        return;
    }
    watch->events = events;
    if (events == 0) {
        must(uv_poll_stop(&watch->uv));
        return;
    }
    int uv_events = ((events & LOOP_READ) != 0 ? UV_READABLE | UV_DISCONNECT : 0) |
                    ((events & LOOP_WRITE) != 0 ? UV_WRITABLE : 0);
    must(uv_poll_start(&watch->uv, uv_events, watch_ready));
}

void loop_watch_free(struct loop_watch *watch)
{
    if (watch != NULL) {
        close_handle((uv_handle_t *)&watch->uv, watch);
    }
}

static void wake_woken(uv_async_t *uv)
{
    struct loop_wake *wake = uv->data;
    call_first(uv->loop);
    wake->woken(wake->arg);
}

struct loop_wake *loop_wake_new(struct loop *loop, loop_fn *woken, void *arg)
{
    struct loop_wake *wake = mem_zalloc(1, sizeof *wake);
    must(uv_async_init(&loop->uv, &wake->uv, wake_woken));
    wake->uv.data = wake;
    wake->woken = woken;
    wake->arg = arg;
    return wake;
}

void loop_wake_signal(struct loop_wake *wake)
{
    must(uv_async_send(&wake->uv));
}

void loop_wake_free(struct loop_wake *wake)
{
    if (wake != NULL) {
        close_handle((uv_handle_t *)&wake->uv, wake);
    }
}

static void signal_caught(uv_signal_t *uv, int signal_number)
{
    struct loop_signal *signal = uv->data;
    call_first(uv->loop);
    signal->caught(signal->arg, signal_number);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_signal_fn *caught,
                                    void *arg)
{
    struct loop_signal *signal = mem_zalloc(1, sizeof *signal);
    must(uv_signal_init(&loop->uv, &signal->uv));
    signal->uv.data = signal;
    signal->caught = caught;
    signal->arg = arg;
    must(uv_signal_start(&signal->uv, signal_caught, signal_number));
    return signal;
}

void loop_signal_free(struct loop_signal *signal)
{
    if (signal != NULL) {
        close_handle((uv_handle_t *)&signal->uv, signal);
    }
}

static void process_ended(uv_process_t *uv, int64_t exit_status, int signal_number)
{
    struct loop_process *process = uv->data;
    call_first(uv->loop);
    process->ended(process->arg, (int)exit_status, signal_number);
}

struct loop_process *loop_process_start(struct loop *loop,
                                        const struct loop_process_options *options,
                                        loop_exit_fn *ended, void *arg, int *out_error)
{
    struct loop_process *process = mem_zalloc(1, sizeof *process);
    uv_stdio_container_t *stdio = mem_zalloc((size_t)options->fd_count, sizeof *stdio);
    for (int i = 0; i < options->fd_count; i++) {
        stdio[i].flags = options->fds[i] < 0 ? UV_IGNORE : UV_INHERIT_FD;
        stdio[i].data.fd = options->fds[i];
    }
    process->uv.data = process;
    process->ended = ended;
    process->arg = arg;
    process->leads_group = options->leads_group;
    uv_process_options_t uv_options = {
        .exit_cb = process_ended,
        .file = options->path,
        .args = (char **)options->argv,
        .env = (char **)options->envp,
        .flags = options->leads_group ? UV_PROCESS_DETACHED : 0,
        .stdio_count = options->fd_count,
        .stdio = stdio,
    };
    int result = uv_spawn(&loop->uv, &process->uv, &uv_options);
    free(stdio);
    if (result != 0) {
        *out_error = -result;
        close_handle((uv_handle_t *)&process->uv, process);
        return NULL;
    }
    return process;
}

void loop_process_kill(struct loop_process *process, int signal_number)
{
    uv_process_kill(&process->uv, signal_number);
}

void loop_process_kill_group(struct loop_process *process, int signal_number)
{
    assert(process->leads_group);
    (void)kill(-uv_process_get_pid(&process->uv), signal_number);
}

void loop_process_free(struct loop_process *process)
{
    if (process != NULL) {
        close_handle((uv_handle_t *)&process->uv, process);
    }
}

struct search {
    pid_t pid;
    bool is_found;
};

static void compare_process(uv_handle_t *handle, void *arg)
{
    struct search *search = arg;
    search->is_found |= handle->type == UV_PROCESS && uv_is_closing(handle) == 0 &&
                        uv_process_get_pid((const uv_process_t *)handle) == search->pid;
}

void loop_reap_orphans(struct loop *loop)
{
    for (;;) {
        siginfo_t ended = {0};
        /* Looks first: libuv must find the processes that it waits for. */
        if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0) {
            return;
        }
        struct search search = {.pid = ended.si_pid};
        uv_walk(&loop->uv, compare_process, &search);
        if (search.is_found) {
            return; /* libuv collects it in this turn; the others wait for the next call */
        }
        (void)waitpid(ended.si_pid, NULL, WNOHANG);
    }
}

const char *loop_library_version(void)
{
    return uv_version_string();
}
