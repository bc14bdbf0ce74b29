/*
 * What is known of a request without an answer, and the limits of time and size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/http_fixture.h"
#include "support/sanitizer.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A port on which nobody listens while *out_fd is open. */
static int closed_port(int *out_fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    *out_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*out_fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(*out_fd, (struct sockaddr *)&address, &length), 0);
    return ntohs(address.sin_port);
}

static void test_a_refused_connection_has_sent_nothing(void **state)
{
    struct fixture *fixture = *state;
    int fd;
    http_fixture_open_http(fixture, FAR_MS);
    http_fixture_send_to(fixture, "http", closed_port(&fd));
    http_fixture_run_until(fixture, 1);
    close(fd);
    assert_int_equal(fixture->result, HTTP_NOT_SENT);
    assert_int_equal(fixture->status, 0);
    assert_non_null(strstr(fixture->error, "127.0.0.1"));
}

static void serve_no_tls(struct peer *peer, int fd, size_t connection, void *arg)
{
    char byte;
    (void)peer;
    (void)connection;
    (void)arg;
    assert_int_equal(read(fd, &byte, 1), 1);
    peer_write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
}

static void test_a_failed_handshake_has_sent_nothing(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, serve_no_tls, FAR_MS);
    http_fixture_send_to(fixture, "https", peer_port(fixture->peer));
    http_fixture_run_until(fixture, 1);
    assert_int_equal(fixture->result, HTTP_NOT_SENT);
    assert_string_not_equal(fixture->error, "");
}

static void test_an_invalid_address_has_sent_nothing(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    http_fixture_send_to(fixture, "ftp", peer_port(fixture->peer));
    http_fixture_run_until(fixture, 1);
    assert_int_equal(fixture->result, HTTP_NOT_SENT);
    assert_int_equal(peer_connections(fixture->peer), 0);
}

static void serve_reset(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    if (peer_read(peer, fd)) {
        peer_reset(fd);
    }
}

static void test_a_reset_after_the_request_is_a_cut(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, serve_reset, FAR_MS);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_CUT);
    assert_string_not_equal(fixture->error, "");
    assert_int_equal(peer_requests(fixture->peer), 1);
}

static void serve_once(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    if (peer_read(peer, fd)) {
        peer_answer(peer, fd);
    }
}

static void test_half_an_answer_is_a_cut(void **state)
{
    struct fixture *fixture = *state;
    static const char *const halves[] = {
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"Request",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "no HTTP at all\r\n\r\n",
    };
    http_fixture_begin(fixture, serve_once, FAR_MS);
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        print_message("%s\n", halves[i]);
        peer_set_answer(fixture->peer, halves[i]);
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_CUT);
        assert_int_equal(fixture->status, 0);
        assert_string_not_equal(fixture->error, "");
    }
    assert_int_equal(peer_requests(fixture->peer), sizeof halves / sizeof halves[0]);
}

static void test_no_answer_within_the_time_limit_is_a_cut(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_silence, 100);
    http_fixture_send_to(fixture, "http", peer_port(fixture->peer));
    http_fixture_send_to(fixture, "http", peer_port(fixture->peer));
    http_fixture_run_until(fixture, 2);
    assert_int_equal(fixture->result, HTTP_CUT);
    assert_non_null(strstr(fixture->error, "100 ms"));
    assert_in_range(fixture->took_ms, 95, FAR_MS);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_CUT);
}

static void serve_drops(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    if (!peer_read(peer, fd)) {
        return;
    }
    peer_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (peer_wait_ms(fd, 10)) {
        peer_write(fd, ".");
    }
}

