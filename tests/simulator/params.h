/*
 * params - the parameters of one request, from its query or its form body.
 *
 * Values are decoded: %XX and '+' become bytes. Order is kept; canonical forms sort a view.
 */
#ifndef SIMULATOR_PARAMS_H
#define SIMULATOR_PARAMS_H

#include "base.h"

enum { PARAMS_LIMIT = 64 };

struct param {
    const char *name;
    const char *value;
};

/* {0} is empty. */
struct params {
    struct param items[PARAMS_LIMIT];
    size_t count;
    char *storage[2];
    size_t storage_count;
};

/*
 * Add the pairs of `a=b&c=d`. At most two texts can be added to one set.
 * False if a %XX is broken, a byte is NUL, a name is empty or repeated, or there are too many.
 */
bool params_add(struct params *params, const char *encoded, size_t length);

/* The value of a name, or NULL. */
const char *params_get(const struct params *params, const char *name);

/* Whether a comma list names an id. */
bool params_lists(const char *list, const char *id);

/* Add `name=value&…`, encoded and sorted by name, leaving out the parameter `without` (or NULL). */
void params_canonical(const struct params *params, const char *without, struct text *out);

void params_fini(struct params *params);

#endif
