/* Processes: those that the loop started, and orphans that a process with the number 1 gets. What
 * is called before every callback. */
#include "base/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static int exit_status;

static int set_up(void **state)
{
    (void)state;
    loop = loop_new();
    exit_status = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void wait_for_end_of_any(void)
{
    siginfo_t ended = {0};
    assert_int_equal(waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT), 0);
}

static void test_a_process_that_the_loop_did_not_start_is_collected(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    wait_for_end_of_any();
    loop_reap_orphans(loop);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    loop_reap_orphans(loop);
}

static void on_ended(void *arg, int status, int signal_number)
{
    (void)arg;
    assert_int_equal(signal_number, 0);
    exit_status = status;
    loop_stop(loop);
}

static void test_the_loops_own_process_is_left_to_it(void **state)
{
    (void)state;
    char *const argv[] = {"sh", "-c", "exit 3", NULL};
    char *const envp[] = {NULL};
    const int fds[] = {-1, -1, -1};
    const struct loop_process_options options = {
        .path = "/bin/sh", .argv = argv, .envp = envp, .fds = fds, .fd_count = 3};
    int error = 0;
    struct loop_process *process = loop_process_start(loop, &options, on_ended, NULL, &error);
    assert_non_null(process);
    wait_for_end_of_any();
    loop_reap_orphans(loop);
    loop_run(loop);
    assert_int_equal(exit_status, 3);
    loop_process_free(process);
}

static unsigned first_count;
static unsigned callback_count;

static void on_first(void *arg)
{
    (void)arg;
    assert_int_equal(first_count, callback_count);
    first_count++;
}

static void on_callback(void *arg)
{
    struct loop_wake *wake = arg;
    callback_count++;
    if (wake == NULL) {
        loop_stop(loop);
    } else {
        loop_wake_signal(wake);
    }
}

static void on_ready(void *arg, int events)
{
    struct loop_watch **watch = arg;
    assert_int_equal(events, LOOP_READ);
    callback_count++;
    loop_watch_set(*watch, 0);
}

static void test_one_function_is_called_before_every_callback(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    loop_call_first(loop, on_first, NULL);
    struct loop_wake *wake = loop_wake_new(loop, on_callback, NULL);
    struct loop_timer *timer = loop_timer_new(loop, on_callback, wake);
    struct loop_watch *watch = loop_watch_new(loop, ends[0], on_ready, &watch);
    loop_watch_set(watch, LOOP_READ);
    loop_timer_start(timer, 1);
    loop_run(loop);
    assert_int_equal(callback_count, 3);
    assert_int_equal(first_count, 3);
    loop_call_first(loop, NULL, NULL);
    loop_wake_signal(wake);
    loop_run(loop);
    assert_int_equal(callback_count, 4);
    assert_int_equal(first_count, 3);
    loop_timer_free(timer);
    loop_watch_free(watch);
    loop_wake_free(wake);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_process_that_the_loop_did_not_start_is_collected),
        TEST(test_the_loops_own_process_is_left_to_it),
        TEST(test_one_function_is_called_before_every_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
