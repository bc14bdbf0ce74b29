/* libcurl calls before_request() right before it writes: from then on a request may be seen. */
#include "exchange.h"

#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "must.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Answers and requests are small. libcurl's defaults are 16 and 64 KiB for each exchange. */
#define RECEIVE_BUFFER_BYTES 4096L
#define SEND_BUFFER_BYTES    16384L
/* Answers that need more are rare, so a handle does not keep the room for one. */
#define KEPT_BODY_BYTES ((size_t)128 << 10)
/* Servers typically close idle connections after a minute; ours are not used for so long. */
#define IDLE_MAX_S 30L
/* How long an address is used without asking for it again. */
#define NAME_MAX_S         5L
#define RETRY_AFTER_MAX_MS 3600000
/* After an answer to nobody. */
#define STRAY_HOLD_MS 600000

/* --- sending --- */

static bool has_sent_bytes(const struct exchange *exchange)
{
    long count = 0;
    must(curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &count));
    return exchange->was_sent && count > 0;
}

/* Connections to this server are not kept for a while. */
static void note_stray(struct exchange *exchange)
{
    struct exchange_common *common = exchange->common;
    int64_t now_ms = loop_now_ms(common->loop);
    const char *ip = NULL;
    if (now_ms >= common->keeps_from_ms) {
        must(curl_easy_getinfo(exchange->easy, CURLINFO_PRIMARY_IP, &ip));
        LOG_WARN("stray_answer", LOG_TEXT("ip", ip));
    }
    common->keeps_from_ms = now_ms + STRAY_HOLD_MS;
}

/* libcurl is about to send the request. A second call in one exchange is its automatic retry over
 * another connection: allowed only if nothing was sent before. */
static int before_request(void *arg, char *remote_address, char *local_address, int remote_port,
                          int local_port)
{
    struct exchange *exchange = arg;
    long new_connections = 0;
    exchange->use.fd = -1;
    (void)remote_address;
    (void)local_address;
    (void)remote_port;
    if (has_sent_bytes(exchange)) {
        snprintf(exchange->text, sizeof exchange->text,
                 "the server closed a used connection before it answered");
        return CURL_PREREQFUNC_ABORT;
    }
    /* A new connection of TLS may have bytes to be read: session tickets. */
    must(curl_easy_getinfo(exchange->easy, CURLINFO_NUM_CONNECTS, &new_connections));
    if (new_connections == 0) {
        exchange->use = http_watches_begin_use(&exchange->common->watches, local_port);
        int fd = exchange->use.fd;
        enum http_input input = fd < 0 ? HTTP_INPUT_END : http_socket_input(fd);
        if (input == HTTP_INPUT_BYTES) {
            note_stray(exchange);
        }
        if (input != HTTP_INPUT_NONE) {
            exchange->is_unusable = true;
            return CURL_PREREQFUNC_ABORT;
        }
    }
    if (!exchange->was_sent) {
        exchange->was_sent = true;
        exchange->sent_at_ms = loop_now_ms(exchange->common->loop);
        exchange->common->sent(exchange);
    }
    return CURL_PREREQFUNC_OK;
}

/* --- the answer --- */

/* HTTP/1.1 has nothing that joins an answer to its request but their order. So an answer is
 * nobody's if it cannot be that of this request. */
static void refuse_stray(struct exchange *exchange, const char *why)
{
    snprintf(exchange->text, sizeof exchange->text, "%s", why);
    exchange->is_stray = true;
    note_stray(exchange);
}

/* An answer that was sent after the request had arrived also acknowledges the request. */
static bool is_too_early(const struct exchange *exchange)
{
    curl_off_t uploaded = 0;
    if (exchange->use.fd < 0) {
        return false;
    }
    must(curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded));
    return (!exchange->is_get && (size_t)uploaded < exchange->posted_bytes) ||
           !http_socket_is_acknowledged(exchange->use.fd);
}

