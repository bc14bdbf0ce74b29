/* The table of groups and their state machine. */
#include "groups.h"

#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct group_state states[] = {
    {"created", true, true, false},         {"initial_syncing", false, false, true},
    {"syncing", true, false, true},         {"normal", true, false, true},
    {"manual_syncing", false, true, true},  {"stopped", true, true, true},
    {"stopping", false, false, true},       {"stop_failed", false, false, true},
    {"invalid", false, false, false},       {"creating", false, false, false},
    {"create_failed", false, false, false}, {"failovering", false, false, false},
    {"failovered", false, false, false},    {"failover_failed", false, false, false},
    {"reprotecting", false, false, false},  {"reprotect_failed", false, false, false},
    {"deleting", false, false, false},      {"delete_failed", false, false, false},
    {"deleted", false, false, false},
};

const struct group_state *group_state_find(const char *name)
{
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(states[i].name, name) == 0) {
            return &states[i];
        }
    }
    return NULL;
}

static bool is_in(const struct group *group, const char *name)
{
    return strcmp(group->state->name, name) == 0;
}

static void enter(struct group *group, const char *name, int64_t at_ms)
{
    group->state = group_state_find(name);
    group->since_ms = at_ms;
}

static struct group *add_group(struct groups *groups, const char *region, const char *id,
                               const char *key)
{
    struct group *group = base_alloc(sizeof *group);
    base_fill(group->region, sizeof group->region, region);
    base_fill(group->id, sizeof group->id, id);
    base_fill(group->key, sizeof group->key, key);
    group->state = group_state_find("created");
    HASH_ADD_STR(groups->table, key, group);
    return group;
}

struct group *groups_get(struct groups *groups, const char *region, const char *id, int64_t now_ms)
{
    char key[GROUP_KEY_BYTES];
    if (strlen(region) >= REGION_BYTES || strlen(id) >= GROUP_ID_BYTES) {
        return NULL;
    }
    snprintf(key, sizeof key, "%s/%s", region, id);
    struct group *group = NULL;
    HASH_FIND_STR(groups->table, key, group);
    if (!group) {
        group = add_group(groups, region, id, key);
    }
    if (!group->exists && groups->is_auto_create) {
        group_set(group, group_state_find("created"), now_ms);
    }
    group_refresh(groups, group, now_ms);
    return group;
}

static void finish_sync(struct group *group, const char *next, int64_t sync_ms)
{
    group->has_recover_point = true;
    group->last_recover_ms = group->since_ms + sync_ms;
    enter(group, next, group->last_recover_ms);
}

/* Skips whole rounds of normal and syncing at once, however long ago the group was looked at. */
static void skip_rounds(const struct groups *groups, struct group *group, int64_t now_ms)
{
    int64_t round_ms = groups->rpo_ms + groups->sync_ms;
    int64_t rounds = round_ms > 0 ? (now_ms - group->since_ms) / round_ms : 0;
    if (rounds > 0) {
        group->since_ms += rounds * round_ms;
        group->has_recover_point = true;
        group->last_recover_ms = group->since_ms;
    }
    if (round_ms > 0 && now_ms - group->since_ms >= groups->rpo_ms) {
        enter(group, "syncing", group->since_ms + groups->rpo_ms);
    }
}

void group_refresh(const struct groups *groups, struct group *group, int64_t now_ms)
{
    bool is_done = now_ms - group->since_ms >= groups->sync_ms;
    if (is_done && is_in(group, "manual_syncing")) {
        finish_sync(group, "stopped", groups->sync_ms);
    } else if (is_done && (is_in(group, "initial_syncing") || is_in(group, "syncing"))) {
        finish_sync(group, "normal", groups->sync_ms);
    }
    if (is_in(group, "normal")) {
        skip_rounds(groups, group, now_ms);
    }
}

void group_set(struct group *group, const struct group_state *state, int64_t now_ms)
{
    group->exists = true;
    group->state = state;
    group->since_ms = now_ms;
}

bool group_is_cooling(const struct groups *groups, const struct group *group, int64_t now_ms)
{
    return group->has_one_shot && groups->rpo_ms > 0 &&
           now_ms - group->last_one_shot_ms <= groups->rpo_ms / 2;
}

void group_start(const struct groups *groups, struct group *group, bool is_one_shot, int64_t now_ms)
{
    group->effects++;
    if (is_one_shot) {
        group->has_one_shot = true;
        group->last_one_shot_ms = now_ms;
        enter(group, "manual_syncing", now_ms);
    } else if (is_in(group, "created")) {
        enter(group, "initial_syncing", now_ms);
    } else if (!is_in(group, "syncing")) {
        enter(group, "syncing", now_ms);
    }
    group_refresh(groups, group, now_ms);
}

void group_stop(struct group *group, int64_t now_ms)
{
    if (!is_in(group, "stopped")) {
        enter(group, "stopped", now_ms);
    }
}

static void add_site(cJSON *item, const struct group *group)
{
    char zone[REGION_BYTES + 8];
    snprintf(zone, sizeof zone, "%s-b", group->region);
    cJSON_AddStringToObject(item, "Site", "production");
    cJSON_AddStringToObject(item, "SourceRegionId", group->region);
    cJSON_AddStringToObject(item, "SourceZoneId", zone);
    cJSON_AddStringToObject(item, "DestinationRegionId", "cn-shanghai");
    cJSON_AddStringToObject(item, "DestinationZoneId", "cn-shanghai-e");
    cJSON_AddStringToObject(item, "PrimaryRegion", group->region);
    cJSON_AddStringToObject(item, "PrimaryZone", zone);
    cJSON_AddStringToObject(item, "StandbyRegion", "cn-shanghai\n");
    cJSON_AddStringToObject(item, "StandbyZone", "cn-shanghai-e");
}

cJSON *group_describe(const struct groups *groups, const struct group *group,
                      int64_t wall_offset_ms)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "ReplicaGroupId", group->id);
    cJSON_AddStringToObject(item, "GroupName", group->id);
    cJSON_AddStringToObject(item, "Description", "");
    cJSON_AddStringToObject(item, "Status", group->state->name);
    cJSON_AddNumberToObject(item, "RPO", (double)(groups->rpo_ms / 1000));
    if (group->has_recover_point) {
        int64_t recover_s = (group->last_recover_ms + wall_offset_ms) / 1000;
        cJSON_AddNumberToObject(item, "LastRecoverPoint", (double)recover_s);
    }
    add_site(item, group);
    cJSON *pairs = cJSON_AddArrayToObject(item, "PairIds");
    cJSON_AddItemToArray(pairs, cJSON_CreateString("pair-simulated1,pair-simulated2"));
    cJSON_AddNumberToObject(item, "PairNumber", 2);
    cJSON_AddNumberToObject(item, "Bandwidth", 0);
    cJSON_AddBoolToObject(item, "EnableRtc", false);
    cJSON_AddStringToObject(item, "ResourceGroupId", "rg-simulated");
    cJSON_AddArrayToObject(item, "Tags");
    return item;
}

void groups_fini(struct groups *groups)
{
    struct group *group = NULL;
    struct group *next = NULL;
    HASH_ITER (hh, groups->table, group, next) {
        HASH_DEL(groups->table, group);
        free(group);
    }
    groups->table = NULL;
}
