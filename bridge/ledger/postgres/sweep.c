/*
 * Upkeep of what waits in line, in each bridge: commands past their deadline get their outcome,
 * groups that have a line and no head get one, commands that nobody adopts are warned of, and so
 * are bridges with different rates.
 *
 * The lease's thread sees once a second whether there is an overdue command. A batch ends a few of
 * them, each in a transaction of its own, and has the store called again while there are more.
 * Several bridges may try the same one: who comes second finds that it does not wait any more.
 */
#include "store_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

#define OVERDUE_MAX    16 /* in one batch, whose requests wait for them */
#define LINES_CHECK_MS 30000
#define HEADLESS_MAX   64
#define RATE_META      "api.rate_per_1000_s"

/* ---- commands past their deadline ---- */

/* The request has the token and the group; the rest is that of the row, when it is locked. */
static void add_item(struct store *store, struct slice token, struct slice group)
{
    static const struct request_type OVERDUE = {.kind = REQUEST_FINISH};
    struct work *work = &store->work;
    struct ledger_request *request = mem_zalloc(1, sizeof *request);
    request->type = &OVERDUE;
    buf_append(&request->finish.order.token, token);
    buf_append(&request->finish.order.note, group);
    request_list_append(&work->batch->overdue, request);
    work->items = mem_realloc(work->items, (work->count + 1) * sizeof *work->items);
    work->items[work->count++] =
        (struct item){.request = request, .stage = ITEM_ALONE, .is_overdue = true};
}

enum status postgres_find_overdue(struct store *store)
{
    struct work *work = &store->work;
    work->is_swept = true;
    if (store->lease == NULL || store->is_starting || !postgres_lease_take_overdue(store->lease)) {
        return STATUS_OK;
    }
    const struct postgres_value values[] = {postgres_number(store->work.batch->now_ms),
                                            postgres_number(OVERDUE_MAX)};
    if (postgres_query(store, PG_LIST_OVERDUE, values, 2) != STATUS_OK) {
        return STATUS_OK; /* the next renewal sees them again */
    }
    work->alone = NULL; /* the items move */
    int count = PQntuples(store->kept);
    for (int i = 0; i < count; i++) {
        add_item(store, postgres_slice(store->kept, i, 0), postgres_slice(store->kept, i, 1));
    }
    if (count == OVERDUE_MAX) {
        postgres_lease_call_again(store->lease);
    }
    return STATUS_OK;
}

/* ---- lines without a head ---- */

static enum status promote(struct store *store, const char *group)
{
    postgres_begin(store);
    postgres_put_promote(store, group);
    enum status status = postgres_commit(store);
    store->is_adoption_unknown = store->is_adoption_unknown || status == STATUS_UNAVAILABLE;
    if (status == STATUS_OK && store->work.promoted_count > 0) {
        LOG_ERROR("line_without_head", LOG_TEXT("group", group),
                  LOG_TEXT("token", store->work.promoted[0].command->token));
        postgres_take_over(store);
    }
    return status;
}

/* ---- rates ---- */

/* A bridge that has just started or reloaded its settings may have an older value in the store for
 * a moment, so a difference is reported when it is there the next time too. */
static void compare_rates(struct store *store)
{
    double rate_per_s = store->work.batch->limits->rate_per_s;
    const struct postgres_value instance = postgres_bytes(slice_text(store->instance));
    const struct postgres_value key = postgres_bytes(slice_text(RATE_META));
    const struct postgres_value own[] = {instance, key,
                                         postgres_number((int64_t)(rate_per_s * 1000))};
    if (postgres_query(store, PG_SET_META, own, 3) != STATUS_OK ||
        postgres_query(store, PG_LIST_OTHER_RATES, own, 2) != STATUS_OK) {
        return;
    }
    bool has_others = PQntuples(store->kept) > 0;
    if (has_others && store->has_other_rates && !store->has_warned_of_rates) {
        for (int i = 0; i < PQntuples(store->kept); i++) {
            char theirs[32];
            char ours[32];
            snprintf(theirs, sizeof theirs, "%g", (double)postgres_int(store->kept, i, 1) / 1000);
            snprintf(ours, sizeof ours, "%g", rate_per_s);
            LOG_WARN("rates_differ", LOG_SLICE("instance", postgres_slice(store->kept, i, 0)),
                     LOG_TEXT("rate_per_s", theirs), LOG_TEXT("own_rate_per_s", ours));
        }
        store->has_warned_of_rates = true;
    }
    store->has_warned_of_rates = store->has_warned_of_rates && has_others;
    store->has_other_rates = has_others;
}

void postgres_check_lines(struct store *store)
{
    const struct postgres_value limit[] = {postgres_number(HEADLESS_MAX)};
    int64_t now_ms = clock_boot_ms();
    if (now_ms < store->lines_check_at_ms ||
        postgres_query(store, PG_LIST_HEADLESS, limit, 1) != STATUS_OK) {
        return;
    }
    store->lines_check_at_ms = now_ms + LINES_CHECK_MS;
    PGresult *groups = store->kept;
    store->kept = NULL;
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < PQntuples(groups); i++) {
        struct buf group = {0};
        buf_append(&group, postgres_slice(groups, i, 0));
        status = promote(store, group.data);
        buf_fini(&group);
    }
    PQclear(groups);
    compare_rates(store);
}

/* ---- commands that nobody adopts ---- */

enum status postgres_warn_of_left(struct store *store, struct slice dead, struct slice routes)
{
    const struct postgres_value values[] = {postgres_array(dead), postgres_array(routes)};
    enum status status = postgres_query(store, PG_LIST_LEFT, values, 2);
    int64_t now_ms = clock_boot_ms();
    if (status != STATUS_OK) {
        return status;
    }
    if (PQntuples(store->kept) == 0) {
        store->left_since_ms = 0;
    } else if (store->left_since_ms == 0) {
        store->left_since_ms = now_ms;
        store->has_warned_of_left = false;
    } else if (now_ms - store->left_since_ms >= store->lease_ms && !store->has_warned_of_left) {
        for (int i = 0; i < PQntuples(store->kept); i++) {
            LOG_WARN("route_without_bridge", LOG_SLICE("route", postgres_slice(store->kept, i, 0)),
                     LOG_INT("commands", postgres_int(store->kept, i, 1)));
        }
        store->has_warned_of_left = true;
    }
    return STATUS_OK;
}