/*
 * Whether there is more behind the answer on a used connection: then nobody can tell which of the
 * two is the right one. libcurl closes the connection if it has read more than the answer. Where
 * the next use of the connection has begun, nothing was there to be read at that time.
 */
static bool has_surplus(const struct exchange *exchange)
{
    const struct http_watches *watches = &exchange->common->watches;
    const struct http_use *use = &exchange->use;
    if (use->fd < 0) {
        return false;
    }
    if (!http_watches_is_open(watches, use)) {
        return !exchange->is_last;
    }
    return http_watches_is_latest(watches, use) && http_socket_input(use->fd) == HTTP_INPUT_BYTES;
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

/* The value of a header line as a C string, if the line has this name and the value fits. */
static bool header_value(struct slice line, const char *name, char *out, size_t out_bytes)
{
    size_t at = strlen(name);
    if (line.length <= at || line.data[at] != ':' || strncasecmp(line.data, name, at) != 0) {
        return false;
    }
    struct slice value = slice_trim(slice_skip(line, at + 1), " \t\r\n");
    if (value.length >= out_bytes) {
        return false;
    }
    memcpy(out, value.data, value.length);
    out[value.length] = '\0';
    return true;
}

static size_t header_came(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    struct slice line = slice_of(data, size * count);
    char value[64];
    if (line.length > 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        if (is_too_early(exchange)) {
            refuse_stray(exchange, "an answer came before the server had the whole request");
            return 0;
        }
        exchange->is_last = line.length > 8 && memcmp(line.data, "HTTP/1.0", 8) == 0;
        /* Drop the headers of an interim answer (1xx). */
        exchange->retry_after_ms = -1;
        exchange->date_ms = -1;
        exchange->has_head = false;
    } else if (line.length <= 2) {
        exchange->has_head = true;
    } else if (header_value(line, "date", value, sizeof value)) {
        time_t date_s = curl_getdate(value, NULL);
        exchange->date_ms = date_s < 0 ? -1 : (int64_t)date_s * 1000;
    } else if (header_value(line, "connection", value, sizeof value) ||
               header_value(line, "proxy-connection", value, sizeof value)) {
        exchange->is_last = exchange->is_last || strcasecmp(value, "close") == 0;
    } else if (header_value(line, "x-acs-retry-after", value, sizeof value)) {
        exchange->retry_after_ms = parse_retry_after(value);
    }
    return line.length;
}

static size_t body_came(char *data, size_t size, size_t count, void *arg)
{
    struct exchange *exchange = arg;
    size_t length = size * count;
    size_t limit = exchange->answer_bytes_max;
    if (length > limit - exchange->body.length) {
        snprintf(exchange->text, sizeof exchange->text, "the answer is larger than %zu bytes",
                 limit);
        return 0;
    }
    buf_append(&exchange->body, slice_of(data, length));
    return length;
}

/* --- the handle --- */

static void set_transport(struct exchange_common *common, CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    must(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"));
#else
    must(curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    must(curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L));
    must(curl_easy_setopt(easy, CURLOPT_PROXY, common->proxy));
    must(curl_easy_setopt(easy, CURLOPT_NOPROXY, ""));
    must(curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L));
    must(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    must(curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1));
    must(curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L));
    must(curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_MAX_S));
    must(curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long)common->connection_age_max_s));
    must(curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, NAME_MAX_S));
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Without it, a cancelled request waits for the name server, and blocks the loop. */
    must(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L));
#endif
    must(curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER_BYTES));
    must(curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER_BYTES));
    must(curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)common->connect_timeout_ms));
    http_watches_use(&common->watches, easy);
}

#ifdef BRIDGE_CRASH_POINTS
/* libcurl reports what it has sent. */
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

