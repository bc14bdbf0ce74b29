/*
 * Who reads the groups of a region: one run, until it is not registered any more. Its lease is that
 * of the run, and the guard of each transaction is the fence: another run takes a region only after
 * the expulsion, and none of the expelled run's transactions commits then.
 *
 * The owner knows the watches that it begins itself. Others count up the changes of the region; the
 * thread of the lease sees that, and the owner reads the region's watches again.
 */
#include "store_private.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

void postgres_forget_polled(struct store *store)
{
    struct polled_region *region;
    struct polled_region *next;
    LL_FOREACH_SAFE (store->polled, region, next) {
        free(region);
    }
    store->polled = NULL;
    store->must_read_watches = true;
}

/* ---- the beginning of a watch ---- */

static void take_poller(struct store *store, struct item *item, const PGresult *result)
{
    item->request->finish.is_polled_elsewhere = postgres_int(result, 0, 0) != store->run;
}

void postgres_put_begun_watch(struct store *store, struct item *item, const struct watch *replaced)
{
    const struct watch *begun = item->request->finish.begun;
    const struct postgres_value values[] = {postgres_bytes(slice_text(begun->region)),
                                            postgres_number(store->run)};
    int order = replaced == NULL ? 0 : strcmp(replaced->region, begun->region);
    const struct postgres_value other[] = {
        postgres_bytes(slice_text(order == 0 ? "" : replaced->region)), values[1]};
    item->request->finish.is_polled_elsewhere = true; /* if the answer is lost */
    if (order < 0) {                                  /* the rows are locked in one order */
        postgres_put(store, PG_NOTE_WATCH, other, 2, NULL, NULL);
    }
    postgres_put(store, PG_NOTE_WATCH, values, 2, take_poller, item);
    if (order > 0) {
        postgres_put(store, PG_NOTE_WATCH, other, 2, NULL, NULL);
    }
}

/* ---- regions that nobody polls ---- */

/* First the ids are read, as in an adoption: an id is never used again, so of two bridges one gets
 * the region. */
static enum status take_regions(struct store *store)
{
    struct buf lost = {0};
    enum status status = STATUS_OK;
    if (store->is_starting) { /* the watches may be copied ones */
        status = postgres_query(store, PG_ADD_POLLERS, NULL, 0);
    }
    if (status == STATUS_OK) {
        status = postgres_query(store, PG_LIST_LOST_POLLERS, NULL, 0);
    }
    if (status == STATUS_OK && PQntuples(store->kept) > 0) {
        postgres_append_ids(store->kept, &lost);
        const struct postgres_value values[] = {postgres_number(store->run),
                                                postgres_array(buf_slice(&lost))};
        postgres_begin(store);
        postgres_put(store, PG_TAKE_POLLERS, values, 2, NULL, NULL);
        status = postgres_commit(store);
        store->must_read_watches = true;
    }
    buf_fini(&lost);
    return status;
}

/* ---- the watches of the regions that this run polls ---- */

static struct polled_region *find_region(const struct store *store, struct slice name)
{
    struct polled_region *region;
    LL_FOREACH (store->polled, region) {
        if (slice_equals_text(name, region->name)) {
            return region;
        }
    }
    return NULL;
}

static struct polled_region *add_region(struct store *store, struct slice name)
{
    struct polled_region *region = mem_zalloc(1, sizeof *region + name.length + 1);
    memcpy(region->name, name.data, name.length);
    region->changes = -1;
    LL_APPEND(store->polled, region);
    return region;
}

static enum status read_region(struct store *store, struct ledger_batch *batch,
                               struct polled_region *region, int64_t changes)
{
    const struct postgres_value name[] = {postgres_bytes(slice_text(region->name))};
    enum status status = postgres_query(store, PG_LIST_REGION_WATCHES, name, 1);
    if (status != STATUS_OK) {
        return status;
    }
    ledger_batch_begin_region(batch, slice_text(region->name));
    for (int i = 0; i < PQntuples(store->kept); i++) {
        struct watch *watch = postgres_read_watch(store->kept, i);
        if (watch == NULL) {
            postgres_damaged(store, "a watch");
        } else {
            ledger_batch_add_watch(batch, watch);
        }
        watch_free(watch);
    }
    if (region->changes < 0) {
        LOG_INFO("region_polled", LOG_TEXT("region", region->name),
                 LOG_INT("watches", PQntuples(store->kept)));
    }
    region->changes = changes;
    return STATUS_OK;
}

/* The number of changes is read before the watches, so none of them is missed. */
static enum status read_watches(struct store *store, struct ledger_batch *batch)
{
    const struct postgres_value run[] = {postgres_number(store->run)};
    enum status status = postgres_query(store, PG_LIST_POLLED, run, 1);
    PGresult *polled = store->kept;
    if (status != STATUS_OK) {
        return status;
    }
    store->kept = NULL; /* the queries below keep others */
    for (int i = 0; i < PQntuples(polled) && status == STATUS_OK; i++) {
        struct slice name = postgres_slice(polled, i, 0);
        int64_t changes = postgres_int(polled, i, 1);
        struct polled_region *region = find_region(store, name);
        region = region == NULL ? add_region(store, name) : region;
        if (region->changes != changes) {
            status = read_region(store, batch, region, changes);
        }
    }
    PQclear(polled);
    return status;
}

void postgres_poll(struct store *store, struct ledger_batch *batch)
{
    if (store->must_take_regions) {
        store->must_take_regions = take_regions(store) != STATUS_OK;
    }
    if (store->must_read_watches && !store->must_take_regions) {
        store->must_read_watches = read_watches(store, batch) != STATUS_OK;
    }
}
