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
/* The size of the largest payload on this route. */
size_t route_payload_bytes(const struct route *route, const struct command_limits *limits);
/*
 * The first part of request_read(): *out_request has only the traces. STATUS_INVALID with
 * *out_refusal where the message is retained or its payload too large.
 */
enum status request_begin(const struct route *route, const struct delivery *delivery,
                          const struct command_limits *limits, struct request *out_request,
                          struct refusal *out_refusal);
/* A field that was made of a message. */
struct field_text {
    const char *name; /* a field or a parameter of the route's action */
    struct slice text;
    const char *origin; /* completes "the value ... has 3 bytes"; "" for nothing */
};
/*
 * The second part for fields that come as texts, with the same rules as for those of a JSON
 * command. `request` is as request_begin() left it; it gets slices of the texts. *refusal keeps a
 * fault that it has already. STATUS_INVALID where it has one at the end.
 */
enum status request_read_texts(const struct route *route, const struct field_text *texts,
                               size_t count, struct request *request, struct refusal *refusal);
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
