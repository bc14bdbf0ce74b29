/* The table of actions, and those that change a group: StartDiskReplicaGroup and
 * StopDiskReplicaGroup. */
#include "actions.h"

#include "describe.h"
#include "signature.h"

#include <stdio.h>
#include <string.h>

enum { TOKEN_LIMIT_BYTES = 64, RULE_LIMIT = 12 };

typedef bool value_check_fn(const char *value);

/* One parameter of an action; the last row of a list has no name. */
struct param_rule {
    const char *name;
    bool is_required;
    value_check_fn *is_valid;
};

typedef void perform_fn(struct call *call);

struct action {
    const char *name;
    perform_fn *perform;
    struct param_rule rules[RULE_LIMIT];
};

static bool is_region(const char *value)
{
    size_t length =
        strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return length > 0 && length < REGION_BYTES && !value[length];
}

static bool is_ascii(const char *value, size_t limit)
{
    size_t length = strlen(value);
    for (size_t i = 0; i < length; i++) {
        if (value[i] < 0x20 || value[i] > 0x7e) {
            return false;
        }
    }
    return length > 0 && length <= limit;
}

static bool is_group_id(const char *value)
{
    return is_ascii(value, GROUP_ID_BYTES - 1);
}

static bool is_token(const char *value)
{
    return is_ascii(value, TOKEN_LIMIT_BYTES);
}

static bool is_boolean(const char *value)
{
    return strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
}

static bool is_any(const char *value)
{
    return value[0] != '\0';
}

/* Up to 100 ids between commas. */
static bool is_id_list(const char *value)
{
    int count = 0;
    for (const char *item = value; item; count++) {
        size_t length = strcspn(item, ",");
        if (length == 0 || length >= PAIR_ID_BYTES) {
            return false;
        }
        item = item[length] ? item + length + 1 : NULL;
    }
    return count <= ID_LIST_LIMIT;
}

static bool is_pair_id(const char *value)
{
    return is_ascii(value, PAIR_ID_BYTES - 1);
}

static bool is_number(const char *value, int64_t maximum)
{
    int64_t number = 0;
    return base_parse_integer(value, 1, maximum, &number);
}

static bool is_result_count(const char *value)
{
    return is_number(value, 500);
}

static bool is_page_size(const char *value)
{
    return is_number(value, 100);
}

static bool is_page_number(const char *value)
{
    return is_number(value, INT32_MAX);
}

static bool is_site(const char *value)
{
    return strcmp(value, "production") == 0 || strcmp(value, "backup") == 0;
}

static perform_fn perform_change;

/* The parameters that choose what is listed, and the page of it. */
#define LISTED                                                                                 \
    {"Site", false, is_site}, {"Name", false, is_any}, {"MaxResults", false, is_result_count}, \
        {"NextToken", false, describe_is_next_token}, {"PageNumber", false, is_page_number},   \
        {"PageSize", false, is_page_size},                                                     \
    {                                                                                          \
        "ResourceGroupId", false, is_any                                                       \
    }

static const struct action actions[ACTION_COUNT] = {
    [ACTION_START] = {"StartDiskReplicaGroup",
                      perform_change,
                      {{"RegionId", true, is_region},
                       {"ReplicaGroupId", true, is_group_id},
                       {"ClientToken", false, is_token},
                       {"OneShot", false, is_boolean}}},
    [ACTION_STOP] = {"StopDiskReplicaGroup",
                     perform_change,
                     {{"RegionId", true, is_region},
                      {"ReplicaGroupId", true, is_group_id},
                      {"ClientToken", false, is_token}}},
    [ACTION_DESCRIBE_GROUPS] = {"DescribeDiskReplicaGroups",
                                describe_groups,
                                {{"RegionId", true, is_region},
                                 {"GroupIds", false, is_id_list},
                                 LISTED}},
    [ACTION_DESCRIBE_PAIRS] = {"DescribeDiskReplicaPairs",
                               describe_pairs,
                               {{"RegionId", true, is_region},
                                {"ReplicaGroupId", false, is_group_id},
                                {"PairIds", false, is_id_list},
                                LISTED}},
    [ACTION_DESCRIBE_PROGRESS] = {"DescribeDiskReplicaPairProgress",
                                  describe_progress,
                                  {{"RegionId", true, is_region},
                                   {"ReplicaPairId", true, is_pair_id}}},
};

enum action_kind actions_kind(const char *name)
{
    int kind = 0;
    while (kind < ACTION_COUNT && strcmp(actions[kind].name, name) != 0) {
        kind++;
    }
    return (enum action_kind)kind;
}

const char *actions_name(enum action_kind kind)
{
    return actions[kind].name;
}

static bool check_required(struct call *call, const struct action *action)
{
    for (const struct param_rule *rule = action->rules; rule->name; rule++) {
        const char *value = params_get(&call->params, rule->name);
        if (rule->is_required && (!value || !*value)) {
            char code[64];
            snprintf(code, sizeof code, "Missing%s", rule->name);
            return problem_set(&call->problem, code, NULL);
        }
    }
    return true;
}

