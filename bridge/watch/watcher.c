#include "watch/watcher.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "common.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct watch_publishing watcher_publishing(const struct settings *settings)
{
    return (struct watch_publishing){.topic = settings->topics.events,
                                     .instance = settings->instance,
                                     .qos = (uint8_t)settings->replies.qos,
                                     .is_retained = settings->watch.retain,
                                     .expiry_s = settings->watch.event_expiry_s,
                                     .rpo_s = settings->api.rpo_s};
}

struct watcher *watcher_new(struct loop *loop, const struct settings *settings,
                            struct health *health, struct counters *counters)
{
    struct watcher *watcher = mem_zalloc(1, sizeof *watcher);
    watcher->loop = loop;
    watcher->settings = settings;
    watcher->health = health;
    watcher->counters = counters;
    return watcher;
}

void watcher_connect(struct watcher *watcher, struct ledger *ledger, struct ecs *ecs,
                     watcher_may_call_fn *may_call, void *arg)
{
    watcher->ledger = ledger;
    watcher->ecs = ecs;
    watcher->describer = describer_new(ecs);
    watcher->may_call = may_call;
    watcher->arg = arg;
}

void watcher_stop(struct watcher *watcher)
{
    struct watch_region *region;
    watcher->is_stopped = true;
    DL_FOREACH (watcher->regions, region) {
        loop_timer_stop(region->timer);
    }
}

void watcher_free(struct watcher *watcher)
{
    struct watch_region *region;
    struct watch_region *next_region;
    if (watcher == NULL) {
        return;
    }
    DL_FOREACH_SAFE (watcher->regions, region, next_region) {
        watch_region_free(region);
    }
    describer_free(watcher->describer);
    free(watcher);
}

struct watched *watched_find(const struct watcher *watcher, int64_t id)
{
    struct watched *watched;
    HASH_FIND(hh, watcher->watches, &id, sizeof id, watched);
    return watched;
}

int64_t watched_now_ms(const struct watcher *watcher)
{
    return clock_wall_ms() + watcher->clock_ahead_ms;
}

/* ---- the watches ---- */

/* They are counted: to look at all of them with every step would cost much with many. */
static void set_denied_long(struct watched *watched, bool is_denied_long)
{
    struct watcher *watcher = watched->watcher;
    watcher->denied_count += (size_t)is_denied_long;
    watcher->denied_count -= (size_t)watched->is_denied_long;
    watched->is_denied_long = is_denied_long;
    health_set(watcher->health, HEALTH_WATCH_DENIED, watcher->denied_count > 0);
}

void watched_free(struct watched *watched)
{
    struct watcher *watcher = watched->watcher;
    if (!watched->is_removed) {
        HASH_DEL(watcher->watches, watched);
    }
    DL_DELETE(watched->region->watches, watched);
    heap_remove(&watched->due);
    watched_leave_pairs(watched);
    set_denied_long(watched, false);
    watch_free(watched->watch);
    free(watched->step);
    free(watched);
    counter_set(watcher->counters, COUNTER_WATCHES, HASH_COUNT(watcher->watches));
}

/* ---- steps ---- */

static struct watch_policy policy_of(const struct watched *watched)
{
    const struct settings *settings = watched->watcher->settings;
    const struct route *route =
        route_of_name(settings->routes, settings->route_count, watched->watch->route);
    const char *mode = route == NULL ? "until_done" : route->watch == NULL ? "off" : route->watch;
    return (struct watch_policy){.is_continuous = strcmp(mode, "continuous") == 0,
                                 .is_off = strcmp(mode, "off") == 0,
                                 .rpo_s = settings->api.rpo_s,
                                 .begin_s = settings->watch.begin_s,
                                 .stall_s = settings->watch.stall_s,
                                 .blind_s = settings->watch.blind_s,
                                 .lag_factor = settings->watch.lag_factor};
}

