/* The bridge without an access key in its environment: a metadata service or a URL on loopback
 * gives it short-lived ones. */
#include "base/clock.h"
#include "flow_certificates.h"
#include "flow_fixture.h"
#include "flow_settings.h"
#include "flow_tls.h"
#include "support/http_peer.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { KEYS = 12, DOCUMENT_BYTES = 512 };

/* The behaviour of the service; set by the test, read by the peer's threads. */
static struct {
    _Atomic int is_down;
    _Atomic int is_closing; /* closes the connection after each document */
    _Atomic int life_ms;
    _Atomic int issued; /* number of documents so far; the next one has key number issued % KEYS */
} service;

static void send_answer(int fd, int status, const char *body)
{
    char text[DOCUMENT_BYTES + 128];
    snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status,
             strlen(body), body);
    peer_write(fd, text);
}

static void send_document(int fd)
{
    char expires[CLOCK_TEXT_BYTES];
    char body[DOCUMENT_BYTES];
    int number = atomic_fetch_add(&service.issued, 1) % KEYS;
    clock_format_ms(clock_wall_ms() + atomic_load(&service.life_ms), expires);
    snprintf(body, sizeof body,
             "{\"Code\":\"Success\",\"AccessKeyId\":\"STS.flowtestkey%02d\","
             "\"AccessKeySecret\":\"SessionSecret%d\",\"SecurityToken\":\"CAISflow%d\","
             "\"Expiration\":\"%s\"}",
             number, number, number, expires);
    send_answer(fd, 200, body);
}

static void serve(struct peer *peer, int fd, size_t connection, void *arg)
{
    struct buf request = {0};
    (void)connection;
    (void)arg;
    while (peer_read(peer, fd)) {
        peer_last_request(peer, &request);
        bool has_token = strstr(request.data, "X-aliyun-ecs-metadata-token: atoken\r\n") != NULL;
        bool is_metadata = strstr(request.data, " /latest/meta-data/") != NULL;
        if (atomic_load(&service.is_down)) {
            send_answer(fd, 503, "not now");
        } else if (strncmp(request.data, "PUT ", 4) == 0) {
            send_answer(fd, 200, "atoken");
        } else if (is_metadata && !has_token) {
            send_answer(fd, 403, "no");
        } else if (strstr(request.data, "/security-credentials/ ") != NULL) {
            send_answer(fd, 200, "bridge-role");
        } else {
            send_document(fd);
            if (atomic_load(&service.is_closing)) {
                break;
            }
        }
    }
    buf_fini(&request);
}

static void set_key(struct fixture *fixture, int number, const char *state)
{
    simulator_order(&fixture->simulator, "POST", "keys",
                    "{\"AccessKeyId\":\"STS.flowtestkey%02d\",\"AccessKeySecret\":"
                    "\"SessionSecret%d\",\"SecurityToken\":\"CAISflow%d\",\"State\":\"%s\"}",
                    number, number, number, state);
}

/* Starts the service; the API simulator knows its keys. */
static struct peer *begin_service(struct fixture *fixture, int life_ms)
{
    simulator_reset(&fixture->simulator);
    atomic_store(&service.is_down, 0);
    atomic_store(&service.is_closing, 0);
    atomic_store(&service.issued, 0);
    atomic_store(&service.life_ms, life_ms);
    for (int i = 0; i < KEYS; i++) {
        set_key(fixture, i, "active");
    }
    return peer_new(serve, NULL);
}

static void remove_keys(struct bridge *bridge)
{
    bridge->env[0] = "ALIBABA_CLOUD_ACCESS_KEY_ID=";
    bridge->env[1] = "ALIBABA_CLOUD_ACCESS_KEY_SECRET=";
    bridge->env[2] = "HOME=/nonexistent";
}

static struct bridge *bridge_by_metadata(struct fixture *fixture, const struct peer *peer)
{
    struct bridge *bridge = fixture_bridge_alone(
        fixture, fixture_format(fixture, "credentials.metadata_url = \"http://127.0.0.1:%d\";",
                                peer_port(peer)));
    remove_keys(bridge);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    return bridge;
}

static struct bridge *start_by_uri(struct fixture *fixture, const char *origin,
                                   const char *settings)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, settings);
    remove_keys(bridge);
    bridge->env[3] = "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true";
    bridge->env[4] = fixture_format(fixture, "ALIBABA_CLOUD_CREDENTIALS_URI=%s/given", origin);
    bridge_start(bridge);
    return bridge;
}

