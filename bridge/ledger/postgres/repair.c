/*
 * After a fail-over to a standby that did not have everything, the server lacks the last
 * transactions of this run. Commands that it holds and whose claims are missing are written again:
 * their messages are acknowledged, so nobody would send them once more. So are the duplicates that
 * came to this bridge and wait for them. A command whose outcome is missing is held again; it is
 * called again with its token. A lost message of the outbox is still in the memory of this process,
 * and is published from there.
 */
#include "store_private.h"

#include "base/log.h"

/* Unsure, because it may have been called. Its next move or outcome writes the rest. */
static void put_again(struct store *store, const struct command *command,
                      const struct reply_to *reply_to)
{
    struct buf event = {0};
    struct claim_request claim = {.ask.command = (struct command *)command,
                                  .ask.reply_to = *reply_to,
                                  .id = command->id,
                                  .state = STATE_UNSURE};
    struct postgres_value values[POSTGRES_VALUES_MAX];
    history_put_interrupted(&event, store->repaired_at_ms, false);
    size_t count = postgres_claim_values(&claim, store->run, buf_slice(&event), values);
    postgres_put(store, PG_INSERT, values, count, NULL, NULL);
    buf_fini(&event);
}

/* If the command is there, and the duplicate is not. */
static void put_waiter(struct store *store, const char *token, int64_t id,
                       const struct reply_to *reply_to)
{
    struct postgres_value values[10] = {postgres_bytes(slice_text(token)),
                                        postgres_number(store->run), postgres_number(id)};
    postgres_reply_to_values(reply_to, &values[3]);
    postgres_put(store, PG_RESTORE_WAITER, values, 10, NULL, NULL);
}

/* Looks which of the held commands are there; *out_has_more: and others, which were held before. */
static enum status find_heads(struct store *store, bool *out_has_more)
{
    const struct postgres_value run[] = {postgres_number(store->run)};
    enum status status = postgres_query(store, PG_OWN_HEADS, run, 1);
    for (int i = 0; status == STATUS_OK && i < PQntuples(store->kept); i++) {
        if (!heads_found(store, postgres_slice(store->kept, i, COLUMN_token))) {
            *out_has_more = true;
        }
    }
    return status;
}

enum status postgres_repair(struct store *store, struct ledger_batch *batch)
{
    struct buf event = {0};
    bool has_more = false;
    store->repaired_at_ms = batch->now_ms;
    history_put_interrupted(&event, batch->now_ms, false);
    const struct postgres_value calls[] = {postgres_number(store->run), postgres_number(0),
                                           postgres_bytes(buf_slice(&event))};
    enum status status = find_heads(store, &has_more);
    if (status == STATUS_OK) {
        postgres_begin(store);
        size_t missing = heads_take_missing(store, put_again);
        heads_each_joined(store, put_waiter);
        postgres_put(store, PG_RESET_CALLS, calls, 3, NULL, NULL);
        status = postgres_commit(store);
        LOG_WARN("ledger_commands_restored", LOG_INT("commands", missing));
    }
    if (status == STATUS_OK) {
        status = find_heads(store, &has_more);
    }
    if (status == STATUS_OK && heads_take_missing(store, NULL) > 0) {
        /* Another command has the group, or the token waits in line: a new start sorts it out. */
        postgres_expelled(store);
        status = STATUS_STORE;
    }
    if (status == STATUS_OK && has_more) {
        status = postgres_recover_adopted(store, batch);
    }
    store->must_repair = status != STATUS_OK;
    buf_fini(&event);
    return status;
}
