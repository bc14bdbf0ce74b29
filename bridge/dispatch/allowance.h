/*
 * allowance - how many calls may be made in a region: a bucket of this bridge (base/bucket.h), or
 * its part of a rate that several bridges share.
 *
 * A shared rate is kept in the ledger. Tokens are taken from there in chunks of a quarter of a
 * second; a new chunk is asked for when half of the last one is used. Tokens that were not used
 * within a second are given up, so bridges that have nothing to do keep nothing back. A bridge that
 * is throttled slows down and pauses at once, and reports it; the others learn it with their next
 * chunk.
 *
 * Thread: the loop's; the monotonic time is passed in.
 */
#ifndef DISPATCH_ALLOWANCE_H
#define DISPATCH_ALLOWANCE_H

#include "base/bucket.h"
#include "ledger/allowance.h"

#include <stdbool.h>
#include <stdint.h>

/* Who keeps the shared rates. The answer comes by allowance_granted(), never before ask() has
 * returned. */
struct allowance_source {
    void (*ask)(void *arg, const struct allowance_ask *ask);
    void *arg;
};

struct allowance {
    const struct allowance_source *source; /* NULL: this bridge has the rate alone */
    const char *name;                      /* of the region; "" for all unproven ones */
    struct bucket bucket; /* of a shared rate: how it was slowed down, and the pause */
    int64_t tokens;       /* of the last chunk */
    int64_t granted_ms;   /* when it came */
    int64_t ask_at_ms;    /* before that there is no token for anybody */
    bool is_asked;
};

/* `name` must outlive it. */
void allowance_init(struct allowance *allowance, const struct allowance_source *source,
                    const char *name, double rate_per_s, double burst, int64_t now_ms);
/* As bucket_change(). */
void allowance_change(struct allowance *allowance, double rate_per_s, double burst, int64_t now_ms);
/* Begins with what another one has: its slow-down, and its tokens of a rate that is not shared. */
void allowance_copy(struct allowance *allowance, const struct allowance *from);
/* As those of the bucket. Where there is no token, a shared source is asked; `allowance_wait_ms` is
 * then the time after which it is worth a look, if no answer comes before. */
bool allowance_take(struct allowance *allowance, int64_t now_ms);
void allowance_give_back(struct allowance *allowance);
int64_t allowance_wait_ms(struct allowance *allowance, int64_t now_ms);
void allowance_slow_down(struct allowance *allowance, int64_t now_ms, int64_t pause_ms);
/* The source's answer; NULL: it could not be asked. */
void allowance_granted(struct allowance *allowance, const struct allowance_grant *grant,
                       int64_t now_ms);

#endif
