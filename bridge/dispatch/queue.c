#include "queue.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

struct region *region_of_name(struct region **regions, const char *name, double rate_per_s,
                              double burst, int64_t now_ms)
{
    struct region *region = NULL;
    HASH_FIND_STR(*regions, name, region);
    if (region == NULL) {
        size_t length = strlen(name);
        region = mem_zalloc(1, sizeof *region + length + 1);
        memcpy(region->name, name, length);
        bucket_init(&region->bucket, rate_per_s, burst, now_ms);
        HASH_ADD_STR(*regions, name, region);
    }
    return region;
}

struct group *group_of_id(struct region *region, const char *id)
{
    struct group *group = NULL;
    HASH_FIND_STR(region->groups, id, group);
    if (group == NULL) {
        size_t length = strlen(id);
        group = mem_zalloc(1, sizeof *group + length + 1);
        memcpy(group->id, id, length);
        group->region = region;
        group->place = GROUP_BACKOFF;
        HASH_ADD_STR(region->groups, id, group);
    }
    return group;
}

void group_enqueue(struct group *group)
{
    struct group *next;
    assert(group->place != GROUP_QUEUED && group->tasks != NULL);
    group->place = GROUP_QUEUED;
    if (!task_has_crashed(group->tasks)) {
        DL_APPEND(group->region->queue, group);
        return;
    }
    DL_FOREACH (group->region->queue, next) {
        if (!task_has_crashed(next->tasks) ||
            next->tasks->command->crashes > group->tasks->command->crashes) {
            break;
        }
    }
    DL_PREPEND_ELEM(group->region->queue, next, group);
}

void group_dequeue(struct group *group)
{
    assert(group->place == GROUP_QUEUED);
    DL_DELETE(group->region->queue, group);
    group->place = GROUP_BACKOFF;
}

static void group_free(struct group *group)
{
    HASH_DEL(group->region->groups, group);
    loop_timer_free(group->backoff);
    free(group);
}

void group_free_if_empty(struct group *group)
{
    if (group->tasks != NULL || group->place == GROUP_RUNNING) {
        return;
    }
    if (group->place == GROUP_QUEUED) {
        group_dequeue(group);
    }
    if (group->reserved_count == 0) {
        group_free(group);
    }
}

void regions_sweep(struct region **regions, bool all, int64_t now_ms)
{
    struct region *region;
    struct region *next_region;
    HASH_ITER (hh, *regions, region, next_region) {
        struct group *group;
        struct group *next_group;
        if (!all && (region->groups != NULL || !bucket_is_full(&region->bucket, now_ms))) {
            continue;
        }
        HASH_ITER (hh, region->groups, group, next_group) {
            struct task *task;
            struct task *next_task;
            DL_FOREACH_SAFE (group->tasks, task, next_task) {
                task_free(task);
            }
            group_free(group);
        }
        /* NOLINTNEXTLINE(clang-analyzer-*): the table is freed with the last region only */
        HASH_DEL(*regions, region);
        free(region);
    }
}

void task_free(struct task *task)
{
    outcome_fini(task->last);
    free(task->last);
    outcome_fini(task->unsure);
    free(task->unsure);
    command_free(task->command);
    free(task);
}

bool task_has_crashed(const struct task *task)
{
    return task->command->crashes > 0;
}
