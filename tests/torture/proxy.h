/*
 * proxy - a TCP proxy with faults on request, in its own process.
 *
 * A route listens on one port of 127.0.0.1 and connects to another. It forwards the close of one
 * side to the other. On the API's route, a client's close ends the call at once, and bytes that are
 * still held here are dropped: as if the client's packets were lost, not delivered after its end.
 *
 * Thread: the only thread of the driver. proxy_execute() returns when the command is executed.
 */
#ifndef TORTURE_PROXY_H
#define TORTURE_PROXY_H

#include "tap.h"

#include <stdint.h>
#include <sys/types.h>

enum proxy_route {
    ROUTE_BRIDGE, /* from bridges to the broker */
    ROUTE_API,
    ROUTE_SENDERS,
    ROUTE_STORE_A, /* to the two servers of a shared ledger */
    ROUTE_STORE_B,
    ROUTE_COUNT
};

enum proxy_verb {
    PROXY_CUT,        /* RST to both ends of a connection */
    PROXY_CUT_ALL,    /* the same for all connections */
    PROXY_CUT_AFTER,  /* the same for all connections, after `amount` more bytes */
    PROXY_STALL,      /* forwards nothing for `ms` */
    PROXY_HALF_CLOSE, /* closes one direction of a connection */
    PROXY_DELAY,      /* delays bytes by `amount` ms, for `ms` */
    PROXY_THROTTLE,   /* forwards at most `amount` bytes per 10 ms and direction, for `ms` */
    PROXY_REFUSE,     /* accepts no connection for `ms` */
    PROXY_FAULT_COUNT,
    PROXY_HOLD =
        PROXY_FAULT_COUNT, /* forwards nothing and accepts no connection until PROXY_RELEASE */
    PROXY_DROP,            /* resets all connections */
    PROXY_RELEASE,
    PROXY_CALM, /* ends all faults, but not PROXY_HOLD */
};

struct proxy_order {
    enum proxy_verb verb;
    enum proxy_route route;
    int amount;
    int ms;
    uint32_t pick; /* selects the connection and its end */
};

struct proxy {
    pid_t pid;
    int control;
    int ports[ROUTE_COUNT]; /* ports to connect to */
    int guards[ROUTE_COUNT];
};

/* Forks the proxy. `targets` are ports of 127.0.0.1, 0 for a route that is not used; `tap` reads
 * the traffic of ROUTE_BRIDGE.
 */
void proxy_start(struct proxy *proxy, const int targets[ROUTE_COUNT], struct tap *tap);
/* Returns the number of affected connections. */
int proxy_execute(struct proxy *proxy, const struct proxy_order *order);
/* The same for every route. */
void proxy_execute_all(struct proxy *proxy, enum proxy_verb verb);
void proxy_stop(struct proxy *proxy);

#endif
