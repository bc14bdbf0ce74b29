#include "queue.h"

#include "base/mem.h"
#include "common.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

struct group *group_of_id(struct group **groups, const char *id)
{
    struct group *group = NULL;
    HASH_FIND_STR(*groups, id, group);
    if (group == NULL) {
        size_t length = strlen(id);
        group = mem_zalloc(1, sizeof *group + length + 1);
        memcpy(group->id, id, length);
        group->place = GROUP_BACKOFF;
        HASH_ADD_STR(*groups, id, group);
    }
    return group;
}

void group_enqueue(struct group *group)
{
    struct group *next;
    assert(group->place != GROUP_QUEUED && group->tasks != NULL);
    group->place = GROUP_QUEUED;
    group->region = group->tasks->region;
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

static void group_free(struct group **groups, struct group *group)
{
    /* NOLINTNEXTLINE(clang-analyzer-*): the table is freed with the last group only */
    HASH_DEL(*groups, group);
    loop_timer_free(group->backoff);
    free(group);
}

void group_free_if_empty(struct group **groups, struct group *group)
{
    if (group->tasks != NULL || group->place == GROUP_RUNNING) {
        return;
    }
    if (group->place == GROUP_QUEUED) {
        group_dequeue(group);
    }
    if (group->reserved_count == 0) {
        group_free(groups, group);
    }
}

void groups_free(struct group **groups)
{
    struct group *group;
    struct group *next_group;
    HASH_ITER (hh, *groups, group, next_group) {
        struct task *task;
        struct task *next_task;
        DL_FOREACH_SAFE (group->tasks, task, next_task) {
            task_free(task);
        }
        group_free(groups, group);
    }
}

void task_free(struct task *task)
{
    task_drop_reading(task);
    outcome_fini(task->last);
    free(task->last);
    outcome_fini(task->unsure);
    free(task->unsure);
    task->region->task_count--;
    command_free(task->command);
    free(task);
}

bool task_has_crashed(const struct task *task)
{
    return task->command->crashes > 0;
}
