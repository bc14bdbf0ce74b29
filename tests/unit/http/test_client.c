/* A real loop and real sockets; the server is support/http_peer. */
#include "http/client.h"
#include "support/http_peer.h"
#include "support/sanitizer.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define OK_ANSWER    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define STRAY_ANSWER "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nstray"

#define PARALLEL_COUNT 100
/* Longer than any test runs. */
#define FAR_MS      30000
#define ANSWER_MAX  1000
#define LARGE_BYTES (1 << 20)

struct fixture {
    struct loop *loop;
    struct http *http;
    struct peer *peer;
    struct buf request; /* the last one the peer read, after exchange() */
    int64_t age_max_s;  /* of connections */
    bool is_single_use; /* the same */
    int wanted;         /* callbacks until the loop stops */
    int done_count;
    int answered_count;
    enum http_result result;
    int status;
    char body[2 * ANSWER_MAX];
    char content_type[64];
    bool has_content_type;
    char error[256];
    int64_t retry_after_ms;
    int64_t date_ms;
    int64_t took_ms;
    int sends_left;     /* by the callback itself */
    sem_t stray_wanted; /* from the test to serve_stray(), and back */
    sem_t stray_sent;
    char *large_answer; /* what serve_small_then_large() sends */
};

/* Each send() of this thread waits for the answer. */
static _Thread_local bool awaits_answers;

static void send_to(struct fixture *fixture, const char *scheme, int port);

static void copy(char *out, size_t out_bytes, struct slice text)
{
    assert_true(text.length < out_bytes);
    memcpy(out, text.data == NULL ? "" : text.data, text.length);
    out[text.length] = '\0';
}

static void take(void *arg, const struct http_answer *answer)
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
        send_to(fixture, "http", peer_port(fixture->peer));
    }
    if (fixture->done_count >= fixture->wanted) {
        loop_stop(fixture->loop);
    }
}

static void open_http(struct fixture *fixture, int64_t read_timeout_ms)
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

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    sem_init(&fixture->stray_wanted, 0, 0);
    sem_init(&fixture->stray_sent, 0, 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    awaits_answers = false;
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

static void send_request(struct fixture *fixture, const char *scheme, int port, const char *method,
                         const char *body)
{
    static const char *const headers[] = {"host: test.example", "accept: application/json",
                                          "x-acs-action: Test"};
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/?a=%%2A&b=", scheme, port);
    struct http_request request = {method, url, headers, 3, slice_text(body), NULL, 0};
    int done_count = fixture->done_count;
    http_send(fixture->http, &request, take, fixture);
    assert_int_equal(fixture->done_count, done_count);
}

static void send_to(struct fixture *fixture, const char *scheme, int port)
{
    send_request(fixture, scheme, port, "POST", "");
}

static void run_until(struct fixture *fixture, int wanted)
{
    fixture->wanted = wanted;
    loop_run(fixture->loop);
    assert_int_equal(fixture->done_count, wanted);
}

/* Sends one more request to the peer and waits until it has finished. */
static void exchange(struct fixture *fixture)
{
    send_to(fixture, "http", peer_port(fixture->peer));
    run_until(fixture, fixture->done_count + 1);
    peer_last_request(fixture->peer, &fixture->request);
}

static void serve_all(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    while (peer_read(peer, fd)) {
        peer_answer(peer, fd);
    }
}

static void begin(struct fixture *fixture, peer_serve_fn *serve, int64_t read_timeout_ms)
{
    fixture->peer = peer_new(serve, fixture);
    peer_set_answer(fixture->peer, OK_ANSWER);
    open_http(fixture, read_timeout_ms);
}

/* --- requests --- */

static void test_an_empty_post_has_a_length_of_zero_and_only_the_given_headers(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_all, FAR_MS);
    exchange(fixture);
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
    begin(fixture, serve_all, FAR_MS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char length_line[64];
        send_request(fixture, "http", peer_port(fixture->peer), rows[i].method, rows[i].body);
        run_until(fixture, (int)i + 1);
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
    fixture->peer = peer_new(serve_all, fixture);
    peer_set_answer(fixture->peer, OK_ANSWER);
    fixture->http = http_new(fixture->loop, &options);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        send_request(fixture, "http", peer_port(fixture->peer), "POST", bodies[i]);
        run_until(fixture, (int)i + 1);
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
    http_send(fixture->http, &request, take, fixture);
    run_until(fixture, fixture->done_count + 1);
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
    begin(fixture, serve_all, FAR_MS);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", peer_port(fixture->peer));
    send_target(fixture, origin, "/?a=%2A&b=1");
    assert_first_line(fixture, "POST /?a=%2A&b=1 HTTP/1.1\r\nHost: test.example\r\n");
    send_target(fixture, origin, "/?a=2");
    assert_first_line(fixture, "POST /?a=2 HTTP/1.1\r\n");
    exchange(fixture);
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
    fixture->peer = peer_new(serve_all, fixture);
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
    begin(fixture, serve_all, FAR_MS);
    exchange(fixture);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(fixture->result, HTTP_ANSWERED);
}

/* --- connections --- */

static void test_one_connection_serves_one_request_after_the_other(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_all, FAR_MS);
    for (int i = 0; i < 20; i++) {
        exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
    }
    assert_int_equal(peer_connections(fixture->peer), 1);
    assert_int_equal(peer_requests(fixture->peer), 20);
}

