/*
 * The copy is one transaction. When a table is written, it is read again, and each row is compared
 * with the source: so a difference that a trigger, an encoding or a damaged page makes is found
 * before anybody works with it.
 */
#include "ledger/move.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "ledger/sqlite/dump.h"
#include "ledger/sqlite/sqlite.h"
#include "settings/store_uri.h"
#include "store.h"

#ifdef WITH_POSTGRESQL
#include "ledger/postgres/load.h"
#include "ledger/postgres/schema.h"
#endif

#include <inttypes.h>

/* ---- the tables ---- */

#ifdef WITH_POSTGRESQL
static enum status migrate_shared(const char *store, const char *password_file, bool is_exclusive,
                                  struct buf *out, struct buf *out_why)
{
    int64_t before = 0;
    enum status status = postgres_make_tables(store, password_file, is_exclusive, &before, out_why);
    if (status == STATUS_OK && before == STORE_POSTGRES_VERSION) {
        buf_printf(out, "the tables have version %d already: nothing was changed\n",
                   STORE_POSTGRES_VERSION);
    } else if (status == STATUS_OK) {
        buf_printf(out, "the tables now have version %d (before: %" PRId64 ")\n",
                   STORE_POSTGRES_VERSION, before);
    }
    return status;
}

enum status ledger_look(const char *store, const char *password_file, int64_t *out_version,
                        bool *out_is_synchronous, struct buf *out_why)
{
    return postgres_look_at_tables(store, password_file, out_version, out_is_synchronous, out_why);
}
#else
static enum status refuse_shared(struct buf *out_why)
{
    buf_append_text(out_why, "this program was built without PostgreSQL");
    return STATUS_INVALID;
}

static enum status migrate_shared(const char *store, const char *password_file, bool is_exclusive,
                                  struct buf *out, struct buf *out_why)
{
    (void)store, (void)password_file, (void)is_exclusive, (void)out;
    return refuse_shared(out_why);
}

enum status ledger_look(const char *store, const char *password_file, int64_t *out_version,
                        bool *out_is_synchronous, struct buf *out_why)
{
    (void)store, (void)password_file, (void)out_version, (void)out_is_synchronous;
    return refuse_shared(out_why);
}
#endif

/* Opening a file for writing does the steps, and finds out whether it is in use. */
static enum status open_file(const char *name, const struct store_ops **out_ops,
                             struct store **out_store, struct buf *out_why)
{
    struct store_place place = {0};
    enum status status = store_choose(name, out_ops, &place.location, out_why);
    if (status == STATUS_OK) {
        status = store_sqlite_find(place.location, out_why); /* opening would make one */
    }
    return status == STATUS_OK ? (*out_ops)->open(&place, true, out_store, out_why) : status;
}

enum status ledger_migrate(const char *store, const char *password_file, bool is_exclusive,
                           struct buf *out, struct buf *out_why)
{
    const struct store_ops *ops = NULL;
    struct store *file = NULL;
    if (store_uri_is_shared(store)) {
        return migrate_shared(store, password_file, is_exclusive, out, out_why);
    }
    enum status status = open_file(store, &ops, &file, out_why);
    if (status == STATUS_OK) {
        buf_append_text(out, "the tables have the version of this program\n");
        ops->close(file);
    }
    return status;
}

/* ---- the copy ---- */

#ifdef WITH_POSTGRESQL
struct copying {
    const struct store_ops *ops;
    struct store *source;
    struct postgres_load *target;
    struct transfer_owner owner;
    int64_t counts[TRANSFER_COUNT];
    int64_t count; /* of the lines of this table */
};

/* Calls in flight become unsure, as at a start of a bridge. */
static enum status settle_source(struct copying *copying)
{
    static const struct ledger_limits limits = {0};
    struct ledger_batch *batch = mem_zalloc(1, sizeof *batch);
    batch->limits = &limits;
    batch->now_ms = clock_wall_ms();
    enum status status = copying->ops->start(copying->source, batch);
    ledger_batch_free(batch);
    return status;
}

