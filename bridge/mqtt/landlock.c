/*
 * Rulesets that handle everything and allow next to nothing. linux/landlock.h of Debian 12 ends
 * with version 3, so the numbers that came later stand here: they are part of the kernel's
 * interface and do not change (Documentation/userspace-api/landlock.rst).
 */
#include "landlock.h"

#include "base/clock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREAD_TIMEOUT_MS 5000
#define RULE_PORT         2 /* since version 4 */
#define CONNECT_TCP       0x2

/* struct landlock_ruleset_attr of version 6. */
struct ruleset {
    uint64_t files;
    uint64_t network; /* since version 4 */
    uint64_t scoped;  /* since version 6 */
};

/* struct landlock_net_port_attr. */
struct port_rule {
    uint64_t allowed;
    uint64_t port;
};

#ifdef BRIDGE_CRASH_POINTS
#define SCOPED_ALL 0x1 /* a crash point may kill the bridge, too */
#else
#define SCOPED_ALL 0x3
#endif

/* What each version can deny, from the newest: all bits up to its last. */
static const struct {
    int version;
    size_t bytes; /* of struct ruleset that it knows */
    struct ruleset all;
} versions[] = {
    {6, sizeof(struct ruleset), {0xffff, 0x3, SCOPED_ALL}},  /* + abstract sockets, signals */
    {5, offsetof(struct ruleset, scoped), {0xffff, 0x3, 0}}, /* + ioctl() on devices */
    {4, offsetof(struct ruleset, scoped), {0x7fff, 0x3, 0}}, /* + TCP */
    {3, offsetof(struct ruleset, network), {0x7fff, 0, 0}},  /* + truncate */
    {2, offsetof(struct ruleset, network), {0x3fff, 0, 0}},  /* + rename between folders */
    {1, offsetof(struct ruleset, network), {0x1fff, 0, 0}},
};

static int threads_fd = -1; /* the folder of the process's threads */
/* For the signal handler. */
static int ruleset_fd = -1;
static _Atomic int thread_error; /* of a thread that could not be restricted */
static sem_t restricted;         /* counts the threads that answered */

int landlock_version(void)
{
    long version =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return version < 0 ? 0 : (int)version;
}

/* Sets ruleset_fd; 0, or an errno value. */
static int make_ruleset(void)
{
    size_t row = 0;
    while (versions[row].version > landlock_version() && versions[row].version > 1) {
        row++;
    }
    ruleset_fd =
        (int)syscall(SYS_landlock_create_ruleset, &versions[row].all, versions[row].bytes, 0);
    return ruleset_fd < 0 ? errno : 0;
}

static int restrict_this_thread(void)
{
    return syscall(SYS_landlock_restrict_self, ruleset_fd, 0) == 0 ? 0 : errno;
}

static void on_signal(int signal_number)
{
    (void)signal_number;
    int error = errno;
    int failed = restrict_this_thread();
    if (failed != 0) {
        thread_error = failed;
    }
    sem_post(&restricted);
    errno = error;
}

static int open_threads(void)
{
    return open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Signals all other threads; their number, or -1 with errno. */
static int signal_others(void)
{
    int fd = threads_fd >= 0 ? threads_fd : open_threads();
    DIR *threads = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int count = 0;
    threads_fd = -1;
    if (threads == NULL) {
        return -1;
    }
    while ((entry = readdir(threads)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 for "." and ".." */
        if (thread > 0 && thread != gettid() && tgkill(getpid(), thread, SIGRTMIN) == 0) {
            count++;
        }
    }
    closedir(threads);
    return count;
}

/* 0, or an errno value. */
static int restrict_others(void)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    int64_t ends_ms = clock_mono_ms() + THREAD_TIMEOUT_MS;
    struct timespec deadline = {.tv_sec = ends_ms / 1000, .tv_nsec = (ends_ms % 1000) * 1000000};
    thread_error = 0;
    sem_init(&restricted, 0, 0);
    sigaction(SIGRTMIN, &action, NULL);
    int left = signal_others();
    int error = left < 0 ? errno : 0;
    while (error == 0 && left > 0) {
        if (sem_clockwait(&restricted, CLOCK_MONOTONIC, &deadline) == 0) {
            left--;
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    return error != 0 ? error : thread_error;
}

/* The end of both functions, with 0 or an errno value. */
static enum status finish(int error, struct buf *out_why)
{
    if (error == 0) {
        error = restrict_this_thread();
    }
    if (ruleset_fd >= 0) {
        close(ruleset_fd);
    }
    if (error != 0) {
        buf_printf(out_why, "the kernel has Landlock, but does not let the process use it: %s",
                   strerror(error));
    }
    return error == 0 ? STATUS_OK : STATUS_UNAVAILABLE;
}

/* ---- What stays allowed ---- */

/* Where it fails, the file cannot be read, which OpenSSL reports. */
static void allow_file(int folder, const char *name)
{
    struct stat info;
    int fd = openat(folder, name, O_PATH | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
        const struct landlock_path_beneath_attr rule = {
            .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
            .parent_fd = fd,
        };
        (void)syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* Eight hexadecimal digits, a dot, "r" for a list of what was revoked, and a number. */
static bool is_hashed_name(const char *name)
{
    return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' &&
           isdigit((unsigned char)name[name[9] == 'r' ? 10 : 9]);
}

static void allow_path(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    if (folder == NULL) {
        allow_file(AT_FDCWD, path);
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        if (is_hashed_name(entry->d_name)) {
            allow_file(dirfd(folder), entry->d_name);
        }
    }
    closedir(folder);
}

enum status landlock_deny_all_but(const char *paths, uint16_t port, struct buf *out_why)
{
    const struct port_rule rule = {CONNECT_TCP, port};
    int error = make_ruleset();
    threads_fd = open_threads(); /* for landlock_deny_all(), which cannot open it any more */
    while (error == 0 && *paths != '\0') {
        size_t length = strcspn(paths, ":");
        struct buf path = {0};
        buf_append(&path, slice_of(paths, length));
        if (length > 0) {
            allow_path(path.data);
        }
        buf_fini(&path);
        paths += length + (paths[length] == ':' ? 1 : 0);
    }
    if (error == 0 && landlock_version() >= 4 &&
        syscall(SYS_landlock_add_rule, ruleset_fd, RULE_PORT, &rule, 0) != 0) {
        error = errno;
    }
    return finish(error, out_why);
}

enum status landlock_deny_all(struct buf *out_why)
{
    int error = make_ruleset();
    if (error == 0) {
        error = restrict_others();
    }
    /* This thread comes last: a kernel before 6.15 does not let a restricted thread signal the
     * others. */
    return finish(error, out_why);
}
