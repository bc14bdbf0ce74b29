/*
 * lease - until when this process may act on a ledger that it shares with others.
 *
 * The holder renews its lease on the ledger; the others take its work over when they have not seen
 * a renewal for the length of the lease. It stops acting LEASE_MARGIN_MS earlier, counted from the
 * moment at which it sent the last renewal that succeeded. All times are CLOCK_BOOTTIME of this
 * machine, which goes on while the machine sleeps: no clocks of two machines are compared.
 *
 * Without a shared ledger no lease is needed: then it is always valid.
 *
 * Thread: lease_renewed() and lease_lose() are the ledger's, the rest is the loop's.
 */
#ifndef BASE_LEASE_H
#define BASE_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Longer than the clocks of two machines differ in a lease, and than a frame is on its way to a
 * process of this machine. */
#define LEASE_MARGIN_MS 2000

struct lease {
    _Atomic int64_t valid_until_ms; /* INT64_MAX: no lease is needed */
    atomic_bool is_lost;
    bool is_valid; /* as of the last lease_check() */
};

/* No lease is needed. */
void lease_init(struct lease *lease);
/* From now on one is needed, and there is none yet. */
void lease_begin(struct lease *lease);
/* A renewal of a lease of this length succeeded, which was sent at `sent_ms`. */
void lease_renewed(struct lease *lease, int64_t sent_ms, int64_t lease_ms);
/* Somebody else has taken over: it never becomes valid again. */
void lease_lose(struct lease *lease);

enum lease_change { LEASE_SAME, LEASE_LAPSED, LEASE_REGAINED, LEASE_LOST };
/* Sets is_valid, and says what has changed since the last check. LEASE_LOST every time. */
enum lease_change lease_check(struct lease *lease, int64_t boot_ms);
/* For messages to another process of this machine: the time after which they must not be used any
 * more; 0 for never. Takes NULL. */
int64_t lease_valid_until_ms(const struct lease *lease);

#endif
