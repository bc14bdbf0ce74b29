#include "model/claim.h"

enum claim_result claim_decide(const struct claim_found *found, int64_t now_ms)
{
    /* RETENTION_NOT has no time to live, whatever the clock says. */
    bool is_expired = found->state == STATE_DONE &&
                      (found->expires_at_ms <= now_ms || found->retention == RETENTION_NOT);
    if (found->state == STATE_NONE || is_expired) {
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
