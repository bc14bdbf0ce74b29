#include "model/status_report.h"

#include "base/json.h"

static void put_state(enum health_state state, const char *offline_reason, struct buf *out)
{
    json_put_text(out, "State", slice_text(health_state_text(state)));
    if (state == HEALTH_OFFLINE) {
        json_put_text(out, "Reason", slice_text(offline_reason));
    }
}

static void put_identity(const char *instance, struct buf *out)
{
    json_put_text(out, "Instance", slice_text(instance));
    json_put_text(out, "Version", slice_text(BRIDGE_VERSION));
}

void status_report_put(const struct status_report *report, int64_t now_ms, struct buf *out)
{
    enum health_state state = health_state(report->health);
    int64_t lost_at_ms = health_last_since_ms(report->health, HEALTH_SESSION_LOST);
    put_state(state, health_stop_reason(report->health), out);
    if (state == HEALTH_DEGRADED) {
        json_put_name(out, "Reasons");
        health_put_reasons(report->health, out);
    }
    put_identity(report->instance, out);
    json_put_time(out, "At", now_ms);
    json_put_time_if(out, "SessionLostAt", lost_at_ms);
    json_put_int(out, "SessionsLost", counter_get(report->counters, COUNTER_SESSIONS_LOST));
    json_put_name(out, "Counts");
    json_put_open(out, '{');
    json_put_time(out, "Since", health_started_at_ms(report->health));
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const char *name = counter_info((enum counter)i)->count_name;
        if (name != NULL) {
            json_put_int(out, name, counter_get(report->counters, (enum counter)i));
        }
    }
    json_put_close(out, '}');
}

void status_report_put_will(const char *instance, struct buf *out)
{
    json_put_open(out, '{');
    put_state(HEALTH_OFFLINE, "connection_lost", out);
    put_identity(instance, out);
    json_put_close(out, '}');
}
