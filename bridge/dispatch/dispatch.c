/*
 * A group that runs holds one slot of api.max_in_flight from before the start of its command's call
 * is recorded until the answer was handled; only its first command is ever called. A command leaves
 * dispatch by finish() alone.
 */
#include "dispatch/dispatch.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "deadlines.h"
#include "model/crash_limit.h"
#include "model/retry.h"
#include "schedule.h"
#include "waits.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#define SWEEP_INTERVAL_MS 60000
/* How long the bridge is degraded after it set a command aside, so that somebody sees it. */
#define SET_ASIDE_SHOWN_MS 60000
#define LAST_ATTEMPT_MS    100 /* before the deadline: time to record the start of an attempt */

struct dispatch {
    struct loop *loop;
    const struct settings *settings;
    struct health *health;
    struct counters *counters;
    struct ledger *ledger;
    struct ecs *ecs;
    struct schedule schedule;
    struct task *tasks;         /* all of them, in order of arrival */
    struct deadlines deadlines; /* of the commands that are not being called */
    int64_t deadline_due_ms;    /* when deadline_timer ends, while it runs */
    struct loop_timer *deadline_timer;
    struct loop_timer *token_timer; /* until a region has a token for its queue */
    struct loop_timer *sweep;
    struct loop_timer *idle_due;
    loop_fn *idle;
    void *idle_arg;
    bool is_held;
    bool is_stopping;
};

static void deadlines_due(void *arg);
static void pump(void *arg);

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

struct dispatch *dispatch_new(struct loop *loop, const struct settings *settings,
                              struct health *health, struct counters *counters)
{
    struct dispatch *dispatch = mem_zalloc(1, sizeof *dispatch);
    dispatch->loop = loop;
    dispatch->settings = settings;
    dispatch->health = health;
    dispatch->counters = counters;
    dispatch->schedule.in_flight_max = (size_t)settings->api.max_in_flight;
    regions_init(&dispatch->schedule.regions, settings->routes, settings->route_count,
                 (size_t)settings->api.max_in_flight_per_region, settings->api.rate_per_s,
                 (double)settings->api.rate_burst, loop_now_ms(loop));
    dispatch->deadline_timer = loop_timer_new(loop, deadlines_due, dispatch);
    dispatch->token_timer = loop_timer_new(loop, pump, dispatch);
    dispatch->sweep = loop_timer_new(loop, sweep_due, dispatch);
    dispatch->idle_due = loop_timer_new(loop, idle_now, dispatch);
    loop_timer_start(dispatch->sweep, SWEEP_INTERVAL_MS);
    return dispatch;
}

void dispatch_connect(struct dispatch *dispatch, struct ledger *ledger, struct ecs *ecs)
{
    dispatch->ledger = ledger;
    dispatch->ecs = ecs;
}

void dispatch_free(struct dispatch *dispatch)
{
    if (dispatch == NULL) {
        return;
    }
    groups_free(&dispatch->schedule.groups);
    regions_fini(&dispatch->schedule.regions);
    deadlines_fini(&dispatch->deadlines);
    loop_timer_free(dispatch->deadline_timer);
    loop_timer_free(dispatch->token_timer);
    loop_timer_free(dispatch->sweep);
    loop_timer_free(dispatch->idle_due);
    free(dispatch);
}

/* ---- figures ---- */

static void set_running(struct task *task, bool is_running)
{
    if (task->is_running != is_running) {
        task->is_running = is_running;
        counter_add(task->dispatch->counters, COUNTER_QUEUED, is_running ? -1 : 1);
    }
}

static void publish_oldest(struct dispatch *dispatch)
{
    const struct task *oldest = dispatch->tasks;
    counter_set(dispatch->counters, COUNTER_OLDEST_COMMAND,
                oldest == NULL ? 0 : oldest->command->received_at_ms);
}

/* Regions that a sender may have invented do not take the places of others. */
static void count_in_region(const struct task *task, enum regional regional)
{
    struct counters *counters = task->dispatch->counters;
    const struct region *region = task->region;
    size_t place =
        region->is_proven ? counters_region(counters, region->name) : COUNTER_REGION_OTHER;
    regional_add(counters, place, regional, 1);
}

/* An attempt begins. */
static void observe_start(struct task *task)
{
    struct counters *counters = task->dispatch->counters;
    task->attempt_us = clock_mono_us();
    if (task->called_us == 0) {
        task->called_us = task->attempt_us;
        count_in_region(task, REGIONAL_CALLS);
        if (task->claimed_us != 0) {
            histogram_observe(counters, HISTOGRAM_QUEUE, task->called_us - task->claimed_us);
        }
    }
}

