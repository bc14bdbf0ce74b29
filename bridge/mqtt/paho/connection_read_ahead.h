/*
 * connection_read_ahead - what the broker has sent is read in large pieces.
 *
 * Paho reads a packet with four calls of recv(), most of them for one byte, and waits with poll()
 * before each packet. Here one call of the kernel reads what is there, and Paho gets the pieces it
 * asks for. Not used with TLS, where OpenSSL reads.
 *
 * The connection is the only one of the process. recv() in connection_cause.c and poll() in
 * held_acks.c use it.
 *
 * Thread: Paho's receive thread; read_ahead_begin() also the main thread, while no client exists.
 */
#ifndef MQTT_PAHO_CONNECTION_READ_AHEAD_H
#define MQTT_PAHO_CONNECTION_READ_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The connection with this socket stands; -1: none does. What was read before is dropped. */
void read_ahead_begin(int fd);
/* Whether it is the socket of that connection. Thread: any. */
bool read_ahead_is_on(int fd);
/* Whether there are bytes that the kernel no longer has: then poll() must not wait. */
bool read_ahead_has_bytes(void);
/* As recv() of that socket, without flags. */
ssize_t read_ahead_recv(void *bytes, size_t length);
/* The last read of that connection, with TLS or without, found something. */
void read_ahead_note(bool has_read);
/* Whether the last read found nothing. Before that a WebSocket frame which Paho has read may hold
 * further packets, and poll() does not know of them. */
bool read_ahead_is_exhausted(void);

#endif
