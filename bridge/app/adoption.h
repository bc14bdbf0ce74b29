/*
 * adoption - takes what the broker holds for bridges that share the ledger and do not run.
 *
 * The ledger lists the sessions of each instance. One whose instance has had no run for
 * ledger.session_adopt_s, as this bridge has seen it on its own clock, is drained by one of the
 * others: the one that gets the lease on it, a row of the ledger that is deleted with its run. It
 * connects with the session's client id, answers what comes, and ends the session. Nobody else
 * does so meanwhile. A bridge of that instance that starts waits until the row is gone
 * (adoption_must_wait); the holder sees its registration, leaves the session to it, and deletes the
 * row. Either the holder sees the registration or the bridge sees the row, because each of them
 * writes before it reads.
 *
 * Thread: the loop's.
 */
#ifndef APP_ADOPTION_H
#define APP_ADOPTION_H

#include "base/lease.h"
#include "base/loop.h"
#include "ledger/ledger.h"
#include "sessions.h"
#include "settings/settings.h"

struct adoption;

/* All of these must outlive it. */
struct adoption_parts {
    const struct settings *settings;
    const struct lease *lease;
    struct ledger *ledger;
    struct sessions *sessions;
};

/* After ledger_start() and sessions_start(). NULL: the ledger is not shared, or the settings do not
 * want it. */
struct adoption *adoption_new(struct loop *loop, const struct adoption_parts *parts);
/* After lease_check(). A session that is being drained is left within the next turn of the loop if
 * the lease is not valid any more. Takes NULL. */
void adoption_lease_changed(struct adoption *adoption);
/* Takes nothing more. Takes NULL. */
void adoption_stop(struct adoption *adoption);
/* After ledger_close(), which may report a last answer. Takes NULL. */
void adoption_free(struct adoption *adoption);
/* After sessions_ended(): nobody is connected to this session any more. Takes NULL. */
void adoption_session_ended(struct adoption *adoption, const char *client_id);
enum adoption_wait {
    ADOPTION_GO_ON,
    ADOPTION_WAIT, /* another run has the lease on the sessions of this instance: ask again */
    /* It cannot be read whether one has, or this run may not be registered any more, so that no
     * holder would leave the sessions to it. */
    ADOPTION_START_AGAIN
};
/* Whether this bridge may connect to the broker with its client id. Between ledger_open() and
 * ledger_start(). */
enum adoption_wait adoption_must_wait(struct ledger *ledger, struct lease *lease);

#endif
