/*
 * nonces - which signature nonces were used lately.
 *
 * Bounded by time: a nonce is remembered for at least NONCE_WINDOW_MS and at most twice that,
 * which is longer than any request date is accepted. Only a 64-bit hash of each is kept.
 */
#ifndef SIMULATOR_NONCES_H
#define SIMULATOR_NONCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NONCE_WINDOW_MS = 31 * 60 * 1000 };

struct nonce_set {
    uint64_t *slots;
    size_t slot_count;
    size_t used_count;
};

/* {0} is empty. */
struct nonces {
    struct nonce_set current;
    struct nonce_set previous;
    int64_t rotated_ms;
};

/* Remember a nonce. False if it was used before. */
bool nonces_use(struct nonces *nonces, const char *nonce, int64_t now_ms);

/* Forget all. */
void nonces_fini(struct nonces *nonces);

#endif
