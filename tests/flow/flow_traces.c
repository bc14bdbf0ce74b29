/* What a collector of traces gets, and that commands do not depend on it. */
#include "flow_fixture.h"
#include "flow_http.h"
#include "support/http_peer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMMANDS = 30 };

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"

/* The collector: what it does, and what it has got. */
static struct {
    pthread_mutex_t lock;
    struct buf bodies; /* of all requests, one behind the other */
    _Atomic int status;
    _Atomic int is_held; /* it reads requests and answers none */
} collector = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep_body(struct peer *peer)
{
    struct buf request = {0};
    peer_last_request(peer, &request);
    const char *body = strstr(request.data, "\r\n\r\n");
    pthread_mutex_lock(&collector.lock);
    buf_append_text(&collector.bodies, body == NULL ? "" : body + 4);
    buf_append_char(&collector.bodies, '\n');
    pthread_mutex_unlock(&collector.lock);
    buf_fini(&request);
}

static void serve(struct peer *peer, int fd, size_t connection, void *arg)
{
    char text[128];
    (void)connection;
    (void)arg;
    while (peer_read(peer, fd)) {
        while (atomic_load(&collector.is_held) && peer_wait_ms(fd, 20)) {
        }
        int status = atomic_load(&collector.status);
        if (status == 200) {
            keep_body(peer);
        }
        snprintf(text, sizeof text,
                 "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
                 status);
        peer_write(fd, text);
    }
}

static struct peer *begin_collector(int status, bool is_held)
{
    pthread_mutex_lock(&collector.lock);
    buf_clear(&collector.bodies);
    pthread_mutex_unlock(&collector.lock);
    atomic_store(&collector.status, status);
    atomic_store(&collector.is_held, is_held);
    return peer_new(serve, NULL);
}

static struct bridge *start_with(struct fixture *fixture, int collector_port, int *out_admin_port)
{
    int guard = -1;
    *out_admin_port = port_reserve(&guard);
    struct bridge *bridge =
        fixture_bridge_alone(fixture, fixture_format(fixture,
                                                     "trace.endpoint = \"http://127.0.0.1:%d\"; "
                                                     "admin.listen = \"127.0.0.1:%d\";",
                                                     collector_port, *out_admin_port));
    bridge_start(bridge);
    close(guard);
    bridge_wait_online(bridge);
    return bridge;
}

/* Waits until the metric of traces with this result has at least this value. */
static void wait_traces(int admin_port, const char *result, int count)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    char line[96];
    int found = -1;
    snprintf(line, sizeof line, "\necs_mqtt_bridge_traces_total{result=\"%s\"} ", result);
    while (found < count) {
        char *body = NULL;
        if (flow_now_ms() > end_ms) {
            flow_fail("%d traces are %s instead of %d", found, result, count);
        }
        http_exchange(admin_port, "GET", "/metrics", NULL, &body);
        const char *at = strstr(body, line);
        found = at == NULL ? -1 : (int)strtol(at + strlen(line), NULL, 10);
        free(body);
        flow_pause();
    }
}

static void send_commands(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"),
                                        fixture_name(fixture, "pg"), ""));
    }
}

/* The spans of the only request; the caller frees *out_document. */
static cJSON *spans_of_request(cJSON **out_document)
{
    pthread_mutex_lock(&collector.lock);
    *out_document = cJSON_Parse(collector.bodies.data);
    pthread_mutex_unlock(&collector.lock);
    cJSON *resource = cJSON_GetArrayItem(cJSON_GetObjectItem(*out_document, "resourceSpans"), 0);
    cJSON *scope = cJSON_GetArrayItem(cJSON_GetObjectItem(resource, "scopeSpans"), 0);
    cJSON *spans = cJSON_GetObjectItem(scope, "spans");
    assert_non_null(spans);
    return spans;
}

static const char *text_of(const cJSON *span, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(span, name));
    return text == NULL ? "" : text;
}

static void check_child(const cJSON *root, const cJSON *span)
{
    assert_string_equal(text_of(span, "traceId"), text_of(root, "traceId"));
    assert_string_equal(text_of(span, "parentSpanId"), text_of(root, "spanId"));
    /* Numbers of as many digits, so they compare as texts. */
    assert_true(strcmp(text_of(span, "startTimeUnixNano"), text_of(root, "startTimeUnixNano")) >=
                0);
    assert_true(strcmp(text_of(span, "endTimeUnixNano"), text_of(span, "startTimeUnixNano")) >= 0);
    assert_true(strcmp(text_of(span, "endTimeUnixNano"), text_of(root, "endTimeUnixNano")) <= 0);
}

static void test_a_command_becomes_spans_in_the_trace_of_its_sender(struct fixture *fixture)
{
    static const char *const names[] = {"receive", "claim", "call", "call", "publish"};
    struct peer *peer = begin_collector(200, false);
    int admin_port;
    start_with(fixture, peer_port(peer), &admin_port);
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"Throttling.User\",\"Match\":{\"ClientToken\":\"%s\"}",
                    token);
    client_publish(
        fixture->sender,
        &(struct outgoing){
            .topic = FLOW_COMMANDS,
            .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
            .qos = 1,
            .user = {"traceparent", "00-" TRACE "-" SPAN "-01", "tracestate", "vendor=1"}});
    check_succeeded(fixture_expect_reply(fixture, token));
    wait_traces(admin_port, "sent", 1);
    cJSON *document;
    cJSON *spans = spans_of_request(&document);
    assert_int_equal(cJSON_GetArraySize(spans), 5);
    const cJSON *root = cJSON_GetArrayItem(spans, 0);
    assert_string_equal(text_of(root, "traceId"), TRACE);
    assert_string_equal(text_of(root, "parentSpanId"), SPAN);
    assert_string_equal(text_of(root, "traceState"), "vendor=1");
    for (int i = 0; i < 5; i++) {
        const cJSON *span = cJSON_GetArrayItem(spans, i);
        assert_string_equal(text_of(span, "name"), names[i]);
        if (i > 0) {
            check_child(root, span);
        }
    }
    cJSON_Delete(document);
    peer_free(peer);
}

