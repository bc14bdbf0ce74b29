/* StartDiskReplicaGroup, StopDiskReplicaGroup and DescribeDiskReplicaGroups. */
#include "actions.h"

#include "signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_LIMIT_BYTES = 64, RULE_LIMIT = 10, GROUP_IDS_LIMIT = 100 };

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

static bool is_count(const char *value)
{
    int64_t number = 0;
    return base_parse_integer(value, 1, 500, &number);
}

static bool is_site(const char *value)
{
    return strcmp(value, "production") == 0 || strcmp(value, "backup") == 0;
}

static perform_fn perform_start;
static perform_fn perform_stop;
static perform_fn perform_describe;

static const struct action actions[] = {
    {"StartDiskReplicaGroup",
     perform_start,
     {{"RegionId", true, is_region},
      {"ReplicaGroupId", true, is_group_id},
      {"ClientToken", false, is_token},
      {"OneShot", false, is_boolean}}},
    {"StopDiskReplicaGroup",
     perform_stop,
     {{"RegionId", true, is_region},
      {"ReplicaGroupId", true, is_group_id},
      {"ClientToken", false, is_token}}},
    {"DescribeDiskReplicaGroups",
     perform_describe,
     {{"RegionId", true, is_region},
      {"GroupIds", false, is_any},
      {"Site", false, is_site},
      {"Name", false, is_any},
      {"MaxResults", false, is_count},
      {"NextToken", false, is_any},
      {"PageNumber", false, is_count},
      {"PageSize", false, is_count},
      {"ResourceGroupId", false, is_any}}},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].name, name) == 0) {
            return &actions[i];
        }
    }
    return NULL;
}

