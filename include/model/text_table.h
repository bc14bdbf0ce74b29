/*
 * text_table - a named table of the settings, which templates look values up in.
 *
 * Thread: any, as it never changes after start.
 */
#ifndef MODEL_TEXT_TABLE_H
#define MODEL_TEXT_TABLE_H

#include "base/slice.h"

struct text_pair {
    char *key;
    char *value;
};

/* The pairs as they are in the file. Owns the texts. */
struct text_pairs {
    struct text_pair *items;
    size_t count;
};

struct text_table {
    char *name;
    struct text_pairs entries; /* text_table_find() needs them sorted by key, each key once */
};

struct text_tables {
    struct text_table *items;
    size_t count;
};

/* Sorts by key. */
void text_table_sort(struct text_table *table);
/* The first key that a sorted table has more than once, or NULL. */
const char *text_table_repeated_key(const struct text_table *table);
/* Frees the texts too, and empties the list. */
void text_pairs_fini(struct text_pairs *pairs);
/* By name; NULL where there is none. */
const struct text_table *text_table_of_name(const struct text_tables *tables, const char *name);
/* The value of the key, or NULL. */
const char *text_table_find(const struct text_table *table, struct slice key);

#endif
