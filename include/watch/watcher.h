/*
 * watcher - follows the groups whose commands were sent: reads their state now and then, and
 * publishes what has changed as events.
 *
 * The ledger has the watches; it reports each to watcher_add() when it is stored. What an answer
 * means is decided by model/watch_rules.h. A new state and its events are stored in one transaction
 * before anything else is concluded from them, so that after a crash the same events come again
 * with the same Seq.
 *
 * Thread: the loop's.
 */
#ifndef WATCH_WATCHER_H
#define WATCH_WATCHER_H

#include "base/counters.h"
#include "base/health.h"
#include "base/loop.h"
#include "ecs/call.h"
#include "ledger/ledger.h"
#include "model/watch_rules.h"
#include "settings/settings.h"

#include <stdbool.h>
#include <stdint.h>

struct watcher;

/* Whether states may be read now: commands come first, and a full outbox must not grow. */
typedef bool watcher_may_call_fn(void *arg);

/* All of these must outlive it. It sets HEALTH_WATCH_DENIED, COUNTER_WATCHES and the counters of
 * calls. */
struct watcher *watcher_new(struct loop *loop, const struct settings *settings,
                            struct health *health, struct counters *counters);
void watcher_connect(struct watcher *watcher, struct ledger *ledger, struct ecs *ecs,
                     watcher_may_call_fn *may_call, void *arg);
/* Begins no more calls. */
void watcher_stop(struct watcher *watcher);
/* To be called after ecs_free() and ledger_close(), which drop what is under way. Takes NULL. */
void watcher_free(struct watcher *watcher);

/* The ledger's hooks. */
void watcher_add(struct watcher *watcher, const struct watch *watch);
void watcher_remove(struct watcher *watcher, int64_t id);
/* All watches of the region: new ones are added, and those that are not among them removed. One
 * that is known already goes on as it is. */
void watcher_set_region(struct watcher *watcher, const char *region,
                        const struct watch *const *watches, size_t count);

/* The settings have changed, in their place. */
void watcher_settings_changed(struct watcher *watcher);

/* The watch of the group, if the command with this token began it (absent: any command); else NULL.
 * Valid until the loop's next turn. */
const struct watch *watcher_find(const struct watcher *watcher, struct slice group,
                                 struct slice token);

/* Appends {At, Count, Watches}: how many groups are watched, and the first `max` (at least 1) of
 * them. Those in trouble come first (Blind, Lagging, Stalled, NotBegun); then by group and region.
 * Times are the API's. Fields of what is not known are left out; LastEvent is not known after a
 * restart until the next event. */
void watcher_put_list(const struct watcher *watcher, size_t max, struct buf *out);

/* How events are published. The texts are those of the settings. */
struct watch_publishing watcher_publishing(const struct settings *settings);

#endif
