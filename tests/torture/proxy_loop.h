/*
 * proxy_loop - the proxy's process: one thread, one epoll descriptor.
 */
#ifndef TORTURE_PROXY_LOOP_H
#define TORTURE_PROXY_LOOP_H

#include "proxy.h"

/* Returns when the driver has closed `control`. */
void proxy_loop(int control, const int ports[ROUTE_COUNT], const int targets[ROUTE_COUNT],
                struct tap *tap);

#endif
