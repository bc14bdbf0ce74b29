/*
 * actions - the API's actions: their parameters and their effects.
 */
#ifndef SIMULATOR_ACTIONS_H
#define SIMULATOR_ACTIONS_H

#include "sim.h"

/*
 * Check that action and version are known and the parameters those of the action.
 * False with call->problem set.
 */
bool actions_check(struct call *call);

/* The action of a name; ACTION_COUNT if it is not served. */
enum action_kind actions_kind(const char *name);
const char *actions_name(enum action_kind kind);

/*
 * Carry out a checked call: sets call->request_id and call->fields, or call->problem.
 * A start or stop with a token that had its effect before only repeats the RequestId.
 */
void actions_perform(struct call *call);

#endif
