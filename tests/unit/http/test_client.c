/*
 * Requests and answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/http_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void test_an_empty_post_has_a_length_of_zero_and_only_the_given_headers(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    assert_int_equal(fixture->status, 200);
    assert_string_equal(fixture->body, "ok");
    assert_string_equal(fixture->error, "");
    assert_false(fixture->has_content_type);
    assert_string_equal(fixture->request.data, "POST /?a=%2A&b= HTTP/1.1\r\n"
                                               "Host: test.example\r\n"
                                               "accept: application/json\r\n"
                                               "x-acs-action: Test\r\n"
                                               "Content-Length: 0\r\n\r\n");
}

static void test_methods_and_bodies_change_from_request_to_request(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *method;
        const char *body;
    } rows[] = {{"POST", ""},  {"GET", ""}, {"POST", "a=b"}, {"POST", ""},
                {"POST", "c"}, {"GET", ""}, {"PUT", ""},     {"POST", ""},
                {"PUT", "d"},  {"GET", ""}, {"PUT", ""},     {"PUT", "e"}};
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char length_line[64];
        http_fixture_send_request(fixture, "http", peer_port(fixture->peer), rows[i].method,
                                  rows[i].body);
        http_fixture_run_until(fixture, (int)i + 1);
        peer_last_request(fixture->peer, &fixture->request);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_int_equal(strncmp(fixture->request.data, rows[i].method, strlen(rows[i].method)), 0);
        const char *body = strstr(fixture->request.data, "\r\n\r\n") + 4;
        assert_string_equal(body, rows[i].body);
        snprintf(length_line, sizeof length_line, "Content-Length: %zu\r\n", strlen(rows[i].body));
        assert_true((strstr(fixture->request.data, length_line) != NULL) ==
                    (strcmp(rows[i].method, "GET") != 0));
        assert_null(strcasestr(fixture->request.data, "expect:"));
    }
    assert_int_equal(peer_connections(fixture->peer), 1);
}

static void test_bodies_change_too_if_they_are_wiped(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bodies[] = {"a=secret", "", "", "bb", ""};
    struct http_options options = {.connect_timeout_ms = FAR_MS,
                                   .read_timeout_ms = FAR_MS,
                                   .answer_bytes_max = ANSWER_MAX,
                                   .proxy = "",
                                   .connections_max = 1,
                                   .is_secret = true};
    fixture->peer = peer_new(http_fixture_serve_all, fixture);
    peer_set_answer(fixture->peer, OK_ANSWER);
    fixture->http = http_new(fixture->loop, &options);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        http_fixture_send_request(fixture, "http", peer_port(fixture->peer), "POST", bodies[i]);
        http_fixture_run_until(fixture, (int)i + 1);
        peer_last_request(fixture->peer, &fixture->request);
        assert_string_equal(strstr(fixture->request.data, "\r\n\r\n") + 4, bodies[i]);
        assert_string_equal(fixture->body, "ok");
    }
}

static void send_target(struct fixture *fixture, const char *origin, const char *target)
{
    static const char *const headers[] = {"host: test.example", "accept: a/b"};
    struct http_request request = {
        .method = "POST", .url = origin, .headers = headers, .header_count = 2, .target = target};
    http_send(fixture->http, &request, http_fixture_take, fixture);
    http_fixture_run_until(fixture, fixture->done_count + 1);
    peer_last_request(fixture->peer, &fixture->request);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
}

static void assert_first_line(const struct fixture *fixture, const char *line)
{
    assert_int_equal(strncmp(fixture->request.data, line, strlen(line)), 0);
}

static void test_a_target_is_sent_as_it_is_and_only_in_its_request(void **state)
{
    struct fixture *fixture = *state;
    char origin[64];
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", peer_port(fixture->peer));
    send_target(fixture, origin, "/?a=%2A&b=1");
    assert_first_line(fixture, "POST /?a=%2A&b=1 HTTP/1.1\r\nHost: test.example\r\n");
    send_target(fixture, origin, "/?a=2");
    assert_first_line(fixture, "POST /?a=2 HTTP/1.1\r\n");
    http_fixture_exchange(fixture);
    assert_first_line(fixture, "POST /?a=%2A&b= HTTP/1.1\r\n");
    assert_int_equal(peer_connections(fixture->peer), 1);
}

static void test_a_proxy_gets_the_whole_url(void **state)
{
    struct fixture *fixture = *state;
    char proxy[64];
    struct http_options options = {.connect_timeout_ms = FAR_MS,
                                   .read_timeout_ms = FAR_MS,
                                   .answer_bytes_max = ANSWER_MAX,
                                   .proxy = proxy,
                                   .connections_max = 1};
    fixture->peer = peer_new(http_fixture_serve_all, fixture);
    peer_set_answer(fixture->peer, OK_ANSWER);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", peer_port(fixture->peer));
    fixture->http = http_new(fixture->loop, &options);
    send_target(fixture, "http://api.example", "/?a=%2A&b=1");
    assert_first_line(fixture, "POST http://api.example/?a=%2A&b=1 HTTP/1.1\r\n");
}

static void test_the_proxies_of_the_environment_are_not_used(void **state)
{
    struct fixture *fixture = *state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    http_fixture_exchange(fixture);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(fixture->result, HTTP_ANSWERED);
}

static void test_headers_are_read_and_invalid_values_are_ignored(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *headers;
        int64_t retry_after_ms;
        int64_t date_ms;
    } rows[] = {
        {"", -1, -1},
        {"x-acs-retry-after: 1500\r\n", 1500, -1},
        {"X-Acs-Retry-After:7  \r\n", 7, -1},
        {"x-acs-retry-after: 0\r\n", -1, -1},
        {"x-acs-retry-after: -5\r\n", -1, -1},
        {"x-acs-retry-after: 5 s\r\n", -1, -1},
        {"x-acs-retry-after: soon\r\n", -1, -1},
        {"x-acs-retry-after:\r\n", -1, -1},
        {"x-acs-retry-after: 3600001\r\n", 3600000, -1},
        {"x-acs-retry-after: 99999999999999999999999999\r\n", 3600000, -1},
        {"x-acs-retry-afterwards: 5\r\n", -1, -1},
        {"Retry-After: 5\r\n", -1, -1},
        {"Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n", -1, INT64_C(1767323045000)},
        {"date: Fri, 02 Jan 2026 03:04:05 GMT\r\nx-acs-retry-after: 9\r\n", 9,
         INT64_C(1767323045000)},
        {"Date: yesterday\r\n", -1, -1},
    };
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        print_message("%s\n", rows[i].headers);
        snprintf(text, sizeof text,
                 "HTTP/1.1 429 Slow\r\n%sContent-Type: text/xml;charset=utf-8\r\n"
                 "Content-Length: 0\r\n\r\n",
                 rows[i].headers);
        peer_set_answer(fixture->peer, text);
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_int_equal(fixture->status, 429);
        assert_string_equal(fixture->content_type, "text/xml;charset=utf-8");
        assert_true(fixture->retry_after_ms == rows[i].retry_after_ms);
        assert_true(fixture->date_ms == rows[i].date_ms);
    }
}

/* Each send() of this thread waits for the answer. */
static _Thread_local bool awaits_answers;

