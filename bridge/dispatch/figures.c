/*
 * What dispatch counts and measures.
 */
#include "base/clock.h"
#include "common.h"

#include <assert.h>

void task_set_running(struct task *task, bool is_running)
{
    if (task->is_running != is_running) {
        task->is_running = is_running;
        counter_add(task->dispatch->counters, COUNTER_QUEUED, is_running ? -1 : 1);
    }
}

void figures_publish_oldest(struct dispatch *dispatch)
{
    const struct task *oldest = dispatch->tasks;
    counter_set(dispatch->counters, COUNTER_OLDEST_COMMAND,
                oldest == NULL ? 0 : oldest->command->received_at_ms);
}

void figures_count_in_region(const struct task *task, enum regional regional)
{
    struct counters *counters = task->dispatch->counters;
    const struct region *region = task->region;
    size_t place =
        region->is_proven ? counters_region(counters, region->name) : COUNTER_REGION_OTHER;
    regional_add(counters, place, regional, 1);
}

void figures_observe_start(struct task *task)
{
    struct counters *counters = task->dispatch->counters;
    task->attempt_us = clock_mono_us();
    if (task->called_us == 0) {
        task->called_us = task->attempt_us;
        task->first_ms = clock_wall_ms();
        figures_count_in_region(task, REGIONAL_CALLS);
        if (task->claimed_us != 0) {
            histogram_observe(counters, HISTOGRAM_QUEUE, task->called_us - task->claimed_us);
        }
    }
}

void figures_observe_answer(const struct task *task, const struct attempt *attempt)
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

void figures_observe_outcome(const struct task *task, int64_t took_ms)
{
    struct counters *counters = task->dispatch->counters;
    histogram_observe(counters, HISTOGRAM_COMMAND, took_ms * 1000);
    if (task->called_us != 0) {
        histogram_observe(counters, HISTOGRAM_CALL, clock_mono_us() - task->called_us);
    }
}
