/*
 * One call at a time in each region. A call asks for the groups that are due first, together with
 * others that are due soon. Batches that a refusal or an absent group has made come before them.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "common.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define BACKOFF_MS_MAX 300000
#define BLOCKED_MS     200 /* until commands have left a slot, or the outbox has room */
#define JITTER_PERCENT 10

static int64_t min_ms(const struct watcher *watcher)
{
    return watcher->settings->watch.poll_min_s * 1000;
}

static int64_t max_ms(const struct watcher *watcher)
{
    return watcher->settings->watch.poll_max_s * 1000;
}

/* ---- times ---- */

void watched_put_back(struct watched *watched)
{
    struct watch_region *region = watched->region;
    heap_add(watched->is_refused ? &region->due_alone : &region->due[watched->watch->state.site],
             &watched->due);
}

void watched_schedule(struct watched *watched, bool has_changed)
{
    const struct watcher *watcher = watched->watcher;
    uint32_t random = 0;
    if (has_changed || watched->interval_ms == 0) {
        watched->interval_ms = min_ms(watcher);
    } else {
        watched->interval_ms += watched->interval_ms / 2;
    }
    if (watched->interval_ms > max_ms(watcher)) {
        watched->interval_ms = max_ms(watcher);
    }
    int64_t wait_ms =
        watched->is_refused ? max_ms(watcher) * WATCH_REFUSED_FACTOR : watched->interval_ms;
    digest_random(&random, sizeof random);
    int64_t percent = 100 - JITTER_PERCENT + (int64_t)(random % (2 * JITTER_PERCENT + 1));
    if (watched->watch->state.view.status[0] != '\0' && watched->due.key == 0) {
        percent = (int64_t)(random % 100); /* of an earlier run: all of them begin now */
    }
    heap_remove(&watched->due);
    watched->due.key = loop_now_ms(watcher->loop) + wait_ms * percent / 100;
    watched_put_back(watched);
}

static void region_due(void *arg);

static double burst_of(const struct watcher *watcher)
{
    return watcher->settings->watch.rate_per_s < 1 ? 1 : watcher->settings->watch.rate_per_s;
}

struct watch_region *watch_region_of(struct watcher *watcher, const char *name)
{
    struct watch_region *region;
    DL_FOREACH (watcher->regions, region) {
        if (strcmp(region->name, name) == 0) {
            return region;
        }
    }
    size_t bytes = strlen(name) + 1;
    region = mem_zalloc(1, sizeof *region + bytes);
    memcpy(region->name, name, bytes);
    region->watcher = watcher;
    region->timer = loop_timer_new(watcher->loop, region_due, region);
    bucket_init(&region->bucket, watcher->settings->watch.rate_per_s, burst_of(watcher),
                loop_now_ms(watcher->loop));
    DL_APPEND(watcher->regions, region);
    return region;
}

static void drop_batch(struct watch_region *region, struct watch_batch *batch)
{
    DL_DELETE(region->batches, batch);
    free(batch);
}

void watch_region_free(struct watch_region *region)
{
    DL_DELETE(region->watcher->regions, region);
    while (region->watches != NULL) {
        watched_free(region->watches);
    }
    while (region->batches != NULL) {
        drop_batch(region, region->batches);
    }
    heap_fini(&region->due[GROUP_SITE_PRODUCTION]);
    heap_fini(&region->due[GROUP_SITE_BACKUP]);
    heap_fini(&region->due_alone);
    free(region->asked);
    watch_pairs_fini(region);
    loop_timer_free(region->timer);
    free(region);
}

static const struct watched *first_due(const struct watch_region *region)
{
    const struct heap *const heaps[] = {&region->due[GROUP_SITE_PRODUCTION],
                                        &region->due[GROUP_SITE_BACKUP], &region->due_alone};
    const struct watched *first = NULL;
    for (size_t i = 0; i < sizeof heaps / sizeof heaps[0]; i++) {
        const struct watched *watched = heap_first(heaps[i]);
        if (watched != NULL && (first == NULL || watched->due.key < first->due.key)) {
            first = watched;
        }
    }
    return first;
}

void watch_region_wait(struct watch_region *region)
{
    const struct watched *first = first_due(region);
    int64_t now_ms = loop_now_ms(region->watcher->loop);
    int64_t pairs_ms = watch_pairs_due_ms(region);
    int64_t at_ms = region->batches != NULL ? now_ms : first != NULL ? first->due.key : INT64_MAX;
    at_ms = pairs_ms < at_ms ? pairs_ms : at_ms;
    if (region->watcher->is_stopped || region->asked != NULL || region->is_asking_pairs ||
        at_ms == INT64_MAX) {
        return;
    }
    if (at_ms < region->paused_until_ms) {
        at_ms = region->paused_until_ms;
    }
    int64_t token_ms = bucket_wait_ms(&region->bucket, now_ms);
    if (at_ms < now_ms + token_ms) {
        at_ms = now_ms + token_ms;
    }
    loop_timer_start(region->timer, at_ms > now_ms ? at_ms - now_ms : 0);
}

