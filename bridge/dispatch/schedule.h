/*
 * schedule - which command is called next: api.max_in_flight groups at a time, each region within
 * its own slots and its bucket (region.h), one region after the other.
 *
 * Commands that must be called alone (model/crash_limit.h) come first, fewest crashes first: no
 * other call begins until those under way are answered, and none beside it.
 *
 * Thread: the loop's; the monotonic time is passed in.
 */
#ifndef DISPATCH_SCHEDULE_H
#define DISPATCH_SCHEDULE_H

#include "queue.h"

struct schedule {
    struct regions regions;
    struct group *groups; /* by id */
    size_t in_flight;     /* groups that run */
    size_t in_flight_max; /* api.max_in_flight, at least 1 */
    size_t crashed_count; /* commands that must be called alone */
    bool is_alone;        /* one of these is being called */
};

/* Whether a command of a group that has no others may be called without queueing. Then a token of
 * the region's bucket was taken. Never in an unproven region: all of these share one bucket, and
 * are served in turn. */
bool schedule_may_skip_queue(const struct schedule *schedule, struct region *region,
                             int64_t now_ms);
/* Whether another call may be under way in the region, besides those that must be called alone. */
bool schedule_has_slot(const struct schedule *schedule, const struct region *region);
/* The group runs, or does not run any more and is in backoff. */
void schedule_take_slot(struct schedule *schedule, struct group *group, struct region *region);
void schedule_give_slot(struct schedule *schedule, struct group *group);
/* The next command to call. Its group left the queue and runs, and a token of its region was taken.
 * NULL where none may be called now. */
struct task *schedule_next(struct schedule *schedule, int64_t now_ms);
/* When the first region that has queued groups and no token gets one; INT64_MAX where no such
 * region is. */
int64_t schedule_wait_ms(const struct schedule *schedule, int64_t now_ms);

#endif
