/*
 * What an answer of the API means for its command: it ends, is called again at once, or is put
 * back.
 */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "common.h"
#include "model/retry.h"

#define LAST_ATTEMPT_MS 100 /* before the deadline: time to record the start of an attempt */

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
        call_end(task, NULL, *kept);
        return;
    }
    counter_add(dispatch->counters, COUNTER_RETRIES, 1);
    call_put_back(task, move, delay_ms, *kept);
}

/*
 * The call ends with this refusal. It speaks only for its own attempt: after an earlier one that
 * may have had effect, the command is unknown and gets the API's word (its state may be that
 * attempt's own work, and permissions are checked before the token).
 */
static void end_refused(struct task *task, struct outcome *refusal)
{
    const struct outcome answer = *refusal; /* its texts are those of the refusal */
    if (!task_is_unsure(task)) {
        call_end(task, refusal, refusal);
        return;
    }
    refusal->status = OUTCOME_UNKNOWN;
    refusal->retention = RETENTION_UNSURE;
    call_end(task, refusal->is_from_bridge ? NULL : refusal, &answer);
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
    call_begin(task);
}

void task_cool_down(struct task *task, struct outcome *refusal)
{
    struct dispatch *dispatch = task->dispatch;
    const struct route *route = task->command->route;
    int64_t wait_ms = refusal->retry_after_ms;
    if (route == NULL || !route->may_defer_cooldown || task_is_unsure(task) ||
        loop_now_ms(dispatch->loop) + wait_ms >= task->deadline_ms) {
        end_refused(task, refusal);
        return;
    }
    LOG_INFO("command_deferred", LOG_TEXT("token", task->command->token),
             LOG_INT("retry_in_ms", wait_ms));
    keep_outcome(&task->last, refusal);
    call_put_back(task, MOVE_NOTHING_DONE, wait_ms, task->last);
}

void call_answered(void *arg, struct attempt *attempt)
{
    struct task *task = arg;
    struct dispatch *dispatch = task->dispatch;
    task->answered_ms = attempt->at_ms;
    task->clock_ahead_ms = attempt->at_ms - clock_wall_ms();
    CRASH_POINT_PASS(BEFORE_ANSWER, slice_text(task->command->token));
    figures_observe_answer(task, attempt);
    task_forget_crashes(task);
    region_note_attempt(task->region, attempt);
    switch (attempt->reaction) {
    case REACTION_DONE:
        task_note_start(task);
        call_end(task, &attempt->outcome, &attempt->outcome);
        break;
    case REACTION_REPLY:
    case REACTION_REPLY_BRIDGE:
        if (task_is_unsure(task) && attempt->outcome.category == CATEGORY_THROTTLED) {
            try_again(task, MOVE_NOTHING_DONE, attempt);
        } else {
            end_refused(task, &attempt->outcome);
        }
        break;
    case REACTION_COOLDOWN:
        if (!task_find_cooldown(task, &attempt->outcome)) {
            task_cool_down(task, &attempt->outcome);
        }
        break;
    case REACTION_RETRY:
        try_again(task, MOVE_NOTHING_DONE, attempt);
        break;
    case REACTION_THROTTLE:
        figures_count_in_region(task, REGIONAL_THROTTLED);
        allowance_slow_down(region_allowance(task->region), loop_now_ms(dispatch->loop),
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
