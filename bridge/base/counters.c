#include "base/counters.h"

#include "base/log.h"

#include <assert.h>
#include <string.h>

static const struct metric_info METRICS[METRIC_COUNT] = {
#define FAMILY(id, name, kind, label, help) [METRIC_##id] = {name, METRIC_KIND_##kind, label, help},
#define HISTOGRAM(id, name, help)           [METRIC_##id##_SECONDS] = {name, METRIC_KIND_HISTOGRAM, "", help},
#define REGIONAL(id, name, help) \
    [METRIC_##id##_BY_REGION] = {name, METRIC_KIND_REGIONAL, "region", help},
#define COMPUTED(id, name, type, label, help) \
    [METRIC_##id] = {name, METRIC_KIND_COMPUTED_##type, label, help},
#include "tables/metrics.def"
};

static const struct counter_info COUNTERS[COUNTER_COUNT] = {
#define SERIES(id, family, value, count_name, log_name) \
    [COUNTER_##id] = {METRIC_##family, value, count_name, log_name},
#include "tables/metrics.def"
};

const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
    500,    1000,    2500,    5000,    10000,    25000,    50000,    100000,   250000,
    500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000};

const struct metric_info *metric_info(enum metric metric)
{
    assert((unsigned)metric < METRIC_COUNT);
    return &METRICS[metric];
}

const char *metric_type(enum metric metric)
{
    static const char *const types[] = {
        [METRIC_KIND_COUNTER] = "counter",
        [METRIC_KIND_GAUGE] = "gauge",
        [METRIC_KIND_TIME] = "gauge",
        [METRIC_KIND_AGE] = "gauge",
        [METRIC_KIND_HISTOGRAM] = "histogram",
        [METRIC_KIND_REGIONAL] = "counter",
        [METRIC_KIND_COMPUTED_COUNTER] = "counter",
        [METRIC_KIND_COMPUTED_GAUGE] = "gauge",
    };
    return types[metric_info(metric)->kind];
}

const struct counter_info *counter_info(enum counter counter)
{
    assert((unsigned)counter < COUNTER_COUNT);
    return &COUNTERS[counter];
}

enum histogram metric_histogram(enum metric metric)
{
    static const enum histogram histograms[METRIC_COUNT] = {
#define HISTOGRAM(id, name, help) [METRIC_##id##_SECONDS] = HISTOGRAM_##id,
#include "tables/metrics.def"
    };
    assert(metric_info(metric)->kind == METRIC_KIND_HISTOGRAM);
    return histograms[metric];
}

enum regional metric_regional(enum metric metric)
{
    static const enum regional regionals[METRIC_COUNT] = {
#define REGIONAL(id, name, help) [METRIC_##id##_BY_REGION] = REGIONAL_##id,
#include "tables/metrics.def"
    };
    assert(metric_info(metric)->kind == METRIC_KIND_REGIONAL);
    return regionals[metric];
}

void counters_log(struct counters *counters)
{
    struct log_field fields[COUNTER_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        if (COUNTERS[i].log_name != NULL) {
            fields[count++] = (struct log_field)LOG_INT(COUNTERS[i].log_name,
                                                        counter_get(counters, (enum counter)i));
        }
    }
    log_fields(LOG_LEVEL_INFO, "accounting", fields, count);
}

size_t counters_region(struct counters *counters, const char *name)
{
    size_t count = atomic_load_explicit(&counters->region_count, memory_order_relaxed);
    size_t i = 0;
    while (i < count && strcmp(counters->regions[i].name, name) != 0) {
        i++;
    }
    if (i == count && count < COUNTER_REGIONS_MAX) {
        assert(strlen(name) < COUNTER_REGION_BYTES);
        strcpy(counters->regions[i].name, name);
        /* A reader that sees the count sees the name. */
        atomic_store_explicit(&counters->region_count, count + 1, memory_order_release);
    }
    return i;
}

void histogram_observe(struct counters *counters, enum histogram histogram, int64_t us)
{
    int64_t time_us = us < 0 ? 0 : us;
    size_t bucket = 0;
    while (bucket < HISTOGRAM_BOUNDS && time_us > histogram_bounds_us[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&counters->histograms[histogram].buckets[bucket], 1,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->histograms[histogram].sum_us, time_us,
                              memory_order_relaxed);
}
