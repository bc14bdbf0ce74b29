/*
 * A claim that met a row of its token, or a head of its group. It locks the head, then the token's
 * row: then nobody can finish the head, or promote the row, before this transaction ends. An
 * operator's order begins a command again in the same way.
 */
#include "store_private.h"

#include "base/mem.h"
#include "ledger/rules.h"

#include <stdlib.h>

#define TURNS_MAX 50 /* others change the group meanwhile */

/* What is locked. */
struct found {
    PGresult *head; /* one row: token and owner; none: the group is free */
    PGresult *row;  /* one row, or none */
    int64_t waiters;
};

static void keep(PGresult **out, const PGresult *result)
{
    PQclear(*out);
    *out = PQcopyResult(result, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
    if (*out == NULL) {
        abort(); /* out of memory, as mem_zalloc() */
    }
}

/* The results of a look come one after the other. */
struct look {
    struct item item; /* the first member */
    struct found *found;
};

static void take_head(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    keep(&((struct look *)item)->found->head, result);
}

static void take_row(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    keep(&((struct look *)item)->found->row, result);
}

static void take_waiters(struct store *store, struct item *item, const PGresult *result)
{
    (void)store;
    ((struct look *)item)->found->waiters = postgres_int(result, 0, 0);
}

static void found_fini(struct found *found)
{
    PQclear(found->head);
    PQclear(found->row);
    *found = (struct found){0};
}

/* Begins the transaction and locks the group's head and the token's row. */
static enum status look(struct store *store, struct slice token, struct slice group,
                        struct found *out_found)
{
    struct look look = {.found = out_found};
    const struct postgres_value of_group[] = {postgres_bytes(group)};
    const struct postgres_value of_token[] = {postgres_bytes(token)};
    found_fini(out_found);
    postgres_begin(store);
    postgres_put(store, PG_LOCK_HEAD, of_group, 1, take_head, &look.item);
    postgres_put(store, PG_LOCK_ROW, of_token, 1, take_row, &look.item);
    postgres_put(store, PG_COUNT_WAITERS, of_token, 1, take_waiters, &look.item);
    return postgres_flush(store);
}

static bool has_head(const struct found *found)
{
    return PQntuples(found->head) > 0;
}

static bool has_row(const struct found *found)
{
    return PQntuples(found->row) > 0;
}

static bool is_held_here(const struct store *store, const struct found *found)
{
    return postgres_int(found->row, 0, COLUMN_owner) == store->run;
}

/* ---- claims ---- */

/* The row was made by this claim, whose transaction was committed without an answer. */
static bool is_own(const struct store *store, const struct found *found,
                   const struct claim_request *claim)
{
    return has_row(found) && postgres_int(found->row, 0, COLUMN_claimed_by) == store->run &&
           postgres_int(found->row, 0, COLUMN_seq) == claim->id;
}

/* The plan for what was found. A command that waits behind another one is not called at once. */
static enum status plan(struct store *store, struct item *item, const struct found *found,
                        enum claim_plan *out_plan)
{
    struct claim_request *claim = &item->request->claim;
    bool is_called_at_once = claim->ask.is_called_at_once;
    struct store_row row;
    const struct token_found known = {.row = has_row(found) ? &row : NULL,
                                      .reply_to_count = 1 + found->waiters};
    if (has_row(found) && postgres_read_row(found->row, 0, &row) != STATUS_OK) {
        postgres_damaged(store, claim->ask.command->token);
        return STATUS_STORE;
    }
    claim->ask.is_called_at_once = is_called_at_once && !has_head(found);
    *out_plan = rules_claim(store->work.batch, item->request, &known);
    claim->ask.is_called_at_once = is_called_at_once;
    bool is_begun = *out_plan == PLAN_INSERT || *out_plan == PLAN_REPLACE;
    claim->is_lined_up = is_begun && has_head(found);
    claim->is_joined_elsewhere = false;
    item->is_joined = false;
    item->is_head = is_begun && !has_head(found);
    return STATUS_OK;
}

/* The whole history of the row that was found, with the events of the request. */
static void put_history(struct store *store, const struct item *item, const struct found *found,
                        enum store_postgres_statement statement)
{
    struct buf history = {0};
    history_append(postgres_slice(found->row, 0, COLUMN_history),
                   postgres_events(store, item->request), &history);
    const struct postgres_value values[] = {
        postgres_bytes(postgres_slice(found->row, 0, COLUMN_token)),
        postgres_bytes(history_entries(buf_slice(&history)))};
    postgres_put(store, statement, values, 2, NULL, NULL);
    buf_fini(&history);
}

/* No row may have come meanwhile: *out_is_free false, the caller begins anew. */
static enum status insert(struct store *store, struct item *item, bool *out_is_free)
{
    struct claim_request *claim = &item->request->claim;
    struct postgres_value values[POSTGRES_VALUES_MAX];
    size_t count =
        postgres_claim_values(claim, store->run, postgres_events(store, item->request), values);
    item->has_row = false;
    postgres_put(store, claim->is_lined_up ? PG_LINE_UP : PG_INSERT, values, count,
                 postgres_take_row, item);
    enum status status = postgres_flush(store);
    *out_is_free = item->has_row;
    return status;
}

static void begin_again(struct store *store, struct item *item)
{
    struct claim_request *claim = &item->request->claim;
    struct postgres_value values[POSTGRES_VALUES_MAX];
    size_t count =
        postgres_claim_values(claim, store->run, postgres_events(store, item->request), values);
    const struct postgres_value token = values[0];
    values[count++] = postgres_bool(item->is_head);
    postgres_put(store, PG_BEGIN_AGAIN, values, count, NULL, NULL);
    postgres_put(store, PG_REMOVE_WAITERS, &token, 1, NULL, NULL);
}

static void join(struct store *store, struct item *item, const struct found *found)
{
    struct claim_request *claim = &item->request->claim;
    struct postgres_value values[10] = {postgres_bytes(slice_text(claim->ask.command->token)),
                                        postgres_number(store->run), postgres_number(claim->id)};
    claim->is_joined_elsewhere = !is_held_here(store, found);
    item->is_joined = true;
    postgres_reply_to_values(&claim->ask.reply_to, &values[3]);
    put_history(store, item, found, PG_SET_WAITERS);
    postgres_put(store, PG_ADD_WAITER, values, 10, NULL, NULL);
}

/* Writes the plan. *out_is_free false: the group has changed, so that nothing was written. */
static enum status write_plan(struct store *store, struct item *item, const struct found *found,
                              enum claim_plan plan, bool *out_is_free)
{
    enum status status = STATUS_OK;
    *out_is_free = plan != PLAN_JOIN || has_head(found); /* else it is being promoted */
    if (!*out_is_free) {
        return STATUS_OK;
    }
    switch (plan) {
    case PLAN_INSERT:
        status = insert(store, item, out_is_free);
        break;
    case PLAN_REPLACE:
        begin_again(store, item);
        break;
    case PLAN_JOIN:
        join(store, item, found);
        break;
    case PLAN_REPLY:
    case PLAN_LOOK:
        if (has_row(found)) {
            put_history(store, item, found, PG_SET_HISTORY);
        }
        break;
    }
    if (status == STATUS_OK && *out_is_free) {
        postgres_put_messages(store, item->request);
        postgres_put_audit(store, item->request);
        status = postgres_commit(store);
    }
    return status;
}

static enum status claim_once(struct store *store, struct item *item, struct found *found,
                              bool *out_is_done)
{
    struct claim_request *claim = &item->request->claim;
    enum claim_plan plan_of = PLAN_LOOK;
    enum status status = look(store, slice_text(claim->ask.command->token),
                              slice_text(claim->ask.command->group), found);
    if (status != STATUS_OK) {
        return status;
    }
    if (is_own(store, found, claim)) {
        item->is_head = is_held_here(store, found);
        claim->is_lined_up = !item->is_head;
        *out_is_done = true;
        postgres_rollback(store);
        return STATUS_OK;
    }
    status = plan(store, item, found, &plan_of);
    if (status == STATUS_OK) {
        status = write_plan(store, item, found, plan_of, out_is_done);
    }
    if (status == STATUS_STORE || !*out_is_done) {
        item->is_head = false;
        postgres_rollback(store);
    }
    return status;
}

enum status postgres_claim(struct store *store, struct item *item)
{
    struct found found = {0};
    bool is_done = false;
    enum status status = STATUS_OK;
    for (int i = 0; i < TURNS_MAX && status == STATUS_OK && !is_done; i++) {
        status = claim_once(store, item, &found, &is_done);
    }
    found_fini(&found);
    if (status == STATUS_OK && !is_done) {
        return postgres_fail(store, "the group of a command changes all the time");
    }
    return status;
}
