/* Two generations of an open-addressing hash set; the older one is dropped whole. */
#include "nonces.h"

#include "base.h"

#include <stdlib.h>
#include <string.h>

static size_t find_slot(const struct nonce_set *set, uint64_t hash)
{
    size_t slot = (size_t)hash & (set->slot_count - 1);
    while (set->slots[slot] && set->slots[slot] != hash) {
        slot = (slot + 1) & (set->slot_count - 1);
    }
    return slot;
}

static bool has_nonce(const struct nonce_set *set, uint64_t hash)
{
    return set->slot_count && set->slots[find_slot(set, hash)];
}

static void grow(struct nonce_set *set)
{
    struct nonce_set larger = {.slot_count = set->slot_count ? set->slot_count * 2 : 1024,
                               .used_count = set->used_count};
    larger.slots = base_alloc(larger.slot_count * sizeof larger.slots[0]);
    for (size_t i = 0; i < set->slot_count; i++) {
        if (set->slots[i]) {
            larger.slots[find_slot(&larger, set->slots[i])] = set->slots[i];
        }
    }
    free(set->slots);
    *set = larger;
}

static void rotate(struct nonces *nonces, int64_t now_ms)
{
    free(nonces->previous.slots);
    nonces->previous = nonces->current;
    nonces->current = (struct nonce_set){0};
    nonces->rotated_ms = now_ms;
}

bool nonces_use(struct nonces *nonces, const char *nonce, int64_t now_ms)
{
    if (now_ms - nonces->rotated_ms > NONCE_WINDOW_MS) {
        rotate(nonces, now_ms);
    }
    uint64_t hash = base_hash(nonce, strlen(nonce));
    if (has_nonce(&nonces->previous, hash) || has_nonce(&nonces->current, hash)) {
        return false;
    }
    if (nonces->current.used_count * 4 >= nonces->current.slot_count * 3) {
        grow(&nonces->current);
    }
    nonces->current.slots[find_slot(&nonces->current, hash)] = hash;
    nonces->current.used_count++;
    return true;
}

void nonces_fini(struct nonces *nonces)
{
    free(nonces->current.slots);
    free(nonces->previous.slots);
    *nonces = (struct nonces){0};
}
