/*
 * A rate that several bridges share: a row for each region. Its times are those of the server's
 * clock, which the lease's thread has read.
 */
#include "store_private.h"

#include "base/clock.h"

#define US_PER_S     1000000
#define PAUSE_MS_MAX 60000 /* a longer one is that of a server whose clock was ahead */

static int64_t now_us(const struct store *store)
{
    return postgres_clock_ms(store, clock_boot_ms()) * 1000;
}

/* Columns: granted, free_at, slow_step, slowed_at, paused_until. */
static void read_grant(const PGresult *row, int64_t now, int64_t step_us,
                       struct allowance_grant *out)
{
    int64_t slow_step_us = postgres_int(row, 0, 2);
    int64_t pause_ms = (postgres_int(row, 0, 4) - now + 999) / 1000;
    int64_t wait_ms = (postgres_int(row, 0, 1) + step_us - now + 999) / 1000;
    *out = (struct allowance_grant){
        .count = postgres_int(row, 0, 0),
        .wait_ms = wait_ms > 0 ? wait_ms : 0,
        .pause_ms = pause_ms < 0              ? 0
                    : pause_ms < PAUSE_MS_MAX ? pause_ms
                                              : PAUSE_MS_MAX,
        .slowed_per_s = slow_step_us > 0 ? (double)US_PER_S / (double)slow_step_us : 0,
        .slowed_ago_ms = (now - postgres_int(row, 0, 3)) / 1000};
}

enum status postgres_grant(struct store *store, struct allowance_request *request)
{
    const struct allowance_ask *ask = &request->ask;
    int64_t now = now_us(store);
    int64_t step_us = (int64_t)(US_PER_S / ask->rate_per_s);
    step_us = step_us < 1 ? 1 : step_us;
    const struct postgres_value values[] = {
        postgres_bytes(slice_text(ask->name)), postgres_number(now), postgres_number(step_us),
        postgres_number(ask->is_slowed ? ask->pause_ms * 1000 : (int64_t)ask->burst),
        postgres_number(ask->wanted_count)};
    enum status status = ask->is_slowed ? postgres_query(store, PG_SLOW, values, 4)
                                        : postgres_query(store, PG_GRANT, values, 5);
    if (status == STATUS_OK) {
        read_grant(store->kept, now, step_us, &request->grant);
    }
    return status;
}