static struct bridge *bridge_by_uri_with(struct fixture *fixture, const char *origin,
                                         const char *settings)
{
    struct bridge *bridge = start_by_uri(fixture, origin, settings);
    bridge_wait_online(bridge);
    return bridge;
}

static struct bridge *bridge_by_uri(struct fixture *fixture, const struct peer *peer)
{
    return bridge_by_uri_with(fixture,
                              fixture_format(fixture, "http://127.0.0.1:%d", peer_port(peer)), "");
}

static void send_and_succeed(struct fixture *fixture)
{
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
}

static void check_no_secret(const struct bridge *bridge)
{
    assert_false(bridge_log_contains(bridge, "SessionSecret"));
    assert_false(bridge_log_contains(bridge, "CAISflow"));
    assert_false(bridge_log_contains(bridge, "STS.flowtestkey"));
    assert_false(bridge_log_contains(bridge, "atoken"));
}

/* Sends commands without a pause while keys change three times; none may fail. */
static void run_through_rotations(struct fixture *fixture, struct bridge *bridge)
{
    int count = 0;
    while (atomic_load(&service.issued) < 4) {
        send_and_succeed(fixture);
        count++;
    }
    assert_true(count > 4);
    assert_int_equal(simulator_total(&fixture->simulator, "SignatureErrors"), 0);
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), count);
    bridge_stop(bridge);
    check_no_secret(bridge);
}

static void test_keys_of_an_instances_role_rotate_without_a_failed_command(struct fixture *fixture)
{
    struct peer *peer = begin_service(fixture, 3000);
    struct bridge *bridge = bridge_by_metadata(fixture, peer);
    run_through_rotations(fixture, bridge);
    assert_true(bridge_log_contains(bridge, "default/ecs_ram_role"));
    peer_free(peer);
}

static void test_credentials_of_a_uri_rotate_without_a_failed_command(struct fixture *fixture)
{
    struct peer *peer = begin_service(fixture, 3000);
    struct bridge *bridge = bridge_by_uri(fixture, peer);
    run_through_rotations(fixture, bridge);
    assert_true(bridge_log_contains(bridge, "default/credential_uri"));
    peer_free(peer);
}

static void test_a_key_the_api_refuses_is_replaced_within_the_command(struct fixture *fixture)
{
    struct peer *peer = begin_service(fixture, 3600000);
    struct bridge *bridge = bridge_by_metadata(fixture, peer);
    send_and_succeed(fixture);
    set_key(fixture, 0, "expired");
    send_and_succeed(fixture);
    assert_int_equal(atomic_load(&service.issued), 2);
    bridge_stop(bridge);
    check_no_secret(bridge);
    peer_free(peer);
}

static void test_commands_wait_for_a_service_that_is_down_at_the_start(struct fixture *fixture)
{
    struct peer *peer = begin_service(fixture, 3600000);
    atomic_store(&service.is_down, 1);
    struct bridge *bridge =
        start_by_uri(fixture, fixture_format(fixture, "http://127.0.0.1:%d", peer_port(peer)), "");
    bridge_wait_log(bridge, "credentials_unavailable"); /* before the first command */
    bridge_wait_log(bridge, "event=receiver_up");
    const char *token = fixture_name(fixture, "token");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    client_expect(fixture->sender, &(struct match){.state = "degraded"});
    atomic_store(&service.is_down, 0);
    check_succeeded(fixture_expect_reply(fixture, token));
    bridge_stop(bridge);
    peer_free(peer);
}

static void test_a_failed_refresh_leaves_valid_credentials_in_use(struct fixture *fixture)
{
    struct peer *peer = begin_service(fixture, 8000);
    struct bridge *bridge = bridge_by_metadata(fixture, peer);
    send_and_succeed(fixture);
    atomic_store(&service.is_down, 1);
    while (!bridge_log_contains(bridge, "credentials_not_refreshed")) {
        send_and_succeed(fixture);
    }
    send_and_succeed(fixture);
    assert_int_equal(atomic_load(&service.issued), 1);
    atomic_store(&service.is_down, 0);
    while (atomic_load(&service.issued) < 2) {
        send_and_succeed(fixture);
    }
    assert_int_equal(simulator_total(&fixture->simulator, "SignatureErrors"), 0);
    bridge_stop(bridge);
    peer_free(peer);
}

/* --- TLS --- */

static const char *origin_of(struct fixture *fixture, const struct tls_front *front)
{
    return fixture_format(fixture, "https://127.0.0.1:%d", front->port);
}

