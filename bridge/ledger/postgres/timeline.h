/*
 * timeline - which server the database is on. A fail-over gives the database a higher timeline; an
 * old primary that comes back has the lower one and takes writes all the same. What it would take
 * is lost, so it is refused.
 *
 * The last known server is in memory, and in a file for the next start: its system identifier, its
 * timeline, and whether a fail-over from it can lose commits. That depends on the server that was
 * left: with a synchronous standby nothing is lost. A loss that was found is in the file until the
 * ledger has it, because the run may end before it reports it.
 *
 * Thread: any.
 */
#ifndef LEDGER_POSTGRES_TIMELINE_H
#define LEDGER_POSTGRES_TIMELINE_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* A server that takes writes. */
struct postgres_server {
    uint64_t system;   /* the database system's identifier; 0: it does not say */
    unsigned timeline; /* the highest one so far */
    bool has_standby;  /* its commits wait for a synchronous standby */
};

struct timeline;

/* Reads the file, which need not exist. With `is_full` commits wait for a synchronous standby. */
struct timeline *timeline_new(const char *file, bool is_full);
/* Takes NULL. */
void timeline_free(struct timeline *timeline);

/* STATUS_INVALID: it is an old primary, or of another database system; what to do is appended to
 * *out_why. With NULL nothing is known and each server is accepted. */
enum status timeline_check(struct timeline *timeline, const struct postgres_server *server,
                           struct buf *out_why);
/* The database is on this server, which was accepted. */
void timeline_use(struct timeline *timeline, const struct postgres_server *server);
/* Whether it has become an old primary since it was used. */
bool timeline_is_old(struct timeline *timeline, const struct postgres_server *server);
/* The server in use has a synchronous standby, or has none any more. */
void timeline_set_standby(struct timeline *timeline, bool has_standby);
/* Commits are missing that were reported. */
void timeline_set_lost(struct timeline *timeline);

/* Whether commits were or may have been lost since the last call, or before the start and not
 * stored. */
bool timeline_take_loss(struct timeline *timeline);
/* The ledger has what was taken. */
void timeline_loss_stored(struct timeline *timeline);

#endif