/* The attempt has ended. */
static void observe_answer(const struct task *task, const struct attempt *attempt)
{
    static const enum counter RESULTS[] = {
        [CATEGORY_INVALID] = COUNTER_ATTEMPTS_INVALID,
        [CATEGORY_DENIED] = COUNTER_ATTEMPTS_DENIED,
        [CATEGORY_NOT_FOUND] = COUNTER_ATTEMPTS_NOT_FOUND,
        [CATEGORY_CONFLICT] = COUNTER_ATTEMPTS_CONFLICT,
        [CATEGORY_COOLDOWN] = COUNTER_ATTEMPTS_COOLDOWN,
        [CATEGORY_THROTTLED] = COUNTER_ATTEMPTS_THROTTLED,
        [CATEGORY_UNAVAILABLE] = COUNTER_ATTEMPTS_UNAVAILABLE,
        [CATEGORY_UNKNOWN_OUTCOME] = COUNTER_ATTEMPTS_UNKNOWN,
        [CATEGORY_CONFIGURATION] = COUNTER_ATTEMPTS_CONFIGURATION,
        [CATEGORY_INTERNAL] = COUNTER_ATTEMPTS_INTERNAL,
    };
    struct counters *counters = task->dispatch->counters;
    const struct outcome *outcome = &attempt->outcome;
    enum counter result = outcome->status == OUTCOME_SUCCEEDED ? COUNTER_ATTEMPTS_SUCCEEDED
                                                               : RESULTS[outcome->category];
    assert(result != 0); /* a call has no other category */
    counter_add(counters, result, 1);
    histogram_observe(counters, HISTOGRAM_ATTEMPT, clock_mono_us() - task->attempt_us);
}

/* The command has its outcome, `took_ms` after it arrived. */
static void observe_outcome(const struct task *task, int64_t took_ms)
{
    struct counters *counters = task->dispatch->counters;
    histogram_observe(counters, HISTOGRAM_COMMAND, took_ms * 1000);
    if (task->called_us != 0) {
        histogram_observe(counters, HISTOGRAM_CALL, clock_mono_us() - task->called_us);
    }
}

/* ---- which command is called next ---- */

static void begin(struct task *task);

/* Begins all calls that may begin now. */
static void pump(void *arg)
{
    struct dispatch *dispatch = arg;
    bool may_begin = !dispatch->is_stopping && !dispatch->is_held;
    int64_t now_ms = loop_now_ms(dispatch->loop);
    struct task *task;
    while (may_begin && (task = schedule_next(&dispatch->schedule, now_ms)) != NULL) {
        deadlines_remove(&dispatch->deadlines, task);
        begin(task);
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
    pump(dispatch);
}

static void report_when_idle(struct dispatch *dispatch)
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
    pump(dispatch);
}

/* Puts a group in backoff into the queue, now or when its first command may be tried again; a group
 * without commands goes. */
static void place_group(struct dispatch *dispatch, struct group *group)
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

/* The group's call is over; its next command may be called after the other groups. */
static void release_slot(struct dispatch *dispatch, struct group *group)
{
    schedule_give_slot(&dispatch->schedule, group);
    place_group(dispatch, group);
    pump(dispatch);
    report_when_idle(dispatch);
}

/* ---- how a command ends ---- */

/* An answer came, or no further call will be made. */
static void forget_crashes(struct task *task)
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

/* The command leaves dispatch with its outcome. Its group keeps its slot, if it has one. `answer`
 * is as in ledger_finish(). */
static void finish(struct task *task, const struct outcome *outcome, const struct outcome *answer)
{
    struct dispatch *dispatch = task->dispatch;
    struct command *command = task->command;
    int64_t took_ms = clock_wall_ms() - command->received_at_ms;
    LOG_EVENT(needs_operator(outcome) ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "command_done",
              LOG_TEXT("status", outcome_status_text(outcome->status)),
              LOG_TEXT("token", command->token),
              LOG_TEXT("route", command->route == NULL ? "" : command->route->name),
              LOG_TEXT("region", command->region), LOG_TEXT("group", command->group),
              LOG_TEXT("request_id", outcome->request_id), LOG_TEXT("code", outcome->code),
              LOG_TEXT("message", outcome->message), LOG_INT("attempts", command->attempts),
              LOG_INT("took_ms", took_ms));
    observe_outcome(task, took_ms);
    set_running(task, true); /* it is not in the queue any more */
    forget_crashes(task);
    deadlines_remove(&dispatch->deadlines, task);
    DL_DELETE(task->group->tasks, task);
    DL_DELETE2(dispatch->tasks, task, all_prev, all_next);
    publish_oldest(dispatch);
    ledger_finish(dispatch->ledger, command, outcome, answer);
    task->command = NULL;
    task_free(task);
}

