/*
 * publisher - the process that publishes replies and holds the Last Will.
 *
 * Messages go out in the order they came, at most as many unacknowledged as the broker takes (its
 * Receive Maximum, at most 64). Each one is answered by WIRE_PUBLISHED or WIRE_UNPUBLISHED; when
 * the process ends, those not answered are not published for the bridge, even where the broker has
 * them. Descriptor: WIRE_CONTROL_FD.
 */
#ifndef MQTT_PUBLISHER_H
#define MQTT_PUBLISHER_H

/* The hidden subcommand `publisher`. Does not come back but by the end of the process. */
int publisher_main(void);

#endif
