/*
 * receiver - the process that subscribes to the command topics: every message goes to the bridge
 * and is acknowledged to the broker only after the bridge's ack says that it is durable.
 *
 * On any other ack, or none in time, the broker's socket is shut before Paho can write an
 * acknowledgement, and the process ends. The broker keeps the session and delivers the message
 * again. Descriptors: WIRE_CONTROL_FD, WIRE_DELIVERY_FD.
 */
#ifndef MQTT_RECEIVER_H
#define MQTT_RECEIVER_H

/* The hidden subcommand `receiver`. Does not return. */
int receiver_main(void);

#endif
