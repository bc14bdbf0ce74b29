/*
 * region - what a RegionId may look like.
 *
 * Thread: any; pure.
 */
#ifndef MODEL_REGION_H
#define MODEL_REGION_H

#include "base/slice.h"

#include <stdbool.h>

/* It becomes part of a host name, where a label has at most 63 bytes (RFC 1035, section 2.3.4). */
#define REGION_BYTES_MAX 63

/* 1 to 63 lower-case ASCII letters, digits and '-'. A host name has no case, but everybody else
 * compares names byte by byte: each region has one spelling. */
bool region_is_valid(struct slice region);

#endif
