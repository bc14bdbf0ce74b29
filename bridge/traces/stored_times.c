#include "stored_times.h"

/* FNV-1a of the token and the time; never 0, which is the key of an empty slot. */
static uint64_t key_of(struct slice token, int64_t received_at_ms)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)received_at_ms;
    for (size_t i = 0; i < token.length; i++) {
        hash = (hash ^ (uint8_t)token.data[i]) * 0x100000001b3u;
    }
    hash ^= hash >> 32;
    return hash == 0 ? 1 : hash;
}

void stored_times_set(struct stored_times *times, struct slice token, int64_t received_at_ms,
                      int64_t at_ms)
{
    uint64_t key = key_of(token, received_at_ms);
    size_t slot = key & (STORED_TIMES_COUNT - 1);
    times->slots[slot].key = key;
    times->slots[slot].at_ms = at_ms;
}

int64_t stored_times_get(const struct stored_times *times, struct slice token,
                         int64_t received_at_ms)
{
    uint64_t key = key_of(token, received_at_ms);
    size_t slot = key & (STORED_TIMES_COUNT - 1);
    return times->slots[slot].key == key ? times->slots[slot].at_ms : 0;
}
