/*
 * connect_params - makes the connect params of an MQTT process from the settings.
 *
 * The login is made each time (broker_login.h), so that a changed password is used for the next
 * connection. Certificates and keys were loaded before (tls/files.h). Paho takes paths only, so
 * they are put into files in memory, and the params name these.
 *
 * Thread: one at a time.
 */
#ifndef MQTT_CONNECT_PARAMS_H
#define MQTT_CONNECT_PARAMS_H

#include "base/slice.h"
#include "base/status.h"
#include "mqtt/wire.h"
#include "settings/settings.h"
#include "tls/files.h"

#include <stdbool.h>
#include <stdint.h>

/* How long the broker delays the Last Will: time for a new process to replace the old one. */
#define MQTT_WILL_DELAY_S 10

/* One attempt to connect: where, and how. */
struct connect_attempt {
    size_t uri;           /* index in broker.uris */
    const char *ip;       /* an address of its host name; NULL where the host is an address */
    uint32_t keepalive_s; /* what this broker asked for; 0: as in the settings */
    bool has_no_retain;   /* the broker refuses retained messages */
    bool has_no_qos_1;    /* the broker refuses a will of QoS 1 */
    /* Of a receiver. NULL: the session of the settings, and nothing to unsubscribe. */
    const struct mqtt_session *session;
};

/*
 * The params of the receiver, or of the publisher with its Last Will `will`, for one attempt.
 * STATUS_OK, or another status with *out_why; call connect_params_fini() in both cases. The name is
 * set in both cases too. `settings`, `tls`, `will`, and the address and session of the attempt must
 * outlive the params.
 */
enum status connect_params_init(struct connect_params *params, const struct settings *settings,
                                const struct tls_files *tls, enum wire_role role,
                                const struct connect_attempt *attempt, struct slice will,
                                const char **out_why);
/* The host of broker.uris[uri]: where it is a name, that and true. To be freed. */
bool connect_params_needs_lookup(const struct settings *settings, size_t uri, char **out_host);
/* Names the TLS files for a process that gets `tls_fds` as WIRE_TLS_FD and the next two. */
void connect_params_move_files(struct connect_params *params);
/* Frees and wipes. */
void connect_params_fini(struct connect_params *params);

#endif
