/*
 * retry - how long to wait before something is tried again.
 *
 * Exponential: at most min(cap, base * 2^n), most of them with jitter.
 *
 * Thread: any; pure, randomness is passed in.
 */
#ifndef MODEL_RETRY_H
#define MODEL_RETRY_H

#include <stdint.h>

#define RETRY_API_BASE_MS 500
#define RETRY_API_CAP_MS  20000

/* min(cap_ms, base_ms * 2^(failures - 1)). `failures` is how often it failed so far, 1 or more. */
int64_t retry_doubled_ms(uint32_t failures, int64_t base_ms, int64_t cap_ms);
/* A random time between 0 and that; `random` is any number. */
int64_t retry_delay_ms(uint32_t failures, int64_t base_ms, int64_t cap_ms, uint32_t random);
/* A random time between half of that and that: for reconnecting, where a second try at once is
 * of no use. */
int64_t retry_reconnect_ms(uint32_t failures, int64_t min_ms, int64_t max_ms, uint32_t random);

#endif
