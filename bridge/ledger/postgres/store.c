#include "postgres.h"
#include "store_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "settings/store_uri.h"

#include <stdlib.h>
#include <unistd.h>

#define LEASE_MS 10000 /* of a store whose place says nothing */

static struct store *store_new(const struct store_place *place, bool is_full)
{
    struct store *store = mem_zalloc(1, sizeof *store);
    struct buf name = {0};
    store_uri_mask(place->location, &name);
    store->uri = mem_strdup(place->location);
    store->name = buf_take(&name);
    store->instance = mem_strdup(place->instance == NULL ? "" : place->instance);
    store->password_file = mem_strdup(place->password_file == NULL ? "" : place->password_file);
    store->is_full = is_full;
    store->lease_ms = place->lease_ms > 0 ? place->lease_ms : LEASE_MS;
    store->timeout_ms = (int)(store->lease_ms - LEASE_MARGIN_MS);
    store->validity = place->lease;
    store->counters = place->counters;
    store->lock_fd = -1;
    return store;
}

static void free_store(struct store *store)
{
    postgres_end_work(store);
    heads_clear(store);
    postgres_forget_polled(store);
    postgres_close(store->connection);
    PQclear(store->kept);
    timeline_free(store->timeline);
    if (store->lock_fd >= 0) {
        close(store->lock_fd);
    }
    free(store->sent);
    free(store->uri);
    free(store->name);
    free(store->instance);
    free(store->password_file);
    free(store);
}

/* Makes the tables if they are missing. */
static enum status open_database(struct store *store, struct buf *out_why)
{
    struct buf file = {0};
    postgres_append_state_path(store, ".timeline", &file);
    store->timeline = timeline_new(file.data, store->is_full);
    buf_fini(&file);
    enum status status = postgres_open_primary(store->uri, store->password_file, store->is_full,
                                               false, store->timeout_ms, store->timeline,
                                               &store->connection, &store->server, out_why);
    if (status == STATUS_OK) {
        status = postgres_migrate(store->connection, store->timeout_ms, out_why);
    }
    if (status == STATUS_OK) {
        status = postgres_prepare(store->connection, store->timeout_ms);
        if (status != STATUS_OK) {
            buf_append_text(out_why, postgres_error(store->connection));
        }
    }
    return status;
}

static enum status read_clock(struct store *store, struct buf *out_why)
{
    int64_t sent_ms = clock_boot_ms();
    enum status status = postgres_query(store, PG_GET_CLOCK, NULL, 0);
    if (status == STATUS_OK) {
        store->clock_offset_ms = postgres_int(store->kept, 0, 0) - (sent_ms + clock_boot_ms()) / 2;
    } else {
        buf_append_text(out_why, store->error);
    }
    return status;
}

/* The registration is the first renewal. */
static void begin_lease(struct store *store, const struct store_place *place)
{
    lease_begin(place->lease);
    lease_renewed(place->lease, store->registered_ms, store->lease_ms);
    const struct postgres_lease_options options = {.uri = store->uri,
                                                   .password_file = store->password_file,
                                                   .is_full = store->is_full,
                                                   .run = store->run,
                                                   .timeline = store->timeline,
                                                   .clock_offset_ms = store->clock_offset_ms,
                                                   .lease_ms = store->lease_ms,
                                                   .lease = place->lease,
                                                   .counters = place->counters,
                                                   .warns_of_loss = place->warns_of_loss,
                                                   .wake = place->wake,
                                                   .arg = place->wake_arg};
    store->lease = postgres_lease_new(&options);
}

static enum status open_store(const struct store_place *place, bool is_full,
                              struct store **out_store, struct buf *out_why)
{
    struct store *store = store_new(place, is_full);
    enum status status = postgres_lock(store, out_why);
    bool is_locked = status == STATUS_OK;
    if (status == STATUS_OK) {
        status = open_database(store, out_why);
    }
    if (status == STATUS_OK) {
        status = read_clock(store, out_why);
    }
    if (status == STATUS_OK) {
        status = postgres_register(store, out_why);
    }
    if (status != STATUS_OK) {
        free_store(store);
        /* What the server refuses now, for want of room or because it starts, it may allow later.
         */
        return status == STATUS_STORE && is_locked ? STATUS_UNAVAILABLE : status;
    }
    if (place->lease != NULL) {
        begin_lease(store, place);
    }
    *out_store = store;
    return STATUS_OK;
}

static enum status open_to_read(const struct store_place *place, struct store **out_store,
                                struct buf *out_why)
{
    struct store *store = store_new(place, false);
    store->is_reader = true;
    enum status status = postgres_open_to_read(store->uri, store->password_file, store->timeout_ms,
                                               &store->connection, out_why);
    if (status != STATUS_OK) {
        free_store(store);
        return status == STATUS_UNAVAILABLE ? STATUS_STORE : status;
    }
    *out_store = store;
    return STATUS_OK;
}

static void close_store(struct store *store)
{
    if (store == NULL) {
        return;
    }
    postgres_lease_free(store->lease);
    if (!store->is_reader) {
        postgres_unregister(store);
    }
    free_store(store);
}

static const char *error(struct store *store)
{
    return store->error;
}

const struct store_ops store_postgres_ops = {
    .open = open_store,
    .open_to_read = open_to_read,
    .inspect = postgres_inspect,
    .close = close_store,
    .start = postgres_start,
    .carry_out = postgres_carry_out,
    .clock_ms = postgres_clock_ms,
    .find = postgres_find,
    .each = postgres_each,
    .find_watch = postgres_find_watch,
    .each_watch = postgres_each_watch,
    .count_after = postgres_count_after,
    .summarise = postgres_summarise,
    .get_statistics = postgres_get_statistics,
    .verify = postgres_verify,
    .backup = postgres_backup,
    .get_meta = postgres_get_meta,
    .each_meta = postgres_each_meta,
    .error = error,
};