static void take_large(void *arg, const struct http_answer *answer)
{
    struct fixture *fixture = arg;
    fixture->done_count++;
    assert_int_equal(answer->result, HTTP_ANSWERED);
    assert_int_equal(answer->body.length, LARGE_BYTES);
    loop_stop(fixture->loop);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Without allocations: the heap is measured while this thread may still be writing. */
static void serve_small_then_large(struct peer *peer, int fd, size_t connection, void *arg)
{
    const struct fixture *fixture = arg;
    (void)connection;
    if (peer_read(peer, fd)) {
        peer_write(fd, OK_ANSWER);
    }
    if (peer_read(peer, fd)) {
        peer_write(fd, fixture->large_answer);
    }
}

/* A list of 100 groups may have 1 MiB; what a later call needs is a fraction of it. */
static void test_a_handle_does_not_keep_the_room_of_a_large_answer(void **state)
{
    struct fixture *fixture = *state;
    char url[64];
    fixture->large_answer = malloc(LARGE_BYTES + 100);
    snprintf(fixture->large_answer, LARGE_BYTES + 100,
             "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%0*d", LARGE_BYTES, LARGE_BYTES, 0);
    http_fixture_begin(fixture, serve_small_then_large, FAR_MS);
    http_fixture_exchange(fixture);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(fixture->peer));
    size_t before_bytes = heap_bytes();
    const struct http_request request = {
        .method = "GET", .url = url, .body = slice_text(""), .answer_bytes_max = LARGE_BYTES};
    http_send(fixture->http, &request, take_large, fixture);
    http_fixture_run_until(fixture, fixture->done_count + 1);
#if !IS_SANITIZED /* sanitizers have heaps of their own */
    assert_true(heap_bytes() < before_bytes + LARGE_BYTES / 4);
#else
    (void)before_bytes;
#endif
}

static void test_parts_of_an_answer_do_not_extend_its_time_limit(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, serve_drops, 150);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_CUT);
    assert_non_null(strstr(fixture->error, "150 ms"));
}

static void test_an_answer_may_be_as_large_as_the_limit_and_not_larger(void **state)
{
    struct fixture *fixture = *state;
    char text[2 * ANSWER_MAX];
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    for (int extra = 0; extra <= 1; extra++) {
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%0*d",
                 ANSWER_MAX + extra, ANSWER_MAX + extra, 0);
        peer_set_answer(fixture->peer, text);
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, extra == 0 ? HTTP_ANSWERED : HTTP_CUT);
    }
    assert_non_null(strstr(fixture->error, "larger than 1000 bytes"));
}

static void test_a_request_may_have_a_limit_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    char text[2 * ANSWER_MAX];
    char url[64];
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(fixture->peer));
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%0*d", ANSWER_MAX + 1,
             ANSWER_MAX + 1, 0);
    peer_set_answer(fixture->peer, text);
    for (size_t limit = ANSWER_MAX; limit <= ANSWER_MAX + 1; limit++) {
        struct http_request request = {
            .method = "GET", .url = url, .body = slice_text(""), .answer_bytes_max = limit};
        http_send(fixture->http, &request, http_fixture_take, fixture);
        http_fixture_run_until(fixture, fixture->done_count + 1);
        assert_int_equal(fixture->result, limit == ANSWER_MAX ? HTTP_CUT : HTTP_ANSWERED);
    }
    http_fixture_exchange(fixture); /* the next request has the client's limit again */
    assert_int_equal(fixture->result, HTTP_CUT);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, http_fixture_set_up, http_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_refused_connection_has_sent_nothing),
        TEST(test_a_failed_handshake_has_sent_nothing),
        TEST(test_an_invalid_address_has_sent_nothing),
        TEST(test_a_reset_after_the_request_is_a_cut),
        TEST(test_half_an_answer_is_a_cut),
        TEST(test_no_answer_within_the_time_limit_is_a_cut),
        TEST(test_parts_of_an_answer_do_not_extend_its_time_limit),
        TEST(test_a_handle_does_not_keep_the_room_of_a_large_answer),
        TEST(test_an_answer_may_be_as_large_as_the_limit_and_not_larger),
        TEST(test_a_request_may_have_a_limit_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
