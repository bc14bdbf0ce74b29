/*
 * bridge - the daemon: builds every part, gives each its neighbours, runs the loop, ends in reverse
 * order.
 *
 * Thread: the main one.
 */
#ifndef APP_BRIDGE_H
#define APP_BRIDGE_H

#include "settings/settings.h"

/*
 * Runs until SIGTERM or SIGINT and returns a sysexits code: 0 after an orderly stop,
 * EX_UNAVAILABLE, EX_CONFIG or 73 (store) where it could not start; what was wrong is on standard
 * error. The executable of the MQTT processes is opened at the start (mqtt/program.h).
 */
int bridge_run(const struct settings *settings);

#endif
