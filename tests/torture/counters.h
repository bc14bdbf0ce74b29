/*
 * counters - the bridge's own counters, read from its /metrics and its status messages, and whether
 * they add up.
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
    int64_t filtered;
    int64_t being_taken;
    int64_t resumed;
    int64_t in_work;
    int64_t waiting;
    int64_t in_flight;
    int64_t outbox;
    int64_t sessions_lost;
    bool is_ready;       /* connected and subscribed */
    int64_t handed_over; /* left with another bridge of a shared ledger */
};

/* Returns false if the bridge does not answer. */
bool counters_read(int admin_port, struct counters_read *out);
/* The page /api/watches, to be freed; NULL: the bridge does not answer. */
char *counters_read_watches(int admin_port);
/* Reads the `Counts` of a status message; false if it has none, as the Last Will. */
bool counters_read_status(const char *body, struct counters_read *out);
/* Adds the numbers of one bridge to those of the others. */
void counters_add(struct counters_read *sum, const struct counters_read *counters);
/* Checks the equation that holds at any time: every message is counted in exactly one place.
 * Reports a difference with violate(). */
void counters_check_sum(const struct counters_read *counters);
/* Whether nothing is in work or waiting, and the broker has every reply. */
bool counters_are_at_rest(const struct counters_read *counters);
/*
 * For bridges that started with no unfinished command and got `sent` commands without any fault:
 * checks that they counted all of them. Reports a difference with violate().
 */
void counters_check(const struct counters_read *counters, int64_t sent);
/* Checks that its last status message has the same counts. An event about a watched group may have
 * come into the outbox since. */
void counters_check_last(const struct counters_read *counters, const struct counters_read *last,
                         bool may_have_events);

#endif
