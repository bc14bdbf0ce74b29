/*
 * The bucket is brought up to date in spans with one rate each: from one step of recovery to the
 * next, then until now. No tokens come in during a pause, so that no burst follows it.
 */
#include "base/bucket.h"

#include <assert.h>

#define LOWEST_SHARE   (1.0 / 64)
#define RECOVERY_SHARE (1.0 / 20)
#define STEP_MS        1000
/* Waiting for exactly one token must not fail by a rounding error. */
#define ONE_TOKEN (1.0 - 1e-9)
/* Far beyond any wait that matters, and far from overflowing. */
#define WAIT_MS_MAX (INT64_C(1) << 50)

static double least(double a, double b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* At most WAIT_MS_MAX after now. */
static int64_t time_after(int64_t now_ms, int64_t wait_ms)
{
    int64_t wait = wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX;
    return now_ms > INT64_MAX - wait ? INT64_MAX : now_ms + wait;
}

void bucket_init(struct bucket *bucket, double rate_per_s, double burst, int64_t now_ms)
{
    assert(rate_per_s > 0 && burst >= 1);
    *bucket = (struct bucket){
        .rate_per_s = rate_per_s,
        .burst = burst,
        .current_per_s = rate_per_s,
        .tokens = burst,
        .at_ms = now_ms,
        .throttled_at_ms = INT64_MIN,
        .recovers_at_ms = INT64_MAX,
        .paused_until_ms = INT64_MIN,
    };
}

/* Adds the tokens until `until_ms` at the current rate. */
static void flow_until(struct bucket *bucket, int64_t until_ms)
{
    int64_t from_ms = later(bucket->at_ms, bucket->paused_until_ms);
    if (until_ms > from_ms) {
        double flowed = (double)(until_ms - from_ms) * bucket->current_per_s / 1000;
        bucket->tokens = least(bucket->burst, bucket->tokens + flowed);
    }
    bucket->at_ms = until_ms;
}

/* Brings the bucket up to date. Nothing happens where the time did not advance. */
static void move_on(struct bucket *bucket, int64_t now_ms)
{
    while (bucket->recovers_at_ms <= now_ms && bucket->recovers_at_ms != INT64_MAX) {
        flow_until(bucket, bucket->recovers_at_ms);
        double raised = bucket->current_per_s + bucket->rate_per_s * RECOVERY_SHARE;
        bucket->current_per_s = least(bucket->rate_per_s, raised);
        bool is_whole = bucket->current_per_s >= bucket->rate_per_s;
        bucket->recovers_at_ms = is_whole ? INT64_MAX : time_after(bucket->recovers_at_ms, STEP_MS);
    }
    if (now_ms > bucket->at_ms) {
        flow_until(bucket, now_ms);
    }
}

static bool has_token(const struct bucket *bucket, int64_t now_ms)
{
    return bucket->tokens >= ONE_TOKEN && now_ms >= bucket->paused_until_ms;
}

void bucket_change(struct bucket *bucket, double rate_per_s, double burst, int64_t now_ms)
{
    assert(rate_per_s > 0 && burst >= 1);
    move_on(bucket, now_ms);
    bucket->current_per_s *= rate_per_s / bucket->rate_per_s;
    bucket->rate_per_s = rate_per_s;
    bucket->burst = burst;
    bucket->tokens = least(burst, bucket->tokens);
}

bool bucket_take(struct bucket *bucket, int64_t now_ms)
{
    move_on(bucket, now_ms);
    if (!has_token(bucket, now_ms)) {
        return false;
    }
    bucket->tokens = bucket->tokens > 1 ? bucket->tokens - 1 : 0;
    return true;
}

void bucket_give_back(struct bucket *bucket)
{
    bucket->tokens = least(bucket->burst, bucket->tokens + 1);
}

/* When a whole token would be there if the rate stayed as it is; rounded up. */
static int64_t token_at_ms(const struct bucket *bucket)
{
    int64_t from_ms = later(bucket->at_ms, bucket->paused_until_ms);
    if (bucket->tokens >= ONE_TOKEN) {
        return from_ms;
    }
    double wait_ms = (1 - bucket->tokens) * 1000 / bucket->current_per_s;
    if (wait_ms >= (double)WAIT_MS_MAX) {
        return time_after(from_ms, WAIT_MS_MAX);
    }
    int64_t whole_ms = (int64_t)wait_ms;
    return time_after(from_ms, (double)whole_ms < wait_ms ? whole_ms + 1 : whole_ms);
}

int64_t bucket_wait_ms(struct bucket *bucket, int64_t now_ms)
{
    move_on(bucket, now_ms);
    if (has_token(bucket, now_ms)) {
        return 0;
    }
    struct bucket ahead = *bucket;
    while (ahead.recovers_at_ms < token_at_ms(&ahead)) {
        move_on(&ahead, ahead.recovers_at_ms);
    }
    return later(1, token_at_ms(&ahead) - now_ms);
}

bool bucket_is_full(struct bucket *bucket, int64_t now_ms)
{
    move_on(bucket, now_ms);
    return bucket->tokens >= bucket->burst && bucket->current_per_s >= bucket->rate_per_s &&
           now_ms >= bucket->paused_until_ms;
}

void bucket_slow_down(struct bucket *bucket, int64_t now_ms, int64_t pause_ms)
{
    move_on(bucket, now_ms);
    int64_t next_ms = bucket->throttled_at_ms == INT64_MIN
                          ? INT64_MIN
                          : time_after(bucket->throttled_at_ms, STEP_MS);
    if (now_ms >= next_ms) {
        double floor_per_s = bucket->rate_per_s * LOWEST_SHARE;
        double halved = bucket->current_per_s / 2;
        bucket->current_per_s = halved > floor_per_s ? halved : floor_per_s;
        bucket->throttled_at_ms = now_ms;
    }
    bucket->recovers_at_ms = time_after(later(now_ms, bucket->at_ms), STEP_MS);
    if (pause_ms > 0) {
        bucket->paused_until_ms = later(bucket->paused_until_ms, time_after(now_ms, pause_ms));
    }
}

double bucket_rate_per_s(struct bucket *bucket, int64_t now_ms)
{
    move_on(bucket, now_ms);
    return bucket->current_per_s;
}

void bucket_slowed_elsewhere(struct bucket *bucket, int64_t now_ms, double slowed_per_s,
                             int64_t ago_ms, int64_t pause_ms)
{
    move_on(bucket, now_ms);
    int64_t at_ms = now_ms - (ago_ms < 0 ? 0 : ago_ms);
    if (slowed_per_s > 0 && at_ms > bucket->throttled_at_ms) {
        int64_t steps = (now_ms - at_ms) / STEP_MS;
        double raised = slowed_per_s + (double)steps * bucket->rate_per_s * RECOVERY_SHARE;
        double floor_per_s = bucket->rate_per_s * LOWEST_SHARE;
        bucket->current_per_s =
            raised < floor_per_s ? floor_per_s : least(bucket->rate_per_s, raised);
        bucket->throttled_at_ms = at_ms;
        bucket->recovers_at_ms =
            bucket->current_per_s >= bucket->rate_per_s ? INT64_MAX : at_ms + (steps + 1) * STEP_MS;
    }
    if (pause_ms > 0) {
        bucket->paused_until_ms = later(bucket->paused_until_ms, time_after(now_ms, pause_ms));
    }
}