static void finish_with_error(struct task *task, enum bridge_error error, const char *message,
                              const struct outcome *answer)
{
    struct outcome outcome = {0};
    outcome_of_error(&outcome, error, message);
    finish(task, &outcome, answer);
    outcome_fini(&outcome);
}

/* Whether an attempt before the present one, or that one as answered, may have had effect. */
static bool is_unsure(const struct task *task)
{
    return task->unsure != NULL || task->command->state == STATE_UNSURE ||
           task->command->state == STATE_RECALLING;
}

/* No further attempt may be made: ends with what the earlier ones came to. */
static void give_up(struct task *task, const struct outcome *answer)
{
    if (task->unsure != NULL) {
        finish(task, task->unsure, answer);
    } else if (is_unsure(task)) {
        finish_with_error(task, ERROR_NO_DEFINITE_ANSWER,
                          "An earlier attempt may have had effect and no definite answer came.",
                          answer);
    } else if (task->last != NULL) {
        finish(task, task->last, answer);
    } else {
        finish_with_error(task, ERROR_EXPIRED,
                          "The command's deadline passed before it could be called.", answer);
    }
}

/* The command that is being called ends; `outcome` is NULL to give up. `answer` is what its attempt
 * ended with; NULL: it was not made. */
static void end_call(struct task *task, const struct outcome *outcome, const struct outcome *answer)
{
    struct dispatch *dispatch = task->dispatch;
    struct group *group = task->group;
    if (outcome == NULL) {
        give_up(task, answer);
    } else {
        finish(task, outcome, answer);
    }
    release_slot(dispatch, group);
}

/* ---- deadlines of the commands that are not being called ---- */

static void start_deadline_timer(struct dispatch *dispatch)
{
    const struct task *first = deadlines_first(&dispatch->deadlines);
    if (first != NULL && !dispatch->is_stopping) {
        int64_t wait_ms = first->deadline_ms - loop_now_ms(dispatch->loop);
        dispatch->deadline_due_ms = first->deadline_ms;
        loop_timer_start(dispatch->deadline_timer, wait_ms < 0 ? 0 : wait_ms);
    }
}

/* The group's first command has ended without being called. */
static void first_gone(struct dispatch *dispatch, struct group *group)
{
    if (group->place == GROUP_BACKOFF) {
        loop_timer_stop(group->backoff);
    } else if (group->tasks != NULL && group->tasks->region != group->region) {
        group_dequeue(group); /* its next command is for another region */
    }
    place_group(dispatch, group);
}

/* The timer may be early: the command it was started for may be gone. */
static void deadlines_due(void *arg)
{
    struct dispatch *dispatch = arg;
    int64_t now_ms = loop_now_ms(dispatch->loop);
    struct task *task;
    while ((task = deadlines_first(&dispatch->deadlines)) != NULL && task->deadline_ms <= now_ms) {
        struct group *group = task->group;
        bool was_first = group->tasks == task;
        give_up(task, NULL);
        if (was_first) {
            first_gone(dispatch, group);
        }
    }
    start_deadline_timer(dispatch);
    pump(dispatch);
}

static void watch_deadline(struct task *task)
{
    struct dispatch *dispatch = task->dispatch;
    deadlines_add(&dispatch->deadlines, task);
    if (!loop_timer_is_running(dispatch->deadline_timer) ||
        task->deadline_ms < dispatch->deadline_due_ms) {
        start_deadline_timer(dispatch);
    }
}

/* ---- calls ---- */

static void answered(void *arg, struct attempt *attempt);

static void call(struct task *task)
{
    CRASH_POINT_PASS(BEFORE_SENDING, slice_text(task->command->token));
    observe_start(task);
    ecs_call(task->dispatch->ecs, task->command, answered, task);
}

/* Records what the attempt came to (`answer`; NULL: it was not made). The command stays first in
 * its group and is tried again after `delay_ms`. */
static void put_back(struct task *task, enum move move, int64_t delay_ms,
                     const struct outcome *answer)
{
    struct dispatch *dispatch = task->dispatch;
    set_running(task, false);
    task->not_before_ms = delay_ms > 0 ? loop_now_ms(dispatch->loop) + delay_ms : 0;
    task->command->not_before_ms = delay_ms > 0 ? clock_wall_ms() + delay_ms : 0;
    ledger_pause(dispatch->ledger, task->command, move, answer);
    watch_deadline(task);
    release_slot(dispatch, task->group);
}

