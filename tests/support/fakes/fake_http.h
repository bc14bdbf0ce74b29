/*
 * fake_http - io/http.h without a network: what was sent is kept, and the test answers at will.
 *
 * Linked into the programs that tests/unit/CMakeLists.txt names; there its symbols win over io's.
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
    http_done_fn *done;
    void *arg;
    bool is_answered;
};

/* What http_new() was given last; the strings are the caller's. */
const struct http_options *fake_http_options(void);
/* Requests since the start or fake_http_reset(). */
size_t fake_http_count(void);
/* The n-th request, from 0. Must exist. */
const struct fake_http_request *fake_http_request(size_t index);
/* The value of the request's header (name without regard to case), or NULL. */
const char *fake_http_header(size_t index, const char *name);
/* Answers the n-th request, once. */
void fake_http_answer(size_t index, const struct http_answer *answer);
/* The same with a status and a body, and nothing else. */
void fake_http_answer_text(size_t index, int status, const char *body);
/* Whether an http is alive. */
bool fake_http_is_open(void);
/* Forgets all requests. */
void fake_http_reset(void);

#endif
