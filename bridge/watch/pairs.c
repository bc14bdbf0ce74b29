/*
 * Calls about the pairs of groups. They share the region's bucket and its one call at a time with
 * those of poll.c: what an event `failed` waits for comes before the next groups, the progress of
 * copies when no group is due.
 *
 * The groups of a list are in the order of their turns, since every turn is progress_s after the
 * one before.
 */
#include "base/log.h"
#include "base/mem.h"
#include "common.h"

#include <stdlib.h>
#include <utlist.h>

/* As many as a group may have. */
#define PROGRESS_PAIRS_MAX 17

static int64_t period_ms(const struct watcher *watcher)
{
    return watcher->settings->watch.progress_s * 1000;
}

/* ---- the lists of groups whose pairs are to be read ---- */

static void join(struct watched *watched, struct watched **list)
{
    DL_APPEND2(*list, watched, pairs_prev, pairs_next);
    watched->pairs_list = list;
}

void watched_leave_pairs(struct watched *watched)
{
    if (watched->pairs_list != NULL) {
        DL_DELETE2(*watched->pairs_list, watched, pairs_prev, pairs_next);
        watched->pairs_list = NULL;
    }
    text_list_fini(&watched->pairs);
}

static void copy_pairs(const struct text_list *list, struct text_list *out)
{
    text_list_fini(out);
    out->count = list->count < PROGRESS_PAIRS_MAX ? list->count : PROGRESS_PAIRS_MAX;
    out->items = mem_zalloc(out->count, sizeof out->items[0]);
    for (size_t i = 0; i < out->count; i++) {
        out->items[i] = mem_strdup(list->items[i]);
    }
}

void watched_set_pairs(struct watched *watched, const struct listed_group *group)
{
    const struct watcher *watcher = watched->watcher;
    struct watched **copying = &watched->region->copying;
    bool is_read = period_ms(watcher) > 0 && group->pairs.count > 0 &&
                   group_is_copying(&group->view) && !watched->is_removed;
    if (!is_read) {
        watched_leave_pairs(watched);
        return;
    }
    copy_pairs(&group->pairs, &watched->pairs);
    if (watched->pairs_list != copying) {
        watched->progress_at_ms = loop_now_ms(watcher->loop) + period_ms(watcher);
        join(watched, copying);
    }
}

void watched_end_progress(struct watched *watched)
{
    if (watched->pairs_list == &watched->region->copying) {
        watched_leave_pairs(watched);
    }
}

void watched_read_states(struct watched *watched)
{
    watched_leave_pairs(watched);
    join(watched, &watched->region->failed);
    watch_region_wait(watched->region);
}

void watch_pairs_changed(struct watch_region *region)
{
    struct watched *next;
    for (struct watched *watched = region->copying; watched != NULL; watched = next) {
        next = watched->pairs_next;
        watched->progress_at_ms = loop_now_ms(region->watcher->loop);
        if (period_ms(region->watcher) == 0) {
            watched_leave_pairs(watched);
        }
    }
}

void watch_pairs_give_up(struct watch_region *region)
{
    while (region->failed != NULL) {
        struct watched *watched = region->failed;
        watched_leave_pairs(watched);
        watched_store(watched, (struct slice){0});
    }
}

int64_t watch_pairs_due_ms(const struct watch_region *region)
{
    if (region->failed != NULL || region->round.pairs.count > 0) {
        return loop_now_ms(region->watcher->loop);
    }
    return region->copying == NULL ? INT64_MAX : region->copying->progress_at_ms;
}

void watch_pairs_fini(struct watch_region *region)
{
    text_list_fini(&region->round.pairs);
    pairs_call_fini(&region->pairs_call);
}

/* ---- the states of the pairs of a failed group ---- */

static void got_states(void *arg, const struct pairs_answer *answer)
{
    struct watched *watched = arg;
    struct watch_region *region = watched->region;
    region->is_asking_pairs = false;
    watch_answered(region, answer->result, answer->at_ms);
    watched_store(watched, answer->states);
    if (answer->result == DESCRIBE_FAILED) {
        watch_region_failed(region, answer->outcome, answer->retry_after_ms);
    }
    watch_region_wait(region);
}

bool watch_pairs_ask_states(struct watch_region *region)
{
    struct watched *watched = region->failed;
    if (watched == NULL) {
        return false;
    }
    watched_leave_pairs(watched);
    region->is_asking_pairs = true;
    pairs_ask_states(region->watcher->ecs, &region->pairs_call, region->name,
                     watched->watch->object, watched->watch->state.site, got_states, watched);
    return true;
}

/* ---- the progress of a copy ---- */

/* The group whose pairs are read in turn; NULL: none is, or it is not copied any more. */
static struct watched *round_of(const struct watch_region *region)
{
    struct watched *watched =
        region->round.pairs.count == 0 ? NULL : watched_find(region->watcher, region->round.id);
    return watched != NULL && watched->pairs_list == &region->copying ? watched : NULL;
}

static void log_refusal(const struct watched *watched, const struct outcome *outcome)
{
    LOG_INFO("watch_progress_refused", LOG_TEXT("region", watched->region->name),
             LOG_TEXT("group", watched->watch->object), LOG_TEXT("code", outcome->code),
             LOG_TEXT("message", outcome->message));
}

static void got_progress(void *arg, const struct pairs_answer *answer)
{
    struct watch_region *region = arg;
    struct watch_round *round = &region->round;
    struct watched *watched = round_of(region);
    bool is_read = watched != NULL && answer->result == DESCRIBE_COMPLETE;
    region->is_asking_pairs = false;
    watch_answered(region, answer->result, answer->at_ms);
    if (is_read && answer->percent < round->lowest) {
        round->lowest = answer->percent;
    }
    if (watched != NULL && answer->result == DESCRIBE_REFUSED && !watched->is_progress_refused) {
        log_refusal(watched, answer->outcome);
    }
    if (watched != NULL && answer->result != DESCRIBE_FAILED) {
        watched->is_progress_refused = answer->result == DESCRIBE_REFUSED;
    }
    if (!is_read) {
        text_list_fini(&round->pairs); /* the lowest of only some pairs says nothing */
    } else if (++round->next == round->pairs.count) {
        text_list_fini(&round->pairs);
        watched_progressed(watched, round->lowest, answer->at_ms);
    }
    if (answer->result == DESCRIBE_FAILED) {
        watch_region_failed(region, answer->outcome, answer->retry_after_ms);
    }
    watch_region_wait(region);
}

/* The group whose turn it is; its next turn is progress_s from now. */
static struct watched *begin_round(struct watch_region *region)
{
    struct watched *watched = region->copying;
    int64_t now_ms = loop_now_ms(region->watcher->loop);
    text_list_fini(&region->round.pairs);
    if (watched == NULL || watched->progress_at_ms > now_ms) {
        return NULL;
    }
    copy_pairs(&watched->pairs, &region->round.pairs);
    region->round.id = watched->watch->id;
    region->round.next = 0;
    region->round.lowest = 100;
    watched->progress_at_ms = now_ms + period_ms(region->watcher);
    DL_DELETE2(region->copying, watched, pairs_prev, pairs_next);
    DL_APPEND2(region->copying, watched, pairs_prev, pairs_next);
    return watched;
}

bool watch_pairs_ask_progress(struct watch_region *region)
{
    if (round_of(region) == NULL && begin_round(region) == NULL) {
        return false;
    }
    region->is_asking_pairs = true;
    pairs_ask_progress(region->watcher->ecs, &region->pairs_call, region->name,
                       region->round.pairs.items[region->round.next], got_progress, region);
    return true;
}
