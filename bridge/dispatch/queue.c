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

struct group *group_find(struct region *region, const char *id)
{
    struct group *group = NULL;
    HASH_FIND_STR(region->groups, id, group);
    return group;
}

struct group *group_of_id(struct region *region, const char *id)
{
    struct group *group = group_find(region, id);
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

void group_enter_line(struct group *group)
{
    struct group *next;
    assert(group->place != GROUP_QUEUED && group->tasks != NULL);
    group->place = GROUP_QUEUED;
    if (!task_has_crashed(group->tasks)) {
        DL_APPEND(group->region->line, group);
        return;
    }
    DL_FOREACH (group->region->line, next) {
        if (!task_has_crashed(next->tasks) ||
            next->tasks->command->crashes > group->tasks->command->crashes) {
            break;
        }
    }
    DL_PREPEND_ELEM(group->region->line, next, group);
}

void group_leave_line(struct group *group)
{
    assert(group->place == GROUP_QUEUED);
    DL_DELETE(group->region->line, group);
    group->place = GROUP_BACKOFF;
}

void group_free(struct group *group)
{
    HASH_DEL(group->region->groups, group);
    loop_timer_free(group->rest);
    free(group);
}

void group_free_if_empty(struct group *group)
{
    if (group->tasks != NULL || group->place == GROUP_RUNNING) {
        return;
    }
    if (group->place == GROUP_QUEUED) {
        group_leave_line(group);
    }
    if (group->reserved_count == 0) {
        group_free(group);
    }
}

static void group_free_with_tasks(struct group *group)
{
    struct task *task;
    struct task *next;
    DL_FOREACH_SAFE (group->tasks, task, next) {
        task_free(task);
    }
    group_free(group);
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
            group_free_with_tasks(group);
        }
        /* NOLINTNEXTLINE(clang-analyzer-*): only the last region takes the table along */
        HASH_DEL(*regions, region);
        free(region);
    }
}

struct task *task_new(struct dispatch *dispatch, struct group *group, struct command *command_take,
                      int64_t deadline_ms)
{
    struct task *task = mem_zalloc(1, sizeof *task);
    task->dispatch = dispatch;
    task->group = group;
    task->command = command_take;
    task->deadline_ms = deadline_ms;
    task->due_slot = WHEEL_NOT_LISTED;
    DL_APPEND(group->tasks, task);
    return task;
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

static struct task **wheel_slot(struct wheel *wheel, int64_t slot)
{
    return &wheel->slots[(size_t)slot % WHEEL_SLOTS];
}

void wheel_add(struct wheel *wheel, struct task *task)
{
    if (task->due_slot == WHEEL_NOT_LISTED) {
        int64_t slot = task->deadline_ms / WHEEL_SLOT_MS;
        task->due_slot = slot > wheel->turned_to ? slot : wheel->turned_to;
        struct task **tasks = wheel_slot(wheel, task->due_slot);
        DL_APPEND2(*tasks, task, due_prev, due_next);
        wheel->count++;
    }
}

void wheel_remove(struct wheel *wheel, struct task *task)
{
    if (task->due_slot != WHEEL_NOT_LISTED) {
        struct task **tasks = wheel_slot(wheel, task->due_slot);
        DL_DELETE2(*tasks, task, due_prev, due_next);
        task->due_slot = WHEEL_NOT_LISTED;
        wheel->count--;
    }
}

/* A slot holds tasks of later turns of the wheel too: only what is over counts. */
static struct task *due_in_slot(struct wheel *wheel, int64_t slot, int64_t now_ms)
{
    struct task *task;
    DL_FOREACH2(*wheel_slot(wheel, slot), task, due_next)
    {
        if (task->deadline_ms <= now_ms) {
            return task;
        }
    }
    return NULL;
}

struct task *wheel_take_due(struct wheel *wheel, int64_t now_ms)
{
    int64_t now_slot = now_ms / WHEEL_SLOT_MS;
    if (wheel->turned_to < now_slot - WHEEL_SLOTS) {
        wheel->turned_to = now_slot - WHEEL_SLOTS;
    }
    for (;; wheel->turned_to++) {
        struct task *task = due_in_slot(wheel, wheel->turned_to, now_ms);
        if (task != NULL) {
            wheel_remove(wheel, task);
            return task;
        }
        if (wheel->turned_to >= now_slot) {
            return NULL; /* this slot's time is not over: it is looked at again */
        }
    }
}
