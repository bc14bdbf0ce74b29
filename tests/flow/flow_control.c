/* What an operator orders of a running bridge with `ecs-mqtt-bridge ctl`. */
#include "flow_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { WORDS_MAX = 12, NOBODY = 65534 };

/* Runs ctl for this bridge; the words end with NULL. */
static struct tool_result ctl(struct bridge *bridge, const char *const *words)
{
    const char *argv[WORDS_MAX + 5] = {BRIDGE_BINARY, "ctl", "--config", bridge->config};
    for (int i = 0; words[i] != NULL; i++) {
        argv[4 + i] = words[i];
    }
    return tool_run(bridge->directory, NULL, argv);
}

static void check_result(struct tool_result *result, int code, const char *text)
{
    const char *where = code == EX_OK ? result->output : result->errors;
    if (result->code != code || strstr(where, text) == NULL) {
        flow_fail("exit code %d: %s%s", result->code, result->output, result->errors);
    }
    tool_result_fini(result);
}

static void check_order(struct bridge *bridge, const char *const *words, int code, const char *text)
{
    struct tool_result result = ctl(bridge, words);
    check_result(&result, code, text);
}

#define ORDER(bridge, code, text, ...) \
    check_order(bridge, (const char *const[]){__VA_ARGS__, NULL}, code, text)

static void test_status_is_the_page_of_the_admin_endpoint(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    struct tool_result result = ctl(bridge, (const char *const[]){"status", NULL});
    assert_int_equal(result.code, EX_OK);
    cJSON *status = cJSON_Parse(result.output);
    assert_string_equal(json_text(status, "State"), "online");
    assert_true(json_has(status, "StartedAt"));
    cJSON_Delete(status);
    tool_result_fini(&result);
}

static void test_the_level_of_the_log_changes_at_once(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "log.level = \"error\";");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    ORDER(bridge, EX_OK, "the log has level info", "level", "info");
    check_succeeded(fixture_request(fixture, token, group, ""));
    bridge_wait_log(bridge, token);
    ORDER(bridge, EX_OK, "before: info", "level", "error");
}

static void test_what_is_not_possible_exits_1_with_the_reason(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    ORDER(bridge, 1, "no session is reported as lost", "ack", "session_lost");
    ORDER(bridge, EX_USAGE, "session_lost", "ack", "everything");
}

/* A killed bridge leaves its socket: nobody answers there, and the next one replaces it. */
static void test_without_a_bridge_it_exits_69(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    ORDER(bridge, EX_UNAVAILABLE, "no bridge answers at", "status");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_kill(bridge);
    ORDER(bridge, EX_UNAVAILABLE, "Connection refused", "status");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    ORDER(bridge, EX_OK, "\"State\":\"online\"", "status");
    bridge_stop(bridge);
    ORDER(bridge, EX_UNAVAILABLE, "No such file or directory; the path is relative", "status");
    fixture_set(bridge, "control.socket = \"none\";");
    ORDER(bridge, EX_UNAVAILABLE, "control.socket = \"none\"", "status");
}

/* In a child: asks the bridge as another user. 0: the connection is closed without an answer. */
static int ask_as_another_user(const struct bridge *bridge)
{
    static const char request[] = "{\"Do\":\"status\"}\n";
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "control.sock"};
    const struct timeval limit = {.tv_sec = FLOW_TIMEOUT_MS / 1000};
    char byte;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (chdir(bridge->directory) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) {
        return 1;
    }
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        return errno == EACCES ? 2 : 3;
    }
    (void)send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
    ssize_t got = TEMP_FAILURE_RETRY(recv(fd, &byte, 1, 0));
    return got == 0 || (got < 0 && errno == ECONNRESET) ? 0 : 4;
}

static int result_of_another_user(const struct bridge *bridge)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(ask_as_another_user(bridge));
    }
    return process_wait(child, FLOW_TIMEOUT_MS);
}

