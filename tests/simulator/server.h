/*
 * server - HTTP, by libmicrohttpd: from sockets to calls and back.
 */
#ifndef SIMULATOR_SERVER_H
#define SIMULATOR_SERVER_H

#include "sim.h"

struct server;

/*
 * Serve `sim` on a listening socket, which is taken. `epoll` is the main loop's; server_turn()
 * must run after each of its events. NULL if libmicrohttpd cannot start.
 */
struct server *server_new(struct sim *sim, int listen_socket, int epoll);

/* Milliseconds until server_turn() has something to do by itself, or -1. */
int server_wait_ms(struct server *server);

/* An event of the main loop's epoll that is a watched call's. */
void server_peer_event(void *call);

/* Do all there is to do. */
void server_turn(struct server *server);

/* End all calls and close everything. */
void server_free(struct server *server);

#endif
