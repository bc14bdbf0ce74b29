/*
 * reach - whether the API can be reached, and answers: HEALTH_API_UNREACHABLE, HEALTH_API_SILENT.
 *
 * The first is on after several attempts in a row that could not be sent, until an answer comes.
 * The second is on after several attempts that were sent and got no answer, the first of which
 * began half a minute ago, until an answer comes. Where the endpoint has {RegionId} in it, each
 * region has a host of its own, and a sender may misspell the region. So only those regions count
 * that a route names, or that have answered before. As long as none has answered, the others count,
 * too, unless their host has no address.
 *
 * A certificate that is not accepted is logged at once: waiting does not help then.
 *
 * Thread: the loop's.
 */
#ifndef ECS_REACH_H
#define ECS_REACH_H

#include "base/health.h"
#include "http/message.h"
#include "model/region.h"
#include "settings/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REACH_REGIONS_MAX 64

struct reach {
    const struct settings *settings;
    struct health *health;
    bool has_region_hosts;
    int unsent_in_a_row;
    int silent_in_a_row;                  /* sent, and no answer since */
    int64_t silent_since_ms;              /* monotonic: when the first of these began */
    char untrusted[REGION_BYTES_MAX + 1]; /* the region whose server was reported last; "": none */
    size_t answered_count;
    char answered[REACH_REGIONS_MAX][REGION_BYTES_MAX + 1];
};

/* An attempt in this region has ended, at `now_ms` (monotonic). `why` is for the log: what was
 * wrong, where there is no answer. */
void reach_note(struct reach *reach, const char *region, const struct http_answer *answer,
                const char *why, int64_t now_ms);

#endif
