#include "flow_process.h"

#include "flow_check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t flow_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void flow_pause(void)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    nanosleep(&pause, NULL);
}

static int open_output(const char *path)
{
    int fd =
        open(path == NULL ? "/dev/null" : path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert(fd >= 0);
    return fd;
}

/* Runs between fork and exec. The test has one thread, so every function may be called. */
static _Noreturn void become(const struct process_spec *spec, pid_t parent)
{
    int output = open_output(spec->output);
    int errors = spec->errors == NULL ? output : open_output(spec->errors);
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(127);
    }
    signal(SIGPIPE, SIG_DFL);
    if (!spec->has_descriptors) {
        /* Otherwise the child inherits the open sockets of the test's libraries. */
        close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    }
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    for (const char *const *entry = spec->env; entry != NULL && *entry != NULL; entry++) {
        putenv((char *)*entry);
    }
    if (spec->directory == NULL || chdir(spec->directory) == 0) {
        execvp(spec->argv[0], (char *const *)spec->argv);
    }
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", spec->argv[0], strerror(errno));
    _exit(127);
}

pid_t process_start(const struct process_spec *spec)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        become(spec, parent);
    }
    if (pid < 0) {
        flow_fail("cannot start %s: %s", spec->argv[0], strerror(errno));
    }
    return pid;
}

int process_wait(pid_t pid, int timeout_ms)
{
    int status = 0;
    int fd = pidfd_open(pid, 0);
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int64_t end_ms = flow_now_ms() + timeout_ms;
    int ready = 0;
    do {
        int64_t left_ms = end_ms - flow_now_ms();
        ready = poll(&entry, 1, left_ms < 0 ? 0 : (int)left_ms);
    } while (ready < 0 && errno == EINTR);
    if (fd >= 0) {
        close(fd);
    }
    if (ready <= 0 || waitpid(pid, &status, 0) != pid) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_end(pid_t pid, int signal_number, int timeout_ms)
{
    if (pid <= 0) {
        return -1;
    }
    kill(pid, signal_number);
    return process_wait(pid, timeout_ms);
}

struct tool_result tool_run(const char *directory, const char *const *env, const char *const *argv)
{
    static int number;
    char output[256];
    char errors[256];
    snprintf(output, sizeof output, "%s/tool-%d.out", directory, ++number);
    snprintf(errors, sizeof errors, "%s/tool-%d.err", directory, number);
    const struct process_spec spec = {
        .argv = argv, .env = env, .directory = directory, .output = output, .errors = errors};
    pid_t pid = process_start(&spec);
    struct tool_result result = {.code = process_wait(pid, FLOW_TIMEOUT_MS)};
    if (result.code < 0) {
        process_end(pid, SIGKILL, FLOW_TIMEOUT_MS);
    }
    result.output = file_read(output);
    result.errors = file_read(errors);
    return result;
}

void tool_result_fini(struct tool_result *result)
{
    free(result->output);
    free(result->errors);
    *result = (struct tool_result){0};
}

long file_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (long)info.st_size : 0;
}

static char *read_from(const char *path, long offset)
{
    long size = file_size(path) - offset;
    size_t length = size > 0 ? (size_t)size : 0;
    char *text = calloc(1, length + 1);
    FILE *file = fopen(path, "re");
    assert(text != NULL);
    if (file != NULL) {
        if (fseek(file, offset, SEEK_SET) == 0) {
            length = fread(text, 1, length, file);
            text[length] = '\0';
        }
        fclose(file);
    }
    return text;
}

char *file_read(const char *path)
{
    return read_from(path, 0);
}

void file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool is_ok = file != NULL && fputs(text, file) >= 0;
    if (file == NULL || fclose(file) != 0 || !is_ok) {
        flow_fail("cannot write %s", path);
    }
}

bool file_contains(const char *path, long offset, const char *text)
{
    char *content = read_from(path, offset);
    bool is_there = strstr(content, text) != NULL;
    free(content);
    return is_there;
}
