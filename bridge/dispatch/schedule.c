/*
 * Which command begins next. Those that must be called alone go first, fewest crashes first:
 * nothing else begins until the calls under way are answered, and nothing beside it.
 */
#include "dispatch_private.h"

#include <assert.h>

/* Starts the first command of the region's first group in line, if there is a slot and a token.
 * Returns whether it did. */
static bool start_one(struct dispatch *dispatch, struct region *region)
{
    struct group *group = region->line;
    if (group == NULL || task_has_crashed(group->tasks) != dispatch->is_alone ||
        dispatch->in_flight >= (size_t)dispatch->settings->api.max_in_flight ||
        !bucket_take(&region->bucket, loop_now_ms(dispatch->loop))) {
        return false;
    }
    group_leave_line(group);
    dispatch_take_slot(dispatch, group);
    wheel_remove(&dispatch->wheel, group->tasks);
    dispatch_begin(group->tasks);
    return true;
}

/* The region whose first group must be called alone and may begin; NULL for none. */
static struct region *find_crashed(struct dispatch *dispatch)
{
    struct region *region;
    struct region *next;
    struct region *best = NULL;
    HASH_ITER (hh, dispatch->regions, region, next) {
        bool is_due = region->line != NULL && task_has_crashed(region->line->tasks) &&
                      bucket_wait_ms(&region->bucket, loop_now_ms(dispatch->loop)) == 0;
        if (is_due && (best == NULL || region->line->tasks->command->crashes <
                                           best->line->tasks->command->crashes)) {
            best = region;
        }
    }
    return best;
}

/* Whether everything else must wait: a command is being called alone, or is the next one. */
static bool schedule_alone(struct dispatch *dispatch)
{
    if (dispatch->crashed_count == 0 || dispatch->is_alone) {
        return dispatch->is_alone;
    }
    struct region *region = find_crashed(dispatch);
    if (region != NULL && dispatch->in_flight == 0) {
        dispatch->is_alone = true;
        bool has_started = start_one(dispatch, region);
        assert(has_started);
    }
    return region != NULL;
}

/* Waits for the next token of the regions whose lines stand for want of one. */
static void await_tokens(struct dispatch *dispatch)
{
    struct region *region;
    struct region *next;
    int64_t wait_ms = INT64_MAX;
    HASH_ITER (hh, dispatch->regions, region, next) {
        if (region->line != NULL) {
            int64_t region_ms = bucket_wait_ms(&region->bucket, loop_now_ms(dispatch->loop));
            wait_ms = region_ms < wait_ms ? region_ms : wait_ms;
        }
    }
    if (wait_ms > 0 && wait_ms < INT64_MAX) {
        loop_timer_start(dispatch->refill, wait_ms);
    }
}

void dispatch_hold(struct dispatch *dispatch, bool is_held)
{
    dispatch->is_held = is_held;
    dispatch_pump(dispatch);
}

/* Begins whatever may begin. A region that was served goes behind the others, so that none starves.
 */
void dispatch_pump(struct dispatch *dispatch)
{
    if (dispatch->is_stopping || dispatch->is_held) {
        return;
    }
    bool is_progressing = !schedule_alone(dispatch);
    while (is_progressing) {
        struct region *region;
        struct region *next;
        is_progressing = false;
        HASH_ITER (hh, dispatch->regions, region, next) {
            if (start_one(dispatch, region)) {
                is_progressing = true;
                HASH_DEL(dispatch->regions, region);
                HASH_ADD_STR(dispatch->regions, name, region);
            }
        }
    }
    await_tokens(dispatch);
}
