/*
 * control_groups - the control requests about groups, pairs, their times and how they are listed,
 * and what handlers of control requests have in common.
 */
#ifndef SIMULATOR_CONTROL_GROUPS_H
#define SIMULATOR_CONTROL_GROUPS_H

#include "sim.h"

/* Answer a control request: done, or refused with a reason. */
void control_ok(struct call *call);
void control_refuse(struct call *call, unsigned http, const char *reason);

/* A text of the body, or "". */
const char *control_text(const cJSON *body, const char *name);

/* A number of the body; `otherwise` if it is absent or not a number from -1e12 to 1e12. */
double control_number(const cJSON *body, const char *name, double otherwise);

/* Each handles one request, whose body is a JSON object with known names. */
void control_post_groups(struct call *call, const cJSON *body);
void control_post_pairs(struct call *call, const cJSON *body);
void control_post_times(struct call *call, const cJSON *body);
void control_post_describe(struct call *call, const cJSON *body);

#endif
