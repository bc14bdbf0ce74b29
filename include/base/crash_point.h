/*
 * crash_point - named places at which a debug build can be told to die at once, as by SIGKILL: for
 * the tests that prove what survives. In every other build there is nothing of it.
 *
 *   ECS_MQTT_BRIDGE_CRASH_AT=POINT[:COUNT][+bridge][+always][/TEXT]
 *
 * POINT is a name of tables/crash_points.def. The process that passes it for the COUNT-th time (1)
 * dies; with TEXT only those passings count whose matter (a payload, a token, a message) holds it.
 * `+bridge`: an MQTT process takes the bridge along. An MQTT process that was started again is not
 * told any more, unless `+always`. AFTER_PUBACK knows no matter.
 *
 * Thread: any, but for setup and forgetting.
 */
#ifndef BASE_CRASH_POINT_H
#define BASE_CRASH_POINT_H

#include "base/slice.h"

#ifdef BRIDGE_CRASH_POINTS

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>

#define CRASH_POINT_VARIABLE "ECS_MQTT_BRIDGE_CRASH_AT"

enum crash_point {
#define CRASH_POINT(id, name, meaning) CRASH_##id,
#include "tables/crash_points.def"
#undef CRASH_POINT
    CRASH_POINT_COUNT
};

/* Reads the variable. STATUS_INVALID, with the names there are appended, where it makes no sense.
 * `is_child`: this process was started by the bridge. */
enum status crash_point_setup(bool is_child, struct buf *out_why);
/* Dies, if told so. */
void crash_point_pass(enum crash_point point, struct slice matter);
/* Whether the process would die at this point. */
bool crash_point_is_set(enum crash_point point);
/* Takes the variable out of an environment made for a process that is started again. */
void crash_point_forget(char **environment);

#define CRASH_POINT_PASS(point, matter) crash_point_pass(CRASH_##point, matter)

#else

#define CRASH_POINT_PASS(point, matter) ((void)0)

#endif

#endif