/* By the mode of the file, and where somebody has changed that, by the user of the process. */
static void test_another_user_is_refused_and_the_owner_is_served(struct fixture *fixture)
{
    if (geteuid() != 0) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    struct bridge *bridge = fixture_bridge_alone(fixture, "control.socket = \"control.sock\";");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    assert_int_equal(chmod(bridge->directory, 0711), 0);
    assert_int_equal(result_of_another_user(bridge), 2);
    assert_int_equal(chmod(fixture_format(fixture, "%s/control.sock", bridge->directory), 0666), 0);
    assert_int_equal(result_of_another_user(bridge), 0);
    bridge_wait_log(bridge, fixture_format(fixture, "event=control_refused uid=%d", NOBODY));
    ORDER(bridge, EX_OK, "\"State\":\"online\"", "status");
    bridge_stop(bridge);
}

/* ---- reload ---- */

static void reload(struct bridge *bridge, const char *overrides, int code, const char *text)
{
    fixture_set(bridge, overrides);
    ORDER(bridge, code, text, "reload");
}

static void test_a_reload_without_a_change_is_harmless(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    for (int i = 0; i < 3; i++) {
        reload(bridge, "", EX_OK, "no setting has changed");
        check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"),
                                        fixture_name(fixture, "pg"), ""));
    }
    bridge_stop(bridge);
}

static void test_a_reload_says_what_changed_and_what_needs_a_restart(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *token = fixture_name(fixture, "token");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    reload(bridge, "limits.payload_bytes = 64; broker.keepalive_s = 20; replies.expiry_s = 60;",
           EX_OK, "changes at the next start only: broker.keepalive_s");
    assert_true(bridge_log_contains(bridge, "changed=\"limits.payload_bytes, replies.expiry_s\""));
    token = fixture_name(fixture, "a-token-that-makes-the-command-larger-than-allowed");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    assert_true(bridge_log_contains(bridge, "Bridge.PayloadTooLarge"));
    reload(bridge, "", EX_OK, "changed: limits.payload_bytes, replies.expiry_s");
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    bridge_stop(bridge);
}

static void test_a_file_with_an_error_changes_nothing(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    reload(bridge, "limits.payload_bytes = 64; limits.pending = 0;", 1,
           "limits.pending: is 0; allowed: a whole number");
    client_expect(fixture->sender,
                  &(struct match){.topic = bridge->status_topic, .state = "degraded"});
    check_succeeded(fixture_request(
        fixture, fixture_name(fixture, "a-token-that-makes-the-command-longer-than-64-bytes"),
        fixture_name(fixture, "pg"), ""));
    /* Each is allowed; but the session keeps its time until the restart. */
    reload(bridge, "broker.session_expiry_s = 600; dedup.success_ttl_s = 600;", 1,
           "shorter than broker.session_expiry_s");
    reload(bridge, "", EX_OK, "no setting has changed");
    client_expect(fixture->sender,
                  &(struct match){.topic = bridge->status_topic, .state = "online"});
    bridge_stop(bridge);
}

static void test_new_topics_are_subscribed_and_former_ones_are_not(struct fixture *fixture)
{
    static const char other[] = "ecs-bridge/v1/commands/other";
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *token = fixture_name(fixture, "token");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge->log_offset = file_size(bridge->log);
    reload(bridge, "routes.topics = (\"ecs-bridge/v1/commands/other\");", EX_OK,
           "changed: routes[0].topics");
    bridge_wait_log(bridge, "event=receiver_up");
    client_publish(fixture->sender,
                   &(struct outgoing){
                       .topic = other,
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
                       .qos = 1});
    check_succeeded(fixture_expect_reply(fixture, token));
    /* A restart with these settings has nothing to unsubscribe, and nothing comes by the former
     * topic. */
    fixture_send(fixture, "no command");
    bridge_stop(bridge);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    token = fixture_name(fixture, "token");
    client_publish(fixture->sender,
                   &(struct outgoing){
                       .topic = other,
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
                       .qos = 1});
    check_succeeded(fixture_expect_reply(fixture, token));
    assert_int_equal(client_count(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS}), 0);
    bridge_stop(bridge);
}

