/*
 * http_peer - a server for HTTP tests, controlled by the test: plain sockets on loopback, one
 * thread for each connection.
 *
 * Thread: functions here are the test's; a peer_serve_fn runs on its connection's thread.
 */
#ifndef SUPPORT_HTTP_PEER_H
#define SUPPORT_HTTP_PEER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct peer;

/* Serves the n-th connection (from 0), which the peer closes afterwards. */
typedef void peer_serve_fn(struct peer *peer, int fd, size_t connection, void *arg);

/* Listens on a free port of 127.0.0.1. */
struct peer *peer_new(peer_serve_fn *serve, void *arg);
/* Closes all connections and waits for all threads. */
void peer_free(struct peer *peer);
int peer_port(const struct peer *peer);
size_t peer_connections(struct peer *peer);
/* Complete requests read so far. */
size_t peer_requests(struct peer *peer);
/* Replaces `out` by the last request. */
void peer_last_request(struct peer *peer, struct buf *out);
/* The answer that peer_answer() sends from now on; copied. */
void peer_set_answer(struct peer *peer, const char *text);

/* For peer_serve_fn. Reads one request with its body; false at the end of the connection. */
bool peer_read(struct peer *peer, int fd);
void peer_answer(struct peer *peer, int fd);
void peer_write(int fd, const char *text);
/* Waits until `count` requests were read in all, or the peer ends. */
void peer_wait_requests(struct peer *peer, size_t count);
/* Waits `ms`; false: the peer or the connection ended before. */
bool peer_wait_ms(int fd, int ms);
/* Closes the connection with a reset. */
void peer_reset(int fd);

#endif
