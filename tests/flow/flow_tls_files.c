/* TLS files: error messages, and new files while the bridge runs. */
#include "flow_certificates.h"
#include "flow_load.h"
#include "flow_tls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- Errors in files: `check` and `run` print the file and the problem ---- */

struct fault {
    const char *settings; /* settings of broker.tls and of api; file names are relative to the
                             certificates */
    const char *key;      /* the setting in the message; NULL: no message */
    const char *file;
    const char *what;
    bool is_warning;
};

#define PLAIN  "cert_file = \"plain-client.pem\"; "
#define LOCKED "cert_file = \"client.pem\"; key_file = \"client.key\"; "

static const struct fault faults[] = {
    {.settings = PLAIN "key_file = \"plain-client.key\";"},
    {.settings = LOCKED "key_password_file = \"password\";"},
    {"ca_file = \"nothing\";", "ca_file", "nothing", "holds no certificate in PEM form", false},
    {"ca_path = \"empty\";", "ca_path", "empty", "holds no certificate under a hashed name", false},
    {LOCKED, "key_file", "client.key", "is encrypted, and no key_password_file is set", false},
    {LOCKED "key_password_file = \"wrong-password\";", "key_file", "client.key",
     "does not open with the password in key_password_file", false},
    {PLAIN "key_file = \"soon.key\";", "key_file", "soon.key",
     "is not the key of the certificate in cert_file", false},
    {PLAIN, "cert_file", "plain-client.pem", "holds no private key in PEM form", false},
    {"cert_file = \"nothing\"; key_file = \"soon.key\";", "cert_file", "nothing",
     "holds no certificate in PEM form", false},
    {"cert_file = \"expired.pem\"; key_file = \"expired.key\";", "cert_file", "expired.pem",
     "the certificate expired on 20", false},
    {"cert_file = \"future.pem\"; key_file = \"future.key\";", "cert_file", "future.pem",
     "the certificate is not yet valid; it begins on 20", false},
    {"cert_file = \"soon.pem\"; key_file = \"soon.key\";", "cert_file", "soon.pem",
     "the certificate expires soon, on 20", true},
};

static struct tool_result run_check(struct fixture *fixture, const char *settings,
                                    bool is_powerless)
{
    static const char *const environment[] = {"ALIBABA_CLOUD_ACCESS_KEY_ID=a",
                                              "ALIBABA_CLOUD_ACCESS_KEY_SECRET=b", NULL};
    const char *config =
        fixture_format(fixture, "%s/%s.conf", certificates, fixture_name(fixture, "config"));
    file_write(config, settings);
    /* For root: without these capabilities a file's mode applies to root too. */
    const char *const argv[] = {"setpriv",     "--bounding-set=-dac_override,-dac_read_search",
                                BRIDGE_BINARY, "check",
                                "--config",    config,
                                NULL};
    return tool_run(certificates, environment, is_powerless ? argv : argv + 2);
}

static void check_prints(struct fixture *fixture, const char *settings, bool is_powerless, int code,
                         const char *says)
{
    struct tool_result result = run_check(fixture, settings, is_powerless);
    if (result.code != code || (says == NULL && result.errors[0] != '\0') ||
        (says != NULL && strstr(result.errors, says) == NULL)) {
        flow_fail("exit code %d, and \"%s\" is not in: %s\nsettings: %s", result.code,
                  says == NULL ? "nothing" : says, result.errors, settings);
    }
    tool_result_fini(&result);
}

/* Routes that `check` does not warn of. */
#define LIMITED_ROUTES "routes = ({ groups = (\"pg-*\"); });\n"

static void check_fault(struct fixture *fixture, const struct fault *fault, const char *before,
                        const char *after)
{
    const char *says = fault->key == NULL ? NULL
                                          : fixture_format(fixture, "%s: %s/%s: %s", fault->key,
                                                           certificates, fault->file, fault->what);
    /* The table has relative names, the messages absolute ones. */
    char settings[1024] = "";
    for (const char *at = fault->settings; *at != '\0'; at++) {
        bool is_begin = *at == '"' && at > fault->settings && at[-1] == ' ';
        size_t length = strlen(settings);
        snprintf(settings + length, sizeof settings - length, "%c%s%s", *at,
                 is_begin ? certificates : "", is_begin ? "/" : "");
    }
    check_prints(fixture, fixture_format(fixture, "%s%s%s", before, settings, after), false,
                 fault->key == NULL || fault->is_warning ? EX_OK : EX_CONFIG, says);
}

static void test_check_names_the_file_and_its_problem(struct fixture *fixture)
{
    mkdir(fixture_format(fixture, "%s/empty", certificates), 0700);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        check_fault(fixture, &faults[i], "broker: { tls: { ", "}; };\n" LIMITED_ROUTES);
        check_fault(fixture, &faults[i], "api: { ", "};\n" LIMITED_ROUTES);
    }
}

