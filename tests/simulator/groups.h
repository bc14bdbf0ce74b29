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

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

enum {
    REGION_BYTES = 65,
    GROUP_ID_BYTES = 129,
    GROUP_KEY_BYTES = REGION_BYTES + GROUP_ID_BYTES,
    PAIR_LIMIT = 17, /* pairs in a group */
    PAIR_ID_BYTES = GROUP_ID_BYTES + 20,
    STATUS_BYTES = 32,
    STATUS_MESSAGE_BYTES = 64,
};

/* What may be done in a state. */
struct group_state {
    const char *name;
    bool is_start_allowed;    /* OneShot=false */
    bool is_one_shot_allowed; /* OneShot=true */
    bool is_stop_allowed;
};

/* The row of a state's name, or NULL. */
const struct group_state *group_state_find(const char *name);

/* How a stop ends. */
enum stop_end { STOP_ENDS_STOPPED, STOP_ENDS_FAILED, STOP_ENDS_UNCHANGED };

struct call;

/* What a control request said about a pair. */
struct pair {
    const struct group_state *state; /* NULL: as its group */
    char message[STATUS_MESSAGE_BYTES];
    int64_t progress_percent; /* -1: by the time its synchronization takes */
};

struct group {
    char region[REGION_BYTES]; /* of the production site at first */
    char id[GROUP_ID_BYTES];
    bool exists;     /* false: only its name was seen */
    bool is_removed; /* by a control request; is_auto_create does not make it again */
    bool is_swapped; /* `region` is now that of the backup site */
    const struct group_state *state;
    int64_t since_ms;                       /* when the state began */
    bool has_one_shot;                      /* last_one_shot_ms is set */
    int64_t last_one_shot_ms;               /* when the last one-time synchronization started */
    bool has_recover_point;                 /* last_recover_ms is set */
    int64_t last_recover_ms;                /* when the last synchronization ended, simulated */
    bool has_older_point;                   /* older_recover_ms is set */
    int64_t older_recover_ms;               /* the recovery point before the last one */
    enum stop_end stop_end;                 /* of the next stop, or of the one in progress */
    const struct group_state *stopped_from; /* the state that a stop ended */
    char shown_status[STATUS_BYTES];        /* shown instead of the state; "": the state is */
    struct pair *pairs;  /* PAIR_LIMIT of them, or NULL where no control request named one */
    uint64_t effects;    /* starts and stops that had an effect */
    uint64_t overlaps;   /* starts and stops that came while another was in progress */
    struct call *active; /* starts and stops in progress */
    UT_hash_handle hh;
    char key[GROUP_KEY_BYTES];
};

struct groups {
    struct group *table; /* uthash, by "region/id" */
    int64_t rpo_ms;
    int64_t sync_ms;              /* how long initial_syncing, syncing and manual_syncing last */
    int64_t stop_ms;              /* how long stopping lasts */
    int64_t recover_late_ms;      /* how long after its synchronization a new point is shown */
    int pair_count;               /* pairs of each group */
    const char *secondary_region; /* of all groups */
    bool is_auto_create;
};

/*
 * The group of that name, up to date at `now_ms`. Its entry is made if need be; with
 * is_auto_create it then exists in `created`, unless a control request removed it, otherwise
 * `exists` is false. NULL if a name is too long.
 */
struct group *groups_get(struct groups *groups, const char *region, const char *id, int64_t now_ms);

/* The same without an entry made and as it was when last looked at; NULL if it has none. */
struct group *groups_find(const struct groups *groups, const char *region, const char *id);

/* Bring a group's state up to date. */
void group_refresh(const struct groups *groups, struct group *group, int64_t now_ms);

/* Put an existing or new group into a state. */
void group_set(struct group *group, const struct group_state *state, int64_t now_ms);

/* Whether a one-time synchronization started half the RPO ago or less. */
bool group_is_cooling(const struct groups *groups, const struct group *group, int64_t now_ms);

/* The effect of an allowed start or stop. */
void group_start(const struct groups *groups, struct group *group, bool is_one_shot,
                 int64_t now_ms);
void group_stop(const struct groups *groups, struct group *group, int64_t now_ms);

/* The region that has the group's record of its production or backup site now. */
const char *group_site_region(const struct groups *groups, const struct group *group,
                              bool is_backup);

/*
 * When the last synchronization ended, as an answer at `now_ms` shows it, in simulated time.
 * False if there was none.
 */
bool group_recover_point(const struct groups *groups, const struct group *group, int64_t now_ms,
                         int64_t *out_ms);

/* Set the last recovery point; a negative age removes it. */
void group_set_recover_point(struct group *group, int64_t now_ms, int64_t age_ms);

/* The id of a pair, `pair-<group>-<number>`; pairs count from 0, their numbers from 1. */
void pair_id(const struct group *group, int pair, char out_id[PAIR_ID_BYTES]);

/* The group and the pair that an id names. False if no pair can have it. */
bool pair_id_split(const char *id, char out_group[GROUP_ID_BYTES], int *out_pair);

/* What a control request said about a pair; made if need be, valid as long as the group. */
struct pair *pair_settings(struct group *group, int pair);

/*
 * The state of a pair: its group's unless a control request gave it one of its own. The first
 * pair of a group that is `invalid` is to blame for it, the others are `stopped`.
 */
const struct group_state *pair_state(const struct group *group, int pair);

/* Why a pair is `invalid` or `create_failed`; "" in all other states. */
const char *pair_message(const struct group *group, int pair);

/* How much of its synchronization is done. The first pair is the fastest, the last the slowest. */
int64_t pair_progress_percent(const struct groups *groups, const struct group *group, int pair,
                              int64_t now_ms);

void groups_fini(struct groups *groups);

#endif