static void log_step(const struct watched *watched)
{
    const struct watch_step *step = watched->step;
    for (size_t i = 0; i < step->event_count; i++) {
        LOG_INFO("watch_event", LOG_TEXT("event", watch_event_name(step->events[i].kind)),
                 LOG_TEXT("token", watched->watch->token),
                 LOG_TEXT("group", watched->watch->object), LOG_INT("seq", step->events[i].seq),
                 LOG_TEXT("state", step->state.view.status));
    }
}

/* The same command has begun its watch again while the step was on its way: it counts for the watch
 * that goes on. */
static void take_over(struct watched *watched)
{
    struct watched *other = watched_find(watched->watcher, watched->watch->id);
    if (other != NULL && watch_step_is_final(watched->step)) {
        watched_free(other);
    } else if (other != NULL) {
        other->watch->state = watched->step->state;
    }
}

/* The ledger has answered. */
static void stored(void *arg, enum status status)
{
    struct watched *watched = arg;
    bool has_changed = true; /* what was not stored is shown again by the next answer */
    if (watched->is_removed && status == STATUS_OK) {
        take_over(watched);
    }
    if (watched->is_removed || status == STATUS_NOT_FOUND) {
        watched_free(watched);
        return;
    }
    if (status == STATUS_OK) {
        const struct watch_state before = watched->watch->state;
        log_step(watched);
        watched->watch->state = watched->step->state;
        if (watch_step_is_final(watched->step)) {
            watched_free(watched);
            return;
        }
        has_changed = strcmp(before.view.status, watched->watch->state.view.status) != 0;
    }
    free(watched->step);
    watched->step = NULL;
    if (watched->is_progress_step) {
        watched_put_back(watched);
    } else {
        watched_schedule(watched, has_changed);
    }
    set_denied_long(watched, watched->is_denied &&
                                 (watched->watch->state.flags & (unsigned)WATCH_IS_BLIND) != 0);
    watch_region_wait(watched->region);
}

void watcher_remove(struct watcher *watcher, int64_t id)
{
    struct watched *watched = watched_find(watcher, id);
    if (watched == NULL) {
        return;
    }
    if (watched->step == NULL) {
        watched_free(watched);
        return;
    }
    /* The same id may be added again before the answer comes. */
    HASH_DEL(watcher->watches, watched);
    heap_remove(&watched->due);
    watched->is_removed = true;
    watched_end_progress(watched);
}

void watched_store(struct watched *watched, struct slice pairs)
{
    struct watch_step *step = watched->step;
    const struct watch_publishing publishing = watcher_publishing(watched->watcher->settings);
    struct buf messages[WATCH_EVENTS_MAX] = {{0}};
    step->pairs = pairs;
    for (size_t i = 0; i < step->event_count; i++) {
        watch_event_encode(watched->watch, step, &step->events[i], &publishing, clock_wall_ms(),
                           &messages[i]);
    }
    step->pairs = (struct slice){0};
    ledger_watch(watched->watcher->ledger, watched->watch, step, messages, step->event_count,
                 stored, watched);
}

/* Stores the step, or takes it over at once where nothing of it is stored. */
static void take_step(struct watched *watched, const struct watch_step *step, bool is_progress)
{
    if (!step->must_store) {
        watched->watch->state = step->state;
        if (!is_progress) {
            watched_schedule(watched, false);
        }
        return;
    }
    watched->step = mem_alloc(sizeof *step);
    *watched->step = *step;
    watched->is_progress_step = is_progress;
    if (watch_step_is_final(step) && step->events[step->event_count - 1].kind == WATCH_FAILED) {
        watched_read_states(watched);
    } else {
        watched_store(watched, (struct slice){0});
    }
}

void watched_seen(struct watched *watched, const struct listed_group *group, enum group_site site,
                  int64_t at_ms)
{
    const struct group_observation seen = {.at_ms = at_ms, .view = group->view};
    const struct watch_policy policy = policy_of(watched);
    struct watch_step step;
    if (watched->step != NULL) {
        return;
    }
    watched->is_refused = false;
    watched->is_denied = false;
    watched_set_pairs(watched, group);
    watch_observe(watched->watch, &seen, &policy, &step);
    step.must_store |= step.state.site != site;
    step.state.site = site;
    take_step(watched, &step, false);
}

