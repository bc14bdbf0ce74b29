#include "pages.h"

#include "admin/server.h"

#include "base/clock.h"
#include "base/json.h"
#include "model/status_report.h"

unsigned admin_page_readyz(const struct admin_options *options, struct buf *out)
{
    const struct health *health = options->health;
    if (health_is_ready(health)) {
        buf_append_text(out, "ready\n");
        return 200;
    }
    buf_append_text(out, "not ready\n");
    buf_append_text(out, health_is_live(health) ? "" : "the event loop does not run\n");
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        const struct health_reason_info *info = health_reason_info((enum health_reason)i);
        int64_t since_ms = health_since_ms(health, (enum health_reason)i);
        if (since_ms != 0) {
            char since[CLOCK_TEXT_BYTES];
            clock_format_ms(since_ms, since);
            buf_printf(out, "%s since %s: %s\n", info->name, since, info->meaning);
        }
    }
    return 503;
}

/* Each reason of "degraded" in words. */
static void put_reason_details(const struct health *health, struct buf *out)
{
    json_put_name(out, "ReasonDetails");
    json_put_open(out, '[');
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        const struct health_reason_info *info = health_reason_info((enum health_reason)i);
        int64_t since_ms = health_since_ms(health, (enum health_reason)i);
        if (since_ms != 0) {
            json_put_open(out, '{');
            json_put_text(out, "Reason", slice_text(info->name));
            json_put_time(out, "Since", since_ms);
            json_put_bool(out, "BlocksReady", info->blocks_ready);
            json_put_text(out, "Meaning", slice_text(info->meaning));
            json_put_text(out, "Advice", slice_text(info->advice));
            json_put_close(out, '}');
        }
    }
    json_put_close(out, ']');
}

static void put_sessions(struct shared_text *sessions, struct buf *out)
{
    struct buf text = {0};
    shared_text_append_to(sessions, &text);
    json_put_raw(out, "Sessions", text.length > 0 ? buf_slice(&text) : slice_text("[]"));
    buf_fini(&text);
}

void admin_put_status(const struct admin_options *options, struct buf *out)
{
    const struct status_report report = {options->instance, options->health, options->counters};
    struct counters *counters = options->counters;
    json_put_open(out, '{');
    status_report_put(&report, clock_wall_ms(), out);
    json_put_time(out, "StartedAt", health_started_at_ms(options->health));
    json_put_bool(out, "Live", health_is_live(options->health));
    json_put_bool(out, "Ready", health_is_ready(options->health));
    put_reason_details(options->health, out);
    json_put_int(out, "Pending", counter_get(counters, COUNTER_IN_WORK));
    json_put_int(out, "InFlight", counter_get(counters, COUNTER_CALLS_IN_FLIGHT));
    json_put_int(out, "Waiting", counter_get(counters, COUNTER_WAITING));
    json_put_name(out, "Outbox");
    json_put_open(out, '{');
    json_put_int(out, "Messages", counter_get(counters, COUNTER_OUTBOX_DEPTH));
    json_put_int(out, "Bytes", counter_get(counters, COUNTER_OUTBOX_BYTES));
    json_put_close(out, '}');
    put_sessions(options->sessions, out);
    json_put_int(out, "Watches", counter_get(counters, COUNTER_WATCHES));
    json_put_close(out, '}');
    buf_append_char(out, '\n');
}

unsigned admin_page_status(const struct admin_options *options, struct buf *out)
{
    admin_put_status(options, out);
    return 200;
}