static void test_trimming_frees_handles_and_keeps_connections(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_all, FAR_MS);
    exchange(fixture);
#if !IS_SANITIZED /* sanitizers have heaps of their own */
    size_t used_bytes = mallinfo2().uordblks;
    http_trim(fixture->http);
    assert_true(mallinfo2().uordblks + 4096 < used_bytes);
#endif
    http_trim(fixture->http);
    exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    assert_int_equal(peer_connections(fixture->peer), 1);
    assert_int_equal(peer_requests(fixture->peer), 2);
}

static void test_a_connection_in_use_is_replaced_at_its_greatest_age(void **state)
{
    struct fixture *fixture = *state;
    int64_t ends_ms = loop_now_ms(fixture->loop) + 10000;
    fixture->age_max_s = 1;
    begin(fixture, serve_all, FAR_MS);
    do {
        exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
    } while (peer_connections(fixture->peer) < 2 && loop_now_ms(fixture->loop) < ends_ms);
    assert_int_equal(peer_connections(fixture->peer), 2);
}

static void test_a_callback_may_send_the_next_request(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_all, FAR_MS);
    fixture->sends_left = 9;
    send_to(fixture, "http", peer_port(fixture->peer));
    run_until(fixture, 10);
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
    begin(fixture, serve_when_all_are_here, FAR_MS);
    for (int i = 0; i < PARALLEL_COUNT; i++) {
        send_to(fixture, "http", peer_port(fixture->peer));
    }
    run_until(fixture, PARALLEL_COUNT);
    assert_int_equal(fixture->answered_count, PARALLEL_COUNT);
    /* The next round uses the same connections. */
    for (int i = 0; i < PARALLEL_COUNT; i++) {
        send_to(fixture, "http", peer_port(fixture->peer));
    }
    run_until(fixture, 2 * PARALLEL_COUNT);
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

static void stop_loop(void *arg)
{
    struct fixture *fixture = arg;
    loop_stop(fixture->loop);
}

/* Waits until the loop has seen that the server closed: the client's descriptor is readable. */
static void turn_for_ms(struct fixture *fixture, int64_t ms)
{
    struct loop_timer *timer = loop_timer_new(fixture->loop, stop_loop, fixture);
    loop_timer_start(timer, ms);
    loop_run(fixture->loop);
    loop_timer_free(timer);
}

