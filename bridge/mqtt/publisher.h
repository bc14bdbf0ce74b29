/*
 * publisher - the process that publishes replies and holds the Last Will.
 *
 * Messages are published in the order they came, with no more unacknowledged than the broker's
 * Receive Maximum, and at most 64. Each one is answered by WIRE_PUBLISHED or WIRE_UNPUBLISHED. When
 * the process ends, the bridge counts those not answered as not published, even if the broker has
 * them. Descriptor: WIRE_CONTROL_FD.
 */
#ifndef MQTT_PUBLISHER_H
#define MQTT_PUBLISHER_H

/* The hidden subcommand `publisher`. Does not return. */
int publisher_main(void);

#endif
