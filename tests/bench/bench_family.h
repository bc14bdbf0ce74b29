/*
 * bench_family - CPU time, memory and context switches of a process and all its descendants.
 *
 * Reads /proc. The CPU time comes from the CPU clocks of the processes, in nanoseconds, and
 * includes all threads, also ended ones. It does not include ended descendants. The values of
 * single threads are those of the threads that exist now.
 *
 * Thread: one.
 */
#ifndef BENCH_FAMILY_H
#define BENCH_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BENCH_FAMILY_MAX = 256, BENCH_THREADS_MAX = 1024, BENCH_NAME_BYTES = 16 };

/* The process first, then its descendants, generation by generation. */
struct bench_family {
    pid_t pids[BENCH_FAMILY_MAX];
    size_t count;
};

/* One thread, with what it has used since it began. */
struct bench_thread {
    pid_t pid;
    pid_t tid;
    char process[BENCH_NAME_BYTES]; /* name of the process, which is that of its first thread */
    char name[BENCH_NAME_BYTES];
    uint64_t cpu_ns;
    uint64_t voluntary;   /* it waited: each of these is followed by a wake-up */
    uint64_t involuntary; /* another thread got the CPU */
};

struct bench_threads {
    struct bench_thread items[BENCH_THREADS_MAX];
    size_t count;
};

/* Sums over a family, in KiB. `private_kib` is what no other process maps: `dirty_kib` and pages of
 * files that nobody has written to. The peaks may be from different times, so their sum is an upper
 * bound. */
struct bench_memory {
    uint64_t pss_kib;
    uint64_t private_kib;
    uint64_t dirty_kib;
    uint64_t rss_kib;
    uint64_t peak_rss_kib;
};

/* Ends the program if there is no process `pid`. */
void bench_family_find(struct bench_family *family, pid_t pid);

bool bench_family_is_same(const struct bench_family *one, const struct bench_family *other);

uint64_t bench_family_cpu_ns(const struct bench_family *family);

/* 0 if the process has ended. */
uint64_t bench_process_cpu_ns(pid_t pid);

/* The threads of all processes; those that end meanwhile are left out. */
void bench_family_threads(const struct bench_family *family, struct bench_threads *out_threads);

struct bench_memory bench_family_memory(const struct bench_family *family);

#endif
