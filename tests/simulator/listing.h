/*
 * listing - how groups and pairs look in answers: their fields and the peculiarities of these.
 *
 * Source: the documented samples of DescribeDiskReplicaGroups and DescribeDiskReplicaPairs. PairIds
 * is one joined text in an array, StandbyRegion ends in a line feed. What a client should take as
 * well, although no page shows it, is a quirk that a test turns on.
 */
#ifndef SIMULATOR_LISTING_H
#define SIMULATOR_LISTING_H

#include "groups.h"

#include <cjson/cJSON.h>

enum quirk {
    QUIRK_ABSENT_ERROR,       /* an id that does not exist refuses the whole call */
    QUIRK_PAIRS_APART,        /* PairIds has an item for each id */
    QUIRK_TEXT_NUMBERS,       /* numbers are texts */
    QUIRK_PADDED_TEXT,        /* white space around ids and states */
    QUIRK_POINT_MS,           /* LastRecoverPoint is in milliseconds */
    QUIRK_POINT_ZERO,         /* LastRecoverPoint is 0 where there is none, instead of absent */
    QUIRK_POINT_NEGATIVE,     /* the same with -1 */
    QUIRK_POINT_NULL,         /* the same with null */
    QUIRK_NO_POINT,           /* LastRecoverPoint is never told */
    QUIRK_INITIAL_AS_SYNCING, /* groups, not pairs, show initial_syncing as syncing */
    QUIRK_EXTRA_ITEM,         /* the list also holds an item that does not exist */
    QUIRK_REPEATED,           /* the list holds each item twice */
    QUIRK_ENDLESS_PAGES,      /* every answer has a NextToken */
    QUIRK_COUNT,
};

/* What a control request or the command line chose; {0} is the documented sample. */
struct listing {
    bool quirks[QUIRK_COUNT];
    int64_t page_limit;        /* items in an answer at most; 0: as many as asked for */
    int64_t tag_count;         /* tags of each item, of the largest size */
    int64_t description_bytes; /* of each item */
};

/* Every item is in this resource group. */
#define LISTING_RESOURCE_GROUP "rg-simulated"

enum { TAG_COUNT_LIMIT = 20, DESCRIPTION_LIMIT_BYTES = 1000000 };

/* Turn on the quirk of a name. False if there is none. */
bool listing_add_quirk(struct listing *listing, const char *name);

/* What a list is made from. */
struct view {
    const struct groups *groups;
    const struct listing *listing;
    int64_t now_ms;         /* simulated */
    int64_t wall_offset_ms; /* from simulated time to time since 1970 */
    bool is_backup;         /* the records are those of the backup site */
};

/* A new item of ReplicaGroups or ReplicaPairs; `pair` counts from 0. */
cJSON *listing_group(const struct view *view, const struct group *group);
cJSON *listing_pair(const struct view *view, const struct group *group, int pair);

/* Add a number, as text where that quirk is on. */
void listing_add_number(const struct view *view, cJSON *item, const char *name, int64_t number);

#endif
