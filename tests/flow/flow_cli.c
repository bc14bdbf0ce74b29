/* The subcommands as users and scripts call them: output and exit codes. */
#include "flow_fixture.h"
#include "flow_settings.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 20 };

static const char *const environment[] = {"ALIBABA_CLOUD_ACCESS_KEY_ID=" FLOW_ACCESS_KEY,
                                          "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" FLOW_ACCESS_SECRET,
                                          NULL};

/* Routes that `check` does not warn of. */
#define LIMITED_ROUTES "routes = ({ groups = (\"pg-*\"); });\n"

/* Runs the bridge's binary; the arguments end with NULL. */
static struct tool_result run(struct fixture *fixture, const char *const *arguments)
{
    const char *argv[ARGUMENTS_MAX + 2] = {BRIDGE_BINARY};
    for (size_t i = 0; arguments[i] != NULL; i++) {
        assert_true(i < ARGUMENTS_MAX);
        argv[i + 1] = arguments[i];
    }
    return tool_run(fixture->directory, environment, argv);
}

#define RUN(fixture, ...) run((fixture), (const char *const[]){__VA_ARGS__, NULL})

static void expect_code(struct tool_result *result, int code)
{
    if (result->code != code) {
        flow_fail("exit code %d, not %d: %s%s", result->code, code, result->output, result->errors);
    }
}

static void expect_in(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        flow_fail("\"%s\" is not in: %s", part, text);
    }
}

static const char *write_config(struct fixture *fixture, const char *text)
{
    const char *path =
        fixture_format(fixture, "%s/%s.conf", fixture->directory, fixture_name(fixture, "config"));
    file_write(path, text);
    return path;
}

/* --- help and wrong calls --- */

static void test_every_subcommand_has_help(struct fixture *fixture)
{
    static const char *const names[] = {"run", "check", "send", "ctl", "ledger", "version"};
    struct tool_result all = RUN(fixture, "--help");
    expect_code(&all, EX_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        expect_in(all.output, names[i]);
        struct tool_result help = RUN(fixture, names[i], "--help");
        expect_code(&help, EX_OK);
        expect_in(help.output, "Usage: ecs-mqtt-bridge");
        expect_in(help.output, names[i]);
        assert_string_equal(help.errors, "");
        tool_result_fini(&help);
    }
    tool_result_fini(&all);
}

static void test_a_wrong_call_prints_a_message_and_exits_64(struct fixture *fixture)
{
    static const char *const calls[][5] = {
        {NULL},
        {"walk", NULL},
        {"run", NULL},
        {"check", NULL},
        {"send", NULL},
        {"check", "--wrong", NULL},
        {"ctl", NULL},
        {"ctl", "stop", NULL},
        {"ctl", "level", NULL},
        {"ctl", "level", "loud"},
        {"ctl", "status", "surplus", NULL},
        {"check", "--config", NULL},
        {"version", "surplus", NULL},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct tool_result result = run(fixture, calls[i]);
        expect_code(&result, EX_USAGE);
        assert_string_not_equal(result.errors, "");
        assert_string_equal(result.output, "");
        tool_result_fini(&result);
    }
}

static void test_version_names_the_libraries(struct fixture *fixture)
{
    struct tool_result result = RUN(fixture, "version");
    expect_code(&result, EX_OK);
    expect_in(result.output, "ecs-mqtt-bridge 0.");
    expect_in(result.output, "paho-mqtt 1.");
    expect_in(result.output, "sqlite 3.");
    tool_result_fini(&result);
}

/* --- check --- */

static void test_a_good_configuration_is_good(struct fixture *fixture)
{
    const char *path = write_config(fixture, "instance = \"a\";\n" LIMITED_ROUTES);
    struct tool_result result = RUN(fixture, "check", "--config", path, "--strict");
    expect_code(&result, EX_OK);
    assert_string_equal(result.errors, "");
    tool_result_fini(&result);
}

struct mistake {
    const char *text;
    int line;
    const char *key;
};