static void test_a_connection_that_ended_while_idle_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_one_each, FAR_MS);
    for (int i = 0; i < 3; i++) {
        exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        turn_for_ms(fixture, 20);
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
    begin(fixture, serve_two_and_answer_one, FAR_MS);
    exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    exchange(fixture);
    assert_int_equal(fixture->result, HTTP_CUT);
    assert_string_not_equal(fixture->error, "");
    assert_int_equal(peer_requests(fixture->peer), 2);
    /* Later requests work. */
    exchange(fixture);
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
    serve_all(peer, fd, connection, arg);
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
    begin(fixture, serve_stray, FAR_MS);
    exchange(fixture);
    for (int i = 0; i < 2; i++) {
        send_stray(fixture);
        if (turn_ms > 0) {
            turn_for_ms(fixture, turn_ms);
        }
        exchange(fixture);
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
        serve_all(peer, fd, connection, arg);
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
        exchange(fixture);
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
    begin(fixture, serve_early, FAR_MS);
    exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    send_request(fixture, "http", peer_port(fixture->peer), "POST", body);
    turn_for_ms(fixture, 50); /* the client writes what its kernel takes */
    sem_post(&fixture->stray_wanted);
    run_until(fixture, 2);
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
    serve_all(peer, fd, connection, arg);
}

static void check_surplus(struct fixture *fixture, const char *answers)
{
    surplus = answers;
    begin(fixture, serve_surplus, FAR_MS);
    exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    exchange(fixture);
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
    begin(fixture, serve_twice, FAR_MS);
    for (size_t i = 0; i < 3; i++) {
        exchange(fixture);
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
    begin(fixture, serve_two_and_close, FAR_MS);
    for (size_t i = 0; i < 4; i++) {
        exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_string_equal(fixture->body, "ok");
    }
    assert_int_equal(peer_connections(fixture->peer), 2);
}

static void test_each_request_may_have_a_connection_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_single_use = true;
    begin(fixture, serve_all, FAR_MS);
    check_caution(fixture);
}

/* --- failures --- */

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
    open_http(fixture, FAR_MS);
    send_to(fixture, "http", closed_port(&fd));
    run_until(fixture, 1);
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
    begin(fixture, serve_no_tls, FAR_MS);
    send_to(fixture, "https", peer_port(fixture->peer));
    run_until(fixture, 1);
    assert_int_equal(fixture->result, HTTP_NOT_SENT);
    assert_string_not_equal(fixture->error, "");
}

static void test_an_invalid_address_has_sent_nothing(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_all, FAR_MS);
    send_to(fixture, "ftp", peer_port(fixture->peer));
    run_until(fixture, 1);
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
    begin(fixture, serve_reset, FAR_MS);
    exchange(fixture);
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
    begin(fixture, serve_once, FAR_MS);
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        print_message("%s\n", halves[i]);
        peer_set_answer(fixture->peer, halves[i]);
        exchange(fixture);
        assert_int_equal(fixture->result, HTTP_CUT);
        assert_int_equal(fixture->status, 0);
        assert_string_not_equal(fixture->error, "");
    }
    assert_int_equal(peer_requests(fixture->peer), sizeof halves / sizeof halves[0]);
}

static void serve_silence(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    while (peer_read(peer, fd)) {
    }
}

static void test_no_answer_within_the_time_limit_is_a_cut(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_silence, 100);
    send_to(fixture, "http", peer_port(fixture->peer));
    send_to(fixture, "http", peer_port(fixture->peer));
    run_until(fixture, 2);
    assert_int_equal(fixture->result, HTTP_CUT);
    assert_non_null(strstr(fixture->error, "100 ms"));
    assert_in_range(fixture->took_ms, 95, FAR_MS);
    exchange(fixture);
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

static size_t used_bytes(void)
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
    begin(fixture, serve_small_then_large, FAR_MS);
    exchange(fixture);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(fixture->peer));
    size_t before_bytes = used_bytes();
    const struct http_request request = {
        .method = "GET", .url = url, .body = slice_text(""), .answer_bytes_max = LARGE_BYTES};
    http_send(fixture->http, &request, take_large, fixture);
    run_until(fixture, fixture->done_count + 1);