static void test_a_key_that_cannot_be_read_is_named(struct fixture *fixture)
{
    certificates_copy("plain-client.key", "revoked.key");
    chmod(fixture_format(fixture, "%s/revoked.key", certificates), 0000);
    const char *files = fixture_format(
        fixture, "cert_file = \"%s/plain-client.pem\"; key_file = \"%s/revoked.key\";",
        certificates, certificates);
    const char *says = fixture_format(
        fixture, "key_file: names a file that this user may not read (%s/revoked.key)",
        certificates);
    bool is_root = geteuid() == 0;
    check_prints(fixture, fixture_format(fixture, "broker: { tls: { %s }; };\n", files), is_root,
                 EX_CONFIG, says);
    check_prints(fixture, fixture_format(fixture, "api: { %s };\n", files), is_root, EX_CONFIG,
                 says);
}

static void test_check_warns_of_a_key_that_others_can_open(struct fixture *fixture)
{
    certificates_copy("plain-client.key", "open.key");
    chmod(fixture_format(fixture, "%s/open.key", certificates), 0644);
    const char *files =
        fixture_format(fixture, "cert_file = \"%s/plain-client.pem\"; key_file = \"%s/open.key\";",
                       certificates, certificates);
    check_prints(fixture, fixture_format(fixture, "broker: { tls: { %s }; };\n", files), false,
                 EX_OK, "names a secret file that other users may open (mode 0644)");
    check_prints(fixture, fixture_format(fixture, "api: { %s };\n", files), false, EX_OK,
                 "names a secret file that other users may open (mode 0644)");
}

static void test_a_remote_broker_must_be_verified_if_there_is_a_password(struct fixture *fixture)
{
    const char *far = "broker: { uris = (\"mqtts://broker.example\"); tls: { verify = false; };";
    check_prints(fixture,
                 fixture_format(fixture,
                                "%s username = \"u\"; password_file = \"%s/password\"; };\n", far,
                                certificates),
                 false, EX_CONFIG, "broker.tls.verify: is off while a password or a key is used");
    check_prints(fixture, fixture_format(fixture, "%s };\n", far), false, EX_OK, "warning: ");
}

static void test_a_bridge_with_a_wrong_key_does_not_start(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_new(
        fixture, fixture_format(fixture,
                                "broker.tls.cert_file = \"%s/client.pem\";"
                                "broker.tls.key_file = \"%s/client.key\";"
                                "broker.tls.key_password_file = \"%s/wrong-password\";",
                                certificates, certificates, certificates));
    bridge_start(bridge);
    assert_int_equal(bridge_wait_exit(bridge), EX_CONFIG);
    assert_true(bridge_log_contains(bridge, "does not open with the password"));
    assert_false(bridge_log_contains(bridge, "wrong\n"));
}

/* ---- SIGHUP ---- */

/* Broker and API behind TLS fronts with the certificate `server`; the bridge trusts `trust`. */
struct changing {
    struct tls_front broker;
    struct tls_front api;
    struct bridge *bridge;
};

static void changing_init(struct changing *changing, struct fixture *fixture)
{
    certificates_set_good();
    struct tls_front_options options = {
        .target = fixture->broker.port, .cert = "server", .client = "trust"};
    tls_front_start(&changing->broker, certificates, &options);
    options.target = fixture->simulator.port;
    tls_front_start(&changing->api, certificates, &options);
    changing->bridge = fixture_bridge_alone(
        fixture,
        fixture_format(fixture,
                       "broker.uris = (\"mqtts://127.0.0.1:%d\");"
                       "broker.tls.ca_file = \"%s/trust.pem\";"
                       "broker.tls.cert_file = \"%s/shown.pem\";"
                       "broker.tls.key_file = \"%s/shown.key\";"
                       "api.endpoint = \"https://127.0.0.1:%d\"; api.ca_file = \"%s/trust.pem\";"
                       "api.cert_file = \"%s/shown.pem\"; api.key_file = \"%s/shown.key\";",
                       changing->broker.port, certificates, certificates, certificates,
                       changing->api.port, certificates, certificates, certificates));
    bridge_start(changing->bridge);
    bridge_wait_online(changing->bridge);
}

static void changing_fini(struct changing *changing)
{
    bridge_stop(changing->bridge);
    tls_front_stop(&changing->broker);
    tls_front_stop(&changing->api);
}

static int count_in(const char *path, const char *text)
{
    int count = 0;
    char *content = file_read(path);
    for (const char *at = content; (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    free(content);
    return count;
}

static void wait_count(const char *path, const char *text, int count)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (count_in(path, text) < count) {
        if (flow_now_ms() > end_ms) {
            flow_fail("%s does not contain %d times: %s", path, count, text);
        }
        flow_pause();
    }
}

static void test_certificates_can_change_while_commands_run(struct fixture *fixture)
{
    struct changing changing;
    struct load load;
    enum { COMMANDS = 300 };
    changing_init(&changing, fixture);
    simulator_fault(&fixture->simulator, "\"latency\",\"DelayMs\":20,\"Count\":-1");
    load_init(&load, fixture, fixture_name(fixture, "t"), COMMANDS, COMMANDS, 10);
    load_send(&load, 0, COMMANDS / 3);
    load_wait_answered(&load, 5);
    certificates_set_next(fixture_name(fixture, "next"));
    load_send(&load, COMMANDS / 3, 2 * COMMANDS / 3);
    kill(changing.bridge->pid, SIGHUP);
    bridge_wait_log(changing.bridge, "event=reloaded");
    load_send(&load, 2 * COMMANDS / 3, COMMANDS);
    wait_count(changing.bridge->log, "event=publisher_up", 2);
    wait_count(changing.bridge->log, "event=receiver_up", 2);
    load_wait_answered(&load, COMMANDS);
    load_check(&load);
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), COMMANDS);
    assert_int_equal(simulator_total(&fixture->simulator, "MaxEffectsPerToken"), 1);
    assert_int_equal(count_in(changing.bridge->log, "event=publisher_up"), 2);
    assert_int_equal(count_in(changing.bridge->log, "event=receiver_up"), 2);
    load_fini(&load);
    changing_fini(&changing);
}

