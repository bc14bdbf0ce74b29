/*
 * No output of the bridge holds a secret: log, published messages, pages, ledger, files, /proc of
 * its processes, output of its subcommands. Every secret here is unique, and holds characters that
 * encoders change.
 */
#include "flow_fixture.h"
#include "flow_http.h"
#include "flow_leak.h"
#include "support/sanitizer.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_ID            "LTAI5tLeakTestKey9zQx7Wd"
#define KEY_SECRET        "Leak+Of/The&Key=Secret9zQ"
#define SESSION_TOKEN     "CAIS+Leak/Of&The=Session%Token9zQ"
#define BROKER_PASSWORD   "Leak+Of/The&Broker=Password%9zQ"
#define WRONG_PASSWORD    "Leak+Of/Another&Broker=Password%9zQ"
#define KEYFILE_PASSWORD  "Leak+Of/The&Keyfile=Password9zQ"
#define WRONG_KEYPASSWORD "Leak+Of/Another&Keyfile=Password9zQ"
#define PROXY_PASSWORD    "LeakOfTheProxyPassword9zQ"

enum { MASKED_BYTES = 16 };

static const char *const secrets[] = {KEY_ID,
                                      KEY_SECRET,
                                      SESSION_TOKEN,
                                      BROKER_PASSWORD,
                                      WRONG_PASSWORD,
                                      KEYFILE_PASSWORD,
                                      WRONG_KEYPASSWORD,
                                      PROXY_PASSWORD,
                                      NULL};

static const char *const keys[] = {"ALIBABA_CLOUD_ACCESS_KEY_ID=" KEY_ID,
                                   "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" KEY_SECRET,
                                   "ALIBABA_CLOUD_SECURITY_TOKEN=" SESSION_TOKEN, NULL};

/* The bridge's input files are here; its output is in the fixture's folder. */
static char inputs[64];
static int tls_port;

static const char *input(struct fixture *fixture, const char *name)
{
    return fixture_format(fixture, "%s/%s", inputs, name);
}

/* --- a simulator with its own key and session --- */

static struct simulator api_start(struct fixture *fixture)
{
    struct simulator api = {0};
    const char *port_file = fixture_format(fixture, "%s/port", inputs);
    const char *const argv[] = {SIMULATOR_BINARY,
                                "--listen",
                                "127.0.0.1:0",
                                "--port-file",
                                port_file,
                                "--access-key",
                                KEY_ID ":" KEY_SECRET,
                                "--security-token",
                                SESSION_TOKEN,
                                "--auto-create",
                                "--sync-ms",
                                "0",
                                "--quiet",
                                NULL};
    const struct process_spec spec = {.argv = argv};
    unlink(port_file);
    api.pid = process_start(&spec);
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (file_size(port_file) == 0) {
        if (flow_now_ms() > end_ms) {
            flow_fail("the simulator did not start");
        }
        flow_pause();
    }
    char *text = file_read(port_file);
    api.port = atoi(text);
    free(text);
    return api;
}

/* A bridge with every kind of secret; `overrides` may replace settings. */
static struct bridge *secretive_bridge(struct fixture *fixture, int api_port, const char *overrides)
{
    struct bridge *bridge = fixture_bridge_new(
        fixture, fixture_format(fixture,
                                "log.level = \"debug\"; broker.username = \"leaky\";"
                                " broker.password_file = \"%s\";"
                                " api.endpoint = \"http://127.0.0.1:%d\";"
                                " admin.listen = \"127.0.0.1:0\"; %s",
                                input(fixture, "password"), api_port, overrides));
    size_t count = 0;
    for (; keys[count] != NULL; count++) {
        bridge->env[count] = keys[count];
    }
    bridge->env[count++] = fixture_format(fixture, "TMPDIR=%s", bridge->directory);
    bridge->env[count] = NULL;
    return bridge;
}

static void check_processes(const struct bridge *bridge)
{
    static const char *const roles[] = {"receiver", "publisher"};
    pid_t pids[BRIDGE_CHILDREN_MAX];
    leak_check_process(bridge->pid, secrets);
    for (size_t i = 0; i < 2; i++) {
        int count = bridge_children(bridge, roles[i], pids);
        assert_true(count > 0);
        for (int k = 0; k < count; k++) {
            leak_check_process(pids[k], secrets);
        }
    }
}

static void check_pages(const struct bridge *bridge)
{
    static const char *const pages[] = {"/", "/metrics", "/livez", "/readyz", "/status"};
    int port = bridge_admin_port(bridge);
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        char *page = NULL;
        assert_int_not_equal(http_exchange(port, "GET", pages[i], NULL, &page), 0);
        for (size_t k = 0; secrets[k] != NULL; k++) {
            assert_null(leak_in_bytes(page, strlen(page), secrets[k]));
        }
        free(page);
    }
}

