/*
 * bench_family - CPU time and memory of a process and all its descendants.
 *
 * Reads /proc. The CPU time comes from the CPU clocks of the processes, in nanoseconds, and
 * includes all threads, also ended ones. It does not include ended descendants.
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

/* Sums over a family, in KiB. The peaks may be from different times, so their sum is an upper
 * bound. */
struct bench_memory {
    uint64_t pss_kib;
    uint64_t private_kib;
    uint64_t rss_kib;
    uint64_t peak_rss_kib;
};

/* Ends the program if there is no process `pid`. */
void bench_family_find(struct bench_family *family, pid_t pid);

bool bench_family_is_same(const struct bench_family *one, const struct bench_family *other);

uint64_t bench_family_cpu_ns(const struct bench_family *family);

/* 0 if the process has ended. */
uint64_t bench_process_cpu_ns(pid_t pid);

struct bench_memory bench_family_memory(const struct bench_family *family);

#endif
