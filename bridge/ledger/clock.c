/*
 * The kernel slews CLOCK_BOOTTIME together with the wall clock, so the two differ only by steps.
 * The sum of all steps is computed from both clocks each time, so errors do not add up.
 */
#include "clock.h"

#include "base/clock.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>

/* Smaller differences are not stored: they may come from an interruption between two readings. */
#define STEP_MIN_MS 1000

/* The ledger's clock falls back by at most so much after a restart of a machine that lost its wall
 * clock; one write an hour costs nothing. */
#define KEPT_AGE_MAX_MS 3600000

#define BOOT_ID_FILE   "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_DIGITS 13 /* "xxxxxxxx-xxxx": enough to distinguish two boots of a machine */

#define META_BOOT "ledger.clock_boot"
#define META_BASE "ledger.clock_base_ms"
#define META_KEPT "ledger.clock_kept_ms"

int64_t ledger_clock_boot(void)
{
    char text[BOOT_ID_DIGITS + 1] = "";
    FILE *file = fopen(BOOT_ID_FILE, "re");
    if (file == NULL) {
        return 0;
    }
    char *line = fgets(text, sizeof text, file);
    fclose(file);
    if (line == NULL) {
        return 0;
    }
    char *rest = NULL;
    int64_t high = (int64_t)strtoul(line, &rest, 16);
    return *rest == '-' ? high << 16 | (int64_t)strtoul(rest + 1, NULL, 16) : 0;
}

struct ledger_clock_reading ledger_clock_read(void)
{
    return (struct ledger_clock_reading){.wall_ms = clock_wall_ms(),
                                         .since_boot_ms = clock_boot_ms()};
}

void ledger_clock_init(struct ledger_clock *clock, const struct ledger_clock_meta *meta,
                       int64_t boot, const struct ledger_clock_reading *reading)
{
    clock->meta = *meta;
    clock->boot = boot;
    if (boot != 0 && boot == meta->boot) {
        clock->base_ms = meta->base_ms;
        return;
    }
    int64_t by_wall_ms = reading->wall_ms - (meta->steps_ms > 0 ? meta->steps_ms : 0);
    int64_t kept_ms = by_wall_ms > meta->kept_ms ? by_wall_ms : meta->kept_ms;
    clock->base_ms = kept_ms - reading->since_boot_ms;
}

int64_t ledger_clock_kept_ms(const struct ledger_clock *clock,
                             const struct ledger_clock_reading *reading)
{
    return clock->base_ms + reading->since_boot_ms;
}

bool ledger_clock_has_news(const struct ledger_clock *clock,
                           const struct ledger_clock_reading *reading,
                           struct ledger_clock_meta *out_meta)
{
    int64_t kept_ms = ledger_clock_kept_ms(clock, reading);
    int64_t steps_ms = reading->wall_ms - kept_ms;
    bool is_stored = clock->meta.boot == clock->boot && clock->meta.base_ms == clock->base_ms &&
                     llabs(steps_ms - clock->meta.steps_ms) < STEP_MIN_MS &&
                     kept_ms - clock->meta.kept_ms < KEPT_AGE_MAX_MS;
    if (!is_stored) {
        *out_meta = (struct ledger_clock_meta){clock->boot, clock->base_ms, steps_ms, kept_ms};
    }
    return !is_stored;
}

void ledger_clock_stored(struct ledger_clock *clock, const struct ledger_clock_meta *meta)
{
    clock->meta = *meta;
}

enum status ledger_clock_load(const struct store_ops *ops, struct store *store,
                              struct ledger_clock_meta *out_meta)
{
    struct ledger_clock_meta meta = {0};
    const struct {
        const char *key;
        int64_t *value;
    } parts[] = {{META_BOOT, &meta.boot},
                 {META_BASE, &meta.base_ms},
                 {LEDGER_CLOCK_META_STEPS, &meta.steps_ms},
                 {META_KEPT, &meta.kept_ms}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        enum status status = ops->get_meta(store, parts[i].key, parts[i].value);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
            return status;
        }
    }
    *out_meta = meta;
    return STATUS_OK;
}

void ledger_clock_save(const struct ledger_clock_meta *meta, struct ledger_batch *batch)
{
    ledger_batch_add_meta(batch, META_BOOT, meta->boot);
    ledger_batch_add_meta(batch, META_BASE, meta->base_ms);
    ledger_batch_add_meta(batch, LEDGER_CLOCK_META_STEPS, meta->steps_ms);
    ledger_batch_add_meta(batch, META_KEPT, meta->kept_ms);
}
