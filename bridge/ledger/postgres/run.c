/*
 * The start and the end of a run. A start takes over what the earlier run of the same instance
 * held, where that run is known to be dead: the lock file beside it is
 * free, or it has not renewed its lease for so long as the lease lasts.
 */
#include "store_private.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "ledger/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The last run of this instance, and whether it was closed. */
#define RUN_META    "ledger.run"
#define WATCH_MS    500
#define CLOSED_META "ledger.is_closed"

/* ---- the place of a run ---- */

/* The folder that survives a restart. */
static void append_state_folder(struct buf *out)
{
    char folder[PATH_MAX];
    const char *given = getenv("STATE_DIRECTORY");
    const char *path = given == NULL || given[0] == '\0' ? "." : given;
    buf_append_text(out, realpath(path, folder) == NULL ? path : folder);
}

/* Where the run is, for the next one: a part that is the same where the lock file proves that the
 * earlier one is dead, then a part for people. */
static size_t append_place(struct buf *out)
{
    char host[HOST_NAME_MAX + 1] = "";
    buf_printf(out, "boot=%" PRId64 " state=", ledger_clock_boot());
    append_state_folder(out);
    size_t length = out->length;
    gethostname(host, sizeof host - 1);
    buf_printf(out, " host=%s pid=%d", host, (int)getpid());
    return length;
}

void postgres_append_state_path(const struct store *store, const char *ending, struct buf *out)
{
    append_state_folder(out);
    buf_append_char(out, '/');
    for (const char *c = store->instance; *c != '\0'; c++) {
        buf_append_char(out, (char)(*c == '/' ? '_' : *c));
    }
    buf_append_text(out, ending);
}

enum status postgres_lock(struct store *store, struct buf *out_why)
{
    struct buf path = {0};
    enum status status = STATUS_OK;
    postgres_append_state_path(store, ".lock", &path);
    store->lock_fd = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (store->lock_fd < 0) {
        buf_printf(out_why, "cannot open the lock file %s: %s", path.data, strerror(errno));
        status = STATUS_STORE;
    } else if (fcntl(store->lock_fd, F_OFD_SETLK, &lock) != 0) {
        buf_printf(out_why, "the instance \"%s\" is in use: another process has the lock of %s",
                   store->instance, path.data);
        status = STATUS_BUSY;
    }
    buf_fini(&path);
    return status;
}

/* ---- the start ---- */

/* What the start knows about the run of its instance that is registered. */
struct found {
    int64_t run; /* 0: there is none */
    int64_t n;   /* its number, which a living run changes once a second */
    int64_t lease_ms;
    bool is_dead; /* another run with this place cannot be alive: this one has its lock */
};

static enum status find_registered(struct store *store, struct slice same_place,
                                   struct found *out_found)
{
    const struct postgres_value instance[] = {postgres_bytes(slice_text(store->instance))};
    enum status status = postgres_query(store, PG_FIND_BRIDGE, instance, 1);
    *out_found = (struct found){0};
    if (status == STATUS_OK && PQntuples(store->kept) > 0) {
        struct slice place = postgres_slice(store->kept, 0, 1);
        *out_found = (struct found){
            .run = postgres_int(store->kept, 0, 0),
            .n = postgres_int(store->kept, 0, 2),
            .lease_ms = postgres_int(store->kept, 0, 3),
            .is_dead = place.length > same_place.length && place.data[same_place.length] == ' ' &&
                       memcmp(place.data, same_place.data, same_place.length) == 0};
        snprintf(store->error, sizeof store->error, "%.*s", (int)place.length, place.data);
    }
    return status;
}

/*
 * A run of this instance at another place: watches it for the length of its lease. STATUS_OK: it
 * does not renew its lease, or has gone. STATUS_BUSY: it is alive.
 */
static enum status watch_registered(struct store *store, const struct found *found,
                                    struct buf *out_why)
{
    struct buf place = {0};
    const struct timespec pause = {.tv_nsec = WATCH_MS * 1000000L};
    int64_t end_ms = clock_boot_ms() + found->lease_ms;
    struct found now = *found;
    enum status status = STATUS_OK;
    buf_append_text(&place, store->error);
    LOG_WARN("instance_registered", LOG_TEXT("place", place.data),
             LOG_INT("wait_ms", found->lease_ms));
    while (status == STATUS_OK && now.run == found->run && now.n == found->n &&
           clock_boot_ms() < end_ms) {
        (void)nanosleep(&pause, NULL);
        status = find_registered(store, slice_text(""), &now);
    }
    if (status == STATUS_OK && now.run != 0 && (now.run != found->run || now.n != found->n)) {
        buf_printf(out_why,
                   "the instance \"%s\" is in use at another place (%s): give each bridge an "
                   "instance of its own",
                   store->instance, place.data);
        status = STATUS_BUSY;
    }
    buf_fini(&place);
    return status;
}

/* Replaces the earlier run by this one, which gets all that it held. */
static enum status replace_run(struct store *store, int64_t earlier, const char *place)
{
    const struct postgres_value both[] = {postgres_number(store->run), postgres_number(earlier)};
    const struct postgres_value row[] = {
        postgres_number(store->run), postgres_bytes(slice_text(store->instance)),
        postgres_number(store->lease_ms), postgres_bytes(slice_text(place))};
    const struct postgres_value run[] = {postgres_bytes(slice_text(store->instance)),
                                         postgres_bytes(slice_text(RUN_META)),
                                         postgres_number(store->run)};
    struct item inserted = {0};
    postgres_put(store, PG_REMOVE_STEP, &both[1], 1, NULL, NULL);
    postgres_put(store, PG_REGISTER, row, 4, postgres_take_row, &inserted);
    postgres_put(store, PG_TAKE_HEADS, both, 2, NULL, NULL);
    postgres_put(store, PG_TAKE_OUTBOX, both, 2, NULL, NULL);
    postgres_put(store, PG_SET_META, run, 3, NULL, NULL);
    enum status status = postgres_flush(store);
    if (status == STATUS_OK && !inserted.has_row) {
        status = postgres_fail(store, "another bridge of this instance starts at the same time");
    }
    return status;
}

