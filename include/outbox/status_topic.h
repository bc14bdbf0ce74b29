/*
 * presence - the retained status topic: online, degraded with its reasons, offline.
 *
 * `online` once every receiver is subscribed and the publisher stands; `degraded` while any reason
 * lasts; `offline` on a planned stop, and as Last Will. The accounting of all commands is in it
 * too, told at each change of state and, while it changes, every PRESENCE_COUNTS_MS. Also sets the
 * readiness of the admin endpoint.
 *
 * Thread: the loop's.
 */
#ifndef OUTBOX_STATUS_TOPIC_H
#define OUTBOX_STATUS_TOPIC_H

#include "admin/server.h"
#include "base/buf.h"
#include "base/counters.h"
#include "base/loop.h"
#include "ledger/ledger.h"
#include "mqtt/workers.h"
#include "settings/settings.h"

#include <stdbool.h>

/* Why the bridge is degraded; the words are the wire contract's where it has one. */
enum presence_reason {
    PRESENCE_NOT_SUBSCRIBED, /* "not_subscribed": a receiver has no connection */
    PRESENCE_SESSION_LOST, /* "session_lost": the broker forgot the session; commands may be lost */
    PRESENCE_CREDENTIALS_REFUSED, /* "credentials_refused" */
    PRESENCE_STORE_UNAVAILABLE,   /* "store_unavailable" */
    PRESENCE_API_UNREACHABLE,     /* "api_unreachable" */
    PRESENCE_COMMAND_SET_ASIDE,   /* "command_set_aside": see base/counters.h; shown for a while */
    PRESENCE_RELOAD_FAILED, /* "reload_failed": new certificates or passwords were not usable */
    PRESENCE_REASON_COUNT
};

/* The id under which presence publishes; the outbox's are positive. */
#define PRESENCE_MESSAGE_ID 0
/* How often counts alone are told. */
#define PRESENCE_COUNTS_MS 10000

struct presence;

struct presence *presence_new(struct loop *loop, const struct settings *settings,
                              struct counters *counters);
/* `admin` may be NULL (switched off). */
void presence_connect(struct presence *presence, struct mqtt_port *port, struct admin *admin);
/* Takes NULL. */
void presence_free(struct presence *presence);
/* Appends the Last Will as an encoded message. */
enum status presence_will(const struct settings *settings, struct buf *out);

/* A reason begins or ends. */
void presence_set(struct presence *presence, enum presence_reason reason, bool is_on);
/* The port's hooks. */
void presence_receivers_changed(struct presence *presence, size_t up_count, size_t wanted_count);
void presence_publisher_changed(struct presence *presence, bool is_up);
void presence_published(struct presence *presence);
/* The broker does not have it. Told again after a while, unless `is_final` or stopping. */
void presence_unpublished(struct presence *presence, bool is_final, struct slice why);
/* The broker had forgotten the session of this client id. Shown until somebody has seen it. */
void presence_session_lost(struct presence *presence, const char *client_id, int64_t at_ms);
/* The same, found out before a restart. */
void presence_recall_session_lost(struct presence *presence, int64_t at_ms);
/* Since when (wall clock) a lost session is shown; 0: none is. */
int64_t presence_session_lost_at_ms(const struct presence *presence);
/* Somebody has seen it: it is shown no longer. */
void presence_session_seen(struct presence *presence);
/* Something happened that is counted. Cheap: nothing is told before its time. */
void presence_counts_changed(struct presence *presence);
/* A command or message was set aside. Shown for a minute. */
void presence_set_aside(struct presence *presence);
/* Tells `offline`; `told` is called once the broker has it or there is no publisher, at the
 * earliest on the next turn. */
void presence_stop(struct presence *presence, const char *why, loop_fn *told, void *arg);

#endif
