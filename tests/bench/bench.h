/*
 * bench - what the programs of the benchmark share: clocks, percentiles, tokens, options.
 *
 * Thread: one; nothing here keeps state of its own.
 * Fails by saying so on standard error and ending the process: a benchmark has nobody to tell.
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

/* A one-to-one scrambling of 64 bits: distinct inputs stay distinct. */
uint64_t bench_mix(uint64_t value);

void bench_samples_init(struct bench_samples *samples, size_t capacity);
void bench_samples_fini(struct bench_samples *samples);

/* Samples past the capacity are a bug of the caller. */
void bench_samples_add(struct bench_samples *samples, uint64_t ns);

/* To be called once, after the last sample and before the first percentile. */
void bench_samples_sort(struct bench_samples *samples);

/* The sample at `percent` (0..100, nearest rank) in microseconds; 0 where there is none. */
double bench_samples_percentile_us(const struct bench_samples *samples, double percent);

/* A whole number from the command line; ends with EX_USAGE where it is none or outside min..max. */
uint64_t bench_number(const char *option, const char *text, uint64_t min, uint64_t max);

/* Say why and end with `code`. */
_Noreturn void bench_die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* calloc that never returns NULL. */
void *bench_alloc(size_t count, size_t size);

#endif
