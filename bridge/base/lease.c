#include "base/lease.h"

#include <stddef.h>

void lease_init(struct lease *lease)
{
    atomic_init(&lease->valid_until_ms, INT64_MAX);
    atomic_init(&lease->is_lost, false);
    lease->is_valid = true;
}

void lease_begin(struct lease *lease)
{
    atomic_store(&lease->valid_until_ms, 0);
    lease->is_valid = false;
}

void lease_renewed(struct lease *lease, int64_t sent_ms, int64_t lease_ms)
{
    atomic_store(&lease->valid_until_ms, sent_ms + lease_ms - LEASE_MARGIN_MS);
}

void lease_lose(struct lease *lease)
{
    atomic_store(&lease->is_lost, true);
}

enum lease_change lease_check(struct lease *lease, int64_t boot_ms)
{
    bool was_valid = lease->is_valid;
    bool is_lost = atomic_load(&lease->is_lost);
    lease->is_valid = !is_lost && boot_ms < atomic_load(&lease->valid_until_ms);
    if (is_lost) {
        return LEASE_LOST;
    }
    if (lease->is_valid == was_valid) {
        return LEASE_SAME;
    }
    return was_valid ? LEASE_LAPSED : LEASE_REGAINED;
}

int64_t lease_valid_until_ms(const struct lease *lease)
{
    int64_t until_ms = lease == NULL ? INT64_MAX : atomic_load(&lease->valid_until_ms);
    return until_ms == INT64_MAX ? 0 : until_ms;
}
