/*
 * Reads the state of a group after a call, for the reply to its command, on routes with `explain`.
 *
 * What the attempt came to is recorded before, so that a crash meanwhile leaves the command as any
 * other that is to be called again. The group keeps its slot until the outcome is recorded: no
 * other command changes the state in between. A struct reading belongs to its task, and when that
 * is gone to the call that is still under way.
 */
#include "model/explain.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "common.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define READING_MS      3000
#define LAST_STARTS_MAX 4096

typedef void reading_done_fn(struct task *task);

struct reading {
    struct reading *prev; /* in dispatch, while the call is under way */
    struct reading *next;
    struct dispatch *dispatch;
    struct task *task; /* NULL: it is gone */
    struct loop_timer *timer;
    bool is_called; /* no answer yet */
    bool is_over;   /* answered, or it took too long */
    bool has_seen;
    struct group_observation seen;
    struct outcome outcome; /* of the command, or of the attempt, until the state is read */
    reading_done_fn *done;
};

static void reading_free(struct reading *reading)
{
    loop_timer_free(reading->timer);
    outcome_fini(&reading->outcome);
    free(reading);
}

void task_drop_reading(struct task *task)
{
    struct reading *reading = task->reading;
    task->reading = NULL;
    if (reading == NULL) {
        return;
    }
    if (reading->is_called) {
        reading->task = NULL;
        loop_timer_stop(reading->timer);
    } else {
        reading_free(reading);
    }
}

void readings_free(struct dispatch *dispatch)
{
    struct reading *reading;
    struct reading *next;
    DL_FOREACH_SAFE (dispatch->readings, reading, next) {
        DL_DELETE(dispatch->readings, reading);
        reading_free(reading);
    }
}

/* ---- the call ---- */

static void reading_over(struct reading *reading)
{
    if (reading->task != NULL && !reading->is_over) {
        reading->is_over = true;
        loop_timer_stop(reading->timer);
        CRASH_POINT_PASS(STATE_READ, slice_text(reading->task->command->token));
        reading->done(reading->task);
    }
}

static void report_failure(const struct task *task, const char *code, const char *message)
{
    LOG_INFO("explain_failed", LOG_TEXT("token", task->command->token),
             LOG_TEXT("region", task->command->region), LOG_TEXT("group", task->command->group),
             LOG_TEXT("code", code), LOG_TEXT("message", message));
}

static void timed_out(void *arg)
{
    struct reading *reading = arg;
    report_failure(reading->task, "", "The API did not answer within 3 s.");
    reading_over(reading);
}

static void take_answer(struct reading *reading, const struct describe_answer *answer)
{
    struct task *task = reading->task;
    const struct listed_group *group = group_list_find(answer->list, task->command->group);
    if (group != NULL && group->view.status[0] != '\0') {
        reading->has_seen = true;
        reading->seen = (struct group_observation){.at_ms = answer->at_ms, .view = group->view};
        task->clock_ahead_ms = answer->at_ms - clock_wall_ms();
    } else if (answer->outcome->status == OUTCOME_SUCCEEDED) {
        report_failure(task, "", "The API's answer does not tell the state of the group.");
    } else {
        report_failure(task, answer->outcome->code, answer->outcome->message);
    }
}

static void described(void *arg, const struct describe_answer *answer)
{
    struct reading *reading = arg;
    DL_DELETE(reading->dispatch->readings, reading);
    reading->is_called = false;
    if (reading->task == NULL) {
        reading_free(reading);
        return;
    }
    if (!reading->is_over) {
        take_answer(reading, answer);
    }
    reading_over(reading);
}

bool task_may_read_state(const struct task *task)
{
    const struct command *command = task->command;
    return command->route != NULL && command->route->explain && task->reading == NULL &&
           !task->dispatch->is_stopping && describe_takes_id(command->group);
}

static void record_attempt(struct task *task, const struct outcome *answer)
{
    bool is_unsure = answer != NULL && retention_is_unsure(answer->retention);
    if (task_is_called(task)) {
        task->command->not_before_ms = 0;
        ledger_pause(task->dispatch->ledger, task->command,
                     is_unsure ? MOVE_NO_ANSWER : MOVE_NOTHING_DONE, answer);
    }
}

static struct reading *reading_new(struct task *task, const struct outcome *outcome)
{
    struct reading *reading = mem_zalloc(1, sizeof *reading);
    reading->dispatch = task->dispatch;
    reading->task = task;
    reading->timer = loop_timer_new(task->dispatch->loop, timed_out, reading);
    outcome_copy(&reading->outcome, outcome);
    task->reading = reading;
    return reading;
}

static void ask(struct reading *reading, reading_done_fn *done)
{
    struct dispatch *dispatch = reading->dispatch;
    const struct command *command = reading->task->command;
    const char *const ids[] = {command->group};
    reading->done = done;
    reading->is_called = true;
    DL_APPEND(dispatch->readings, reading);
    loop_timer_start(reading->timer, READING_MS);
    describe_groups(dispatch->describer, command->region, GROUP_SITE_PRODUCTION, ids, 1, described,
                    reading);
}