static void test_a_mistake_is_reported_with_file_line_and_key(struct fixture *fixture)
{
    static const struct mistake mistakes[] = {
        {"instance = \"a\";\nbroker: { prot = 5; };\n", 2, "prot"},
        {"broker: {\n  protocol = 3;\n};\n", 2, "broker.protocol"},
        {"broker: {\n  protocol = \"5\";\n};\n", 2, "broker.protocol"},
        {"\n\nlimits: { deadline_s = 0; };\n", 3, "limits.deadline_s"},
        {"api: { endpoint = \"http://example.com\"; };\n", 1, "api.endpoint"},
        {"api: { signature = \"v9\"; };\n", 1, "api.signature"},
        {"ledger: { store = \"mysql://db/bridge\"; };\n", 1, "ledger.store"},
        {"credentials: { provider = \"imds\"; };\n", 1, "credentials.provider"},
        {"routes = (\n{ name = \"a\"; },\n{ name = \"a\"; topics = (\"x\"); }\n);\n", 3, "name"},
        {"routes = ({ topics = (\"a/#/b\"); });\n", 1, "topics"},
        {"instance = \"a\";\nbroker = = 5;\n", 2, ""},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        const char *path = write_config(fixture, mistakes[i].text);
        struct tool_result result = RUN(fixture, "check", "--config", path);
        expect_code(&result, EX_CONFIG);
        expect_in(result.errors, fixture_format(fixture, "%s:%d:", path, mistakes[i].line));
        expect_in(result.errors, mistakes[i].key);
        tool_result_fini(&result);
    }
}

static void test_a_missing_file_is_a_configuration_error(struct fixture *fixture)
{
    static const char *const names[] = {"check", "run", "send"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tool_result result = RUN(fixture, names[i], "--config", "/nonexistent/bridge.conf",
                                        i == 2 ? "--token" : NULL, "x");
        expect_code(&result, EX_CONFIG);
        expect_in(result.errors, "/nonexistent/bridge.conf");
        tool_result_fini(&result);
    }
}

static void test_a_bad_configuration_does_not_run(struct fixture *fixture)
{
    const char *path = write_config(fixture, "instanc = \"a\";\n");
    struct tool_result result = RUN(fixture, "run", "--config", path);
    expect_code(&result, EX_CONFIG);
    expect_in(result.errors, fixture_format(fixture, "%s:1:", path));
    tool_result_fini(&result);
}

static void test_what_check_prints_is_the_same_configuration(struct fixture *fixture)
{
    const char *path = write_config(
        fixture, "instance = \"a \\\"b\\\"\";\n"
                 "broker: { uris = (\"mqtts://[::1]:8883\", \"ws://127.0.0.1:80/mqtt\");"
                 " session_expiry_s = 4294967295L; };\n"
                 "dedup: { success_ttl_s = 4294967295L; };\n"
                 "api: { rate_per_s = 0.25; network = \"vpc\"; };\n"
                 "routes = ({ name = \"one\"; topics = (\"a/+\", \"b\"); share = \"g\";"
                 " defaults: { RegionId = \"cn-beijing\"; OneShot = true; };"
                 " response_topics = (); cooldown = \"defer\"; },"
                 " { name = \"two\"; topics = (\"c\"); client_token = \"required\"; });\n");
    struct tool_result first = RUN(fixture, "check", "--config", path, "--print");
    expect_code(&first, EX_OK);
    struct tool_result second =
        RUN(fixture, "check", "--config", write_config(fixture, first.output), "--print");
    expect_code(&second, EX_OK);
    assert_string_equal(first.output, second.output);
    expect_in(first.output, "4294967295");
    expect_in(first.output, "mqtts://[::1]:8883");
    tool_result_fini(&first);
    tool_result_fini(&second);
}

static void test_the_defaults_are_printed_whole(struct fixture *fixture)
{
    struct tool_result result =
        RUN(fixture, "check", "--config", write_config(fixture, ""), "--print");
    expect_code(&result, EX_OK);
    static const char *const keys[] = {"protocol", "receive_maximum", "preset",  "rate_burst",
                                       "provider", "durability",      "pending", "dead_letters",
                                       "listen",   "format",          "share",   "accepted_reply"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        expect_in(result.output, keys[i]);
    }
    tool_result_fini(&result);
}

