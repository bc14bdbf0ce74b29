/*
 * store_suite - the conformance tests of store.h, which every store must pass.
 */
#ifndef SUPPORT_STORE_SUITE_H
#define SUPPORT_STORE_SUITE_H

#include "ledger/store.h"

struct store_suite {
    const struct store_ops *ops;
    /* Returns a location without a store; on the heap. */
    char *(*location_new)(void);
    /* Removes the store at the location and frees the string. */
    void (*location_free)(char *location);
};

/* Runs the suite as a cmocka group. Returns the number of failed tests. */
int store_suite_run(const struct store_suite *suite);

#endif
