/*
 * status_report - the JSON about the state of the bridge, as the status topic and the admin page
 * /status show it.
 *
 * Its members are the wire contract's: State, Reasons (degraded) or Reason (offline), Instance,
 * Version, At, SessionLostAt, SessionsLost, Counts.
 *
 * Thread: any; pure but for the values it reads from `health` and `counters`.
 */
#ifndef MODEL_STATUS_REPORT_H
#define MODEL_STATUS_REPORT_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/health.h"

#include <stdint.h>

struct status_report {
    const char *instance;
    const struct health *health;
    struct counters *counters;
};

/* Appends the members to an object that the caller has opened and closes. `now_ms` is the wall
 * clock. */
void status_report_put(const struct status_report *report, int64_t now_ms, struct buf *out);
/* Appends the whole object of the Last Will: offline, without anything that only a running bridge
 * knows. */
void status_report_put_will(const char *instance, struct buf *out);

#endif
