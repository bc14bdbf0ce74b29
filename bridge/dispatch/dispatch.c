/*
 * A group that runs holds one slot of api.max_in_flight from before the start of its command's call
 * is recorded until the answer was handled; only its first command is ever called. Here is
 * how a command comes; choose.c, calls.c and answers.c have the rest of its way.
 */
#include "dispatch/dispatch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "common.h"
#include "model/crash_limit.h"
#include "waits.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#define SWEEP_INTERVAL_MS 60000
/* How long the bridge is degraded after it set a command aside, so that somebody sees it. */
#define SET_ASIDE_SHOWN_MS 60000

static void sweep_due(void *arg)
{
    struct dispatch *dispatch = arg;
    regions_sweep(&dispatch->schedule.regions);
    loop_timer_start(dispatch->sweep, SWEEP_INTERVAL_MS);
}

static void idle_now(void *arg)
{
    struct dispatch *dispatch = arg;
    dispatch->idle(dispatch->idle_arg);
}

/* ---- a rate that bridges share ---- */

static void granted(void *arg, const char *name, const struct allowance_grant *grant)
{
    struct dispatch *dispatch = arg;
    struct allowance *allowance = regions_find_allowance(&dispatch->schedule.regions, name);
    if (allowance != NULL) {
        allowance_granted(allowance, grant, loop_now_ms(dispatch->loop));
        dispatch_pump(dispatch);
    }
}

static void ask_ledger(void *arg, const struct allowance_ask *ask)
{
    struct dispatch *dispatch = arg;
    ledger_ask_allowance(dispatch->ledger, ask, granted, dispatch);
}

struct dispatch *dispatch_new(struct loop *loop, const struct settings *settings,
                              struct health *health, struct counters *counters)
{
    struct dispatch *dispatch = mem_zalloc(1, sizeof *dispatch);
    dispatch->loop = loop;
    dispatch->settings = settings;
    dispatch->health = health;
    dispatch->counters = counters;
    dispatch->source = (struct allowance_source){.ask = ask_ledger, .arg = dispatch};
    dispatch->schedule.in_flight_max = (size_t)settings->api.max_in_flight;
    regions_init(&dispatch->schedule.regions, settings->routes, settings->route_count,
                 (size_t)settings->api.max_in_flight_per_region, settings->api.rate_per_s,
                 (double)settings->api.rate_burst,
                 settings_is_shared(settings) ? &dispatch->source : NULL, loop_now_ms(loop));
    dispatch->deadline_timer = loop_timer_new(loop, dispatch_deadlines_due, dispatch);
    dispatch->token_timer = loop_timer_new(loop, dispatch_pump, dispatch);
    dispatch->sweep = loop_timer_new(loop, sweep_due, dispatch);
    dispatch->idle_due = loop_timer_new(loop, idle_now, dispatch);
    loop_timer_start(dispatch->sweep, SWEEP_INTERVAL_MS);
    return dispatch;
}

void dispatch_connect(struct dispatch *dispatch, struct ledger *ledger, struct ecs *ecs,
                      const struct watcher *watcher)
{
    dispatch->ledger = ledger;
    dispatch->ecs = ecs;
    dispatch->watcher = watcher;
    dispatch->describer = describer_new(ecs);
}

void dispatch_free(struct dispatch *dispatch)
{
    if (dispatch == NULL) {
        return;
    }
    groups_free(&dispatch->schedule.groups);
    readings_free(dispatch);
    last_starts_free(dispatch);
    describer_free(dispatch->describer);
    regions_fini(&dispatch->schedule.regions);
    heap_fini(&dispatch->deadlines);
    loop_timer_free(dispatch->deadline_timer);
    loop_timer_free(dispatch->token_timer);
    loop_timer_free(dispatch->sweep);
    loop_timer_free(dispatch->idle_due);
    free(dispatch);
}

/* ---- how a command comes ---- */

static struct region *region_of(struct dispatch *dispatch, const struct command *command)
{
    return regions_get(&dispatch->schedule.regions, command->region, loop_now_ms(dispatch->loop));
}

