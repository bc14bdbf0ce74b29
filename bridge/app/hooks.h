/*
 * hooks - what the ledger and the MQTT connections report goes to the parts that need it; and these
 * parts, which bridge.c builds.
 *
 * Thread: the loop's.
 */
#ifndef APP_HOOKS_H
#define APP_HOOKS_H

#include "admin/server.h"
#include "adoption.h"
#include "audit/exporter.h"
#include "base/health.h"
#include "base/loop.h"
#include "commands_json.h"
#include "dispatch/dispatch.h"
#include "ecs/call.h"
#include "intake/intake.h"
#include "lease_guard.h"
#include "ledger/ledger.h"
#include "mqtt/program.h"
#include "mqtt/workers.h"
#include "orders.h"
#include "outbox/outbox.h"
#include "outbox/status_topic.h"
#include "reload.h"
#include "sessions.h"
#include "settings_reload.h"
#include "shutdown.h"
#include "systemd.h"
#include "traces/traces.h"
#include "watch/watcher.h"

#define BRIDGE_SIGNAL_COUNT 5

struct bridge {
    struct settings *settings;
    const struct settings_source *source;
    bool is_leaving;
    bool has_left; /* it was leaving, and everything is done */
    struct counters counters;
    struct health *health;
    struct tls_reload tls; /* in use */
    struct buf will;
    struct loop *loop;
    struct ledger *ledger;
    struct lease lease;
    struct lease_guard *lease_guard; /* NULL: the ledger is not shared */
    bool is_store_failing;
    struct exporter *exporter; /* NULL: there is no audit file */
    struct ecs *ecs;
    struct mqtt_program program;
    struct workers *workers;
    struct intake *intake;
    struct dispatch *dispatch;
    struct outbox *outbox;
    struct watcher *watcher;
    struct traces *traces; /* NULL: there is no collector */
    struct status_topic *status_topic;
    struct admin_options admin_options; /* also where the endpoint is off */
    struct commands_json commands;
    struct admin *admin;
    struct orders *orders; /* NULL: there is no control socket */
    struct systemd *systemd;
    struct sessions *sessions;
    struct adoption *adoption; /* NULL: there is nobody whose sessions it may adopt */
    struct settings_reload *reload;
    struct shared_text shown_sessions; /* of /status */
    struct shutdown *shutdown;
    struct loop_signal *signals[BRIDGE_SIGNAL_COUNT];
    struct loop_timer *heartbeat;
    int64_t trimmed_at_count; /* COUNTER_RECEIVED when the heap was last trimmed */
    struct loop_timer *leave; /* runs while commands are in work after the last session has ended */
};

/* The hooks' `arg` is the bridge. */
struct ledger_hooks hooks_of_ledger(struct bridge *bridge);
struct workers_hooks hooks_of_workers(struct bridge *bridge);
/* The lease was lost or is valid again. `arg` is the bridge. */
void hooks_lease_changed(void *arg);

#endif
