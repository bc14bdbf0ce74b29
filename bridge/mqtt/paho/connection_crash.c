/*
 * Paho writes an acknowledgement after the callback has returned. Only its trace shows when that
 * has happened.
 */
#include "base/crash_point.h"
#include "connection_internal.h"

#ifdef BRIDGE_CRASH_POINTS

static void traced(enum MQTTASYNC_TRACE_LEVELS level, char *line)
{
    (void)level;
    if (strstr(line, "-> PUBACK") != NULL) {
        CRASH_POINT_PASS(AFTER_PUBACK, (struct slice){0});
    }
}

void connection_watch_acknowledgements(void)
{
    if (crash_point_is_set(CRASH_AFTER_PUBACK)) {
        MQTTAsync_setTraceCallback(traced);
        MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_PROTOCOL);
    }
}

#endif
