/*
 * takings - which deliveries are being taken, in a small file that outlives a crash of the process.
 *
 * The table of domain/blame.h, mapped from a file beside the ledger: marking costs a store to
 * memory and no call; what the kernel has of it survives the process, though not the machine, which
 * is enough to know a delivery that ends the bridge each time it comes. Nothing here is needed to
 * run: where the file cannot be had, or is not one of ours, that is said in the log and the table
 * is kept in memory alone.
 *
 * Only the owner of the ledger's lock may open it. Thread: the loop's.
 */
#ifndef INTAKE_TAKINGS_H
#define INTAKE_TAKINGS_H

#include "model/crash_limit.h"

struct takings;

/* Makes the file where there is none (0600), and makes it anew where it is damaged. What the last
 * bridge was taking when it ended is charged. */
struct takings *takings_open(const char *path);
/* The bridge ends in good order: nothing is being taken. Takes NULL. */
void takings_close(struct takings *takings);
/* The table, of BLAME_MARKS. */
struct blame_mark *takings_marks(struct takings *takings);

#endif