/* Dangerous settings: warnings, no errors. */
static void test_dangers_are_reported_and_pass(struct fixture *fixture)
{
    static const struct mistake dangers[] = {
        {"limits: { deadline_s = 3; };\n", 1, "limits.deadline_s"},
        {"broker: { session_expiry_s = 10; };\n", 1, "broker.session_expiry_s"},
        {"routes = ({ response_topics = (\"#\"); });\n", 1, "response_topics"},
        {"broker: { uris = (\"mqtt://broker.example:1883\"); };\n", 1, "broker.uris"},
        {"\nbroker: { username = \"${MQTT_USER}\"; };\n", 2, "${MQTT_USER}"},
        {"routes = ({\n regions = (\"cn_beijing\"); });\n", 2, "routes[0].regions[0]"},
        {"routes = ({\n groups = (\"*\"); });\n", 2, "routes[0].groups"},
        {"admin: { listen = \"0.0.0.0:9464\"; };\n", 1, "admin.listen"},
    };
    for (size_t i = 0; i < sizeof dangers / sizeof dangers[0]; i++) {
        const char *path = write_config(fixture, dangers[i].text);
        struct tool_result result = RUN(fixture, "check", "--config", path);
        expect_code(&result, EX_OK);
        expect_in(result.errors, fixture_format(fixture, "%s:%d:", path, dangers[i].line));
        expect_in(result.errors, dangers[i].key);
        struct tool_result strict = RUN(fixture, "check", "--config", path, "--strict");
        expect_code(&strict, EX_CONFIG);
        expect_in(strict.errors, "--strict");
        assert_string_equal(strict.output, "");
        tool_result_fini(&result);
        tool_result_fini(&strict);
    }
}

static void test_check_keeps_its_lines_in_order_where_both_streams_go_to_one_file(
    struct fixture *fixture)
{
    const char *path = write_config(fixture, "broker: { uris = (\"mqtt://127.0.0.1:1\"); };\n"
                                             "api: { endpoint = \"http://127.0.0.1:1\"; };\n");
    const char *argv[] = {
        "/bin/sh",     "-c", "exec \"$0\" check --config \"$1\" --online --region cn-beijing 2>&1",
        BRIDGE_BINARY, path, NULL};
    struct tool_result result = tool_run(fixture->directory, environment, argv);
    expect_code(&result, EX_UNAVAILABLE);
    const char *no_errors = strstr(result.output, "no errors\n");
    const char *credentials = strstr(result.output, "\ncredentials: ");
    const char *broker = strstr(result.output, "\nbroker: not_connected");
    assert_true(no_errors != NULL && no_errors < credentials && credentials < broker);
    tool_result_fini(&result);
}

/* `run` refuses it, too: each of its messages would become another one, without end. */
static void test_a_route_that_takes_in_the_bridges_own_topics_does_not_run(struct fixture *fixture)
{
    const char *path = write_config(fixture, "routes = ({\n topics = (\"ecs-bridge/v1/#\"); });\n");
    static const char *const names[] = {"check", "run"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tool_result result = RUN(fixture, names[i], "--config", path);
        expect_code(&result, EX_CONFIG);
        expect_in(result.errors, fixture_format(fixture, "%s:2: routes[0].topics[0]:", path));
        expect_in(result.errors, "topics.dead_letters");
        tool_result_fini(&result);
    }
}

static const char *store_in(struct fixture *fixture, const char *directory)
{
    return fixture_format(fixture, "ledger.store=sqlite:%s/%s/ledger.db", fixture->directory,
                          directory);
}

/* The place of the ledger, as the first thing that a new installation gets wrong. */
static void test_check_looks_at_the_ledgers_place(struct fixture *fixture)
{
    const char *path = write_config(fixture, LIMITED_ROUTES);
    const char *name = fixture_name(fixture, "place");
    const char *directory = fixture_format(fixture, "%s/%s", fixture->directory, name);
    const char *store = store_in(fixture, name);
    struct tool_result missing = RUN(fixture, "check", "--config", path, "--set", store);
    expect_code(&missing, EX_CONFIG);
    expect_in(missing.errors,
              fixture_format(fixture, "ledger.store: the directory %s does not exist", directory));
    assert_int_equal(mkdir(directory, 0700), 0);
    struct tool_result good = RUN(fixture, "check", "--config", path, "--set", store, "--strict");
    expect_code(&good, EX_OK);
    const char *ledger = fixture_format(fixture, "%s/ledger.db", directory);
    file_write(ledger, "not empty");
    assert_int_equal(chmod(ledger, 0640), 0);
    struct tool_result open = RUN(fixture, "check", "--config", path, "--set", store);
    expect_code(&open, EX_OK);
    expect_in(open.errors, "may be opened by other users (mode 0640)");
    assert_int_equal(unlink(ledger), 0);
    file_write(fixture_format(fixture, "%s-wal", ledger), "log");
    struct tool_result orphan = RUN(fixture, "check", "--config", path, "--set", store);
    expect_code(&orphan, EX_CONFIG);
    expect_in(orphan.errors, "does not exist, but its write-ahead log");
    tool_result_fini(&missing);
    tool_result_fini(&good);
    tool_result_fini(&open);
    tool_result_fini(&orphan);
}

