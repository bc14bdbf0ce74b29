/*
 * connection_cause - which address of the host name the attempt to connect uses, why it failed, and
 * what the broker said in CONNACK: Paho tries one address and reports neither.
 *
 * Paho calls getaddrinfo(), connect(), getsockopt(), recv() and SSL_read() by name. They are
 * defined here too, and the dynamic linker gives Paho these. Each calls the real function and,
 * while the attempt runs, keeps the error or the first bytes that the broker sent. getaddrinfo()
 * finds the address that the bridge has chosen. Paho itself has the name, for TLS and WebSockets.
 *
 * Thread: cause_begin() on the main thread before an attempt; the others on Paho's threads with
 * Paho's lock held.
 */
#ifndef MQTT_PAHO_CONNECTION_CAUSE_H
#define MQTT_PAHO_CONNECTION_CAUSE_H

#include "base/buf.h"
#include "base/slice.h"
#include "mqtt/wire.h"

/* The attempt begins. `on_socket` is called when Paho has its socket, before connect(). */
void cause_begin(const struct wire_address *address, bool is_tls, uint8_t protocol,
                 void (*on_socket)(void *arg), void *arg);
/* The attempt is over: nothing more is kept. */
void cause_end(void);
/* Appends why the attempt failed. `has_handshake`: TLS was agreed on. `is_timeout`: Paho gave up.
 */
void cause_append(struct buf *out, bool has_handshake, bool is_timeout);
/* Appends the Reason String and the Server Reference of the broker's CONNACK, ": " in front. */
void cause_append_connack(struct buf *out);

#endif
