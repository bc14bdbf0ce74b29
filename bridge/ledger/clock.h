/*
 * clock - the ledger's clock, by which records are kept and expire. If somebody sets the wall clock
 * forward by days, the ledger must not forget tokens; if it is set back, records must still expire.
 *
 * When a ledger is created, its clock shows the time of the wall clock. From then on it advances
 * with CLOCK_BOOTTIME, which includes the machine's sleep, and ignores every step of the wall
 * clock. Values in the store (meta) keep it over a restart of the bridge. After a restart of the
 * machine it continues by the wall clock, less the sum of the steps before: a step while the
 * machine is off cannot be distinguished from time that passed. Some machines start with 1970 until
 * they have the time from the network; therefore the ledger's clock never goes back, and a negative
 * sum of steps is ignored after a restart of the machine.
 *
 * Bridges that share a ledger have one clock: the wall clock is that of the database's server, and
 * the sum of the steps is kept for all of them. No clock of a bridge's machine has a part in it,
 * but for CLOCK_BOOTTIME, by which it advances.
 *
 * Thread: any; pure, except for ledger_clock_read() and ledger_clock_boot().
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

/* The values in the store. All are 0 in a new ledger. */
struct ledger_clock_meta {
    int64_t boot;     /* identifies the boot of the machine */
    int64_t base_ms;  /* during that boot: the ledger's time minus the time since the boot */
    int64_t steps_ms; /* the sum of all steps: the wall clock minus the ledger's time */
    int64_t kept_ms;  /* the ledger's time when these values were stored */
};

struct ledger_clock {
    struct ledger_clock_meta meta; /* as stored */
    int64_t boot;
    int64_t base_ms;
};

/* The key of the sum of all steps. */
#define LEDGER_CLOCK_META_STEPS "ledger.clock_steps_ms"

struct ledger_clock_reading ledger_clock_read(void);
/* Identifies this boot of the machine; 0: the system does not say. */
int64_t ledger_clock_boot(void);

void ledger_clock_init(struct ledger_clock *clock, const struct ledger_clock_meta *meta,
                       int64_t boot, const struct ledger_clock_reading *reading);
int64_t ledger_clock_kept_ms(const struct ledger_clock *clock,
                             const struct ledger_clock_reading *reading);
/* Returns true if the stored values are out of date, with the new ones in *out_meta. Call
 * ledger_clock_stored() after the commit. */
bool ledger_clock_has_news(const struct ledger_clock *clock,
                           const struct ledger_clock_reading *reading,
                           struct ledger_clock_meta *out_meta);
void ledger_clock_stored(struct ledger_clock *clock, const struct ledger_clock_meta *meta);

/* Reads the values; all are 0 if there are none. Fails with STATUS_STORE. */
enum status ledger_clock_load(const struct store_ops *ops, struct store *store,
                              struct ledger_clock_meta *out_meta);
/* Adds the values to the batch. */
void ledger_clock_save(const struct ledger_clock_meta *meta, struct ledger_batch *batch);

#endif
