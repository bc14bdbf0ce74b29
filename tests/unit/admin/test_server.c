/* The real endpoint on loopback, with clients that do not behave. */
#include "admin/server.h"

#include <arpa/inet.h>
#include <errno.h>
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

enum { ASKS_MOST = 64 };

static struct {
    struct loop *loop;
    /* What the loop's thread was asked. */
    struct admin_ask *asks[ASKS_MOST];
    size_t ask_count;
    size_t wanted_asks; /* the loop stops then */
    char token[128];
    bool is_answered_at_once;
    struct health *health;
    struct counters counters;
    struct shared_text sessions;
    struct admin *admin;
} fixture;

static void answer(struct admin_ask *ask, unsigned http_status, const char *json)
{
    struct buf body = {0};
    buf_append_text(&body, json);
    admin_answer(ask, http_status, &body);
}

static void on_commands(void *arg, struct admin_ask *ask)
{
    assert_ptr_equal(arg, &fixture);
    assert_ptr_equal(admin_ask_arg(ask), &fixture);
    if (fixture.is_answered_at_once) {
        answer(ask, 200, "{\"InWork\":[]}");
    } else {
        fixture.asks[fixture.ask_count] = ask;
    }
    if (++fixture.ask_count >= fixture.wanted_asks) {
        loop_stop(fixture.loop);
    }
}

static void on_command(void *arg, struct admin_ask *ask, struct slice token)
{
    snprintf(fixture.token, sizeof fixture.token, "%.*s", (int)token.length, token.data);
    on_commands(arg, ask);
}

static void run_until_asked(size_t count)
{
    fixture.wanted_asks = count;
    while (fixture.ask_count < count) {
        loop_run(fixture.loop);
    }
}

static struct admin_options options_of(const char *listen)
{
    return (struct admin_options){.listen = listen,
                                  .instance = "i-1",
                                  .health = fixture.health,
                                  .counters = &fixture.counters,
                                  .sessions = &fixture.sessions,
                                  .loop = fixture.loop,
                                  .hooks = {&fixture, on_commands, on_command, on_commands}};
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

static int send_get(const char *path, const char *host)
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             path, host);
    return connect_and_send(request);
}

/* The answer with its headers, until the server closes the connection; closes this side too. */
static const char *read_answer(int fd)
{
    static char text[65536];
    size_t length = 0;
    ssize_t got;
    /* A limited recv() can be interrupted without any signal. */
    while ((got = TEMP_FAILURE_RETRY(recv(fd, text + length, sizeof text - 1 - length, 0))) > 0) {
        length += (size_t)got;
    }
    close(fd);
    text[length] = '\0';
    return text;
}

