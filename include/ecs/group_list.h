/*
 * group_list - the groups that the answers of DescribeDiskReplicaGroups list, and what the answers
 * about their pairs say.
 *
 * Tolerant where the API is known not to be strict: white space around texts, numbers that come as
 * texts, a recovery point in milliseconds, ids of pairs joined by commas.
 *
 * Source: the vendor's API reference of the product ebs, version 2021-07-30.
 *
 * Thread: any; pure.
 */
#ifndef ECS_GROUP_LIST_H
#define ECS_GROUP_LIST_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/group.h"
#include "model/route.h"

#include <stddef.h>

/* More pairs than a group may have (17) are not read. */
#define GROUP_PAIRS_MAX 64

struct listed_group {
    char *id;
    /* Its status is "" where the answer's cannot be read: nothing is known of the group then, but
     * it exists. progress_percent is -1: groups do not have it. */
    struct group_view view;
    struct text_list pairs; /* ids */
};

struct group_list {
    struct listed_group *groups;
    size_t count;
    char *next_token; /* of the last page that was read; NULL: it was the last one */
};

/*
 * Adds the groups of one page. STATUS_INVALID, with nothing added, where the body is no JSON object
 * with a list ReplicaGroups; STATUS_LIMIT, with the groups added, where there is a further page
 * whose token cannot be sent. Items that are no objects or have no ReplicaGroupId are left out.
 */
enum status group_list_read(struct group_list *list, struct slice body);
/* The first group with this id, or NULL. */
const struct listed_group *group_list_find(const struct group_list *list, const char *id);
/* {0} again. */
void group_list_fini(struct group_list *list);

/*
 * Appends the pairs of this group that an answer of DescribeDiskReplicaPairs lists, as a JSON array
 * of {ReplicaPairId, Status, StatusMessage}, each pair once; what cannot be read of one is left
 * out. STATUS_INVALID, with nothing appended, where the body has no list ReplicaPairs.
 */
enum status pair_states_read(struct slice body, const char *group, struct buf *out);
/* Reads the percentage of an answer of DescribeDiskReplicaPairProgress. STATUS_INVALID: it has no
 * number from 0 to 100. */
enum status pair_progress_read(struct slice body, int *out_percent);

#endif
