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

/* The number of the line "KEY: n kB" in /proc/PID/FILE; 0 if there is none. */
static uint64_t kib_of(pid_t pid, const char *file_name, const char *key)
{
    char path[64];
    char line[256];
    uint64_t kib = 0;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file_name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            kib = strtoull(line + strlen(key), NULL, 10);
            break;
        }
    }
    fclose(file);
    return kib;
}

struct bench_memory bench_family_memory(const struct bench_family *family)
{
    struct bench_memory sum = {0};

    for (size_t i = 0; i < family->count; i++) {
        pid_t pid = family->pids[i];
        sum.pss_kib += kib_of(pid, "smaps_rollup", "Pss:");
        sum.private_kib += kib_of(pid, "smaps_rollup", "Private_Clean:");
        sum.private_kib += kib_of(pid, "smaps_rollup", "Private_Dirty:");
        sum.rss_kib += kib_of(pid, "status", "VmRSS:");
        sum.peak_rss_kib += kib_of(pid, "status", "VmHWM:");
    }
    return sum;
}