static const struct param_rule *find_rule(const struct action *action, const char *name)
{
    const struct param_rule *rule = action->rules;
    while (rule->name && strcmp(rule->name, name) != 0) {
        rule++;
    }
    return rule->name ? rule : NULL;
}

static bool check_values(struct call *call, const struct action *action)
{
    for (size_t i = 0; i < call->params.count; i++) {
        const struct param *param = &call->params.items[i];
        if (call->signing == SIGNING_V1 && signature_is_common_param(param->name)) {
            continue;
        }
        const struct param_rule *rule = find_rule(action, param->name);
        if (!rule) {
            return problem_set(&call->problem, "InvalidParameter",
                               "The parameter %s does not belong to this action.", param->name);
        }
        if (!rule->is_valid(param->value)) {
            return problem_set(&call->problem, "InvalidParameter",
                               "The specified parameter %s is not valid.", param->name);
        }
    }
    return true;
}

bool actions_check(struct call *call)
{
    bool is_version_known =
        strcmp(call->version, "2021-07-30") == 0 || strcmp(call->version, "2014-05-26") == 0;
    if (!call->action[0]) {
        return problem_set(&call->problem, "MissingAction", NULL);
    }
    if (!call->version[0]) {
        return problem_set(&call->problem, "MissingVersion", NULL);
    }
    if (!is_version_known) {
        return problem_set(&call->problem, "InvalidVersion", NULL);
    }
    if (call->kind == ACTION_COUNT) {
        return problem_set(&call->problem, "InvalidAction.NotFound", NULL);
    }
    const struct action *action = &actions[call->kind];
    return check_required(call, action) && check_values(call, action);
}

static struct group *find_group(struct call *call)
{
    struct sim *sim = call->sim;
    return groups_get(&sim->groups, params_get(&call->params, "RegionId"),
                      params_get(&call->params, "ReplicaGroupId"), sim_now_ms(sim));
}

static bool is_one_shot(const struct call *call)
{
    const char *value = params_get(&call->params, "OneShot");
    return value && strcmp(value, "true") == 0;
}

static bool is_remembered(const struct sim *sim, const struct token *token)
{
    int64_t ttl_s = sim->options.token_ttl_s;
    return token && token->effects > 0 &&
           (ttl_s < 0 || sim_now_ms(sim) / 1000 - token->effect_s < ttl_s);
}

/* Answers a repeated token whose call had an effect. False if the call must still be made. */
static bool replay(struct call *call, const struct token *token, const struct group *group)
{
    if (!is_remembered(call->sim, token)) {
        return false;
    }
    if (token->group != group || token->is_one_shot != is_one_shot(call) ||
        token->action != call->kind) {
        problem_set(&call->problem, "IdempotentParameterMismatch", NULL);
        return true;
    }
    memcpy(call->request_id, token->request_id, sizeof call->request_id);
    call->sim->totals.replays++;
    struct journal_row *row = journal_get(call->sim->journal, call->row);
    if (row) {
        row->is_replay = true;
    }
    return true;
}

static bool is_allowed_in(const struct call *call, const struct group_state *state)
{
    if (call->kind == ACTION_STOP) {
        return state->is_stop_allowed;
    }
    return is_one_shot(call) ? state->is_one_shot_allowed : state->is_start_allowed;
}

static bool is_allowed(struct call *call, const struct group *group)
{
    const struct sim *sim = call->sim;
    if (!group->exists || group->is_swapped) {
        return problem_set(&call->problem, "NoSuchResource", NULL);
    }
    if (!is_allowed_in(call, group->state)) {
        return problem_set(&call->problem, "OperationDenied.InvalidStatus", NULL);
    }
    if (is_one_shot(call) && group_is_cooling(&sim->groups, group, sim_now_ms(sim))) {
        return problem_set(&call->problem, "OperationDenied.ManualSyncLimit", NULL);
    }
    return true;
}

static void record_effect(struct call *call, struct token *token, struct group *group)
{
    struct sim *sim = call->sim;
    sim->totals.effects++;
    struct journal_row *row = journal_get(sim->journal, call->row);
    if (row) {
        row->has_effect = true;
    }
    if (!token) {
        return;
    }
    token->group = group;
    token->is_one_shot = is_one_shot(call);
    token->action = (uint8_t)call->kind;
    token->effect_s = (uint32_t)(sim_now_ms(sim) / 1000);
    memcpy(token->request_id, call->request_id, sizeof token->request_id);
    tokens_add_effect(&sim->tokens, token);
}

static void perform_change(struct call *call)
{
    const char *name = params_get(&call->params, "ClientToken");
    struct token *token = name ? tokens_find(&call->sim->tokens, name) : NULL;
    struct group *group = find_group(call);
    bool is_refused = call->sim->options.is_state_first && !is_allowed(call, group);
    if (is_refused || replay(call, token, group) || !is_allowed(call, group)) {
        return;
    }
    if (call->kind == ACTION_STOP) {
        group_stop(&call->sim->groups, group, sim_now_ms(call->sim));
    } else {
        group_start(&call->sim->groups, group, is_one_shot(call), sim_now_ms(call->sim));
    }
    record_effect(call, token, group);
}

void actions_perform(struct call *call)
{
    actions[call->kind].perform(call);
}
