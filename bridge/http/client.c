/*
 * libcurl's multi interface on the loop. What libcurl would make anew for every exchange is kept:
 * easy handles with their options, the nodes of header lists, watches (http_watches).
 *
 * Whether a request was sent is known from libcurl's call before it sends. A second such call in
 * one exchange is its silent second try, allowed only while not one byte has left.
 */
#include "http/client.h"

#include "base/crash_point.h"
#include "base/mem.h"
#include "base/secret.h"
#include "sockets.h"
#include "tls.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

/* Answers and requests are small: libcurl's own sizes would be 16 and 64 KiB an exchange. */
#define RECEIVE_BUFFER_BYTES 4096L
#define SEND_BUFFER_BYTES    16384L
/* Servers close idle connections, typically after a minute: older ones of ours are not used. */
#define IDLE_MAX_S         30L
#define RETRY_AFTER_MAX_MS 3600000

struct exchange {
    struct exchange *prev; /* in `live` or `spare` */
    struct exchange *next;
    struct exchange *sent_prev; /* in `sent` */
    struct exchange *sent_next;
    struct http *http;
    CURL *easy;
    struct buf header_text; /* NUL after each */
    struct curl_slist *headers;
    size_t header_capacity;
    struct buf request_body;
    size_t posted_bytes; /* as libcurl was told last */
    bool is_get;
    bool is_put;
    bool was_sent;
    bool has_head; /* of the answer, to its empty line */
    int64_t started_at_ms;
    int64_t sent_at_ms;
    struct buf answer;
    int64_t retry_after_ms;
    int64_t date_ms;
    char error[CURL_ERROR_SIZE]; /* libcurl's words */
    char cut_text[80];           /* ours, where we ended it; then these count */
    http_done_fn *done;
    void *arg;
};

struct http {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;      /* libcurl's */
    struct loop_timer *read_timer; /* for the first of `sent` */
    struct http_watches watches;
    struct exchange *live;
    struct exchange *sent; /* on the wire, the first sent first */
    struct exchange *spare;
    int64_t connect_timeout_ms;
    int64_t read_timeout_ms;
    size_t answer_bytes_max;
    bool is_secret;
    struct http_tls tls;
    char *proxy;
    struct http *former;             /* ours, until its exchanges are over */
    struct http *successor;          /* owns us */
    struct loop_timer *former_timer; /* runs when the former one may go */
};

static void must(CURLcode code)
{
    assert(code == CURLE_OK);
}

static void must_multi(CURLMcode code)
{
    assert(code == CURLM_OK);
}

/* --- descriptors --- */

static void finish_ended(struct http *http);

static void descriptor_ready(void *arg, int fd, int events)
{
    struct http *http = arg;
    int what = ((events & LOOP_READ) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    int running = 0;
    must_multi(curl_multi_socket_action(http->multi, fd, what, &running));
    finish_ended(http);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http *http = arg;
    (void)easy;
    (void)socket_arg;
    if (what == CURL_POLL_REMOVE) {
        http_watches_rest(&http->watches, fd);
    } else {
        http_watches_want(&http->watches, fd,
                          ((what & CURL_POLL_IN) != 0 ? LOOP_READ : 0) |
                              ((what & CURL_POLL_OUT) != 0 ? LOOP_WRITE : 0));
    }
    return 0;
}

/* Closed on exec: the bridge starts other programs, and they must not hold its connections. */
static curl_socket_t socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http *http = arg;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    http_watches_opened(&http->watches, fd);
    return fd;
}

static int socket_close(void *arg, curl_socket_t fd)
{
    struct http *http = arg;
    http_watches_closed(&http->watches, fd);
    return close(fd);
}

/* --- time --- */

static int timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *http = arg;
    (void)multi;
    if (timeout_ms < 0) {
        loop_timer_stop(http->timer);
    } else {
        loop_timer_start(http->timer, timeout_ms);
    }
    return 0;
}

static void timer_due(void *arg)
{
    struct http *http = arg;
    int running = 0;
    must_multi(curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running));
    finish_ended(http);
}

static void exchange_end(struct exchange *exchange, CURLcode code);

