#include "region.h"

#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void regions_init(struct regions *regions, const struct route *routes, size_t route_count,
                  size_t in_flight_max, double rate_per_s, double burst,
                  const struct allowance_source *source, int64_t now_ms)
{
    *regions = (struct regions){.routes = routes,
                                .route_count = route_count,
                                .in_flight_max = in_flight_max,
                                .rate_per_s = rate_per_s,
                                .burst = burst};
    allowance_init(&regions->unproven, source, "", rate_per_s, burst, now_ms);
}

static bool is_named(const struct regions *regions, const char *name)
{
    bool is_named = false;
    for (size_t i = 0; i < regions->route_count; i++) {
        is_named = is_named || route_names_region(&regions->routes[i], name);
    }
    return is_named;
}

void regions_change(struct regions *regions, const struct route *routes, size_t route_count,
                    size_t in_flight_max, double rate_per_s, double burst, int64_t now_ms)
{
    struct region *region;
    struct region *next;
    regions->routes = routes;
    regions->route_count = route_count;
    regions->in_flight_max = in_flight_max;
    regions->rate_per_s = rate_per_s;
    regions->burst = burst;
    allowance_change(&regions->unproven, rate_per_s, burst, now_ms);
    HASH_ITER (hh, regions->table, region, next) {
        allowance_change(&region->allowance, rate_per_s, burst, now_ms);
        if (!region->is_proven && is_named(regions, region->name)) {
            region->is_proven = true;
            regions->unproven_in_flight -= region->in_flight;
        }
    }
}

static void region_free(struct region *region)
{
    struct regions *regions = region->regions;
    /* NOLINTNEXTLINE(clang-analyzer-*): the table is freed with the last region only */
    HASH_DEL(regions->table, region);
    free(region);
}

void regions_fini(struct regions *regions)
{
    struct region *region;
    struct region *next;
    HASH_ITER (hh, regions->table, region, next) {
        region_free(region);
    }
}

struct region *regions_get(struct regions *regions, const char *name, int64_t now_ms)
{
    struct region *region = NULL;
    HASH_FIND_STR(regions->table, name, region);
    if (region == NULL) {
        size_t length = strlen(name);
        region = mem_zalloc(1, sizeof *region + length + 1);
        memcpy(region->name, name, length);
        region->regions = regions;
        allowance_init(&region->allowance, regions->unproven.source, region->name,
                       regions->rate_per_s, regions->burst, now_ms);
        region->is_proven = is_named(regions, name);
        HASH_ADD_STR(regions->table, name, region);
    }
    return region;
}

struct allowance *regions_find_allowance(struct regions *regions, const char *name)
{
    struct region *region = NULL;
    if (name[0] == '\0') {
        return &regions->unproven;
    }
    HASH_FIND_STR(regions->table, name, region);
    return region == NULL ? NULL : &region->allowance;
}

void regions_sweep(struct regions *regions)
{
    struct region *region;
    struct region *next;
    HASH_ITER (hh, regions->table, region, next) {
        if (!region->is_proven && region->task_count == 0 && region->in_flight == 0) {
            region_free(region);
        }
    }
}

void region_serve_last(struct region *region)
{
    struct regions *regions = region->regions;
    HASH_DEL(regions->table, region);
    HASH_ADD_STR(regions->table, name, region);
}

struct allowance *region_allowance(struct region *region)
{
    return region->is_proven ? &region->allowance : &region->regions->unproven;
}

static bool is_hanging(const struct region *region)
{
    return region->hung_in_a_row >= REGION_HUNG_MAX;
}

bool region_has_slot(const struct region *region)
{
    const struct regions *regions = region->regions;
    size_t most = regions->in_flight_max;
    if (is_hanging(region)) {
        most = 1;
    } else if (!region->is_proven && most > REGION_UNPROVEN_SLOTS) {
        most = REGION_UNPROVEN_SLOTS;
    }
    return region->in_flight < most &&
           (region->is_proven || regions->unproven_in_flight < regions->in_flight_max);
}

void region_take_slot(struct region *region)
{
    region->in_flight++;
    region->regions->unproven_in_flight += !region->is_proven;
}

void region_give_slot(struct region *region)
{
    assert(region->in_flight > 0);
    region->in_flight--;
    region->regions->unproven_in_flight -= !region->is_proven;
}

static void prove(struct region *region)
{
    struct regions *regions = region->regions;
    if (!region->is_proven && regions->proven_count < REGIONS_PROVEN_MAX) {
        region->is_proven = true;
        allowance_copy(&region->allowance,
                       &regions->unproven); /* else it would have a second burst */
        regions->proven_count++;
        regions->unproven_in_flight -= region->in_flight;
    }
}

void region_note_attempt(struct region *region, const struct attempt *attempt)
{
    const struct outcome *outcome = &attempt->outcome;
    bool is_about_group = !outcome->is_from_bridge && (outcome->category == CATEGORY_CONFLICT ||
                                                       outcome->category == CATEGORY_COOLDOWN);
    if (attempt->has_hung) {
        bool was_hanging = is_hanging(region);
        region->hung_in_a_row += !was_hanging;
        if (is_hanging(region) && !was_hanging) {
            LOG_WARN("region_hangs", LOG_TEXT("region", region->name),
                     LOG_TEXT("message", outcome->message));
        }
    } else {
        region->hung_in_a_row = 0;
    }
    if (attempt->reaction == REACTION_DONE || is_about_group) {
        prove(region);
    }
}
