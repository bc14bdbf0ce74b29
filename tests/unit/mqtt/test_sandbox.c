/* What a process can still do in the sandbox: each attempt is made in a process of its own, by the
 * thread that has entered the sandbox and by one that was there before. */
#include "mqtt/sandbox.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/log.h"
#include "mqtt/landlock.h"
#include "mqtt/process.h"

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
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#define NOT_ENTERED 120
#define SUCCEEDED   121

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* What the attempts use; opened before the sandbox. */
static int pair[2];
static int event_fd;
static int tcp_fd;
static int file_fd;
static int memory_fd;
static struct sockaddr_in address;
/* A file and its folder, which is as `openssl rehash` makes it. */
static char authorities[256];
static char folder[] = "/tmp/sandbox-authorities-XXXXXX";

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

static int open_in_folder(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return open(path, O_RDONLY);
}

static int try_authority(void)
{
    return open_in_folder("one.pem");
}

static int try_hashed_authority(void)
{
    return open_in_folder("0123abcd.0");
}

static int try_list_of_the_revoked(void)
{
    return open_in_folder("0123abcd.r1");
}

static int try_file_beside(void)
{
    return open_in_folder("key.pem");
}

static int try_folder(void)
{
    return open_in_folder("89abcdef.0"); /* leads to /etc */
}

static int try_memory_file(void)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory_fd);
    return open(path, O_RDONLY);
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

static int try_local_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int try_datagram_socket(void)
{
    return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
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

static int try_connect_elsewhere(void)
{
    struct sockaddr_in other = address;
    other.sin_port = htons((uint16_t)(ntohs(address.sin_port) ^ 1));
    return connect(tcp_fd, (struct sockaddr *)&other, sizeof other);
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

struct attempt {
    const char *name;
    int (*try)(void);
    int error; /* KILLED by SIGSYS, SUCCEEDED, or errno */
};

static const struct attempt attempts[] = {
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

/* Is called with 0 before the other thread is started, and with 1 behind it. */
typedef enum status enter_fn(int part, struct buf *out_why);

static const struct sandbox_needs *needs(void)
{
    static struct sandbox_needs needs;
    needs = (struct sandbox_needs){authorities, ntohs(address.sin_port)};
    return &needs;
}

static enum status enter_start(int part, struct buf *out_why)
{
    return part == 0 ? sandbox_enter(SANDBOX_START, needs(), out_why) : STATUS_OK;
}

static enum status enter_connect(int part, struct buf *out_why)
{
    return part == 0 ? enter_start(0, out_why) : sandbox_enter(SANDBOX_CONNECT, NULL, out_why);
}

static enum status enter_all(int part, struct buf *out_why)
{
    if (part == 1 && enter_connect(1, out_why) != STATUS_OK) {
        return STATUS_UNAVAILABLE;
    }
    return part == 0 ? enter_start(0, out_why) : sandbox_enter(SANDBOX_ACCEPTED, NULL, out_why);
}

static enum status enter_landlock(int part, struct buf *out_why)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return part == 0 ? STATUS_OK : landlock_deny_all(out_why);
}

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
    signal(SIGSYS, SIG_DFL);                  /* cmocka has a handler */
    tcp_fd = socket(AF_INET, SOCK_STREAM, 0); /* the other processes' may be connected */
    if (tcp_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
        enter(0, &why) != STATUS_OK ||
        pthread_create(&other.thread, NULL, other_body, &other) != 0 ||
        enter(1, &why) != STATUS_OK) {
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

static void expect(enter_fn *enter, const struct attempt *attempt)
{
    for (int is_by_other = 0; is_by_other <= 1; is_by_other++) {
        int status = try_in_sandbox(enter, attempt->try, is_by_other);
        bool is_as_expected = attempt->error == KILLED
                                  ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS
                                  : WIFEXITED(status) && WEXITSTATUS(status) == attempt->error;
        if (!is_as_expected) {
            fail_msg("%s by the %s thread: wait status %#x", attempt->name,
                     is_by_other ? "other" : "first", (unsigned)status);
        }
    }
}

static void test_every_thread_is_kept_from_files_sockets_programs_and_processes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(attempts); i++) {
        expect(enter_all, &attempts[i]);
    }
}

static void test_from_the_start_nothing_is_run_or_written_and_nobody_is_reached_but_the_broker(
    void **state)
{
    (void)state;
    static const struct attempt rows[] = {
        ROW(try_exec, KILLED),
        ROW(try_exec_of_descriptor, KILLED),
        ROW(try_fork, KILLED),
        ROW(try_ptrace, KILLED),
        ROW(try_read_of_another_process, KILLED),
        ROW(try_signal, KILLED),
        ROW(try_io_uring, KILLED),
        ROW(try_mount, KILLED),
        ROW(try_mkdir, KILLED),
        ROW(try_write, EACCES),
        ROW(try_openat2, ENOSYS),
        ROW(try_socketpair, KILLED),
        ROW(try_bind, KILLED),
        ROW(try_local_socket, EACCES),
        ROW(try_datagram_socket, EACCES),
        ROW(try_socket, SUCCEEDED),
        ROW(try_connect, SUCCEEDED),
        ROW(try_thread, SUCCEEDED),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        expect(enter_start, &rows[i]);
    }
}

static void test_once_there_is_a_socket_for_the_broker_there_is_no_other(void **state)
{
    (void)state;
    static const struct attempt rows[] = {
        ROW(try_socket, KILLED),
        ROW(try_local_socket, KILLED),
        ROW(try_connect, SUCCEEDED),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        expect(enter_connect, &rows[i]);
    }
}

static void test_until_the_broker_has_accepted_only_authorities_are_read(void **state)
{
    (void)state;
    static const struct attempt rows[] = {
        ROW(try_read, EACCES),
        ROW(try_own_file, EACCES),
        ROW(try_file_beside, EACCES),
        ROW(try_folder, EACCES),
        ROW(try_authority, SUCCEEDED),
        ROW(try_hashed_authority, SUCCEEDED),
        ROW(try_list_of_the_revoked, SUCCEEDED),
        ROW(try_memory_file, SUCCEEDED),
    };
    static const struct attempt with_network = ROW(try_connect_elsewhere, EACCES);
    if (landlock_version() == 0) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        expect(enter_start, &rows[i]);
    }
    if (landlock_version() >= 4) {
        expect(enter_start, &with_network);
    }
}