/* All exchanges have the same time to read, so the first sent is the first due. */
static void read_timer_due(void *arg)
{
    struct http *http = arg;
    int64_t now_ms = loop_now_ms(http->loop);
    struct exchange *first;
    while ((first = http->sent) != NULL && now_ms - first->sent_at_ms >= http->read_timeout_ms) {
        snprintf(first->cut_text, sizeof first->cut_text, "no whole answer within %lld ms",
                 (long long)http->read_timeout_ms);
        exchange_end(first, CURLE_OPERATION_TIMEDOUT);
    }
    if (first != NULL) {
        loop_timer_start(http->read_timer, first->sent_at_ms + http->read_timeout_ms - now_ms);
    }
}

/* --- one exchange --- */

static bool has_sent_bytes(const struct exchange *exchange)
{
    long count = 0;
    must(curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &count));
    return exchange->was_sent && count > 0;
}

static int before_request(void *arg, char *remote_address, char *local_address, int remote_port,
                          int local_port)
{
    struct exchange *exchange = arg;
    struct http *http = exchange->http;
    (void)remote_address;
    (void)local_address;
    (void)remote_port;
    (void)local_port;
    if (has_sent_bytes(exchange)) {
        snprintf(exchange->cut_text, sizeof exchange->cut_text,
                 "the kept connection ended before an answer came");
        return CURL_PREREQFUNC_ABORT;
    }
    if (!exchange->was_sent) {
        exchange->was_sent = true;
        exchange->sent_at_ms = loop_now_ms(http->loop);
        DL_APPEND2(http->sent, exchange, sent_prev, sent_next);
        if (!loop_timer_is_running(http->read_timer)) {
            loop_timer_start(http->read_timer, http->read_timeout_ms);
        }
    }
    return CURL_PREREQFUNC_OK;
}

static int64_t parse_retry_after(const char *digits)
{
    int64_t value_ms = 0;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || digits[count] != '\0') {
        return -1;
    }
    for (size_t i = 0; i < count && value_ms < RETRY_AFTER_MAX_MS; i++) {
        value_ms = 10 * value_ms + (digits[i] - '0');
    }
    if (value_ms == 0) {
        return -1;
    }
    return value_ms < RETRY_AFTER_MAX_MS ? value_ms : RETRY_AFTER_MAX_MS;
}

static int64_t parse_date(const char *text)
{
    time_t date_s = curl_getdate(text, NULL);
    return date_s < 0 ? -1 : (int64_t)date_s * 1000;
}

/* The value of a header line as a C string, if the line has this name and the value fits. */
static bool header_value(struct slice line, const char *name, char *out, size_t out_bytes)
{
    size_t at = strlen(name);
    if (line.length <= at || line.data[at] != ':' || strncasecmp(line.data, name, at) != 0) {
        return false;
    }
    at++;
    while (at < line.length && (line.data[at] == ' ' || line.data[at] == '\t')) {
        at++;
    }
    size_t end = line.length;
    while (end > at && strchr(" \t\r\n", line.data[end - 1]) != NULL) {
        end--;
    }
    if (end - at >= out_bytes) {
        return false;
    }
    memcpy(out, line.data + at, end - at);
    out[end - at] = '\0';
    return true;
}

static size_t header_came(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    struct slice line = slice_of(data, size * count);
    char value[64];
    if (line.length > 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        /* An interim answer's headers are not the answer's. */
        exchange->retry_after_ms = -1;
        exchange->date_ms = -1;
        exchange->has_head = false;
    } else if (line.length <= 2) {
        exchange->has_head = true;
    } else if (header_value(line, "date", value, sizeof value)) {
        exchange->date_ms = parse_date(value);
    } else if (header_value(line, "x-acs-retry-after", value, sizeof value)) {
        exchange->retry_after_ms = parse_retry_after(value);
    }
    return line.length;
}

static size_t body_came(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    size_t length = size * count;
    size_t limit = exchange->http->answer_bytes_max;
    if (length > limit - exchange->answer.length) {
        snprintf(exchange->cut_text, sizeof exchange->cut_text,
                 "the answer is larger than %zu bytes", limit);
        return 0;
    }
    buf_append(&exchange->answer, slice_of(data, length));
    return length;
}

