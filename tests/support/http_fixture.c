#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static void copy(char *out, size_t out_bytes, struct slice text)
{
    assert_true(text.length < out_bytes);
    memcpy(out, text.data == NULL ? "" : text.data, text.length);
    out[text.length] = '\0';
}

void http_fixture_take(void *arg, const struct http_answer *answer)
{
    struct fixture *fixture = arg;
    fixture->done_count++;
    fixture->answered_count += answer->result == HTTP_ANSWERED ? 1 : 0;
    fixture->result = answer->result;
    fixture->status = answer->status;
    copy(fixture->body, sizeof fixture->body, answer->body);
    copy(fixture->content_type, sizeof fixture->content_type, answer->content_type);
    fixture->has_content_type = slice_is_present(answer->content_type);
    copy(fixture->error, sizeof fixture->error, slice_text(answer->error));
    fixture->retry_after_ms = answer->retry_after_ms;
    fixture->date_ms = answer->date_ms;
    fixture->took_ms = answer->took_ms;
    if (fixture->sends_left > 0) {
        fixture->sends_left--;
        http_fixture_send_to(fixture, "http", peer_port(fixture->peer));
    }
    if (fixture->done_count >= fixture->wanted) {
        loop_stop(fixture->loop);
    }
}

void http_fixture_open_http(struct fixture *fixture, int64_t read_timeout_ms)
{
    struct http_options options = {
        .connect_timeout_ms = FAR_MS,
        .read_timeout_ms = read_timeout_ms,
        .answer_bytes_max = ANSWER_MAX,
        .proxy = "",
        .connections_max = PARALLEL_COUNT,
        .connection_age_max_s = fixture->age_max_s,
        .is_single_use = fixture->is_single_use,
    };
    fixture->http = http_new(fixture->loop, &options);
}

int http_fixture_set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    sem_init(&fixture->stray_wanted, 0, 0);
    sem_init(&fixture->stray_sent, 0, 0);
    *state = fixture;
    return 0;
}

int http_fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    sem_post(&fixture->stray_wanted);
    http_free(fixture->http);
    peer_free(fixture->peer);
    sem_destroy(&fixture->stray_wanted);
    sem_destroy(&fixture->stray_sent);
    loop_free(fixture->loop);
    buf_fini(&fixture->request);
    free(fixture->large_answer);
    free(fixture);
    return 0;
}

void http_fixture_send_request(struct fixture *fixture, const char *scheme, int port,
                               const char *method, const char *body)
{
    static const char *const headers[] = {"host: test.example", "accept: application/json",
                                          "x-acs-action: Test"};
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/?a=%%2A&b=", scheme, port);
    struct http_request request = {method, url, headers, 3, slice_text(body), NULL, 0};
    int done_count = fixture->done_count;
    http_send(fixture->http, &request, http_fixture_take, fixture);
    assert_int_equal(fixture->done_count, done_count);
}

void http_fixture_send_to(struct fixture *fixture, const char *scheme, int port)
{
    http_fixture_send_request(fixture, scheme, port, "POST", "");
}

void http_fixture_run_until(struct fixture *fixture, int wanted)
{
    fixture->wanted = wanted;
    loop_run(fixture->loop);
    assert_int_equal(fixture->done_count, wanted);
}

void http_fixture_exchange(struct fixture *fixture)
{
    http_fixture_send_to(fixture, "http", peer_port(fixture->peer));
    http_fixture_run_until(fixture, fixture->done_count + 1);
    peer_last_request(fixture->peer, &fixture->request);
}

void http_fixture_serve_all(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    while (peer_read(peer, fd)) {
        peer_answer(peer, fd);
    }
}

void http_fixture_begin(struct fixture *fixture, peer_serve_fn *serve, int64_t read_timeout_ms)
{
    fixture->peer = peer_new(serve, fixture);
    peer_set_answer(fixture->peer, OK_ANSWER);
    http_fixture_open_http(fixture, read_timeout_ms);
}

/* --- requests --- */

static void stop_loop(void *arg)
{
    struct fixture *fixture = arg;
    loop_stop(fixture->loop);
}

void http_fixture_turn_for_ms(struct fixture *fixture, int64_t ms)
{
    struct loop_timer *timer = loop_timer_new(fixture->loop, stop_loop, fixture);
    loop_timer_start(timer, ms);
    loop_run(fixture->loop);
    loop_timer_free(timer);
}

void http_fixture_serve_silence(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    while (peer_read(peer, fd)) {
    }
}