/* Writes everything that is published, with its properties, to a file. */
static pid_t listen_to_all(struct fixture *fixture)
{
    const char *port = fixture_format(fixture, "%d", fixture->broker.port);
    const char *file = fixture_format(fixture, "%s/all-messages", fixture->directory);
    const char *marker = fixture_name(fixture, "marker");
    const char *const argv[] = {
        "mosquitto_sub",     "-V", "5", "-h", "127.0.0.1", "-p", port, "-t", "#", "-F",
        "%t|%p|%P|%D|%C|%R", NULL};
    const struct process_spec spec = {.argv = argv, .output = file};
    pid_t pid = process_start(&spec);
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (!file_contains(file, 0, marker)) {
        if (flow_now_ms() > end_ms) {
            flow_fail("nothing is heard of what is published");
        }
        client_publish(fixture->sender,
                       &(struct outgoing){.topic = marker, .payload = "", .qos = 1});
        flow_pause();
    }
    return pid;
}

static void check_all(struct fixture *fixture)
{
    assert_true(leak_check_tree(fixture->directory, secrets, "bridge.conf") >= 4);
}

static void ask_and_count(struct fixture *fixture, const char *status)
{
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    check_text(reply, "Status", status);
    for (size_t i = 0; secrets[i] != NULL; i++) {
        assert_null(leak_in_bytes(reply->payload, reply->payload_length, secrets[i]));
    }
}

/* --- the tests --- */

static void test_a_secret_that_is_there_is_found(struct fixture *fixture)
{
    static const char *const forms[] = {
        "x " KEY_SECRET " x",
        "Leak%2BOf%2FThe%26Key%3DSecret9zQ",
        "4c65616b2b4f662f546865264b65793d536563726574397a51",
        "TGVhaytPZi9UaGUmS2V5PVNlY3JldDl6UQ==",
        "eExlYWsrT2YvVGhlJktleT1TZWNyZXQ5elE=",
        "eHhMZWFrK09mL1RoZSZLZXk9U2VjcmV0OXpR",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        assert_non_null(leak_in_bytes(forms[i], strlen(forms[i]), KEY_SECRET));
    }
    assert_null(leak_in_bytes("Leak", 4, KEY_SECRET));
    (void)fixture;
}

