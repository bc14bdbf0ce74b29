/* What is watched, for people. */
#include "watch/watcher.h"

#include "base/json.h"
#include "base/mem.h"
#include "common.h"

#include <stdlib.h>
#include <string.h>

static bool has_flag(const struct watch *watch, unsigned flags)
{
    return (watch->state.flags & flags) != 0;
}

static bool has_not_begun(const struct watch *watch)
{
    return has_flag(watch, WATCH_NOT_BEGUN_SENT) && !has_flag(watch, WATCH_HAS_MOVED);
}

static bool is_in_trouble(const struct watch *watch)
{
    return has_flag(watch, (unsigned)WATCH_IS_BLIND | (unsigned)WATCH_IS_LAGGING |
                               (unsigned)WATCH_STALLED_SENT) ||
           has_not_begun(watch);
}

static int compare(const struct watch *a, const struct watch *b)
{
    int order = (int)is_in_trouble(b) - (int)is_in_trouble(a);
    if (order == 0) {
        order = strcmp(a->object, b->object);
    }
    return order == 0 ? strcmp(a->region, b->region) : order;
}

/* Puts it at its place among the first `max` ones. */
static void insert(const struct watch **first, size_t *count, size_t max, const struct watch *watch)
{
    size_t low = 0;
    size_t high = *count;
    if (*count == max && compare(watch, first[max - 1]) >= 0) {
        return;
    }
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare(first[middle], watch) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *count += *count < max;
    memmove(&first[low + 1], &first[low], (*count - low - 1) * sizeof(const struct watch *));
    first[low] = watch;
}

/* The state of the group, as far as it is known. */
static void put_view(const struct watcher *watcher, const struct watch *watch, struct buf *out)
{
    static const char *const classes[] = {[GROUP_MOVING] = "moving",
                                          [GROUP_REST] = "rest",
                                          [GROUP_GOOD] = "good",
                                          [GROUP_FAILED] = "failed",
                                          [GROUP_GONE] = "gone"};
    const struct group_view *view = &watch->state.view;
    int64_t now_ms = watched_now_ms(watcher);
    int64_t rpo_s = view->rpo_s > 0 ? view->rpo_s : watcher->settings->api.rpo_s;
    if (view->status[0] == '\0') {
        return;
    }
    json_put_text(out, "GroupStatus", slice_text(view->status));
    json_put_text(out, "Class", slice_text(classes[group_class(view->status)]));
    json_put_time(out, "ChangedAt", watch->state.changed_at_ms);
    json_put_int(out, "RpoS", rpo_s);
    if (view->recover_point_s > 0) {
        int64_t lag_s = now_ms / 1000 - view->recover_point_s;
        json_put_time(out, "LastRecoverPoint", view->recover_point_s * 1000);
        json_put_int(out, "LagS", lag_s < 0 ? 0 : lag_s);
        json_put_bool(out, "RpoExceeded", group_is_behind(view, now_ms, rpo_s, 1.0));
    }
    if (view->progress_percent >= 0) {
        json_put_int(out, "ProgressPercent", view->progress_percent);
    }
}

static void put_watch(const struct watcher *watcher, const struct watch *watch, struct buf *out)
{
    static const char *const goals[] = {[GOAL_NONE] = NULL,
                                        [GOAL_SYNCHRONISED] = "synchronised",
                                        [GOAL_STOPPED] = "stopped",
                                        [GOAL_FAILOVERED] = "failovered"};
    const struct watch_state *state = &watch->state;
    json_put_open(out, '{');
    json_put_text(out, "ReplicaGroupId", slice_text(watch->object));
    json_put_text(out, "RegionId", slice_text(watch->region));
    json_put_text(out, "ClientToken", slice_text(watch->token));
    json_put_text(out, "Route", slice_text(watch->route));
    json_put_text(out, "Action", slice_text(watch->action->name));
    json_put_text_if(out, "Goal", slice_text(goals[watch->action->goal]));
    json_put_text(out, "Outcome", slice_text(watch->is_outcome_unknown ? "unknown" : "succeeded"));
    put_view(watcher, watch, out);
    json_put_bool(out, "InTrouble", is_in_trouble(watch));
    json_put_bool(out, "Synchronised", has_flag(watch, WATCH_IS_SYNCHRONISED));
    json_put_bool(out, "Lagging", has_flag(watch, WATCH_IS_LAGGING));
    json_put_bool(out, "Blind", has_flag(watch, WATCH_IS_BLIND));
    json_put_bool(out, "Stalled", has_flag(watch, WATCH_STALLED_SENT));
    json_put_bool(out, "NotBegun", has_not_begun(watch));
    json_put_int(out, "Seq", state->seq);
    if (state->last_event != WATCH_NOTHING) {
        json_put_text(out, "LastEvent", slice_text(watch_event_name(state->last_event)));
        json_put_time(out, "LastEventAt", state->last_event_at_ms);
    }
    json_put_time(out, "StartedAt", watch->started_at_ms);
    json_put_time(out, "EndsAt", watch->ends_at_ms);
    json_put_close(out, '}');
}

const struct watch *watcher_find(const struct watcher *watcher, struct slice group,
                                 struct slice token)
{
    const struct watched *watched;
    const struct watched *next;
    HASH_ITER (hh, watcher->watches, watched, next) {
        if (slice_equals_text(group, watched->watch->object)) {
            bool is_it =
                !slice_is_present(token) || slice_equals_text(token, watched->watch->token);
            return is_it ? watched->watch : NULL;
        }
    }
    return NULL;
}

void watcher_put_list(const struct watcher *watcher, size_t max, struct buf *out)
{
    const struct watch **first = mem_zalloc(max, sizeof(const struct watch *));
    const struct watched *watched;
    const struct watched *next;
    size_t count = 0;
    HASH_ITER (hh, watcher->watches, watched, next) {
        insert(first, &count, max, watched->watch);
    }
    json_put_open(out, '{');
    json_put_time(out, "At", watched_now_ms(watcher));
    json_put_int(out, "Count", HASH_COUNT(watcher->watches));
    json_put_name(out, "Watches");
    json_put_open(out, '[');
    for (size_t i = 0; i < count; i++) {
        put_watch(watcher, first[i], out);
    }
    json_put_close(out, ']');
    json_put_close(out, '}');
    free((void *)first);
}