/* Takes the place of the run that was found, if that has not renewed its lease since. */
static enum status take_place(struct store *store, const struct found *found, const char *place)
{
    int64_t earlier = 0;
    struct item removed = {.has_row = true};
    const struct postgres_value row[] = {postgres_number(found->run), postgres_number(found->n)};
    store->registered_ms = clock_boot_ms();
    postgres_put_text(store, "BEGIN");
    enum status status = postgres_get_meta(store, RUN_META, &earlier);
    status = status == STATUS_NOT_FOUND ? STATUS_OK : status;
    if (status == STATUS_OK && found->run != 0) {
        earlier = found->run;
        postgres_put(store, PG_EXPEL, row, 2, postgres_take_row, &removed);
        status = postgres_flush(store);
    }
    if (status == STATUS_OK && !removed.has_row) {
        status = postgres_fail(store, "the earlier bridge of this instance came back meanwhile");
    }
    if (status == STATUS_OK) {
        status = replace_run(store, earlier, place);
    }
    if (status == STATUS_OK) {
        status = postgres_commit(store);
    }
    return status;
}

enum status postgres_register(struct store *store, struct buf *out_why)
{
    struct buf place = {0};
    struct found found;
    size_t same_length = append_place(&place);
    store->run = digest_random_id();
    store->session = 0;
    enum status status = find_registered(store, slice_of(place.data, same_length), &found);
    if (status == STATUS_OK && found.run != 0 && !found.is_dead) {
        status = watch_registered(store, &found, out_why);
    }
    if (status == STATUS_OK) {
        status = take_place(store, &found, place.data);
    }
    if (status != STATUS_OK && out_why->length == 0) {
        buf_append_text(out_why, store->error);
    }
    buf_fini(&place);
    return status;
}

/* ---- the first batch ---- */

/* Calls that were in flight become UNSURE, and the run is not closed. */
static enum status reset_calls(struct store *store, const struct ledger_batch *batch)
{
    int64_t was_closed = 1;
    enum status status = postgres_get_meta(store, CLOSED_META, &was_closed);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        return status;
    }
    struct buf event = {0};
    history_put_interrupted(&event, batch->now_ms, was_closed == 0);
    const struct postgres_value calls[] = {postgres_number(store->run),
                                           postgres_number(was_closed == 0),
                                           postgres_bytes(buf_slice(&event))};
    const struct postgres_value closed[] = {postgres_bytes(slice_text(store->instance)),
                                            postgres_bytes(slice_text(CLOSED_META)),
                                            postgres_number(0)};
    postgres_begin(store);
    postgres_put(store, PG_RESET_CALLS, calls, 3, NULL, NULL);
    postgres_put(store, PG_SET_META, closed, 3, NULL, NULL);
    buf_fini(&event);
    return postgres_commit(store);
}

static enum status add_heads(struct store *store, struct ledger_batch *batch)
{
    const struct postgres_value run[] = {postgres_number(store->run)};
    enum status status = postgres_query(store, PG_OWN_HEADS, run, 1);
    for (int i = 0; status == STATUS_OK && i < PQntuples(store->kept); i++) {
        int64_t waiters;
        struct command *command = heads_add_row(store, batch, i, &waiters);
        if (command == NULL) {
            postgres_damaged(store, PQgetvalue(store->kept, i, COLUMN_token));
            return STATUS_STORE;
        }
        ledger_batch_take_command(batch, command);
    }
    return status;
}

enum status postgres_start(struct store *store, struct ledger_batch *batch)
{
    enum status status = reset_calls(store, batch);
    if (status == STATUS_OK) {
        status = add_heads(store, batch);
    }
    if (status == STATUS_OK) {
        store->is_starting = true;
        store->must_take_regions = true;
        status = postgres_carry_out(store, batch);
        store->is_starting = false;
    }
    store->is_started = status == STATUS_OK;
    return status == STATUS_OK ? STATUS_OK : STATUS_STORE;
}

/* ---- the end ---- */

/* If this cannot be written, the next start finds a run that was not closed. */
void postgres_unregister(struct store *store)
{
    if (store->connection == NULL || postgres_is_lost(store->connection) || store->is_expelled) {
        return;
    }
    struct buf event = {0};
    history_put_interrupted(&event, clock_wall_ms(), false);
    const struct postgres_value calls[] = {postgres_number(store->run), postgres_number(0),
                                           postgres_bytes(buf_slice(&event))};
    const struct postgres_value closed[] = {postgres_bytes(slice_text(store->instance)),
                                            postgres_bytes(slice_text(CLOSED_META)),
                                            postgres_number(1)};
    postgres_begin(store);
    if (store->is_started) {
        postgres_put(store, PG_RESET_CALLS, calls, 3, NULL, NULL);
        postgres_put(store, PG_SET_META, closed, 3, NULL, NULL);
    }
    postgres_put(store, PG_REMOVE_BRIDGE, calls, 1, NULL, NULL);
    postgres_put(store, PG_REMOVE_STEP, calls, 1, NULL, NULL);
    postgres_commit(store);
    buf_fini(&event);
}
