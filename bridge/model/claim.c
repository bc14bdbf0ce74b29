#include "model/claim.h"

static bool is_forgotten(const struct claim_found *found, int64_t now_ms)
{
    if (found->state == STATE_NONE) {
        return true;
    }
    /* RETENTION_NOT has no time to live, whatever the clock says. */
    return found->state == STATE_DONE &&
           (found->expires_at_ms <= now_ms || found->retention == RETENTION_NOT);
}

enum claim_result claim_decide(const struct claim_found *found, int64_t now_ms)
{
    if (is_forgotten(found, now_ms)) {
        return CLAIM_NEW;
    }
    if (!found->has_same_fingerprint) {
        return CLAIM_MISMATCH;
    }
    if (found->state != STATE_DONE) {
        return CLAIM_WAITS;
    }
    return retention_is_replayed(found->retention, now_ms < found->replay_until_ms) ? CLAIM_REPLAYED
                                                                                    : CLAIM_AGAIN;
}
