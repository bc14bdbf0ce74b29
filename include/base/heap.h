/*
 * heap - items by a number, the smallest first, such as what waits by the time when it is due.
 *
 * A binary heap of items that are part of the caller's own structures: nothing is searched, and
 * adding, removing and taking the first cost the logarithm of the count. Equal keys are in no
 * order.
 *
 * Thread: any, one at a time.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* {0} is an item that is in no heap. The key may only change while it is in none. */
struct heap_item {
    int64_t key;
    void *owner;       /* the caller's */
    struct heap *heap; /* that it is in; NULL: none */
    size_t index;
};

/* {0} is empty. */
struct heap {
    struct heap_item **items; /* each one's key is not below that of its parent, (index - 1) / 2 */
    size_t count;
    size_t capacity;
};

/* The items stay the caller's. */
void heap_fini(struct heap *heap);
/* Nothing where the item is in a heap already. */
void heap_add(struct heap *heap, struct heap_item *item);
/* Nothing where the item is in no heap. */
void heap_remove(struct heap_item *item);
/* The owner of the item with the smallest key; NULL: the heap is empty. */
void *heap_first(const struct heap *heap);

#endif
