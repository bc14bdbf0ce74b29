/* What a process can still do in the sandbox: each attempt is made in a process of its own, by the
 * thread that has entered the sandbox and by one that was there before. */
#include "mqtt/sandbox.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/log.h"
#include "mqtt/landlock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOT_ENTERED 120
#define SUCCEEDED   121

/* What the attempts use; opened before the sandbox. */
static int pair[2];
static int event_fd;
static int tcp_fd;
static int file_fd;
static struct sockaddr_in address;

/* NULL unless a sanitizer is linked: all of them define this function. */
extern void sanitizer_mark(void) __asm__("__sanitizer_print_stack_trace") __attribute__((weak));

/* ---- The attempts: below 0 with errno where they fail ---- */

static int try_read(void)
{
    return open("/etc/passwd", O_RDONLY);
}

static int try_write(void)
{
    return open("/tmp/sandbox-test", O_RDWR | O_CREAT, 0600);
}

static int try_openat2(void)
{
    const uint64_t how[3] = {O_RDONLY, 0, 0};
    return (int)syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof how);
}

static int try_stat(void)
{
    struct stat file;
    return stat("/etc/passwd", &file);
}

static int try_own_file(void)
{
    return open("/proc/self/fd/2", O_WRONLY);
}

static int try_mkdir(void)
{
    return mkdir("/tmp/sandbox-test", 0700);
}

static int try_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int try_socketpair(void)
{
    int fds[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static int try_connect(void)
{
    return connect(tcp_fd, (struct sockaddr *)&address, sizeof address);
}

static int try_bind(void)
{
    return bind(tcp_fd, (struct sockaddr *)&address, sizeof address);
}

static int try_fast_open(void)
{
    return (int)sendto(tcp_fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address);
}

static int try_exec(void)
{
    char *argv[] = {"true", NULL};
    char *envp[] = {NULL};
    return execve("/bin/true", argv, envp);
}

static int try_exec_of_descriptor(void)
{
    char *argv[] = {"true", NULL};
    char *envp[] = {NULL};
    return (int)syscall(SYS_execveat, file_fd, "", argv, envp, AT_EMPTY_PATH);
}

static int try_fork(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    return pid;
}

static void *thread_body(void *arg)
{
    return arg;
}

static int try_thread(void)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, thread_body, NULL);
    return errno == 0 ? 0 : -1;
}

static int try_ptrace(void)
{
    return (int)ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static int try_read_of_another_process(void)
{
    char byte;
    struct {
        void *at;
        size_t length;
    } here = {&byte, 1}, there = {&byte, 1};
    return (int)syscall(SYS_process_vm_readv, getppid(), &here, 1UL, &there, 1UL, 0UL);
}

static int try_signal(void)
{
    return (int)syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static int try_signal_to_all(void)
{
    return kill(-1, 0);
}

static int try_code(void)
{
    void *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return code == MAP_FAILED ? -1 : 0;
}

static int try_code_later(void)
{
    void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(data, 4096, PROT_READ | PROT_EXEC);
}

static int try_terminal(void)
{
    return ioctl(STDERR_FILENO, TIOCSTI, "x");
}

static int try_io_uring(void)
{
    uint32_t params[30] = {0};
    return (int)syscall(SYS_io_uring_setup, 4U, params);
}

static int try_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int try_owner_of_signals(void)
{
    return fcntl(pair[0], F_SETOWN, getppid());
}

static int try_mount(void)
{
    return (int)syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */);
}

#define KILLED 0
#define ROW(function, end)       \
    {                            \
#function, function, end \
    }

static const struct {
    const char *name;
    int (*try)(void);
    int error; /* KILLED by SIGSYS, or errno */
} attempts[] = {
    ROW(try_read, EACCES),
    ROW(try_write, EACCES),
    ROW(try_openat2, EACCES),
    ROW(try_stat, EACCES),
    ROW(try_own_file, EACCES),
    ROW(try_mkdir, KILLED),
    ROW(try_socket, KILLED),
    ROW(try_socketpair, KILLED),
    ROW(try_connect, KILLED),
    ROW(try_bind, KILLED),
    ROW(try_fast_open, KILLED),
    ROW(try_exec, KILLED),
    ROW(try_exec_of_descriptor, KILLED),
    ROW(try_fork, KILLED),
    ROW(try_thread, KILLED),
    ROW(try_ptrace, KILLED),
    ROW(try_read_of_another_process, KILLED),
    ROW(try_signal, KILLED),
    ROW(try_signal_to_all, KILLED),
    ROW(try_code, KILLED),
    ROW(try_code_later, KILLED),
    ROW(try_terminal, KILLED),
    ROW(try_io_uring, KILLED),
    ROW(try_dumpable, EPERM),
    ROW(try_owner_of_signals, KILLED),
    ROW(try_mount, KILLED),
};

/* ---- A process in the sandbox ---- */

typedef enum status enter_fn(struct buf *out_why);

/* The thread that was there before; ends the process with the attempt's result. */
struct other_thread {
    pthread_t thread;
    int go_fd; /* readable when it is its turn */
    int (*try)(void);
};

static _Noreturn void finish(int (*try)(void))
{
    int result = try();
    _exit(result < 0 ? errno : SUCCEEDED);
}

static void *other_body(void *arg)
{
    struct other_thread *other = arg;
    uint64_t count;
    ssize_t got;
    do {
        got = read(other->go_fd, &count, sizeof count);
    } while (got < 0 && errno == EINTR);
    finish(other->try);
}

static _Noreturn void child(enter_fn *enter, int (*try)(void), bool is_by_other)
{
    struct other_thread other = {.go_fd = eventfd(0, 0), .try = try};
    const struct rlimit no_core = {0, 0};
    struct buf why = {0};
    uint64_t one = 1;
    setrlimit(RLIMIT_CORE, &no_core);
    sandbox_prepare();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
        pthread_create(&other.thread, NULL, other_body, &other) != 0 || enter(&why) != STATUS_OK) {
        fprintf(stderr, "%s\n", why.length > 0 ? why.data : "no sockets or no thread");
        _exit(NOT_ENTERED);
    }
    if (!is_by_other) {
        finish(try);
    }
    if (write(other.go_fd, &one, sizeof one) != sizeof one) {
        _exit(NOT_ENTERED);
    }
    for (;;) {
        poll(NULL, 0, -1);
    }
}

