/*
 * A group that runs holds one slot of api.max_in_flight from before its command's start is recorded
 * until its attempt was judged; only its first command is ever called. A command leaves by finish()
 * alone, so that its group, its slot and its place in the deadline wheel are settled in one place.
 */
#include "dispatch/dispatch.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "dispatch_private.h"
#include "model/crash_limit.h"
#include "model/retry.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#define SWEEP_INTERVAL_MS 60000
#define LAST_CHANCE_MS    100 /* before the deadline: time to record the start of an attempt */

static void deadlines_due(void *arg);

static void refill_due(void *arg)
{
    dispatch_pump(arg);
}

static void sweep_due(void *arg)
{
    struct dispatch *dispatch = arg;
    regions_sweep(&dispatch->regions, false, loop_now_ms(dispatch->loop));
    loop_timer_start(dispatch->sweep, SWEEP_INTERVAL_MS);
}

static void idle_now(void *arg)
{
    struct dispatch *dispatch = arg;
    dispatch->idle(dispatch->idle_arg);
}

struct dispatch *dispatch_new(struct loop *loop, const struct settings *settings,
                              struct counters *counters)
{
    struct dispatch *dispatch = mem_zalloc(1, sizeof *dispatch);
    dispatch->loop = loop;
    dispatch->settings = settings;
    dispatch->counters = counters;
    dispatch->deadlines = loop_timer_new(loop, deadlines_due, dispatch);
    dispatch->refill = loop_timer_new(loop, refill_due, dispatch);
    dispatch->sweep = loop_timer_new(loop, sweep_due, dispatch);
    dispatch->idle_due = loop_timer_new(loop, idle_now, dispatch);
    dispatch->wheel.turned_to = loop_now_ms(loop) / WHEEL_SLOT_MS;
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
    regions_sweep(&dispatch->regions, true, 0);
    loop_timer_free(dispatch->deadlines);
    loop_timer_free(dispatch->refill);
    loop_timer_free(dispatch->sweep);
    loop_timer_free(dispatch->idle_due);
    free(dispatch);
}

void dispatch_take_slot(struct dispatch *dispatch, struct group *group)
{
    group->place = GROUP_RUNNING;
    dispatch->in_flight++;
    counter_set(dispatch->counters, COUNTER_CALLS_IN_FLIGHT, (int64_t)dispatch->in_flight);
}

static void give_slot(struct dispatch *dispatch, struct group *group)
{
    assert(group->place == GROUP_RUNNING && dispatch->in_flight > 0);
    group->place = GROUP_BACKOFF;
    dispatch->in_flight--;
    counter_set(dispatch->counters, COUNTER_CALLS_IN_FLIGHT, (int64_t)dispatch->in_flight);
}

static void tell_when_idle(struct dispatch *dispatch)
{
    if (dispatch->is_stopping && dispatch->in_flight == 0) {
        loop_timer_start(dispatch->idle_due, 0);
    }
}

static void rest_over(void *arg)
{
    struct group *group = arg;
    struct dispatch *dispatch = group->tasks->dispatch;
    group_enter_line(group);
    dispatch_pump(dispatch);
}

/* A group without a slot goes where its first command belongs: in line, to rest until that may be
 * tried again, or away. */
static void place_group(struct dispatch *dispatch, struct group *group)
{
    if (group->tasks == NULL) {
        group_free_if_empty(group);
        return;
    }
    if (group->place != GROUP_BACKOFF) {
        return;
    }
    int64_t rest_ms = group->tasks->command->not_before_ms == 0
                          ? 0
                          : group->tasks->command->not_before_ms - clock_wall_ms();
    if (rest_ms <= 0) {
        group_enter_line(group);
        return;
    }
    if (group->rest == NULL) {
        group->rest = loop_timer_new(dispatch->loop, rest_over, group);
    }
    loop_timer_start(group->rest, rest_ms);
}