struct exchange *exchange_new(struct exchange_common *common, struct http *http)
{
    struct exchange *exchange = mem_zalloc(1, sizeof *exchange);
    exchange->http = http;
    exchange->common = common;
    exchange->is_get = true; /* a new handle's method */
    exchange->easy = curl_easy_init();
    exchange->url = curl_url();
    assert(exchange->easy != NULL && exchange->url != NULL);

    http_tls_set(&common->tls, exchange->easy);
    set_transport(common, exchange->easy);
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

void exchange_wipe(struct exchange *exchange)
{
    if (exchange->common->is_secret) {
        wipe_text(&exchange->header_text);
        wipe_text(&exchange->request_body);
        wipe_text(&exchange->body);
    }
    if (exchange->body.capacity > KEPT_BODY_BYTES) {
        buf_fini(&exchange->body);
    }
}

void exchange_free(struct exchange *exchange)
{
    exchange_wipe(exchange);
    curl_easy_cleanup(exchange->easy);
    curl_url_cleanup(exchange->url);
    buf_fini(&exchange->url_text);
    buf_fini(&exchange->header_text);
    buf_fini(&exchange->request_body);
    buf_fini(&exchange->body);
    free(exchange->headers);
    free(exchange);
}

/* --- one exchange --- */

/* Our own list nodes, used again: curl_slist_append() would allocate each line. */
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

/* Only what changes is set. For libcurl a request with a body is a POST, with another name for
 * PUT. */
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
        /* libcurl 8.7 and newer notices only when it looks at the connection again that a request
         * without a body is sent. An error that has arrived by then would end the connection. */
        must(curl_easy_setopt(exchange->easy, CURLOPT_KEEP_SENDING_ON_ERROR,
                              request->body.length == 0 ? 1L : 0L));
        exchange->posted_bytes = request->body.length;
    }
    if (is_put != exchange->is_put) {
        must(curl_easy_setopt(exchange->easy, CURLOPT_CUSTOMREQUEST, is_put ? "PUT" : NULL));
    }
    exchange->is_get = is_get;
    exchange->is_put = is_put;
}

/* Most requests of a handle have the same URL, which libcurl would parse for each of them. What it
 * does not take as a URL is left to libcurl, which says why. */
static void set_url_text(struct exchange *exchange, struct slice text)
{
    if (slice_equals(buf_slice(&exchange->url_text), text)) {
        return;
    }
    buf_clear(&exchange->url_text);
    buf_append(&exchange->url_text, text);
    CURLUcode code = curl_url_set(exchange->url, CURLUPART_URL, exchange->url_text.data, 0);
    must(curl_easy_setopt(exchange->easy, CURLOPT_URL, exchange->url_text.data));
    must(curl_easy_setopt(exchange->easy, CURLOPT_CURLU, code == CURLUE_OK ? exchange->url : NULL));
}

/* A proxy of http URLs needs the whole URL as the target. */
static void set_url(struct exchange *exchange, const struct http_request *request)
{
    const char *target = request->target;
    if (target != NULL && exchange->common->proxy[0] != '\0') {
        struct buf url = {0};
        buf_append_text(&url, request->url);
        buf_append_text(&url, target);
        set_url_text(exchange, buf_slice(&url));
        buf_fini(&url);
        target = NULL;
    } else {
        set_url_text(exchange, slice_text(request->url));
    }
    must(curl_easy_setopt(exchange->easy, CURLOPT_REQUEST_TARGET, target));
}

static void set_single_use(struct exchange *exchange)
{
    const struct exchange_common *common = exchange->common;
    bool is_single = common->is_single_use || exchange->started_at_ms < common->keeps_from_ms;
    if (is_single != exchange->is_single_use) {
        must(curl_easy_setopt(exchange->easy, CURLOPT_FRESH_CONNECT, is_single ? 1L : 0L));
        must(curl_easy_setopt(exchange->easy, CURLOPT_FORBID_REUSE, is_single ? 1L : 0L));
        exchange->is_single_use = is_single;
    }
}