/* The wait status of a process that enters and tries. */
static int try_in_sandbox(enter_fn *enter, int (*try)(void), bool is_by_other)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child(enter, try, is_by_other);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ENTERED) {
        fail_msg("the sandbox was not entered");
    }
    return status;
}

/* ---- Tests ---- */

static void test_every_thread_is_kept_from_files_sockets_programs_and_processes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        for (int is_by_other = 0; is_by_other <= 1; is_by_other++) {
            int status = try_in_sandbox(sandbox_enter, attempts[i].try, is_by_other);
            bool is_as_expected =
                attempts[i].error == KILLED
                    ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS
                    : WIFEXITED(status) && WEXITSTATUS(status) == attempts[i].error;
            if (!is_as_expected) {
                fail_msg("%s by the %s thread: wait status %#x", attempts[i].name,
                         is_by_other ? "other" : "first", (unsigned)status);
            }
        }
    }
}

/* Without this the test above would pass where nothing can be done in any case. */
static enum status enter_nothing(struct buf *out_why)
{
    (void)out_why;
    return STATUS_OK;
}

static void test_without_the_sandbox_the_same_attempts_are_not_killed(void **state)
{
    (void)state;
    int (*const harmless[])(void) = {
        try_read, try_stat,   try_socket, try_socketpair, try_exec_of_descriptor,
        try_fork, try_thread, try_code,   try_code_later, try_exec};
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        int status = try_in_sandbox(enter_nothing, harmless[i], i % 2 == 1);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == SUCCEEDED || WEXITSTATUS(status) == 0);
    }
}

static void test_landlock_alone_keeps_every_thread_from_files_and_connections(void **state)
{
    (void)state;
    static const struct {
        int (*try)(void);
        int version; /* that denies it first */
        int error;
    } rows[] = {
        {try_read, 1, EACCES},  {try_write, 1, EACCES}, {try_openat2, 1, EACCES},
        {try_exec, 1, EACCES},  {try_mkdir, 1, EACCES}, {try_connect, 4, EACCES},
#ifndef BRIDGE_CRASH_POINTS /* these may kill the bridge */
        {try_signal, 6, EPERM},
#endif
    };
    if (landlock_version() == 0) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int is_by_other = 0; is_by_other <= 1 && landlock_version() >= rows[i].version;
             is_by_other++) {
            int status = try_in_sandbox(landlock_deny_all, rows[i].try, is_by_other);
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), rows[i].error);
        }
    }
}

