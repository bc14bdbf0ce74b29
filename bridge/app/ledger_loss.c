#include "ledger_loss.h"

#include "base/log.h"

void ledger_loss_recall(struct ledger *ledger, struct health *health)
{
    int64_t since_ms = ledger_recall(ledger, LEDGER_META_LOST_AT, 0);
    if (since_ms != 0) {
        health_set_since(health, HEALTH_LEDGER_MAY_HAVE_LOST, since_ms);
    }
}

void ledger_loss_report(struct ledger *ledger, struct health *health)
{
    health_set(health, HEALTH_LEDGER_MAY_HAVE_LOST, true);
    int64_t since_ms = health_since_ms(health, HEALTH_LEDGER_MAY_HAVE_LOST);
    LOG_ERROR("ledger_may_have_lost", LOG_INT("since_ms", since_ms));
    ledger_remember(ledger, LEDGER_META_LOST_AT, since_ms);
}

bool ledger_loss_acknowledge(struct ledger *ledger, struct health *health)
{
    bool was_on = health_is_on(health, HEALTH_LEDGER_MAY_HAVE_LOST);
    if (was_on) {
        LOG_INFO("ledger_loss_acknowledged",
                 LOG_INT("since_ms", health_since_ms(health, HEALTH_LEDGER_MAY_HAVE_LOST)));
        health_set(health, HEALTH_LEDGER_MAY_HAVE_LOST, false);
        ledger_forget(ledger, LEDGER_META_LOST_AT);
    }
    return was_on;
}