/* It was answered, or is at its end. */
static void forget_crashes(struct task *task)
{
    task->dispatch->crashed_count -= task_has_crashed(task);
    task->command->crashes = 0;
}

/* The command leaves dispatch with its outcome. Its group keeps or gives up its slot as the caller
 * says afterwards. */
static void finish(struct task *task, const struct outcome *outcome)
{
    struct dispatch *dispatch = task->dispatch;
    struct command *command = task->command;
    LOG_INFO("command_done", LOG_TEXT("status", outcome_status_text(outcome->status)),
             LOG_TEXT("token", command->token), LOG_TEXT("region", command->region),
             LOG_TEXT("group", command->group), LOG_TEXT("request_id", outcome->request_id),
             LOG_TEXT("code", outcome->code), LOG_INT("attempts", command->attempts),
             LOG_INT("took_ms", clock_wall_ms() - command->received_at_ms));
    forget_crashes(task);
    wheel_remove(&dispatch->wheel, task);
    DL_DELETE(task->group->tasks, task);
    ledger_finish(dispatch->ledger, command, outcome);
    task->command = NULL;
    task_free(task);
}

static void finish_with_error(struct task *task, enum bridge_error error, const char *message)
{
    struct outcome outcome = {0};
    outcome_of_error(&outcome, error, message);
    finish(task, &outcome);
    outcome_fini(&outcome);
}

/* Whether an attempt before the one under way, or that one as judged, may have had effect. */
static bool is_unsure(const struct task *task)
{
    return task->unsure != NULL || task->command->state == STATE_UNSURE ||
           task->command->state == STATE_RECALLING;
}

/* What is told when no further attempt may be made. */
static void give_up(struct task *task)
{
    if (task->unsure != NULL) {
        finish(task, task->unsure);
    } else if (is_unsure(task)) {
        finish_with_error(task, ERROR_NO_DEFINITE_ANSWER,
                          "An earlier attempt may have had effect and no definite answer came.");
    } else if (task->last != NULL) {
        finish(task, task->last);
    } else {
        finish_with_error(task, ERROR_EXPIRED,
                          "The command's deadline was over before its turn to be started came.");
    }
}

static void deadlines_due(void *arg)
{
    struct dispatch *dispatch = arg;
    struct task *task;
    while ((task = wheel_take_due(&dispatch->wheel, loop_now_ms(dispatch->loop))) != NULL) {
        struct group *group = task->group;
        bool was_first = group->tasks == task;
        give_up(task);
        if (was_first && group->place == GROUP_BACKOFF) {
            loop_timer_stop(group->rest);
        }
        if (was_first) {
            place_group(dispatch, group);
        }
    }
    if (dispatch->wheel.count > 0) {
        loop_timer_start(dispatch->deadlines, WHEEL_SLOT_MS);
    }
    dispatch_pump(dispatch);
}

static void watch_deadline(struct task *task)
{
    struct dispatch *dispatch = task->dispatch;
    wheel_add(&dispatch->wheel, task);
    if (!dispatch->is_stopping && !loop_timer_is_running(dispatch->deadlines)) {
        loop_timer_start(dispatch->deadlines, WHEEL_SLOT_MS);
    }
}

static void answered(void *arg, struct attempt *attempt);

static void call(struct task *task)
{
    CRASH_POINT_PASS(BEFORE_SENDING, slice_text(task->command->token));
    counter_add(task->dispatch->counters, COUNTER_ATTEMPTS, 1);
    ecs_call(task->dispatch->ecs, task->command, answered, task);
}

/* The group's slot is free again; its next command takes its turn in line. */
static void end_turn(struct dispatch *dispatch, struct group *group)
{
    give_slot(dispatch, group);
    place_group(dispatch, group);
    dispatch->is_alone = false;
    dispatch_pump(dispatch);
    tell_when_idle(dispatch);
}

