/*
 * sessions - whether the broker should have kept a session for the receiver, and whether it was
 * lost.
 *
 * A lost session may mean lost commands: it sets HEALTH_SESSION_LOST until somebody acknowledges
 * it. The ledger keeps both facts over restarts. Sessions that several receivers of a former
 * version had are reported at the start; their records stay.
 *
 * Thread: the loop's.
 */
#ifndef APP_SESSIONS_H
#define APP_SESSIONS_H

#include "base/counters.h"
#include "base/health.h"
#include "ledger/ledger.h"
#include "settings/settings.h"

#include <stdbool.h>
#include <stdint.h>

struct sessions;

/* Reads what the ledger has of earlier runs; before ledger_start(). Everything must outlive it. */
struct sessions *sessions_new(const struct settings *settings, struct ledger *ledger,
                              struct health *health, struct counters *counters);
/* Takes NULL. */
void sessions_free(struct sessions *sessions);
/* The receiver is connected; `is_present`: the broker still had its session. `client_id` is for the
 * log. */
void sessions_opened(struct sessions *sessions, const char *client_id, bool is_present);
/* Somebody has seen the loss: the reason ends. */
void sessions_acknowledge_loss(struct sessions *sessions);

#endif
