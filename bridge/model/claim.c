#include "model/claim.h"

static bool is_forgotten(const struct claim_found *found, int64_t now_ms)
{
    if (found->state == STATE_NONE) {
        return true;
    }
    /* KEEP_NOT has no time to live; the test for it holds where the wall clock was set back, too.
     */
    return found->state == STATE_DONE &&
           (found->expires_at_ms <= now_ms || found->keep == KEEP_NOT);
}

static bool is_told(const struct claim_found *found, int64_t now_ms)
{
    enum keep keep = found->keep;
    return keep == KEEP_SUCCESS || keep == KEEP_REFUSAL || keep == KEEP_COOLDOWN ||
           (keep == KEEP_SET_ASIDE && now_ms < found->told_until_ms);
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
    return is_told(found, now_ms) ? CLAIM_REPLAYED : CLAIM_AGAIN;
}
