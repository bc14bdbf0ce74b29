#include "base/hardening.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Hardens a child process, since it cannot be undone. Returns 1 where debuggers may attach, plus 2
 * where core files may be written. */
static int what_is_open(const char *off)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit cores;
        setenv(HARDENING_OFF_VARIABLE, off, 1);
        hardening_apply();
        getrlimit(RLIMIT_CORE, &cores);
        _exit((prctl(PR_GET_DUMPABLE) != 0 ? 1 : 0) + (cores.rlim_max > 0 ? 2 : 0));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_a_hardened_process_is_closed(void **state)
{
    (void)state;
    assert_int_equal(what_is_open(""), 0);
    assert_int_equal(what_is_open("0"), 0);
}

static void test_it_can_be_left_open(void **state)
{
    (void)state;
    struct rlimit cores;
    getrlimit(RLIMIT_CORE, &cores);
    assert_int_equal(what_is_open("1"), 1 + (cores.rlim_max > 0 ? 2 : 0));
}

static void test_standard_descriptors_that_are_closed_are_opened_on_dev_null(void **state)
{
    (void)state;
    for (unsigned closed = 0; closed < 8; closed++) {
        pid_t pid = fork();
        if (pid == 0) {
            int wrong_count = 0;
            for (int fd = 0; fd < 3; fd++) {
                if ((closed >> fd & 1) != 0) {
                    close(fd);
                }
            }
            hardening_apply();
            for (int fd = 0; fd < 3; fd++) {
                struct stat file;
                bool is_null = fstat(fd, &file) == 0 && file.st_rdev == makedev(1, 3);
                wrong_count += (closed >> fd & 1) != 0 && !is_null;
            }
            _exit(wrong_count);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void test_the_environment_gives_no_tls_secrets_away(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        setenv("SSLKEYLOGFILE", "/tmp/secrets", 1);
        hardening_apply();
        _exit(getenv("SSLKEYLOGFILE") == NULL ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hardened_process_is_closed),
        cmocka_unit_test(test_it_can_be_left_open),
        cmocka_unit_test(test_the_environment_gives_no_tls_secrets_away),
        cmocka_unit_test(test_standard_descriptors_that_are_closed_are_opened_on_dev_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