static void test_credentials_come_from_a_service_that_asks_for_a_certificate(
    struct fixture *fixture)
{
    struct peer *peer = begin_service(fixture, 3000);
    struct tls_front front;
    certificates_hash("hashed", "good");
    tls_front_start(
        &front, certificates,
        &(struct tls_front_options){.target = peer_port(peer), .cert = "right", .client = "good"});
    struct bridge *bridge = bridge_by_uri_with(
        fixture, origin_of(fixture, &front),
        fixture_format(fixture,
                       "api.ca_path = \"%s/hashed\"; api.cert_file = \"%s/client.pem\";"
                       "api.key_file = \"%s/client.key\"; api.key_password_file = \"%s/password\";",
                       certificates, certificates, certificates, certificates));
    run_through_rotations(fixture, bridge);
    assert_true(file_contains(front.log, 0, "client yes"));
    assert_false(file_contains(front.log, 0, "refused"));
    tls_front_stop(&front);
    peer_free(peer);
}

static void send_until_issued(struct fixture *fixture, int count)
{
    while (atomic_load(&service.issued) < count) {
        send_and_succeed(fixture);
    }
}

/* The service closes its connections, so that each fetch verifies its certificate again. */
static void test_a_reload_changes_the_authority_of_the_service(struct fixture *fixture)
{
    struct peer *peer = begin_service(fixture, 6000);
    struct tls_front front;
    atomic_store(&service.is_closing, 1);
    certificates_set_good();
    tls_front_start(&front, certificates,
                    &(struct tls_front_options){
                        .target = peer_port(peer), .cert = "server", .client = "trust"});
    struct bridge *bridge = bridge_by_uri_with(
        fixture, origin_of(fixture, &front),
        fixture_format(fixture,
                       "api.ca_file = \"%s/trust.pem\"; api.cert_file = \"%s/shown.pem\";"
                       "api.key_file = \"%s/shown.key\";",
                       certificates, certificates, certificates));
    send_and_succeed(fixture);
    certificates_set_next("next");
    kill(bridge->pid, SIGHUP);
    bridge_wait_log(bridge, "event=reloaded");
    send_until_issued(fixture, 2);
    assert_false(bridge_log_contains(bridge, "credentials_not_refreshed"));
    certificates_set_next("last");
    while (!bridge_log_contains(bridge, "credentials_not_refreshed")) {
        send_and_succeed(fixture);
    }
    kill(bridge->pid, SIGHUP);
    send_until_issued(fixture, 3);
    bridge_stop(bridge);
    check_no_secret(bridge);
    tls_front_stop(&front);
    peer_free(peer);
}

/* --- check --online --- */

static struct tool_result check_online(struct fixture *fixture, const char *const *env,
                                       const char *settings, const char *region)
{
    char defaults[256];
    const char *path =
        fixture_format(fixture, "%s/%s.conf", fixture->directory, fixture_name(fixture, "config"));
    snprintf(defaults, sizeof defaults,
             "broker.uris = (\"mqtt://127.0.0.1:%d\"); api.endpoint = \"http://127.0.0.1:%d\";",
             fixture->broker.port, fixture->simulator.port);
    char *text = settings_write(defaults, settings);
    file_write(path, text);
    free(text);
    const char *argv[] = {BRIDGE_BINARY, "check",    "--config", path,
                          "--online",    "--region", region,     NULL};
    if (region == NULL) {
        argv[5] = NULL;
    }
    return tool_run(fixture->directory, env, argv);
}

static void check_result(struct tool_result *result, int code, const char *in_output,
                         const char *in_errors)
{
    if (result->code != code || strstr(result->output, in_output) == NULL ||
        strstr(result->errors, in_errors) == NULL) {
        flow_fail("exit code %d, not %d, or no \"%s\" or no \"%s\" in: %s%s", result->code, code,
                  in_output, in_errors, result->output, result->errors);
    }
    assert_null(strstr(result->output, FLOW_ACCESS_SECRET));
    assert_null(strstr(result->errors, FLOW_ACCESS_SECRET));
    assert_null(strstr(result->output, FLOW_ACCESS_KEY));
    assert_null(strstr(result->errors, FLOW_ACCESS_KEY));
    tool_result_fini(result);
}

static const char *const with_key[] = {"ALIBABA_CLOUD_ACCESS_KEY_ID=" FLOW_ACCESS_KEY,
                                       "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" FLOW_ACCESS_SECRET,
                                       "HOME=/nonexistent", NULL};
