/*
 * http - an HTTP client on the loop: many exchanges at the same time, over connections that are
 * used again.
 *
 * Wraps libcurl (multi, socket interface); no other room uses it for transfers. TLS 1.2 or newer;
 * certificate and host name are always verified, a proxy's too. One request is sent once: libcurl's
 * automatic retry over a new connection is prevented, since the caller must know whether the server
 * may have seen the request. An answer on a kept connection that may be the answer to another
 * request is refused (HTTP_CUT); then connections are not kept for ten minutes.
 *
 * Thread: the loop's. Each callback runs exactly once, never before http_send() has returned.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/loop.h"
#include "http/message.h"
#include "tls/files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The header line of every request. */
#define HTTP_USER_AGENT "user-agent: ecs-mqtt-bridge/" BRIDGE_VERSION

struct http;

struct http_options {
    int64_t connect_timeout_ms;
    int64_t read_timeout_ms; /* from sending the request to the last byte of the answer */
    size_t answer_bytes_max; /* a larger answer is an error: HTTP_CUT */
    const char *proxy;       /* "" for none; the environment's proxies are not used */
    size_t connections_max;
    int64_t connection_age_max_s; /* an older connection is not used again; 0: no limit */
    bool is_single_use;           /* each exchange has a connection of its own */
    bool is_secret; /* requests and answers contain secrets: wiped when an exchange ends */
    /* Authorities that are trusted instead of the system's, and the client certificate; copied.
     * NULL or empty: the system's authorities and no certificate. */
    const struct tls_files *tls;
};

struct http *http_new(struct loop *loop, const struct http_options *options);
/*
 * A new client with other options and no connections. It owns `former`, whose exchanges finish
 * there, with their callbacks.
 */
struct http *http_renew(struct http *former, const struct http_options *options);
/* Cancels running exchanges without a callback. Takes NULL. */
void http_free(struct http *http);
void http_send(struct http *http, const struct http_request *request, http_done_fn *done,
               void *arg);
/* Cancels the exchanges that were sent with this `done` and `arg`, without a callback. */
void http_drop(struct http *http, http_done_fn *done, void *arg);
/* Frees the handles and buffers that are kept for requests to come, about 9 KiB for each that was
 * running at the same time. Connections stay open. */
void http_trim(struct http *http);

/* libcurl's version, for `version`. */
const char *http_library_version(void);

#endif