/* A command that is being called goes on; those behind it are not called any more. */
static void test_commands_that_wait_are_refused_when_their_group_is_no_longer_allowed(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "api.read_timeout_ms = 60000;");
    const char *group = fixture_name(fixture, "pg");
    const char *called = fixture_name(fixture, "called");
    const char *waiting = fixture_name(fixture, "waiting");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    fixture_send_hanging(fixture, called, group);
    fixture_send(fixture, fixture_command(fixture, waiting, group, ""));
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    reload(bridge, "api.read_timeout_ms = 60000; routes.groups = (\"other-*\");", EX_OK,
           "changed: routes[0].groups");
    check_error(fixture_expect_reply(fixture, waiting), "failed", "Bridge.NotAllowed", "denied",
                false);
    assert_int_equal(simulator_token(&fixture->simulator, waiting, "Calls"), 0);
    reload(bridge, "", EX_OK, "changed:");
    simulator_clear(&fixture->simulator); /* the hanging call is dropped, and made again */
    check_succeeded(fixture_expect_reply(fixture, called));
    bridge_stop(bridge);
}

/* ---- retry and resolve ---- */

/* A command whose only call got no definite answer; the sender has its reply. */
static const char *send_unknown(struct fixture *fixture, const char *group)
{
    const char *token = fixture_name(fixture, "unknown");
    simulator_fault(&fixture->simulator,
                    "\"reset_after\",\"Count\":-1,\"Match\":{\"ClientToken\":\"%s\"}", token);
    check_error(fixture_request(fixture, token, group, ",\"CorrelationId\":\"mine\""), "unknown",
                "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
    simulator_clear(&fixture->simulator);
    return token;
}

#define SHORT "limits.deadline_s = 2; api.read_timeout_ms = 1000; api.connect_timeout_ms = 1000;"

static void test_a_retry_calls_the_same_token_again_and_tells_whoever_asked(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, SHORT);
    const char *group = fixture_name(fixture, "pg");
    const char *token = send_unknown(fixture, group);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    ORDER(bridge, EX_OK, "the same token goes to the API again", "retry", token);
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_succeeded(reply);
    check_text(reply, "CorrelationId", "mine");
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    ORDER(bridge, 1, "is definite", "retry", token);
    ORDER(bridge, 1, "no record", "retry", "never seen");
    reply = fixture_request(fixture, token, group, "");
    check_succeeded(reply);
    assert_true(json_is_true(reply->json, "Replayed"));
}

static void test_a_resolve_is_told_recorded_and_audited(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, SHORT " audit.file = \"audit.log\";");
    const char *group = fixture_name(fixture, "pg");
    const char *token = send_unknown(fixture, group);
    ORDER(bridge, EX_USAGE, "RequestId is missing", "resolve", token, "--as", "succeeded", "--note",
          "x");
    ORDER(bridge, EX_OK, "recorded", "resolve", token, "--as", "succeeded", "--request-id",
          "C123F94F-4E38-19AE-942A-A8D6F44F0000", "--note", "found in the console");
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_succeeded(reply);
    check_text(reply, "RequestId", "C123F94F-4E38-19AE-942A-A8D6F44F0000");
    check_text(reply, "CorrelationId", "mine");
    token = send_unknown(fixture, group);
    ORDER(bridge, EX_OK, "recorded", "resolve", token, "--as", "failed", "--note",
          "the group was not started");
    reply = fixture_expect_reply(fixture, token);
    check_error(reply, "failed", "Bridge.Resolved", "conflict", false);
    check_text(reply, "Error.Message", "the group was not started");
    check_text(reply, "Error.Source", "bridge");
    int calls = simulator_token(&fixture->simulator, token, "Calls");
    reply = fixture_request(fixture, token, group, "");
    check_error(reply, "failed", "Bridge.Resolved", "conflict", false);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), calls);
    bridge_stop(bridge);
    char *audit = file_read(fixture_format(fixture, "%s/audit.log", bridge->directory));
    assert_non_null(strstr(audit, "\"Event\":\"resolved\""));
    assert_non_null(strstr(audit, "\"Note\":\"found in the console\""));
    free(audit);
    const char *const argv[] = {BRIDGE_BINARY,  "ledger", "--config",
                                bridge->config, "verify", NULL};
    struct tool_result result = tool_run(bridge->directory, NULL, argv);
    check_result(&result, EX_OK, "");
}

/* ---- leave and support ---- */

