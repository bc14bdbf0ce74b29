#include "peers.h"

#include "base/lease.h"
#include "base/mem.h"

#include <stdlib.h>

void peers_init(struct peers *peers, int64_t own_id, int64_t own_lease_ms)
{
    *peers = (struct peers){.own_id = own_id, .own_lease_ms = own_lease_ms - LEASE_MARGIN_MS};
}

void peers_fini(struct peers *peers)
{
    free(peers->items);
    *peers = (struct peers){0};
}

void peers_renewal_failed(struct peers *peers)
{
    peers->has_gap = true;
}

void peers_begin(struct peers *peers, int64_t now_ms)
{
    /* A bridge whose own lease had ended was paused, or the database was slow: it does not know
     * whether the others could renew theirs. */
    bool begins_anew = peers->has_gap || now_ms - peers->renewed_ms >= peers->own_lease_ms;
    for (size_t i = 0; i < peers->count; i++) {
        peers->items[i].is_listed = false;
        if (begins_anew) {
            peers->items[i].since_ms = now_ms;
        }
    }
    peers->has_gap = false;
    peers->has_changed = false;
    peers->renewed_ms = now_ms;
}

static struct peer *find(const struct peers *peers, int64_t id)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->items[i].row.id == id) {
            return &peers->items[i];
        }
    }
    return NULL;
}

void peers_add(struct peers *peers, const struct peer_row *row, int64_t now_ms)
{
    struct peer *peer = find(peers, row->id);
    if (row->id == peers->own_id) {
        return;
    }
    if (peer == NULL) {
        peers->items = mem_realloc(peers->items, (peers->count + 1) * sizeof peers->items[0]);
        peer = &peers->items[peers->count++];
        peer->since_ms = now_ms;
        peers->has_changed = true;
    } else if (peer->row.n != row->n) {
        peer->since_ms = now_ms;
    }
    peer->row = *row;
    peer->is_listed = true;
}

bool peers_end(struct peers *peers)
{
    size_t kept = 0;
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->items[i].is_listed) {
            peers->items[kept++] = peers->items[i];
        }
    }
    bool has_changed = peers->has_changed || kept < peers->count;
    peers->count = kept;
    return has_changed;
}

const struct peer_row *peers_find_dead(const struct peers *peers, int64_t now_ms)
{
    for (size_t i = 0; i < peers->count; i++) {
        const struct peer *peer = &peers->items[i];
        if (!peers->has_gap && now_ms - peer->since_ms >= peer->row.lease_ms) {
            return &peer->row;
        }
    }
    return NULL;
}

void peers_forget(struct peers *peers, int64_t id)
{
    struct peer *peer = find(peers, id);
    if (peer != NULL) {
        *peer = peers->items[--peers->count];
    }
}

int64_t peers_held(const struct peers *peers)
{
    int64_t held = 0;
    for (size_t i = 0; i < peers->count; i++) {
        held += peers->items[i].row.held;
    }
    return held;
}
