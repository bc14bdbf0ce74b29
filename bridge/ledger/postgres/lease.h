/*
 * lease - keeps a run registered, on a connection and a thread of its own, so that a batch that
 * waits for a lock does not look like the death of its bridge.
 *
 * Once a second it counts the run's number up, reads those of the other bridges, and expels those
 * that are dead (peers.h): the row of an expelled run is gone, so each of its transactions fails.
 * What that run held is adopted by the store's own thread, which is told by `wake`.
 *
 * Thread: the store's, but for `wake`, which runs on the thread of the lease.
 */
#ifndef LEDGER_POSTGRES_LEASE_H
#define LEDGER_POSTGRES_LEASE_H

#include "base/counters.h"
#include "base/lease.h"
#include "base/status.h"
#include "timeline.h"

#include <stdbool.h>
#include <stdint.h>

struct postgres_lease;

struct postgres_lease_options {
    const char *uri;           /* this and the next one must outlive it */
    const char *password_file; /* NULL or "": none */
    bool is_full;
    int64_t run;
    int64_t lease_ms;
    struct lease *lease;       /* is renewed, or lost */
    struct counters *counters; /* NULL: none */
    struct timeline *timeline; /* also of the store's connection */
    int64_t clock_offset_ms;   /* as of the registration */
    bool warns_of_loss;        /* of a server without a synchronous standby */
    /* There may be something to adopt, or the lease is lost. */
    void (*wake)(void *arg);
    void *arg;
};

/* The run is registered already, and the lease is valid or not, as its registration says. */
struct postgres_lease *postgres_lease_new(const struct postgres_lease_options *options);
/* Ends the thread: it waits for an answer of the server, at most as long as the lease is valid.
 * Takes NULL. */
void postgres_lease_free(struct postgres_lease *lease);

/* Whether runs have gone since the last call: what they held may be adopted. True from time to time
 * without that. */
bool postgres_lease_take_change(struct postgres_lease *lease);
/* Whether a command that waits in line has passed its deadline, on the server's clock, since the
 * last call. */
bool postgres_lease_take_overdue(struct postgres_lease *lease);
/* There is more to do: has the store called again, as `wake` does. */
void postgres_lease_call_again(struct postgres_lease *lease);
/* Whether other bridges have changed the watches of regions that this run polls. */
bool postgres_lease_take_watch_change(struct postgres_lease *lease);
/* As of the last renewal, how many commands the other bridges hold or wait in line. */
int64_t postgres_lease_elsewhere(const struct postgres_lease *lease);
/* The server's clock minus CLOCK_BOOTTIME of this machine, as of the last renewal. */
int64_t postgres_lease_clock_offset_ms(const struct postgres_lease *lease);
/* The number of commands that this run holds, for the other bridges. */
void postgres_lease_set_held(struct postgres_lease *lease, int64_t held);

#endif
