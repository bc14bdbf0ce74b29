/*
 * http_peer - a far side for HTTP tests that does what it is told: one thread a connection, plain
 * sockets on loopback.
 *
 * Thread: functions here are the test's; a peer_serve_fn runs on its connection's thread.
 */
#ifndef SUPPORT_HTTP_PEER_H
#define SUPPORT_HTTP_PEER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct peer;

/* One connection, the n-th from 0, closed by the peer afterwards. */
typedef void peer_serve_fn(struct peer *peer, int fd, size_t connection, void *arg);

/* Listens on a free port of 127.0.0.1. */
struct peer *peer_new(peer_serve_fn *serve, void *arg);
/* Cuts what is still open and waits for all threads. */
void peer_free(struct peer *peer);
int peer_port(const struct peer *peer);
size_t peer_connections(struct peer *peer);
/* Whole requests read so far. */
size_t peer_requests(struct peer *peer);
/* Replaces `out` by the request read last. */
void peer_last_request(struct peer *peer, struct buf *out);
/* What peer_answer() says from now on; the text is copied. */
void peer_set_answer(struct peer *peer, const char *text);

/* For peer_serve_fn. Reads one request with its body; false at the end of the connection. */
bool peer_read(struct peer *peer, int fd);
void peer_answer(struct peer *peer, int fd);
void peer_write(int fd, const char *text);
/* Waits until `count` requests were read in all, or the peer ends. */
void peer_wait_requests(struct peer *peer, size_t count);
/* Waits `ms`, or until the peer or the connection ends: then false. */
bool peer_wait_ms(int fd, int ms);
/* Closes with a reset instead of an end. */
void peer_reset(int fd);

#endif
