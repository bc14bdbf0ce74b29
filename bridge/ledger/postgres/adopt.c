/*
 * Adoption: what runs held that are not registered any more goes to this one, a page of commands
 * and messages in a transaction. First the ids of these runs are read. An id is never used again,
 * so two bridges that adopt at the same time cannot take from each other: the owner of a row that
 * one has taken is none of the ids that the other one has read.
 *
 * Messages get new ids, because each run counts its own.
 *
 * A command of a route that this bridge has not is left to the others until its deadline: then any
 * bridge adopts it and answers that it has expired.
 */
#include "store_private.h"

#include "base/log.h"

#define PAGES_MAX 4 /* in one batch */

/* Where the batch's messages begin that an open transaction adopts. */
struct mark {
    size_t bytes;
    size_t messages;
};

static void append_array(struct buf *out, struct slice item)
{
    buf_append_text(out, out->length == 0 ? "{" : ",");
    buf_append(out, item);
}

/* Adds a message that no request of the batch has made. */
static void add_message(struct ledger_batch *batch, int64_t id, struct slice message)
{
    size_t offset = batch->bytes.length;
    buf_append(&batch->bytes, message);
    ledger_batch_adopt_message(batch, id, offset);
}

static void take_messages(struct store *store, struct item *item, const PGresult *result)
{
    struct ledger_batch *batch = store->work.batch;
    (void)item;
    for (int i = 0; i < PQntuples(result); i++) {
        add_message(batch, postgres_int(result, i, 0), postgres_slice(result, i, 1));
    }
}

/* *out_count: how many commands and messages were adopted. */
static enum status adopt_page(struct store *store, struct slice dead, struct slice routes,
                              size_t *out_count)
{
    struct ledger_batch *batch = store->work.batch;
    const struct mark mark = {batch->bytes.length, batch->message_count};
    size_t adopted = batch->adopted_count;
    const struct postgres_value commands[] = {postgres_number(store->run), postgres_array(dead),
                                              postgres_array(routes),
                                              postgres_number(store->work.batch->now_ms)};
    const struct postgres_value messages[] = {postgres_number(store->run), postgres_array(dead),
                                              postgres_number(batch->next_message_id)};
    postgres_begin(store);
    postgres_put(store, PG_ADOPT, commands, 4, postgres_take_promoted, NULL);
    postgres_put(store, PG_ADOPT_OUTBOX, messages, 3, take_messages, NULL);
    enum status status = postgres_commit(store);
    if (status != STATUS_OK) {
        store->is_adoption_unknown = status == STATUS_UNAVAILABLE;
        batch->bytes.length = mark.bytes;
        batch->message_count = mark.messages;
        batch->adopted_count = adopted;
        return status;
    }
    batch->unfinished += (int64_t)store->work.promoted_count;
    *out_count = store->work.promoted_count + batch->adopted_count - adopted;
    batch->next_message_id += (int64_t)(batch->adopted_count - adopted);
    if (*out_count > 0) {
        LOG_INFO("work_adopted", LOG_INT("commands", store->work.promoted_count),
                 LOG_INT("messages", batch->adopted_count - adopted));
    }
    if (store->counters != NULL) {
        counter_add(store->counters, COUNTER_ADOPTED, (int64_t)store->work.promoted_count);
    }
    postgres_take_over(store);
    return STATUS_OK;
}

static enum status adopt_from(struct store *store, struct slice dead, bool *out_has_more)
{
    const struct ledger_limits *limits = store->work.batch->limits;
    struct buf routes = {0};
    enum status status = STATUS_OK;
    size_t count = 1;
    for (size_t i = 0; i < limits->route_count; i++) {
        append_array(&routes, slice_text(limits->routes[i].name));
    }
    buf_append_text(&routes, routes.length == 0 ? "{}" : "}");
    for (int i = 0; status == STATUS_OK && count > 0 && i < PAGES_MAX; i++) {
        count = 0;
        status = adopt_page(store, dead, buf_slice(&routes), &count);
    }
    *out_has_more = count > 0;
    if (status == STATUS_OK && !*out_has_more) {
        status = postgres_warn_of_left(store, dead, buf_slice(&routes));
    }
    buf_fini(&routes);
    return status;
}

void postgres_adopt(struct store *store)
{
    struct buf dead = {0};
    bool has_more = false;
    enum status status = postgres_query(store, PG_LIST_DEAD, NULL, 0);
    if (status == STATUS_OK && PQntuples(store->kept) > 0) {
        postgres_append_ids(store->kept, &dead);
        status = adopt_from(store, buf_slice(&dead), &has_more);
    } else if (status == STATUS_OK) {
        store->left_since_ms = 0;
    }
    store->must_adopt = status != STATUS_OK || has_more;
    buf_fini(&dead);
}

/* ---- an adoption whose answers were lost ---- */

static void recover_command(struct store *store, struct ledger_batch *batch, int i)
{
    int64_t waiters;
    struct command *command = heads_have(store, postgres_slice(store->kept, i, COLUMN_token))
                                  ? NULL
                                  : heads_add_row(store, batch, i, &waiters);
    if (command != NULL) {
        batch->command_waiters += waiters;
        batch->unfinished++;
        ledger_batch_take_command(batch, command);
    }
}

enum status postgres_recover_adopted(struct store *store, struct ledger_batch *batch)
{
    const struct postgres_value run[] = {postgres_number(store->run)};
    const struct postgres_value from[] = {
        postgres_number(store->run), postgres_number(batch->next_message_id),
        postgres_number(INT32_MAX), postgres_array(slice_text("{}"))};
    enum status status = postgres_query(store, PG_OWN_HEADS, run, 1);
    for (int i = 0; status == STATUS_OK && i < PQntuples(store->kept); i++) {
        recover_command(store, batch, i);
    }
    if (status == STATUS_OK) {
        status = postgres_query(store, PG_READ_OUTBOX, from, 4);
    }
    for (int i = 0; status == STATUS_OK && i < PQntuples(store->kept); i++) {
        batch->next_message_id = postgres_int(store->kept, i, 0) + 1;
        add_message(batch, postgres_int(store->kept, i, 0), postgres_slice(store->kept, i, 1));
    }
    store->is_adoption_unknown = status != STATUS_OK;
    return status;
}
