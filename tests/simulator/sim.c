/* The simulator's state as a whole. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

int64_t sim_now_ms(const struct sim *sim)
{
    return base_monotonic_ms() - sim->started_ms + sim->advanced_ms;
}

int64_t sim_wall_ms(const struct sim *sim)
{
    return base_wall_ms() + sim->clock_offset_ms;
}

static void reset_groups(struct sim *sim)
{
    struct group *group = NULL;
    struct group *next = NULL;
    HASH_ITER (hh, sim->groups.table, group, next) {
        /* The entry stays after the reset, since calls in progress may point at it. */
        group->exists = false;
        group->is_removed = false;
        group->is_swapped = false;
        group->has_one_shot = false;
        group_set_recover_point(group, 0, -1);
        group->stop_end = STOP_ENDS_STOPPED;
        group->shown_status[0] = '\0';
        free(group->pairs);
        group->pairs = NULL;
        group->effects = 0;
        group->overlaps = 0;
    }
    for (int i = 0; i < sim->options.group_count; i++) {
        char region[REGION_BYTES];
        char id[GROUP_ID_BYTES];
        char state[32];
        options_split_group(sim->options.groups[i], region, id, state);
        group = groups_get(&sim->groups, region, id, sim_now_ms(sim));
        group_set(group, group_state_find(state[0] ? state : "created"), sim_now_ms(sim));
    }
}

void sim_reset(struct sim *sim)
{
    uint64_t connections = sim->totals.connections;
    sim->reset_count++;
    sim->totals = (struct totals){.connections = connections};
    memset(sim->limits, 0, sizeof sim->limits);
    sim->advanced_ms = 0;
    sim->clock_offset_ms = sim->options.clock_offset_ms;
    for (int i = 0; i < ACCESS_KEY_LIMIT; i++) {
        sim->keys[i] = sim->options.keys[i];
    }
    faults_clear(&sim->faults);
    sim->faults.taken_total = 0;
    tokens_fini(&sim->tokens);
    nonces_fini(&sim->nonces);
    sim->nonces.rotated_ms = base_monotonic_ms();
    journal_forget(sim->journal);
    sim->listing = sim->options.listing;
    sim->groups.rpo_ms = sim->options.rpo_ms;
    sim->groups.sync_ms = sim->options.sync_ms;
    sim->groups.stop_ms = sim->options.stop_ms;
    sim->groups.recover_late_ms = sim->options.recover_late_ms;
    sim->groups.pair_count = (int)sim->options.pair_count;
    sim->groups.secondary_region = sim->options.secondary_region;
    sim->groups.is_auto_create = sim->options.is_auto_create;
    reset_groups(sim);
}

void sim_init(struct sim *sim, const struct options *options)
{
    *sim = (struct sim){.options = *options, .started_ms = base_monotonic_ms()};
    sim->journal = base_alloc(sizeof *sim->journal);
    sim_reset(sim);
}

void sim_fini(struct sim *sim)
{
    faults_clear(&sim->faults);
    tokens_fini(&sim->tokens);
    nonces_fini(&sim->nonces);
    groups_fini(&sim->groups);
    free(sim->journal);
    sim->journal = NULL;
}

const char *call_header(const struct call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}
