/*
 * control_state - the simulator's state as JSON, for the control requests that ask for it.
 */
#ifndef SIMULATOR_CONTROL_STATE_H
#define SIMULATOR_CONTROL_STATE_H

#include "sim.h"

cJSON *control_totals(const struct sim *sim);
cJSON *control_token(const struct token *token);

/* Groups, Tokens and Totals. */
cJSON *control_state(struct sim *sim);

/* The table of errors. */
cJSON *control_errors(void);

#endif