/* The attempt was recorded and counted, but is not made. */
static void put_back_uncalled(struct task *task)
{
    task->command->attempts--;
    put_back(task, MOVE_NOTHING_DONE, 0, NULL);
}

static void begun(void *arg, enum status status)
{
    struct task *task = arg;
    struct dispatch *dispatch = task->dispatch;
    if (dispatch->is_stopping || status != STATUS_OK) {
        put_back_uncalled(task);
    } else if (task->deadline_ms <= loop_now_ms(dispatch->loop)) {
        task->command->attempts--;
        end_call(task, NULL, NULL);
    } else {
        call(task);
    }
}

/* Records the start of an attempt, then makes it. The group has a slot. */
static void begin(struct task *task)
{
    task->command->attempts++;
    set_running(task, true);
    ledger_begin(task->dispatch->ledger, task->command, begun, task);
}

/* ---- answers ---- */

static void keep_outcome(struct outcome **place, struct outcome *outcome_take)
{
    if (*place == NULL) {
        *place = mem_zalloc(1, sizeof **place);
    }
    outcome_fini(*place);
    **place = *outcome_take;
    *outcome_take = (struct outcome){0};
}

/*
 * Tries again when the API asks for it, else after a random backoff; gives up where that would be
 * after the deadline. Where only the backoff ends after it, the last attempt is made just before
 * the deadline.
 */
static void try_again(struct task *task, enum move move, struct attempt *attempt)
{
    struct dispatch *dispatch = task->dispatch;
    int64_t left_ms = task->deadline_ms - loop_now_ms(dispatch->loop);
    int64_t delay_ms = attempt->retry_after_ms;
    task->failures++;
    if (delay_ms < 0) {
        uint32_t random = 0;
        digest_random(&random, sizeof random);
        delay_ms = retry_delay_ms(task->failures, RETRY_API_BASE_MS, RETRY_API_CAP_MS, random);
        if (delay_ms >= left_ms && left_ms / 2 > LAST_ATTEMPT_MS) {
            delay_ms = left_ms - LAST_ATTEMPT_MS;
        }
    }
    LOG_INFO("attempt_failed", LOG_TEXT("token", task->command->token),
             LOG_TEXT("code", attempt->outcome.code), LOG_TEXT("message", attempt->outcome.message),
             LOG_INT("attempts", task->command->attempts), LOG_INT("retry_in_ms", delay_ms));
    struct outcome **kept = move == MOVE_NO_ANSWER ? &task->unsure : &task->last;
    keep_outcome(kept, &attempt->outcome);
    if (delay_ms >= left_ms) {
        end_call(task, NULL, *kept);
        return;
    }
    counter_add(dispatch->counters, COUNTER_RETRIES, 1);
    put_back(task, move, delay_ms, *kept);
}

/*
 * The call ends with this refusal. It speaks only for its own attempt: after an earlier one that
 * may have had effect, the command is unknown and gets the API's word (its state may be that
 * attempt's own work, and permissions are checked before the token).
 */
static void end_refused(struct task *task, struct outcome *refusal)
{
    const struct outcome answer = *refusal; /* its texts are those of the refusal */
    if (!is_unsure(task)) {
        end_call(task, refusal, refusal);
        return;
    }
    refusal->status = OUTCOME_UNKNOWN;
    refusal->retention = RETENTION_UNSURE;
    end_call(task, refusal->is_from_bridge ? NULL : refusal, &answer);
}

/* A refusal that one further attempt may lift: that is made once, and at once. `move` is what this
 * attempt came to. */
static void try_remedy(struct task *task, unsigned remedy, enum move move, struct attempt *attempt)
{
    struct dispatch *dispatch = task->dispatch;
    if ((task->remedies & remedy) != 0 || task->deadline_ms <= loop_now_ms(dispatch->loop)) {
        end_refused(task, &attempt->outcome);
        return;
    }
    task->remedies |= remedy;
    counter_add(dispatch->counters, COUNTER_RETRIES, 1);
    task->command->not_before_ms = 0;
    ledger_pause(dispatch->ledger, task->command, move, &attempt->outcome);
    if (move == MOVE_NO_ANSWER) {
        keep_outcome(&task->unsure, &attempt->outcome);
    }
    begin(task);
}