void exchange_begin(struct exchange *exchange, const struct http_request *request)
{
    const struct exchange_common *common = exchange->common;
    exchange->was_sent = false;
    exchange->is_unusable = false;
    exchange->is_stray = false;
    exchange->is_last = false;
    exchange->has_head = false;
    exchange->use.fd = -1;
    exchange->started_at_ms = loop_now_ms(common->loop);
    exchange->retry_after_ms = -1;
    exchange->date_ms = -1;
    exchange->error[0] = '\0';
    exchange->text[0] = '\0';
    buf_clear(&exchange->body);
    exchange->answer_bytes_max =
        request->answer_bytes_max == 0 ? common->answer_bytes_max : request->answer_bytes_max;
    if (common->is_secret) {
        /* In full size: growing would leave copies in freed memory. */
        buf_reserve(&exchange->body, exchange->answer_bytes_max);
    }
    set_method(exchange, request);
    set_headers(exchange, request);
    set_url(exchange, request);
    set_single_use(exchange);
}

void exchange_time_out(struct exchange *exchange, int64_t limit_ms)
{
    snprintf(exchange->text, sizeof exchange->text, "no complete answer within %lld ms",
             (long long)limit_ms);
}

/* To libcurl a connection that ends within the answer's headers is no error. */
static bool is_answered(const struct exchange *exchange, CURLcode code)
{
    return code == CURLE_OK && exchange->has_head && !exchange->is_stray;
}

static const char *error_of(struct exchange *exchange, CURLcode code)
{
    if (is_answered(exchange, code)) {
        return "";
    }
    if (exchange->text[0] != '\0') {
        return exchange->text;
    }
    if (code == CURLE_OK) {
        return "the connection ended within the answer's headers";
    }
    const char *words = exchange->error[0] != '\0' ? exchange->error : curl_easy_strerror(code);
    const char *meaning = http_tls_meaning(exchange->easy, code, words);
    if (meaning == NULL) {
        return words;
    }
    if (code == CURLE_SSL_CACERT_BADFILE) {
        /* It names a file of this machine, and what is returned becomes a reply. */
        if (!exchange->common->is_ca_reported) {
            exchange->common->is_ca_reported = true;
            LOG_WARN("authorities_unreadable", LOG_TEXT("why", words));
        }
        words = "see the log of the bridge";
    }
    snprintf(exchange->text, sizeof exchange->text, "TLS: %s (%s)", meaning, words);
    return exchange->text;
}

void exchange_read_answer(struct exchange *exchange, CURLcode code, struct http_answer *out)
{
    long status = 0;
    const char *content_type = NULL;
    /* With a text of ours the alert came on a used connection, before libcurl's automatic retry:
     * the server may have carried the request out. */
    bool is_refusal =
        exchange->text[0] == '\0' && http_tls_is_refusal(exchange->easy, exchange->error);
    bool is_unsent = is_refusal || !has_sent_bytes(exchange);
    if (is_answered(exchange, code) && has_surplus(exchange)) {
        refuse_stray(exchange, "more than one answer came for one request");
    }
    *out = (struct http_answer){
        .result = is_answered(exchange, code) ? HTTP_ANSWERED
                  : is_unsent                 ? HTTP_NOT_SENT
                                              : HTTP_CUT,
        .body = buf_slice(&exchange->body),
        .retry_after_ms = exchange->retry_after_ms,
        .date_ms = exchange->date_ms,
        .is_host_unknown = code == CURLE_COULDNT_RESOLVE_HOST,
        .is_untrusted = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE,
        .error = error_of(exchange, code),
        .took_ms = loop_now_ms(exchange->common->loop) - exchange->started_at_ms,
    };
    if (out->result == HTTP_ANSWERED) {
        must(curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status));
        must(curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_TYPE, &content_type));
    }
    out->status = (int)status;
    out->content_type = slice_text(content_type);
}