/* --- --set --- */

static void test_an_option_replaces_a_setting_of_every_subcommand(struct fixture *fixture)
{
    const char *path = write_config(fixture, LIMITED_ROUTES);
    struct tool_result printed =
        RUN(fixture, "check", "--config", path, "--print", "--set", "log.level=debug", "--set",
            "broker.uris=(\"mqtt://[::1]:1\")", "-S", "broker.username=a b");
    expect_code(&printed, EX_OK);
    expect_in(printed.output, "level = \"debug\";");
    expect_in(printed.output, "uris = (\"mqtt://[::1]:1\");");
    expect_in(printed.output, "username = \"a b\";");
    static const char *const names[] = {"check", "run", "send", "ledger"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct tool_result result =
            RUN(fixture, names[i], "--config", path, "--set", "log.level=loud");
        expect_code(&result, EX_CONFIG);
        expect_in(result.errors, "--set: log.level: is not one of the choices");
        tool_result_fini(&result);
    }
    struct tool_result ledger =
        RUN(fixture, "ledger", "--config", path, "--set", store_in(fixture, "nowhere"), "list");
    expect_code(&ledger, 73);
    expect_in(ledger.errors, "nowhere/ledger.db");
    struct tool_result elsewhere =
        RUN(fixture, "ledger", "--config", path, "--set", "ledger.store=sqlite:missing.db", "list");
    expect_code(&elsewhere, 73);
    expect_in(elsewhere.errors, "the path is relative");
    tool_result_fini(&elsewhere);
    tool_result_fini(&printed);
    tool_result_fini(&ledger);
}

static void test_a_secret_that_all_can_read_is_a_danger(struct fixture *fixture)
{
    const char *secret = write_config(fixture, "password");
    const char *path = write_config(
        fixture,
        fixture_format(fixture,
                       "broker: { password_file = \"%s\"; username = \"u\"; };\n" LIMITED_ROUTES,
                       secret));
    chmod(secret, 0644);
    struct tool_result open = RUN(fixture, "check", "--config", path);
    expect_code(&open, EX_OK);
    expect_in(open.errors, "broker.password_file");
    chmod(secret, 0600);
    struct tool_result closed = RUN(fixture, "check", "--config", path);
    expect_code(&closed, EX_OK);
    assert_string_equal(closed.errors, "");
    tool_result_fini(&open);
    tool_result_fini(&closed);
}

/* --- run --- */

static void test_a_store_that_cannot_be_opened_exits_73(struct fixture *fixture)
{
    struct bridge *bridge =
        fixture_bridge_new(fixture, "ledger.store = \"sqlite:/nonexistent/dir/ledger.db\";");
    bridge_start(bridge);
    assert_int_equal(bridge_wait_exit(bridge), EX_CANTCREAT);
    assert_true(bridge_log_contains(
        bridge,
        "/nonexistent/dir/ledger.db.lock: No such file or directory; create the directory"));
}

static void test_a_second_bridge_on_the_same_ledger_does_not_start(struct fixture *fixture)
{
    struct bridge *first = fixture_bridge(fixture, "");
    struct bridge *second = fixture_bridge_new(
        fixture,
        fixture_format(fixture, "ledger.store = \"sqlite:%s/ledger.db\";", first->directory));
    bridge_start(second);
    assert_int_not_equal(bridge_wait_exit(second), 0);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
}

/* --- send --- */

#define SEND(fixture, bridge, ...)                                                            \
    RUN((fixture), "send", "--config", (bridge)->config, "--region", "cn-beijing", "--group", \
        fixture_name((fixture), "pg"), __VA_ARGS__)

static void check_sent(struct tool_result *result, int code, const char *status)
{
    expect_code(result, code);
    cJSON *reply = cJSON_Parse(result->output);
    if (strcmp(json_text(reply, "Status"), status) != 0) {
        flow_fail("send did not print a reply that is %s: %s", status, result->output);
    }
    cJSON_Delete(reply);
    tool_result_fini(result);
}

static void test_send_exits_0_for_a_success(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    struct tool_result result = SEND(fixture, bridge, "--token", token, "--one-shot");
    check_sent(&result, 0, "succeeded");
    cJSON *rows = simulator_requests(&fixture->simulator, token);
    assert_string_equal(json_text(cJSON_GetArrayItem(rows, 0), "Params.OneShot"), "true");
    cJSON_Delete(rows);
}

