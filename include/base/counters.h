/*
 * counters - what happened since start, counted; the metrics endpoint, the status message and the
 * log at stop read these.
 *
 * The names, kinds and meanings are tables/metrics.def. Every command that arrives is in exactly
 * one place (see the table):
 *
 *   received + resumed =
 *     succeeded + failed + unknown + refused + replayed + waiting + in work + not taken + being
 * taken
 *
 * Thread: any; relaxed atomics, read as a snapshot that is not a point in time.
 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum counter {
#define METRIC(id, name, kind, help) COUNTER_##id,
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
    const char *help;
};

const struct counter_info *counter_info(enum counter counter);

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
