/*
 * bucket - the token bucket of one region. It becomes slower while the API throttles, and recovers
 * afterwards.
 *
 * Each throttled answer halves the rate, at most once a second and not below 1/64 of the configured
 * one; every second without one adds 1/20 of the configured rate back. No tokens are given
 * out during a pause (the API's own retry time).
 *
 * Thread: one at a time; pure, the monotonic time is passed in.
 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    double rate_per_s;    /* configured */
    double burst;         /* configured */
    double current_per_s; /* now, after throttling */
    double tokens;
    int64_t at_ms;           /* the time of `tokens` */
    int64_t throttled_at_ms; /* the last halving; INT64_MIN for never */
    int64_t recovers_at_ms;  /* the next step back up; INT64_MAX at the full rate */
    int64_t paused_until_ms; /* INT64_MIN for not */
};

void bucket_init(struct bucket *bucket, double rate_per_s, double burst, int64_t now_ms);
/* Another configured rate and burst. What throttling has taken off stays in proportion. */
void bucket_change(struct bucket *bucket, double rate_per_s, double burst, int64_t now_ms);
/* Takes one token if there is one. */
bool bucket_take(struct bucket *bucket, int64_t now_ms);
/* Returns a token that was not used. */
void bucket_give_back(struct bucket *bucket);
/* When the next token is there: 0 for now. At least 1 otherwise. */
int64_t bucket_wait_ms(struct bucket *bucket, int64_t now_ms);
/* Whether it is as after bucket_init(): full, neither slowed nor paused. */
bool bucket_is_full(struct bucket *bucket, int64_t now_ms);
/* The rate at which tokens come now. */
double bucket_rate_per_s(struct bucket *bucket, int64_t now_ms);
/* Somebody else who shares the rate was throttled `ago_ms` ago, to this rate (0: nobody was), and
 * there is a pause for another `pause_ms`. Older news than the bucket's own change nothing. */
void bucket_slowed_elsewhere(struct bucket *bucket, int64_t now_ms, double slowed_per_s,
                             int64_t ago_ms, int64_t pause_ms);
/* The API throttled; `pause_ms` is its own retry time, 0 for none. */
void bucket_slow_down(struct bucket *bucket, int64_t now_ms, int64_t pause_ms);

#endif
