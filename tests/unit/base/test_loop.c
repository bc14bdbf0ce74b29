/* Processes: those that the loop started, and orphans that a process with the number 1 gets. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_process_that_the_loop_did_not_start_is_collected),
        TEST(test_the_loops_own_process_is_left_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
