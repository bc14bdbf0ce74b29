/*
 * connection_connack - the texts of an MQTT 5 CONNACK: Paho drops them when the broker refuses.
 *
 * Thread: any; pure.
 */
#ifndef MQTT_PAHO_CONNECTION_CONNACK_H
#define MQTT_PAHO_CONNECTION_CONNACK_H

#include "base/slice.h"

struct connack {
    struct slice reason_string;    /* absent for none */
    struct slice server_reference; /* absent for none */
};

/* Reads the packet at the start of `bytes`. What is not a CONNACK, or is cut or damaged, has no
 * texts from there on. */
struct connack connack_read(struct slice bytes);

#endif
