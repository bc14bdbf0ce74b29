/*
 * When a connection is used again, and which answers belong to no request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/http_fixture.h"
#include "support/sanitizer.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_one_connection_serves_one_request_after_the_other(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    for (int i = 0; i < 20; i++) {
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
    }
    assert_int_equal(peer_connections(fixture->peer), 1);
    assert_int_equal(peer_requests(fixture->peer), 20);
}

static void test_trimming_frees_handles_and_keeps_connections(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    http_fixture_exchange(fixture);
#if !IS_SANITIZED /* sanitizers have heaps of their own */
    size_t used_bytes = mallinfo2().uordblks;
    http_trim(fixture->http);
    assert_true(mallinfo2().uordblks + 4096 < used_bytes);
#endif
    http_trim(fixture->http);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    assert_int_equal(peer_connections(fixture->peer), 1);
    assert_int_equal(peer_requests(fixture->peer), 2);
}

static void test_a_connection_in_use_is_replaced_at_its_greatest_age(void **state)
{
    struct fixture *fixture = *state;
    int64_t ends_ms = loop_now_ms(fixture->loop) + 10000;
    fixture->age_max_s = 1;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    do {
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
    } while (peer_connections(fixture->peer) < 2 && loop_now_ms(fixture->loop) < ends_ms);
    assert_int_equal(peer_connections(fixture->peer), 2);
}

static void test_a_callback_may_send_the_next_request(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    fixture->sends_left = 9;
    http_fixture_send_to(fixture, "http", peer_port(fixture->peer));
    http_fixture_run_until(fixture, 10);
    assert_int_equal(fixture->answered_count, 10);
    assert_int_equal(peer_connections(fixture->peer), 1);
}

static void serve_when_all_are_here(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    while (peer_read(peer, fd)) {
        peer_wait_requests(peer, PARALLEL_COUNT);
        peer_write(fd, OK_ANSWER);
    }
}

static void test_a_hundred_requests_run_at_the_same_time(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, serve_when_all_are_here, FAR_MS);
    for (int i = 0; i < PARALLEL_COUNT; i++) {
        http_fixture_send_to(fixture, "http", peer_port(fixture->peer));
    }
    http_fixture_run_until(fixture, PARALLEL_COUNT);
    assert_int_equal(fixture->answered_count, PARALLEL_COUNT);
    /* The next round uses the same connections. */
    for (int i = 0; i < PARALLEL_COUNT; i++) {
        http_fixture_send_to(fixture, "http", peer_port(fixture->peer));
    }
    http_fixture_run_until(fixture, 2 * PARALLEL_COUNT);
    assert_int_equal(fixture->answered_count, 2 * PARALLEL_COUNT);
    assert_int_equal(peer_connections(fixture->peer), PARALLEL_COUNT);
}

static void serve_one_each(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    if (peer_read(peer, fd)) {
        peer_write(fd, OK_ANSWER);
    }
}

static void test_a_connection_that_ended_while_idle_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, serve_one_each, FAR_MS);
    for (int i = 0; i < 3; i++) {
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        http_fixture_turn_for_ms(fixture, 20);
    }
    assert_int_equal(peer_connections(fixture->peer), 3);
    assert_int_equal(peer_requests(fixture->peer), 3);
}

static void serve_two_and_answer_one(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    if (peer_read(peer, fd)) {
        peer_write(fd, OK_ANSWER);
        peer_read(peer, fd);
    }
}

static void test_a_request_is_never_repeated_automatically(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, serve_two_and_answer_one, FAR_MS);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_CUT);
    assert_string_not_equal(fixture->error, "");
    assert_int_equal(peer_requests(fixture->peer), 2);
    /* Later requests work. */
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    assert_int_equal(peer_requests(fixture->peer), 3);
}

/* After the first answer of each of the first two connections comes one that nobody asked for. */
static void serve_stray(struct peer *peer, int fd, size_t connection, void *arg)
{
    struct fixture *fixture = arg;
    if (peer_read(peer, fd)) {
        peer_answer(peer, fd);
    }
    if (connection < 2) {
        sem_wait(&fixture->stray_wanted);
        peer_write(fd, STRAY_ANSWER);
        sem_post(&fixture->stray_sent);
    }
    http_fixture_serve_all(peer, fd, connection, arg);
}

/* The bytes are on the client's socket when this returns. */
static void send_stray(struct fixture *fixture)
{
    sem_post(&fixture->stray_wanted);
    sem_wait(&fixture->stray_sent);
}

/* With and without a turn of the loop between the arrival of the bytes and the next request. */
static void check_stray(struct fixture *fixture, int64_t turn_ms)
{
    http_fixture_begin(fixture, serve_stray, FAR_MS);
    http_fixture_exchange(fixture);
    for (int i = 0; i < 2; i++) {
        send_stray(fixture);
        if (turn_ms > 0) {
            http_fixture_turn_for_ms(fixture, turn_ms);
        }
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_int_equal(fixture->status, 200);
        assert_string_equal(fixture->body, "ok");
    }
    /* Such a connection is not used, and nothing is sent twice. */
    assert_int_equal(peer_requests(fixture->peer), 3);
    assert_int_equal(peer_connections(fixture->peer), 3);
}

static void test_an_answer_on_an_idle_connection_belongs_to_nobody(void **state)
{
    check_stray(*state, 20);
}

static void test_an_answer_that_arrives_just_before_a_request_belongs_to_nobody(void **state)
{
    check_stray(*state, 0);
}