/* Of two routes, the action chooses the one to send by. */
static void test_send_stops_a_group_with_the_action(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(
        fixture, "routes = ( { name = \"start\"; }, { name = \"stop\"; topics = (\"cli/stop\");"
                 " action = \"StopDiskReplicaGroup\"; } );");
    const char *group = fixture_name(fixture, "pg");
    simulator_order(&fixture->simulator, "POST", "groups",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",\"Status\":\"normal\"}",
                    group);
    struct tool_result result =
        RUN(fixture, "send", "--config", bridge->config, "--region", "cn-beijing", "--group", group,
            "--action", "StopDiskReplicaGroup");
    expect_in(result.output, "\"Action\":\"StopDiskReplicaGroup\"");
    check_sent(&result, 0, "succeeded");
    static const struct {
        const char *action;
        const char *option;
        const char *value;
        const char *says;
    } faults[] = {
        {"StopDiskReplicaGroup", "--one-shot", NULL, "OneShot"},
        {"StopDiskReplicaGroup", "--route", "start", "Action must be the action of the route"},
        {"FailoverDiskReplicaGroup", NULL, NULL, "no route with that action"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        result =
            RUN(fixture, "send", "--config", bridge->config, "--region", "cn-beijing", "--group",
                group, "--action", faults[i].action, faults[i].option, faults[i].value);
        expect_code(&result, EX_USAGE);
        expect_in(result.errors, faults[i].says);
        tool_result_fini(&result);
    }
}

static void test_send_exits_1_for_a_failure(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"OperationDenied\"");
    struct tool_result result = SEND(fixture, bridge, "--timeout", "20");
    check_sent(&result, 1, "failed");
}

static void test_send_exits_2_for_an_unknown_outcome(struct fixture *fixture)
{
    struct bridge *bridge =
        fixture_bridge(fixture, "limits.deadline_s = 1; api.read_timeout_ms = 300;");
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    struct tool_result result = SEND(fixture, bridge, "--timeout", "20");
    check_sent(&result, 2, "unknown");
}

/* Somebody takes the commands and does not answer. */
static void test_send_exits_3_without_a_reply(struct fixture *fixture)
{
    struct bridge *silent = fixture_bridge_new(fixture, "routes.topics = (\"silent/start\");");
    client_subscribe(fixture->sender, "silent/start");
    struct tool_result result = SEND(fixture, silent, "--timeout", "1", "--token", "silent-1");
    expect_code(&result, 3);
    expect_in(result.errors, "no reply (in time)");
    expect_in(result.errors, "--token silent-1");
    assert_string_equal(result.output, "");
    tool_result_fini(&result);
}

/* The broker says so with MQTT 5; the timeout is longer than the test may take. */
static void test_send_says_that_nobody_subscribes(struct fixture *fixture)
{
    struct bridge *absent = fixture_bridge_new(fixture, "routes.topics = (\"nobody/start\");");
    struct tool_result result = SEND(fixture, absent, "--timeout", "600", "--token", "absent-1");
    expect_code(&result, 3);
    expect_in(result.errors, "nobody subscribes to nobody/start");
    expect_in(result.errors, "--token absent-1");
    assert_string_equal(result.output, "");
    tool_result_fini(&result);
}

/* As the bridge would refuse it, but without a broker. */
static void test_send_refuses_what_the_bridge_would_refuse(struct fixture *fixture)
{
    static const struct {
        const char *option;
        const char *value;
        const char *says;
    } faults[] = {
        {"--token", "", "ClientToken"},
        {"--token", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         "ClientToken"},
        {"--token", "t\xc3\xb6k", "ClientToken"},
        {"--region", "cn_beijing", "RegionId"},
        {"--group", "", "ReplicaGroupId"},
        {"--group", "other-1", "does not allow"},
        {"--not-after", "tomorrow", "NotAfter"},
    };
    int guard = -1;
    int port = port_reserve(&guard);
    struct bridge *nobody =
        fixture_bridge_new(fixture, fixture_format(fixture,
                                                   "broker.uris = (\"mqtt://127.0.0.1:%d\");"
                                                   "routes.groups = (\"pg-*\");",
                                                   port));
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct tool_result result =
            RUN(fixture, "send", "--config", nobody->config, "--region", "cn-beijing", "--group",
                "pg-1", faults[i].option, faults[i].value);
        expect_code(&result, EX_USAGE);
        expect_in(result.errors, faults[i].says);
        tool_result_fini(&result);
    }
    close(guard);
}

