/*
 * bench - what the programs of the benchmark share: clocks, percentiles, tokens, options.
 *
 * Thread: one; nothing here has state. On a failure it prints a message to standard error and ends
 * the process.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

/* Exit codes beyond sysexits.h, the same in every program here. */
enum bench_exit {
    BENCH_EXIT_OK = 0,
    BENCH_EXIT_FAILED = 1,  /* an answer came, and it was not a success */
    BENCH_EXIT_MISSING = 3, /* an answer never came */
};

/* Samples in nanoseconds. `capacity` is fixed at the start, so that adding one never allocates. */
struct bench_samples {
    uint64_t *ns;
    size_t count;
    size_t capacity;
};

/* Monotonic time. */
uint64_t bench_now_ns(void);

/* CPU time of this process, user and system, all threads. */
uint64_t bench_cpu_ns(void);

/* Random bits from the kernel. */
uint64_t bench_random(void);

/* A reversible mix of 64 bits: distinct inputs give distinct outputs. */
uint64_t bench_mix(uint64_t value);

void bench_samples_init(struct bench_samples *samples, size_t capacity);
void bench_samples_fini(struct bench_samples *samples);

/* Samples past the capacity are a bug of the caller. */
void bench_samples_add(struct bench_samples *samples, uint64_t ns);

/* Call it once, after the last sample and before the first percentile. */
void bench_samples_sort(struct bench_samples *samples);

/* The sample at `percent` (0..100, nearest rank) in microseconds; 0 without samples. */
double bench_samples_percentile_us(const struct bench_samples *samples, double percent);

/* A whole number from the command line; exits with EX_USAGE if it is none or outside min..max. */
uint64_t bench_number(const char *option, const char *text, uint64_t min, uint64_t max);

/* Prints the message and exits with `code`. */
_Noreturn void bench_die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* calloc that never returns NULL. */
void *bench_alloc(size_t count, size_t size);

#endif
