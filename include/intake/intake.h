/*
 * intake - from a delivery to a claim: every message on a command topic is read, judged, and made
 * durable in some form before its verdict lets the broker have the acknowledgement.
 *
 * A valid command is claimed; a refusal becomes a reply or a dead letter in the outbox. What could
 * not be stored is not acknowledged.
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
#include "settings/settings.h"

struct intake;

/* All of these must outlive it. */
struct intake *intake_new(const struct settings *settings, struct counters *counters,
                          struct ledger *ledger, struct dispatch *dispatch,
                          struct workers *workers);
/* Takes NULL. Deliveries whose claim is still under way are forgotten. */
void intake_free(struct intake *intake);
/* The verdict goes to workers_ack(), exactly once. */
void intake_deliver(struct intake *intake, const struct delivery *delivery,
                    struct mqtt_ticket ticket);
/*
 * From now on nothing new is begun: what the broker will send again (QoS 1 and 2) is left to it,
 * what it will not (QoS 0) is answered with Bridge.ShuttingDown.
 */
void intake_stop(struct intake *intake);

#endif
