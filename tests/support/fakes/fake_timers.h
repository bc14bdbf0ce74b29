/*
 * fake_timers - the timers of base/loop.h on a clock that the test moves: no waiting, no loop.
 *
 * Linked into the programs that tests/unit/CMakeLists.txt names, in place of base/loop.c; there the
 * loop is NULL.
 *
 * Thread: the test's.
 */
#ifndef SUPPORT_FAKES_FAKE_TIMERS_H
#define SUPPORT_FAKES_FAKE_TIMERS_H

#include "base/loop.h"

#include <stddef.h>
#include <stdint.h>

/* Advances the clock and calls due timers in order. 0 runs the next loop iteration: timers that are
 * due, but not those that they start. */
void fake_timers_advance(int64_t ms);
/* The number of timers that were made and not freed. */
size_t fake_timers_count(void);

#endif
