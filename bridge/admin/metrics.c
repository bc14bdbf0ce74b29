/*
 * Prometheus' text format, version 0.0.4: each metric of the table with HELP, TYPE and its samples.
 */
#include "pages.h"

#include "admin/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "process.h"

#include <inttypes.h>
#include <string.h>

/* The beginning of a sample: its name and its label, if it has one. */
static void put_name(struct buf *out, const struct metric_info *info, const char *value)
{
    buf_append_text(out, info->name);
    if (info->label[0] != '\0') {
        buf_printf(out, "{%s=\"%s\"}", info->label, value);
    }
    buf_append_char(out, ' ');
}

static void put_int(struct buf *out, const struct metric_info *info, const char *value,
                    int64_t number)
{
    put_name(out, info, value);
    buf_append_int(out, number);
    buf_append_char(out, '\n');
}

/* `parts` of a second, of which there are `per_second`: "1.5" for 1500 of 1000. */
static void put_seconds(struct buf *out, int64_t parts, int64_t per_second)
{
    int64_t fraction = parts % per_second;
    buf_append_int(out, parts / per_second);
    for (int64_t digit = per_second / 10; fraction > 0; fraction %= digit, digit /= 10) {
        buf_printf(out, digit == per_second / 10 ? ".%d" : "%d", (int)(fraction / digit));
    }
}

static void put_time(struct buf *out, const struct metric_info *info, const char *value,
                     int64_t time_ms)
{
    put_name(out, info, value);
    put_seconds(out, time_ms, 1000);
    buf_append_char(out, '\n');
}

/* ---- counters ---- */

static void put_counter(struct buf *out, const struct metric_info *info, const char *value,
                        int64_t number)
{
    if (info->kind == METRIC_KIND_AGE) {
        int64_t age_ms = number == 0 ? 0 : clock_wall_ms() - number;
        put_time(out, info, value, age_ms < 0 ? 0 : age_ms);
    } else if (info->kind == METRIC_KIND_TIME) {
        if (number > 0 && number < INT64_MAX) {
            put_time(out, info, value, number);
        }
    } else {
        put_int(out, info, value, number);
    }
}

static void put_counters(const struct admin_options *options, enum metric metric, struct buf *out)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *series = counter_info((enum counter)i);
        if (series->metric == metric) {
            put_counter(out, metric_info(metric), series->value,
                        counter_get(options->counters, (enum counter)i));
        }
    }
}

static void put_histogram(const struct admin_options *options, enum metric metric, struct buf *out)
{
    const char *name = metric_info(metric)->name;
    enum histogram histogram = metric_histogram(metric);
    int64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        count += atomic_load_explicit(&options->counters->histograms[histogram].buckets[i],
                                      memory_order_relaxed);
        buf_printf(out, "%s_bucket{le=\"", name);
        if (i < HISTOGRAM_BOUNDS) {
            put_seconds(out, histogram_bounds_us[i], 1000000);
        } else {
            buf_append_text(out, "+Inf");
        }
        buf_printf(out, "\"} %" PRId64 "\n", count);
    }
    buf_printf(out, "%s_sum ", name);
    put_seconds(out,
                atomic_load_explicit(&options->counters->histograms[histogram].sum_us,
                                     memory_order_relaxed),
                1000000);
    buf_printf(out, "\n%s_count %" PRId64 "\n", name, count);
}

static void put_regional(const struct admin_options *options, enum metric metric, struct buf *out)
{
    struct counters *counters = options->counters;
    enum regional regional = metric_regional(metric);
    size_t count = atomic_load_explicit(&counters->region_count, memory_order_acquire);
    for (size_t i = 0; i <= count; i++) {
        size_t region = i < count ? i : COUNTER_REGION_OTHER;
        put_int(out, metric_info(metric), i < count ? counters->regions[i].name : "other",
                atomic_load_explicit(&counters->regions[region].values[regional],
                                     memory_order_relaxed));
    }
}

/* ---- what is made when the page is read ---- */

static void put_states(const struct health *health, struct buf *out)
{
    static const enum health_state states[] = {HEALTH_ONLINE, HEALTH_DEGRADED, HEALTH_OFFLINE};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        put_int(out, metric_info(METRIC_STATE), health_state_text(states[i]),
                health_state(health) == states[i]);
    }
}

static void put_reasons(const struct health *health, struct buf *out)
{
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        put_int(out, metric_info(METRIC_REASON), health_reason_info((enum health_reason)i)->name,
                health_is_on(health, (enum health_reason)i));
    }
}

static void put_figure(struct buf *out, enum metric metric, int64_t figure)
{
    const struct metric_info *info = metric_info(metric);
    if (figure == INT64_MAX) {
        put_name(out, info, "");
        buf_append_text(out, "+Inf\n");
    } else if (figure >= 0) {
        put_int(out, info, "", figure);
    }
}

static void put_computed(const struct admin_options *options, enum metric metric,
                         const struct process_figures *process, struct buf *out)
{
    const struct metric_info *info = metric_info(metric);
    const struct health *health = options->health;
    switch (metric) {
    case METRIC_BUILD_INFO:
        put_int(out, info, BRIDGE_VERSION, 1);
        break;
    case METRIC_READY:
        put_int(out, info, "", health_is_ready(health));
        break;
    case METRIC_LIVE:
        put_int(out, info, "", health_is_live(health));
        break;
    case METRIC_STATE:
        put_states(health, out);
        break;
    case METRIC_REASON:
        put_reasons(health, out);
        break;
    case METRIC_SESSION_LOST_AT:
        put_time(out, info, "", health_last_since_ms(health, HEALTH_SESSION_LOST));
        break;
    case METRIC_LOG_LINES_LOST:
        put_int(out, info, "", log_lost_count());
        break;
    case METRIC_CPU:
        put_name(out, info, "");
        put_seconds(out, process->cpu_us, 1000000);
        buf_append_char(out, '\n');
        break;
    case METRIC_RESIDENT:
        put_figure(out, metric, process->resident_bytes);
        break;
    case METRIC_VIRTUAL:
        put_figure(out, metric, process->virtual_bytes);
        break;
    case METRIC_OPEN_FDS:
        put_figure(out, metric, process->open_fds);
        break;
    case METRIC_MAX_FDS:
        put_figure(out, metric, process->max_fds);
        break;
    case METRIC_START_TIME:
        put_time(out, info, "", health_started_at_ms(health));
        break;
    default:
        break;
    }
}

unsigned admin_page_metrics(const struct admin_options *options, struct buf *out)
{
    struct process_figures process;
    process_figures_read(&process);
    for (int i = 0; i < METRIC_COUNT; i++) {
        enum metric metric = (enum metric)i;
        const struct metric_info *info = metric_info(metric);
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
                   metric_type(metric));
        if (info->kind == METRIC_KIND_HISTOGRAM) {
            put_histogram(options, metric, out);
        } else if (info->kind == METRIC_KIND_REGIONAL) {
            put_regional(options, metric, out);
        } else if (info->kind >= METRIC_KIND_COMPUTED_COUNTER) {
            put_computed(options, metric, &process, out);
        } else {
            put_counters(options, metric, out);
        }
    }
    return 200;
}

void admin_put_metrics(const struct admin_options *options, struct buf *out)
{
    (void)admin_page_metrics(options, out);
}
