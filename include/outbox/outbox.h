/*
 * outbox - hands the ledger's messages to the publisher until the broker has acknowledged each.
 *
 * Messages go in the order of the ledger's ids. A bounded part of them is held in memory; the rest
 * is read from the ledger when there is room. What a lost publisher had not reported as published
 * is handed over again, the same bytes.
 *
 * Thread: the loop's.
 */
#ifndef OUTBOX_OUTBOX_H
#define OUTBOX_OUTBOX_H

#include "base/counters.h"
#include "base/loop.h"
#include "base/slice.h"
#include "ledger/ledger.h"
#include "mqtt/workers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox;

/* `ledger` and `workers` are given by outbox_connect() before anything else and must outlive it. */
struct outbox *outbox_new(struct loop *loop, struct counters *counters);
/* Begins with the messages that the ledger still has. */
void outbox_connect(struct outbox *outbox, struct ledger *ledger, struct workers *workers);
/* Takes NULL. */
void outbox_free(struct outbox *outbox);

/* The ledger's hook: a durable message. */
void outbox_posted(struct outbox *outbox, int64_t id, struct slice message);
/* The workers' hooks. */
void outbox_published(struct outbox *outbox, int64_t id);
void outbox_unpublished(struct outbox *outbox, int64_t id, bool is_final, struct slice why);
/*
 * The publisher has a connection, or lost it. A message that may be why connections are lost must
 * not stop the others: one with which two connections in a row were lost is handed over alone, and
 * one with which three were lost while it was alone is set aside: it is handed over again, alone,
 * after 60 s. A connection on which the broker refused a message is not counted.
 */
void outbox_publisher_changed(struct outbox *outbox, bool is_up);

/*
 * Calls `empty` once, when all messages posted up to now are acknowledged, at the earliest on the
 * next iteration of the loop. The caller bounds the wait.
 */
void outbox_flush(struct outbox *outbox, loop_fn *empty, void *arg);

#endif
