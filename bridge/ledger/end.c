/* How the last bridge on this ledger ended, and what that means for the calls it left. */
#include "base/clock.h"
#include "ledger_private.h"

/* The fact that it was closed in good order. */
#define CLOSED_META "ledger.is_closed"

/* Calls that an orderly stop left on the wire are nobody's fault; those of a bridge that was not
 * closed may be why. A ledger of before this was recorded accuses nobody. */
static bool is_charged(struct ledger *ledger)
{
    int64_t was_closed = 1;
    (void)ledger->ops->get_meta(ledger->store, CLOSED_META, &was_closed);
    return was_closed == 0;
}

/* The audit file's first line of this run belongs to the same transaction. */
enum status ledger_reset_calls(struct ledger *ledger)
{
    ledger_audit_begin(ledger, clock_wall_ms());
    enum status status = ledger->ops->begin(ledger->store);
    if (status == STATUS_OK) {
        status = ledger->ops->reset_calls(ledger->store, is_charged(ledger));
    }
    if (status == STATUS_OK) {
        status = ledger->ops->set_meta(ledger->store, CLOSED_META, 0);
    }
    if (status == STATUS_OK) {
        status = ledger_audit_write(ledger);
    }
    if (status == STATUS_OK) {
        status = ledger->ops->commit(ledger->store);
    }
    ledger_audit_end(ledger, status == STATUS_OK);
    return status;
}

/* Where that cannot be kept, the calls it left are charged once: too little to be blamed. */
void ledger_note_close(struct ledger *ledger)
{
    const struct store_ops *ops = ledger->ops;
    if (ops->begin(ledger->store) != STATUS_OK ||
        ops->set_meta(ledger->store, CLOSED_META, 1) != STATUS_OK ||
        ops->commit(ledger->store) != STATUS_OK) {
        ops->rollback(ledger->store);
    }
}
