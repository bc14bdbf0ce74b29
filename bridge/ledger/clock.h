/*
 * ledger_clock - the time by which records are kept and forgotten. A wall clock that is set forward
 * by days must not make the ledger forget tokens, and one that is set back must not stop it.
 *
 * The kept time was the wall clock's when the ledger was made. From then on it counts what really
 * passes, the machine's sleep included (CLOCK_BOOTTIME), and leaves out every step of the wall
 * clock. Facts in the store carry it over a restart. Over a reboot it goes on by the wall clock: a
 * step while the machine is off cannot be told from time that passed. A machine that begins in 1970
 * until it has asked the network must not upset it, so it never goes back, and what the wall clock
 * was behind it at the last writing is not added to the wall clock of the next run.
 *
 * Thread: any; pure, but for ledger_clock_read() and ledger_clock_boot().
 */
#ifndef LEDGER_CLOCK_H
#define LEDGER_CLOCK_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct ledger_batch;
struct store;
struct store_ops;

struct ledger_clock_reading {
    int64_t wall_ms;
    int64_t since_boot_ms;
};

/* What the store keeps. All 0 in a new ledger. */
struct ledger_clock_meta {
    int64_t boot;     /* the machine's run */
    int64_t base_ms;  /* in that run: kept time minus time since boot */
    int64_t steps_ms; /* wall clock minus kept time */
    int64_t kept_ms;  /* the kept time when they were written */
};

struct ledger_clock {
    struct ledger_clock_meta meta; /* as stored */
    int64_t boot;
    int64_t base_ms;
};

struct ledger_clock_reading ledger_clock_read(void);
/* Names the machine's present run; 0 where the system does not tell. */
int64_t ledger_clock_boot(void);

void ledger_clock_init(struct ledger_clock *clock, const struct ledger_clock_meta *meta,
                       int64_t boot, const struct ledger_clock_reading *reading);
int64_t ledger_clock_kept_ms(const struct ledger_clock *clock,
                             const struct ledger_clock_reading *reading);
/* Whether the stored meta are not the present ones any more; these are in *out_meta then. Call
 * ledger_clock_stored() once they are stored. */
bool ledger_clock_has_news(const struct ledger_clock *clock,
                           const struct ledger_clock_reading *reading,
                           struct ledger_clock_meta *out_meta);
void ledger_clock_stored(struct ledger_clock *clock, const struct ledger_clock_meta *meta);

/* What the store has; all 0 where it has nothing. STATUS_STORE. */
enum status ledger_clock_load(const struct store_ops *ops, struct store *store,
                              struct ledger_clock_meta *out_meta);
/* Has the batch write it. */
void ledger_clock_save(const struct ledger_clock_meta *meta, struct ledger_batch *batch);

#endif
