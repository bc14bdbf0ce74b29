/* Renewing a client while exchanges run. */
#include "http/client.h"
#include "support/http_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FAR_MS 30000

struct fixture {
    struct loop *loop;
    struct http *http;
    struct peer *peer;
    int answered_count;
    int wanted;
};

static const struct http_options options = {.connect_timeout_ms = FAR_MS,
                                            .read_timeout_ms = FAR_MS,
                                            .answer_bytes_max = 1000,
                                            .proxy = "",
                                            .connections_max = 8};

/* Answers after all requests that the test sends have arrived. */
static void serve_all(struct peer *peer, int fd, size_t connection, void *arg)
{
    const struct fixture *fixture = arg;
    (void)connection;
    while (peer_read(peer, fd)) {
        peer_wait_requests(peer, (size_t)fixture->wanted);
        peer_answer(peer, fd);
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    fixture->http = http_new(fixture->loop, &options);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    http_free(fixture->http);
    peer_free(fixture->peer);
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

static void take(void *arg, const struct http_answer *answer)
{
    struct fixture *fixture = arg;
    assert_int_equal(answer->result, HTTP_ANSWERED);
    if (++fixture->answered_count >= fixture->wanted) {
        loop_stop(fixture->loop);
    }
}

/* `wanted` is the number of requests that the test sends before it waits. */
static void begin(struct fixture *fixture, int wanted)
{
    fixture->wanted = wanted;
    fixture->peer = peer_new(serve_all, fixture);
    peer_set_answer(fixture->peer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static void send_one(struct fixture *fixture)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(fixture->peer));
    struct http_request request = {"POST", url, NULL, 0, slice_text(""), NULL, 0};
    http_send(fixture->http, &request, take, fixture);
}

static void renew(struct fixture *fixture)
{
    fixture->http = http_renew(fixture->http, &options);
}

static void test_an_idle_connection_is_not_used_after_a_renewal(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1);
    send_one(fixture);
    loop_run(fixture->loop);
    renew(fixture);
    send_one(fixture);
    loop_run(fixture->loop);
    assert_int_equal(fixture->answered_count, 2);
    assert_int_equal(peer_connections(fixture->peer), 2);
}

static void test_running_exchanges_are_answered_after_a_renewal(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 4);
    send_one(fixture);
    renew(fixture);
    send_one(fixture);
    renew(fixture);
    renew(fixture);
    send_one(fixture);
    send_one(fixture);
    loop_run(fixture->loop);
    assert_int_equal(fixture->answered_count, 4);
    assert_int_equal(peer_connections(fixture->peer), 4);
}

static void test_running_exchanges_are_dropped_at_the_end(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1);
    send_one(fixture);
    renew(fixture);
    send_one(fixture);
    renew(fixture);
    http_free(fixture->http);
    fixture->http = NULL;
    assert_int_equal(fixture->answered_count, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_an_idle_connection_is_not_used_after_a_renewal),
        CASE(test_running_exchanges_are_answered_after_a_renewal),
        CASE(test_running_exchanges_are_dropped_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