static void test_send_prints_its_token_when_it_is_interrupted(struct fixture *fixture)
{
    struct bridge *silent = fixture_bridge_new(fixture, "routes.topics = (\"silent/start\");");
    const char *errors = fixture_format(fixture, "%s/interrupted", fixture->directory);
    static const int signals[] = {SIGINT, SIGTERM};
    client_subscribe(fixture->sender, "silent/start");
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        const char *const argv[] = {BRIDGE_BINARY, "send", "--config", silent->config,
                                    "--region",    "cn-a", "--group",  "pg-1",
                                    "--token",     token,  NULL};
        file_write(errors, "");
        pid_t pid = process_start(&(struct process_spec){
            .argv = argv, .env = environment, .directory = fixture->directory, .errors = errors});
        client_expect(fixture->sender, &(struct match){.topic = "silent/start", .token = token});
        assert_int_equal(process_end(pid, signals[i], FLOW_TIMEOUT_MS), 3);
        char *text = file_read(errors);
        expect_in(text, "interrupted");
        expect_in(text, fixture_format(fixture, "--token %s", token));
        free(text);
    }
}

static void test_send_exits_69_without_a_broker(struct fixture *fixture)
{
    int guard = -1;
    int port = port_reserve(&guard);
    struct bridge *nobody = fixture_bridge_new(
        fixture, fixture_format(fixture, "broker.uris = (\"mqtt://127.0.0.1:%d\");", port));
    struct tool_result result = SEND(fixture, nobody, "--timeout", "2");
    expect_code(&result, EX_UNAVAILABLE);
    tool_result_fini(&result);
    close(guard);
}

static void test_send_speaks_3_1_1_where_the_bridge_does(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "broker.protocol = 4;");
    struct tool_result result = SEND(fixture, bridge, "--timeout", "20");
    check_sent(&result, 0, "succeeded");
}

static void test_send_recognises_its_own_reply_among_those_of_its_token(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    struct tool_result first = SEND(fixture, bridge, "--token", token);
    struct tool_result second = SEND(fixture, bridge, "--token", token);
    check_sent(&first, 0, "succeeded");
    check_sent(&second, 1, "failed");
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_every_subcommand_has_help),
        FLOW_TEST(test_a_wrong_call_prints_a_message_and_exits_64),
        FLOW_TEST(test_version_names_the_libraries),
        FLOW_TEST(test_a_good_configuration_is_good),
        FLOW_TEST(test_a_mistake_is_reported_with_file_line_and_key),
        FLOW_TEST(test_a_missing_file_is_a_configuration_error),
        FLOW_TEST(test_a_bad_configuration_does_not_run),
        FLOW_TEST(test_what_check_prints_is_the_same_configuration),
        FLOW_TEST(test_the_defaults_are_printed_whole),
        FLOW_TEST(test_dangers_are_reported_and_pass),
        FLOW_TEST(test_a_secret_that_all_can_read_is_a_danger),
        FLOW_TEST(test_a_route_that_takes_in_the_bridges_own_topics_does_not_run),
        FLOW_TEST(test_check_keeps_its_lines_in_order_where_both_streams_go_to_one_file),
        FLOW_TEST(test_check_looks_at_the_ledgers_place),
        FLOW_TEST(test_an_option_replaces_a_setting_of_every_subcommand),
        FLOW_TEST(test_a_store_that_cannot_be_opened_exits_73),
        FLOW_TEST(test_a_second_bridge_on_the_same_ledger_does_not_start),
        FLOW_TEST(test_send_exits_0_for_a_success),
        FLOW_TEST(test_send_stops_a_group_with_the_action),
        FLOW_TEST(test_send_exits_1_for_a_failure),
        FLOW_TEST(test_send_recognises_its_own_reply_among_those_of_its_token),
        FLOW_TEST(test_send_exits_3_without_a_reply),
        FLOW_TEST(test_send_says_that_nobody_subscribes),
        FLOW_TEST(test_send_refuses_what_the_bridge_would_refuse),
        FLOW_TEST(test_send_prints_its_token_when_it_is_interrupted),
        FLOW_TEST(test_send_exits_69_without_a_broker),
        FLOW_TEST(test_send_exits_2_for_an_unknown_outcome),
        FLOW_TEST(test_send_speaks_3_1_1_where_the_bridge_does),
    };
    return flow_main("command line", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