static void set_safety(const struct http *http, CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    must(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"));
#else
    must(curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    must(curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L));
    must(curl_easy_setopt(easy, CURLOPT_PROXY, http->proxy));
    must(curl_easy_setopt(easy, CURLOPT_NOPROXY, ""));
    must(curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L));
}

static void set_transport(struct http *http, CURL *easy)
{
    must(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    must(curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1));
    must(curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L));
    must(curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_MAX_S));
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A name server that does not answer must not hold up the loop of who gave up waiting. */
    must(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L));
#endif
    must(curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_BYTES));
    must(curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER_BYTES));
    must(curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)http->connect_timeout_ms));
    must(curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, socket_open));
    must(curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, http));
    must(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, socket_close));
    must(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, http));
}

#ifdef BRIDGE_CRASH_POINTS
/* libcurl shows what it has written. */
static int line_written(CURL *easy, curl_infotype type, char *data, size_t size, void *arg)
{
    (void)easy;
    (void)arg;
    if (type == CURLINFO_HEADER_OUT) {
        crash_point_pass(CRASH_AFTER_SENDING, slice_of(data, size));
    }
    return 0;
}
#endif

static void set_callbacks(struct exchange *exchange)
{
    CURL *easy = exchange->easy;
    must(curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange));
#ifdef BRIDGE_CRASH_POINTS
    must(curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, line_written));
    must(
        curl_easy_setopt(easy, CURLOPT_VERBOSE, crash_point_is_set(CRASH_AFTER_SENDING) ? 1L : 0L));
#endif
    must(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error));
    must(curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request));
    must(curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange));
    must(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_came));
    must(curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange));
    must(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_came));
    must(curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange));
}

static struct exchange *exchange_new(struct http *http)
{
    struct exchange *exchange = mem_zalloc(1, sizeof *exchange);
    exchange->http = http;
    exchange->is_get = true; /* as libcurl begins */
    exchange->easy = curl_easy_init();
    assert(exchange->easy != NULL);
    set_safety(http, exchange->easy);
    http_tls_set(&http->tls, exchange->easy);
    set_transport(http, exchange->easy);
    set_callbacks(exchange);
    return exchange;
}

static void wipe_text(struct buf *text)
{
    if (text->data != NULL) {
        secret_wipe(text->data, text->capacity);
    }
    buf_clear(text);
}

static void exchange_wipe(struct exchange *exchange)
{
    if (exchange->http->is_secret) {
        wipe_text(&exchange->header_text);
        wipe_text(&exchange->request_body);
        wipe_text(&exchange->answer);
    }
}

static void exchange_free(struct exchange *exchange)
{
    exchange_wipe(exchange);
    curl_easy_cleanup(exchange->easy);
    buf_fini(&exchange->header_text);
    buf_fini(&exchange->request_body);
    buf_fini(&exchange->answer);
    free(exchange->headers);
    free(exchange);
}

static struct exchange *exchange_take(struct http *http)
{
    struct exchange *exchange = http->spare;
    if (exchange == NULL) {
        return exchange_new(http);
    }
    DL_DELETE(http->spare, exchange);
    return exchange;
}

/* The list's nodes are ours, so that libcurl's need not be allocated one by one. */
static void set_headers(struct exchange *exchange, const struct http_request *request)
{
    static const char *const removed[] = {"Expect:", "Content-Type:"};
    size_t removed_count = request->body.length > 0 ? 1 : 2;
    size_t count = request->header_count + removed_count;
    if (count > exchange->header_capacity) {
        exchange->headers = mem_realloc(exchange->headers, count * sizeof exchange->headers[0]);
        exchange->header_capacity = count;
    }
    struct buf *text = &exchange->header_text;
    buf_clear(text);
    for (size_t i = 0; i < count; i++) {
        const char *line =
            i < request->header_count ? request->headers[i] : removed[i - request->header_count];
        buf_append(text, slice_of(line, strlen(line) + 1));
    }
    char *line = text->data;
    for (size_t i = 0; i < count; i++) {
        exchange->headers[i].data = line;
        exchange->headers[i].next = i + 1 < count ? &exchange->headers[i + 1] : NULL;
        line += strlen(line) + 1;
    }
    must(curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, exchange->headers));
}

