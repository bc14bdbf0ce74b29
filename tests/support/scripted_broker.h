/*
 * scripted_broker - a broker for one client that does only what the test says, over each transport.
 *
 * The test reads the client's packets one by one and sends what it wants. Everything happens in the
 * calls; a wait that is too long fails the test (cmocka).
 *
 * Thread: the test's.
 */
#ifndef SUPPORT_SCRIPTED_BROKER_H
#define SUPPORT_SCRIPTED_BROKER_H

#include "base/buf.h"
#include "support/tls_peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPTED_TIMEOUT_MS 20000

enum scripted_type {
    SCRIPTED_CONNECT = 0x10,
    SCRIPTED_PUBACK = 0x40,
    SCRIPTED_SUBSCRIBE = 0x82,
    SCRIPTED_UNSUBSCRIBE = 0xa2,
    SCRIPTED_PINGREQ = 0xc0,
    SCRIPTED_DISCONNECT = 0xe0,
};

enum scripted_transport { SCRIPTED_TCP, SCRIPTED_WS, SCRIPTED_TLS, SCRIPTED_WSS, SCRIPTED_COUNT };

struct scripted_broker {
    enum scripted_transport transport;
    int protocol; /* 4 or 5 */
    int listener;
    int port;
    int fd;
    struct tls_identity identity;
    struct ssl_ctx_st *context; /* TLS */
    struct ssl_st *ssl;
    struct buf raw;    /* as read from the transport */
    struct buf stream; /* of MQTT packets */
    struct buf body;   /* of the last packet, from behind its length on */
    size_t bytes_read; /* by the last read of the transport that brought something */
};

/* Listens on a free port of 127.0.0.1; with `has_small_window` its kernel takes few bytes that were
 * not read. */
void scripted_broker_start(struct scripted_broker *broker, enum scripted_transport transport,
                           int protocol, bool has_small_window);
void scripted_broker_stop(struct scripted_broker *broker);
/* "mqtt", "ws", "mqtts" or "wss". */
const char *scripted_broker_scheme(const struct scripted_broker *broker);

/* Whether a client has connected that was not accepted yet. Does not wait. */
bool scripted_broker_has_client(const struct scripted_broker *broker);
/* Waits for the client, its TLS handshake and its WebSocket upgrade, and reads CONNECT. */
void scripted_broker_accept(struct scripted_broker *broker);
void scripted_broker_connack(struct scripted_broker *broker, bool is_session_present);
/* Answers the SUBSCRIBE that was read last, which has so many filters. */
void scripted_broker_suback(struct scripted_broker *broker, size_t filter_count);
/* Answers the UNSUBSCRIBE that was read last, which has one filter. */
void scripted_broker_unsuback(struct scripted_broker *broker);
/* A message on topic "t"; each one is a TLS record and a WebSocket frame of its own. */
void scripted_broker_publish(struct scripted_broker *broker, int qos, uint16_t packet_id);
/* Any packet. */
void scripted_broker_send(struct scripted_broker *broker, const void *bytes, size_t count);
/* Closes the connection. */
void scripted_broker_close(struct scripted_broker *broker);

/* The first byte of the client's next packet; 0 where the client has closed the connection. */
int scripted_broker_read(struct scripted_broker *broker);
/* The packet id in the last PUBACK or SUBSCRIBE. */
uint16_t scripted_broker_packet_id(const struct scripted_broker *broker);
/* Whether the client has written something that was not read yet. Does not wait. */
bool scripted_broker_has_input(struct scripted_broker *broker);
/* Waits until the client has written something that was not read yet. */
void scripted_broker_wait_input(struct scripted_broker *broker);

#endif
