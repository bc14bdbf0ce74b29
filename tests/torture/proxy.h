/*
 * proxy - a TCP proxy that misbehaves when told to, in a process of its own.
 *
 * A route listens on one port of 127.0.0.1 and leads to another. The end of one side is passed on
 * to the other; on the API's route a client that closes ends the call at once, and what it had sent
 * and was held back here never arrives: like a client whose packets were lost, not like a network
 * that delivers them after its end.
 *
 * Thread: the driver's only one. Every order is carried out when proxy_tell() returns.
 */
#ifndef TORTURE_PROXY_H
#define TORTURE_PROXY_H

#include "tap.h"

#include <stdint.h>
#include <sys/types.h>

enum proxy_route { ROUTE_BRIDGE, ROUTE_API, ROUTE_SENDERS, ROUTE_COUNT };

enum proxy_verb {
    PROXY_CUT,        /* RST to both ends of a connection */
    PROXY_CUT_ALL,    /* of all */
    PROXY_CUT_AFTER,  /* of all, once `amount` more bytes have passed */
    PROXY_STALL,      /* nothing passes for `ms` */
    PROXY_HALF_CLOSE, /* one end of a connection is told that the other has ended */
    PROXY_DELAY,      /* what comes passes `amount` ms later, for `ms` */
    PROXY_THROTTLE,   /* at most `amount` bytes pass in 10 ms and direction, for `ms` */
    PROXY_REFUSE,     /* no new connection for `ms` */
    PROXY_FAULT_COUNT,
    PROXY_HOLD = PROXY_FAULT_COUNT, /* nothing passes and nobody gets in until PROXY_RELEASE */
    PROXY_DROP,                     /* RST to all connections */
    PROXY_RELEASE,
    PROXY_CALM, /* faults end; what is held stays held */
};

struct proxy_order {
    enum proxy_verb verb;
    enum proxy_route route;
    int amount;
    int ms;
    uint32_t pick; /* chooses the connection and its end */
};

struct proxy {
    pid_t pid;
    int control;
    int ports[ROUTE_COUNT]; /* to connect to */
    int guards[ROUTE_COUNT];
};

/* Forks the proxy. `targets` are ports of 127.0.0.1; what passes on ROUTE_BRIDGE is seen by `tap`.
 */
void proxy_start(struct proxy *proxy, const int targets[ROUTE_COUNT], struct tap *tap);
/* Returns how many connections it met. */
int proxy_tell(struct proxy *proxy, const struct proxy_order *order);
/* The same for every route. */
void proxy_tell_all(struct proxy *proxy, enum proxy_verb verb);
void proxy_stop(struct proxy *proxy);

#endif