/* What a connection does from CONNACK on, but for Paho and OpenSSL (flow_sandbox). */
static int work(void)
{
    char bytes[16] = "";
    uint64_t one = 1;
    struct pollfd ready = {.fd = pair[1], .events = POLLIN};
    struct buf big = {0};
    log_setup(LOG_LEVEL_INFO, false, "test");
    digest_random(bytes, sizeof bytes);
    for (int i = 0; i < 64; i++) {
        free(memset(malloc(1U << i % 24), i, 1U << i % 24));
    }
    for (int i = 0; i < 1 << 16; i++) {
        buf_append_text(&big, "a line of a long text");
    }
    buf_fini(&big);
    LOG_ERROR("cannot_start", LOG_TEXT("why", "a line of the log"));
    bool is_good = send(pair[0], "ping", 4, MSG_NOSIGNAL) == 4 && poll(&ready, 1, 1000) == 1 &&
                   recv(pair[1], bytes, sizeof bytes, 0) == 4 &&
                   write(event_fd, &one, sizeof one) == sizeof one &&
                   read(event_fd, &one, sizeof one) == sizeof one &&
                   fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 && shutdown(pair[0], SHUT_WR) == 0 &&
                   close(pair[1]) == 0;
    return is_good ? 0 : -1;
}

static void test_what_a_connection_needs_still_works(void **state)
{
    (void)state;
    for (int is_by_other = 0; is_by_other <= 1; is_by_other++) {
        int status = try_in_sandbox(sandbox_enter, work, is_by_other);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), SUCCEEDED);
    }
}

static int fail_an_assertion(void)
{
    abort();
}

static int die_as_at_a_crash_point(void)
{
#ifdef BRIDGE_CRASH_POINTS
    return kill(getpid(), SIGKILL);
#else
    return raise(SIGKILL);
#endif
}

static void test_a_process_in_the_sandbox_can_still_end_itself_by_a_signal(void **state)
{
    (void)state;
    for (int is_by_other = 0; is_by_other <= 1; is_by_other++) {
        int status = try_in_sandbox(sandbox_enter, fail_an_assertion, is_by_other);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
        status = try_in_sandbox(sandbox_enter, die_as_at_a_crash_point, is_by_other);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
    }
}

static int ask_for_the_limit(void)
{
    struct rlimit files;
    return getrlimit(RLIMIT_NOFILE, &files);
}

static void test_limits_are_applied(void **state)
{
    (void)state;
    char path[64];
    char line[256];
    int go[2];
    struct buf why = {0};
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sandbox_prepare();
        char byte = sandbox_enter(&why) == STATUS_OK ? 'y' : 'n';
        byte = write(go[1], &byte, 1) == 1 ? byte : 'n';
        for (;;) {
            poll(NULL, 0, -1);
        }
    }
    assert_int_equal(read(go[0], line, 1), 1);
    assert_int_equal(line[0], 'y');
    struct rlimit files;
    struct rlimit processes;
    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &files), 0);
    assert_int_equal(prlimit(pid, RLIMIT_NPROC, NULL, &processes), 0);
    assert_int_equal(files.rlim_max, SANDBOX_FD_MAX);
    assert_int_equal(processes.rlim_max, 0);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *status = fopen(path, "r");
    bool has_seccomp = false;
    bool has_no_new_rights = false;
    assert_non_null(status);
    while (fgets(line, sizeof line, status) != NULL) {
        has_seccomp = has_seccomp || strcmp(line, "Seccomp:\t2\n") == 0;
        has_no_new_rights = has_no_new_rights || strcmp(line, "NoNewPrivs:\t1\n") == 0;
    }
    fclose(status);
    assert_true(has_seccomp && has_no_new_rights);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(go[0]);
    close(go[1]);
    assert_int_equal(WEXITSTATUS(try_in_sandbox(sandbox_enter, ask_for_the_limit, false)), EPERM);
}

static int open_descriptors(void **state)
{
    (void)state;
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    tcp_fd = socket(AF_INET, SOCK_STREAM, 0);
    event_fd = eventfd(0, 0);
    file_fd = open("/bin/true", O_RDONLY);
    bool is_good = bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                   listen(listener, 5) == 0 &&
                   getsockname(listener, (struct sockaddr *)&address, &length) == 0 &&
                   tcp_fd >= 0 && event_fd >= 0 && file_fd >= 0;
    return is_good ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_thread_is_kept_from_files_sockets_programs_and_processes),
        cmocka_unit_test(test_without_the_sandbox_the_same_attempts_are_not_killed),
        cmocka_unit_test(test_landlock_alone_keeps_every_thread_from_files_and_connections),
        cmocka_unit_test(test_what_a_connection_needs_still_works),
        cmocka_unit_test(test_a_process_in_the_sandbox_can_still_end_itself_by_a_signal),
        cmocka_unit_test(test_limits_are_applied),
    };
    if (sanitizer_mark != NULL) {
        print_message("skipped: a process with a sanitizer does not enter the sandbox\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, open_descriptors, NULL);
}
