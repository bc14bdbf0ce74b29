#include "waits.h"

static const struct {
    const char *name;
    const char *meaning;
} WAITS[DISPATCH_WAIT_COUNT] = {
#define WAIT(id, name, meaning) [DISPATCH_WAIT_##id] = {name, meaning},
#include "tables/waits.def"
#undef WAIT
};

const char *dispatch_wait_name(enum dispatch_wait wait)
{
    return WAITS[wait].name;
}

const char *dispatch_wait_meaning(enum dispatch_wait wait)
{
    return WAITS[wait].meaning;
}

static enum dispatch_wait wait_in_queue(const struct schedule *schedule, const struct task *task)
{
    if (schedule->crashed_count > 0) {
        return DISPATCH_WAIT_CRASH;
    }
    if (schedule->in_flight >= schedule->in_flight_max) {
        return DISPATCH_WAIT_CALLS;
    }
    return region_has_slot(task->region) ? DISPATCH_WAIT_RATE : DISPATCH_WAIT_REGION_CALLS;
}

static enum dispatch_wait wait_of(const struct schedule *schedule, const struct task *task)
{
    const struct group *group = task->group;
    if (group->tasks != task) {
        return DISPATCH_WAIT_GROUP;
    }
    switch (group->place) {
    case GROUP_RUNNING:
        if (task->command->state == STATE_CALLING || task->command->state == STATE_RECALLING) {
            return DISPATCH_WAIT_CALLING;
        }
        return task->reading != NULL ? DISPATCH_WAIT_READING : DISPATCH_WAIT_RECORDING;
    case GROUP_BACKOFF:
        return DISPATCH_WAIT_RETRY;
    case GROUP_QUEUED:
        break;
    }
    return wait_in_queue(schedule, task);
}

void waits_each(const struct schedule *schedule, bool is_stopping, size_t limit,
                dispatch_each_fn *each, void *arg)
{
    const struct group *group = schedule->groups;
    for (; group != NULL && limit > 0; group = group->hh.next) {
        const struct task *task = group->tasks;
        for (; task != NULL && limit > 0; task = task->next, limit--) {
            enum dispatch_wait wait = wait_of(schedule, task);
            wait = is_stopping && wait != DISPATCH_WAIT_CALLING ? DISPATCH_WAIT_STOPPING : wait;
            each(arg, task->command, wait, task->unsure != NULL ? task->unsure : task->last);
        }
    }
}
