#include "model/text_table.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct text_pair *)a)->key, ((const struct text_pair *)b)->key);
}

void text_table_sort(struct text_table *table)
{
    if (table->entries.count > 1) {
        qsort(table->entries.items, table->entries.count, sizeof table->entries.items[0], compare);
    }
}

const char *text_table_repeated_key(const struct text_table *table)
{
    const struct text_pair *items = table->entries.items;
    for (size_t i = 1; i < table->entries.count; i++) {
        if (compare(&items[i - 1], &items[i]) == 0) {
            return items[i].key;
        }
    }
    return NULL;
}

void text_pairs_fini(struct text_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].key);
        free(pairs->items[i].value);
    }
    free(pairs->items);
    *pairs = (struct text_pairs){0};
}

const struct text_table *text_table_of_name(const struct text_tables *tables, const char *name)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (strcmp(tables->items[i].name, name) == 0) {
            return &tables->items[i];
        }
    }
    return NULL;
}

/* The order of strcmp() for a key that may lack its NUL. */
static int compare_key(struct slice key, const char *text)
{
    size_t length = strlen(text);
    size_t shorter = key.length < length ? key.length : length;
    int order = shorter == 0 ? 0 : memcmp(key.data, text, shorter);
    return order != 0 ? order : (key.length > length) - (key.length < length);
}

const char *text_table_find(const struct text_table *table, struct slice key)
{
    size_t low = 0;
    size_t high = table->entries.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_key(key, table->entries.items[middle].key);
        if (order == 0) {
            return table->entries.items[middle].value;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}