/* Stores what the attempt was worth and puts the command back at the head of its group, to be tried
 * at `not_before_ms`. */
static void put_back(struct task *task, enum move move, int64_t delay_ms)
{
    struct dispatch *dispatch = task->dispatch;
    task->command->not_before_ms = delay_ms > 0 ? clock_wall_ms() + delay_ms : 0;
    ledger_pause(dispatch->ledger, task->command, move);
    watch_deadline(task);
    end_turn(dispatch, task->group);
}

/* The attempt that was counted when it was to begin is not made. */
static void leave_uncalled(struct task *task)
{
    task->command->attempts--;
    put_back(task, MOVE_NOTHING_DONE, 0);
}

static void begun(void *arg, enum status status)
{
    struct task *task = arg;
    struct dispatch *dispatch = task->dispatch;
    if (dispatch->is_stopping || status != STATUS_OK) {
        leave_uncalled(task);
    } else if (task->deadline_ms <= loop_now_ms(dispatch->loop)) {
        struct group *group = task->group;
        task->command->attempts--;
        give_up(task);
        end_turn(dispatch, group);
    } else {
        call(task);
    }
}

void dispatch_begin(struct task *task)
{
    task->command->attempts++;
    ledger_begin(task->dispatch->ledger, task->command, begun, task);
}

static void keep(struct outcome **slot, struct outcome *outcome_take)
{
    if (*slot == NULL) {
        *slot = mem_zalloc(1, sizeof **slot);
    }
    outcome_fini(*slot);
    **slot = *outcome_take;
    *outcome_take = (struct outcome){0};
}

/* The command has its outcome: a success, a definite refusal, or the best there is to say. */
static void end(struct task *task, const struct outcome *outcome)
{
    struct dispatch *dispatch = task->dispatch;
    struct group *group = task->group;
    if (outcome == NULL) {
        give_up(task);
    } else {
        finish(task, outcome);
    }
    end_turn(dispatch, group);
}

/*
 * How long to wait until the next attempt: as the API asks, else our own backoff. Where that is
 * longer than the command lives, a last attempt is made just before its end.
 */
static int64_t delay_of(struct task *task, const struct attempt *attempt)
{
    uint32_t random = 0;
    int64_t left_ms = task->deadline_ms - loop_now_ms(task->dispatch->loop);
    if (attempt->retry_after_ms >= 0) {
        return attempt->retry_after_ms;
    }
    digest_random(&random, sizeof random);
    int64_t delay_ms = retry_delay_ms(task->failures, RETRY_API_BASE_MS, RETRY_API_CAP_MS, random);
    bool has_last_chance = delay_ms >= left_ms && left_ms / 2 > LAST_CHANCE_MS;
    return has_last_chance ? left_ms - LAST_CHANCE_MS : delay_ms;
}

/* Tries again later, or gives up where that would be after the deadline. */
static void try_again(struct task *task, enum move move, struct attempt *attempt)
{
    struct dispatch *dispatch = task->dispatch;
    task->failures++;
    int64_t delay_ms = delay_of(task, attempt);
    LOG_INFO("attempt_failed", LOG_TEXT("token", task->command->token),
             LOG_TEXT("code", attempt->outcome.code), LOG_TEXT("message", attempt->outcome.message),
             LOG_INT("attempts", task->command->attempts), LOG_INT("retry_in_ms", delay_ms));
    keep(move == MOVE_NO_ANSWER ? &task->unsure : &task->last, &attempt->outcome);
    if (loop_now_ms(dispatch->loop) + delay_ms >= task->deadline_ms) {
        end(task, NULL);
        return;
    }
    counter_add(dispatch->counters, COUNTER_RETRIES, 1);
    put_back(task, move, delay_ms);
}

