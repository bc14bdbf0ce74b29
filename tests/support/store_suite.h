/*
 * store_suite - what every store must do, whatever its database: the conformance tests of
 * io/store.h.
 */
#ifndef SUPPORT_STORE_SUITE_H
#define SUPPORT_STORE_SUITE_H

#include "ledger/store.h"

struct store_suite {
    const struct store_ops *ops;
    /* A place where no store is yet, on the heap. */
    char *(*location_new)(void);
    /* Removes what is there and frees. */
    void (*location_free)(char *location);
};

/* Runs the suite as a cmocka group; how many tests failed. */
int store_suite_run(const struct store_suite *suite);

#endif
