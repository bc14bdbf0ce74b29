/*
 * health - the state of the bridge now: the reasons why it is degraded, each with the time since
 * when.
 *
 * The part that knows a fact sets its reason. The status topic, the admin pages and the log read
 * them from here. The reasons are tables/health_reasons.def. The state is
 *
 *   offline    after health_stop()
 *   degraded   while there is at least one reason
 *   online     otherwise
 *
 * At the start NOT_SUBSCRIBED and NO_PUBLISHER are set. Each change of the reasons is logged once,
 * until health_stop().
 *
 * Thread: the loop's; functions that take a const health: any. A reader on another thread may see
 * one reason's change before another's. Fails with: nothing.
 */
#ifndef BASE_HEALTH_H
#define BASE_HEALTH_H

#include "buf.h"
#include "loop.h"

#include <stdbool.h>
#include <stdint.h>

enum health_reason {
#define HEALTH_REASON(id, name, ready, meaning, advice) HEALTH_##id,
#include "tables/health_reasons.def"
#undef HEALTH_REASON
    HEALTH_REASON_COUNT
};

enum health_state { HEALTH_ONLINE, HEALTH_DEGRADED, HEALTH_OFFLINE };

/* A loop that has not turned for this long hangs. */
#define HEALTH_LIVE_MS 10000

struct health;

struct health *health_new(struct loop *loop);
/* Takes NULL. */
void health_free(struct health *health);
/* `changed` is called after each change of the reasons and after health_stop(). One watcher, set
 * once. */
void health_watch(struct health *health, loop_fn *changed, void *arg);

/* A reason begins now or ends. Setting one that lasts already keeps its time. */
void health_set(struct health *health, enum health_reason reason, bool is_on);
/* A reason that began at `since_ms` (wall clock, not 0). */
void health_set_since(struct health *health, enum health_reason reason, int64_t since_ms);
/* A reason that began at `since_ms` has ended: only health_last_since_ms() tells of it. */
void health_set_past(struct health *health, enum health_reason reason, int64_t since_ms);
/* A reason that ends by itself `duration_ms` after the last such call. */
void health_set_for(struct health *health, enum health_reason reason, int64_t duration_ms);
/* The bridge stops; `why` ("stopped") is static text. */
void health_stop(struct health *health, const char *why);

enum health_state health_state(const struct health *health);
/* "online", "degraded", "offline". */
const char *health_state_text(enum health_state state);
/* Since when (wall clock) the reason lasts; 0: it does not. */
int64_t health_since_ms(const struct health *health, enum health_reason reason);
/* As health_since_ms(), but the time stays when the reason has ended; 0: it never lasted. */
int64_t health_last_since_ms(const struct health *health, enum health_reason reason);
bool health_is_on(const struct health *health, enum health_reason reason);
/* The loop is at work; to be called more often than every HEALTH_LIVE_MS. */
void health_beat(struct health *health);
/* Whether health_beat() was called within HEALTH_LIVE_MS. Also true before the first call: the loop
 * does not run yet, because the start waits for a database, as long as that takes. */
bool health_is_live(const struct health *health);
/* Whether commands can be accepted and answered: live, not stopping, and no reason of the kind
 * NOT_READY. */
bool health_is_ready(const struct health *health);
/* Why the bridge stops; NULL before health_stop(). */
const char *health_stop_reason(const struct health *health);
/* When health_new() was called (wall clock). */
int64_t health_started_at_ms(const struct health *health);
/* Appends the names of the present reasons as a JSON array. */
void health_put_reasons(const struct health *health, struct buf *out);

struct health_reason_info {
    const char *name;
    const char *meaning; /* one sentence or two */
    const char *advice;  /* what to do */
    bool blocks_ready;
};
const struct health_reason_info *health_reason_info(enum health_reason reason);

#endif