/* ---- batches ---- */

static struct watch_batch *batch_new(const int64_t *ids, size_t count, enum group_site site)
{
    struct watch_batch *batch = mem_zalloc(1, sizeof *batch + count * sizeof ids[0]);
    batch->site = site;
    batch->count = count;
    memcpy(batch->ids, ids, count * sizeof ids[0]);
    return batch;
}

static int by_object(const void *a, const void *b)
{
    return strcmp((*(struct watched *const *)a)->watch->object,
                  (*(struct watched *const *)b)->watch->object);
}

/* Takes out the groups that are due first, up to `max`, among those that are due before `end_ms`.
 * What is being stored comes back with the ledger's answer. */
static size_t take_due(struct heap *heap, int64_t end_ms, struct watched **out, size_t max)
{
    size_t count = 0;
    struct watched *watched;
    while (count < max && (watched = heap_first(heap)) != NULL && watched->due.key <= end_ms) {
        heap_remove(&watched->due);
        if (watched->step == NULL) {
            out[count++] = watched;
        }
    }
    return count;
}

/* The group that is due, with others of the same site that are due soon. One that is refused goes
 * alone. */
static struct watch_batch *choose(const struct watch_region *region)
{
    const struct watcher *watcher = region->watcher;
    const struct watched *first = first_due(region);
    int64_t now_ms = loop_now_ms(watcher->loop);
    if (first == NULL || first->due.key > now_ms) {
        return NULL;
    }
    size_t max = first->is_refused ? 1 : (size_t)watcher->settings->watch.batch;
    enum group_site site = first->watch->state.site;
    struct watched *found[DESCRIBE_IDS_MAX];
    const char *names[DESCRIBE_IDS_MAX];
    int64_t ids[DESCRIBE_IDS_MAX];
    size_t count = take_due(first->due.heap, now_ms + min_ms(watcher), found, max);
    for (size_t i = 0; i < count; i++) {
        names[i] = found[i]->watch->object;
    }
    size_t fitting = describe_fit(names, count, count);
    while (count > fitting) {
        watched_put_back(found[--count]);
    }
    qsort(found, count, sizeof(struct watched *), by_object);
    for (size_t i = 0; i < count; i++) {
        ids[i] = found[i]->watch->id;
    }
    return count == 0 ? NULL : batch_new(ids, count, site);
}

/* Keeps the ids of those watches that are still there; false where none is. */
static bool still_has_watches(const struct watcher *watcher, struct watch_batch *batch)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct watched *watched = watched_find(watcher, batch->ids[i]);
        if (watched != NULL && watched->step == NULL) {
            batch->ids[count++] = batch->ids[i];
        }
    }
    batch->count = count;
    return count > 0;
}

static struct watch_batch *next_batch(struct watch_region *region)
{
    while (region->batches != NULL) {
        struct watch_batch *batch = region->batches;
        DL_DELETE(region->batches, batch);
        if (still_has_watches(region->watcher, batch)) {
            return batch;
        }
        free(batch);
    }
    return choose(region);
}

/* ---- answers ---- */

/* Asks for the group by itself, at this site. */
static void ask_alone(struct watch_region *region, int64_t id, enum group_site site, bool is_second)
{
    struct watch_batch *batch = batch_new(&id, 1, site);
    batch->is_second = is_second;
    DL_APPEND(region->batches, batch);
}

/* A complete answer does not list the group, or the API says that it is not there. */
static void absent(struct watch_region *region, const struct watch_batch *batch,
                   struct watched *watched, int64_t at_ms)
{
    int64_t id = watched->watch->id;
    if (batch->count > 1) {
        ask_alone(region, id, batch->site, false);
    } else if (!batch->is_second) {
        ask_alone(region, id,
                  batch->site == GROUP_SITE_BACKUP ? GROUP_SITE_PRODUCTION : GROUP_SITE_BACKUP,
                  true);
    } else {
        watched_missed(watched, at_ms);
    }
}

static void take_list(struct watch_region *region, const struct watch_batch *batch,
                      const struct describe_answer *answer)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct watched *watched = watched_find(region->watcher, batch->ids[i]);
        const struct listed_group *group =
            watched == NULL ? NULL : group_list_find(answer->list, watched->watch->object);
        if (watched == NULL) {
            continue;
        }
        if (group != NULL && group->view.status[0] != '\0') {
            watched_seen(watched, group, batch->site, answer->at_ms);
        } else if (group == NULL && answer->result == DESCRIBE_COMPLETE) {
            absent(region, batch, watched, answer->at_ms);
        } else {
            watched_waits(watched);
        }
    }
}

/* At least one of the groups must not be read, or is not there: the others are not to be blinded
 * by it. */
