#include "bench.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now = {0};

    if (clock_gettime(clock, &now) != 0) {
        bench_die(EX_OSERR, "clock_gettime: %s", strerror(errno));
    }
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t bench_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_random(void)
{
    uint64_t value = 0;

    if (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value)) {
        bench_die(EX_OSERR, "getrandom: %s", strerror(errno));
    }
    return value;
}

/* The finaliser of SplitMix64 (Steele, Lea, Flood, 2014); each step is reversible. */
uint64_t bench_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15U;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31);
}

void bench_samples_init(struct bench_samples *samples, size_t capacity)
{
    samples->ns = bench_alloc(capacity, sizeof(*samples->ns));
    samples->count = 0;
    samples->capacity = capacity;
}

void bench_samples_fini(struct bench_samples *samples)
{
    if (samples == NULL) {
        return;
    }
    free(samples->ns);
    *samples = (struct bench_samples){0};
}

void bench_samples_add(struct bench_samples *samples, uint64_t ns)
{
    assert(samples->count < samples->capacity);
    samples->ns[samples->count++] = ns;
}

static int compare_ns(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

void bench_samples_sort(struct bench_samples *samples)
{
    if (samples->count > 0) {
        qsort(samples->ns, samples->count, sizeof(*samples->ns), compare_ns);
    }
}

double bench_samples_percentile_us(const struct bench_samples *samples, double percent)
{
    if (samples->count == 0) {
        return 0.0;
    }

    double rank = ceil(percent / 100.0 * (double)samples->count);
    size_t index = rank < 1.0 ? 0 : (size_t)rank - 1;

    return (double)samples->ns[index] / 1000.0;
}

uint64_t bench_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min || value > max) {
        bench_die(EX_USAGE, "%s needs a number from %llu to %llu, not \"%s\"", option,
                  (unsigned long long)min, (unsigned long long)max, text);
    }
    return value;
}

_Noreturn void bench_die(int code, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(code);
}

void *bench_alloc(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL) {
        bench_die(EX_OSERR, "out of memory");
    }
    return memory;
}
