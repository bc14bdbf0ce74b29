/*
 * How a call begins and ends. A command leaves dispatch by task_finish() alone.
 */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "common.h"
#include "ecs/describe.h"

#include <string.h>
#include <utlist.h>

/* ---- how a command ends ---- */

void task_forget_crashes(struct task *task)
{
    task->dispatch->schedule.crashed_count -= task_has_crashed(task);
    task->command->crashes = 0;
}

/* Nobody knows what became of it, or what is wrong is not in the command. */
static bool needs_operator(const struct outcome *outcome)
{
    return outcome->status == OUTCOME_UNKNOWN ||
           (outcome->status == OUTCOME_FAILED &&
            (outcome->category == CATEGORY_DENIED || outcome->category == CATEGORY_CONFIGURATION ||
             outcome->category == CATEGORY_INTERNAL || outcome->category == CATEGORY_UNAVAILABLE));
}

int64_t task_first_call_ms(const struct task *task)
{
    /* Of the attempts of an earlier run only the arrival before them is known. */
    bool is_known = task->claimed_us != 0 && task->first_ms != 0;
    return (is_known ? task->first_ms : task->command->received_at_ms) + task->clock_ahead_ms;
}

/* When the watch of the group begins and ends, where the route has one and the command may have had
 * effect. */
static struct watch_start watch_of(const struct task *task, const struct outcome *outcome)
{
    const struct command *command = task->command;
    const struct route *route = command->route;
    struct watch_start watch = {0};
    if (route == NULL || route->watch == NULL || strcmp(route->watch, "off") == 0 ||
        outcome->status == OUTCOME_FAILED || command->action->goal == GOAL_NONE ||
        !describe_takes_id(command->group)) {
        return watch;
    }
    watch.started_at_ms =
        outcome->status == OUTCOME_SUCCEEDED ? task->answered_ms : task_first_call_ms(task);
    watch.ends_at_ms = watch.started_at_ms + task->dispatch->settings->watch.give_up_s * 1000;
    return watch;
}

/* The command leaves dispatch with its outcome. Its group keeps its slot, if it has one. `answer`
 * is as in ledger_finish(). */
static void finish(struct task *task, const struct outcome *outcome, const struct outcome *answer)
{
    struct dispatch *dispatch = task->dispatch;
    struct command *command = task->command;
    int64_t took_ms = clock_wall_ms() - command->received_at_ms;
    const struct watch_start watch = watch_of(task, outcome);
    LOG_EVENT(needs_operator(outcome) ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "command_done",
              LOG_TEXT("status", outcome_status_text(outcome->status)),
              LOG_TEXT("token", command->token),
              LOG_TEXT("route", command->route == NULL ? "" : command->route->name),
              LOG_TEXT("region", command->region), LOG_TEXT("group", command->group),
              LOG_TEXT("request_id", outcome->request_id), LOG_TEXT("code", outcome->code),
              LOG_TEXT("message", outcome->message), LOG_INT("attempts", command->attempts),
              LOG_INT("took_ms", took_ms));
    figures_observe_outcome(task, took_ms);
    task_set_running(task, true); /* it is not in the queue any more */
    task_forget_crashes(task);
    heap_remove(&task->due);
    DL_DELETE(task->group->tasks, task);
    DL_DELETE2(dispatch->tasks, task, all_prev, all_next);
    figures_publish_oldest(dispatch);
    ledger_finish_watched(dispatch->ledger, command, outcome, answer, watch);
    task->command = NULL;
    task_free(task);
}

static void task_finish(struct task *task, const struct outcome *outcome,
                        const struct outcome *answer)
{
    struct outcome explained = {0};
    if (task_add_explanation(task, outcome, &explained)) {
        finish(task, &explained, answer == outcome ? &explained : answer);
    } else {
        finish(task, outcome, answer);
    }
    outcome_fini(&explained);
}

void task_finish_with_error(struct task *task, enum bridge_error error, const char *message,
                            const struct outcome *answer)
{
    struct outcome outcome = {0};
    outcome_of_error(&outcome, error, message);
    task_finish(task, &outcome, answer);
    outcome_fini(&outcome);
}

bool task_is_unsure(const struct task *task)
{
    return task->unsure != NULL || task->command->state == STATE_UNSURE ||
           task->command->state == STATE_RECALLING;
}

/* What the attempts came to, where no other one may be made: one of their outcomes, or *out_made.
 */
