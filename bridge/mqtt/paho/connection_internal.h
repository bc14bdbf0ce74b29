/*
 * connection_internal - what the files of connection share.
 *
 * Thread: as told at each field.
 */
#ifndef MQTT_PAHO_CONNECTION_INTERNAL_H
#define MQTT_PAHO_CONNECTION_INTERNAL_H

#include "base/buf.h"
#include "mqtt/connection.h"

#include <MQTTAsync.h>

#include <pthread.h>
#include <stdatomic.h>

#define CONNECTION_TEXT_BYTES 200
/*
 * The highest QoS asked for and published with. Without a store of its own Paho loses received
 * messages of QoS 2, and a resumed session may know our packet ids of QoS 2 from the process
 * before; a broker lowers what it sends us to 1.
 */
#define CONNECTION_QOS_MAX 1

enum attempt { ATTEMPT_NONE, ATTEMPT_RUNNING, ATTEMPT_FAILED, ATTEMPT_SLOWER, ATTEMPT_UP };

/* How an attempt failed. */
struct failure {
    enum wire_down_reason reason;
    uint32_t code;
    struct buf text;
};

struct connection {
    const struct connect_params *params;
    struct connection_hooks hooks;
    MQTTAsync client; /* of the attempt */
    uint32_t address_index;
    uint32_t keepalive_s;
    int64_t attempt_ends_ms;
    int wake_fd;
    _Atomic int socket_fd; /* the broker's; -1 while unknown */
    _Atomic bool is_closing;
    _Atomic enum attempt attempt;
    struct wire_up limits; /* written before UP, then only read */
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct failure failure;
    bool is_closed;
};

bool connection_is_v5(const struct connection *connection);
/* Tells the hook, but for an end that was asked for. */
void connection_down(struct connection *connection, enum wire_down_reason reason, uint32_t code,
                     const char *text);
/* Paho's callbacks. */
void connection_on_lost(void *context, char *cause);
int connection_on_arrived(void *context, char *topic, int topic_bytes, MQTTAsync_message *message);

#ifdef BRIDGE_CRASH_POINTS
/* Sees to the crash point behind an acknowledgement. */
void connection_watch_acknowledgements(void);
#endif

#endif
