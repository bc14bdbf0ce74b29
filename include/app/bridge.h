/*
 * bridge - the daemon: builds every part, gives each its neighbours, runs the loop, ends in reverse
 * order.
 *
 * Thread: the main one.
 */
#ifndef APP_BRIDGE_H
#define APP_BRIDGE_H

#include "settings/settings.h"

#include <stdbool.h>

/*
 * `source` is where the settings came from: they are read again on SIGHUP.
 *
 * Runs until SIGTERM or SIGINT, or, with `is_leaving`, until every session that the ledger lists is
 * empty and ended and its commands are answered; nothing is subscribed then. Fills in an instance
 * that the settings do not name. Returns a sysexits code: 0 after an orderly stop
 * (EX_UNAVAILABLE where the bridge was to leave and was stopped before),
 * EX_UNAVAILABLE, EX_CONFIG or 73 (store) where it could not start; what was wrong is on standard
 * error. The executable of the MQTT processes is opened at the start (mqtt/program.h).
 */
int bridge_run(struct settings *settings, const struct settings_source *source, bool is_leaving);

#endif
