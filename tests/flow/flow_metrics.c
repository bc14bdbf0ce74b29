/* The metrics of a running bridge: what they count, and that Prometheus can read them. */
#include "flow_certificates.h"
#include "flow_fixture.h"
#include "flow_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPIRY(setting) "certificate_expiry_timestamp_seconds{setting=\"" setting "\"}"
#define REGION          "{region=\"cn-beijing\"}"

static struct bridge *start_with_admin(struct fixture *fixture, const char *more, int *out_port)
{
    int guard = -1;
    *out_port = port_reserve(&guard);
    struct bridge *bridge = fixture_bridge_alone(
        fixture,
        fixture_format(fixture,
                       "admin.listen = \"127.0.0.1:%d\"; routes.regions = (\"cn-beijing\"); %s",
                       *out_port, more));
    bridge_start(bridge);
    close(guard);
    bridge_wait_online(bridge);
    return bridge;
}

/* The value of a series, its name without "ecs_mqtt_bridge_"; -1 if it is not there. */
static double metric(int port, const char *series)
{
    char *body = NULL;
    char line[160];
    http_exchange(port, "GET", "/metrics", NULL, &body);
    snprintf(line, sizeof line, "\necs_mqtt_bridge_%s ", series);
    const char *at = strstr(body, line);
    double value = at == NULL ? -1 : strtod(at + strlen(line), NULL);
    free(body);
    return value;
}

static void check_metric(int port, const char *series, double value)
{
    double found = metric(port, series);
    if (found < value || found > value) {
        flow_fail("%s is %g instead of %g", series, found, value);
    }
}

/* Waits until the series has at least this value. */
static void wait_metric(int port, const char *series, double value)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (metric(port, series) < value) {
        if (flow_now_ms() > end_ms) {
            flow_fail("%s is not %g", series, value);
        }
        flow_pause();
    }
}

static void test_promtool_finds_nothing_wrong(struct fixture *fixture)
{
    int port = 0;
    struct bridge *bridge = start_with_admin(fixture, "", &port);
    char *body = NULL;
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    assert_int_equal(http_exchange(port, "GET", "/metrics", NULL, &body), 200);
    const char *path = fixture_format(fixture, "%s/metrics.txt", fixture->directory);
    file_write(path, body);
    const char *argv[] = {
        "sh", "-c", fixture_format(fixture, "%s check metrics < %s", PROMTOOL_BINARY, path), NULL};
    struct tool_result result = tool_run(fixture->directory, NULL, argv);
    assert_string_equal(result.errors, "");
    assert_string_equal(result.output, "");
    assert_int_equal(result.code, 0);
    tool_result_fini(&result);
    free(body);
    bridge_stop(bridge);
}

static void test_every_attempt_and_every_time_is_counted(struct fixture *fixture)
{
    int port = 0;
    struct bridge *bridge = start_with_admin(fixture, "", &port);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"Throttling.User\"");
    check_succeeded(fixture_request(fixture, token, group, ""));
    check_succeeded(fixture_request(fixture, token, group, ""));
    wait_metric(port, "replies_published_total", 2);
    check_metric(port, "api_calls_total" REGION, 1);
    check_metric(port, "api_calls_total{region=\"other\"}", 0);
    check_metric(port, "api_throttled_total" REGION, 1);
    check_metric(port, "api_attempts_total{result=\"throttled\"}", 1);
    check_metric(port, "api_attempts_total{result=\"succeeded\"}", 1);
    check_metric(port, "intake_seconds_count", 2);
    check_metric(port, "queue_seconds_count", 1);
    check_metric(port, "command_seconds_count", 1);
    check_metric(port, "api_call_seconds_count", 1);
    check_metric(port, "api_attempt_seconds_count", 2);
    check_metric(port, "reply_publish_seconds_count", 2);
    check_metric(port, "ledger_commit_seconds_count", metric(port, "ledger_commits_total"));
    assert_true(metric(port, "ledger_fsync_seconds_count") >= 4);
    assert_true(metric(port, "ledger_fsync_seconds_sum") <=
                metric(port, "ledger_commit_seconds_sum"));
    assert_true(metric(port, "ledger_bytes") >= 4096);
    /* The answer took less than the call with its backoff, and that less than all. */
    assert_true(metric(port, "api_attempt_seconds_sum") < metric(port, "api_call_seconds_sum"));
    check_metric(port, "degraded_reason{reason=\"session_lost\"}", 0);
    bridge_stop(bridge);
}

