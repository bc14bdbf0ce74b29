/*
 * connection_tls - what Paho does not do with OpenSSL: require TLS 1.2 at least, check the host
 * name during the handshake, and report why a handshake failed.
 *
 * Paho 1.3.12 takes every context from SSL_CTX_new(). That function is defined here too, and the
 * dynamic linker gives this one to Paho in place of libssl's. If it did not, tls_guard_is_missing()
 * is true and the connection must not be used.
 *
 * Thread: tls_guard_begin() on the main thread before an attempt; the others on Paho's threads with
 * Paho's lock held.
 */
#ifndef MQTT_PAHO_CONNECTION_TLS_H
#define MQTT_PAHO_CONNECTION_TLS_H

#include "base/buf.h"
#include "base/slice.h"

#include <stdbool.h>

/* New contexts are from now on for an attempt to connect to this host, with TLS or without. Loads
 * what OpenSSL's configuration file names. */
void tls_guard_begin(struct slice host, bool is_tls, bool has_verify);
/* Appends the file and the folders that hold the authorities which the system trusts. */
void tls_guard_append_authorities(struct buf *out);
/* Reads a line of OpenSSL's error queue. */
void tls_guard_error(struct slice line);
/* Why TLS failed in this attempt, or NULL if that is not known. Valid until the next attempt. */
const char *tls_guard_text(void);
/* Whether TLS was agreed on in this attempt. */
bool tls_guard_has_handshake(void);
/* Whether the attempt uses TLS with a context that was not made here. */
bool tls_guard_is_missing(void);

#endif