/* Successes, refusals, and an API that returns the secrets it knows. */
static void test_work_reveals_no_secret(struct fixture *fixture)
{
    struct simulator api = api_start(fixture);
    pid_t listener = listen_to_all(fixture);
    struct bridge *bridge = secretive_bridge(fixture, api.port, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    ask_and_count(fixture, "succeeded");
    static const char *const echoes[] = {
        "\"error\",\"Code\":\"SignatureDoesNotMatch\",\"Http\":400,\"Message\":\"server string to "
        "sign is POST " KEY_SECRET "& by " KEY_ID " of " SESSION_TOKEN "\",\"Count\":1",
        "\"error\",\"Code\":\"Forbidden.RAM\",\"Http\":403,\"Message\":\"" KEY_ID
        " may not; token CAIS%2BLeak%2FOf%26The%3DSession%25Token9zQ\",\"Count\":1",
        "\"error\",\"Code\":\"" KEY_ID "\",\"Http\":400,\"Message\":\"" SESSION_TOKEN
        "\",\"Count\":1",
        "\"error\",\"Code\":\"InvalidSecurityToken.Expired\",\"Http\":403,"
        "\"Message\":\"" SESSION_TOKEN SESSION_TOKEN KEY_SECRET "\",\"Count\":1",
    };
    for (size_t i = 0; i < sizeof echoes / sizeof echoes[0]; i++) {
        simulator_fault(&api, "%s", echoes[i]);
        ask_and_count(fixture, "failed");
        simulator_clear(&api);
    }
    fixture_send(fixture, "{\"no\": \"command\"}");
    client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    kill(bridge->pid, SIGUSR1);
    bridge_wait_log(bridge, "accounting");
    check_processes(bridge);
    check_pages(bridge);
    bridge_stop(bridge);
    process_end(listener, SIGTERM, FLOW_TIMEOUT_MS);
    check_all(fixture);
    simulator_stop(&api);
}

static void test_old_signatures_and_dead_proxies_reveal_none(struct fixture *fixture)
{
    struct simulator api = api_start(fixture);
    int guard = -1;
    int nobody = port_reserve(&guard);
    struct bridge *old = secretive_bridge(fixture, api.port, "api.signature = \"v1\";");
    bridge_start(old);
    bridge_wait_online(old);
    ask_and_count(fixture, "succeeded");
    simulator_fault(&api, "\"garbage_200\",\"Count\":1");
    ask_and_count(fixture, "succeeded");
    bridge_stop(old);
    struct bridge *cut = secretive_bridge(
        fixture, api.port,
        fixture_format(fixture,
                       "api.proxy = \"http://leaky:" PROXY_PASSWORD "@127.0.0.1:%d\";"
                       " limits.deadline_s = 1;",
                       nobody));
    bridge_start(cut);
    bridge_wait_online(cut);
    ask_and_count(fixture, "failed");
    bridge_stop(cut);
    check_all(fixture);
    simulator_stop(&api);
    close(guard);
}

static void test_a_refused_password_is_not_printed(struct fixture *fixture)
{
    struct bridge *bridge =
        secretive_bridge(fixture, fixture->simulator.port,
                         fixture_format(fixture, "broker.password_file = \"%s\";",
                                        input(fixture, "wrong-password")));
    bridge_start(bridge);
    bridge_wait_log(bridge, "reason=refused");
    bridge_wait_log(bridge, "receiver_down");
    bridge_kill(bridge);
    check_all(fixture);
}

static const char *tls_settings(struct fixture *fixture, const char *key_password)
{
    return fixture_format(fixture,
                          "broker.uris = (\"mqtts://127.0.0.1:%d\"); broker.tls.ca_file = \"%s\";"
                          " broker.tls.cert_file = \"%s\"; broker.tls.key_file = \"%s\";"
                          " broker.tls.key_password_file = \"%s\";",
                          tls_port, input(fixture, "cert.pem"), input(fixture, "cert.pem"),
                          input(fixture, "key.pem"), input(fixture, key_password));
}

static void test_the_password_of_a_key_file_is_not_printed(struct fixture *fixture)
{
    struct bridge *right =
        secretive_bridge(fixture, fixture->simulator.port, tls_settings(fixture, "key-password"));
    bridge_start(right);
    bridge_wait_online(right);
    check_processes(right);
    bridge_stop(right);
    struct bridge *wrong = secretive_bridge(fixture, fixture->simulator.port,
                                            tls_settings(fixture, "wrong-key-password"));
    bridge_start(wrong);
    assert_int_not_equal(bridge_wait_exit(wrong), 0);
    check_all(fixture);
}

static void run_tool(struct fixture *fixture, const char *const *argv)
{
    struct tool_result result = tool_run(fixture->directory, keys, argv);
    assert_true(result.code >= 0 && result.code < 128);
    tool_result_fini(&result); /* its output is in files of the fixture's folder */
}

static void test_no_subcommand_prints_one(struct fixture *fixture)
{
    struct simulator api = api_start(fixture);
    struct bridge *bridge = secretive_bridge(
        fixture, api.port, "api.proxy = \"http://leaky:" PROXY_PASSWORD "@127.0.0.1:9\";");
    const char *bad = fixture_format(fixture, "%s/bad.conf", inputs);
    file_write(bad, "api: { proxy = \"http://leaky:" PROXY_PASSWORD "@/\"; };\n"
                    "broker: { uris = (\"mqtt://leaky:" BROKER_PASSWORD "@127.0.0.1\"); };\n");
    const char *const calls[][9] = {
        {BRIDGE_BINARY, "check", "--config", bridge->config},
        {BRIDGE_BINARY, "check", "--config", bridge->config, "--print"},
        {BRIDGE_BINARY, "check", "--config", bad, "--print"},
        {BRIDGE_BINARY, "run", "--config", bad},
        {BRIDGE_BINARY, "send", "--config", bridge->config, "--region", "cn-beijing", "--timeout",
         "1"},
        {BRIDGE_BINARY, "ledger", "--config", bridge->config, "list"},
        {BRIDGE_BINARY, "version"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        run_tool(fixture, calls[i]);
    }
    check_all(fixture);
    simulator_stop(&api);
}

static int count_cores(const char *directory)
{
    DIR *folder = opendir(directory);
    struct dirent *entry;
    int count = 0;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        count += strncmp(entry->d_name, "core", 4) == 0;
    }
    closedir(folder);
    return count;
}

#if IS_SANITIZED
/* A sanitizer disables core files itself. */
#define MAY_LEAVE_CORES false
#else
#define MAY_LEAVE_CORES true
#endif

/* Whether this machine writes core files to the working directory. */
static bool has_cores(struct fixture *fixture)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    const char *control =
        fixture_format(fixture, "%s/%s", fixture->directory, fixture_name(fixture, "core"));
    const char *const argv[] = {"sh", "-c", "kill -ABRT $$", NULL};
    if (!MAY_LEAVE_CORES || setrlimit(RLIMIT_CORE, &all) != 0) {
        return false;
    }
    mkdir(control, 0700);
    process_wait(process_start(&(struct process_spec){.argv = argv, .directory = control}),
                 FLOW_TIMEOUT_MS);
    return count_cores(control) > 0;
}

