/*
 * lease_guard - compares the lease on a shared ledger with the clock before every callback of the
 * loop, so that a bridge that was stopped for a while does nothing before it knows whether others
 * have taken over.
 *
 * While the lease is not valid no call begins and no message goes to the publisher. When it is lost
 * the process ends at once, with its MQTT processes: what it still has to do is others' work, and
 * the ledger accepts nothing from it any more.
 *
 * Thread: the loop's.
 */
#ifndef APP_LEASE_GUARD_H
#define APP_LEASE_GUARD_H

#include "base/lease.h"
#include "base/loop.h"
#include "dispatch/dispatch.h"
#include "mqtt/workers.h"
#include "outbox/outbox.h"

/* The exit code of a bridge that has lost its lease: EX_TEMPFAIL of sysexits(3). */
#define LEASE_GUARD_EXIT 75

struct lease_guard;

/* All of these must outlive it. */
struct lease_guard_parts {
    struct lease *lease;
    struct dispatch *dispatch;
    struct outbox *outbox;
    struct workers *workers;
    /* The lease is valid, or not any more. */
    void (*changed)(void *arg);
    void *arg;
};

/* Checks the lease at once. `dispatch` must not be held by anybody else from now on. */
struct lease_guard *lease_guard_new(struct loop *loop, const struct lease_guard_parts *parts);
/* Takes NULL. */
void lease_guard_free(struct lease_guard *guard);

#endif