/* Without this the test above would pass where nothing can be done in any case. */
static enum status enter_nothing(int part, struct buf *out_why)
{
    (void)part;
    (void)out_why;
    return STATUS_OK;
}

static void test_without_the_sandbox_the_same_attempts_are_not_killed(void **state)
{
    (void)state;
    int (*const harmless[])(void) = {
        try_read, try_stat,   try_socket, try_socketpair, try_exec_of_descriptor,
        try_fork, try_thread, try_code,   try_code_later, try_exec};
    for (size_t i = 0; i < COUNT(harmless); i++) {
        int status = try_in_sandbox(enter_nothing, harmless[i], i % 2 == 1);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == SUCCEEDED || WEXITSTATUS(status) == 0);
    }
}

static void test_landlock_alone_keeps_every_thread_from_files_and_connections(void **state)
{
    (void)state;
    static const struct {
        struct attempt attempt;
        int version; /* of Landlock that denies it first */
    } rows[] = {
        {ROW(try_read, EACCES), 1},  {ROW(try_write, EACCES), 1}, {ROW(try_openat2, EACCES), 1},
        {ROW(try_exec, EACCES), 1},  {ROW(try_mkdir, EACCES), 1}, {ROW(try_connect, EACCES), 4},
#ifndef BRIDGE_CRASH_POINTS /* these may kill the bridge */
        {ROW(try_signal, EPERM), 6},
#endif
    };
    if (landlock_version() == 0) {
        print_message("skipped: this kernel has no Landlock\n");
        skip();
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (landlock_version() >= rows[i].version) {
            expect(enter_landlock, &rows[i].attempt);
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
    log_setup(LOG_LEVEL_INFO, LOG_LOGFMT, "test");
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
                   shutdown(pair[0], SHUT_WR) == 0 && close(pair[1]) == 0;
    return is_good ? 0 : -1;
}

static void test_what_a_connection_needs_still_works(void **state)
{
    (void)state;
    for (int is_by_other = 0; is_by_other <= 1; is_by_other++) {
        int status = try_in_sandbox(enter_all, work, is_by_other);
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
        int status = try_in_sandbox(enter_all, fail_an_assertion, is_by_other);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
        status = try_in_sandbox(enter_all, die_as_at_a_crash_point, is_by_other);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
    }
}

/* As a library that needs a system call which the sandbox does not know. */
static _Noreturn void make_an_unknown_call(int control_fd)
{
    static struct process process = {.params = {.address = {.scheme = {"mqtt", 4}, .port = 1883}}};
    char path[64];
    dup2(control_fd, WIRE_CONTROL_FD);
    pthread_mutex_init(&process.send_mutex, NULL);
    process_confine(&process, CONNECTION_STARTS);
    process_confine(&process, CONNECTION_CONNECTS);
    process_confine(&process, CONNECTION_ACCEPTED);
    syscall(SYS_getcwd, path, sizeof path);
    _exit(SUCCEEDED);
}

static void test_a_call_that_is_not_allowed_ends_the_process_and_is_named(void **state)
{
    (void)state;
    int control[2];
    int status = 0;
    char bytes[1024];
    struct wire_frame frame;
    size_t taken;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, control), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        make_an_unknown_call(control[1]);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EX_SOFTWARE);
    ssize_t got = recv(control[0], bytes, sizeof bytes, MSG_DONTWAIT);
    assert_true(got > 0);
    assert_int_equal(wire_next(slice_of(bytes, (size_t)got), &frame, &taken), STATUS_OK);
    assert_int_equal(frame.type, WIRE_DOWN);
    assert_int_equal(frame.down.reason, WIRE_DOWN_INTERNAL);
    assert_non_null(memmem(frame.down.text.data, frame.down.text.length, " getcwd (", 9));
    close(control[0]);
    close(control[1]);
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
        char byte = enter_all(0, &why) == STATUS_OK && enter_all(1, &why) == STATUS_OK ? 'y' : 'n';
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
    assert_int_equal(WEXITSTATUS(try_in_sandbox(enter_all, ask_for_the_limit, false)), EPERM);
}

