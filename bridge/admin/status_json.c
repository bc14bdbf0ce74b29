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

unsigned admin_page_status(const struct admin_options *options, struct buf *out)
{
    const struct status_report report = {options->instance, options->health, options->counters};
    json_put_open(out, '{');
    status_report_put(&report, clock_wall_ms(), out);
    json_put_time(out, "StartedAt", health_started_at_ms(options->health));
    json_put_close(out, '}');
    buf_append_char(out, '\n');
    return 200;
}
