/*
 * fake_timers - the timers of io/loop.h on a clock that the test moves: no waiting, no loop.
 *
 * Linked into the programs that tests/unit/CMakeLists.txt names, in place of io/loop.c; there NULL
 * stands for the loop.
 *
 * Thread: the test's.
 */
#ifndef SUPPORT_FAKES_FAKE_TIMERS_H
#define SUPPORT_FAKES_FAKE_TIMERS_H

#include "base/loop.h"

#include <stddef.h>
#include <stdint.h>

/* Lets so much time pass; what is due on the way is called in order. 0 is the next turn: whatever
 * was due, not what that starts. */
void fake_timers_advance(int64_t ms);
/* How many timers were made and not freed. */
size_t fake_timers_count(void);

#endif
