#include "fake_http.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct http {
    struct http_options options;
};

static size_t open_count;
static struct http_options last_options;
static struct fake_http_request *requests;
static size_t request_count;

const struct http_options *fake_http_options(void)
{
    return &last_options;
}

size_t fake_http_count(void)
{
    return request_count;
}

const struct fake_http_request *fake_http_request(size_t index)
{
    assert(index < request_count);
    return &requests[index];
}

const char *fake_http_header(size_t index, const char *name)
{
    const struct fake_http_request *request = fake_http_request(index);
    size_t length = strlen(name);
    for (size_t i = 0; i < request->header_count; i++) {
        const char *line = request->headers[i];
        if (strncasecmp(line, name, length) == 0 && strncmp(line + length, ": ", 2) == 0) {
            return line + length + 2;
        }
    }
    return NULL;
}

void fake_http_answer(size_t index, const struct http_answer *answer)
{
    assert(open_count > 0 && index < request_count && !requests[index].is_answered);
    requests[index].is_answered = true;
    requests[index].done(requests[index].arg, answer);
}

void fake_http_answer_text(size_t index, int status, const char *body)
{
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = status,
        .body = slice_text(body),
        .retry_after_ms = -1,
        .date_ms = -1,
        .error = "",
    };
    fake_http_answer(index, &answer);
}

bool fake_http_is_open(void)
{
    return open_count > 0;
}

void fake_http_reset(void)
{
    for (size_t i = 0; i < request_count; i++) {
        free(requests[i].method);
        free(requests[i].url);
        for (size_t k = 0; k < requests[i].header_count; k++) {
            free(requests[i].headers[k]);
        }
        buf_fini(&requests[i].body);
    }
    free(requests);
    requests = NULL;
    request_count = 0;
}

struct http *http_new(struct loop *loop, const struct http_options *options)
{
    (void)loop;
    struct http *http = mem_zalloc(1, sizeof *http);
    open_count++;
    last_options = *options;
    return http;
}

/* The same client: the fake does not record which client a request used. */
struct http *http_renew(struct http *former, const struct http_options *options)
{
    assert(former != NULL && open_count > 0);
    last_options = *options;
    return former;
}

void http_free(struct http *http)
{
    if (http == NULL) {
        return;
    }
    open_count--;
    free(http);
}

void http_send(struct http *http, const struct http_request *request, http_done_fn *done, void *arg)
{
    assert(http != NULL && request->header_count <= FAKE_HTTP_HEADERS_MAX);
    requests = mem_realloc(requests, (request_count + 1) * sizeof requests[0]);
    struct fake_http_request *kept = &requests[request_count++];
    *kept = (struct fake_http_request){
        .method = mem_strdup(request->method),
        .header_count = request->header_count,
        .answer_bytes_max = request->answer_bytes_max,
        .done = done,
        .arg = arg,
    };
    struct buf url = {0};
    buf_append_text(&url, request->url);
    buf_append_text(&url, request->target == NULL ? "" : request->target);
    kept->url = buf_take(&url);
    for (size_t i = 0; i < request->header_count; i++) {
        kept->headers[i] = mem_strdup(request->headers[i]);
    }
    buf_append(&kept->body, request->body);
}

void http_drop(struct http *http, http_done_fn *done, void *arg)
{
    (void)http;
    for (size_t i = 0; i < request_count; i++) {
        requests[i].is_answered |= requests[i].done == done && requests[i].arg == arg;
    }
}

void http_trim(struct http *http)
{
    (void)http;
}

const char *http_library_version(void)
{
    return "fake";
}
