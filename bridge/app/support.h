/*
 * support - what somebody who helps with a running bridge wants to know, as one JSON object:
 * versions, the settings without secrets, state, metrics, and the last lines of the log.
 *
 * None of its parts holds a secret: settings are printed masked, and state, metrics and log never
 * have one.
 *
 * Thread: the loop's.
 */
#ifndef APP_SUPPORT_H
#define APP_SUPPORT_H

#include "admin/server.h"
#include "base/buf.h"
#include "settings/settings.h"

/* Appends the object and a line feed. */
void support_put(const struct admin_options *admin, const struct settings *settings,
                 struct buf *out);

#endif
