/*
 * Which command is called next: when the schedule is asked, when a group goes into the queue, and
 * the deadlines of the commands that are not being called.
 */
#include "common.h"

void dispatch_pump(void *arg)
{
    struct dispatch *dispatch = arg;
    bool may_begin = !dispatch->is_stopping && !dispatch->is_held;
    int64_t now_ms = loop_now_ms(dispatch->loop);
    struct task *task;
    while (may_begin && (task = schedule_next(&dispatch->schedule, now_ms)) != NULL) {
        heap_remove(&task->due);
        call_begin(task);
    }
    counter_set(dispatch->counters, COUNTER_CALLS_IN_FLIGHT, (int64_t)dispatch->schedule.in_flight);
    int64_t wait_ms = schedule_wait_ms(&dispatch->schedule, now_ms);
    if (may_begin && wait_ms < INT64_MAX) {
        loop_timer_start(dispatch->token_timer, wait_ms);
    }
}

void dispatch_hold(struct dispatch *dispatch, bool is_held)
{
    dispatch->is_held = is_held;
    dispatch_pump(dispatch);
}

void dispatch_report_when_idle(struct dispatch *dispatch)
{
    if (dispatch->is_stopping && dispatch->schedule.in_flight == 0) {
        loop_timer_start(dispatch->idle_due, 0);
    }
}

static void backoff_over(void *arg)
{
    struct group *group = arg;
    struct dispatch *dispatch = group->tasks->dispatch;
    group_enqueue(group);
    dispatch_pump(dispatch);
}

void dispatch_place_group(struct dispatch *dispatch, struct group *group)
{
    if (group->tasks == NULL) {
        group_free_if_empty(&dispatch->schedule.groups, group);
        return;
    }
    if (group->place != GROUP_BACKOFF) {
        return;
    }
    int64_t wait_ms = group->tasks->not_before_ms - loop_now_ms(dispatch->loop);
    if (wait_ms <= 0) {
        group_enqueue(group);
        return;
    }
    if (group->backoff == NULL) {
        group->backoff = loop_timer_new(dispatch->loop, backoff_over, group);
    }
    loop_timer_start(group->backoff, wait_ms);
}

void dispatch_release_slot(struct dispatch *dispatch, struct group *group)
{
    schedule_give_slot(&dispatch->schedule, group);
    dispatch_place_group(dispatch, group);
    dispatch_pump(dispatch);
    dispatch_report_when_idle(dispatch);
}

/* ---- deadlines of the commands that are not being called ---- */

void dispatch_start_deadline_timer(struct dispatch *dispatch)
{
    const struct task *first = heap_first(&dispatch->deadlines);
    if (first != NULL && !dispatch->is_stopping) {
        int64_t wait_ms = first->deadline_ms - loop_now_ms(dispatch->loop);
        dispatch->deadline_due_ms = first->deadline_ms;
        loop_timer_start(dispatch->deadline_timer, wait_ms < 0 ? 0 : wait_ms);
    }
}

void dispatch_first_gone(struct dispatch *dispatch, struct group *group)
{
    if (group->place == GROUP_BACKOFF) {
        loop_timer_stop(group->backoff);
    } else if (group->tasks != NULL && group->tasks->region != group->region) {
        group_dequeue(group); /* its next command is for another region */
    }
    dispatch_place_group(dispatch, group);
}

/* Reads the state of the group before an unknown outcome, if a call could begin now. */
static bool end_in_slot(struct task *task)
{
    struct dispatch *dispatch = task->dispatch;
    struct group *group = task->group;
    if (!task_is_unsure(task) || !task_may_read_state(task) || group->place == GROUP_RUNNING ||
        !schedule_has_slot(&dispatch->schedule, task->region)) {
        return false;
    }
    if (group->place == GROUP_QUEUED) {
        group_dequeue(group);
    } else {
        loop_timer_stop(group->backoff);
    }
    schedule_take_slot(&dispatch->schedule, group, task->region);
    heap_remove(&task->due);
    task_set_running(task, true);
    call_end(task, NULL, NULL);
    return true;
}

/* The timer may be early: the command it was started for may be gone. */
void dispatch_deadlines_due(void *arg)
{
    struct dispatch *dispatch = arg;
    int64_t now_ms = loop_now_ms(dispatch->loop);
    struct task *task;
    while ((task = heap_first(&dispatch->deadlines)) != NULL && task->deadline_ms <= now_ms) {
        struct group *group = task->group;
        bool was_first = group->tasks == task;
        if (was_first && end_in_slot(task)) {
            continue;
        }
        task_give_up(task);
        if (was_first) {
            dispatch_first_gone(dispatch, group);
        }
    }
    dispatch_start_deadline_timer(dispatch);
    dispatch_pump(dispatch);
}

void dispatch_watch_deadline(struct task *task)
{
    struct dispatch *dispatch = task->dispatch;
    heap_add(&dispatch->deadlines, &task->due);
    if (!loop_timer_is_running(dispatch->deadline_timer) ||
        task->deadline_ms < dispatch->deadline_due_ms) {
        dispatch_start_deadline_timer(dispatch);
    }
}
