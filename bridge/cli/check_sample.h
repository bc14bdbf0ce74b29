/*
 * check_sample - shows what a route makes of a message, without a broker.
 *
 * Thread: the program's only one.
 */
#ifndef CLI_CHECK_SAMPLE_H
#define CLI_CHECK_SAMPLE_H

#include "cli/cli.h"

struct sample {
    const char *path;  /* the payload; NULL: none was asked for */
    const char *route; /* its name */
    const char *topic; /* NULL: the first topic filter of the route */
    const char *content_type;
    struct cli_texts properties; /* NAME=VALUE, user properties */
};

/*
 * Prints the commands and refusals as JSON, a line each, then how many elements are filtered.
 * Returns EX_OK; EX_CONFIG if something is refused; EX_USAGE or EX_NOINPUT with a message.
 */
int check_sample(const struct settings *settings, const struct sample *sample);

#endif
