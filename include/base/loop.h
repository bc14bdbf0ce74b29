/*
 * loop - the event loop: timers, descriptors, wake-ups from other threads, signals, child
 * processes.
 *
 * Wraps libuv, the only code that does. A _free function may be called from within the handle's own
 * callback; no callback follows it, and the memory is released on a later iteration.
 *
 * Thread: the loop's, except loop_wake_signal(). Fails with: creation ends the process where the
 * kernel has no descriptors left, since nothing works without them.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "status.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

typedef void loop_fn(void *arg);

struct loop *loop_new(void);
/* All handles must have been freed. Takes NULL. */
void loop_free(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
/* Ends loop_run() after the current iteration. */
void loop_stop(struct loop *loop);
/* The monotonic time of this iteration in ms; never goes back. Same clock as clock_mono_ms(). */
int64_t loop_now_ms(struct loop *loop);

/* `first` is called before every callback: also before those that have waited while the process was
 * stopped. NULL for none. */
void loop_call_first(struct loop *loop, loop_fn *first, void *arg);

struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *due, void *arg);
/* Calls `due` once after `delay_ms` (0: on the next iteration). A running timer starts again from
 * now.
 */
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

#define LOOP_READ  1
#define LOOP_WRITE 2
typedef void loop_ready_fn(void *arg, int events);
struct loop_watch;
/* Watches a descriptor, which stays the caller's; at first for no events. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, loop_ready_fn *ready, void *arg);
/* Which of LOOP_READ and LOOP_WRITE to report. An error on the descriptor is reported as these
 * events. */
void loop_watch_set(struct loop_watch *watch, int events);
/* Call it before the descriptor is closed. */
void loop_watch_free(struct loop_watch *watch);

struct loop_wake;
/* `woken` runs on the loop's thread after loop_wake_signal(); several signals may cause one call.
 */
struct loop_wake *loop_wake_new(struct loop *loop, loop_fn *woken, void *arg);
/* Thread: any. */
void loop_wake_signal(struct loop_wake *wake);
void loop_wake_free(struct loop_wake *wake);

struct loop_signal;
typedef void loop_signal_fn(void *arg, int signal_number);
struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_signal_fn *caught,
                                    void *arg);
void loop_signal_free(struct loop_signal *signal);

struct loop_process;
/* `exit_status` as in exit(3), `signal_number` 0 unless a signal ended it. */
typedef void loop_exit_fn(void *arg, int exit_status, int signal_number);
struct loop_process_options {
    const char *path;
    char *const *argv;
    char *const *envp;
    const int *fds; /* in the child: 0, 1, 2, ... ; -1 gives /dev/null */
    int fd_count;
    bool leads_group; /* starts a session of its own, as loop_process_kill_group() needs */
};
/* NULL with an errno value in *out_error where it could not be started. */
struct loop_process *loop_process_start(struct loop *loop,
                                        const struct loop_process_options *options,
                                        loop_exit_fn *ended, void *arg, int *out_error);

void loop_process_kill(struct loop_process *process, int signal_number);
/* Kills the process and its children, except those that left its group. Only with `leads_group`,
 * and before `ended` was called. */
void loop_process_kill_group(struct loop_process *process, int signal_number);
/* Before `ended` was called: the process runs on, and `ended` is not called. */
void loop_process_free(struct loop_process *process);

/*
 * Collects processes that have ended and that this loop did not start. To be called now and then by
 * a process with the number 1: the kernel gives it the orphans of the programs that it runs.
 */
void loop_reap_orphans(struct loop *loop);

/* libuv's version, for `version`. */
const char *loop_library_version(void);

#endif
