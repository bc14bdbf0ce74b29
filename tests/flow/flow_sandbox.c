/* The real MQTT processes are in the sandbox, with every kind of connection, and work there. */
#include "flow_certificates.h"
#include "flow_fixture.h"
#include "flow_tls.h"
#include "support/sanitizer.h"

#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int mqtts_port;
static int ws_port;
static int wss_port;

static const char *const roles[] = {"receiver", "publisher"};

/* Fails unless the file under /proc has this text. Such a file has no size. */
static void expect_text(const char *path, const char *text)
{
    char content[8192];
    FILE *file = fopen(path, "r");
    size_t length = file == NULL ? 0 : fread(content, 1, sizeof content - 1, file);
    content[length] = '\0';
    if (file != NULL) {
        fclose(file);
    }
    if (strstr(content, text) == NULL) {
        flow_fail("%s does not have \"%s\": %s", path, text, content);
    }
}

static int check_threads(pid_t pid)
{
    char path[512];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    assert_non_null(tasks);
    const struct dirent *entry;
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, entry->d_name);
            expect_text(path, "\nSeccomp:\t2\n");
            expect_text(path, "\nNoNewPrivs:\t1\n");
            count++;
        }
    }
    closedir(tasks);
    return count;
}

/* It has sockets, eventfds and what standard error is, but no TLS file and nothing of the bridge.
 */
static void check_descriptors(pid_t pid)
{
    char path[300];
    char target[512];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *descriptors = opendir(path);
    assert_non_null(descriptors);
    const struct dirent *entry;
    while ((entry = readdir(descriptors)) != NULL) {
        int fd = atoi(entry->d_name);
        snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)pid, entry->d_name);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        bool is_known = entry->d_name[0] == '.' || fd <= STDERR_FILENO ||
                        strncmp(target, "socket:", 7) == 0 || strstr(target, "[eventfd]") != NULL;
        if (!is_known) {
            flow_fail("descriptor %d is %s", fd, target);
        }
    }
    closedir(descriptors);
}

static void check_processes(struct bridge *bridge)
{
    for (size_t i = 0; i < 2; i++) {
        pid_t pids[BRIDGE_CHILDREN_MAX];
        assert_int_equal(bridge_children(bridge, roles[i], pids), 1);
        /* Paho has a thread that sends and one that receives. */
        assert_int_equal(check_threads(pids[0]), 3);
        check_descriptors(pids[0]);
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/limits", (int)pids[0]);
        expect_text(path, "Max processes             0 ");
        expect_text(path, "Max open files            32 ");
    }
}

static void send_one(struct fixture *fixture)
{
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
}

/* Connects, works, connects again after a crash and at a SIGHUP, and stops. */
static void check_life(struct fixture *fixture, const char *uri, const char *settings)
{
    struct bridge *bridge = fixture_bridge_alone(
        fixture, fixture_format(fixture, "broker.uris = (\"%s\");%s", uri, settings));
    print_message("  %s\n", uri);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    send_one(fixture);
    check_processes(bridge);
    for (size_t i = 0; i < 2; i++) {
        bridge_kill_children(bridge, roles[i]);
    }
    send_one(fixture);
    check_processes(bridge);
    pid_t before[BRIDGE_CHILDREN_MAX];
    pid_t now[BRIDGE_CHILDREN_MAX];
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    bridge_children(bridge, "publisher", before); /* it is renewed behind the receiver */
    kill(bridge->pid, SIGHUP);
    do {
        flow_pause();
        if (flow_now_ms() > end_ms) {
            flow_fail("SIGHUP did not renew the publisher");
        }
    } while (bridge_children(bridge, "publisher", now) != 1 || now[0] == before[0]);
    send_one(fixture);
    check_processes(bridge);
    assert_false(bridge_log_contains(bridge, "signal=31")); /* SIGSYS */
    assert_false(bridge_log_contains(bridge, "does not allow"));
    assert_false(bridge_log_contains(bridge, "event=seccomp_missing"));
    bridge_stop(bridge);
    assert_true(bridge_log_contains(bridge, "event=receiver_down process=receiver reason=stopped"));
    assert_true(
        bridge_log_contains(bridge, "event=publisher_down process=publisher reason=stopped"));
}