static const char *const without_key[] = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID=", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=",
    "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true", "HOME=/nonexistent", NULL};

static void test_check_prints_the_identity_and_that_the_api_accepts_it(struct fixture *fixture)
{
    simulator_reset(&fixture->simulator);
    struct tool_result result = check_online(fixture, with_key, "", "cn-beijing");
    check_result(&result, EX_OK, "credentials: default/env, access key LTAI****tKey, do not expire",
                 "");
    result = check_online(fixture, with_key, "routes.defaults.RegionId = \"cn-hangzhou\";", NULL);
    check_result(&result, EX_OK, "cn-hangzhou: the API accepts the credentials", "");
    result = check_online(fixture, with_key, "routes.regions = (\"cn-*\", \"cn-beijing\");", NULL);
    check_result(&result, EX_OK, "cn-beijing: the API accepts the credentials", "");
    result = check_online(fixture, with_key,
                          "routes = ( { name = \"a\"; }, { name = \"b\"; topics = (\"stop\");"
                          " action = \"StopDiskReplicaGroup\"; } );",
                          "cn-beijing");
    check_result(&result, EX_OK, "also needs ebs:StartDiskReplicaGroup, ebs:StopDiskReplicaGroup)",
                 "");
    result = check_online(fixture, with_key,
                          "routes.watch = \"until_done\"; watch.progress_s = 60;", "cn-beijing");
    check_result(&result, EX_OK, "ebs:StartDiskReplicaGroup, ebs:DescribeDiskReplicaPairProgress)",
                 "");
    result = check_online(fixture, with_key, "watch.progress_s = 60;", "cn-beijing");
    check_result(&result, EX_OK, "also needs ebs:StartDiskReplicaGroup)", "");
    result = check_online(fixture, with_key, "routes.watch = \"until_done\";", "cn-beijing");
    check_result(&result, EX_OK,
                 "ebs:DescribeDiskReplicaGroups is allowed, which \"watch\" needs; for its routes",
                 "");
    result = check_online(fixture, with_key, "routes.explain = true;", "cn-beijing");
    check_result(
        &result, EX_OK,
        "ebs:DescribeDiskReplicaGroups is allowed, which \"explain\" needs; for its routes", "");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"Forbidden\","
                                         "\"Match\":{\"Action\":\"DescribeDiskReplicaGroups\"}");
    result = check_online(fixture, with_key, "routes.explain = true;", "cn-beijing");
    check_result(
        &result, EX_CONFIG, "",
        "routes with \"explain\" need ebs:DescribeDiskReplicaGroups; without it no reply has "
        "the state of its group");
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), 0);
}

/* Each of the two services is checked, also if the other one is not there. */
static void test_check_connects_to_the_broker(struct fixture *fixture)
{
    simulator_reset(&fixture->simulator);
    struct tool_result result = check_online(fixture, with_key, "", "cn-beijing");
    check_result(&result, EX_OK, "broker: connected", "");
    result = check_online(fixture, with_key, "broker.protocol = 4;", "cn-beijing");
    check_result(&result, EX_OK, "broker: connected", "");
    int guard = -1;
    int port = port_reserve(&guard);
    result = check_online(fixture, with_key,
                          fixture_format(fixture, "broker.uris = (\"mqtt://127.0.0.1:%d\");", port),
                          "cn-beijing");
    check_result(&result, EX_UNAVAILABLE, "cn-beijing: the API accepts the credentials",
                 "broker: not_connected: ");
    result = check_online(fixture, with_key,
                          fixture_format(fixture, "api.endpoint = \"http://127.0.0.1:%d\";", port),
                          "cn-beijing");
    check_result(&result, EX_UNAVAILABLE, "broker: connected", "Bridge.Unreachable");
    close(guard);
}

/* A running bridge keeps its connections, although the settings are the same. */
static void test_check_does_not_disturb_the_bridge(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *const argv[] = {BRIDGE_BINARY, "check",    "--config",   bridge->config,
                                "--online",    "--region", "cn-beijing", NULL};
    struct tool_result result = tool_run(fixture->directory, with_key, argv);
    check_result(&result, EX_OK, "broker: connected", "");
    fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    assert_false(bridge_log_contains(bridge, "event=receiver_down"));
    assert_false(bridge_log_contains(bridge, "event=publisher_down"));
}

