#include "reach.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define UNREACHABLE_AFTER 3 /* attempts in a row of which nothing was sent */
#define SILENT_AFTER      3 /* attempts in a row that got no answer */
#define SILENT_AFTER_MS   30000

static bool has_answered(const struct reach *reach, const char *region)
{
    for (size_t i = 0; i < reach->answered_count; i++) {
        if (strcmp(reach->answered[i], region) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether a request to this region that could not be sent is a problem of the API. */
static bool counts(const struct reach *reach, const char *region, bool is_host_unknown)
{
    for (size_t i = 0; i < reach->settings->route_count; i++) {
        if (route_names_region(&reach->settings->routes[i], region)) {
            return true;
        }
    }
    return !reach->has_region_hosts || has_answered(reach, region) ||
           (reach->answered_count == 0 && !is_host_unknown);
}

static void note_trust(struct reach *reach, const char *region, bool is_untrusted, const char *why)
{
    /* All regions have the same server where they have no hosts of their own. */
    const char *server = reach->has_region_hosts ? region : "all";
    bool is_reported = strcmp(reach->untrusted, server) == 0;
    if (is_untrusted && !is_reported) {
        snprintf(reach->untrusted, sizeof reach->untrusted, "%s", server);
        LOG_WARN("api_not_trusted", LOG_TEXT("why", why));
    } else if (!is_untrusted && is_reported) {
        reach->untrusted[0] = '\0';
    }
}

/* An attempt was sent and got no answer. */
static void note_silence(struct reach *reach, const char *region, const struct http_answer *answer,
                         const char *why, int64_t now_ms)
{
    if (!counts(reach, region, false)) {
        return;
    }
    if (reach->silent_in_a_row == 0) {
        reach->silent_since_ms = now_ms - answer->took_ms;
    }
    reach->silent_in_a_row += reach->silent_in_a_row < SILENT_AFTER;
    if (reach->silent_in_a_row == SILENT_AFTER &&
        now_ms - reach->silent_since_ms >= SILENT_AFTER_MS) {
        if (!health_is_on(reach->health, HEALTH_API_SILENT)) {
            LOG_WARN("api_silent", LOG_TEXT("why", why));
        }
        health_set(reach->health, HEALTH_API_SILENT, true);
    }
}

void reach_note(struct reach *reach, const char *region, const struct http_answer *answer,
                const char *why, int64_t now_ms)
{
    if (answer->result == HTTP_ANSWERED || answer->is_untrusted) {
        note_trust(reach, region, answer->is_untrusted, why);
    }
    if (answer->result == HTTP_ANSWERED) {
        reach->silent_in_a_row = 0;
        health_set(reach->health, HEALTH_API_SILENT, false);
        health_set(reach->health, HEALTH_API_UNREACHABLE, false);
        if (reach->has_region_hosts && reach->answered_count < REACH_REGIONS_MAX &&
            !has_answered(reach, region)) {
            snprintf(reach->answered[reach->answered_count++], sizeof reach->answered[0], "%s",
                     region);
        }
    }
    if (answer->result == HTTP_CUT) {
        note_silence(reach, region, answer, why, now_ms);
    }
    if (answer->result != HTTP_NOT_SENT) {
        reach->unsent_in_a_row = 0;
    } else if (counts(reach, region, answer->is_host_unknown) &&
               ++reach->unsent_in_a_row >= UNREACHABLE_AFTER) {
        reach->unsent_in_a_row = UNREACHABLE_AFTER;
        if (!health_is_on(reach->health, HEALTH_API_UNREACHABLE)) {
            LOG_WARN("api_unreachable", LOG_TEXT("why", why));
        }
        health_set(reach->health, HEALTH_API_UNREACHABLE, true);
    }
}
