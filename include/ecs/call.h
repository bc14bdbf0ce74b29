/*
 * ecs_call - one attempt of one API call: get credentials, sign, exchange, map the answer.
 *
 * Thread: the loop's. The callback comes exactly once, never before ecs_call() has returned.
 */
#ifndef ECS_CALL_H
#define ECS_CALL_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/health.h"
#include "base/lease.h"
#include "base/loop.h"
#include "base/status.h"
#include "credentials/credentials.h"
#include "ecs/outcome_map.h"
#include "model/command.h"
#include "settings/settings.h"
#include "tls/files.h"

#include <stdbool.h>

struct ecs;

/* `attempt` is valid during the call; its outcome may be moved out by zeroing it. */
typedef void ecs_answered_fn(void *arg, struct attempt *attempt);

/*
 * `tls`, `health` and `counters` must outlive it; it sets HEALTH_NO_CREDENTIALS,
 * HEALTH_CREDENTIALS_REFUSED, HEALTH_API_UNREACHABLE, HEALTH_API_SILENT and
 * COUNTER_CREDENTIALS_EXPIRY. STATUS_INVALID, with the reason appended to *out_why, where the
 * endpoint or the credential provider of the settings cannot be used.
 */
enum status ecs_new(struct loop *loop, const struct settings *settings, const struct tls_files *tls,
                    struct health *health, struct counters *counters, struct ecs **out_ecs,
                    struct buf *out_why);
/* While the lease is not valid no request for a command is sent: the attempt ends as one that had
 * no effect. The lease must outlive `ecs`. */
void ecs_set_lease(struct ecs *ecs, const struct lease *lease);
/*
 * Looks for credentials now, and again every 30 s while there are none and where they expire: so
 * the health is known before the first command, and the expiry without one. Once.
 */
void ecs_start(struct ecs *ecs);
/* To be called after `tls` has changed: new calls use new connections; calls on the wire go on over
 * the old ones. */
void ecs_renew(struct ecs *ecs);
/* Frees what is kept for calls to come, for a time without any. */
void ecs_trim(struct ecs *ecs);
/* Calls that are not answered yet are dropped without a callback. Takes NULL. */
void ecs_free(struct ecs *ecs);
/*
 * `command` must stay until the callback. What a reaction needs before the next attempt is done by
 * then: the clock offset is measured, the refused credentials are dropped. Where that cannot help
 * (no Date in the answer, no other credentials), the reaction is REACTION_REPLY_BRIDGE instead of
 * REACTION_CLOCK_ONCE or REACTION_CREDENTIALS_ONCE.
 */
void ecs_call(struct ecs *ecs, const struct command *command, ecs_answered_fn *answered, void *arg);
/*
 * A call that changes nothing, DescribeDiskReplicaGroups: it shows whether the API can be reached
 * and accepts the credentials. One at a time; `region` must stay until the callback.
 */
void ecs_probe(struct ecs *ecs, const char *region, ecs_answered_fn *answered, void *arg);
/* The credentials that calls are signed with. */
void ecs_credentials(struct ecs *ecs, credentials_got_fn *got, void *arg);

#endif
