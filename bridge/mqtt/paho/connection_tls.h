/*
 * connection_tls - what Paho neither asks of OpenSSL nor tells from it: TLS 1.2 at least, the host
 * name before the handshake ends, and why a handshake failed.
 *
 * Paho 1.3.12 takes every context from SSL_CTX_new(). That name is defined here, so that the
 * dynamic linker gives this one to Paho in place of libssl's. Where it did not come to that,
 * tls_guard_is_missing() tells, and the connection is not used.
 *
 * Thread: tls_guard_begin() on the main thread before an attempt, the rest on Paho's under its
 * lock.
 */
#ifndef MQTT_PAHO_CONNECTION_TLS_H
#define MQTT_PAHO_CONNECTION_TLS_H

#include "base/slice.h"

#include <stdbool.h>

/* From now on contexts are for an attempt to connect to this host, with TLS or without. */
void tls_guard_begin(struct slice host, bool is_tls, bool has_verify);
/* Takes a line of OpenSSL's error queue. */
void tls_guard_error(struct slice line);
/* Why TLS failed in this attempt, or NULL where nothing is known. Valid until the next attempt. */
const char *tls_guard_text(void);
/* Whether the attempt was to use TLS, and not under this guard. */
bool tls_guard_is_missing(void);

#endif
