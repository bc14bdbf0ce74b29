/* The executable of the MQTT processes: where the bridge finds it, and which one it starts. */
#include "flow_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#define PROGRAM "libexec/ecs-mqtt-bridge/mqtt"

static void copy(struct fixture *fixture, const char *from, const char *to)
{
    const char *const argv[] = {"cp", from, to, NULL};
    struct tool_result result = tool_run(fixture->directory, NULL, argv);
    if (result.code != 0) {
        flow_fail("cannot copy %s: %s", from, result.errors);
    }
    tool_result_fini(&result);
}

/* Makes an installation, without the executable of the MQTT processes; returns its prefix. */
static const char *install(struct fixture *fixture)
{
    const char *prefix =
        fixture_format(fixture, "%s/%s", fixture->directory, fixture_name(fixture, "prefix"));
    static const char *const folders[] = {"", "/bin", "/libexec", "/libexec/ecs-mqtt-bridge"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        assert_int_equal(mkdir(fixture_format(fixture, "%s%s", prefix, folders[i]), 0755), 0);
    }
    copy(fixture, BRIDGE_BINARY, fixture_format(fixture, "%s/bin/ecs-mqtt-bridge", prefix));
    return prefix;
}

static struct bridge *installed_bridge(struct fixture *fixture, const char *prefix)
{
    struct bridge *bridge = fixture_bridge_new(fixture, "");
    bridge->binary = fixture_format(fixture, "%s/bin/ecs-mqtt-bridge", prefix);
    return bridge;
}

/* Puts a file in the place of the executable as a package manager does: by rename(2). */
static void replace(struct fixture *fixture, const char *prefix, const char *text)
{
    const char *path = fixture_format(fixture, "%s/" PROGRAM, prefix);
    const char *new_path = fixture_format(fixture, "%s.new", path);
    file_write(new_path, text);
    assert_int_equal(chmod(new_path, 0755), 0);
    assert_int_equal(rename(new_path, path), 0);
}

static void test_a_running_bridge_starts_its_own_executable_after_an_upgrade(
    struct fixture *fixture)
{
    const char *prefix = install(fixture);
    copy(fixture, MQTT_PROGRAM, fixture_format(fixture, "%s/" PROGRAM, prefix));
    struct bridge *bridge = installed_bridge(fixture, prefix);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    replace(fixture, prefix, "#!/bin/sh\nexit 1\n");
    static const char *const roles[] = {"receiver", "publisher"};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        bridge_kill_children(bridge, roles[i]);
    }
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    assert_false(bridge_log_contains(bridge, "reason=crashed"));
    bridge_stop(bridge);
    /* The next bridge starts the new one. */
    bridge_start(bridge);
    bridge_wait_log(bridge, "reason=crashed");
    bridge_kill(bridge);
}

static void test_a_bridge_without_the_executable_names_its_path_and_exits_69(
    struct fixture *fixture)
{
    const char *prefix = install(fixture);
    const char *path = fixture_format(fixture, "%s/" PROGRAM ": No such file", prefix);
    struct bridge *bridge = installed_bridge(fixture, prefix);
    bridge_start(bridge);
    assert_int_equal(bridge_wait_exit(bridge), EX_UNAVAILABLE);
    bridge_wait_log(bridge, path);
    const char *const calls[][9] = {
        {bridge->binary, "version"},
        {bridge->binary, "send", "--config", bridge->config, "--region", "cn-beijing", "--group",
         "pg"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct tool_result result = tool_run(fixture->directory, NULL, calls[i]);
        assert_int_equal(result.code, EX_UNAVAILABLE);
        assert_non_null(strstr(result.errors, path));
        tool_result_fini(&result);
    }
}

static void test_an_executable_that_may_not_be_executed_is_reported(struct fixture *fixture)
{
    const char *prefix = install(fixture);
    const char *path = fixture_format(fixture, "%s/" PROGRAM, prefix);
    copy(fixture, MQTT_PROGRAM, path);
    assert_int_equal(chmod(path, 0600), 0);
    struct bridge *bridge = installed_bridge(fixture, prefix);
    bridge_start(bridge);
    assert_int_equal(bridge_wait_exit(bridge), EX_UNAVAILABLE);
    bridge_wait_log(bridge, fixture_format(fixture, "%s: Permission denied", path));
}

static void test_the_title_of_a_process_says_its_role(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    static const char *const roles[] = {"receiver", "publisher"};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        pid_t pids[BRIDGE_CHILDREN_MAX];
        assert_int_equal(bridge_children(bridge, roles[i], pids), 1);
        char title[64] = "";
        FILE *file = fopen(fixture_format(fixture, "/proc/%d/cmdline", (int)pids[0]), "re");
        assert_non_null(file);
        assert_non_null(fgets(title, sizeof title, file));
        fclose(file);
        assert_string_equal(title, fixture_format(fixture, "ecs-mqtt-bridge: %s", roles[i]));
    }
}

static void test_the_executable_does_nothing_when_a_user_starts_it(struct fixture *fixture)
{
    static const char *const calls[][4] = {
        {MQTT_PROGRAM},
        {MQTT_PROGRAM, "receiver"},
        {MQTT_PROGRAM, "--version", "surplus"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct tool_result result = tool_run(fixture->directory, NULL, calls[i]);
        assert_int_equal(result.code, EX_USAGE);
        assert_non_null(strstr(result.errors, "part of ecs-mqtt-bridge"));
        tool_result_fini(&result);
    }
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_running_bridge_starts_its_own_executable_after_an_upgrade),
        FLOW_TEST(test_a_bridge_without_the_executable_names_its_path_and_exits_69),
        FLOW_TEST(test_an_executable_that_may_not_be_executed_is_reported),
        FLOW_TEST(test_the_title_of_a_process_says_its_role),
        FLOW_TEST(test_the_executable_does_nothing_when_a_user_starts_it),
    };
    return flow_main("executable of the MQTT processes", tests, sizeof tests / sizeof tests[0],
                     NULL, argc, argv);
}
