/*
 * sessions - every session that the broker may keep for this bridge, as the ledger lists them.
 *
 * A session holds commands while nobody is connected to it, so it is a part of the bridge's state.
 * The ledger has a row for each session, by its exact client id, and one for each of its filters.
 * They are written before the broker can have the session, and deleted after the broker has
 * forgotten it. What the settings no longer name (another client id or instance, the receivers of
 * former versions) is drained: connected by a process of its own, taken as ordinary commands,
 * unsubscribed, and ended when it is empty. HEALTH_DRAINING_SESSION lasts meanwhile. The status
 * topics are listed as well; the retained status of a former one is cleared.
 *
 * A session that is listed and not there (CONNACK without "session present") is lost, with the
 * commands it held. That is counted in the ledger before the receiver subscribes.
 * HEALTH_SESSION_LOST lasts for broker.session_lost_hold_s, or until somebody acknowledges it.
 *
 * Thread: the loop's.
 */
#ifndef APP_SESSIONS_H
#define APP_SESSIONS_H

#include "base/counters.h"
#include "base/health.h"
#include "base/shared_text.h"
#include "ledger/ledger.h"
#include "mqtt/workers.h"
#include "session_list.h"
#include "settings/settings.h"

#include <stdbool.h>
#include <stdint.h>

struct sessions;

/*
 * Reads what the ledger has of earlier runs, after ledger_open() and before ledger_start().
 * Everything must outlive it. `is_leaving`: the settings name no session any more.
 *
 * `shown` gets the sessions as a JSON array whenever one changes, for /status: ClientId, Filters
 * and State, which is "subscribed" or "not_subscribed" for the session of the settings, "draining"
 * or "ending" for the others.
 */
struct sessions *sessions_new(struct loop *loop, const struct settings *settings, bool is_leaving,
                              struct ledger *ledger, struct health *health,
                              struct counters *counters, struct shared_text *shown);
/* The instance of a bridge whose settings name none: made once and kept in the ledger. Before
 * sessions_start(). */
const char *sessions_instance(struct sessions *sessions);
/* Takes NULL. */
void sessions_free(struct sessions *sessions);
/* After ledger_start(): lists the sessions of the settings, and starts the workers as soon as that
 * is durable. `left` is called when the last former session has ended, if the bridge is leaving;
 * at once if there is none. */
void sessions_start(struct sessions *sessions, struct workers *workers, loop_fn *left, void *arg);
/* Leaves while it runs, as with `is_leaving` at the start. False: it is leaving already. */
bool sessions_leave(struct sessions *sessions);
/* Drains the session of another bridge, which must have no run, as a former one. False: it cannot
 * be done, because this bridge leaves or uses this client id itself. After sessions_start(), one at
 * a time. */
bool sessions_adopt(struct sessions *sessions, const char *instance,
                    const struct session_record *found);
/* Leaves a session that was adopted to its own bridge; it is left after hooks.session_ended. Once
 * more with `at_once`: workers_abandon(). */
void sessions_abandon(struct sessions *sessions, const char *client_id, bool at_once);
/* For workers_hooks. */
void sessions_connected(struct sessions *sessions, const char *client_id, bool is_present,
                        uint32_t generation);
void sessions_drained(struct sessions *sessions, const char *client_id);
void sessions_ended(struct sessions *sessions, const char *client_id);
/*
 * Before the bridge runs on other settings: lists the filters that they name in the ledger, and
 * calls `ready`, at the earliest in the next turn, when that is durable. One at a time.
 */
void sessions_prepare(struct sessions *sessions, const struct settings *next, loop_fn *ready,
                      void *arg);
/* The settings have changed, in their place: the next receiver process subscribes to their filters
 * and unsubscribes the others. */
void sessions_settings_changed(struct sessions *sessions);
/* The receiver has subscribed to what the settings name, and unsubscribed the rest; or it is down.
 */
void sessions_receiver_changed(struct sessions *sessions, bool is_up);
/* The publisher is connected, or not any more. */
void sessions_publisher_changed(struct sessions *sessions, bool is_up);
/* The broker has, or has not, taken a message with an id below 0. */
void sessions_published(struct sessions *sessions, int64_t id, bool is_taken);
/* Somebody has seen the loss: the reason ends. False: it did not last. */
bool sessions_acknowledge_loss(struct sessions *sessions);

#endif
