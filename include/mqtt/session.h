/*
 * session - what a receiver process does with one session at the broker.
 *
 * Thread: any; it never changes while a process may be started with it.
 */
#ifndef MQTT_SESSION_H
#define MQTT_SESSION_H

#include "model/route.h"

enum mqtt_session_use {
    MQTT_SESSION_USE,   /* subscribes to the settings' filters */
    MQTT_SESSION_DRAIN, /* subscribes to nothing: takes what the broker has kept */
    MQTT_SESSION_END,   /* the broker forgets it, with what it still holds */
};

/* `client_id` and `unsubscribe` are borrowed. */
struct mqtt_session {
    const char *client_id; /* NULL: the one that the settings name */
    enum mqtt_session_use use;
    /* Filters to unsubscribe, directly behind the SUBSCRIBE; at most MQTT_UNSUBSCRIBE_MAX. */
    struct text_list unsubscribe;
};

#define MQTT_UNSUBSCRIBE_MAX 512

#endif
