/* What the bridge reports to a service manager (sd_notify(3)), and what it hides from other
 * processes. */
#include "flow_manager.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

static void test_the_manager_gets_start_watchdog_and_stop(struct fixture *fixture)
{
    struct manager manager = manager_new(fixture);
    struct bridge *bridge = managed_bridge(fixture, &manager, "");
    manager_expect(&manager, "READY=1");
    manager_expect(&manager, "STATUS=receiver subscribed, publisher connected");
    manager_expect(&manager, "WATCHDOG=1");
    manager_expect(&manager, "WATCHDOG=1");
    bridge_wait_online(bridge);
    process_end(bridge->pid, SIGTERM, 0);
    manager_expect(&manager, "STOPPING=1");
    assert_int_equal(bridge_wait_exit(bridge), 0);
    close(manager.fd);
}

/* With the settings in between, which may be good or bad. */
static void test_the_manager_gets_the_begin_and_the_end_of_a_reload(struct fixture *fixture)
{
    struct manager manager = manager_new(fixture);
    struct bridge *bridge = managed_bridge(fixture, &manager, "");
    manager_expect(&manager, "READY=1");
    bridge_wait_online(bridge);
    for (int is_good = 1; is_good >= 0; is_good--) {
        fixture_set(bridge, is_good ? "limits.deadline_s = 100;" : "limits.deadline_s = 0;");
        kill(bridge->pid, SIGHUP);
        manager_expect(&manager, "RELOADING=1\nMONOTONIC_USEC=");
        manager_expect(&manager, "READY=1");
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
    manager_expect(&manager, "READY=1");
    manager_expect(&manager, "WATCHDOG=1");
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