static void cool_down(struct task *task, struct attempt *attempt)
{
    struct dispatch *dispatch = task->dispatch;
    const struct route *route = task->command->route;
    int64_t wait_ms = attempt->outcome.retry_after_ms;
    if (route == NULL || !route->may_defer_cooldown || is_unsure(task) ||
        loop_now_ms(dispatch->loop) + wait_ms >= task->deadline_ms) {
        end_refused(task, &attempt->outcome);
        return;
    }
    LOG_INFO("command_deferred", LOG_TEXT("token", task->command->token),
             LOG_INT("retry_in_ms", wait_ms));
    keep_outcome(&task->last, &attempt->outcome);
    put_back(task, MOVE_NOTHING_DONE, wait_ms, task->last);
}

static void answered(void *arg, struct attempt *attempt)
{
    struct task *task = arg;
    struct dispatch *dispatch = task->dispatch;
    CRASH_POINT_PASS(BEFORE_ANSWER, slice_text(task->command->token));
    observe_answer(task, attempt);
    forget_crashes(task);
    region_note_attempt(task->region, attempt);
    switch (attempt->reaction) {
    case REACTION_DONE:
        end_call(task, &attempt->outcome, &attempt->outcome);
        break;
    case REACTION_REPLY:
    case REACTION_REPLY_BRIDGE:
        if (is_unsure(task) && attempt->outcome.category == CATEGORY_THROTTLED) {
            try_again(task, MOVE_NOTHING_DONE, attempt);
        } else {
            end_refused(task, &attempt->outcome);
        }
        break;
    case REACTION_COOLDOWN:
        cool_down(task, attempt);
        break;
    case REACTION_RETRY:
        try_again(task, MOVE_NOTHING_DONE, attempt);
        break;
    case REACTION_THROTTLE:
        count_in_region(task, REGIONAL_THROTTLED);
        bucket_slow_down(region_bucket(task->region), loop_now_ms(dispatch->loop),
                         attempt->retry_after_ms > 0 ? attempt->retry_after_ms : 0);
        try_again(task, MOVE_NOTHING_DONE, attempt);
        break;
    case REACTION_RETRY_UNSURE:
        try_again(task, MOVE_NO_ANSWER, attempt);
        break;
    case REACTION_RESIGN_ONCE:
        try_remedy(task, TASK_RESIGNED, MOVE_NO_ANSWER, attempt);
        break;
    case REACTION_CLOCK_ONCE:
        try_remedy(task, TASK_CLOCK_SET, MOVE_NOTHING_DONE, attempt);
        break;
    case REACTION_CREDENTIALS_ONCE:
        try_remedy(task, TASK_CREDENTIALS_RENEWED, MOVE_NOTHING_DONE, attempt);
        break;
    }
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
        is_new && !dispatch->is_stopping &&
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
        bucket_give_back(region_bucket(group->region));
        release_slot(dispatch, group);
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
    watch_deadline(task);
    if (group->tasks == task && group->place == GROUP_BACKOFF) {
        place_group(dispatch, group);
        pump(dispatch);
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
    if (is_in_front) {
        DL_PREPEND(group->tasks, task);
    } else {
        DL_APPEND(group->tasks, task);
    }
    DL_APPEND2(dispatch->tasks, task, all_prev, all_next);
    counter_add(dispatch->counters, COUNTER_QUEUED, 1);
    publish_oldest(dispatch);
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
        set_running(task, true);
        begun(task, STATUS_OK);
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
    finish_with_error(
        task, is_unsure(task) ? ERROR_NO_DEFINITE_ANSWER : ERROR_NOT_ALLOWED,
        is_unsure(task)
            ? "An earlier attempt may have had effect, and the bridge's settings no longer "
              "allow this group: it was not called again."
            : "The bridge's settings no longer allow this group; it was not called.",
        NULL);
}

/* A resumed command that is not called again. */
static void end_resumed(struct task *task, bool is_allowed)
{
    struct command *command = task->command;
    if (!is_allowed) {
        end_forbidden(task);
        return;
    }
    LOG_ERROR("command_set_aside", LOG_TEXT("token", command->token),
              LOG_TEXT("region", command->region), LOG_TEXT("group", command->group),
              LOG_INT("crashes", command->crashes));
    counter_add(task->dispatch->counters, COUNTER_SET_ASIDE, 1);
    health_set_for(task->dispatch->health, HEALTH_COMMAND_SET_ASIDE, SET_ASIDE_SHOWN_MS);
    finish_with_error(task, ERROR_SET_ASIDE,
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
        bool is_waiting = task->deadline_place > 0;
        if (is_waiting &&
            !route_still_allows(settings->routes, settings->route_count, command->route,
                                command->action, command->region, command->group)) {
            end_forbidden(task);
        }
    }
    if (group->tasks != first) {
        first_gone(dispatch, group);
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
    start_deadline_timer(dispatch);
    pump(dispatch);
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
    report_when_idle(dispatch);
}
