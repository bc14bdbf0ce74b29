/*
 * answer - the text of answers: JSON or XML, successes and errors.
 */
#ifndef SIMULATOR_ANSWER_H
#define SIMULATOR_ANSWER_H

#include "sim.h"

/* Fill call->http, call->answer and call->content_type from the call's problem or fields. */
void answer_render(struct call *call);

/* The same for a fault whose answer is not one of the API. */
void answer_render_fault(struct call *call);

/* Answer a control request with JSON; `body` is taken. */
void answer_control(struct call *call, unsigned http, cJSON *body);

#endif
