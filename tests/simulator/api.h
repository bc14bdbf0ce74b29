/*
 * api - the way of one API request: signature, limits, parameters, faults, effect, answer.
 */
#ifndef SIMULATOR_API_H
#define SIMULATOR_API_H

#include "sim.h"

/*
 * Take the call as far as it goes. Afterwards it is parked (CALL_DELAYED, CALL_HANGING), to be
 * dropped (CALL_DROPPED) or has its answer rendered (CALL_ANSWERED).
 */
void api_advance(struct call *call);

/* The call has ended, its answer sent or not. */
void api_finish(struct call *call, bool is_sent);

#endif