/* A refusal that a remedy may lift, which is tried once and at once. */
static void try_remedy(struct task *task, unsigned remedy, struct attempt *attempt)
{
    struct dispatch *dispatch = task->dispatch;
    if ((task->once & remedy) != 0 || task->deadline_ms <= loop_now_ms(dispatch->loop)) {
        end(task, is_unsure(task) ? NULL : &attempt->outcome);
        return;
    }
    task->once |= remedy;
    counter_add(dispatch->counters, COUNTER_RETRIES, 1);
    task->command->not_before_ms = 0;
    ledger_pause(dispatch->ledger, task->command, MOVE_NOTHING_DONE);
    dispatch_begin(task);
}

static void cool_down(struct task *task, struct attempt *attempt)
{
    struct dispatch *dispatch = task->dispatch;
    const struct route *route = task->command->route;
    int64_t wait_ms = attempt->outcome.retry_after_ms;
    if (route == NULL || !route->may_defer_cooldown ||
        loop_now_ms(dispatch->loop) + wait_ms >= task->deadline_ms) {
        end(task, &attempt->outcome);
        return;
    }
    LOG_INFO("command_deferred", LOG_TEXT("token", task->command->token),
             LOG_INT("retry_in_ms", wait_ms));
    keep(&task->last, &attempt->outcome);
    put_back(task, MOVE_NOTHING_DONE, wait_ms);
}

static void throttled(struct task *task, struct attempt *attempt)
{
    struct dispatch *dispatch = task->dispatch;
    counter_add(dispatch->counters, COUNTER_THROTTLED, 1);
    bucket_slow_down(&task->group->region->bucket, loop_now_ms(dispatch->loop),
                     attempt->retry_after_ms > 0 ? attempt->retry_after_ms : 0);
    try_again(task, MOVE_NOTHING_DONE, attempt);
}

/* A refusal about the bridge itself, or one that another try may lift, says nothing about an
 * earlier attempt that may have had effect. */
static bool says_all(const struct task *task, const struct outcome *outcome)
{
    return !is_unsure(task) ||
           (outcome->retention != RETENTION_NOT && outcome->retention != RETENTION_GIVEN_UP);
}

static void answered(void *arg, struct attempt *attempt)
{
    struct task *task = arg;
    CRASH_POINT_PASS(BEFORE_ANSWER, slice_text(task->command->token));
    forget_crashes(task);
    switch (attempt->reaction) {
    case REACTION_DONE:
        end(task, &attempt->outcome);
        break;
    case REACTION_REPLY:
    case REACTION_REPLY_BRIDGE:
        end(task, says_all(task, &attempt->outcome) ? &attempt->outcome : NULL);
        break;
    case REACTION_COOLDOWN:
        cool_down(task, attempt);
        break;
    case REACTION_RETRY:
        try_again(task, MOVE_NOTHING_DONE, attempt);
        break;
    case REACTION_THROTTLE:
        throttled(task, attempt);
        break;
    case REACTION_RETRY_UNSURE:
        try_again(task, MOVE_NO_ANSWER, attempt);
        break;
    case REACTION_RESIGN_ONCE:
        try_remedy(task, TASK_RESIGNED, attempt);
        break;
    case REACTION_CLOCK_ONCE:
        try_remedy(task, TASK_CLOCK_SET, attempt);
        break;
    case REACTION_CREDENTIALS_ONCE:
        try_remedy(task, TASK_CREDENTIALS_RENEWED, attempt);
        break;
    }
}

static struct region *region_of(struct dispatch *dispatch, const struct command *command)
{
    return region_of_name(&dispatch->regions, command->region, dispatch->settings->api.rate_per_s,
                          (double)dispatch->settings->api.rate_burst, loop_now_ms(dispatch->loop));
}

