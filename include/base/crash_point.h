/*
 * crash_point - named places in the code where a test build kills itself with SIGKILL on request,
 * so that tests can prove what survives a crash. Builds without BRIDGE_CRASH_POINTS contain nothing
 * of this.
 *
 *   ECS_MQTT_BRIDGE_CRASH_AT=POINT[:COUNT][+bridge][+always][/TEXT]
 *
 * POINT is a name of tables/crash_points.def. The process dies when it reaches the point for the
 * COUNT-th time (default 1). With TEXT it counts only when the data at hand (a payload, a token, a
 * message) contains TEXT. `+bridge`: an MQTT process also kills the bridge. A restarted MQTT
 * process does not get the variable again, unless `+always`.
 *
 * Thread: any; crash_point_setup() and crash_point_forget() before other threads start.
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

/* Reads the variable. STATUS_INVALID where it is malformed: *out_why gets a message with the valid
 * names. `is_child`: this process was started by the bridge. */
enum status crash_point_setup(bool is_child, struct buf *out_why);
/* Kills the process if the variable asks for it here. `data`: what TEXT is looked for in; may be
 * absent. */
void crash_point_pass(enum crash_point point, struct slice data);
/* Whether the variable names this point. */
bool crash_point_is_set(enum crash_point point);
/* Removes the variable from the environment of a process that is restarted, unless `+always`. */
void crash_point_forget(char **environment);

#define CRASH_POINT_PASS(point, data) crash_point_pass(CRASH_##point, data)

#else

#define CRASH_POINT_PASS(point, data) ((void)0)

#endif

#endif
