/* Which commands a transaction is about, for the crash points around its commit. */
#include "ledger_private.h"

#include "base/crash_point.h"

#ifdef BRIDGE_CRASH_POINTS

void ledger_pass_commit(const struct ledger_batch *batch, bool is_committed)
{
    const struct ledger_request *request = batch->requests.head;
    for (; request != NULL; request = request->next) {
        if (request->kind == REQUEST_CLAIM) {
            crash_point_pass(is_committed ? CRASH_AFTER_CLAIM_COMMIT : CRASH_BEFORE_CLAIM_COMMIT,
                             slice_text(request->claim.ask.command->token));
        } else if (request->kind == REQUEST_FINISH) {
            crash_point_pass(is_committed ? CRASH_AFTER_OUTCOME_COMMIT
                                          : CRASH_BEFORE_OUTCOME_COMMIT,
                             slice_text(request->finish.command->token));
        }
    }
}

#endif
