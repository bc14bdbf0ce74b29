/* The table of groups and their state machine. */
#include "groups.h"

#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct group_state states[] = {
    {"created", true, true, false},         {"initial_syncing", false, false, false},
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

struct group *groups_find(const struct groups *groups, const char *region, const char *id)
{
    char key[GROUP_KEY_BYTES];
    struct group *group = NULL;
    if (strlen(region) < REGION_BYTES && strlen(id) < GROUP_ID_BYTES) {
        snprintf(key, sizeof key, "%s/%s", region, id);
        HASH_FIND_STR(groups->table, key, group);
    }
    return group;
}

struct group *groups_get(struct groups *groups, const char *region, const char *id, int64_t now_ms)
{
    char key[GROUP_KEY_BYTES];
    if (strlen(region) >= REGION_BYTES || strlen(id) >= GROUP_ID_BYTES) {
        return NULL;
    }
    struct group *group = groups_find(groups, region, id);
    if (!group) {
        snprintf(key, sizeof key, "%s/%s", region, id);
        group = add_group(groups, region, id, key);
    }
    if (!group->exists && groups->is_auto_create && !group->is_removed) {
        group_set(group, group_state_find("created"), now_ms);
    }
    group_refresh(groups, group, now_ms);
    return group;
}

static void add_recover_point(struct group *group, int64_t at_ms)
{
    group->has_older_point = group->has_recover_point;
    group->older_recover_ms = group->last_recover_ms;
    group->has_recover_point = true;
    group->last_recover_ms = at_ms;
}

static void finish_sync(struct group *group, const char *next, int64_t sync_ms)
{
    add_recover_point(group, group->since_ms + sync_ms);
    enter(group, next, group->last_recover_ms);
}

/* Skips whole rounds of normal and syncing at once, however long ago the group was looked at. */
static void skip_rounds(const struct groups *groups, struct group *group, int64_t now_ms)
{
    int64_t round_ms = groups->rpo_ms + groups->sync_ms;
    int64_t rounds = round_ms > 0 ? (now_ms - group->since_ms) / round_ms : 0;
    if (rounds > 0) {
        group->since_ms += rounds * round_ms;
        if (rounds > 1) {
            add_recover_point(group, group->since_ms - round_ms);
        }
        add_recover_point(group, group->since_ms);
    }
    if (round_ms > 0 && now_ms - group->since_ms >= groups->rpo_ms) {
        enter(group, "syncing", group->since_ms + groups->rpo_ms);
    }
}

static void finish_stop(struct group *group, int64_t at_ms)
{
    const char *const ends[] = {[STOP_ENDS_STOPPED] = "stopped",
                                [STOP_ENDS_FAILED] = "stop_failed",
                                [STOP_ENDS_UNCHANGED] = group->stopped_from->name};
    enter(group, ends[group->stop_end], at_ms);
    group->stop_end = STOP_ENDS_STOPPED;
}

