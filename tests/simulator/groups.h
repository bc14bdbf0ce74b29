/*
 * groups - replication pair-consistent groups and their documented states.
 *
 * Time in a group is simulated milliseconds, handed in by the caller; states that end by
 * themselves are brought up to date when a group is looked at.
 *
 * Source: the state names, the states a start is allowed from and the interval between two
 * one-time synchronizations are those of the StartDiskReplicaGroup and sibling API pages.
 */
#ifndef SIMULATOR_GROUPS_H
#define SIMULATOR_GROUPS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

enum { REGION_BYTES = 65, GROUP_ID_BYTES = 129, GROUP_KEY_BYTES = REGION_BYTES + GROUP_ID_BYTES };

/* What may be done in a state. */
struct group_state {
    const char *name;
    bool is_start_allowed;    /* OneShot=false */
    bool is_one_shot_allowed; /* OneShot=true */
    bool is_stop_allowed;
};

/* The row of a state's name, or NULL. */
const struct group_state *group_state_find(const char *name);

struct call;

struct group {
    char region[REGION_BYTES];
    char id[GROUP_ID_BYTES];
    bool exists; /* false: only its name was seen */
    const struct group_state *state;
    int64_t since_ms;         /* when the state began */
    bool has_one_shot;        /* last_one_shot_ms is set */
    int64_t last_one_shot_ms; /* when the last one-time synchronization started */
    bool has_recover_point;   /* last_recover_ms is set */
    int64_t last_recover_ms;  /* when the last synchronization ended, simulated */
    uint64_t effects;         /* starts that had an effect */
    uint64_t overlaps;        /* starts that came while another was in progress */
    struct call *active;      /* starts in progress */
    UT_hash_handle hh;
    char key[GROUP_KEY_BYTES];
};

struct groups {
    struct group *table; /* uthash, by "region/id" */
    int64_t rpo_ms;
    int64_t sync_ms; /* how long initial_syncing, syncing and manual_syncing last */
    bool is_auto_create;
};

/*
 * The group of that name, up to date at `now_ms`. Its entry is made if need be; with
 * is_auto_create it then exists in `created`, otherwise `exists` is false.
 * NULL if a name is too long.
 */
struct group *groups_get(struct groups *groups, const char *region, const char *id, int64_t now_ms);

/* Bring a group's state up to date. */
void group_refresh(const struct groups *groups, struct group *group, int64_t now_ms);

/* Put an existing or new group into a state. */
void group_set(struct group *group, const struct group_state *state, int64_t now_ms);

/* Whether a one-time synchronization started half the RPO ago or less. */
bool group_is_cooling(const struct groups *groups, const struct group *group, int64_t now_ms);

/* The effect of an allowed start or stop. */
void group_start(const struct groups *groups, struct group *group, bool is_one_shot,
                 int64_t now_ms);
void group_stop(struct group *group, int64_t now_ms);

/*
 * One item of ReplicaGroups as DescribeDiskReplicaGroups shows it, with the quirks of the
 * documented sample (PairIds is one joined string in an array, StandbyRegion ends in a line
 * feed). `wall_offset_ms` turns simulated time into time since 1970.
 */
cJSON *group_describe(const struct groups *groups, const struct group *group,
                      int64_t wall_offset_ms);

void groups_fini(struct groups *groups);

#endif
