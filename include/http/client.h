/*
 * http - HTTP exchanges on the loop, many side by side over kept connections.
 *
 * Wraps libcurl (multi, socket interface), the only code that does. TLS 1.2 or newer, certificate
 * and host name always verified, a proxy's as well. One request is one exchange on the wire:
 * libcurl's silent second try over a new connection is forbidden, since the caller must know
 * whether a request may have been seen.
 *
 * Thread: the loop's. Callbacks come exactly once, never before http_send() has returned.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/slice.h"
#include "base/status.h"
#include "tls/files.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http;

struct http_options {
    int64_t connect_timeout_ms;
    int64_t read_timeout_ms; /* from the request on the wire to the last byte of the answer */
    size_t answer_bytes_max; /* a larger answer is cut: HTTP_CUT */
    const char *proxy;       /* "" for none; the environment's proxies are not used */
    size_t connections_max;
    bool is_secret; /* requests and answers hold secrets: wiped when an exchange ends */
    /* Authorities to trust instead of the system's, and a certificate to show; copied. NULL or
     * empty: the system's, and no certificate. */
    const struct tls_files *tls;
};

struct http_request {
    const char *method; /* "GET", "POST", "PUT" */
    const char *url;
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    struct slice body; /* sent with Content-Length, also where it is empty; none with GET */
};

enum http_result {
    HTTP_ANSWERED, /* a whole answer */
    HTTP_NOT_SENT, /* DNS, connect or TLS failed: not one byte of the request left */
    HTTP_CUT,      /* the request or part of it was sent, no whole answer came back in time */
};

/* Slices are valid during the callback. */
struct http_answer {
    enum http_result result;
    int status;
    struct slice body;
    struct slice content_type; /* absent for none */
    int64_t retry_after_ms;    /* x-acs-retry-after, -1 for none */
    int64_t date_ms;           /* the Date header as wall clock, -1 for none */
    const char *error; /* what went wrong: our words for what is known of TLS, else libcurl's; "" */
    int64_t took_ms;
};

typedef void http_done_fn(void *arg, const struct http_answer *answer);

struct http *http_new(struct loop *loop, const struct http_options *options);
/*
 * One that begins anew, with other options and without the connections that are open. It owns
 * `former`: what goes on there comes to its end and its callback there.
 */
struct http *http_renew(struct http *former, const struct http_options *options);
/* Exchanges still going on are dropped without a callback. Takes NULL. */
void http_free(struct http *http);
void http_send(struct http *http, const struct http_request *request, http_done_fn *done,
               void *arg);
/* Drops the exchanges begun with this `done` and `arg`, without a callback. */
void http_drop(struct http *http, http_done_fn *done, void *arg);

/* libcurl's version, for `version`. */
const char *http_library_version(void);

#endif