void readings_stop(struct dispatch *dispatch)
{
    struct reading *reading;
    struct reading *next;
    DL_FOREACH_SAFE (dispatch->readings, reading, next) {
        reading_over(reading);
    }
}

/* ---- outcomes ---- */

static void end(struct task *task)
{
    call_end(task, &task->reading->outcome, NULL);
}

bool task_explain(struct task *task, const struct outcome *outcome, const struct outcome *answer)
{
    if (!task_may_read_state(task) ||
        (outcome->status != OUTCOME_UNKNOWN && !explain_is_state_refusal(outcome))) {
        return false;
    }
    record_attempt(task, answer);
    ask(reading_new(task, outcome), end);
    return true;
}

bool task_add_explanation(const struct task *task, const struct outcome *outcome,
                          struct outcome *out_explained)
{
    const struct command *command = task->command;
    const struct reading *reading = task->reading;
    const struct group_observation *seen =
        reading != NULL && reading->has_seen ? &reading->seen : NULL;
    bool is_asked_for = command->route != NULL && command->route->explain;
    if (is_asked_for && outcome->status == OUTCOME_UNKNOWN) {
        outcome_copy(out_explained, outcome);
        explain_unknown(command, task_first_call_ms(task), seen, out_explained);
        return true;
    }
    if (seen != NULL && explain_is_state_refusal(outcome)) {
        outcome_copy(out_explained, outcome);
        explain_refusal(command, seen, out_explained);
        return true;
    }
    return false;
}

/* ---- cooldowns ---- */

/* The last start with OneShot true that succeeded for a group, in this run. */
struct last_start {
    UT_hash_handle hh; /* in dispatch, by the group, the oldest first */
    int64_t at_ms;     /* monotonic: its answer */
    char group[];
};

static void drop_last_start(struct dispatch *dispatch, struct last_start *start)
{
    /* NOLINTNEXTLINE(clang-analyzer-*): the table is freed with the last one only */
    HASH_DEL(dispatch->last_starts, start);
    free(start);
}

void task_note_start(const struct task *task)
{
    struct dispatch *dispatch = task->dispatch;
    const struct command *command = task->command;
    struct last_start *start = NULL;
    if (command->route == NULL || !route_reads_state(command->route) ||
        explain_change(command) != CHANGE_ONE_SHOT) {
        return;
    }
    HASH_FIND_STR(dispatch->last_starts, command->group, start);
    if (start == NULL && HASH_COUNT(dispatch->last_starts) == LAST_STARTS_MAX) {
        start = dispatch->last_starts;
    }
    if (start != NULL) {
        drop_last_start(dispatch, start);
    }
    size_t bytes = strlen(command->group) + 1;
    start = mem_zalloc(1, sizeof *start + bytes);
    start->at_ms = loop_now_ms(dispatch->loop);
    memcpy(start->group, command->group, bytes);
    HASH_ADD_STR(dispatch->last_starts, group, start);
}

void last_starts_free(struct dispatch *dispatch)
{
    struct last_start *start;
    struct last_start *next;
    HASH_ITER (hh, dispatch->last_starts, start, next) {
        drop_last_start(dispatch, start);
    }
}

/* The refusal gets the time that is left, where the group's recovery point objective is known: from
 * what was seen of it (or NULL), or from its watch. */
static void set_cooldown(const struct task *task, const struct group_observation *seen,
                         struct outcome *refusal)
{
    const struct dispatch *dispatch = task->dispatch;
    const char *group = task->command->group;
    const struct watch *watch =
        watcher_find(dispatch->watcher, slice_text(group), (struct slice){0});
    const struct last_start *start = NULL;
    int64_t rpo_s = seen != NULL ? seen->view.rpo_s : 0;
    int64_t now_ms = loop_now_ms(dispatch->loop);
    int64_t last_ms = 0;
    HASH_FIND_STR(dispatch->last_starts, group, start);
    if (rpo_s == 0 && watch != NULL) {
        rpo_s = watch->state.view.rpo_s;
    }
    if (start != NULL) {
        last_ms = start->at_ms;
    } else if (watch != NULL && watch->is_one_shot && !watch->is_outcome_unknown) {
        last_ms = watch->started_at_ms;
        now_ms = clock_wall_ms() + task->clock_ahead_ms;
    }
    if (rpo_s > 0) {
        refusal->retry_after_ms = explain_cooldown_ms(rpo_s, last_ms, now_ms);
    }
}

static void cool_down(struct task *task)
{
    struct reading *reading = task->reading;
    set_cooldown(task, reading->has_seen ? &reading->seen : NULL, &reading->outcome);
    task_cool_down(task, &reading->outcome);
}

bool task_find_cooldown(struct task *task, struct outcome *refusal)
{
    if (!task_may_read_state(task)) {
        set_cooldown(task, NULL, refusal);
        return false;
    }
    record_attempt(task, refusal);
    ask(reading_new(task, refusal), cool_down);
    return true;
}
