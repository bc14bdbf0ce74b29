/*
 * check_online - the part of `check` that asks services: credentials and the API.
 *
 * Thread: the main one; runs its own loop until all answers are there or have timed out.
 */
#ifndef CLI_CHECK_ONLINE_H
#define CLI_CHECK_ONLINE_H

#include "settings/settings.h"

/*
 * Gets credentials and asks the API with them, in `region` or, where that is NULL, in each region
 * that a route names as its default or without wildcards. Tells what it finds on standard output,
 * faults on standard error. Returns EX_OK, EX_UNAVAILABLE, EX_CONFIG, or EX_USAGE where there is no
 * region.
 */
int check_online(const struct settings *settings, const char *region);

#endif
