/*
 * ledger_loss - the shared ledger has failed over to a server that may lack the last commits.
 * HEALTH_LEDGER_MAY_HAVE_LOST lasts until somebody acknowledges it, also over a restart.
 *
 * Thread: the loop's.
 */
#ifndef APP_LEDGER_LOSS_H
#define APP_LEDGER_LOSS_H

#include "base/health.h"
#include "ledger/ledger.h"

#include <stdbool.h>

/* Sets the reason again that an earlier run has reported and nobody has acknowledged. Between
 * ledger_open() and ledger_start(). */
void ledger_loss_recall(struct ledger *ledger, struct health *health);
/* The ledger reports it now. */
void ledger_loss_report(struct ledger *ledger, struct health *health);
/* Somebody has seen it: the reason ends. False: it did not last. */
bool ledger_loss_acknowledge(struct ledger *ledger, struct health *health);

#endif
