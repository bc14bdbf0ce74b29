/*
 * exchange - one request and its answer on a libcurl easy handle, used again for the next one.
 *
 * The handle with its options, the nodes of the header list and the buffers are used again: libcurl
 * would create them for every exchange.
 *
 * Thread: the loop's.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "base/buf.h"
#include "base/loop.h"
#include "http/message.h"
#include "sockets.h"
#include "tls.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

/* Our text, followed by libcurl's in brackets. */
#define EXCHANGE_TEXT_BYTES (CURL_ERROR_SIZE + 128)

struct exchange;
struct http;
typedef void exchange_sent_fn(struct exchange *exchange);

/* The same for all exchanges of a client, which owns it. */
struct exchange_common {
    struct loop *loop;
    struct http_watches watches;
    struct http_tls tls;
    char *proxy;
    int64_t connect_timeout_ms;
    int64_t connection_age_max_s;
    bool is_single_use;    /* connections are not kept */
    int64_t keeps_from_ms; /* nor before this time, after an answer to nobody */
    bool is_ca_reported;   /* that the trusted authorities cannot be read */
    size_t answer_bytes_max;
    bool is_secret;         /* buffers are wiped when an exchange ends */
    exchange_sent_fn *sent; /* called when a request is about to be written, once an exchange */
};

struct exchange {
    /* The client's. */
    struct http *http;
    struct exchange *prev;
    struct exchange *next;
    struct exchange *sent_prev;
    struct exchange *sent_next;
    http_done_fn *done;
    void *arg;

    struct exchange_common *common;
    CURL *easy;
    size_t answer_bytes_max;
    /* The request. */
    struct buf url_text;
    CURLU *url;             /* the same, parsed */
    struct buf header_text; /* NUL after each */
    struct curl_slist *headers;
    size_t header_capacity;
    struct buf request_body;
    size_t posted_bytes; /* CURLOPT_POSTFIELDSIZE as it is set */
    bool is_get;
    bool is_put;
    int64_t started_at_ms;
    bool was_sent;
    bool is_unusable; /* the kept connection: to be sent over another one */
    bool is_single_use;
    int64_t sent_at_ms;
    struct http_use use; /* of a connection that was used before; none: of a new one */
    /* The answer. */
    bool has_head; /* its headers, to the empty line */
    bool is_last;  /* the server closes the connection behind it */
    bool is_stray; /* it is refused: it may be the answer to another request */
    struct buf body;
    int64_t retry_after_ms;
    int64_t date_ms;
    char error[CURL_ERROR_SIZE];    /* libcurl's words */
    char text[EXCHANGE_TEXT_BYTES]; /* ours, where we ended it or know what libcurl means */
};

struct exchange *exchange_new(struct exchange_common *common, struct http *http);
/* The handle must not be in a multi handle. */
void exchange_free(struct exchange *exchange);
/* Copies the request. Then add the handle to a multi handle. */
void exchange_begin(struct exchange *exchange, const struct http_request *request);
/* Sets the error text: no complete answer within the client's limit. */
void exchange_time_out(struct exchange *exchange, int64_t limit_ms);
/* The result, from libcurl's `code`. Valid until exchange_wipe() or exchange_begin(). */
void exchange_read_answer(struct exchange *exchange, CURLcode code, struct http_answer *out);
/* Wipes the buffers if the client has secrets, and frees the room of a large answer. */
void exchange_wipe(struct exchange *exchange);

#endif
