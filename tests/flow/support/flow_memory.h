/*
 * flow_memory - how much memory the bridge's processes have ever had.
 */
#ifndef FLOW_MEMORY_H
#define FLOW_MEMORY_H

#include "flow_bridge.h"

/* Fails the running test where a process of the bridge ever had more than 256 MiB; under a
 * sanitizer, which takes several times that, 2 GiB. */
void check_memory(const struct bridge *bridge);

#endif