#if !IS_SANITIZED /* sanitizers have heaps of their own */
    assert_true(used_bytes() < before_bytes + LARGE_BYTES / 4);
#else
    (void)before_bytes;
#endif
}

static void test_parts_of_an_answer_do_not_extend_its_time_limit(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_drops, 150);
    exchange(fixture);
    assert_int_equal(fixture->result, HTTP_CUT);
    assert_non_null(strstr(fixture->error, "150 ms"));
}

static void test_an_answer_may_be_as_large_as_the_limit_and_not_larger(void **state)
{
    struct fixture *fixture = *state;
    char text[2 * ANSWER_MAX];
    begin(fixture, serve_all, FAR_MS);
    for (int extra = 0; extra <= 1; extra++) {
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%0*d",
                 ANSWER_MAX + extra, ANSWER_MAX + extra, 0);
        peer_set_answer(fixture->peer, text);
        exchange(fixture);
        assert_int_equal(fixture->result, extra == 0 ? HTTP_ANSWERED : HTTP_CUT);
    }
    assert_non_null(strstr(fixture->error, "larger than 1000 bytes"));
}

static void test_a_request_may_have_a_limit_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    char text[2 * ANSWER_MAX];
    char url[64];
    begin(fixture, serve_all, FAR_MS);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(fixture->peer));
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%0*d", ANSWER_MAX + 1,
             ANSWER_MAX + 1, 0);
    peer_set_answer(fixture->peer, text);
    for (size_t limit = ANSWER_MAX; limit <= ANSWER_MAX + 1; limit++) {
        struct http_request request = {
            .method = "GET", .url = url, .body = slice_text(""), .answer_bytes_max = limit};
        http_send(fixture->http, &request, take, fixture);
        run_until(fixture, fixture->done_count + 1);
        assert_int_equal(fixture->result, limit == ANSWER_MAX ? HTTP_CUT : HTTP_ANSWERED);
    }
    exchange(fixture); /* the next request has the client's limit again */
    assert_int_equal(fixture->result, HTTP_CUT);
}

/* --- answers --- */

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
    begin(fixture, serve_all, FAR_MS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        print_message("%s\n", rows[i].headers);
        snprintf(text, sizeof text,
                 "HTTP/1.1 429 Slow\r\n%sContent-Type: text/xml;charset=utf-8\r\n"
                 "Content-Length: 0\r\n\r\n",
                 rows[i].headers);
        peer_set_answer(fixture->peer, text);
        exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_int_equal(fixture->status, 429);
        assert_string_equal(fixture->content_type, "text/xml;charset=utf-8");
        assert_true(fixture->retry_after_ms == rows[i].retry_after_ms);
        assert_true(fixture->date_ms == rows[i].date_ms);
    }
}

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

static void test_an_error_that_arrives_at_once_is_an_answer_and_the_connection_is_kept(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_all, FAR_MS);
    peer_set_answer(fixture->peer, "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n");
    awaits_answers = true;
    for (int i = 0; i < 3; i++) {
        exchange(fixture);
        assert_int_equal(fixture->result, HTTP_ANSWERED);
        assert_int_equal(fixture->status, 429);
    }
    assert_int_equal(peer_connections(fixture->peer), 1);
}

static void test_an_interim_answer_is_not_the_answer(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_all, FAR_MS);
    peer_set_answer(fixture->peer,
                    "HTTP/1.1 102 Processing\r\nx-acs-retry-after: 5\r\n\r\n" OK_ANSWER);
    exchange(fixture);
    assert_int_equal(fixture->status, 200);
    assert_int_equal(fixture->retry_after_ms, -1);
}

static void test_redirects_are_answers_and_not_followed(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_all, FAR_MS);
    peer_set_answer(fixture->peer,
                    "HTTP/1.1 307 Elsewhere\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
    exchange(fixture);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    assert_int_equal(fixture->status, 307);
    assert_int_equal(peer_requests(fixture->peer), 1);
}

