#include "model/retry.h"

#include <assert.h>

int64_t retry_doubled_ms(uint32_t failures, int64_t base_ms, int64_t cap_ms)
{
    assert(failures >= 1 && base_ms >= 0 && cap_ms >= 0);
    uint32_t doublings = failures - 1;
    if (doublings >= 62 || base_ms > cap_ms >> doublings) {
        return cap_ms;
    }
    return base_ms << doublings;
}

/* The random number, evenly distributed over 0..limit. */
static int64_t scale(int64_t limit, uint32_t random)
{
    /* In two halves, since limit * random may need 96 bits. */
    uint64_t count = (uint64_t)limit + 1;
    uint64_t high = (count >> 32) * random;
    uint64_t low = (count & UINT32_MAX) * random;
    return (int64_t)(high + (low >> 32));
}

int64_t retry_delay_ms(uint32_t failures, int64_t base_ms, int64_t cap_ms, uint32_t random)
{
    return scale(retry_doubled_ms(failures, base_ms, cap_ms), random);
}

int64_t retry_reconnect_ms(uint32_t failures, int64_t min_ms, int64_t max_ms, uint32_t random)
{
    int64_t bound = retry_doubled_ms(failures, min_ms, max_ms);
    int64_t least = bound - bound / 2;
    return least + scale(bound - least, random);
}
