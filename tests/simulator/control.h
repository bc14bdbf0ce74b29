/*
 * control - the unsigned requests under /_sim/ that tests steer the simulator with.
 */
#ifndef SIMULATOR_CONTROL_H
#define SIMULATOR_CONTROL_H

#include "sim.h"

/* Whether a request target belongs to the control requests. */
bool control_owns(const char *target);

/* Answer a control request, or park it (CALL_WAITING) until its count is reached. */
void control_advance(struct call *call);

/* A count changed: resume the waiting requests that have theirs. */
void control_wake(struct sim *sim);

/* The call has ended. */
void control_finish(struct call *call);

#endif
