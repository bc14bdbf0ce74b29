/*
 * connect_params_buf - what an MQTT process is told at its start, from the settings.
 *
 * The broker password is read from its file each time, so that a changed one is used with the next
 * connection. Certificates and keys were loaded before (io/tls_files.h); since Paho takes paths
 * only, they go into files in memory, and the params_buf names these.
 *
 * Thread: one at a time.
 */
#ifndef MQTT_CONNECT_PARAMS_H
#define MQTT_CONNECT_PARAMS_H

#include "base/buf.h"
#include "base/secret.h"
#include "base/slice.h"
#include "base/status.h"
#include "settings/settings.h"
#include "tls/files.h"
#include "wire.h"

#include <stddef.h>
#include <stdint.h>

/* How long the broker keeps a Last Will back: time for a new process to take the place of the old
 * one. */
#define MQTT_WILL_DELAY_S 10

struct connect_params_buf {
    struct connect_params params; /* slices into the settings and into what follows */
    char name[32];
    char *client_id;
    char *filters[ROUTE_FILTERS_MAX];
    struct secret password;
    int tls_fds[WIRE_TLS_FD_COUNT]; /* -1 for none */
    char tls_paths[WIRE_TLS_FD_COUNT][32];
    struct buf alpn;
};

/*
 * The params_buf of receiver `index` (from 0), or of the publisher with the `will` it is to leave
 * behind. STATUS_OK, or another with *out_why; to be given up with connect_params_buf_fini() in
 * either case. `settings`, `tls` and `will` must outlive it.
 */
enum status connect_params_buf_init(struct connect_params_buf *params_buf,
                                    const struct settings *settings, const struct tls_files *tls,
                                    enum wire_role role, uint32_t index, struct slice will,
                                    const char **out_why);
/* For a process in which the files of `tls_fds` are WIRE_TLS_FD and the next ones. */
void connect_params_buf_move_files(struct connect_params_buf *params_buf);
/* Frees and wipes. */
void connect_params_buf_fini(struct connect_params_buf *params_buf);

#endif
