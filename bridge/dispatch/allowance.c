#include "allowance.h"

#include <stddef.h>

#define CHUNKS_PER_S    4
#define TOKEN_LIFE_MS   1000
#define ANSWER_MS       1000 /* a lost answer is missed after that */
#define ASK_AGAIN_MS    1000 /* the source could not be asked */
#define ASK_INTERVAL_MS 10   /* there was no token */

void allowance_init(struct allowance *allowance, const struct allowance_source *source,
                    const char *name, double rate_per_s, double burst, int64_t now_ms)
{
    *allowance = (struct allowance){.source = source, .name = name, .granted_ms = now_ms};
    bucket_init(&allowance->bucket, rate_per_s, burst, now_ms);
}

void allowance_change(struct allowance *allowance, double rate_per_s, double burst, int64_t now_ms)
{
    bucket_change(&allowance->bucket, rate_per_s, burst, now_ms);
}

void allowance_copy(struct allowance *allowance, const struct allowance *from)
{
    allowance->bucket = from->bucket;
}

/* A quarter of a second's worth, at least one. */
static int64_t chunk_of(struct allowance *allowance, int64_t now_ms)
{
    double tokens = bucket_rate_per_s(&allowance->bucket, now_ms) / CHUNKS_PER_S;
    return tokens < 1 ? 1 : (int64_t)tokens;
}

static void ask(struct allowance *allowance, int64_t now_ms)
{
    if (allowance->is_asked || now_ms < allowance->ask_at_ms ||
        now_ms < allowance->bucket.paused_until_ms) {
        return;
    }
    allowance->is_asked = true;
    allowance->source->ask(
        allowance->source->arg,
        &(struct allowance_ask){.name = allowance->name,
                                .rate_per_s = bucket_rate_per_s(&allowance->bucket, now_ms),
                                .burst = allowance->bucket.burst,
                                .wanted_count = chunk_of(allowance, now_ms)});
}

/* The tokens that may be used now; 0 during a pause. */
static int64_t tokens_now(struct allowance *allowance, int64_t now_ms)
{
    if (now_ms - allowance->granted_ms >= TOKEN_LIFE_MS) {
        allowance->tokens = 0;
    }
    return now_ms < allowance->bucket.paused_until_ms ? 0 : allowance->tokens;
}

bool allowance_take(struct allowance *allowance, int64_t now_ms)
{
    if (allowance->source == NULL) {
        return bucket_take(&allowance->bucket, now_ms);
    }
    bool has_token = tokens_now(allowance, now_ms) > 0;
    allowance->tokens -= has_token;
    if (allowance->tokens <= chunk_of(allowance, now_ms) / 2) {
        ask(allowance, now_ms);
    }
    return has_token;
}

void allowance_give_back(struct allowance *allowance)
{
    if (allowance->source == NULL) {
        bucket_give_back(&allowance->bucket);
    } else {
        allowance->tokens++;
    }
}

int64_t allowance_wait_ms(struct allowance *allowance, int64_t now_ms)
{
    if (allowance->source == NULL) {
        return bucket_wait_ms(&allowance->bucket, now_ms);
    }
    if (tokens_now(allowance, now_ms) > 0) {
        return 0;
    }
    int64_t from_ms = allowance->bucket.paused_until_ms;
    if (now_ms < from_ms) {
        return from_ms - now_ms;
    }
    ask(allowance, now_ms);
    return allowance->is_asked ? ANSWER_MS : allowance->ask_at_ms - now_ms;
}

void allowance_slow_down(struct allowance *allowance, int64_t now_ms, int64_t pause_ms)
{
    bucket_slow_down(&allowance->bucket, now_ms, pause_ms);
    if (allowance->source != NULL) {
        allowance->tokens = 0;
        allowance->source->ask(
            allowance->source->arg,
            &(struct allowance_ask){.name = allowance->name,
                                    .rate_per_s = bucket_rate_per_s(&allowance->bucket, now_ms),
                                    .burst = allowance->bucket.burst,
                                    .is_slowed = true,
                                    .pause_ms = pause_ms});
    }
}

void allowance_granted(struct allowance *allowance, const struct allowance_grant *grant,
                       int64_t now_ms)
{
    allowance->is_asked = false;
    if (grant == NULL) {
        allowance->ask_at_ms = now_ms + ASK_AGAIN_MS;
        return;
    }
    if (grant->slowed_per_s > 0 || grant->pause_ms > 0) {
        bucket_slowed_elsewhere(&allowance->bucket, now_ms, grant->slowed_per_s,
                                grant->slowed_ago_ms, grant->pause_ms);
    }
    if (grant->count > 0) {
        allowance->tokens = tokens_now(allowance, now_ms) + grant->count;
        allowance->granted_ms = now_ms;
    } else {
        int64_t wait_ms = grant->wait_ms > ASK_INTERVAL_MS ? grant->wait_ms : ASK_INTERVAL_MS;
        allowance->ask_at_ms = now_ms + wait_ms;
    }
}
