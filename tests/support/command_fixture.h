/*
 * command_fixture - a route, deliveries and limits for tests that read commands.
 */
#ifndef SUPPORT_COMMAND_FIXTURE_H
#define SUPPORT_COMMAND_FIXTURE_H

#include "model/command.h"

extern const struct command_limits command_fixture_limits;

/* What one delivery reads as. */
struct command_reading {
    struct request request; /* to be freed with request_fini() */
    struct refusal refusal;
    enum status status;
};

/* The route "start": it allows everything and has no defaults. */
struct route command_fixture_route(void);
/* A delivery of QoS 1 with this payload, without properties. */
struct delivery command_fixture_delivery(const char *payload);
/* Reads the delivery; a refusal has an error exactly where the status is one. */
struct command_reading command_fixture_read(const struct route *route,
                                            const struct delivery *delivery);

#endif
