/*
 * mqtt_greeting - what an MQTT process is told at its start, from the settings.
 *
 * Secrets are read from their files each time, so that a changed one is used with the next
 * connection.
 *
 * Thread: one at a time.
 */
#ifndef IO_MQTT_GREETING_H
#define IO_MQTT_GREETING_H

#include "base/buf.h"
#include "base/secret.h"
#include "base/slice.h"
#include "base/status.h"
#include "domain/wire.h"
#include "io/settings.h"

#include <stddef.h>
#include <stdint.h>

/* How long the broker keeps a Last Will back: time for a new process to take the place of the old
 * one. */
#define MQTT_WILL_DELAY_S 10

struct mqtt_greeting {
    struct wire_hello hello; /* slices into the settings and into what follows */
    char name[32];
    char *client_id;
    char *filters[WIRE_FILTERS_MAX];
    struct secret password;
    struct secret key_password;
    struct buf alpn;
};

/*
 * The greeting of receiver `index` (from 0), or of the publisher with the `will` it is to leave
 * behind. STATUS_OK, or another with *out_why; to be given up with mqtt_greeting_fini() in either
 * case. `settings` and `will` must outlive it.
 */
enum status mqtt_greeting_init(struct mqtt_greeting *greeting, const struct settings *settings,
                               enum wire_role role, uint32_t index, struct slice will,
                               const char **out_why);
/* Frees and wipes. */
void mqtt_greeting_fini(struct mqtt_greeting *greeting);

#endif
