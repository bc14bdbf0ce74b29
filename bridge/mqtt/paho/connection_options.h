/*
 * connection_options - Paho's structs for a connection and a message, made from ours.
 *
 * The structs point into themselves and must not be moved. Thread: one at a time.
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
    char *texts[CONNECT_TEXTS_MAX]; /* NUL-terminated copies for Paho */
    size_t text_count;
};

/* Everything but the callbacks. STATUS_INVALID if the will does not parse. */
enum status connect_options_init(struct connect_options *options,
                                 const struct connect_params *params);
/* Frees, and wipes the copies; Paho has made its own. */
void connect_options_fini(struct connect_options *options);

bool address_is_tls(const struct wire_address *address);
bool address_is_websocket(const struct wire_address *address);
/* Appends the address as the settings write it. */
void address_append(struct buf *out, const struct wire_address *address);
/* The address as Paho wants it (mqtt is tcp, mqtts is ssl), to be freed. */
char *address_for_paho(const struct wire_address *address);

/*
 * The MQTT 5 properties of a message; free them with MQTTProperties_free(). A property that brokers
 * would treat as a malformed packet, closing the connection at every attempt, is left out.
 */
void message_properties(const struct message *message, MQTTProperties *out);
/* The size of a PUBLISH on the wire; `properties` NULL for MQTT 3.1.1. */
size_t message_packet_bytes(const struct message *message, const MQTTProperties *properties);

/* Paho's text as a slice. */
struct slice len_slice(MQTTLenString text);
/* A numeric property of a packet, or `otherwise` if it is absent. */
uint32_t property_number(MQTTProperties *properties, enum MQTTPropertyCodes code,
                         uint32_t otherwise);
/* A text property, or an absent slice. For MQTTPROPERTY_CODE_USER_PROPERTY the one of that name. */
struct slice property_text(MQTTProperties *properties, enum MQTTPropertyCodes code,
                           const char *name);

#endif