void group_refresh(const struct groups *groups, struct group *group, int64_t now_ms)
{
    if (group->stopped_from && is_in(group, "stopping") &&
        now_ms - group->since_ms >= groups->stop_ms) {
        finish_stop(group, group->since_ms + groups->stop_ms);
        group->stopped_from = NULL;
    }
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
    group->is_removed = false;
    group->state = state;
    group->since_ms = now_ms;
    group->stopped_from = NULL;
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

void group_stop(const struct groups *groups, struct group *group, int64_t now_ms)
{
    group->effects++;
    if (is_in(group, "stopped") || (is_in(group, "stopping") && group->stopped_from)) {
        return;
    }
    group->stopped_from = group->state;
    enter(group, "stopping", now_ms);
    group_refresh(groups, group, now_ms);
}

const char *group_site_region(const struct groups *groups, const struct group *group,
                              bool is_backup)
{
    return group->is_swapped == is_backup ? group->region : groups->secondary_region;
}

bool group_recover_point(const struct groups *groups, const struct group *group, int64_t now_ms,
                         int64_t *out_ms)
{
    bool is_shown = now_ms - group->last_recover_ms >= groups->recover_late_ms;
    bool has_point = is_shown ? group->has_recover_point : group->has_older_point;
    if (has_point) {
        *out_ms = is_shown ? group->last_recover_ms : group->older_recover_ms;
    }
    return has_point;
}

void group_set_recover_point(struct group *group, int64_t now_ms, int64_t age_ms)
{
    group->has_recover_point = age_ms >= 0;
    group->last_recover_ms = now_ms - age_ms;
    group->has_older_point = group->has_recover_point;
    group->older_recover_ms = group->last_recover_ms;
}

void pair_id(const struct group *group, int pair, char out_id[PAIR_ID_BYTES])
{
    snprintf(out_id, PAIR_ID_BYTES, "pair-%s-%d", group->id, pair + 1);
}

bool pair_id_split(const char *id, char out_group[GROUP_ID_BYTES], int *out_pair)
{
    static const char prefix[] = "pair-";
    const size_t prefix_length = sizeof prefix - 1;
    const char *dash = strrchr(id, '-');
    int64_t number = 0;
    if (strncmp(id, prefix, prefix_length) != 0 || dash <= id + prefix_length ||
        (size_t)(dash - id) - prefix_length >= GROUP_ID_BYTES ||
        !base_parse_integer(dash + 1, 1, PAIR_LIMIT, &number)) {
        return false;
    }
    base_fill(out_group, (size_t)(dash - id) - prefix_length + 1, id + prefix_length);
    *out_pair = (int)number - 1;
    return true;
}

struct pair *pair_settings(struct group *group, int pair)
{
    if (!group->pairs) {
        group->pairs = base_alloc(PAIR_LIMIT * sizeof *group->pairs);
        for (int i = 0; i < PAIR_LIMIT; i++) {
            group->pairs[i].progress_percent = -1;
        }
    }
    return &group->pairs[pair];
}

const struct group_state *pair_state(const struct group *group, int pair)
{
    if (group->pairs && group->pairs[pair].state) {
        return group->pairs[pair].state;
    }
    bool has_faulty = false;
    for (int i = 0; group->pairs && i < PAIR_LIMIT; i++) {
        const struct group_state *state = group->pairs[i].state;
        has_faulty = has_faulty || (state && strcmp(state->name, "invalid") == 0);
    }
    bool is_faulty = pair == 0 && !has_faulty;
    return is_in(group, "invalid") && !is_faulty ? group_state_find("stopped") : group->state;
}

const char *pair_message(const struct group *group, int pair)
{
    const char *state = pair_state(group, pair)->name;
    const char *message = group->pairs ? group->pairs[pair].message : "";
    if (strcmp(state, "invalid") == 0) {
        return message[0] ? message : "DeviceRemoved";
    }
    if (strcmp(state, "create_failed") == 0) {
        return message[0] ? message : "OperationDenied.QuotaExceed";
    }
    return "";
}

int64_t pair_progress_percent(const struct groups *groups, const struct group *group, int pair,
                              int64_t now_ms)
{
    if (group->pairs && group->pairs[pair].progress_percent >= 0) {
        return group->pairs[pair].progress_percent;
    }
    if (!is_in(group, "initial_syncing") && !is_in(group, "syncing") &&
        !is_in(group, "manual_syncing")) {
        return group->has_recover_point ? 100 : 0;
    }
    /* The last pair takes the whole time, each one before it an equal part less. */
    double needed_ms = (double)groups->sync_ms * (pair + 1) / groups->pair_count;
    double done_ms = (double)(now_ms - group->since_ms);
    return done_ms < needed_ms ? (int64_t)(done_ms * 100 / needed_ms) : 100;
}

void groups_fini(struct groups *groups)
{
    struct group *group = NULL;
    struct group *next = NULL;
    HASH_ITER (hh, groups->table, group, next) {
        HASH_DEL(groups->table, group);
        free(group->pairs);
        free(group);
    }
    groups->table = NULL;
}