static void refused(struct watch_region *region, const struct watch_batch *batch,
                    const struct describe_answer *answer)
{
    size_t half = batch->count / 2;
    if (batch->count > 1) {
        struct watch_batch *first = batch_new(batch->ids, half, batch->site);
        struct watch_batch *second = batch_new(batch->ids + half, batch->count - half, batch->site);
        DL_APPEND(region->batches, first);
        DL_APPEND(region->batches, second);
        return;
    }
    struct watched *watched = watched_find(region->watcher, batch->ids[0]);
    if (watched == NULL || watched->step != NULL) {
        return;
    }
    bool is_denied = answer->outcome->category != CATEGORY_NOT_FOUND;
    if (!watched->is_refused || watched->is_denied != is_denied) {
        LOG_INFO("watch_refused", LOG_TEXT("region", region->name),
                 LOG_TEXT("group", watched->watch->object), LOG_TEXT("code", answer->outcome->code),
                 LOG_TEXT("message", answer->outcome->message));
    }
    watched->is_refused = true;
    watched->is_denied = is_denied;
    if (watched->is_denied) {
        watched_waits(watched);
    } else {
        absent(region, batch, watched, answer->at_ms);
    }
}

void watch_region_failed(struct watch_region *region, const struct outcome *outcome,
                         int64_t retry_after_ms)
{
    int64_t wait_ms = region->backoff_ms == 0 ? min_ms(region->watcher) : region->backoff_ms * 2;
    region->backoff_ms = wait_ms < BACKOFF_MS_MAX ? wait_ms : BACKOFF_MS_MAX;
    wait_ms = region->backoff_ms > retry_after_ms ? region->backoff_ms : retry_after_ms;
    region->paused_until_ms = loop_now_ms(region->watcher->loop) + wait_ms;
    LOG_INFO("watch_failed", LOG_TEXT("region", region->name), LOG_TEXT("code", outcome->code),
             LOG_TEXT("message", outcome->message), LOG_INT("retry_in_ms", wait_ms));
    watch_pairs_give_up(region);
}

/* Nothing is concluded, but that time has passed. */
static void failed(struct watch_region *region, const struct watch_batch *batch,
                   const struct describe_answer *answer)
{
    watch_region_failed(region, answer->outcome, answer->retry_after_ms);
    for (size_t i = 0; i < batch->count; i++) {
        struct watched *watched = watched_find(region->watcher, batch->ids[i]);
        if (watched != NULL) {
            watched_waits(watched);
        }
    }
}

void watch_answered(struct watch_region *region, enum describe_result result, int64_t at_ms)
{
    static const enum counter COUNTERS[] = {[DESCRIBE_COMPLETE] = COUNTER_WATCH_COMPLETE,
                                            [DESCRIBE_PARTIAL] = COUNTER_WATCH_PARTIAL,
                                            [DESCRIBE_REFUSED] = COUNTER_WATCH_REFUSED,
                                            [DESCRIBE_FAILED] = COUNTER_WATCH_FAILED};
    counter_add(region->watcher->counters, COUNTERS[result], 1);
    region->watcher->clock_ahead_ms = at_ms - clock_wall_ms();
    if (result != DESCRIBE_FAILED) {
        region->backoff_ms = 0;
        region->paused_until_ms = 0;
    }
}

static void described(void *arg, const struct describe_answer *answer)
{
    struct watch_region *region = arg;
    struct watch_batch *batch = region->asked;
    region->asked = NULL;
    watch_answered(region, answer->result, answer->at_ms);
    switch (answer->result) {
    case DESCRIBE_COMPLETE:
    case DESCRIBE_PARTIAL:
        take_list(region, batch, answer);
        break;
    case DESCRIBE_REFUSED:
        refused(region, batch, answer);
        break;
    case DESCRIBE_FAILED:
        failed(region, batch, answer);
        break;
    }
    free(batch);
    watch_region_wait(region);
}

/* ---- calls ---- */

static void ask(struct watch_region *region, struct watch_batch *batch)
{
    const struct watcher *watcher = region->watcher;
    const char *names[DESCRIBE_IDS_MAX];
    for (size_t i = 0; i < batch->count; i++) {
        names[i] = watched_find(watcher, batch->ids[i])->watch->object;
    }
    region->asked = batch;
    describe_groups(watcher->describer, region->name, batch->site, names, batch->count, described,
                    region);
}

static void region_due(void *arg)
{
    struct watch_region *region = arg;
    struct watcher *watcher = region->watcher;
    int64_t now_ms = loop_now_ms(watcher->loop);
    if (region->asked != NULL || region->is_asking_pairs || watcher->is_stopped) {
        return;
    }
    if (!watcher->may_call(watcher->arg)) {
        loop_timer_start(region->timer, BLOCKED_MS);
        return;
    }
    bool is_free =
        now_ms >= region->paused_until_ms && bucket_wait_ms(&region->bucket, now_ms) == 0;
    bool is_asking = is_free && watch_pairs_ask_states(region);
    struct watch_batch *batch = is_free && !is_asking ? next_batch(region) : NULL;
    if (batch != NULL) {
        ask(region, batch);
    } else if (is_free && !is_asking) {
        is_asking = watch_pairs_ask_progress(region);
    }
    if (is_asking || batch != NULL) {
        (void)bucket_take(&region->bucket, now_ms);
    } else {
        watch_region_wait(region);
    }
}
