/*
 * dispatch - calls the API for every claimed command: one at a time per (RegionId, ReplicaGroupId)
 * in order of arrival, groups side by side up to api.max_in_flight, each region within its bucket,
 * each command until it has an outcome or its deadline is over. A command that may be why the
 * bridge ended is called with nothing beside it, or set aside (domain/blame.h).
 *
 * Thread: the loop's.
 */
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include "base/counters.h"
#include "base/loop.h"
#include "ecs/call.h"
#include "ledger/ledger.h"
#include "model/command.h"
#include "model/crash_limit.h"
#include "settings/settings.h"

#include <stdbool.h>

struct dispatch;

/* All of these must outlive it, but `ledger` and `ecs` are given before the first command by
 * dispatch_connect(). */
struct dispatch *dispatch_new(struct loop *loop, const struct settings *settings,
                              struct counters *counters);
void dispatch_connect(struct dispatch *dispatch, struct ledger *ledger, struct ecs *ecs);
/* Has its suspects (blame.h) and another part's go one at a time; `gate` must outlive it. */
void dispatch_share(struct dispatch *dispatch, struct blame_gate *gate);
/* Commands it still holds are freed; the ledger has them. Takes NULL. */
void dispatch_free(struct dispatch *dispatch);

/* The ledger's hooks, see io/ledger.h. */
bool dispatch_reserve(struct dispatch *dispatch, const struct command *command);
void dispatch_release(struct dispatch *dispatch, const struct command *command);
void dispatch_claimed(struct dispatch *dispatch, struct command *command_take);

/* While held no attempt begins: so whose turn is first is decided among all resumed commands. */
void dispatch_hold(struct dispatch *dispatch, bool is_held);

/*
 * Begins no more attempts; those on the wire go on. `idle` is called once when none is left, at the
 * earliest on the next turn of the loop.
 */
void dispatch_stop(struct dispatch *dispatch, loop_fn *idle, void *arg);

#endif