/* What has a body goes out as a POST, whatever its name. */
static void set_method(struct exchange *exchange, const struct http_request *request)
{
    bool is_get = strcmp(request->method, "GET") == 0;
    bool is_put = strcmp(request->method, "PUT") == 0;
    assert(is_get ? request->body.length == 0 : is_put || strcmp(request->method, "POST") == 0);
    if (is_get != exchange->is_get && is_get) {
        must(curl_easy_setopt(exchange->easy, CURLOPT_HTTPGET, 1L));
    } else if (!is_get && (exchange->is_get || request->body.length + exchange->posted_bytes > 0)) {
        buf_clear(&exchange->request_body);
        buf_append(&exchange->request_body, request->body);
        must(curl_easy_setopt(exchange->easy, CURLOPT_POST, 1L));
        must(curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDSIZE, (long)request->body.length));
        must(curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDS,
                              buf_slice(&exchange->request_body).data));
        exchange->posted_bytes = request->body.length;
    }
    if (is_put != exchange->is_put) {
        must(curl_easy_setopt(exchange->easy, CURLOPT_CUSTOMREQUEST, is_put ? "PUT" : NULL));
    }
    exchange->is_get = is_get;
    exchange->is_put = is_put;
}

static void exchange_begin(struct exchange *exchange)
{
    exchange->was_sent = false;
    exchange->has_head = false;
    exchange->started_at_ms = loop_now_ms(exchange->http->loop);
    exchange->retry_after_ms = -1;
    exchange->date_ms = -1;
    exchange->error[0] = '\0';
    exchange->cut_text[0] = '\0';
    buf_clear(&exchange->answer);
    if (exchange->http->is_secret) {
        /* At once: growing would leave copies in freed memory. */
        buf_reserve(&exchange->answer, exchange->http->answer_bytes_max);
    }
    DL_APPEND(exchange->http->live, exchange);
    must_multi(curl_multi_add_handle(exchange->http->multi, exchange->easy));
}

/* libcurl is content with a connection that ends within the answer's headers. */
static bool is_answered(const struct exchange *exchange, CURLcode code)
{
    return code == CURLE_OK && exchange->has_head;
}

static enum http_result result_of(const struct exchange *exchange, CURLcode code)
{
    if (is_answered(exchange, code)) {
        return HTTP_ANSWERED;
    }
    if (http_tls_is_refusal(exchange->easy, exchange->error)) {
        return HTTP_NOT_SENT;
    }
    return has_sent_bytes(exchange) ? HTTP_CUT : HTTP_NOT_SENT;
}

static const char *error_of(const struct exchange *exchange, CURLcode code)
{
    if (is_answered(exchange, code)) {
        return "";
    }
    if (code == CURLE_OK) {
        return "the connection ended within the answer's headers";
    }
    if (exchange->cut_text[0] != '\0') {
        return exchange->cut_text;
    }
    return exchange->error[0] != '\0' ? exchange->error : curl_easy_strerror(code);
}

static void fill_answer(const struct exchange *exchange, CURLcode code, struct http_answer *out)
{
    long status = 0;
    const char *content_type = NULL;
    *out = (struct http_answer){
        .result = result_of(exchange, code),
        .body = buf_slice(&exchange->answer),
        .retry_after_ms = exchange->retry_after_ms,
        .date_ms = exchange->date_ms,
        .error = error_of(exchange, code),
        .took_ms = loop_now_ms(exchange->http->loop) - exchange->started_at_ms,
    };
    if (out->result == HTTP_ANSWERED) {
        must(curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status));
        must(curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_TYPE, &content_type));
    }
    out->status = (int)status;
    out->content_type = slice_text(content_type);
}

/* After this the connection serves others, also those a callback starts. */
static void exchange_leave(struct exchange *exchange)
{
    struct http *http = exchange->http;
    must_multi(curl_multi_remove_handle(http->multi, exchange->easy));
    DL_DELETE(http->live, exchange);
    if (exchange->was_sent) {
        DL_DELETE2(http->sent, exchange, sent_prev, sent_next);
    }
}

