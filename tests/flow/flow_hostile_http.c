/*
 * Hostile HTTP on both sides: false answers of the API, and requests to the monitoring pages. The
 * bridge does not accept the answers, the pages stay available, and no process of the bridge grows.
 */
#include "flow_fixture.h"
#include "flow_http.h"
#include "flow_memory.h"
#include "flow_raw.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* --- hostile answers of the API --- */

enum lie { DEEP_JSON, XML_BOMB, XML_OUTSIDE, LONG_BODY, LONG_HEADER, MANY_HEADERS, ENDLESS_100 };

static void write_times(int fd, const char *text, size_t count)
{
    bool is_open = true;
    for (size_t i = 0; i < count && is_open; i++) {
        is_open = raw_write(fd, text, strlen(text));
    }
}

static void lie_to(int fd, enum lie lie)
{
    static const char xml[] = "HTTP/1.1 500 x\r\nContent-Type: text/xml\r\n\r\n";
    static const char json[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    static const char kib[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                              "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    switch (lie) {
    case DEEP_JSON:
        write_times(fd, json, 1);
        write_times(fd, "[[[[[[[[[[[[[[[[", 2000);
        break;
    case XML_BOMB:
        write_times(fd, xml, 1);
        write_times(fd,
                    "<!DOCTYPE e [<!ENTITY a \"aaaaaaaaaaaaaaaa\">"
                    "<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
                    "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">"
                    "<!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">"
                    "<!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\">"
                    "<!ENTITY f \"&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\">]>"
                    "<Error><Code>&f;</Code><Message>&f;</Message></Error>",
                    1);
        break;
    case XML_OUTSIDE:
        write_times(fd, xml, 1);
        write_times(fd,
                    "<!DOCTYPE e [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>"
                    "<Error><Code>&a;</Code><Message>&a;</Message></Error>",
                    1);
        break;
    case LONG_BODY:
        write_times(fd, json, 1);
        write_times(fd, kib, 100 * MIB / (sizeof kib - 1));
        break;
    case LONG_HEADER:
        write_times(fd, "HTTP/1.1 200 OK\r\nX: ", 1);
        write_times(fd, kib, 100 * MIB / (sizeof kib - 1));
        break;
    case MANY_HEADERS:
        write_times(fd, "HTTP/1.1 200 OK\r\n", 1);
        write_times(fd, "Name-Of-A-Header: and its value, which is of no use\r\n", 2 * MIB);
        break;
    case ENDLESS_100:
        write_times(fd, "HTTP/1.1 100 Continue\r\n\r\n", 4 * MIB);
        break;
    }
}

/* Gives every request the hostile answer until the reply has arrived. */
static const struct message *lie_until_reply(struct fixture *fixture, int listener,
                                             const char *token, enum lie lie)
{
    const struct match match = {.topic = fixture_format(fixture, FLOW_REPLIES "%s", token)};
    const struct message *reply = NULL;
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (reply == NULL && flow_now_ms() < end_ms) {
        struct pollfd entry = {.fd = listener, .events = POLLIN};
        char request[4096];
        if (poll(&entry, 1, 20) == 1) {
            int fd = raw_accept(listener);
            if (recv(fd, request, sizeof request, 0) > 0) {
                lie_to(fd, lie);
            }
            close(fd);
        }
        reply = client_take(fixture->sender, &match, 1);
    }
    if (reply == NULL) {
        flow_fail("no reply came");
    }
    return reply;
}

static void check_lie(struct fixture *fixture, enum lie lie)
{
    int port = 0;
    int listener = raw_listen(&port);
    struct bridge *bridge = fixture_bridge_alone(
        fixture, fixture_format(fixture,
                                "api.endpoint = \"http://127.0.0.1:%d\"; limits.deadline_s = 1;"
                                " api.read_timeout_ms = 5000;",
                                port));
    const char *token = fixture_name(fixture, "token");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    const struct message *reply = lie_until_reply(fixture, listener, token, lie);
    check_text(reply, "Status", "unknown");
    assert_true(reply->payload_length < 4096);
    assert_null(strstr(reply->payload, "root:"));
    check_memory(bridge);
    bridge_stop(bridge);
    close(listener);
}

static void test_json_with_endless_nesting_is_no_answer(struct fixture *fixture)
{
    check_lie(fixture, DEEP_JSON);
}

static void test_xml_with_growing_entities_is_no_answer(struct fixture *fixture)
{
    check_lie(fixture, XML_BOMB);
}

static void test_xml_reads_no_file(struct fixture *fixture)
{
    check_lie(fixture, XML_OUTSIDE);
}

static void test_an_answer_of_100_mb_is_no_answer(struct fixture *fixture)
{
    check_lie(fixture, LONG_BODY);
}

static void test_a_header_of_100_mb_is_no_answer(struct fixture *fixture)
{
    check_lie(fixture, LONG_HEADER);
}

static void test_headers_of_100_mb_are_no_answer(struct fixture *fixture)
{
    check_lie(fixture, MANY_HEADERS);
}

static void test_interim_answers_of_100_mb_are_no_answer(struct fixture *fixture)
{
    check_lie(fixture, ENDLESS_100);
}

/* --- the monitoring pages --- */

static int admin_connect(int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void wait_alive(int port)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    char *page = NULL;
    while (http_exchange(port, "GET", "/livez", NULL, &page) != 200) {
        free(page);
        if (flow_now_ms() > end_ms) {
            flow_fail("the pages are gone");
        }
        flow_pause();
    }
    free(page);
}

static void test_requests_without_an_end_do_not_close_the_pages(struct fixture *fixture)
{
    enum { SLOW_ONES = 40 };
    struct bridge *bridge = fixture_bridge(fixture, "admin.listen = \"127.0.0.1:0\";");
    int port = bridge_admin_port(bridge);
    int slow[SLOW_ONES];
    int fast = admin_connect(port);
    write_times(fast, "GET /metrics HTTP/1.1\r\nHost: x\r\n", 1);
    write_times(fast, "Name-Of-A-Header: and its value, which is of no use\r\n", 2 * MIB);
    close(fast);
    wait_alive(port);
    for (int i = 0; i < SLOW_ONES; i++) {
        slow[i] = admin_connect(port);
        raw_write(slow[i], "GET /", 5);
    }
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    check_memory(bridge);
    wait_alive(port);
    for (int i = 0; i < SLOW_ONES; i++) {
        close(slow[i]);
    }
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    check_memory(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_json_with_endless_nesting_is_no_answer),
        FLOW_TEST(test_xml_with_growing_entities_is_no_answer),
        FLOW_TEST(test_xml_reads_no_file),
        FLOW_TEST(test_an_answer_of_100_mb_is_no_answer),
        FLOW_TEST(test_a_header_of_100_mb_is_no_answer),
        FLOW_TEST(test_headers_of_100_mb_are_no_answer),
        FLOW_TEST(test_interim_answers_of_100_mb_are_no_answer),
        FLOW_TEST(test_requests_without_an_end_do_not_close_the_pages),
    };
    return flow_main("hostile HTTP", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
