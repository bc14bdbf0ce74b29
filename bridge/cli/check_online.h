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
 * that is a route's default or is in its list without wildcards. Prints results on standard output
 * and errors on standard error. Returns EX_OK, EX_UNAVAILABLE, EX_CONFIG, or EX_USAGE where there
 * is no region.
 */
int check_online(const struct settings *settings, const char *region);

#endif
