/*
 * peers - the other bridges of a shared ledger, and which of them are dead.
 *
 * Each bridge counts a number up in its row of the ledger, once a second; all read all numbers with
 * the answer to their own. A bridge is dead whose number has not changed for the length of its
 * lease, measured on this machine's CLOCK_BOOTTIME, while this bridge could have seen a change: a
 * time in which its own renewals failed does not count, for then the database was away, and for the
 * others as well.
 *
 * Thread: one at a time; pure, the time is passed in.
 */
#ifndef LEDGER_PEERS_H
#define LEDGER_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One row of the table of bridges. */
struct peer_row {
    int64_t id; /* of the run; never used again */
    int64_t n;  /* its number of renewals: only that it changes counts */
    int64_t lease_ms;
    int64_t held; /* how many commands it holds */
};

struct peer {
    struct peer_row row;
    int64_t since_ms; /* when this `n` was seen first, or the counting began anew */
    bool is_listed;   /* in the last answer */
};

struct peers {
    int64_t own_id;
    int64_t own_lease_ms; /* less the margin: how long a gap between two renewals may be */
    int64_t renewed_ms;   /* the last own renewal that succeeded */
    bool has_gap;         /* one has failed since */
    bool has_changed;
    struct peer *items;
    size_t count;
};

void peers_init(struct peers *peers, int64_t own_id, int64_t own_lease_ms);
void peers_fini(struct peers *peers);

/* A renewal of this bridge failed. */
void peers_renewal_failed(struct peers *peers);
/*
 * A renewal succeeded, and its answer came at `now_ms`: peers_begin(), peers_add() for each row of
 * the answer (this bridge's own as well, which is left out), then peers_end(). It returns whether a
 * bridge has come or gone since the last answer.
 */
void peers_begin(struct peers *peers, int64_t now_ms);
void peers_add(struct peers *peers, const struct peer_row *row, int64_t now_ms);
bool peers_end(struct peers *peers);

/* A bridge that is dead; its `n` is the one that must still be there when it is expelled. NULL:
 * there is none. Ask after peers_end(), and again after peers_forget(). */
const struct peer_row *peers_find_dead(const struct peers *peers, int64_t now_ms);
/* Forgets a bridge that was expelled. If it is alive after all, the next answer adds it again, and
 * its lease is counted from then on. */
void peers_forget(struct peers *peers, int64_t id);
/* How many commands all of them hold. */
int64_t peers_held(const struct peers *peers);

#endif
