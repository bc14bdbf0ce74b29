/*
 * command_read - a delivery read strictly as a command.
 *
 * Reading goes on after the first fault, so that a refusal can still go to the reply topic that the
 * sender named.
 *
 * Thread: any; pure.
 */
#ifndef INTAKE_COMMAND_READ_H
#define INTAKE_COMMAND_READ_H

#include "model/command.h"
#include "model/delivery.h"

/* Frees the document. Takes NULL. */
void request_fini(struct request *request);
/*
 * Reads the delivery for a route. *out_request holds everything readable even where the answer is
 * STATUS_INVALID, then *out_refusal holds the first fault: retained, too large, malformed, then
 * faults of single fields (unknown, repeated, wrong type or value) in the order of the text, then
 * missing fields. Nothing of a payload that is too large or malformed is readable.
 * Source of the rules: the wire contract, "The command".
 */
enum status request_read(const struct route *route, const struct delivery *delivery,
                         const struct command_limits *limits, struct request *out_request,
                         struct refusal *out_refusal);

#endif
