/* The real endpoint on loopback, with clients that do not behave. */
#include "admin/server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLOW_CLIENTS = 100 };

static struct {
    struct loop *loop;
    struct health *health;
    struct counters counters;
    struct shared_text sessions;
    struct admin *admin;
} fixture;

static struct admin_options options_of(const char *listen)
{
    return (struct admin_options){.listen = listen,
                                  .instance = "i-1",
                                  .health = fixture.health,
                                  .counters = &fixture.counters,
                                  .sessions = &fixture.sessions};
}

static int set_up(void **state)
{
    struct buf why = {0};
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.loop = loop_new();
    fixture.health = health_new(fixture.loop);
    shared_text_init(&fixture.sessions);
    const struct admin_options options = options_of("127.0.0.1:0");
    assert_int_equal(admin_new(&options, &fixture.admin, &why), STATUS_OK);
    buf_fini(&why);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    admin_free(fixture.admin);
    health_free(fixture.health);
    loop_free(fixture.loop);
    shared_text_fini(&fixture.sessions);
    return 0;
}

static int connect_to_and_send(uint32_t ip, int port, const char *text)
{
    const struct timeval limit = {.tv_sec = 5};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(ip)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

static int connect_and_send(const char *text)
{
    return connect_to_and_send(INADDR_LOOPBACK, admin_port(fixture.admin), text);
}

/* In the place of getaddrinfo(): the first and the third address of a name are the machine's. */
int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    static const char *const addresses[] = {"127.0.0.1", "192.0.2.1", "127.0.0.2"};
    if (strcmp(node, "three.test") != 0) {
        return __real_getaddrinfo(node, service, hints, out);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(__real_getaddrinfo(addresses[i], service, hints, out), 0);
        out = &(*out)->ai_next;
    }
    return 0;
}

/* The answer with its headers, until the server closes the connection. */
static const char *get(const char *path, const char *host)
{
    static char answer[16384];
    char request[256];
    size_t length = 0;
    ssize_t got;
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             path, host);
    int fd = connect_and_send(request);
    while ((got = recv(fd, answer + length, sizeof answer - 1 - length, 0)) > 0) {
        length += (size_t)got;
    }
    close(fd);
    answer[length] = '\0';
    return answer;
}

static void assert_livez_is_200(void)
{
    assert_non_null(strstr(get("/livez", "h"), "200 OK"));
}

static void test_a_page_with_data_is_not_for_a_foreign_name(void **state)
{
    (void)state;
    assert_non_null(strstr(get("/status", "attacker.example"), "HTTP/1.1 421 "));
    assert_null(strstr(get("/status", "attacker.example"), "i-1"));
    assert_non_null(strstr(get("/status", "127.0.0.1:1"), "HTTP/1.1 200 "));
    assert_non_null(strstr(get("/status", "localhost"), "\"Instance\":\"i-1\""));
    assert_non_null(strstr(get("/metrics", "attacker.example"), "HTTP/1.1 200 "));
}

static void test_every_answer_has_the_headers_that_guard_it(void **state)
{
    static const char *const paths[] = {"/livez", "/status", "/nothing"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const char *answer = get(paths[i], "localhost");
        assert_non_null(strstr(answer, "X-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(answer, "Cache-Control: no-store\r\n"));
        assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'none';"));
    }
}

static void test_a_name_is_bound_at_all_its_addresses(void **state)
{
    struct buf why = {0};
    struct admin *admin = NULL;
    (void)state;
    const struct admin_options options = options_of("three.test:0");
    assert_int_equal(admin_new(&options, &admin, &why), STATUS_OK);
    for (uint32_t i = 0; i < 2; i++) {
        char answer[512] = "";
        int fd = connect_to_and_send(INADDR_LOOPBACK + i, admin_port(admin),
                                     "GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
        close(fd);
        assert_non_null(strstr(answer, "200 OK"));
    }
    admin_free(admin);
    buf_fini(&why);
}

static void test_clients_that_never_finish_a_request_keep_no_probe_waiting(void **state)
{
    int slow[SLOW_CLIENTS];
    (void)state;
    for (int i = 0; i < SLOW_CLIENTS; i++) {
        slow[i] = connect_and_send("GET /li");
    }
    assert_livez_is_200();
    for (int i = 0; i < SLOW_CLIENTS; i++) {
        close(slow[i]);
    }
    assert_livez_is_200();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_name_is_bound_at_all_its_addresses),
        TEST(test_a_page_with_data_is_not_for_a_foreign_name),
        TEST(test_every_answer_has_the_headers_that_guard_it),
        TEST(test_clients_that_never_finish_a_request_keep_no_probe_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