static void test_check_prints_when_credentials_expire(struct fixture *fixture)
{
    struct peer *peer = begin_service(fixture, 3600000);
    const char *settings = fixture_format(fixture,
                                          "credentials.provider = \"credentials_uri\"; "
                                          "credentials.uri = \"http://127.0.0.1:%d/x\";",
                                          peer_port(peer));
    struct tool_result result = check_online(fixture, without_key, settings, "cn-beijing");
    check_result(&result, EX_OK,
                 "credentials: credential_uri, access key STS.****ey00, expire at 2", "");
    atomic_store(&service.is_down, 1);
    result = check_online(fixture, without_key, settings, "cn-beijing");
    check_result(&result, EX_UNAVAILABLE, "", "HTTP status 503");
    peer_free(peer);
}

static void test_check_names_the_missing_permission(struct fixture *fixture)
{
    simulator_reset(&fixture->simulator);
    simulator_order(&fixture->simulator, "POST", "faults",
                    "{\"Fault\":\"error\",\"Code\":\"Forbidden.Action\","
                    "\"Match\":{\"Action\":\"DescribeDiskReplicaGroups\"}}");
    struct tool_result result = check_online(fixture, with_key, "", "cn-beijing");
    check_result(&result, EX_CONFIG, "credentials: default/env",
                 "RAM action ebs:DescribeDiskReplicaGroups; for its routes it also needs "
                 "ebs:StartDiskReplicaGroup");
    simulator_reset(&fixture->simulator);
    simulator_order(&fixture->simulator, "POST", "faults",
                    "{\"Fault\":\"error\",\"Code\":\"Forbidden.Action\","
                    "\"Match\":{\"Action\":\"DescribeDiskReplicaGroups\"}}");
    result = check_online(fixture, with_key, "routes.watch = \"until_done\";", "cn-beijing");
    check_result(&result, EX_CONFIG, "credentials: default/env",
                 "routes with \"watch\" need ebs:DescribeDiskReplicaGroups; without it no group is "
                 "watched");
}

static void test_check_reports_refused_and_missing_credentials_and_an_unreachable_api(
    struct fixture *fixture)
{
    static const char *const wrong[] = {"ALIBABA_CLOUD_ACCESS_KEY_ID=" FLOW_ACCESS_KEY,
                                        "ALIBABA_CLOUD_ACCESS_KEY_SECRET=another",
                                        "HOME=/nonexistent", NULL};
    simulator_reset(&fixture->simulator);
    struct tool_result result = check_online(fixture, wrong, "", "cn-beijing");
    check_result(&result, EX_CONFIG, "", "cn-beijing: SignatureDoesNotMatch");
    result = check_online(fixture, without_key, "", "cn-beijing");
    check_result(&result, EX_CONFIG, "", "  env: ALIBABA_CLOUD_ACCESS_KEY_ID and");
    int guard = -1;
    int port = port_reserve(&guard);
    result = check_online(fixture, with_key,
                          fixture_format(fixture, "api.endpoint = \"http://127.0.0.1:%d\";", port),
                          "cn-beijing");
    check_result(&result, EX_UNAVAILABLE, "", "cn-beijing: Bridge.Unreachable");
    close(guard);
    result = check_online(fixture, with_key, "", NULL);
    check_result(&result, EX_USAGE, "", "--region");
    result = check_online(fixture, with_key, "", "a/../b");
    check_result(&result, EX_USAGE, "", "--region");
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_keys_of_an_instances_role_rotate_without_a_failed_command),
        FLOW_TEST(test_credentials_of_a_uri_rotate_without_a_failed_command),
        FLOW_TEST(test_a_key_the_api_refuses_is_replaced_within_the_command),
        FLOW_TEST(test_commands_wait_for_a_service_that_is_down_at_the_start),
        FLOW_TEST(test_a_failed_refresh_leaves_valid_credentials_in_use),
        FLOW_TEST(test_credentials_come_from_a_service_that_asks_for_a_certificate),
        FLOW_TEST(test_a_reload_changes_the_authority_of_the_service),
        FLOW_TEST(test_check_prints_the_identity_and_that_the_api_accepts_it),
        FLOW_TEST(test_check_connects_to_the_broker),
        FLOW_TEST(test_check_does_not_disturb_the_bridge),
        FLOW_TEST(test_check_prints_when_credentials_expire),
        FLOW_TEST(test_check_names_the_missing_permission),
        FLOW_TEST(test_check_reports_refused_and_missing_credentials_and_an_unreachable_api),
    };
    certificates_begin();
    int code = flow_main("credentials", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
    certificates_end();
    return code;
}