bool actions_is_start(const struct call *call)
{
    return strcmp(call->action, actions[0].name) == 0;
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
    const struct action *action = find_action(call->action);
    if (!call->action[0]) {
        return problem_set(&call->problem, "MissingAction", NULL);
    }
    if (!call->version[0]) {
        return problem_set(&call->problem, "MissingVersion", NULL);
    }
    if (!is_version_known) {
        return problem_set(&call->problem, "InvalidVersion", NULL);
    }
    if (!action) {
        return problem_set(&call->problem, "InvalidAction.NotFound", NULL);
    }
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

/* Answers a repeated token whose start had an effect. False if the start must still be made. */
static bool replay(struct call *call, const struct token *token, const struct group *group)
{
    if (!is_remembered(call->sim, token)) {
        return false;
    }
    if (token->group != group || token->is_one_shot != is_one_shot(call)) {
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

static bool is_start_allowed(struct call *call, const struct group *group)
{
    const struct sim *sim = call->sim;
    if (!group->exists) {
        return problem_set(&call->problem, "NoSuchResource", NULL);
    }
    bool is_allowed =
        is_one_shot(call) ? group->state->is_one_shot_allowed : group->state->is_start_allowed;
    if (!is_allowed) {
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
    token->effect_s = (uint32_t)(sim_now_ms(sim) / 1000);
    memcpy(token->request_id, call->request_id, sizeof token->request_id);
    tokens_add_effect(&sim->tokens, token);
}

static void perform_start(struct call *call)
{
    const char *name = params_get(&call->params, "ClientToken");
    struct token *token = name ? tokens_find(&call->sim->tokens, name) : NULL;
    struct group *group = find_group(call);
    bool is_refused = call->sim->options.is_state_first && !is_start_allowed(call, group);
    if (is_refused || replay(call, token, group) || !is_start_allowed(call, group)) {
        return;
    }
    group_start(&call->sim->groups, group, is_one_shot(call), sim_now_ms(call->sim));
    record_effect(call, token, group);
}

static void perform_stop(struct call *call)
{
    struct group *group = find_group(call);
    if (!group->exists) {
        problem_set(&call->problem, "NoSuchResource", NULL);
    } else if (!group->state->is_stop_allowed) {
        problem_set(&call->problem, "OperationDenied.InvalidStatus", NULL);
    } else {
        group_stop(group, sim_now_ms(call->sim));
    }
}

/* Whether a comma list names an id. */
static bool is_listed(const char *list, const char *id)
{
    size_t length = strlen(id);
    for (const char *item = list; *item; item += *item == ',') {
        size_t item_length = strcspn(item, ",");
        if (item_length == length && strncmp(item, id, length) == 0) {
            return true;
        }
        item += item_length;
    }
    return false;
}

/* Groups named in GroupIds are looked up first, so that --auto-create makes them. */
static void create_listed(struct call *call, const char *region, const char *list)
{
    char *copy = base_copy(list, strlen(list));
    char *rest = copy;
    for (int i = 0; rest && i < GROUP_IDS_LIMIT; i++) {
        const char *id = strsep(&rest, ",");
        if (is_group_id(id)) {
            groups_get(&call->sim->groups, region, id, sim_now_ms(call->sim));
        }
    }
    free(copy);
}

static bool is_described(const struct call *call, const struct group *group, const char *region)
{
    const char *list = params_get(&call->params, "GroupIds");
    const char *name = params_get(&call->params, "Name");
    const char *site = params_get(&call->params, "Site");
    return group->exists && strcmp(group->region, region) == 0 &&
           (!list || is_listed(list, group->id)) && (!name || strcmp(name, group->id) == 0) &&
           (!site || strcmp(site, "production") == 0);
}

static int64_t number_param(const struct call *call, const char *name, int64_t otherwise)
{
    const char *value = params_get(&call->params, name);
    int64_t number = otherwise;
    return value && base_parse_integer(value, 0, INT32_MAX, &number) ? number : otherwise;
}

/* A window of the groups in question: by NextToken (an offset here) or by page. */
struct page {
    int64_t number;
    int64_t size;
    int64_t first;
};

static struct page read_page(const struct call *call)
{
    struct page page = {.number = number_param(call, "PageNumber", 1)};
    bool is_paged =
        params_get(&call->params, "PageNumber") || params_get(&call->params, "PageSize");
    page.size = number_param(call, is_paged ? "PageSize" : "MaxResults", 10);
    page.first = is_paged ? (page.number - 1) * page.size : number_param(call, "NextToken", 0);
    return page;
}

static void add_page_fields(struct call *call, cJSON *items, const struct page *page, int64_t count)
{
    char next[24] = "";
    if (page->first + page->size < count) {
        snprintf(next, sizeof next, "%lld", (long long)(page->first + page->size));
    }
    call->fields = cJSON_CreateObject();
    cJSON_AddItemToObject(call->fields, "ReplicaGroups", items);
    cJSON_AddStringToObject(call->fields, "NextToken", next);
    cJSON_AddNumberToObject(call->fields, "PageNumber", (double)page->number);
    cJSON_AddNumberToObject(call->fields, "PageSize", (double)page->size);
    cJSON_AddNumberToObject(call->fields, "TotalCount", (double)count);
}

static void perform_describe(struct call *call)
{
    struct sim *sim = call->sim;
    const char *region = params_get(&call->params, "RegionId");
    const char *list = params_get(&call->params, "GroupIds");
    if (list) {
        create_listed(call, region, list);
    }
    struct page page = read_page(call);
    int64_t count = 0;
    int64_t now_ms = sim_now_ms(sim);
    cJSON *items = cJSON_CreateArray();
    struct group *group = NULL;
    struct group *next = NULL;
    HASH_ITER (hh, sim->groups.table, group, next) {
        if (!is_described(call, group, region)) {
            continue;
        }
        if (count >= page.first && count < page.first + page.size) {
            group_refresh(&sim->groups, group, now_ms);
            cJSON_AddItemToArray(items,
                                 group_describe(&sim->groups, group, sim_wall_ms(sim) - now_ms));
        }
        count++;
    }
    add_page_fields(call, items, &page, count);
}

void actions_perform(struct call *call)
{
    find_action(call->action)->perform(call);
}
