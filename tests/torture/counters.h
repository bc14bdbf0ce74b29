/*
 * counters - the bridge's own count of what it did, read from its /metrics, and whether it adds up.
 */
#ifndef TORTURE_COUNTERS_H
#define TORTURE_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

struct counters_read {
    int64_t received;
    int64_t succeeded;
    int64_t failed;
    int64_t unknown;
    int64_t refused;
    int64_t replayed;
    int64_t not_taken;
    int64_t resumed;
    int64_t in_work;
    int64_t waiting;
    int64_t in_flight;
    int64_t outbox;
    int64_t sessions_lost;
};

/* false where the bridge does not answer. */
bool counters_read(int admin_port, struct counters_read *out);
/* Nothing in work, nothing waiting, every reply with the broker. */
bool counters_are_at_rest(const struct counters_read *counters);
/*
 * Of a bridge that began with nothing unfinished and was sent `sent` commands without any fault:
 * what was received is what was done. Tells a difference by violate().
 */
void counters_check(const struct counters_read *counters, int64_t sent);

#endif