void watched_progressed(struct watched *watched, int percent, int64_t at_ms)
{
    const struct watch_policy policy = policy_of(watched);
    struct watch_step step;
    if (watched->step == NULL) {
        watch_progress(watched->watch, percent, at_ms, &policy, &step);
        take_step(watched, &step, true);
    }
}

void watched_missed(struct watched *watched, int64_t at_ms)
{
    const struct watch_policy policy = policy_of(watched);
    struct watch_step step;
    if (watched->step == NULL) {
        watch_miss(watched->watch, at_ms, &policy, &step);
        take_step(watched, &step, false);
    }
}

void watched_waits(struct watched *watched)
{
    const struct watch_policy policy = policy_of(watched);
    struct watch_step step;
    if (watched->step == NULL) {
        if (watched->watch->state.observed_at_ms == 0) { /* now the API's time may be known */
            watched->watch->state.observed_at_ms = watched_now_ms(watched->watcher);
        }
        watch_wait(watched->watch, watched_now_ms(watched->watcher), &policy, &step);
        take_step(watched, &step, false);
    }
}

/* ---- the beginning, and new settings ---- */

/* The watch may be freed by it. */
static void end_if_off(struct watched *watched)
{
    if (policy_of(watched).is_off) {
        watched_waits(watched);
    }
}

void watcher_settings_changed(struct watcher *watcher)
{
    struct watch_region *region;
    DL_FOREACH (watcher->regions, region) {
        struct watched *watched;
        struct watched *next;
        bucket_change(&region->bucket, watcher->settings->watch.rate_per_s,
                      watcher->settings->watch.rate_per_s < 1 ? 1
                                                              : watcher->settings->watch.rate_per_s,
                      loop_now_ms(watcher->loop));
        watch_pairs_changed(region);
        DL_FOREACH_SAFE (region->watches, watched, next) {
            watched_schedule(watched, true);
            end_if_off(watched);
        }
        watch_region_wait(region);
    }
}

void watcher_add(struct watcher *watcher, const struct watch *watch)
{
    struct watched *watched = mem_zalloc(1, sizeof *watched);
    watched->watcher = watcher;
    watched->due.owner = watched;
    watched->watch = watch_copy(watch);
    watched->watch->state.observed_at_ms = 0;
    watched->watch->state.absent_count = 0;
    watched->region = watch_region_of(watcher, watch->region);
    DL_APPEND(watched->region->watches, watched);
    HASH_ADD_KEYPTR(hh, watcher->watches, &watched->watch->id, sizeof watch->id, watched);
    counter_set(watcher->counters, COUNTER_WATCHES, HASH_COUNT(watcher->watches));
    watched_schedule(watched, true);
    watch_region_wait(watched->region);
    end_if_off(watched);
}

/* Whether it is the watch as this bridge knows it: a command that was sent once more keeps the id
 * of its watch and changes the rest. */
static bool is_known(const struct watched *watched, const struct watch *watch)
{
    const struct watch *known = watched->watch;
    return known->started_at_ms == watch->started_at_ms && known->ends_at_ms == watch->ends_at_ms &&
           known->is_outcome_unknown == watch->is_outcome_unknown;
}

void watcher_set_region(struct watcher *watcher, const char *region_name,
                        const struct watch *const *watches, size_t count)
{
    struct watch_region *region = watch_region_of(watcher, region_name);
    struct watched *watched;
    struct watched *next;
    for (size_t i = 0; i < count; i++) {
        watched = watched_find(watcher, watches[i]->id);
        if (watched != NULL && is_known(watched, watches[i])) {
            watched->is_listed = true;
        }
    }
    DL_FOREACH_SAFE (region->watches, watched, next) {
        if (!watched->is_listed && !watched->is_removed) {
            watcher_remove(watcher, watched->watch->id);
        }
    }
    for (size_t i = 0; i < count; i++) {
        watched = watched_find(watcher, watches[i]->id);
        if (watched == NULL) {
            watcher_add(watcher, watches[i]);
        } else {
            watched->is_listed = false;
        }
    }
}
