/* An API that hangs on every call while many commands wait. */
#include "flow_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A longer timeout than usual means a slow build, for example with a sanitizer. */
enum { LOADS = FLOW_TIMEOUT_MS > 20000 ? 1 : 5 };
enum { SHARE = LOAD_COMMANDS_MAX, KEEPALIVE_S = 2, MEMORY_KIB_MAX = 256 * 1024 };

static void begin_waiting(struct fixture *fixture, struct load *loads, int count,
                          struct bridge *bridge)
{
    bridge_start(bridge);
    bridge_wait_online(bridge);
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    for (int i = 0; i < count; i++) {
        load_init(&loads[i], fixture, fixture_name(fixture, "t"), SHARE, SHARE, SHARE);
        load_send(&loads[i], 0, SHARE);
    }
    /* Commands are stored in order of arrival: when this one is refused, all others are stored. */
    check_text(fixture_request(fixture, fixture_name(fixture, "marker"), "pg", ",\"Marker\":1"),
               "Status", "failed");
}

static pid_t only_child(const struct bridge *bridge, const char *role)
{
    pid_t pids[BRIDGE_CHILDREN_MAX];
    assert_int_equal(bridge_children(bridge, role, pids), 1);
    return pids[0];
}

static int count_in(const char *text, const char *what)
{
    int count = 0;
    for (; (text = strstr(text, what)) != NULL; text++) {
        count++;
    }
    return count;
}

static void wait_pings(struct fixture *fixture, const char *client_id, int count)
{
    const char *ping = fixture_format(fixture, "Received PINGREQ from %s", client_id);
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    for (bool is_there = false; !is_there;) {
        char *log = file_read(fixture->broker.log);
        is_there = count_in(log, ping) >= count;
        free(log);
        if (flow_now_ms() > end_ms) {
            flow_fail("%s does not send keepalives", client_id);
        }
        client_step(fixture->sender, 50);
    }
}

static long memory_kib(const struct bridge *bridge)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", (int)bridge->pid);
    FILE *file = fopen(path, "re");
    long pages = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static const char *client_id(struct fixture *fixture, const struct bridge *bridge, const char *end)
{
    const char *instance = strrchr(bridge->status_topic, '/') + 1;
    return fixture_format(fixture, "ecs-mqtt-bridge-%s-%s", instance, end);
}

static void check_answered_after_restart(struct fixture *fixture, struct load *loads, int count,
                                         struct bridge *bridge)
{
    simulator_clear(&fixture->simulator);
    bridge_start(bridge);
    for (int i = 0; i < count; i++) {
        load_wait_answered(&loads[i], SHARE);
        assert_int_equal(loads[i].succeeded_count, SHARE);
        load_fini(&loads[i]);
    }
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), count * SHARE);
    assert_int_equal(simulator_total(&fixture->simulator, "MaxEffectsPerToken"), 1);
    bridge_stop(bridge);
}

static void test_keepalives_go_on_and_sigterm_ends_in_time_while_every_call_hangs(
    struct fixture *fixture)
{
    struct load loads[LOADS];
    struct bridge *bridge = fixture_bridge_alone(
        fixture, fixture_format(fixture,
                                "broker.keepalive_s = %d; limits.deadline_s = 300;"
                                "api.read_timeout_ms = 60000;",
                                KEEPALIVE_S));
    begin_waiting(fixture, loads, LOADS, bridge);
    pid_t receiver = only_child(bridge, "receiver");
    pid_t publisher = only_child(bridge, "publisher");
    wait_pings(fixture, client_id(fixture, bridge, "in"), 2);
    wait_pings(fixture, client_id(fixture, bridge, "out"), 2);
    assert_int_equal(only_child(bridge, "receiver"), receiver);
    assert_int_equal(only_child(bridge, "publisher"), publisher);
    assert_true(memory_kib(bridge) < MEMORY_KIB_MAX);
    bridge_stop(bridge);
    for (int i = 0; i < LOADS; i++) {
        assert_int_equal(loads[i].answered_count, 0);
    }
    check_answered_after_restart(fixture, loads, LOADS, bridge);
}

/* Each call ends by its own timeout, and the next attempt hangs too. */
static void test_nothing_is_lost_when_calls_time_out_and_are_tried_again(struct fixture *fixture)
{
    struct load load;
    struct bridge *bridge = fixture_bridge_alone(
        fixture, "broker.keepalive_s = 2; limits.deadline_s = 300; api.read_timeout_ms = 400; "
                 "routes.regions = (\"cn-beijing\");");
    begin_waiting(fixture, &load, 1, bridge);
    simulator_wait(&fixture->simulator, "Requests", 300);
    bridge_stop(bridge);
    check_answered_after_restart(fixture, &load, 1, bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_keepalives_go_on_and_sigterm_ends_in_time_while_every_call_hangs),
        FLOW_TEST(test_nothing_is_lost_when_calls_time_out_and_are_tried_again),
    };
    /* By default mosquitto drops, silently, what it has acknowledged beyond 1,000 messages that
     * wait for a client: fewer than a test here sends at once. */
    return flow_main("slow api", tests, sizeof tests / sizeof tests[0], "max_queued_messages 0\n",
                     argc, argv);
}
