/*
 * connection_options - what Paho is told about a connection and a message.
 *
 * Private to connection.c and, with it, the only code that knows Paho. Structures point into
 * themselves and are not moved. Thread: one at a time.
 */
#ifndef MQTT_PAHO_CONNECTION_OPTIONS_H
#define MQTT_PAHO_CONNECTION_OPTIONS_H

#include "base/slice.h"
#include "base/status.h"
#include "model/message.h"
#include "mqtt/wire.h"

#include <MQTTAsync.h>

#include <stddef.h>
#include <stdint.h>

#define CONNECT_TEXTS_MAX 12

struct connect_options {
    MQTTAsync_connectOptions connect;
    MQTTAsync_willOptions will;
    MQTTAsync_SSLOptions tls;
    MQTTProperties properties;
    MQTTProperties will_properties;
    char *texts[CONNECT_TEXTS_MAX]; /* NUL-terminated copies of what Paho gets */
    size_t text_count;
};

/*
 * Everything but the callbacks. `keepalive_s` stands in place of the params_buf's. STATUS_INVALID
 * where the will does not parse.
 */
enum status connect_options_init(struct connect_options *options,
                                 const struct connect_params *params, uint32_t keepalive_s);
/* Frees, and wipes the copies; Paho has its own by then. */
void connect_options_fini(struct connect_options *options);

bool address_is_tls(const struct wire_address *address);
/* Appends the address as the settings write it. */
void address_append(struct buf *out, const struct wire_address *address);
/* The address as Paho wants it (mqtt is tcp, mqtts is ssl), to be freed. */
char *address_for_paho(const struct wire_address *address);

/*
 * The MQTT 5 properties of a message. One that brokers would take for a malformed packet, closing
 * the connection at every try, is left out. To be freed with MQTTProperties_free().
 */
void message_properties(const struct message *message, MQTTProperties *out);
/* The size of a PUBLISH on the wire; `properties` NULL for MQTT 3.1.1. */
size_t message_packet_bytes(const struct message *message, const MQTTProperties *properties);

/* A numeric property of a packet, or `otherwise` where it is not there. */
uint32_t property_number(MQTTProperties *properties, enum MQTTPropertyCodes code,
                         uint32_t otherwise);
/* A text property (a user property of that name for MQTTPROPERTY_CODE_USER_PROPERTY); absent where
 * it is not there. */
struct slice property_text(MQTTProperties *properties, enum MQTTPropertyCodes code,
                           const char *name);

#endif
