/*
 * fake_http - http/client.h without a network: requests are recorded and the test answers them.
 *
 * Linked into the programs that tests/unit/CMakeLists.txt names, in place of http/client.c.
 *
 * Thread: the test's.
 */
#ifndef SUPPORT_FAKES_FAKE_HTTP_H
#define SUPPORT_FAKES_FAKE_HTTP_H

#include "http/client.h"

#include <stdbool.h>
#include <stddef.h>

#define FAKE_HTTP_HEADERS_MAX 24

struct fake_http_request {
    char *method;
    char *url;
    char *headers[FAKE_HTTP_HEADERS_MAX];
    size_t header_count;
    struct buf body;
    size_t answer_bytes_max; /* 0: the client's */
    http_done_fn *done;
    void *arg;
    bool is_answered;
};

/* The options of the last http_new() or http_renew(); the strings are the caller's. */
const struct http_options *fake_http_options(void);
/* Requests since the start or fake_http_reset(). */
size_t fake_http_count(void);
/* The n-th request, from 0. Must exist. */
const struct fake_http_request *fake_http_request(size_t index);
/* The value of the request's header (name without regard to case), or NULL. */
const char *fake_http_header(size_t index, const char *name);
/* Answers the n-th request; only once. */
void fake_http_answer(size_t index, const struct http_answer *answer);
/* The same, with a status and a body only. */
void fake_http_answer_text(size_t index, int status, const char *body);
/* Whether a client exists. */
bool fake_http_is_open(void);
/* Forgets all requests. */
void fake_http_reset(void);

#endif
