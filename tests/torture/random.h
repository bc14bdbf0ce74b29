/*
 * random - numbers that depend only on a seed, in independent streams.
 */
#ifndef TORTURE_RANDOM_H
#define TORTURE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

/* Streams of one seed are independent: drawing from one does not change another. */
void random_init(struct random *random, uint64_t seed, uint64_t stream);
/* 0 .. limit - 1; `limit` is at least 1. */
uint32_t random_below(struct random *random, uint32_t limit);
/* From `low` to `high`, inclusive. */
int random_between(struct random *random, int low, int high);
bool random_chance(struct random *random, int percent);
/* The index of one of `count` weights, with a probability proportional to its weight. */
int random_weighted(struct random *random, const int *weights, int count);

#endif
