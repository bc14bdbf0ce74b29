/*
 * client - the MQTT processes of the bridge, for a subcommand that talks to the broker itself: with
 * a client id of its own, so that it disturbs no bridge, and without a Last Will.
 *
 * Thread: the main one.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/loop.h"
#include "base/status.h"
#include "mqtt/program.h"
#include "mqtt/workers.h"
#include "settings/settings.h"
#include "tls/files.h"

struct client {
    struct settings
        settings; /* a copy, to be changed before client_run(); its texts are borrowed */
    struct loop *loop;
    struct workers *workers; /* while client_run() runs */

    struct tls_files tls;
    struct mqtt_program program;
    struct counters counters;
    struct buf client_id;
};

/* How long client_stop() waits before it kills the processes. */
#define CLIENT_STOP_TIMEOUT_MS 1000

/*
 * Loads the TLS files for the broker and finds the executable. The client id is that of `settings`
 * with `purpose` and `nonce` behind it. From here on only errors are logged, in the name of
 * `purpose`. STATUS_INVALID (TLS files) or STATUS_UNAVAILABLE (executable) with the reason in
 * *out_why; call client_fini() in all cases.
 */
enum status client_init(struct client *client, const struct settings *settings, const char *purpose,
                        const char *nonce, struct buf *out_why);
/* Starts the publisher, and the receiver where hooks->delivered is set; returns when all processes
 * have ended. on_timeout() is called with the hooks' arg after `timeout_ms`. */
void client_run(struct client *client, const struct workers_hooks *hooks, int64_t timeout_ms,
                void (*on_timeout)(void *arg));
/* Ends the processes; for the hooks. */
void client_stop(struct client *client);
void client_fini(struct client *client);

#endif