static void test_no_process_leaves_a_core_file(struct fixture *fixture)
{
    pid_t pids[BRIDGE_CHILDREN_MAX];
    if (!has_cores(fixture)) {
        skip();
    }
    struct bridge *bridge = secretive_bridge(fixture, fixture->simulator.port, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    assert_int_equal(bridge_children(bridge, "receiver", pids), 1);
    kill(pids[0], SIGQUIT);
    bridge_wait_log(bridge, "signal=3");
    kill(bridge->pid, SIGABRT);
    assert_int_equal(bridge_wait_exit(bridge), 128 + SIGABRT);
    assert_int_equal(count_cores(bridge->directory), 0);
    check_all(fixture);
}

/* The core file of a bridge that was asked for, after it has signed with the secret. */
static void test_not_even_a_core_file_holds_the_access_key_secret(struct fixture *fixture)
{
    static const char *const key_secret[] = {KEY_SECRET, NULL};
    struct simulator api = api_start(fixture);
    struct bridge *bridge = secretive_bridge(fixture, api.port, "");
    if (!has_cores(fixture)) {
        simulator_stop(&api);
        skip();
    }
    for (size_t i = 0; i + 1 < BRIDGE_ENV_MAX; i++) {
        if (bridge->env[i] == NULL) {
            bridge->env[i] = "ECS_BRIDGE_DEBUGGABLE=1";
            bridge->env[i + 1] = NULL;
            break;
        }
    }
    bridge_start(bridge);
    bridge_wait_online(bridge);
    ask_and_count(fixture, "succeeded");
    kill(bridge->pid, SIGABRT);
    bridge_wait_exit(bridge);
    assert_int_equal(count_cores(bridge->directory), 1);
    leak_check_tree(bridge->directory, key_secret, "bridge.conf");
    simulator_stop(&api);
}

/* --- input files of the broker and the bridge --- */

static void prepare(char *out_broker, size_t size)
{
    int guard = -1;
    snprintf(inputs, sizeof inputs, "/tmp/flow_secrets.XXXXXX");
    if (mkdtemp(inputs) == NULL || chdir(inputs) != 0) {
        exit(EXIT_FAILURE);
    }
    tls_port = port_reserve(&guard);
    umask(077);
    file_write("password", BROKER_PASSWORD "\n");
    file_write("wrong-password", WRONG_PASSWORD "\n");
    file_write("key-password", KEYFILE_PASSWORD "\n");
    file_write("wrong-key-password", WRONG_KEYPASSWORD "\n");
    static const char *const commands[][18] = {
        {"mosquitto_passwd", "-b", "-c", "users", "leaky", BROKER_PASSWORD},
        {"openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", "key.pem", "-out", "cert.pem",
         "-passout", "pass:" KEYFILE_PASSWORD, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1"},
        {"openssl", "rsa", "-in", "key.pem", "-passin", "pass:" KEYFILE_PASSWORD, "-out",
         "open-key.pem"},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct tool_result result = tool_run(inputs, NULL, commands[i]);
        if (result.code != 0) {
            fprintf(stderr, "%s: %s\n", commands[i][0], result.errors);
            exit(EXIT_FAILURE);
        }
        tool_result_fini(&result);
    }
    snprintf(out_broker, size,
             "password_file %s/users\nlistener %d 127.0.0.1\n"
             "cafile %s/cert.pem\ncertfile %s/cert.pem\nkeyfile %s/open-key.pem\n"
             "require_certificate true\n",
             inputs, tls_port, inputs, inputs, inputs);
}

static void clean_up(void)
{
    DIR *folder = opendir(inputs);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        unlink(entry->d_name);
    }
    if (folder != NULL) {
        closedir(folder);
    }
    rmdir(inputs);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_secret_that_is_there_is_found),
        FLOW_TEST(test_work_reveals_no_secret),
        FLOW_TEST(test_old_signatures_and_dead_proxies_reveal_none),
        FLOW_TEST(test_a_refused_password_is_not_printed),
        FLOW_TEST(test_the_password_of_a_key_file_is_not_printed),
        FLOW_TEST(test_no_subcommand_prints_one),
        FLOW_TEST(test_no_process_leaves_a_core_file),
        FLOW_TEST(test_not_even_a_core_file_holds_the_access_key_secret),
    };
    char broker[1024];
    prepare(broker, sizeof broker);
    int code = flow_main("secrets", tests, sizeof tests / sizeof tests[0], broker, argc, argv);
    clean_up();
    return code;
}
