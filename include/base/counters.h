/*
 * counters - what happened since the start, as numbers. The metrics page, the status message's
 * Counts and the log line "accounting" read them.
 *
 * The table is tables/metrics.def; it also has the sum that holds over all commands.
 *
 * Thread: any; relaxed atomics. Values read one after the other need not belong to one moment.
 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum counter {
#define METRIC(id, name, kind, count_name, log_name, help) COUNTER_##id,
#include "tables/metrics.def"
#undef METRIC
    COUNTER_COUNT
};

enum counter_kind { COUNTER_KIND_COUNTER, COUNTER_KIND_GAUGE };

struct counters {
    _Atomic int64_t values[COUNTER_COUNT];
};

struct counter_info {
    const char *name; /* Prometheus name without the "ecs_bridge_" in front */
    enum counter_kind kind;
    const char *count_name; /* in the status message's Counts; NULL: not there */
    const char *log_name;   /* in the log line "accounting"; NULL: not there */
    const char *help;
};

const struct counter_info *counter_info(enum counter counter);
/* Writes the log line "accounting". */
void counters_log(struct counters *counters);

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

#endif
