#include "base/heap.h"

#include "base/mem.h"

#include <stdlib.h>

void heap_fini(struct heap *heap)
{
    free(heap->items);
    *heap = (struct heap){0};
}

static void put(struct heap *heap, size_t index, struct heap_item *item)
{
    heap->items[index] = item;
    item->index = index;
}

/* Puts the item at `index`, where there is none, or above it: parents with greater keys move down.
 */
static void move_up(struct heap *heap, size_t index, struct heap_item *item)
{
    while (index > 0) {
        struct heap_item *parent = heap->items[(index - 1) / 2];
        if (parent->key <= item->key) {
            break;
        }
        put(heap, index, parent);
        index = (index - 1) / 2;
    }
    put(heap, index, item);
}

/* Puts the item at `index`, where there is none, or below it: children with smaller keys move up.
 */
static void move_down(struct heap *heap, size_t index, struct heap_item *item)
{
    struct heap_item **items = heap->items;
    for (size_t child; (child = 2 * index + 1) < heap->count; index = child) {
        if (child + 1 < heap->count && items[child + 1]->key < items[child]->key) {
            child++;
        }
        if (item->key <= items[child]->key) {
            break;
        }
        put(heap, index, items[child]);
    }
    put(heap, index, item);
}

void heap_add(struct heap *heap, struct heap_item *item)
{
    if (item->heap != NULL) {
        return;
    }
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity == 0 ? 64 : heap->capacity * 2;
        heap->items = mem_realloc(heap->items, heap->capacity * sizeof(struct heap_item *));
    }
    item->heap = heap;
    move_up(heap, heap->count++, item);
}

void heap_remove(struct heap_item *item)
{
    struct heap *heap = item->heap;
    if (heap == NULL) {
        return;
    }
    struct heap_item *last = heap->items[--heap->count];
    item->heap = NULL;
    if (last == item) {
        return;
    }
    if (last->key < item->key) {
        move_up(heap, item->index, last);
    } else {
        move_down(heap, item->index, last);
    }
}

void *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap->items[0]->owner;
}
