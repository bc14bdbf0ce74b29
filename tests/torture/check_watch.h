/*
 * check_watch - whether the events about watched groups are complete: the proxy's tap writes down
 * each event that the bridge sends, and each acknowledgement.
 */
#ifndef TORTURE_CHECK_WATCH_H
#define TORTURE_CHECK_WATCH_H

#include "check.h"

/* Reads what the tap wrote and checks it; reports violations with violate(). `watches` has each
 * bridge's page /api/watches at the end, when everything was at rest: the groups that it reads. */
void check_watches(struct check *check, char *const *watches);

#endif
