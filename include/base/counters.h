/*
 * counters - what happened since the start, as numbers: counters, gauges, histograms of times, and
 * counters by region. The metrics page, the status message's Counts and the log line "accounting"
 * read them.
 *
 * The table is tables/metrics.def; it also has the sum that holds over all commands.
 *
 * Thread: any, unless a function says otherwise; relaxed atomics. Values read one after the other
 * need not belong to one moment. Nothing here locks or allocates.
 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A row of the table, which is one name on the page: METRIC_RECEIVED and so on. */
enum metric {
#define FAMILY(id, name, kind, label, help)   METRIC_##id,
#define HISTOGRAM(id, name, help)             METRIC_##id##_SECONDS,
#define REGIONAL(id, name, help)              METRIC_##id##_BY_REGION,
#define COMPUTED(id, name, type, label, help) METRIC_##id,
#include "tables/metrics.def"
    METRIC_COUNT
};

enum counter {
#define SERIES(id, family, value, count_name, log_name) COUNTER_##id,
#include "tables/metrics.def"
    COUNTER_COUNT
};

enum histogram {
#define HISTOGRAM(id, name, help) HISTOGRAM_##id,
#include "tables/metrics.def"
    HISTOGRAM_COUNT
};

enum regional {
#define REGIONAL(id, name, help) REGIONAL_##id,
#include "tables/metrics.def"
    REGIONAL_COUNT
};

/* How a metric's values are made, see the table. */
enum metric_kind {
    METRIC_KIND_COUNTER,
    METRIC_KIND_GAUGE,
    METRIC_KIND_TIME,
    METRIC_KIND_AGE,
    METRIC_KIND_HISTOGRAM,
    METRIC_KIND_REGIONAL,
    METRIC_KIND_COMPUTED_COUNTER,
    METRIC_KIND_COMPUTED_GAUGE,
};

struct metric_info {
    const char *name;
    enum metric_kind kind;
    const char *label; /* the name of its only label; "": none */
    const char *help;
};

struct counter_info {
    enum metric metric;
    const char *value;      /* of the label; "": none */
    const char *count_name; /* in the status message's Counts; NULL: not there */
    const char *log_name;   /* in the log line "accounting"; NULL: not there */
};

const struct metric_info *metric_info(enum metric metric);
/* "counter", "gauge" or "histogram". */
const char *metric_type(enum metric metric);
const struct counter_info *counter_info(enum counter counter);
/* Which one this metric of METRIC_KIND_HISTOGRAM, or METRIC_KIND_REGIONAL, is. */
enum histogram metric_histogram(enum metric metric);
enum regional metric_regional(enum metric metric);

/* The upper bounds of the buckets; the last bucket, number HISTOGRAM_BOUNDS, has none. */
#define HISTOGRAM_BOUNDS 17
/* In microseconds. */
extern const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

/* Regions with a label of their own; the others share one. */
#define COUNTER_REGIONS_MAX  64
#define COUNTER_REGION_OTHER COUNTER_REGIONS_MAX
#define COUNTER_REGION_BYTES 64 /* a name and its NUL */

struct counters {
    _Atomic int64_t values[COUNTER_COUNT];
    struct {
        _Atomic int64_t buckets[HISTOGRAM_BOUNDS + 1]; /* each time is in one of them */
        _Atomic int64_t sum_us;
    } histograms[HISTOGRAM_COUNT];
    struct {
        char name[COUNTER_REGION_BYTES]; /* written once, before region_count */
        _Atomic int64_t values[REGIONAL_COUNT];
    } regions[COUNTER_REGIONS_MAX + 1];
    _Atomic size_t region_count; /* without the last one */
};

/* Writes the log line "accounting". */
void counters_log(struct counters *counters);
/* The region's index; COUNTER_REGION_OTHER where the others have taken all places. Finds or adds;
 * the name is shorter than COUNTER_REGION_BYTES. Thread: the loop's. */
size_t counters_region(struct counters *counters, const char *name);
/* A time of `us` microseconds; a negative one, of a clock that was set, is 0. */
void histogram_observe(struct counters *counters, enum histogram histogram, int64_t us);

static inline void counter_add(struct counters *counters, enum counter counter, int64_t amount)
{
    atomic_fetch_add_explicit(&counters->values[counter], amount, memory_order_relaxed);
}

static inline void counter_set(struct counters *counters, enum counter counter, int64_t value)
{
    atomic_store_explicit(&counters->values[counter], value, memory_order_relaxed);
}

static inline int64_t counter_get(struct counters *counters, enum counter counter)
{
    return atomic_load_explicit(&counters->values[counter], memory_order_relaxed);
}

static inline void regional_add(struct counters *counters, size_t region, enum regional regional,
                                int64_t amount)
{
    atomic_fetch_add_explicit(&counters->regions[region].values[regional], amount,
                              memory_order_relaxed);
}

#endif
