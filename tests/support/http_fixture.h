/*
 * http_fixture - an HTTP client with a real loop and real sockets; the server is http_peer.
 */
#ifndef SUPPORT_HTTP_FIXTURE_H
#define SUPPORT_HTTP_FIXTURE_H

#include "http/client.h"
#include "support/http_peer.h"

#include <semaphore.h>

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

/* The callback of all requests: keeps the answer, and stops the loop after `wanted` of them. */
void http_fixture_take(void *arg, const struct http_answer *answer);
void http_fixture_open_http(struct fixture *fixture, int64_t read_timeout_ms);
/* Sends to 127.0.0.1; the fixture gets the answer. */
void http_fixture_send_request(struct fixture *fixture, const char *scheme, int port,
                               const char *method, const char *body);
void http_fixture_send_to(struct fixture *fixture, const char *scheme, int port);
/* Runs the loop until so many requests have ended, since the set-up. */
void http_fixture_run_until(struct fixture *fixture, int wanted);
/* Sends one more request to the peer and waits until it has finished. */
void http_fixture_exchange(struct fixture *fixture);
/* A peer that gives OK_ANSWER to each request. */
void http_fixture_serve_all(struct peer *peer, int fd, size_t connection, void *arg);
/* Starts the peer, which serves so, and a client. */
void http_fixture_begin(struct fixture *fixture, peer_serve_fn *serve, int64_t read_timeout_ms);
/* Waits until the loop has seen that the server closed: the client's descriptor is readable. */
void http_fixture_turn_for_ms(struct fixture *fixture, int64_t ms);
/* A peer that reads and never answers. */
void http_fixture_serve_silence(struct peer *peer, int fd, size_t connection, void *arg);
/* cmocka's; *state is the fixture, without client and peer. */
int http_fixture_set_up(void **state);
int http_fixture_tear_down(void **state);

#endif
