/*
 * shutdown - the orderly stop of the bridge, in steps; each begins when the one before is done or
 * its time is up:
 *
 *   calls     no new messages, no new calls; the calls in flight end
 *   commit    the ledger commits their outcomes
 *   replies   the broker acknowledges the replies
 *   status    the state "offline" is published
 *   audit     the audit records are in the audit file
 *   traces    the collector has taken the traces
 *   mqtt      the MQTT processes end
 *
 * Then the loop stops. All steps together take less than the 10 s that service managers give.
 *
 * Thread: the loop's. Fails with: nothing; a step whose time is up is logged and left.
 */
#ifndef APP_SHUTDOWN_H
#define APP_SHUTDOWN_H

#include "audit/exporter.h"
#include "base/health.h"
#include "base/loop.h"
#include "dispatch/dispatch.h"
#include "intake/intake.h"
#include "ledger/ledger.h"
#include "mqtt/workers.h"
#include "outbox/outbox.h"
#include "outbox/status_topic.h"
#include "traces/traces.h"

#include <stdbool.h>

struct shutdown;

/* What it stops; none of it is freed before the shutdown. */
struct shutdown_parts {
    struct health *health;
    struct ledger *ledger;
    struct exporter *exporter; /* NULL: there is no audit file */
    struct workers *workers;
    struct intake *intake;
    struct dispatch *dispatch;
    struct outbox *outbox;
    struct status_topic *status_topic;
    struct traces *traces; /* NULL: there is no collector */
};

struct shutdown *shutdown_new(struct loop *loop);
/* Takes NULL. */
void shutdown_free(struct shutdown *shutdown);
/* Once. */
void shutdown_begin(struct shutdown *shutdown, const struct shutdown_parts *parts);
bool shutdown_has_begun(const struct shutdown *shutdown);
/* Goes on with the next step at once. After shutdown_begin(). */
void shutdown_skip_step(struct shutdown *shutdown);
/* For workers_hooks.stopped. */
void shutdown_workers_stopped(struct shutdown *shutdown);

#endif
