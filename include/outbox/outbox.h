/*
 * outbox - hands the ledger's messages to the publisher until the broker has acknowledged each.
 *
 * Messages go in the order of the ledger's ids. A bounded part of them is held in memory; the rest
 * is read from the ledger when there is room. What a lost publisher had not reported as published
 * is handed over again, the same bytes.
 *
 * One message must not stop the others. So a message is *set back* if the broker refused it, or if
 * two connections in a row were lost while it was in flight. It leaves the order and is published
 * again by itself, after 1 s, doubling to 60 s. After two lost connections it is also published
 * alone: when nothing else is in flight and the connection has lasted for a second. It becomes a
 * dead letter (Bridge.ReplyUndelivered)
 *
 *   - when its expiry, `replies.expiry_s` after it was made, has passed, or
 *   - when three connections were lost while it was the only message in flight.
 *
 * A dead letter of which that is true is dropped. A connection that ends within a second after a
 * refusal counts for no message: the refusal may be why the broker closed it. From then on only one
 * message that was set back is published at a time, with a pause of up to 10 s, until one is taken:
 * each may cost the others the connection.
 *
 * HEALTH_REPLY_REFUSED is on while a message is set back, HEALTH_OUTBOX_FULL while the outbox has
 * `limits.outbox_messages` messages or `limits.outbox_bytes` bytes.
 *
 * Thread: the loop's.
 */
#ifndef OUTBOX_OUTBOX_H
#define OUTBOX_OUTBOX_H

#include "base/counters.h"
#include "base/health.h"
#include "base/lease.h"
#include "base/loop.h"
#include "base/slice.h"
#include "ledger/ledger.h"
#include "mqtt/workers.h"
#include "settings/settings.h"
#include "traces/traces.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox;

/* `ledger` and `workers` are given by outbox_connect() before anything else and must outlive it. */
struct outbox *outbox_new(struct loop *loop, const struct settings *settings, struct health *health,
                          struct counters *counters);
/* Where acknowledged messages are reported for traces; NULL: nowhere. */
void outbox_trace(struct outbox *outbox, struct traces *traces);
/* While the lease is not valid nothing is handed to the publisher, and what it has is published
 * only as long as the lease was valid when it was handed over. The lease must outlive the outbox.
 */
void outbox_set_lease(struct outbox *outbox, const struct lease *lease);
/* The lease is valid again. */
void outbox_lease_regained(struct outbox *outbox);
/* Begins with the messages that the ledger still has. */
void outbox_connect(struct outbox *outbox, struct ledger *ledger, struct workers *workers);
/* After ledger_close(), which has dropped the requests of the outbox. Takes NULL. */
void outbox_free(struct outbox *outbox);

/* The ledger's hook: a durable message. */
void outbox_posted(struct outbox *outbox, int64_t id, struct slice message);
/* The workers' hooks. */
void outbox_published(struct outbox *outbox, int64_t id);
void outbox_unpublished(struct outbox *outbox, int64_t id, uint32_t code, struct slice why);
void outbox_expired(struct outbox *outbox, int64_t id);
/* The publisher has a connection, or lost it. */
void outbox_publisher_changed(struct outbox *outbox, bool is_up);

/* Whether the outbox has reached its limits: then no delivery may be acknowledged. */
bool outbox_is_full(struct outbox *outbox);

/*
 * Calls `empty` once, when all messages posted up to now are acknowledged or set back, at the
 * earliest on the next iteration of the loop. The caller bounds the wait.
 */
void outbox_flush(struct outbox *outbox, loop_fn *empty, void *arg);

#endif