static const struct outcome *outcome_without_answer(const struct task *task,
                                                    struct outcome *out_made)
{
    if (task->unsure != NULL) {
        return task->unsure;
    }
    if (task_is_unsure(task)) {
        outcome_of_error(out_made, ERROR_NO_DEFINITE_ANSWER,
                         "An earlier attempt may have had effect and no definite answer came.");
    } else if (task->last != NULL) {
        return task->last;
    } else {
        outcome_of_error(out_made, ERROR_EXPIRED,
                         "The command's deadline passed before it could be called.");
    }
    return out_made;
}

void task_give_up(struct task *task)
{
    struct outcome made = {0};
    task_finish(task, outcome_without_answer(task, &made), NULL);
    outcome_fini(&made);
}

bool task_is_called(const struct task *task)
{
    return task->command->state == STATE_CALLING || task->command->state == STATE_RECALLING;
}

void call_end(struct task *task, const struct outcome *outcome, const struct outcome *answer)
{
    struct dispatch *dispatch = task->dispatch;
    struct group *group = task->group;
    struct outcome made = {0};
    if (outcome == NULL) {
        outcome = outcome_without_answer(task, &made);
    }
    if (!task_explain(task, outcome, answer)) {
        /* Else the end of the attempt is recorded already. */
        task_finish(task, outcome, task_is_called(task) ? answer : NULL);
        dispatch_release_slot(dispatch, group);
    }
    outcome_fini(&made);
}

/* ---- calls ---- */

static void call(struct task *task)
{
    CRASH_POINT_PASS(BEFORE_SENDING, slice_text(task->command->token));
    figures_observe_start(task);
    ecs_call(task->dispatch->ecs, task->command, call_answered, task);
}

void call_put_back(struct task *task, enum move move, int64_t delay_ms,
                   const struct outcome *answer)
{
    struct dispatch *dispatch = task->dispatch;
    task_set_running(task, false);
    task->not_before_ms = delay_ms > 0 ? loop_now_ms(dispatch->loop) + delay_ms : 0;
    task->command->not_before_ms = delay_ms > 0 ? clock_wall_ms() + delay_ms : 0;
    if (task_is_called(task)) {
        ledger_pause(dispatch->ledger, task->command, move, answer);
    }
    task_drop_reading(task);
    dispatch_watch_deadline(task);
    dispatch_release_slot(dispatch, task->group);
}

/* The attempt was recorded and counted, but is not made. */
static void put_back_uncalled(struct task *task)
{
    task->command->attempts--;
    call_put_back(task, MOVE_NOTHING_DONE, 0, NULL);
}

void call_begun(void *arg, enum status status)
{
    struct task *task = arg;
    struct dispatch *dispatch = task->dispatch;
    if (dispatch->is_stopping || dispatch->is_held || status != STATUS_OK) {
        put_back_uncalled(task);
    } else if (task->deadline_ms <= loop_now_ms(dispatch->loop)) {
        /* The attempt that was recorded ends before the command does. */
        task->command->attempts--;
        ledger_pause(dispatch->ledger, task->command, MOVE_NOTHING_DONE, NULL);
        call_end(task, NULL, NULL);
    } else {
        call(task);
    }
}

bool command_may_coalesce(const struct command *command)
{
    return command->route != NULL && command->route->coalesce_s > 0;
}

static void begin_attempt(struct task *task)
{
    task->command->attempts++;
    ledger_begin(task->dispatch->ledger, task->command, call_begun, task);
}

/* Before the first attempt of a command that may be coalesced: it has the slot of its group, so no
 * other command of the group is being called. Without an answer of the ledger it is called. */
static void success_found(void *arg, enum status status, const struct ledger_record *const *records,
                          size_t count)
{
    struct task *task = arg;
    struct dispatch *dispatch = task->dispatch;
    if (dispatch->is_stopping) {
        task_set_running(task, false);
        dispatch_watch_deadline(task);
        dispatch_release_slot(dispatch, task->group);
    } else if (status == STATUS_OK && count > 0) {
        struct outcome outcome = {
            .status = OUTCOME_SUCCEEDED,
            .retention = RETENTION_SUCCESS,
            .request_id = mem_dup(records[0]->request_id.data, records[0]->request_id.length),
            .retry_after_ms = -1};
        allowance_give_back(region_allowance(task->region));
        call_end(task, &outcome, NULL);
        outcome_fini(&outcome);
    } else {
        begin_attempt(task);
    }
}

void call_begin(struct task *task)
{
    const struct command *command = task->command;
    task_set_running(task, true);
    if (command->attempts == 0 && command->state == STATE_READY && command_may_coalesce(command)) {
        int64_t since_ms = clock_wall_ms() - command->route->coalesce_s * 1000;
        ledger_find_success(task->dispatch->ledger, command, since_ms, success_found, task);
    } else {
        begin_attempt(task);
    }
}
