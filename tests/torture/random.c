/* SplitMix64 (Steele, Lea, Flood 2014): every seed is usable. */
#include "random.h"

#include <assert.h>

static uint64_t next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void random_init(struct random *random, uint64_t seed, uint64_t stream)
{
    random->state = seed;
    random->state = next(random) ^ (stream * 0xd1342543de82ef95u);
    next(random);
}

uint32_t random_below(struct random *random, uint32_t limit)
{
    assert(limit > 0);
    return (uint32_t)(((next(random) >> 32) * limit) >> 32);
}

int random_between(struct random *random, int low, int high)
{
    assert(low <= high);
    return low + (int)random_below(random, (uint32_t)(high - low) + 1);
}

bool random_chance(struct random *random, int percent)
{
    return random_below(random, 100) < (uint32_t)percent;
}

int random_weighted(struct random *random, const int *weights, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++) {
        sum += weights[i];
    }
    int at = random_between(random, 0, sum - 1);
    int index = 0;
    while (at >= weights[index]) {
        at -= weights[index++];
    }
    return index;
}
