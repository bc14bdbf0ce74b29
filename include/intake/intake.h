/*
 * intake - from a delivery to a claim: every message on a command topic is read, checked, and
 * stored in some form before the broker gets its acknowledgement.
 *
 * A valid command is claimed in the ledger and handed to dispatch; a refusal becomes a reply or a
 * dead letter in the outbox. A message of which a route makes several commands is acknowledged once
 * all of them are stored; one that a route's conditions exclude is acknowledged at once. What could
 * not be stored is not acknowledged, and nothing is while the outbox is full.
 *
 * Thread: the loop's.
 */
#ifndef INTAKE_INTAKE_H
#define INTAKE_INTAKE_H

#include "base/counters.h"
#include "dispatch/dispatch.h"
#include "ledger/ledger.h"
#include "model/delivery.h"
#include "mqtt/workers.h"
#include "outbox/outbox.h"
#include "settings/settings.h"
#include "traces/traces.h"

struct intake;

/* All of these must outlive it. */
struct intake *intake_new(const struct settings *settings, struct counters *counters,
                          struct ledger *ledger, struct dispatch *dispatch, struct outbox *outbox,
                          struct workers *workers);
/* Where it is reported when a message is durable, for traces; NULL: nowhere. */
void intake_trace(struct intake *intake, struct traces *traces);
/* The settings have changed, in their place. */
void intake_settings_changed(struct intake *intake);
/* Takes NULL. Deliveries whose claim is on its way are not acknowledged; the ledger must make no
 * more callbacks. */
void intake_free(struct intake *intake);
/* Ends with exactly one workers_ack() for the ticket, once the delivery is stored or cannot be. */
void intake_deliver(struct intake *intake, const struct delivery *delivery,
                    struct mqtt_ticket ticket);
/*
 * No new commands from now on: deliveries of QoS 1 and 2 are not acknowledged, so that the broker
 * sends them again later; one of QoS 0 is refused with Bridge.ShuttingDown.
 */
void intake_stop(struct intake *intake);

#endif