struct dispatch_reservation dispatch_reserve(struct dispatch *dispatch,
                                             const struct command *command)
{
    struct group *group = group_of_id(&dispatch->schedule.groups, command->group);
    struct region *region = region_of(dispatch, command);
    /* Else it has an earlier command, or the claim of one on its way. */
    bool is_new =
        group->tasks == NULL && group->reserved_count == 0 && group->place == GROUP_BACKOFF;
    bool is_called_at_once =
        is_new && !dispatch->is_stopping && !dispatch->is_held && !command_may_coalesce(command) &&
        schedule_may_skip_queue(&dispatch->schedule, region, loop_now_ms(dispatch->loop));
    if (is_called_at_once) {
        schedule_take_slot(&dispatch->schedule, group, region);
        counter_add(dispatch->counters, COUNTER_CALLS_IN_FLIGHT, 1);
    }
    group->reserved_count++;
    return (struct dispatch_reservation){group, is_called_at_once};
}

void dispatch_release(struct dispatch *dispatch, struct dispatch_reservation reservation)
{
    struct group *group = reservation.group;
    assert(group->reserved_count > 0);
    group->reserved_count--;
    if (reservation.is_called_at_once) {
        allowance_give_back(region_allowance(group->region));
        dispatch_release_slot(dispatch, group);
    } else {
        group_free_if_empty(&dispatch->schedule.groups, group);
    }
}

static void enqueue(struct dispatch *dispatch, struct task *task)
{
    struct group *group = task->group;
    int64_t now_ms = loop_now_ms(dispatch->loop);
    int64_t backoff_ms = task->command->not_before_ms - clock_wall_ms();
    /* A backoff beyond the deadline: the wall clock was set back while the bridge was away. */
    if (backoff_ms > 0 && backoff_ms < task->deadline_ms - now_ms) {
        task->not_before_ms = now_ms + backoff_ms;
    }
    dispatch_watch_deadline(task);
    if (group->tasks == task && group->place == GROUP_BACKOFF) {
        dispatch_place_group(dispatch, group);
        dispatch_pump(dispatch);
    }
}

/* Puts the task at the end of its group, or in front of what waits there. The deadline is stored as
 * wall-clock time and kept on the monotonic clock; one that is too far off was set on another wall
 * clock. */
static struct task *add_task(struct dispatch *dispatch, struct group *group,
                             struct command *command_take, bool is_in_front)
{
    struct task *task = mem_zalloc(1, sizeof *task);
    int64_t most_ms = dispatch->settings->limits.deadline_s * 1000;
    int64_t left_ms = command_take->deadline_at_ms - clock_wall_ms();
    left_ms = left_ms < 0 ? 0 : left_ms > most_ms ? most_ms : left_ms;
    task->dispatch = dispatch;
    task->group = group;
    task->region = region_of(dispatch, command_take);
    task->region->task_count++;
    task->command = command_take;
    task->deadline_ms = loop_now_ms(dispatch->loop) + left_ms;
    task->due = (struct heap_item){.key = task->deadline_ms, .owner = task};
    if (is_in_front) {
        DL_PREPEND(group->tasks, task);
    } else {
        DL_APPEND(group->tasks, task);
    }
    DL_APPEND2(dispatch->tasks, task, all_prev, all_next);
    counter_add(dispatch->counters, COUNTER_QUEUED, 1);
    figures_publish_oldest(dispatch);
    return task;
}

void dispatch_claimed(struct dispatch *dispatch, struct dispatch_reservation reservation,
                      struct command *command_take)
{
    struct group *group = reservation.group;
    assert(group->reserved_count > 0);
    group->reserved_count--;
    /* One that is called at once stands before a command that an operator has ordered meanwhile. */
    bool is_called = reservation.is_called_at_once;
    struct task *task = add_task(dispatch, group, command_take, is_called);
    task->claimed_us = clock_mono_us();
    if (is_called) {
        task_set_running(task, true);
        call_begun(task, STATUS_OK);
    } else {
        enqueue(dispatch, task);
    }
}

/* The settings no longer allow a command that is not being called. */
static void end_forbidden(struct task *task)
{
    struct command *command = task->command;
    LOG_WARN("command_forbidden_now", LOG_TEXT("token", command->token),
             LOG_TEXT("region", command->region), LOG_TEXT("group", command->group),
             LOG_INT("attempts", command->attempts));
    task_finish_with_error(
        task, task_is_unsure(task) ? ERROR_NO_DEFINITE_ANSWER : ERROR_NOT_ALLOWED,
        task_is_unsure(task)
            ? "An earlier attempt may have had effect, and the bridge's settings no longer "
              "allow this group: it was not called again."
            : "The bridge's settings no longer allow this group; it was not called.",
        NULL);
}

