/* What the bridge reports to a service manager (sd_notify(3)), and what it hides from other
 * processes. */
#include "flow_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct manager {
    int fd;
    struct sockaddr_un address;
};

static struct manager manager_new(struct fixture *fixture)
{
    struct manager manager = {.address = {.sun_family = AF_UNIX}};
    snprintf(manager.address.sun_path, sizeof manager.address.sun_path, "%s/%s", fixture->directory,
             fixture_name(fixture, "notify"));
    manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(manager.fd, (const struct sockaddr *)&manager.address, sizeof manager.address), 0);
    return manager;
}

static struct bridge *managed_bridge(struct fixture *fixture, const struct manager *manager,
                                     const char *overrides)
{
    struct bridge *bridge = fixture_bridge_new(fixture, overrides);
    bridge->env[2] = fixture_format(fixture, "NOTIFY_SOCKET=%s", manager->address.sun_path);
    bridge->env[3] = "WATCHDOG_USEC=200000";
    bridge->env[4] = NULL;
    bridge_start(bridge);
    return bridge;
}

/* Receives messages until one contains the text. */
static void expect_message(const struct manager *manager, const char *text)
{
    char message[512] = "";
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (strstr(message, text) == NULL) {
        struct pollfd entry = {.fd = manager->fd, .events = POLLIN};
        if (poll(&entry, 1, 100) == 1) {
            ssize_t got = recv(manager->fd, message, sizeof message - 1, 0);
            message[got > 0 ? got : 0] = '\0';
        }
        if (flow_now_ms() > end_ms) {
            flow_fail("the service manager did not get: %s", text);
        }
    }
}

static void test_the_manager_gets_start_watchdog_and_stop(struct fixture *fixture)
{
    struct manager manager = manager_new(fixture);
    struct bridge *bridge = managed_bridge(fixture, &manager, "");
    expect_message(&manager, "READY=1");
    expect_message(&manager, "STATUS=receiver subscribed, publisher connected");
    expect_message(&manager, "WATCHDOG=1");
    expect_message(&manager, "WATCHDOG=1");
    bridge_wait_online(bridge);
    process_end(bridge->pid, SIGTERM, 0);
    expect_message(&manager, "STOPPING=1");
    assert_int_equal(bridge_wait_exit(bridge), 0);
    close(manager.fd);
}

/* With the settings in between, which may be good or bad. */
static void test_the_manager_gets_the_begin_and_the_end_of_a_reload(struct fixture *fixture)
{
    struct manager manager = manager_new(fixture);
    struct bridge *bridge = managed_bridge(fixture, &manager, "");
    expect_message(&manager, "READY=1");
    bridge_wait_online(bridge);
    for (int is_good = 1; is_good >= 0; is_good--) {
        fixture_set(bridge, is_good ? "limits.deadline_s = 100;" : "limits.deadline_s = 0;");
        kill(bridge->pid, SIGHUP);
        expect_message(&manager, "RELOADING=1\nMONOTONIC_USEC=");
        expect_message(&manager, "READY=1");
        bridge_wait_log(bridge, is_good ? "event=reloaded" : "event=reload_failed");
    }
    bridge_stop(bridge);
    close(manager.fd);
}

/* Otherwise the manager would restart it again and again, without effect. */
static void test_a_bridge_without_its_broker_is_ready_too(struct fixture *fixture)
{
    int guard = -1;
    int port = port_reserve(&guard);
    struct manager manager = manager_new(fixture);
    struct bridge *bridge =
        managed_bridge(fixture, &manager,
                       fixture_format(fixture, "broker.uris = (\"mqtt://127.0.0.1:%d\");", port));
    expect_message(&manager, "READY=1");
    expect_message(&manager, "WATCHDOG=1");
    bridge_kill(bridge);
    close(manager.fd);
    close(guard);
}

static void test_a_manager_that_does_not_read_delays_nothing(struct fixture *fixture)
{
    struct manager manager = manager_new(fixture);
    close(manager.fd);
    struct bridge *bridge = managed_bridge(fixture, &manager, "");
    bridge_wait_online(bridge);
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_the_manager_gets_start_watchdog_and_stop),
        FLOW_TEST(test_the_manager_gets_the_begin_and_the_end_of_a_reload),
        FLOW_TEST(test_a_bridge_without_its_broker_is_ready_too),
        FLOW_TEST(test_a_manager_that_does_not_read_delays_nothing),
    };
    return flow_main("systemd", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