static void test_connected_processes_are_in_the_sandbox_and_work(struct fixture *fixture)
{
    const char *ca = fixture_format(fixture, "broker.tls.ca_file = \"%s/good.pem\";", certificates);
    const char *client = fixture_format(fixture,
                                        "%sbroker.tls.cert_file = \"%s/plain-client.pem\"; "
                                        "broker.tls.key_file = \"%s/plain-client.key\";",
                                        ca, certificates, certificates);
    check_life(fixture, fixture_format(fixture, "mqtt://127.0.0.1:%d", fixture->broker.port), "");
    check_life(fixture, fixture_format(fixture, "mqtts://localhost:%d", mqtts_port), client);
    check_life(fixture, fixture_format(fixture, "ws://127.0.0.1:%d/mqtt", ws_port),
               "broker.protocol = 4;");
    check_life(fixture, fixture_format(fixture, "wss://127.0.0.1:%d/mqtt", wss_port), ca);
}

static void test_a_lost_connection_in_the_sandbox_ends_as_before(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "log.level = \"debug\";");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    broker_kill(&fixture->broker);
    bridge_wait_log(bridge, "event=publisher_down process=publisher reason=lost");
    bridge_wait_log(bridge, "event=receiver_down process=receiver reason=lost");
    broker_start(&fixture->broker);
    fixture_renew_sender(fixture);
    /* Nothing else is wrong any more: both are up again. */
    bridge_wait_log(bridge, "state=degraded reasons=\"[\\\"session_lost\\\"]\"");
    send_one(fixture);
    check_processes(bridge);
    assert_false(bridge_log_contains(bridge, "signal=31"));
    bridge_stop(bridge);
}

/* A listener that accepts connections and never answers. */
static int silent_broker(int *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    *out_port = ntohs(address.sin_port);
    return listener;
}

static void test_a_process_is_confined_before_the_broker_has_said_a_word(struct fixture *fixture)
{
    int port;
    int listener = silent_broker(&port);
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    int connections[2];
    struct bridge *bridge = fixture_bridge_alone(
        fixture, fixture_format(fixture, "broker.uris = (\"mqtt://127.0.0.1:%d\");", port));
    bridge_start(bridge);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(poll(&ready, 1, FLOW_TIMEOUT_MS), 1);
        connections[i] = accept(listener, NULL, NULL);
    }
    for (size_t i = 0; i < 2; i++) {
        pid_t pids[BRIDGE_CHILDREN_MAX];
        assert_int_equal(bridge_children(bridge, roles[i], pids), 1);
        assert_int_equal(check_threads(pids[0]), 3);
        close(connections[i]);
    }
    close(listener);
    bridge_stop(bridge);
}

/* More listeners for the broker. */
static const char *listeners(void)
{
    static char text[2048];
    static int guards[3];
    mqtts_port = port_reserve(&guards[0]);
    ws_port = port_reserve(&guards[1]);
    wss_port = port_reserve(&guards[2]);
    snprintf(text, sizeof text,
             "listener %d 127.0.0.1\ncertfile %s/right.pem\nkeyfile %s/right.key\n"
             "cafile %s/good.pem\nrequire_certificate true\n"
             "listener %d 127.0.0.1\nprotocol websockets\n"
             "listener %d 127.0.0.1\nprotocol websockets\ncertfile %s/right.pem\n"
             "keyfile %s/right.key\n",
             mqtts_port, certificates, certificates, certificates, ws_port, wss_port, certificates,
             certificates);
    return text;
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_connected_processes_are_in_the_sandbox_and_work),
        FLOW_TEST(test_a_process_is_confined_before_the_broker_has_said_a_word),
        FLOW_TEST(test_a_lost_connection_in_the_sandbox_ends_as_before),
    };
    if (IS_SANITIZED) {
        print_message("skipped: a process with a sanitizer does not enter the sandbox\n");
        return 0;
    }
    certificates_begin();
    int code = flow_main("sandbox", tests, sizeof tests / sizeof tests[0], listeners(), argc, argv);
    certificates_end();
    return code;
}