struct dispatch_reservation dispatch_reserve(struct dispatch *dispatch,
                                             const struct command *command)
{
    struct region *region = region_of(dispatch, command);
    struct group *group = group_find(region, command->group);
    /* A group that exists has an earlier command, or the claim of one on its way. */
    bool is_called_at_once = group == NULL && !dispatch->is_stopping && region->line == NULL &&
                             dispatch->crashed_count == 0 &&
                             dispatch->in_flight < (size_t)dispatch->settings->api.max_in_flight &&
                             bucket_take(&region->bucket, loop_now_ms(dispatch->loop));
    if (group == NULL) {
        group = group_of_id(region, command->group);
    }
    if (is_called_at_once) {
        dispatch_take_slot(dispatch, group);
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
        bucket_give_back(&group->region->bucket);
        end_turn(dispatch, group);
    } else {
        group_free_if_empty(group);
    }
}

/* Deadlines are stored as wall-clock times and kept on the monotonic clock. */
static int64_t deadline_of(const struct dispatch *dispatch, const struct command *command)
{
    int64_t most_ms = dispatch->settings->limits.deadline_s * 1000;
    int64_t left_ms = command->deadline_at_ms - clock_wall_ms();
    left_ms = left_ms < 0 ? 0 : left_ms;
    return loop_now_ms(dispatch->loop) + (left_ms > most_ms ? most_ms : left_ms);
}

/* A rest that would outlast the command is no honest one: the wall clock was set back while the
 * bridge was away. */
static void drop_endless_rest(const struct dispatch *dispatch, struct task *task)
{
    int64_t rest_ms = task->command->not_before_ms - clock_wall_ms();
    if (rest_ms >= task->deadline_ms - loop_now_ms(dispatch->loop)) {
        task->command->not_before_ms = 0;
    }
}

static void set_aside(struct dispatch *dispatch, struct task *task)
{
    struct group *group = task->group;
    const struct command *command = task->command;
    LOG_ERROR("command_set_aside", LOG_TEXT("token", command->token),
              LOG_TEXT("region", command->region), LOG_TEXT("group", command->group),
              LOG_INT("crashes", command->crashes));
    counter_add(dispatch->counters, COUNTER_SET_ASIDE, 1);
    finish_with_error(task, ERROR_SET_ASIDE,
                      "The bridge crashed or was killed three times in a row while it called the "
                      "API for this command. The calls may have had effect.");
    group_free_if_empty(group);
}

/* The task waits at the end of its group. */
static void enqueue(struct dispatch *dispatch, struct task *task)
{
    struct group *group = task->group;
    drop_endless_rest(dispatch, task);
    watch_deadline(task);
    if (group->tasks == task && group->place == GROUP_BACKOFF) {
        place_group(dispatch, group);
        dispatch_pump(dispatch);
    }
}

void dispatch_claimed(struct dispatch *dispatch, struct dispatch_reservation reservation,
                      struct command *command)
{
    struct group *group = reservation.group;
    assert(group->reserved_count > 0);
    group->reserved_count--;
    struct task *task = task_new(dispatch, group, command, deadline_of(dispatch, command));
    if (!reservation.is_called_at_once) {
        enqueue(dispatch, task);
    } else if (dispatch->is_stopping) {
        leave_uncalled(task);
    } else {
        assert(group->tasks == task);
        call(task);
    }
}

void dispatch_resume(struct dispatch *dispatch, struct command *command)
{
    struct group *group = group_of_id(region_of(dispatch, command), command->group);
    struct task *task = task_new(dispatch, group, command, deadline_of(dispatch, command));
    dispatch->crashed_count += task_has_crashed(task);
    if (command->crashes >= CRASH_LIMIT) {
        set_aside(dispatch, task);
    } else {
        enqueue(dispatch, task);
    }
}

void dispatch_stop(struct dispatch *dispatch, loop_fn *idle, void *arg)
{
    dispatch->is_stopping = true;
    dispatch->idle = idle;
    dispatch->idle_arg = arg;
    loop_timer_stop(dispatch->refill);
    loop_timer_stop(dispatch->deadlines);
    loop_timer_stop(dispatch->sweep);
    tell_when_idle(dispatch);
}