static void expect_state(struct fixture *fixture, const struct bridge *bridge, const char *state)
{
    client_expect(fixture->sender, &(struct match){.topic = bridge->status_topic, .state = state});
}

static void test_many_reloads_in_a_row_lose_nothing(struct fixture *fixture)
{
    struct changing changing;
    struct load load;
    enum { ROUNDS = 15, STEP = 20 };
    changing_init(&changing, fixture);
    simulator_fault(&fixture->simulator, "\"latency\",\"DelayMs\":20,\"Count\":-1");
    load_init(&load, fixture, fixture_name(fixture, "t"), ROUNDS * STEP, ROUNDS * STEP, 10);
    for (int i = 0; i < ROUNDS; i++) {
        load_send(&load, i * STEP, (i + 1) * STEP);
        kill(changing.bridge->pid, SIGHUP);
    }
    load_wait_answered(&load, ROUNDS * STEP);
    load_check(&load);
    load_fini(&load);
    changing_fini(&changing);
}

/* The broker refuses the new certificate: a receiver notices, and the status topic reports it. */
static void test_new_certificates_that_the_broker_refuses_are_reported(struct fixture *fixture)
{
    struct changing changing;
    changing_init(&changing, fixture);
    certificates_copy("strange-client.pem", "shown.pem");
    certificates_copy("strange-client.key", "shown.key");
    kill(changing.bridge->pid, SIGHUP);
    expect_state(fixture, changing.bridge, "degraded");
    bridge_wait_log(changing.bridge, "does not trust the authority of the client certificate");
    assert_int_equal(count_in(changing.bridge->log, "event=publisher_up"), 1);
    certificates_copy("plain-client.pem", "shown.pem");
    certificates_copy("plain-client.key", "shown.key");
    kill(changing.bridge->pid, SIGHUP);
    expect_state(fixture, changing.bridge, "online");
    wait_count(changing.bridge->log, "event=publisher_up", 2);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    changing_fini(&changing);
}

static void test_new_files_with_errors_leave_the_old_ones_in_use(struct fixture *fixture)
{
    struct changing changing;
    changing_init(&changing, fixture);
    struct bridge *bridge = changing.bridge;
    certificates_copy("nothing", "trust.pem");
    certificates_copy("client.key", "shown.key");
    kill(bridge->pid, SIGHUP);
    expect_state(fixture, bridge, "degraded");
    assert_true(bridge_log_contains(
        bridge, fixture_format(fixture, "broker.tls.ca_file: %s/trust.pem: holds no certificate",
                               certificates)));
    assert_true(bridge_log_contains(
        bridge, fixture_format(fixture, "api.key_file: %s/shown.key: is encrypted", certificates)));
    assert_false(bridge_log_contains(bridge, "event=reloaded"));
    certificates_copy("good.pem", "trust.pem"); /* the fronts need it; the bridge gets no SIGHUP */
    bridge_kill_children(bridge, "receiver");
    bridge_kill_children(bridge, "publisher");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    certificates_copy("expired.pem", "shown.pem");
    certificates_copy("expired.key", "shown.key");
    kill(bridge->pid, SIGHUP);
    bridge_wait_log(bridge, "shown.pem: the certificate expired on 20");
    assert_false(bridge_log_contains(bridge, "event=reloaded"));
    certificates_set_next(fixture_name(fixture, "next"));
    kill(bridge->pid, SIGHUP);
    bridge_wait_log(bridge, "event=reloaded");
    expect_state(fixture, bridge, "online");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    changing_fini(&changing);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_check_names_the_file_and_its_problem),
        FLOW_TEST(test_a_key_that_cannot_be_read_is_named),
        FLOW_TEST(test_check_warns_of_a_key_that_others_can_open),
        FLOW_TEST(test_a_remote_broker_must_be_verified_if_there_is_a_password),
        FLOW_TEST(test_a_bridge_with_a_wrong_key_does_not_start),
        FLOW_TEST(test_certificates_can_change_while_commands_run),
        FLOW_TEST(test_many_reloads_in_a_row_lose_nothing),
        FLOW_TEST(test_new_certificates_that_the_broker_refuses_are_reported),
        FLOW_TEST(test_new_files_with_errors_leave_the_old_ones_in_use),
    };
    certificates_begin();
    int code = flow_main("tls_files", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
    certificates_end();
    return code;
}