static void count(void *arg, const struct http_answer *answer)
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
    begin(fixture, serve_all, FAR_MS);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", peer_port(fixture->peer));
    struct http_request request = {"GET", url, NULL, 0, slice_text(""), NULL, 0};
    http_send(fixture->http, &request, count, &dropped);
    http_send(fixture->http, &request, count, &counted);
    http_send(fixture->http, &request, count, &dropped);
    http_drop(fixture->http, count, &dropped);
    http_drop(fixture->http, take, &counted);
    exchange(fixture);
    while (counted == 0) {
        exchange(fixture);
    }
    assert_int_equal(counted, 1);
    assert_int_equal(dropped, 0);
}

static void test_running_exchanges_are_freed_without_a_callback(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, serve_silence, FAR_MS);
    send_to(fixture, "http", peer_port(fixture->peer));
    turn_for_ms(fixture, 20);
    send_to(fixture, "http", peer_port(fixture->peer));
    http_free(fixture->http);
    fixture->http = NULL;
    assert_int_equal(fixture->done_count, 0);
    http_free(NULL);
    assert_string_not_equal(http_library_version(), "");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_an_empty_post_has_a_length_of_zero_and_only_the_given_headers),
        CASE(test_methods_and_bodies_change_from_request_to_request),
        CASE(test_a_target_is_sent_as_it_is_and_only_in_its_request),
        CASE(test_a_proxy_gets_the_whole_url),
        CASE(test_the_proxies_of_the_environment_are_not_used),
        CASE(test_one_connection_serves_one_request_after_the_other),
        CASE(test_trimming_frees_handles_and_keeps_connections),
        CASE(test_a_connection_in_use_is_replaced_at_its_greatest_age),
        CASE(test_a_callback_may_send_the_next_request),
        CASE(test_a_hundred_requests_run_at_the_same_time),
        CASE(test_a_connection_that_ended_while_idle_is_replaced),
        CASE(test_a_request_is_never_repeated_automatically),
        CASE(test_an_answer_on_an_idle_connection_belongs_to_nobody),
        CASE(test_an_answer_that_arrives_just_before_a_request_belongs_to_nobody),
        CASE(test_an_answer_before_the_server_has_the_request_belongs_to_nobody),
        CASE(test_of_two_answers_to_one_request_none_counts),
        CASE(test_of_two_answers_in_two_reads_none_counts),
        CASE(test_the_first_answer_on_a_new_connection_is_the_answer),
        CASE(test_a_server_may_close_a_used_connection_with_its_answer),
        CASE(test_each_request_may_have_a_connection_of_its_own),
        CASE(test_a_refused_connection_has_sent_nothing),
        CASE(test_a_failed_handshake_has_sent_nothing),
        CASE(test_an_invalid_address_has_sent_nothing),
        CASE(test_a_reset_after_the_request_is_a_cut),
        CASE(test_half_an_answer_is_a_cut),
        CASE(test_no_answer_within_the_time_limit_is_a_cut),
        CASE(test_parts_of_an_answer_do_not_extend_its_time_limit),
        CASE(test_a_handle_does_not_keep_the_room_of_a_large_answer),
        CASE(test_an_answer_may_be_as_large_as_the_limit_and_not_larger),
        CASE(test_a_request_may_have_a_limit_of_its_own),
        CASE(test_headers_are_read_and_invalid_values_are_ignored),
        CASE(test_an_error_that_arrives_at_once_is_an_answer_and_the_connection_is_kept),
        CASE(test_an_interim_answer_is_not_the_answer),
        CASE(test_redirects_are_answers_and_not_followed),
        CASE(test_running_exchanges_are_freed_without_a_callback),
        CASE(test_a_dropped_exchange_has_no_callback_and_others_go_on),
        CASE(test_bodies_change_too_if_they_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
