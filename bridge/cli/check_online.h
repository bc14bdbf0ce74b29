/*
 * check_online - the parts of `check` that ask services: credentials and the API, a shared ledger's
 * database, and the broker.
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

/*
 * Connects to the database of a shared ledger, which is not changed, and prints the result
 * likewise; warns where its fail-over can lose commands and nobody has accepted that. Returns
 * EX_OK, also for a ledger that is a file, EX_UNAVAILABLE or EX_CONFIG.
 */
int check_ledger(const struct settings *settings);

/*
 * Connects to the broker with a client id of its own, which disturbs nobody, and prints the result
 * likewise. Returns EX_OK, EX_UNAVAILABLE, or EX_CONFIG where the broker refuses the connection.
 */
int check_broker(const struct settings *settings);

#endif