static void exchange_give_back(struct exchange *exchange)
{
    struct http *http = exchange->http;
    exchange_wipe(exchange);
    DL_PREPEND(http->spare, exchange);
    if (http->successor != NULL && http->live == NULL) {
        loop_timer_start(http->successor->former_timer, 0);
    }
}

static void exchange_end(struct exchange *exchange, CURLcode code)
{
    struct http_answer answer;
    fill_answer(exchange, code, &answer);
    exchange_leave(exchange);
    exchange->done(exchange->arg, &answer);
    exchange_give_back(exchange);
}

static void finish_ended(struct http *http)
{
    CURLMsg *message;
    int left = 0;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        char *private = NULL;
        assert(message->msg == CURLMSG_DONE);
        must(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private));
        exchange_end((void *)private, message->data.result);
    }
}

/* --- the part --- */

static void multi_prepare(struct http *http, size_t connections_max)
{
    http->multi = curl_multi_init();
    assert(http->multi != NULL);
    must_multi(curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted));
    must_multi(curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http));
    must_multi(curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_wanted));
    must_multi(curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http));
    must_multi(curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)connections_max));
    must_multi(
        curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)connections_max));
}

static void former_due(void *arg)
{
    struct http *http = arg;
    struct http *former = http->former;
    if (former != NULL && former->live == NULL && former->former == NULL) {
        http->former = NULL;
        http_free(former);
        if (http->successor != NULL) {
            loop_timer_start(http->successor->former_timer, 0);
        }
    }
}

struct http *http_renew(struct http *former, const struct http_options *options)
{
    struct http *http = http_new(former->loop, options);
    http->former = former;
    former->successor = http;
    loop_timer_start(http->former_timer, 0);
    return http;
}

struct http *http_new(struct loop *loop, const struct http_options *options)
{
    struct http *http = mem_zalloc(1, sizeof *http);
    must(curl_global_init(CURL_GLOBAL_DEFAULT));
    http->loop = loop;
    http->connect_timeout_ms = options->connect_timeout_ms;
    http->read_timeout_ms = options->read_timeout_ms;
    http->answer_bytes_max = options->answer_bytes_max;
    http->is_secret = options->is_secret;
    http_tls_init(&http->tls, options);
    http->former_timer = loop_timer_new(loop, former_due, http);
    http->proxy = mem_strdup(options->proxy);
    http->timer = loop_timer_new(loop, timer_due, http);
    http->read_timer = loop_timer_new(loop, read_timer_due, http);
    http_watches_init(&http->watches, loop, descriptor_ready, http);
    multi_prepare(http, options->connections_max);
    return http;
}

void http_free(struct http *http)
{
    if (http == NULL) {
        return;
    }
    http_free(http->former);
    loop_timer_free(http->former_timer);
    struct exchange *exchange;
    struct exchange *next;
    DL_FOREACH_SAFE (http->live, exchange, next) {
        must_multi(curl_multi_remove_handle(http->multi, exchange->easy));
        exchange_free(exchange);
    }
    DL_FOREACH_SAFE (http->spare, exchange, next) {
        exchange_free(exchange);
    }
    must_multi(curl_multi_cleanup(http->multi));
    http_watches_fini(&http->watches);
    loop_timer_free(http->timer);
    loop_timer_free(http->read_timer);
    http_tls_fini(&http->tls);
    free(http->proxy);
    free(http);
    curl_global_cleanup();
}

void http_send(struct http *http, const struct http_request *request, http_done_fn *done, void *arg)
{
    struct exchange *exchange = exchange_take(http);
    exchange->done = done;
    exchange->arg = arg;
    set_method(exchange, request);
    set_headers(exchange, request);
    must(curl_easy_setopt(exchange->easy, CURLOPT_URL, request->url));
    exchange_begin(exchange);
}

void http_drop(struct http *http, http_done_fn *done, void *arg)
{
    struct exchange *exchange;
    struct exchange *next;
    DL_FOREACH_SAFE (http->live, exchange, next) {
        if (exchange->done == done && exchange->arg == arg) {
            exchange_leave(exchange);
            exchange_give_back(exchange);
        }
    }
    if (http->former != NULL) {
        http_drop(http->former, done, arg);
    }
}
