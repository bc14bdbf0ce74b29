/*
 * lookup - the addresses of a host name, without stopping the loop.
 *
 * Each lookup has a thread of its own that nobody waits for. libuv's thread pool is not used: a
 * name server that does not answer would keep the process from ending, since libuv waits for its
 * threads.
 *
 * Thread: the loop's.
 */
#ifndef BASE_LOOKUP_H
#define BASE_LOOKUP_H

#include "loop.h"

#include <stddef.h>

#define LOOKUP_ADDRESSES_MAX 16 /* of one name; more are left out */
#define LOOKUP_ADDRESS_BYTES 64 /* in text form, with the scope of a link-local one and its NUL */

/* In the order of getaddrinfo(3), each one once. */
struct lookup_result {
    size_t count;                                               /* 0: the name has no address */
    char addresses[LOOKUP_ADDRESSES_MAX][LOOKUP_ADDRESS_BYTES]; /* in numbers */
    const char *error; /* why there is none; lives as long as the program */
};

struct lookup;

typedef void lookup_done_fn(void *arg, const struct lookup_result *result);

/* Calls `done` once, on a later iteration of the loop; the lookup must be freed, also in `done`. */
struct lookup *lookup_start(struct loop *loop, const char *host, lookup_done_fn *done, void *arg);
/* No callback follows. Takes NULL. */
void lookup_free(struct lookup *lookup);

#endif
