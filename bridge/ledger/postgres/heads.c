/*
 * The commands that this run holds, by their tokens. It is a cache: what is missing is read from
 * the command's row.
 */
#include "store_private.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>

struct head {
    UT_hash_handle hh;
    struct reply_to reply_to;
    int64_t waiters;
    size_t length;
    char token[COMMAND_TOKEN_BYTES_MAX];
};

static struct head *find(const struct store *store, struct slice token)
{
    struct head *head = NULL;
    HASH_FIND(hh, store->heads, token.data, token.length, head);
    return head;
}

void heads_add(struct store *store, struct slice token, const struct reply_to *reply_to)
{
    heads_remove(store, token);
    struct head *head = mem_zalloc(1, sizeof *head);
    assert(token.length <= sizeof head->token);
    memcpy(head->token, token.data, token.length);
    head->length = token.length;
    head->reply_to = postgres_copy_reply_to(reply_to);
    HASH_ADD(hh, store->heads, token, head->length, head);
}

void heads_remove(struct store *store, struct slice token)
{
    struct head *head = find(store, token);
    if (head != NULL) {
        HASH_DEL(store->heads, head);
        reply_to_fini(&head->reply_to);
        free(head);
    }
}

void heads_clear(struct store *store)
{
    struct head *head;
    struct head *next;
    HASH_ITER (hh, store->heads, head, next) {
        /* NOLINTNEXTLINE(clang-analyzer-*): the table is freed with the last head only */
        HASH_DEL(store->heads, head);
        reply_to_fini(&head->reply_to);
        free(head);
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

int64_t heads_waiters(const struct store *store, struct slice token)
{
    const struct head *head = find(store, token);
    return head == NULL ? 0 : head->waiters;
}
