/*
 * libcurl's multi interface on the loop: which exchanges are under way, their times, and the
 * connections they share. exchange.h has one exchange, sockets.h the descriptors.
 */
#include "http/client.h"

#include "base/mem.h"
#include "exchange.h"
#include "must.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <utlist.h>

struct http {
    struct exchange_common common;
    CURLM *multi;
    struct loop_timer *timer;      /* libcurl's */
    struct loop_timer *read_timer; /* for the first of `sent` */
    struct exchange *live;         /* running */
    struct exchange *sent;         /* those of them that were sent, in the order of sending */
    struct exchange *spare;        /* to be used again */
    int64_t read_timeout_ms;
    struct http *former;             /* owned, until its exchanges have finished */
    struct http *successor;          /* the owner of this one */
    struct loop_timer *former_timer; /* frees the former one outside of its callbacks */
};

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

static void end(struct exchange *exchange, CURLcode code);

/* All exchanges have the same time limit, so the first sent is the first to exceed it. */
static void read_timer_due(void *arg)
{
    struct http *http = arg;
    int64_t now_ms = loop_now_ms(http->common.loop);
    struct exchange *first;
    while ((first = http->sent) != NULL && now_ms - first->sent_at_ms >= http->read_timeout_ms) {
        exchange_time_out(first, http->read_timeout_ms);
        end(first, CURLE_OPERATION_TIMEDOUT);
    }
    if (first != NULL) {
        loop_timer_start(http->read_timer, first->sent_at_ms + http->read_timeout_ms - now_ms);
    }
}

static void on_sent(struct exchange *exchange)
{
    struct http *http = exchange->http;
    DL_APPEND2(http->sent, exchange, sent_prev, sent_next);
    if (!loop_timer_is_running(http->read_timer)) {
        loop_timer_start(http->read_timer, http->read_timeout_ms);
    }
}

/* --- running exchanges --- */

/* Frees the connection for other exchanges, such as one that the callback starts. */
static void leave(struct exchange *exchange)
{
    struct http *http = exchange->http;
    must_multi(curl_multi_remove_handle(http->multi, exchange->easy));
    DL_DELETE(http->live, exchange);
    if (exchange->was_sent) {
        DL_DELETE2(http->sent, exchange, sent_prev, sent_next);
    }
}

static void give_back(struct exchange *exchange)
{
    struct http *http = exchange->http;
    exchange_wipe(exchange);
    DL_PREPEND(http->spare, exchange);
    if (http->successor != NULL && http->live == NULL) {
        loop_timer_start(http->successor->former_timer, 0);
    }
}

static void end(struct exchange *exchange, CURLcode code)
{
    struct http_answer answer;
    if (exchange->is_unusable) {
        /* Nothing was sent, and libcurl has closed this connection. */
        exchange->is_unusable = false;
        exchange->error[0] = '\0';
        must_multi(curl_multi_remove_handle(exchange->http->multi, exchange->easy));
        must_multi(curl_multi_add_handle(exchange->http->multi, exchange->easy));
        return;
    }
    exchange_read_answer(exchange, code, &answer);
    leave(exchange);
    exchange->done(exchange->arg, &answer);
    give_back(exchange);
}

static void finish_ended(struct http *http)
{
    CURLMsg *message;
    int left = 0;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        char *private = NULL;
        assert(message->msg == CURLMSG_DONE);
        must(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private));
        end((void *)private, message->data.result);
    }
}

/* --- the client --- */

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
    struct http *http = http_new(former->common.loop, options);
    http->former = former;
    former->successor = http;
    loop_timer_start(http->former_timer, 0);
    return http;
}

struct http *http_new(struct loop *loop, const struct http_options *options)
{
    struct http *http = mem_zalloc(1, sizeof *http);
    must(curl_global_init(CURL_GLOBAL_DEFAULT));
    http->common = (struct exchange_common){
        .loop = loop,
        .proxy = mem_strdup(options->proxy),
        .connect_timeout_ms = options->connect_timeout_ms,
        .connection_age_max_s = options->connection_age_max_s,
        .is_single_use = options->is_single_use,
        .answer_bytes_max = options->answer_bytes_max,
        .is_secret = options->is_secret,
        .sent = on_sent,
    };
    http_tls_init(&http->common.tls, options->tls);
    http_watches_init(&http->common.watches, loop, descriptor_ready, http);
    http->read_timeout_ms = options->read_timeout_ms;
    http->former_timer = loop_timer_new(loop, former_due, http);
    http->timer = loop_timer_new(loop, timer_due, http);
    http->read_timer = loop_timer_new(loop, read_timer_due, http);
    http->multi = curl_multi_init();
    assert(http->multi != NULL);
    http_watches_serve(&http->common.watches, http->multi);
    long connections_max = (long)options->connections_max;
    must_multi(curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_wanted));
    must_multi(curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http));
    must_multi(curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, connections_max));
    must_multi(curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections_max));
    return http;
}

void http_trim(struct http *http)
{
    struct exchange *exchange;
    struct exchange *next;
    DL_FOREACH_SAFE (http->spare, exchange, next) {
        exchange_free(exchange);
    }
    http->spare = NULL;
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
    http_trim(http);
    must_multi(curl_multi_cleanup(http->multi));
    http_watches_fini(&http->common.watches);
    loop_timer_free(http->timer);
    loop_timer_free(http->read_timer);
    http_tls_fini(&http->common.tls);
    free(http->common.proxy);
    free(http);
    curl_global_cleanup();
}

void http_send(struct http *http, const struct http_request *request, http_done_fn *done, void *arg)
{
    struct exchange *exchange = http->spare;
    if (exchange == NULL) {
        exchange = exchange_new(&http->common, http);
    } else {
        DL_DELETE(http->spare, exchange);
    }
    exchange->done = done;
    exchange->arg = arg;
    exchange_begin(exchange, request);
    DL_APPEND(http->live, exchange);
    must_multi(curl_multi_add_handle(http->multi, exchange->easy));
}

void http_drop(struct http *http, http_done_fn *done, void *arg)
{
    struct exchange *exchange;
    struct exchange *next;
    DL_FOREACH_SAFE (http->live, exchange, next) {
        if (exchange->done == done && exchange->arg == arg) {
            leave(exchange);
            give_back(exchange);
        }
    }
    if (http->former != NULL) {
        http_drop(http->former, done, arg);
    }
}

const char *http_library_version(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}