static void test_a_bridge_that_runs_can_be_ordered_to_leave(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *called = fixture_name(fixture, "called");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    fixture_send_hanging(fixture, called, fixture_name(fixture, "pg"));
    ORDER(bridge, EX_OK, "and then ends", "leave");
    ORDER(bridge, 1, "leaving already", "leave");
    bridge_wait_log(bridge, "event=former_session");
    simulator_clear(&fixture->simulator);
    check_succeeded(fixture_expect_reply(fixture, called));
    assert_int_equal(bridge_wait_exit(bridge), 0);
    assert_true(bridge_log_contains(bridge, "event=session_ended"));
    fixture_check_has_left(fixture, bridge);
}

/* Secrets in every place where the bridge may have one. */
static void test_the_file_for_support_holds_no_secret(struct fixture *fixture)
{
    static const char secret[] = "PlantedSecret";
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *password =
        fixture_format(fixture, "%s/%s", fixture->directory, fixture_name(fixture, "password"));
    const char *profile =
        fixture_format(fixture, "%s/%s", fixture->directory, fixture_name(fixture, "profile"));
    const char *file =
        fixture_format(fixture, "%s/%s", fixture->directory, fixture_name(fixture, "support"));
    file_write(password, secret);
    file_write(profile, fixture_format(fixture,
                                       "[default]\ntype = access_key\naccess_key_id = %s\n"
                                       "access_key_secret = %s\n",
                                       secret, secret));
    bridge->env[2] = fixture_format(fixture, "ALIBABA_CLOUD_SECURITY_TOKEN=%s", secret);
    bridge->env[3] = NULL;
    fixture_set(bridge,
                fixture_format(fixture,
                               "broker.username = \"bridge\"; broker.password_file = \"%s\";"
                               "credentials.profile_file = \"%s\"; log.level = \"debug\";"
                               "credentials.uri = \"http://127.0.0.1:9/%s\";",
                               password, profile, secret));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    fixture_send(fixture, fixture_command(fixture, fixture_name(fixture, "token"),
                                          fixture_name(fixture, "pg"), ""));
    fixture_expect_nothing(fixture, &(struct match){.token = "no such token"});
    ORDER(bridge, EX_OK, "is written", "support", file);
    ORDER(bridge, 1, "File exists", "support", file);
    char *text = file_read(file);
    assert_null(strstr(text, secret));
    assert_null(strstr(text, FLOW_ACCESS_SECRET));
    cJSON *json = cJSON_Parse(text);
    assert_true(json_has(json, "Bridge.Version"));
    assert_true(json_has(json, "Bridge.Libraries.sqlite"));
    assert_true(json_has(json, "Bridge.Status.State"));
    assert_true(json_has(json, "Bridge.Settings"));
    assert_true(json_has(json, "Bridge.Metrics"));
    assert_true(json_has(json, "Ledger"));
    assert_non_null(strstr(text, "http://127.0.0.1:9/***"));
    assert_non_null(strstr(text, "event=receiver_up"));
    assert_non_null(strstr(text, "ecs_mqtt_bridge_build_info"));
    cJSON_Delete(json);
    free(text);
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_status_is_the_page_of_the_admin_endpoint),
        FLOW_TEST(test_the_level_of_the_log_changes_at_once),
        FLOW_TEST(test_what_is_not_possible_exits_1_with_the_reason),
        FLOW_TEST(test_without_a_bridge_it_exits_69),
        FLOW_TEST(test_another_user_is_refused_and_the_owner_is_served),
        FLOW_TEST(test_a_reload_without_a_change_is_harmless),
        FLOW_TEST(test_a_reload_says_what_changed_and_what_needs_a_restart),
        FLOW_TEST(test_a_file_with_an_error_changes_nothing),
        FLOW_TEST(test_new_topics_are_subscribed_and_former_ones_are_not),
        FLOW_TEST(test_a_retry_calls_the_same_token_again_and_tells_whoever_asked),
        FLOW_TEST(test_a_resolve_is_told_recorded_and_audited),
        FLOW_TEST(test_a_bridge_that_runs_can_be_ordered_to_leave),
        FLOW_TEST(test_the_file_for_support_holds_no_secret),
        FLOW_TEST(test_commands_that_wait_are_refused_when_their_group_is_no_longer_allowed),
    };
    return flow_main("control", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
