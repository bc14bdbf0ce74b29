/*
 * waits - the unfinished commands of a schedule, and why each is not called now.
 *
 * Thread: the loop's.
 */
#ifndef DISPATCH_WAITS_H
#define DISPATCH_WAITS_H

#include "dispatch/dispatch.h"
#include "schedule.h"

/* dispatch_each() for this schedule. */
void waits_each(const struct schedule *schedule, bool is_stopping, size_t limit,
                dispatch_each_fn *each, void *arg);

#endif
