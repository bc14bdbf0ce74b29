/*
 * status_topic - publishes the state of the bridge as a retained message.
 *
 * The message is model/status_report.h. It is published at each change of the state or its reasons,
 * to each new publisher, at a planned stop (offline), and while the accounting changes every
 * STATUS_TOPIC_COUNTS_MS. The first one waits until the receiver is subscribed, but 5 s at most.
 *
 * Thread: the loop's.
 */
#ifndef OUTBOX_STATUS_TOPIC_H
#define OUTBOX_STATUS_TOPIC_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/health.h"
#include "base/loop.h"
#include "mqtt/workers.h"
#include "settings/settings.h"

#include <stdbool.h>

/* The id of all its messages; the outbox's ids are positive. */
#define STATUS_TOPIC_MESSAGE_ID 0
/* The time between two messages of which only the counts differ. */
#define STATUS_TOPIC_COUNTS_MS 10000

struct status_topic;

/* Becomes the watcher of `health`. Publishes while HEALTH_NO_PUBLISHER is not on. */
struct status_topic *status_topic_new(struct loop *loop, const struct settings *settings,
                                      struct health *health, struct counters *counters);
/* Before HEALTH_NO_PUBLISHER ends for the first time. */
void status_topic_connect(struct status_topic *status_topic, struct workers *workers);
/* Before health_free(). Takes NULL. */
void status_topic_free(struct status_topic *status_topic);
/* Appends the topic; empty for none. STATUS_LIMIT: it is too long once it is filled in. */
enum status status_topic_name(const struct settings *settings, struct buf *out);
/* Appends the Last Will as an encoded message. STATUS_LIMIT: the filled-in topic is too long. */
enum status status_topic_will(const struct settings *settings, struct buf *out);

/* The broker acknowledged the message, or does not have it: then, unless the bridge stops, it is
 * published again after 5 s, doubling to a minute while the broker refuses it. */
void status_topic_published(struct status_topic *status_topic);
void status_topic_unpublished(struct status_topic *status_topic, struct slice why);
/* A counter changed. Cheap: the message waits for its time. */
void status_topic_counts_changed(struct status_topic *status_topic);
/* The bridge stops for good: instead of "offline" the retained message is deleted. */
void status_topic_clear(struct status_topic *status_topic);
/* `done` is called, on a later iteration of the loop, when the broker has the present state, does
 * not take it, or there is no publisher. Once, after health_stop(). */
void status_topic_flush(struct status_topic *status_topic, loop_fn *done, void *arg);

#endif
