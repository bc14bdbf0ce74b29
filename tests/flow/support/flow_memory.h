/*
 * flow_memory - the peak memory of the bridge's processes.
 */
#ifndef FLOW_MEMORY_H
#define FLOW_MEMORY_H

#include "flow_bridge.h"

/* Fails the running test if a process of the bridge ever used more than 256 MiB; with a sanitizer,
 * which needs several times that, 2 GiB. */
void check_memory(const struct bridge *bridge);

#endif
