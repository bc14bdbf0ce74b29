/*
 * counters - the bridge's own count of what it did, read from its /metrics and from its status
 * messages, and whether it adds up.
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
    int64_t being_taken;
    int64_t resumed;
    int64_t in_work;
    int64_t waiting;
    int64_t in_flight;
    int64_t outbox;
    int64_t sessions_lost;
};

/* false where the bridge does not answer. */
bool counters_read(int admin_port, struct counters_read *out);
/* The `Counts` of a status message; false where it has none, which is so of the Last Will. */
bool counters_read_status(const char *body, struct counters_read *out);
/* What a bridge told is what is true at any time: all that came in is in one place. Tells a
 * difference by violate(). */
void counters_check_sum(const struct counters_read *counters);
/* Nothing in work, nothing waiting, every reply with the broker. */
bool counters_are_at_rest(const struct counters_read *counters);
/*
 * Of a bridge that began with nothing unfinished and was sent `sent` commands without any fault:
 * what was received is what was done. Tells a difference by violate().
 */
void counters_check(const struct counters_read *counters, int64_t sent);
/* That its last status message told the same. */
void counters_check_last(const struct counters_read *counters, const struct counters_read *told);

#endif
