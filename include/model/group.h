/*
 * group - the states of a replica group, and what one answer of the API shows of it.
 *
 * Rows are tables/group_states.def.
 *
 * Thread: any; pure.
 */
#ifndef MODEL_GROUP_H
#define MODEL_GROUP_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum group_class { GROUP_MOVING, GROUP_REST, GROUP_GOOD, GROUP_FAILED, GROUP_GONE };

/* What a command does with a group: a start with OneShot false or true, or a stop. */
enum group_change { CHANGE_START, CHANGE_ONE_SHOT, CHANGE_STOP, GROUP_CHANGE_COUNT };

/* The site whose record of the group is read. */
enum group_site { GROUP_SITE_PRODUCTION, GROUP_SITE_BACKUP };

/* A state's name and its NUL. */
#define GROUP_STATUS_BYTES 64

struct group_view {
    char status[GROUP_STATUS_BYTES]; /* printable ASCII; "": never seen */
    int64_t recover_point_s;         /* LastRecoverPoint, seconds since 1970; 0: none */
    int64_t rpo_s;                   /* 0: not known */
    int progress_percent;            /* of the pair that is behind the others; -1: not known */
};

struct group_observation {
    int64_t at_ms; /* when the API answered, on its own clock */
    struct group_view view;
};

/* The class of a state; GROUP_MOVING where the table has none such. */
enum group_class group_class(const char *status);
/* Appends the states in which the API takes the change: "created, syncing, normal and stopped". */
void group_put_states(enum group_change change, struct buf *out);
/* Whether the text can be a state: 1 to GROUP_STATUS_BYTES - 1 bytes, printable ASCII. */
bool group_status_is_valid(struct slice text);
/* Whether the group copies cycle by cycle: normal or syncing. */
bool group_is_replicating(const struct group_view *view);
/* Whether a first or a one-time copy is under way, whose progress the API tells. Lists of groups
 * may show a first copy as syncing. */
bool group_is_copying(const struct group_view *view);
/* Whether the last recovery point is older at `at_ms` than rpo_s * factor; false where there is
 * none. */
bool group_is_behind(const struct group_view *view, int64_t at_ms, int64_t rpo_s, double factor);

#endif
