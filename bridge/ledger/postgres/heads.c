/*
 * The commands that this run holds, by their tokens. It is a cache: what is missing is read from
 * the command's row. After a fail-over that has lost rows, they are written again from here, with
 * the duplicates that came to this bridge.
 */
#include "store_private.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

/* A duplicate that came to this bridge. */
struct joined {
    struct joined *next;
    int64_t id; /* of its claim */
    struct reply_to reply_to;
};

struct head {
    UT_hash_handle hh;
    struct command *command; /* as it was when this run got it */
    struct route route;      /* of the command, its name only: the settings may change */
    struct reply_to reply_to;
    int64_t waiters;
    struct joined *joined; /* those of the waiters that came while this run held the command */
    bool is_found;         /* by heads_found() */
};

static struct head *find(const struct store *store, struct slice token)
{
    struct head *head = NULL;
    HASH_FIND(hh, store->heads, token.data, token.length, head);
    return head;
}

static void free_head(struct head *head)
{
    struct joined *joined;
    struct joined *next;
    LL_FOREACH_SAFE (head->joined, joined, next) {
        reply_to_fini(&joined->reply_to);
        free(joined);
    }
    reply_to_fini(&head->reply_to);
    command_free(head->command);
    free(head->route.name);
    free(head);
}

void heads_add(struct store *store, const struct command *command, int64_t id,
               const struct reply_to *reply_to)
{
    heads_remove(store, slice_text(command->token));
    struct head *head = mem_zalloc(1, sizeof *head);
    head->route.name = mem_strdup(command->route == NULL ? "" : command->route->name);
    struct command *copy = command_of_record(
        &head->route, command->action, slice_text(command->region), slice_text(command->group),
        slice_text(command->token), slice_text(command->params));
    copy->id = id;
    copy->received_at_ms = command->received_at_ms;
    copy->deadline_at_ms = command->deadline_at_ms;
    head->command = copy;
    head->reply_to = postgres_copy_reply_to(reply_to);
    HASH_ADD_KEYPTR(hh, store->heads, copy->token, strlen(copy->token), head);
}

struct command *heads_add_row(struct store *store, const struct ledger_batch *batch, int i,
                              int64_t *out_waiters)
{
    struct store_row row;
    if (postgres_read_row(store->kept, i, &row) != STATUS_OK) {
        return NULL;
    }
    struct reply_to sender = postgres_read_sender(store->kept, i);
    struct command *command = ledger_batch_command(batch, &row);
    *out_waiters = postgres_int(store->kept, i, COLUMN_COUNT);
    heads_add(store, command, command->id, &sender);
    heads_add_waiters(store, row.token, *out_waiters);
    return command;
}

void heads_remove(struct store *store, struct slice token)
{
    struct head *head = find(store, token);
    if (head != NULL) {
        HASH_DEL(store->heads, head);
        free_head(head);
    }
}

void heads_clear(struct store *store)
{
    struct head *head;
    struct head *next;
    HASH_ITER (hh, store->heads, head, next) {
        /* NOLINTNEXTLINE(clang-analyzer-*): the table is freed with the last head only */
        HASH_DEL(store->heads, head);
        free_head(head);
    }
}

int64_t heads_count(const struct store *store)
{
    return (int64_t)HASH_COUNT(store->heads);
}

bool heads_have(const struct store *store, struct slice token)
{
    return find(store, token) != NULL;
}

const struct reply_to *heads_only_sender(const struct store *store, struct slice token)
{
    const struct head *head = find(store, token);
    return head == NULL || head->waiters > 0 ? NULL : &head->reply_to;
}

void heads_add_waiters(struct store *store, struct slice token, int64_t count)
{
    struct head *head = find(store, token);
    if (head != NULL) {
        head->waiters += count;
    }
}

void heads_add_joined(struct store *store, struct slice token, int64_t id,
                      const struct reply_to *reply_to)
{
    struct head *head = find(store, token);
    if (head != NULL) {
        struct joined *joined = mem_zalloc(1, sizeof *joined);
        joined->id = id;
        joined->reply_to = postgres_copy_reply_to(reply_to);
        LL_PREPEND(head->joined, joined);
        head->waiters++;
    }
}

int64_t heads_waiters(const struct store *store, struct slice token)
{
    const struct head *head = find(store, token);
    return head == NULL ? 0 : head->waiters;
}

bool heads_found(struct store *store, struct slice token)
{
    struct head *head = find(store, token);
    if (head != NULL) {
        head->is_found = true;
    }
    return head != NULL;
}

size_t heads_take_missing(struct store *store, heads_fn *each)
{
    size_t count = 0;
    struct head *head;
    struct head *next;
    HASH_ITER (hh, store->heads, head, next) {
        if (!head->is_found) {
            if (each != NULL) {
                each(store, head->command, &head->reply_to);
            }
            count++;
        }
        head->is_found = false;
    }
    return count;
}

void heads_each_joined(struct store *store, heads_joined_fn *each)
{
    struct head *head;
    struct head *next;
    struct joined *joined;
    HASH_ITER (hh, store->heads, head, next) {
        LL_FOREACH (head->joined, joined) {
            each(store, head->command->token, joined->id, &joined->reply_to);
        }
    }
}
