#include "schedule.h"

#include <assert.h>
#include <utlist.h>

bool schedule_may_skip_queue(const struct schedule *schedule, struct region *region, int64_t now_ms)
{
    return region->queue == NULL && region->is_proven && region_has_slot(region) &&
           schedule->crashed_count == 0 && schedule->in_flight < schedule->in_flight_max &&
           allowance_take(region_allowance(region), now_ms);
}

bool schedule_has_slot(const struct schedule *schedule, const struct region *region)
{
    return schedule->in_flight < schedule->in_flight_max && region_has_slot(region) &&
           !schedule->is_alone;
}

void schedule_take_slot(struct schedule *schedule, struct group *group, struct region *region)
{
    assert(group->place == GROUP_BACKOFF);
    group->place = GROUP_RUNNING;
    group->region = region;
    schedule->in_flight++;
    region_take_slot(region);
}

void schedule_give_slot(struct schedule *schedule, struct group *group)
{
    assert(group->place == GROUP_RUNNING && schedule->in_flight > 0);
    group->place = GROUP_BACKOFF;
    schedule->in_flight--;
    region_give_slot(group->region);
    schedule->is_alone = false;
}

/* The first command of the region's first group, whose region has a token. */
static struct task *start_first(struct schedule *schedule, struct region *region, int64_t now_ms)
{
    struct group *group = region->queue;
    bool has_token = allowance_take(region_allowance(region), now_ms);
    assert(has_token);
    group_dequeue(group);
    schedule_take_slot(schedule, group, region);
    return group->tasks;
}

/* The region with the command that must be called alone next; NULL where none may be called now. */
static struct region *find_crashed(const struct schedule *schedule, int64_t now_ms)
{
    struct region *region;
    struct region *next;
    struct region *best = NULL;
    HASH_ITER (hh, schedule->regions.table, region, next) {
        const struct task *task = region->queue == NULL ? NULL : region->queue->tasks;
        if (task != NULL && task_has_crashed(task) &&
            allowance_wait_ms(region_allowance(region), now_ms) == 0 &&
            (best == NULL || task->command->crashes < best->queue->tasks->command->crashes)) {
            best = region;
        }
    }
    return best;
}

struct task *schedule_next(struct schedule *schedule, int64_t now_ms)
{
    struct region *region;
    struct region *next;
    if (schedule->is_alone || schedule->in_flight >= schedule->in_flight_max) {
        return NULL;
    }
    if (schedule->crashed_count > 0 && (region = find_crashed(schedule, now_ms)) != NULL) {
        schedule->is_alone = schedule->in_flight == 0;
        return schedule->is_alone ? start_first(schedule, region, now_ms) : NULL;
    }
    HASH_ITER (hh, schedule->regions.table, region, next) {
        if (region->queue != NULL && !task_has_crashed(region->queue->tasks) &&
            region_has_slot(region) && allowance_wait_ms(region_allowance(region), now_ms) == 0) {
            region_serve_last(region); /* so that no other one starves */
            return start_first(schedule, region, now_ms);
        }
    }
    return NULL;
}

int64_t schedule_wait_ms(const struct schedule *schedule, int64_t now_ms)
{
    struct region *region;
    struct region *next;
    int64_t least_ms = INT64_MAX;
    HASH_ITER (hh, schedule->regions.table, region, next) {
        int64_t wait_ms =
            region->queue == NULL ? 0 : allowance_wait_ms(region_allowance(region), now_ms);
        if (wait_ms > 0 && wait_ms < least_ms) {
            least_ms = wait_ms;
        }
    }
    return least_ms;
}
