/*
 * region - what is known of a region: the calls that are under way there, whether one has
 * succeeded, whether the last ones hung; and from that, whether another one may begin.
 *
 * A region that no route names and where no call has succeeded yet is unproven: a sender may have
 * invented or misspelt it. All unproven regions together have the rate and the slots of one region,
 * and each of them has few of these slots. So they neither multiply api.rate_per_s nor take the
 * slots of other regions. A region whose last calls all hung gets one call at a time until one is
 * answered.
 *
 * Thread: the loop's; the monotonic time is passed in.
 */
#ifndef DISPATCH_REGION_H
#define DISPATCH_REGION_H

#include "allowance.h"
#include "ecs/outcome_map.h"
#include "model/route.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#define REGION_UNPROVEN_SLOTS 2   /* of one unproven region */
#define REGION_HUNG_MAX       3   /* hanging calls in a row; then one call at a time */
#define REGIONS_PROVEN_MAX    256 /* kept until the bridge ends; further ones stay unproven */

struct group;

struct region {
    UT_hash_handle hh;
    struct regions *regions;
    struct allowance allowance;
    struct group *queue; /* those whose first command may be called */
    bool is_proven;
    size_t in_flight;  /* slots */
    size_t task_count; /* commands of this region */
    uint32_t hung_in_a_row;
    char name[];
};

struct regions {
    const struct route *routes; /* they must outlive it, or the next regions_change() */
    size_t route_count;
    size_t in_flight_max; /* of one region: api.max_in_flight_per_region */
    double rate_per_s;
    double burst;
    struct region *table;      /* in the order in which they are served */
    struct allowance unproven; /* of all unproven regions */
    size_t unproven_in_flight;
    size_t proven_count;
};

/* `source`: who keeps the rates, see allowance.h; it must outlive the regions. */
void regions_init(struct regions *regions, const struct route *routes, size_t route_count,
                  size_t in_flight_max, double rate_per_s, double burst,
                  const struct allowance_source *source, int64_t now_ms);
/* The settings have changed. A region that a route names now is proven; one that was proven stays
 * so. */
void regions_change(struct regions *regions, const struct route *routes, size_t route_count,
                    size_t in_flight_max, double rate_per_s, double burst, int64_t now_ms);
/* All commands must be gone. */
void regions_fini(struct regions *regions);
/* The region of this name, which is made if there is none. */
struct region *regions_get(struct regions *regions, const char *name, int64_t now_ms);
/* The allowance of this name, which is that of a region, or "" for all unproven ones; NULL: the
 * region is gone. */
struct allowance *regions_find_allowance(struct regions *regions, const char *name);
/* Frees unproven regions without commands and slots. */
void regions_sweep(struct regions *regions);

/* Puts the region behind the others. */
void region_serve_last(struct region *region);
/* What limits its calls. */
struct allowance *region_allowance(struct region *region);
/* Whether one more call may be under way. */
bool region_has_slot(const struct region *region);
void region_take_slot(struct region *region);
void region_give_slot(struct region *region);
/* A call ended. A success, and a refusal that is about the state of the group, prove the region. */
void region_note_attempt(struct region *region, const struct attempt *attempt);

#endif