static enum status put_line(void *arg, struct slice line)
{
    struct copying *copying = arg;
    copying->count++;
    return postgres_load_put(copying->target, line);
}

static enum status check_line(void *arg, struct slice line)
{
    struct copying *copying = arg;
    enum status status = postgres_check_line(copying->target, line);
    copying->count++;
    return status;
}

static enum status copy_table(struct copying *copying, enum transfer_table table,
                              struct buf *out_why)
{
    copying->count = 0;
    enum status status = postgres_load_begin(copying->target, table, out_why);
    if (status == STATUS_OK) {
        status = store_sqlite_dump(copying->source, table, &copying->owner, put_line, copying);
    }
    if (status == STATUS_STORE) {
        buf_append_text(out_why, copying->ops->error(copying->source));
    }
    copying->counts[table] = copying->count;
    /* Where the server has refused a line, this has the reason. */
    return status == STATUS_OK || status == STATUS_UNAVAILABLE
               ? postgres_load_end(copying->target, out_why)
               : status;
}

static enum status check_table(struct copying *copying, enum transfer_table table,
                               struct buf *out_why)
{
    copying->count = 0;
    enum status status = postgres_check_begin(copying->target, table, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    status = store_sqlite_dump(copying->source, table, &copying->owner, check_line, copying);
    if (status == STATUS_OK) {
        copying->count++;
        status = postgres_check_end(copying->target);
    }
    if (status != STATUS_OK) {
        buf_printf(out_why,
                   "row %" PRId64 " of the table %s is not in the database as it is in the source; "
                   "nothing was kept",
                   copying->count, postgres_load_name(table));
        status = STATUS_STORE;
    }
    return status;
}

static enum status copy_all(struct copying *copying, struct buf *out_why)
{
    enum status status = STATUS_OK;
    for (enum transfer_table table = 0; table < TRANSFER_COUNT && status == STATUS_OK; table++) {
        status = copy_table(copying, table, out_why);
        if (status == STATUS_OK) {
            status = check_table(copying, table, out_why);
        }
    }
    return status == STATUS_OK ? postgres_load_commit(copying->target, out_why) : status;
}

static void report(const struct copying *copying, const char *instance, struct buf *out)
{
    buf_printf(out, "copied for the instance %s, each row compared:", instance);
    for (size_t i = 0; i < TRANSFER_COUNT; i++) {
        buf_printf(out, "%s %" PRId64 " %s", i == 0 ? "" : ",", copying->counts[i],
                   postgres_load_name((enum transfer_table)i));
    }
    buf_append_char(out, '\n');
}

enum status ledger_copy(const struct ledger_copy *copy, struct buf *out, struct buf *out_why)
{
    struct copying copying = {.owner.instance = copy->instance};
    int64_t before;
    if (store_uri_is_shared(copy->from) || !store_uri_is_shared(copy->to)) {
        buf_append_text(out_why, "a copy is from \"sqlite:PATH\" to \"postgresql://...\"");
        return STATUS_INVALID;
    }
    enum status status = open_file(copy->from, &copying.ops, &copying.source, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    copying.owner.run = digest_random_id();
    status = postgres_make_tables(copy->to, copy->password_file, false, &before, out_why);
    if (status == STATUS_OK) {
        status = postgres_load_open(copy->to, copy->password_file, &copying.target, out_why);
    }
    if (status == STATUS_OK && settle_source(&copying) != STATUS_OK) {
        buf_append_text(out_why, copying.ops->error(copying.source));
        status = STATUS_STORE;
    }
    if (status == STATUS_OK) {
        status = copy_all(&copying, out_why);
    }
    if (status == STATUS_OK) {
        report(&copying, copy->instance, out);
    }
    postgres_load_close(copying.target);
    copying.ops->close(copying.source);
    return status;
}
#else
enum status ledger_copy(const struct ledger_copy *copy, struct buf *out, struct buf *out_why)
{
    (void)copy, (void)out;
    buf_append_text(out_why, "this program was built without PostgreSQL");
    return STATUS_INVALID;
}
#endif
