/* Totals, tokens, groups and errors as JSON. */
#include "control_state.h"

#include "actions.h"

#include <utlist.h>

static void add_count(cJSON *object, const char *name, uint64_t count)
{
    cJSON_AddNumberToObject(object, name, (double)count);
}

cJSON *control_totals(const struct sim *sim)
{
    const struct totals *totals = &sim->totals;
    cJSON *object = cJSON_CreateObject();
    add_count(object, "Requests", totals->requests);
    add_count(object, "Starts", totals->calls[ACTION_START]);
    add_count(object, "Stops", totals->calls[ACTION_STOP]);
    add_count(object, "Describes", totals->calls[ACTION_DESCRIBE_GROUPS]);
    add_count(object, "PairDescribes", totals->calls[ACTION_DESCRIBE_PAIRS]);
    add_count(object, "ProgressDescribes", totals->calls[ACTION_DESCRIBE_PROGRESS]);
    add_count(object, "Answered", totals->answered);
    add_count(object, "Effects", totals->effects);
    add_count(object, "Replays", totals->replays);
    add_count(object, "Tokens", sim->tokens.count);
    add_count(object, "MaxEffectsPerToken", sim->tokens.max_effects);
    add_count(object, "Overlaps", totals->overlaps);
    add_count(object, "SignatureV3", totals->signature_v3);
    add_count(object, "SignatureV1", totals->signature_v1);
    add_count(object, "SignatureErrors", totals->signature_errors);
    add_count(object, "NonceReuse", totals->nonce_reuse);
    add_count(object, "Throttled", totals->throttled);
    add_count(object, "FaultsTaken", (uint64_t)sim->faults.taken_total);
    add_count(object, "Connections", totals->connections);
    return object;
}

cJSON *control_token(const struct token *token)
{
    cJSON *object = cJSON_CreateObject();
    add_count(object, "Effects", token->effects);
    add_count(object, "Calls", token->calls);
    if (token->effects > 0) {
        char request_id[REQUEST_ID_TEXT_BYTES];
        request_id_format(token->request_id, request_id);
        cJSON_AddStringToObject(object, "RequestId", request_id);
    }
    cJSON_AddStringToObject(object, "RegionId", token->group->region);
    cJSON_AddStringToObject(object, "ReplicaGroupId", token->group->id);
    cJSON_AddBoolToObject(object, "OneShot", token->is_one_shot);
    cJSON_AddStringToObject(object, "Action", actions_name((enum action_kind)token->action));
    cJSON *answers = cJSON_AddObjectToObject(object, "Answers");
    add_count(answers, "Succeeded", token->succeeded);
    add_count(answers, "Lost", token->lost);
    add_count(answers, "Errors", token->errors);
    return object;
}

static cJSON *describe_group(const struct sim *sim, const struct group *group)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "RegionId", group->region);
    cJSON_AddStringToObject(object, "ReplicaGroupId", group->id);
    cJSON_AddStringToObject(object, "Status", group->exists ? group->state->name : "");
    cJSON_AddBoolToObject(object, "Exists", group->exists);
    cJSON_AddBoolToObject(object, "Cooling",
                          group_is_cooling(&sim->groups, group, sim_now_ms(sim)));
    add_count(object, "Effects", group->effects);
    add_count(object, "Overlaps", group->overlaps);
    int active_count = 0;
    const struct call *call = NULL;
    DL_FOREACH2(group->active, call, group_next)
    {
        active_count++;
    }
    cJSON_AddNumberToObject(object, "InProgress", active_count);
    return object;
}

cJSON *control_state(struct sim *sim)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *groups = cJSON_AddArrayToObject(object, "Groups");
    struct group *group = NULL;
    struct group *next = NULL;
    HASH_ITER (hh, sim->groups.table, group, next) {
        group_refresh(&sim->groups, group, sim_now_ms(sim));
        cJSON_AddItemToArray(groups, describe_group(sim, group));
    }
    cJSON *tokens = cJSON_AddObjectToObject(object, "Tokens");
    for (size_t i = 0; i < sim->tokens.slot_count; i++) {
        const struct token *token = sim->tokens.slots[i];
        if (token) {
            cJSON_AddItemToObject(tokens, token->name, control_token(token));
        }
    }
    cJSON_AddItemToObject(object, "Totals", control_totals(sim));
    return object;
}

cJSON *control_errors(void)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < error_row_count; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "Http", error_rows[i].http);
        cJSON_AddStringToObject(item, "Code", error_rows[i].code);
        cJSON_AddStringToObject(item, "Message", error_rows[i].message);
        cJSON_AddItemToArray(list, item);
    }
    return list;
}
