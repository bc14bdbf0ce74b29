#include "bench_family.h"

#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { PROCESSES_MAX = 65536 };

struct process {
    pid_t pid;
    pid_t parent;
};

/* From /proc/PID/stat; the name in it may contain blanks and brackets. -1: no such process. */
static pid_t parent_of(pid_t pid)
{
    char path[64];
    char line[1024];
    int parent = -1;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return -1;
    }
    if (fgets(line, sizeof(line), file) != NULL) {
        const char *bracket = strrchr(line, ')');
        if (bracket == NULL || sscanf(bracket, ") %*c %d", &parent) != 1) {
            parent = -1;
        }
    }
    fclose(file);
    return parent;
}

static size_t list_processes(struct process *processes)
{
    DIR *proc = opendir("/proc");
    size_t count = 0;

    if (proc == NULL) {
        bench_die(EX_OSERR, "/proc: %s", strerror(errno));
    }
    for (struct dirent *entry; (entry = readdir(proc)) != NULL && count < PROCESSES_MAX;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0) {
            processes[count++] = (struct process){.pid = pid, .parent = parent_of(pid)};
        }
    }
    closedir(proc);
    return count;
}

void bench_family_find(struct bench_family *family, pid_t pid)
{
    struct process *processes = bench_alloc(PROCESSES_MAX, sizeof(*processes));
    size_t count = list_processes(processes);

    if (parent_of(pid) < 0) {
        bench_die(BENCH_EXIT_FAILED, "there is no process %d", (int)pid);
    }
    family->pids[0] = pid;
    family->count = 1;
    for (size_t next = 0; next < family->count; next++) {
        for (size_t i = 0; i < count && family->count < BENCH_FAMILY_MAX; i++) {
            if (processes[i].parent == family->pids[next]) {
                family->pids[family->count++] = processes[i].pid;
            }
        }
    }
    free(processes);
}

bool bench_family_is_same(const struct bench_family *one, const struct bench_family *other)
{
    return one->count == other->count &&
           memcmp(one->pids, other->pids, one->count * sizeof(one->pids[0])) == 0;
}

uint64_t bench_process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec used = {0};

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return 0;
    }
    return (uint64_t)used.tv_sec * 1000000000U + (uint64_t)used.tv_nsec;
}

uint64_t bench_family_cpu_ns(const struct bench_family *family)
{
    uint64_t total_ns = 0;

    for (size_t i = 0; i < family->count; i++) {
        total_ns += bench_process_cpu_ns(family->pids[i]);
    }
    return total_ns;
}

/* The sum of the lines of the file that begin with `key` and have a number behind the colon. */
static uint64_t number_of(const char *path, const char *key)
{
    char line[256];
    uint64_t sum = 0;

    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *colon = strchr(line, ':');
        if (colon != NULL && strncmp(line, key, strlen(key)) == 0) {
            sum += strtoull(colon + 1, NULL, 10);
        }
    }
    fclose(file);
    return sum;
}

/* The first line of the file without its end, cut to the size of `out_line`. */
static bool read_line(const char *path, char *out_line, int line_bytes)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool is_read = fgets(out_line, line_bytes, file) != NULL;
    fclose(file);
    if (is_read) {
        out_line[strcspn(out_line, "\n")] = '\0';
    }
    return is_read;
}

static bool thread_read(struct bench_thread *thread)
{
    char path[96];
    char line[96];

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)thread->pid);
    bool is_complete = read_line(path, thread->process, sizeof(thread->process));
    snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)thread->pid, (int)thread->tid);
    is_complete = is_complete && read_line(path, thread->name, sizeof(thread->name));
    snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)thread->pid, (int)thread->tid);
    is_complete = is_complete && read_line(path, line, sizeof(line));
    if (!is_complete) {
        return false;
    }
    thread->cpu_ns = strtoull(line, NULL, 10);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)thread->pid, (int)thread->tid);
    thread->voluntary = number_of(path, "voluntary_ctxt_switches");
    thread->involuntary = number_of(path, "nonvoluntary_ctxt_switches");
    return true;
}

void bench_family_threads(const struct bench_family *family, struct bench_threads *out_threads)
{
    char path[64];

    out_threads->count = 0;
    for (size_t i = 0; i < family->count; i++) {
        snprintf(path, sizeof(path), "/proc/%d/task", (int)family->pids[i]);
        DIR *tasks = opendir(path);
        if (tasks == NULL) {
            continue;
        }
        for (struct dirent *entry;
             (entry = readdir(tasks)) != NULL && out_threads->count < BENCH_THREADS_MAX;) {
            struct bench_thread *thread = &out_threads->items[out_threads->count];
            thread->pid = family->pids[i];
            thread->tid = (pid_t)strtol(entry->d_name, NULL, 10);
            if (thread->tid > 0 && thread_read(thread)) {
                out_threads->count++;
            }
        }
        closedir(tasks);
    }
}

struct bench_memory bench_family_memory(const struct bench_family *family)
{
    struct bench_memory sum = {0};
    char path[64];

    for (size_t i = 0; i < family->count; i++) {
        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)family->pids[i]);
        sum.pss_kib += number_of(path, "Pss:");
        sum.private_kib += number_of(path, "Private_");
        sum.dirty_kib += number_of(path, "Private_Dirty:");
        snprintf(path, sizeof(path), "/proc/%d/status", (int)family->pids[i]);
        sum.rss_kib += number_of(path, "VmRSS:");
        sum.peak_rss_kib += number_of(path, "VmHWM:");
    }
    return sum;
}