/* Also libcurl's: the answer is there before it looks at the connection again. */
ssize_t send(int fd, const void *data, size_t length, int flags)
{
    ssize_t count = sendto(fd, data, length, flags, NULL, 0);
    if (awaits_answers && count > 0) {
        struct pollfd answer = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&answer, 1, FAR_MS), 1);
    }
    return count;
}

static int wait_no_longer(void **state)
{
    awaits_answers = false;
    return http_fixture_tear_down(state);
}

static void test_an_error_that_arrives_at_once_is_an_answer_and_the_connection_is_kept(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    peer_set_answer(fixture->peer, "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n");
    awaits_answers = true;
    for (int i = 0; i < 3; i++) {
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_int_equal(fixture->status, 429);
    }
    assert_int_equal(peer_connections(fixture->peer), 1);
}

static void test_an_interim_answer_is_not_the_answer(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    peer_set_answer(fixture->peer,
                    "HTTP/1.1 102 Processing\r\nx-acs-retry-after: 5\r\n\r\n" OK_ANSWER);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->status, 200);
    assert_int_equal(fixture->retry_after_ms, -1);
}

static void test_redirects_are_answers_and_not_followed(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    peer_set_answer(fixture->peer,
                    "HTTP/1.1 307 Elsewhere\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    assert_int_equal(fixture->status, 307);
    assert_int_equal(peer_requests(fixture->peer), 1);
}

static void count_answer(void *arg, const struct http_answer *answer)
{
    (void)answer;
    (*(int *)arg)++;
}

static void test_a_dropped_exchange_has_no_callback_and_others_go_on(void **state)
{
    struct fixture *fixture = *state;
    int counted = 0;
    int dropped = 0;
    char url[64];
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(fixture->peer));
    struct http_request request = {"GET", url, NULL, 0, slice_text(""), NULL, 0};
    http_send(fixture->http, &request, count_answer, &dropped);
    http_send(fixture->http, &request, count_answer, &counted);
    http_send(fixture->http, &request, count_answer, &dropped);
    http_drop(fixture->http, count_answer, &dropped);
    http_drop(fixture->http, http_fixture_take, &counted);
    http_fixture_exchange(fixture);
    while (counted == 0) {
        http_fixture_exchange(fixture);
    }
    assert_int_equal(counted, 1);
    assert_int_equal(dropped, 0);
}

static void test_running_exchanges_are_freed_without_a_callback(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_silence, FAR_MS);
    http_fixture_send_to(fixture, "http", peer_port(fixture->peer));
    http_fixture_turn_for_ms(fixture, 20);
    http_fixture_send_to(fixture, "http", peer_port(fixture->peer));
    http_free(fixture->http);
    fixture->http = NULL;
    assert_int_equal(fixture->done_count, 0);
    http_free(NULL);
    assert_string_not_equal(http_library_version(), "");
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, http_fixture_set_up, http_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_post_has_a_length_of_zero_and_only_the_given_headers),
        TEST(test_methods_and_bodies_change_from_request_to_request),
        TEST(test_a_target_is_sent_as_it_is_and_only_in_its_request),
        TEST(test_a_proxy_gets_the_whole_url),
        TEST(test_the_proxies_of_the_environment_are_not_used),
        TEST(test_headers_are_read_and_invalid_values_are_ignored),
        cmocka_unit_test_setup_teardown(
            test_an_error_that_arrives_at_once_is_an_answer_and_the_connection_is_kept,
            http_fixture_set_up, wait_no_longer),
        TEST(test_an_interim_answer_is_not_the_answer),
        TEST(test_redirects_are_answers_and_not_followed),
        TEST(test_running_exchanges_are_freed_without_a_callback),
        TEST(test_a_dropped_exchange_has_no_callback_and_others_go_on),
        TEST(test_bodies_change_too_if_they_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