static void test_a_command_without_a_trace_gets_one(struct fixture *fixture)
{
    struct peer *peer = begin_collector(200, false);
    int admin_port;
    start_with(fixture, peer_port(peer), &admin_port);
    send_commands(fixture, 1);
    wait_traces(admin_port, "sent", 1);
    cJSON *document;
    const cJSON *root = cJSON_GetArrayItem(spans_of_request(&document), 0);
    assert_int_equal(strlen(text_of(root, "traceId")), 32);
    assert_string_equal(text_of(root, "parentSpanId"), "");
    cJSON_Delete(document);
    peer_free(peer);
}

static void expect_attribute(const char *key, const char *value)
{
    char text[128];
    snprintf(text, sizeof text, "{\"key\":\"%s\",\"value\":{\"stringValue\":\"%s\"}}", key, value);
    pthread_mutex_lock(&collector.lock);
    bool is_there = strstr(collector.bodies.data, text) != NULL;
    pthread_mutex_unlock(&collector.lock);
    if (!is_there) {
        flow_fail("no span has %s", text);
    }
}

static void test_duplicates_and_refusals_have_traces_too(struct fixture *fixture)
{
    struct peer *peer = begin_collector(200, false);
    int admin_port;
    start_with(fixture, peer_port(peer), &admin_port);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    check_succeeded(fixture_request(fixture, token, group, ""));
    wait_traces(admin_port, "sent", 2);
    expect_attribute("ecs_bridge.claim", "claimed");
    expect_attribute("ecs_bridge.claim", "replayed");
    check_error(fixture_request(fixture, fixture_name(fixture, "token"), group, ",\"OneShot\":7"),
                "failed", "Bridge.InvalidParameter", "invalid", false);
    wait_traces(admin_port, "sent", 3);
    expect_attribute("ecs_bridge.code", "Bridge.InvalidParameter");
    peer_free(peer);
}

static void test_commands_do_not_wait_for_a_slow_collector(struct fixture *fixture)
{
    struct peer *peer = begin_collector(200, true);
    int admin_port;
    start_with(fixture, peer_port(peer), &admin_port);
    send_commands(fixture, 1);
    peer_wait_requests(peer, 1); /* it has a request and does not answer */
    send_commands(fixture, COMMANDS);
    atomic_store(&collector.is_held, 0);
    wait_traces(admin_port, "sent", 1 + COMMANDS);
    peer_free(peer);
}

static void test_commands_do_not_need_a_collector(struct fixture *fixture)
{
    int guard = -1;
    int admin_port;
    int port = port_reserve(&guard); /* nobody listens there */
    struct bridge *bridge = start_with(fixture, port, &admin_port);
    send_commands(fixture, 1);
    bridge_wait_log(bridge, "event=traces_unavailable");
    send_commands(fixture, COMMANDS);
    bridge_stop(bridge);
    assert_true(bridge_log_contains(bridge, "event=traces_left_behind"));
    assert_false(bridge_log_contains(bridge, "step=traces"));
    close(guard);
}

static void test_a_collector_that_refuses_loses_traces_and_nothing_else(struct fixture *fixture)
{
    struct peer *peer = begin_collector(400, false);
    int admin_port;
    struct bridge *bridge = start_with(fixture, peer_port(peer), &admin_port);
    send_commands(fixture, 1);
    wait_traces(admin_port, "dropped", 1);
    assert_true(bridge_log_contains(bridge, "HTTP status 400"));
    atomic_store(&collector.status, 200);
    send_commands(fixture, 2);
    wait_traces(admin_port, "sent", 2);
    bridge_wait_log(bridge, "event=traces_available");
    peer_free(peer);
}

static void test_a_stop_sends_the_last_traces(struct fixture *fixture)
{
    struct peer *peer = begin_collector(200, false);
    int admin_port;
    struct bridge *bridge = start_with(fixture, peer_port(peer), &admin_port);
    send_commands(fixture, 1);
    bridge_stop(bridge);
    /* The stop waits a short time only: on a machine that is slow now, it may be too short. */
    if (!bridge_log_contains(bridge, "step=traces")) {
        assert_false(bridge_log_contains(bridge, "event=traces_left_behind"));
        assert_int_equal(peer_requests(peer), 1);
    }
    peer_free(peer);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_command_becomes_spans_in_the_trace_of_its_sender),
        FLOW_TEST(test_a_command_without_a_trace_gets_one),
        FLOW_TEST(test_duplicates_and_refusals_have_traces_too),
        FLOW_TEST(test_commands_do_not_wait_for_a_slow_collector),
        FLOW_TEST(test_commands_do_not_need_a_collector),
        FLOW_TEST(test_a_collector_that_refuses_loses_traces_and_nothing_else),
        FLOW_TEST(test_a_stop_sends_the_last_traces),
    };
    int code = flow_main("traces", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
    buf_fini(&collector.bodies);
    return code;
}