/* What is in the folder of the authorities: files, and links to them. */
static const struct {
    const char *name;
    const char *target;
} entries[] = {
    {"one.pem", NULL},      {"two.pem", NULL},         {"list.pem", NULL},
    {"key.pem", NULL},      {"0123abcd.0", "two.pem"}, {"0123abcd.r1", "list.pem"},
    {"89abcdef.0", "/etc"},
};

static void path_of_entry(size_t i, char out[128])
{
    snprintf(out, 128, "%s/%s", folder, entries[i].name);
}

static int make_authorities(void)
{
    char path[128];
    bool is_good = mkdtemp(folder) != NULL;
    for (size_t i = 0; i < COUNT(entries) && is_good; i++) {
        path_of_entry(i, path);
        if (entries[i].target != NULL) {
            is_good = symlink(entries[i].target, path) == 0;
        } else {
            int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
            is_good = fd >= 0 && close(fd) == 0;
        }
    }
    snprintf(authorities, sizeof authorities, "%s/one.pem:/does/not/exist::%s", folder, folder);
    memory_fd = memfd_create("test", MFD_CLOEXEC);
    return is_good && memory_fd >= 0 ? 0 : -1;
}

static int remove_authorities(void **state)
{
    (void)state;
    char path[128];
    for (size_t i = 0; i < COUNT(entries); i++) {
        path_of_entry(i, path);
        unlink(path);
    }
    return rmdir(folder);
}

static int open_descriptors(void **state)
{
    (void)state;
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    event_fd = eventfd(0, 0);
    file_fd = open("/bin/true", O_RDONLY);
    bool is_good = make_authorities() == 0 &&
                   bind(listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                   listen(listener, 5) == 0 &&
                   getsockname(listener, (struct sockaddr *)&address, &length) == 0 &&
                   event_fd >= 0 && file_fd >= 0;
    return is_good ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_thread_is_kept_from_files_sockets_programs_and_processes),
        cmocka_unit_test(
            test_from_the_start_nothing_is_run_or_written_and_nobody_is_reached_but_the_broker),
        cmocka_unit_test(test_once_there_is_a_socket_for_the_broker_there_is_no_other),
        cmocka_unit_test(test_until_the_broker_has_accepted_only_authorities_are_read),
        cmocka_unit_test(test_without_the_sandbox_the_same_attempts_are_not_killed),
        cmocka_unit_test(test_landlock_alone_keeps_every_thread_from_files_and_connections),
        cmocka_unit_test(test_what_a_connection_needs_still_works),
        cmocka_unit_test(test_a_process_in_the_sandbox_can_still_end_itself_by_a_signal),
        cmocka_unit_test(test_a_call_that_is_not_allowed_ends_the_process_and_is_named),
        cmocka_unit_test(test_limits_are_applied),
    };
    if (sanitizer_mark != NULL) {
        print_message("skipped: a process with a sanitizer does not enter the sandbox\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, open_descriptors, remove_authorities);
}