static void test_a_command_that_waits_has_an_age(struct fixture *fixture)
{
    int port = 0;
    struct bridge *bridge = start_with_admin(fixture, "", &port);
    const char *group = fixture_name(fixture, "pg");
    const char *first = fixture_name(fixture, "token");
    const char *second = fixture_name(fixture, "token");
    check_metric(port, "oldest_command_age_seconds", 0);
    simulator_fault(&fixture->simulator, "\"hang\"");
    fixture_send(fixture, fixture_command(fixture, first, group, ""));
    fixture_send(fixture, fixture_command(fixture, second, group, ""));
    wait_metric(port, "commands_queued", 1);
    check_metric(port, "commands_unfinished{state=\"in_work\"}", 2);
    check_metric(port, "api_calls_in_flight", 1);
    wait_metric(port, "oldest_command_age_seconds", 0.01);
    simulator_clear(&fixture->simulator);
    check_succeeded(fixture_expect_reply(fixture, first));
    check_succeeded(fixture_expect_reply(fixture, second));
    check_metric(port, "commands_queued", 0);
    check_metric(port, "oldest_command_age_seconds", 0);
    bridge_stop(bridge);
}

static void test_certificates_have_their_expiry(struct fixture *fixture)
{
    int port = 0;
    const char *settings = fixture_format(
        fixture,
        "broker.tls.ca_file = \"%s/good.pem\"; broker.tls.cert_file = \"%s/soon.pem\"; "
        "broker.tls.key_file = \"%s/soon.key\"; api.ca_file = \"%s/stranger.pem\"; "
        "api.cert_file = \"%s/plain-client.pem\"; api.key_file = \"%s/plain-client.key\";",
        certificates, certificates, certificates, certificates, certificates, certificates);
    struct bridge *bridge = start_with_admin(fixture, settings, &port);
    double soon = metric(port, EXPIRY("broker.tls.cert_file"));
    double left_s = soon - (double)time(NULL);
    assert_true(left_s > 2 * 24 * 3600 && left_s < 4 * 24 * 3600);
    assert_true(metric(port, EXPIRY("broker.tls.ca_file")) > soon);
    assert_true(metric(port, EXPIRY("api.ca_file")) > soon);
    assert_true(metric(port, EXPIRY("api.cert_file")) > soon);
    check_metric(port, "api_credentials_expiry_timestamp_seconds", -1);
    bridge_stop(bridge);
}

static void test_mqtt_processes_that_end_are_told_apart(struct fixture *fixture)
{
    int port = 0;
    struct bridge *bridge = start_with_admin(fixture, "", &port);
    check_metric(port, "mqtt_process_starts_total{process=\"receiver\"}", 1);
    check_metric(port, "mqtt_reconnects_total{process=\"receiver\"}", 0);
    bridge_kill_children(bridge, "receiver");
    wait_metric(port, "mqtt_reconnects_total{process=\"receiver\"}", 1);
    check_metric(port, "mqtt_process_crashes_total{process=\"receiver\"}", 1);
    check_metric(port, "mqtt_process_crashes_total{process=\"publisher\"}", 0);
    check_metric(port, "mqtt_connect_failures_total{process=\"publisher\"}", 0);
    broker_kill(&fixture->broker);
    wait_metric(port, "mqtt_connect_failures_total{process=\"publisher\"}", 1);
    wait_metric(port, "degraded_reason{reason=\"no_publisher\"}", 1);
    broker_start(&fixture->broker);
    wait_metric(port, "mqtt_reconnects_total{process=\"publisher\"}", 1);
    check_metric(port, "mqtt_process_crashes_total{process=\"publisher\"}", 0);
    wait_metric(port, "session_lost_timestamp_seconds", 1);
    fixture_renew_sender(fixture);
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_promtool_finds_nothing_wrong),
        FLOW_TEST(test_every_attempt_and_every_time_is_counted),
        FLOW_TEST(test_a_command_that_waits_has_an_age),
        FLOW_TEST(test_certificates_have_their_expiry),
        FLOW_TEST(test_mqtt_processes_that_end_are_told_apart),
    };
    certificates_begin();
    int code = flow_main("metrics", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
    certificates_end();
    return code;
}
