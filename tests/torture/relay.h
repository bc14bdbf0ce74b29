/*
 * relay - accepts the bridge by TLS, WebSocket or both, and passes the plain MQTT bytes to the
 * proxy and back, so that the tap can read them and the faults reach every transport.
 *
 * It is a process of its own, with one more process for each connection. Each direction holds at
 * most about 8 KiB here and small socket buffers, so back-pressure passes. A reset of one side
 * resets the other; the end of one direction ends that direction only. It connects to the proxy
 * before its handshake with the bridge: a proxy that refuses resets the bridge.
 *
 * Thread: the driver's only thread. A call that fails ends the run (flow_fail()).
 */
#ifndef TORTURE_RELAY_H
#define TORTURE_RELAY_H

#include <sys/types.h>

/* Plain MQTT, or either of these, or both. */
enum transport {
    TRANSPORT_MQTT,
    TRANSPORT_TLS = 1,
    TRANSPORT_WEBSOCKET = 2,
    TRANSPORT_COUNT = 4,
};

/* The scheme of its URI: "mqtt", "mqtts", "ws" or "wss". */
const char *transport_name(enum transport transport);
/* The transport with this name; TRANSPORT_COUNT if there is none. */
enum transport transport_of(const char *name);

struct relay {
    pid_t pid; /* 0: no relay */
    char uri[64];
    char ca_file[128]; /* "" without TLS */
};

/* Forks the relay, unless the transport is TRANSPORT_MQTT: then the URI is the proxy's. `target` is
 * the proxy's port; the files of the certificates are written into `directory`. */
void relay_start(struct relay *relay, enum transport transport, int target, const char *directory);
void relay_stop(struct relay *relay);

#endif