/* The request is larger than what the server's kernel takes, and the server reads none of it. */
static void serve_early(struct peer *peer, int fd, size_t connection, void *arg)
{
    struct fixture *fixture = arg;
    int bytes = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (connection == 0 && peer_read(peer, fd)) {
        peer_answer(peer, fd);
        sem_wait(&fixture->stray_wanted);
        peer_write(fd, STRAY_ANSWER);
        (void)peer_wait_ms(fd, FAR_MS);
    } else {
        http_fixture_serve_all(peer, fd, connection, arg);
    }
}

static void check_refused(const struct fixture *fixture, const char *why)
{
    assert_int_equal(fixture->result, HTTP_CUT);
    assert_int_equal(fixture->status, 0);
    assert_string_equal(fixture->error, why);
}

/* From now on no connection is used twice. */
static void check_caution(struct fixture *fixture)
{
    for (size_t i = 0; i < 3; i++) {
        size_t connections = peer_connections(fixture->peer);
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_string_equal(fixture->body, "ok");
        assert_int_equal(peer_connections(fixture->peer), connections + 1);
    }
}

static void test_an_answer_before_the_server_has_the_request_belongs_to_nobody(void **state)
{
    struct fixture *fixture = *state;
    const size_t bytes = 1 << 20;
    char *body = malloc(bytes + 1);
    memset(body, 'x', bytes);
    body[bytes] = '\0';
    http_fixture_begin(fixture, serve_early, FAR_MS);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    http_fixture_send_request(fixture, "http", peer_port(fixture->peer), "POST", body);
    http_fixture_turn_for_ms(fixture, 50); /* the client writes what its kernel takes */
    sem_post(&fixture->stray_wanted);
    http_fixture_run_until(fixture, 2);
    free(body);
    check_refused(fixture, "an answer came before the server had the whole request");
    check_caution(fixture);
}

/* A stray answer of exactly the size that libcurl reads at once. */
static char whole_read_of_stray[4096 + sizeof OK_ANSWER];

static void fill_whole_read(void)
{
    static const char end[] = "\r\nContent-Length: 5\r\n\r\nstray";
    char *text = whole_read_of_stray;
    int count = snprintf(text, sizeof whole_read_of_stray, "HTTP/1.1 403 Forbidden\r\nX: ");
    memset(text + count, 'x', 4096 - (size_t)count);
    memcpy(text + 4096 - strlen(end), end, strlen(end));
    strcpy(text + 4096, OK_ANSWER);
}

static const char *surplus; /* of serve_surplus() */

/* The second request of the first connection gets two answers. */
static void serve_surplus(struct peer *peer, int fd, size_t connection, void *arg)
{
    if (connection == 0 && peer_read(peer, fd)) {
        peer_answer(peer, fd);
        if (peer_read(peer, fd)) {
            peer_write(fd, surplus);
        }
    }
    http_fixture_serve_all(peer, fd, connection, arg);
}

static void check_surplus(struct fixture *fixture, const char *answers)
{
    surplus = answers;
    http_fixture_begin(fixture, serve_surplus, FAR_MS);
    http_fixture_exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    http_fixture_exchange(fixture);
    check_refused(fixture, "more than one answer came for one request");
    check_caution(fixture);
}

static void test_of_two_answers_to_one_request_none_counts(void **state)
{
    check_surplus(*state, STRAY_ANSWER OK_ANSWER);
}

static void test_of_two_answers_in_two_reads_none_counts(void **state)
{
    fill_whole_read();
    check_surplus(*state, whole_read_of_stray);
}

static void serve_twice(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    if (peer_read(peer, fd)) {
        peer_write(fd, OK_ANSWER STRAY_ANSWER);
        (void)peer_wait_ms(fd, FAR_MS);
    }
}

static void test_the_first_answer_on_a_new_connection_is_the_answer(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, serve_twice, FAR_MS);
    for (size_t i = 0; i < 3; i++) {
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_string_equal(fixture->body, "ok");
    }
}

static void serve_two_and_close(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    if (peer_read(peer, fd)) {
        peer_answer(peer, fd);
        if (peer_read(peer, fd)) {
            peer_write(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        }
    }
}

static void test_a_server_may_close_a_used_connection_with_its_answer(void **state)
{
    struct fixture *fixture = *state;
    http_fixture_begin(fixture, serve_two_and_close, FAR_MS);
    for (size_t i = 0; i < 4; i++) {
        http_fixture_exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_string_equal(fixture->body, "ok");
    }
    assert_int_equal(peer_connections(fixture->peer), 2);
}

static void test_each_request_may_have_a_connection_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_single_use = true;
    http_fixture_begin(fixture, http_fixture_serve_all, FAR_MS);
    check_caution(fixture);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, http_fixture_set_up, http_fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_one_connection_serves_one_request_after_the_other),
        TEST(test_trimming_frees_handles_and_keeps_connections),
        TEST(test_a_connection_in_use_is_replaced_at_its_greatest_age),
        TEST(test_a_callback_may_send_the_next_request),
        TEST(test_a_hundred_requests_run_at_the_same_time),
        TEST(test_a_connection_that_ended_while_idle_is_replaced),
        TEST(test_a_request_is_never_repeated_automatically),
        TEST(test_an_answer_on_an_idle_connection_belongs_to_nobody),
        TEST(test_an_answer_that_arrives_just_before_a_request_belongs_to_nobody),
        TEST(test_an_answer_before_the_server_has_the_request_belongs_to_nobody),
        TEST(test_of_two_answers_to_one_request_none_counts),
        TEST(test_of_two_answers_in_two_reads_none_counts),
        TEST(test_the_first_answer_on_a_new_connection_is_the_answer),
        TEST(test_a_server_may_close_a_used_connection_with_its_answer),
        TEST(test_each_request_may_have_a_connection_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
