/*
 * receiver - the process that holds a command subscription: every message goes to the bridge and is
 * acknowledged to the broker only after the bridge's ack "durable".
 *
 * On any other ack, or none in time, the broker's socket is shut before Paho can write an
 * acknowledgement, and the process ends; the broker keeps the session and sends the message again.
 * Descriptors: WIRE_CONTROL_FD, WIRE_DELIVERY_FD.
 */
#ifndef MQTT_RECEIVER_H
#define MQTT_RECEIVER_H

/* The hidden subcommand `receiver`. Does not come back but by the end of the process. */
int receiver_main(void);

#endif
