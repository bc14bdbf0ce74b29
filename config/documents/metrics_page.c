/* The users' page of metrics, from the table. */
#include "documents.h"

#include "base/counters.h"
#include "base/health.h"

#include <inttypes.h>

static const char INTRODUCTION[] =
    "# Metrics\n"
    "\n"
    "This page is generated from `include/tables/metrics.def`.\n"
    "\n"
    "`GET /metrics` at `admin.listen` gives them in Prometheus' text format. All times are seconds, all sizes "
    "bytes. A metric is\n"
    "always there, also while it is 0, unless its meaning says when it is absent. Counters begin with 0 at each "
    "start. No label\n"
    "has a token, a group, a topic or a client id.\n"
    "\n"
    "Every message that arrived on a command topic is in exactly one place:\n"
    "\n"
    "```\n"
    "commands_received_total + commands_resumed_total =\n"
    "    commands_total (all outcomes) + commands_unfinished (all states)\n"
    "```\n"
    "\n"
    "[alarms.md](../deploy/alarms.md) has alarms that stand on these metrics, and what to do about each.\n"
    "\n"
    "| metric | type | labels | meaning |\n"
    "|---|---|---|---|\n";

static void put_values(enum metric metric, struct buf *out)
{
    bool is_first = true;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *series = counter_info((enum counter)i);
        if (series->metric == metric) {
            buf_printf(out, "%s`%s`", is_first ? ": " : ", ", series->value);
            is_first = false;
        }
    }
}

static void put_states(struct buf *out)
{
    for (int i = HEALTH_ONLINE; i <= HEALTH_OFFLINE; i++) {
        buf_printf(out, "%s`%s`", i == HEALTH_ONLINE ? ": " : ", ",
                   health_state_text((enum health_state)i));
    }
}

static void put_reasons(struct buf *out)
{
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        buf_printf(out, "%s`%s`", i == 0 ? ": " : ", ",
                   health_reason_info((enum health_reason)i)->name);
    }
}

static void put_labels(enum metric metric, struct buf *out)
{
    const struct metric_info *info = metric_info(metric);
    if (info->label[0] == '\0') {
        return;
    }
    buf_printf(out, "`%s`", info->label);
    if (metric == METRIC_STATE) {
        put_states(out);
    } else if (metric == METRIC_REASON) {
        put_reasons(out);
    } else {
        put_values(metric, out);
    }
}

void metrics_page(struct buf *out)
{
    buf_append_text(out, INTRODUCTION);
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct metric_info *info = metric_info((enum metric)i);
        buf_printf(out, "| `%s` | %s | ", info->name, metric_type((enum metric)i));
        put_labels((enum metric)i, out);
        buf_printf(out, " | %s |\n", info->help);
    }
    buf_append_text(out, "\nThe buckets of all histograms end at ");
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        buf_printf(out, "%s%g", i == 0 ? "" : i + 1 < HISTOGRAM_BOUNDS ? ", " : " and ",
                   (double)histogram_bounds_us[i] / 1e6);
    }
    buf_append_text(out, " seconds.\n");
}
