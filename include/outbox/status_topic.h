/*
 * status_topic - the retained status topic: online, degraded with its reasons, offline.
 *
 * `online` once every receiver is subscribed and the publisher stands; `degraded` while any reason
 * lasts; `offline` on a planned stop, and as Last Will. The accounting of all commands is in it
 * too, told at each change of state and, while it changes, every STATUS_TOPIC_COUNTS_MS. Also sets
 * the readiness of the admin endpoint.
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
enum health_reason {
    HEALTH_NOT_SUBSCRIBED, /* "not_subscribed": a receiver has no connection */
    HEALTH_SESSION_LOST,   /* "session_lost": the broker forgot the session; commands may be lost */
    HEALTH_CREDENTIALS_REFUSED, /* "credentials_refused" */
    HEALTH_STORE_UNAVAILABLE,   /* "store_unavailable" */
    HEALTH_API_UNREACHABLE,     /* "api_unreachable" */
    HEALTH_COMMAND_SET_ASIDE,   /* "command_set_aside": see base/counters.h; shown for a while */
    HEALTH_RELOAD_FAILED,       /* "reload_failed": new certificates or passwords were not usable */
    HEALTH_REASON_COUNT
};

/* The id under which status_topic publishes; the outbox's are positive. */
#define STATUS_TOPIC_MESSAGE_ID 0
/* How often counts alone are told. */
#define STATUS_TOPIC_COUNTS_MS 10000

struct status_topic;

struct status_topic *status_topic_new(struct loop *loop, const struct settings *settings,
                                      struct counters *counters);
/* `admin` may be NULL (switched off). */
void status_topic_connect(struct status_topic *status_topic, struct workers *workers,
                          struct admin *admin);
/* Takes NULL. */
void status_topic_free(struct status_topic *status_topic);
/* Appends the Last Will as an encoded message. */
enum status status_topic_will(const struct settings *settings, struct buf *out);

/* A reason begins or ends. */
void status_topic_set(struct status_topic *status_topic, enum health_reason reason, bool is_on);
/* The workers's hooks. */
void status_topic_receivers_changed(struct status_topic *status_topic, size_t up_count,
                                    size_t wanted_count);
void status_topic_publisher_changed(struct status_topic *status_topic, bool is_up);
void status_topic_published(struct status_topic *status_topic);
/* The broker does not have it. Told again after a while, unless `is_final` or stopping. */
void status_topic_unpublished(struct status_topic *status_topic, bool is_final, struct slice why);
/* The broker had forgotten the session of this client id. Shown until somebody has seen it. */
void status_topic_session_lost(struct status_topic *status_topic, const char *client_id,
                               int64_t at_ms);
/* The same, found out before a restart. */
void status_topic_recall_session_lost(struct status_topic *status_topic, int64_t at_ms);
/* Since when (wall clock) a lost session is shown; 0: none is. */
int64_t status_topic_session_lost_at_ms(const struct status_topic *status_topic);
/* Somebody has seen it: it is shown no longer. */
void status_topic_session_seen(struct status_topic *status_topic);
/* Something happened that is counted. Cheap: nothing is told before its time. */
void status_topic_counts_changed(struct status_topic *status_topic);
/* A command or message was set aside. Shown for a minute. */
void status_topic_set_aside(struct status_topic *status_topic);
/* Tells `offline`; `told` is called once the broker has it or there is no publisher, at the
 * earliest on the next turn. */
void status_topic_stop(struct status_topic *status_topic, const char *why, loop_fn *told,
                       void *arg);

#endif
