/*
 * bench_family - CPU time and memory of a process and all its descendants.
 *
 * Reads /proc; the CPU time comes from the processes' own CPU clocks, to the nanosecond, all
 * threads counted, also those that have ended. A descendant that has ended is not counted.
 *
 * Thread: one.
 */
#ifndef BENCH_FAMILY_H
#define BENCH_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BENCH_FAMILY_MAX = 256 };

/* The process first, then its descendants, generation by generation. */
struct bench_family {
    pid_t pids[BENCH_FAMILY_MAX];
    size_t count;
};

/* Sums over a family, in KiB. Peaks need not have happened at one moment: their sum is a bound. */
struct bench_memory {
    uint64_t pss_kib;
    uint64_t private_kib;
    uint64_t rss_kib;
    uint64_t peak_rss_kib;
};

/* Ends the program where there is no process `pid`. */
void bench_family_find(struct bench_family *family, pid_t pid);

bool bench_family_is_same(const struct bench_family *one, const struct bench_family *other);

uint64_t bench_family_cpu_ns(const struct bench_family *family);

/* 0 where the process has ended. */
uint64_t bench_process_cpu_ns(pid_t pid);

struct bench_memory bench_family_memory(const struct bench_family *family);

#endif
