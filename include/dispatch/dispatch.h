/*
 * dispatch - calls the API for every claimed command: one at a time per ReplicaGroupId, whatever
 * the RegionId, in order of arrival, groups side by side up to api.max_in_flight, each region
 * within its bucket and api.max_in_flight_per_region, each command until it has an outcome or its
 * deadline is over. On routes with `explain` the state of the group is read before an outcome that
 * it explains is recorded (model/explain.h). A command that was being called when the bridge
 * crashed is called alone, or set aside (model/crash_limit.h).
 *
 * Thread: the loop's.
 */
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include "base/counters.h"
#include "base/health.h"
#include "base/loop.h"
#include "ecs/call.h"
#include "ledger/ledger.h"
#include "model/command.h"
#include "settings/settings.h"
#include "watch/watcher.h"

#include <stdbool.h>
#include <stddef.h>

struct dispatch;

/* All of these must outlive it; dispatch_connect() comes before the first command, and `watcher`
 * may be NULL. It sets HEALTH_COMMAND_SET_ASIDE for a minute when it sets a command aside. */
struct dispatch *dispatch_new(struct loop *loop, const struct settings *settings,
                              struct health *health, struct counters *counters);
void dispatch_connect(struct dispatch *dispatch, struct ledger *ledger, struct ecs *ecs,
                      const struct watcher *watcher);
/* To be called after ecs_free(), which drops the calls under way. Commands it still holds are
 * freed; the ledger has them. Takes NULL. */
void dispatch_free(struct dispatch *dispatch);

/* A place in order of arrival for a command whose claim is on its way. */
struct dispatch_reservation {
    struct group *group;    /* NULL: no reservation */
    bool is_called_at_once; /* it has a slot of api.max_in_flight and a token of its region */
};

/*
 * Before a command is claimed. As long as the reservation stands, no command of the same group that
 * is reserved later is called before this one. It ends with exactly one dispatch_claimed() or
 * dispatch_release(), in the order of the reservations.
 */
struct dispatch_reservation dispatch_reserve(struct dispatch *dispatch,
                                             const struct command *command);
/* The command is durable and ours: CALLING or RECALLING where the reservation says that it is
 * called at once (this attempt is counted already), else READY or UNSURE. */
void dispatch_claimed(struct dispatch *dispatch, struct dispatch_reservation reservation,
                      struct command *command_take);
/* It was not claimed after all (a duplicate, a refusal, a failing store): gives back the slot, the
 * token and the place. */
void dispatch_release(struct dispatch *dispatch, struct dispatch_reservation reservation);
/*
 * A command found unfinished at start, in order of arrival, or one that an operator orders again:
 * READY or UNSURE. Where the settings no longer allow it, it ends without a call: `unknown` if
 * an attempt may have had effect, else refused.
 */
void dispatch_resume(struct dispatch *dispatch, struct command *command_take, bool is_allowed);

/* Why an unfinished command is where it is. */
enum dispatch_wait {
#define WAIT(id, name, meaning) DISPATCH_WAIT_##id,
#include "tables/waits.def"
#undef WAIT
    DISPATCH_WAIT_COUNT
};
/* The name and one sentence, as tables/waits.def has them. */
const char *dispatch_wait_name(enum dispatch_wait wait);
const char *dispatch_wait_meaning(enum dispatch_wait wait);

/* `last` is the outcome of the last attempt that must be made again; NULL: none in this run. */
typedef void dispatch_each_fn(void *arg, const struct command *command, enum dispatch_wait wait,
                              const struct outcome *last);
/* Calls `each` for the first `limit` unfinished commands: the groups in the order in which they
 * came, and the commands of each in order of arrival. What it costs is bounded by `limit`, but for
 * groups whose only command is being claimed. */
void dispatch_each(struct dispatch *dispatch, size_t limit, dispatch_each_fn *each, void *arg);

/* Whether another call could begin now without a command waiting for its slot. */
bool dispatch_has_free_slot(const struct dispatch *dispatch);

/* While held no call begins: so the first one is chosen among all resumed commands, and nothing is
 * called without a valid lease. */
void dispatch_hold(struct dispatch *dispatch, bool is_held);

/*
 * The settings have changed, in their place. Commands get the route of now that has the name of
 * theirs. Those that are not being called end if the settings no longer allow them, as at a start.
 * A claim that was on its way during the change still has its former route: call this again when
 * the ledger has answered it.
 */
void dispatch_settings_changed(struct dispatch *dispatch);

/*
 * Begins no more calls; those in flight go on. `idle` is called once when none is left, at the
 * earliest in the next iteration of the loop.
 */
void dispatch_stop(struct dispatch *dispatch, loop_fn *idle, void *arg);

#endif
