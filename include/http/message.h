/*
 * message - a request, and what comes back for it.
 *
 * Thread: any.
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_request {
    const char *method; /* "GET", "POST", "PUT" */
    const char *url;
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    struct slice body; /* sent with Content-Length, even if empty; must be empty for GET */
    /* Path and query, percent-encoded, of a `url` that has neither. NULL: they are in the url. With
     * a target libcurl does less work, since it parses and formats the url in every exchange. */
    const char *target;
    size_t answer_bytes_max; /* a larger answer is an error; 0: as the client's options say */
};

enum http_result {
    HTTP_ANSWERED, /* a complete answer */
    HTTP_NOT_SENT, /* DNS, connect or TLS failed: the server has not seen the request */
    HTTP_CUT,      /* at least part of the request was sent, but no complete answer came in time */
};

/* Slices are valid during the callback. */
struct http_answer {
    enum http_result result;
    int status;
    struct slice body;
    struct slice content_type; /* absent: none */
    int64_t retry_after_ms;    /* x-acs-retry-after, -1: none */
    int64_t date_ms;           /* the Date header as wall clock, -1: none */
    bool is_host_unknown;      /* nothing was sent, since the host's name has no address */
    bool is_untrusted; /* nothing was sent, since the server's certificate is not accepted */
    const char *error; /* the reason: a known TLS problem in our words, else libcurl's; "": none */
    int64_t took_ms;
};

typedef void http_done_fn(void *arg, const struct http_answer *answer);

#endif
