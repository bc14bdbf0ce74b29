/*
 * connection_puback - the reason code of the PUBACK that was read last.
 *
 * Paho 1.3.12 reports every code below 0x80 as 0, also 0x10 (No matching subscribers: MQTT 5,
 * section 3.4.2.1). So the packets are read once more as they pass through recv() and SSL_read() in
 * connection_cause.c. Not with WebSockets, whose frames Paho takes apart itself.
 *
 * Thread: Paho's receive thread, which also calls Paho's callback for the PUBACK that it has read.
 */
#ifndef MQTT_PAHO_CONNECTION_PUBACK_H
#define MQTT_PAHO_CONNECTION_PUBACK_H

#include "base/slice.h"

#include <stdint.h>

#define PUBACK_NO_SUBSCRIBERS 0x10

/* From the next byte on, which is the first one behind CONNACK. */
void puback_begin(void);
/* Bytes of the connection, in any pieces. Nothing happens before puback_begin(). */
void puback_note(struct slice bytes);
/* 0 for a PUBACK without a reason code, and where none was read. */
uint8_t puback_code(void);

#endif
