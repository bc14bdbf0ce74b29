#include "deadlines.h"

#include "base/mem.h"

#include <stdlib.h>

void deadlines_fini(struct deadlines *deadlines)
{
    free(deadlines->tasks);
    *deadlines = (struct deadlines){0};
}

static void put(struct deadlines *deadlines, size_t index, struct task *task)
{
    deadlines->tasks[index] = task;
    task->deadline_place = index + 1;
}

/* Puts the task at `index`, where there is none, or above it: later parents move down. */
static void move_up(struct deadlines *deadlines, size_t index, struct task *task)
{
    while (index > 0) {
        struct task *parent = deadlines->tasks[(index - 1) / 2];
        if (parent->deadline_ms <= task->deadline_ms) {
            break;
        }
        put(deadlines, index, parent);
        index = (index - 1) / 2;
    }
    put(deadlines, index, task);
}

/* Puts the task at `index`, where there is none, or below it: earlier children move up. */
static void move_down(struct deadlines *deadlines, size_t index, struct task *task)
{
    struct task **tasks = deadlines->tasks;
    for (size_t child; (child = 2 * index + 1) < deadlines->count; index = child) {
        if (child + 1 < deadlines->count &&
            tasks[child + 1]->deadline_ms < tasks[child]->deadline_ms) {
            child++;
        }
        if (task->deadline_ms <= tasks[child]->deadline_ms) {
            break;
        }
        put(deadlines, index, tasks[child]);
    }
    put(deadlines, index, task);
}

void deadlines_add(struct deadlines *deadlines, struct task *task)
{
    if (task->deadline_place != 0) {
        return;
    }
    if (deadlines->count == deadlines->capacity) {
        deadlines->capacity = deadlines->capacity == 0 ? 64 : deadlines->capacity * 2;
        deadlines->tasks =
            mem_realloc(deadlines->tasks, deadlines->capacity * sizeof(struct task *));
    }
    move_up(deadlines, deadlines->count++, task);
}

void deadlines_remove(struct deadlines *deadlines, struct task *task)
{
    if (task->deadline_place == 0) {
        return;
    }
    size_t index = task->deadline_place - 1;
    struct task *last = deadlines->tasks[--deadlines->count];
    task->deadline_place = 0;
    if (last == task) {
        return;
    }
    if (last->deadline_ms < task->deadline_ms) {
        move_up(deadlines, index, last);
    } else {
        move_down(deadlines, index, last);
    }
}

struct task *deadlines_first(const struct deadlines *deadlines)
{
    return deadlines->count == 0 ? NULL : deadlines->tasks[0];
}
