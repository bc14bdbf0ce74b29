#include "ecs/pairs.h"

#include "base/mem.h"

#include <stdlib.h>

/* More than a group may have. */
#define MAX_RESULTS "100"

void pairs_call_fini(struct pairs_call *call)
{
    free((char *)call->command.region);
    free((char *)call->command.group);
    free((char *)call->command.params);
    call->command = (struct command){0};
}

static void ask(struct ecs *ecs, struct pairs_call *call, enum action_id action, const char *region,
                const char *group, const struct action_values *values, ecs_answered_fn *answered)
{
    struct buf params = {0};
    action_params_write(&action_rows[action], values, &params);
    pairs_call_fini(call);
    call->command = (struct command){.action = &action_rows[action],
                                     .region = mem_strdup(region),
                                     .group = group == NULL ? NULL : mem_strdup(group),
                                     .params = buf_take(&params)};
    ecs_call(ecs, &call->command, answered, call);
}

/* An answer that cannot be read is as good as none. */
static void finish(const struct pairs_call *call, const struct attempt *attempt, enum status status,
                   struct slice states, int percent)
{
    enum describe_result result = describe_result_of(attempt);
    result = result == DESCRIBE_COMPLETE && status != STATUS_OK ? DESCRIBE_FAILED : result;
    const struct pairs_answer answer = {.result = result,
                                        .at_ms = attempt->at_ms,
                                        .states = result == DESCRIBE_COMPLETE ? states
                                                                              : (struct slice){0},
                                        .percent = percent,
                                        .outcome = &attempt->outcome,
                                        .retry_after_ms = attempt->retry_after_ms};
    call->done(call->arg, &answer);
}

static void on_states(void *arg, struct attempt *attempt)
{
    const struct pairs_call *call = arg;
    struct buf states = {0};
    enum status status = pair_states_read(attempt->body, call->command.group, &states);
    finish(call, attempt, status, buf_slice(&states), 0);
    buf_fini(&states);
}

static void on_progress(void *arg, struct attempt *attempt)
{
    int percent = 0;
    enum status status = pair_progress_read(attempt->body, &percent);
    finish(arg, attempt, status, (struct slice){0}, percent);
}

void pairs_ask_states(struct ecs *ecs, struct pairs_call *call, const char *region,
                      const char *group, enum group_site site, pairs_answered_fn *done, void *arg)
{
    const struct action_values values = {
        .texts = {slice_text(MAX_RESULTS),
                  slice_text(site == GROUP_SITE_BACKUP ? "backup" : NULL)}};
    call->done = done;
    call->arg = arg;
    ask(ecs, call, ACTION_DescribeDiskReplicaPairs, region, group, &values, on_states);
}

void pairs_ask_progress(struct ecs *ecs, struct pairs_call *call, const char *region,
                        const char *pair, pairs_answered_fn *done, void *arg)
{
    const struct action_values values = {.texts = {slice_text(pair)}};
    call->done = done;
    call->arg = arg;
    ask(ecs, call, ACTION_DescribeDiskReplicaPairProgress, region, NULL, &values, on_progress);
}