/* A resumed command that is not called again. */
static void end_resumed(struct task *task, bool is_allowed)
{
    struct command *command = task->command;
    if (!is_allowed && task->deadline_ms <= loop_now_ms(task->dispatch->loop)) {
        task_give_up(task); /* one of a shared ledger whose route no bridge has */
        return;
    }
    if (!is_allowed) {
        end_forbidden(task);
        return;
    }
    LOG_ERROR("command_set_aside", LOG_TEXT("token", command->token),
              LOG_TEXT("region", command->region), LOG_TEXT("group", command->group),
              LOG_INT("crashes", command->crashes));
    counter_add(task->dispatch->counters, COUNTER_SET_ASIDE, 1);
    health_set_for(task->dispatch->health, HEALTH_COMMAND_SET_ASIDE, SET_ASIDE_SHOWN_MS);
    task_finish_with_error(
        task, ERROR_SET_ASIDE,
        "The bridge crashed or was killed three times in a row while it called the "
        "API for this command. The calls may have had effect.",
        NULL);
}

void dispatch_resume(struct dispatch *dispatch, struct command *command_take, bool is_allowed)
{
    struct group *group = group_of_id(&dispatch->schedule.groups, command_take->group);
    struct task *task = add_task(dispatch, group, command_take, false);
    dispatch->schedule.crashed_count += task_has_crashed(task);
    if (is_allowed && command_take->crashes < CRASH_LIMIT) {
        enqueue(dispatch, task);
        return;
    }
    end_resumed(task, is_allowed);
    group_free_if_empty(&dispatch->schedule.groups, group);
}

/* ---- settings, and the end ---- */

/* Gives the group's commands the routes of now. */
static void reroute(struct dispatch *dispatch, struct group *group)
{
    const struct settings *settings = dispatch->settings;
    struct task *task;
    struct task *next;
    struct task *first = group->tasks;
    DL_FOREACH_SAFE (group->tasks, task, next) {
        struct command *command = task->command;
        command->route =
            command->route == NULL
                ? NULL
                : route_of_name(settings->routes, settings->route_count, command->route->name);
        bool is_waiting = task->due.heap != NULL;
        if (is_waiting &&
            !route_still_allows(settings->routes, settings->route_count, command->route,
                                command->action, command->region, command->group)) {
            end_forbidden(task);
        }
    }
    if (group->tasks != first) {
        dispatch_first_gone(dispatch, group);
    }
}

void dispatch_settings_changed(struct dispatch *dispatch)
{
    const struct settings *settings = dispatch->settings;
    struct group *group;
    struct group *next;
    dispatch->schedule.in_flight_max = (size_t)settings->api.max_in_flight;
    regions_change(&dispatch->schedule.regions, settings->routes, settings->route_count,
                   (size_t)settings->api.max_in_flight_per_region, settings->api.rate_per_s,
                   (double)settings->api.rate_burst, loop_now_ms(dispatch->loop));
    HASH_ITER (hh, dispatch->schedule.groups, group, next) {
        reroute(dispatch, group);
    }
    dispatch_start_deadline_timer(dispatch);
    dispatch_pump(dispatch);
}

void dispatch_each(struct dispatch *dispatch, size_t limit, dispatch_each_fn *each, void *arg)
{
    waits_each(&dispatch->schedule, dispatch->is_stopping, limit, each, arg);
}

void dispatch_stop(struct dispatch *dispatch, loop_fn *idle, void *arg)
{
    dispatch->is_stopping = true;
    dispatch->idle = idle;
    dispatch->idle_arg = arg;
    loop_timer_stop(dispatch->token_timer);
    loop_timer_stop(dispatch->deadline_timer);
    loop_timer_stop(dispatch->sweep);
    readings_stop(dispatch);
    dispatch_report_when_idle(dispatch);
}

bool dispatch_has_free_slot(const struct dispatch *dispatch)
{
    return dispatch->schedule.in_flight < dispatch->schedule.in_flight_max;
}