static const char *get(const char *path, const char *host)
{
    return read_answer(send_get(path, host));
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

static void test_the_loop_answers_what_only_it_knows(void **state)
{
    (void)state;
    int commands = send_get("/api/commands", "localhost");
    run_until_asked(1);
    assert_livez_is_200();
    answer(fixture.asks[0], 200, "{\"InWork\":[1]}");
    const char *text = read_answer(commands);
    assert_non_null(strstr(text, "HTTP/1.1 200 "));
    assert_non_null(strstr(text, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(text, "\r\n\r\n{\"InWork\":[1]}"));
    int command = send_get("/api/commands/a%2Fb%20%3Fc%23d", "localhost");
    run_until_asked(2);
    assert_string_equal(fixture.token, "a/b ?c#d");
    answer(fixture.asks[1], 404, "{}");
    assert_non_null(strstr(read_answer(command), "HTTP/1.1 404 "));
    int watches = send_get("/api/watches", "localhost");
    run_until_asked(3);
    answer(fixture.asks[2], 200, "{\"Watches\":[1]}");
    assert_non_null(strstr(read_answer(watches), "\r\n\r\n{\"Watches\":[1]}"));
}

static void test_an_answer_within_the_hook_is_sent_too(void **state)
{
    (void)state;
    fixture.is_answered_at_once = true;
    int fd = send_get("/api/commands", "localhost");
    run_until_asked(1);
    assert_non_null(strstr(read_answer(fd), "{\"InWork\":[]}"));
}

static void test_requests_that_wait_for_the_loop_are_limited_and_keep_no_probe_waiting(void **state)
{
    int waiting[ADMIN_ASKS_MAX];
    (void)state;
    for (size_t i = 0; i < ADMIN_ASKS_MAX; i++) {
        waiting[i] = send_get("/api/commands", "localhost");
    }
    run_until_asked(ADMIN_ASKS_MAX);
    assert_non_null(strstr(get("/api/commands", "localhost"), "HTTP/1.1 503 "));
    assert_livez_is_200();
    assert_non_null(strstr(get("/status", "localhost"), "HTTP/1.1 200 "));
    for (size_t i = 0; i < ADMIN_ASKS_MAX; i++) {
        answer(fixture.asks[i], 200, "{}");
        assert_non_null(strstr(read_answer(waiting[i]), "HTTP/1.1 200 "));
    }
    int next = send_get("/api/commands", "localhost");
    run_until_asked(ADMIN_ASKS_MAX + 1);
    answer(fixture.asks[ADMIN_ASKS_MAX], 200, "{}");
    assert_non_null(strstr(read_answer(next), "HTTP/1.1 200 "));
}

static void test_a_client_that_has_gone_does_not_matter_to_the_answer(void **state)
{
    (void)state;
    close(send_get("/api/commands", "localhost"));
    run_until_asked(1);
    answer(fixture.asks[0], 200, "{}");
    assert_livez_is_200();
}

static void test_a_request_without_an_answer_gets_a_503_at_the_end(void **state)
{
    (void)state;
    int asked = send_get("/api/commands", "localhost");
    run_until_asked(1);
    admin_free(fixture.admin);
    fixture.admin = NULL;
    const char *text = read_answer(asked);
    assert_true(text[0] == '\0' || strstr(text, "HTTP/1.1 503 ") != NULL);
}

static void test_only_a_bridge_name_reaches_the_loop(void **state)
{
    (void)state;
    assert_non_null(strstr(get("/api/commands", "attacker.example"), "HTTP/1.1 421 "));
    assert_non_null(strstr(get("/api/commands/t", "attacker.example"), "HTTP/1.1 421 "));
    assert_non_null(strstr(get("/api/watches", "attacker.example"), "HTTP/1.1 421 "));
    assert_int_equal(fixture.ask_count, 0);
}

static void test_the_page_and_its_files_are_served(void **state)
{
    static const struct {
        const char *path;
        const char *type;
        const char *part;
    } files[] = {{"/", "text/html; charset=utf-8", "<title>ecs-mqtt-bridge</title>"},
                 {"/page.css", "text/css; charset=utf-8", "prefers-color-scheme"},
                 {"/page.js", "text/javascript; charset=utf-8", "/api/commands"},
                 {"/words.js", "text/javascript; charset=utf-8", "Succeeded"},
                 {"/icon.svg", "image/svg+xml", "<svg"}};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char type[128];
        const char *text = get(files[i].path, "localhost");
        snprintf(type, sizeof type, "Content-Type: %s\r\n", files[i].type);
        assert_non_null(strstr(text, "HTTP/1.1 200 "));
        assert_non_null(strstr(text, type));
        assert_non_null(strstr(text, files[i].part));
        assert_non_null(strstr(text, "script-src 'self'; style-src 'self';"));
        assert_non_null(strstr(get(files[i].path, "attacker.example"), "HTTP/1.1 421 "));
    }
    assert_non_null(strstr(get("/page.htm", "localhost"), "HTTP/1.1 404 "));
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
        assert_true(TEMP_FAILURE_RETRY(recv(fd, answer, sizeof answer - 1, 0)) > 0);
        close(fd);
        assert_non_null(strstr(answer, "200 OK"));
    }
    admin_free(admin);
    buf_fini(&why);
}

static void test_an_address_that_is_in_use_is_reported_with_the_reason(void **state)
{
    char listen[32];
    struct buf why = {0};
    struct admin *admin = NULL;
    (void)state;
    snprintf(listen, sizeof listen, "127.0.0.1:%d", admin_port(fixture.admin));
    const struct admin_options options = options_of(listen);
    assert_int_equal(admin_new(&options, &admin, &why), STATUS_UNAVAILABLE);
    assert_non_null(strstr(why.data, listen));
    assert_non_null(strstr(why.data, strerror(EADDRINUSE)));
    assert_null(admin);
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
        TEST(test_an_address_that_is_in_use_is_reported_with_the_reason),
        TEST(test_a_page_with_data_is_not_for_a_foreign_name),
        TEST(test_the_loop_answers_what_only_it_knows),
        TEST(test_an_answer_within_the_hook_is_sent_too),
        TEST(test_requests_that_wait_for_the_loop_are_limited_and_keep_no_probe_waiting),
        TEST(test_a_client_that_has_gone_does_not_matter_to_the_answer),
        TEST(test_a_request_without_an_answer_gets_a_503_at_the_end),
        TEST(test_only_a_bridge_name_reaches_the_loop),
        TEST(test_the_page_and_its_files_are_served),
        TEST(test_every_answer_has_the_headers_that_guard_it),
        TEST(test_clients_that_never_finish_a_request_keep_no_probe_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
