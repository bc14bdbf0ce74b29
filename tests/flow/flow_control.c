/* What an operator orders of a running bridge with `ecs-mqtt-bridge ctl`. */
#include "flow_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { WORDS_MAX = 12 };

/* Runs ctl for this bridge; the words end with NULL. */
static struct tool_result ctl(struct bridge *bridge, const char *const *words)
{
    const char *argv[WORDS_MAX + 5] = {BRIDGE_BINARY, "ctl", "--config", bridge->config};
    for (int i = 0; words[i] != NULL; i++) {
        argv[4 + i] = words[i];
    }
    return tool_run(bridge->directory, NULL, argv);
}

#define CTL(bridge, ...) ctl(bridge, (const char *const[]){__VA_ARGS__, NULL})

static void check_result(struct tool_result *result, int code, const char *text)
{
    const char *where = code == EX_OK ? result->output : result->errors;
    if (result->code != code || strstr(where, text) == NULL) {
        flow_fail("exit code %d: %s%s", result->code, result->output, result->errors);
    }
    tool_result_fini(result);
}

static void test_status_is_the_page_of_the_admin_endpoint(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    struct tool_result result = CTL(bridge, "status");
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
    struct tool_result result = CTL(bridge, "level", "info");
    check_result(&result, EX_OK, "the log has level info");
    check_succeeded(fixture_request(fixture, token, group, ""));
    bridge_wait_log(bridge, token);
    result = CTL(bridge, "level", "error");
    check_result(&result, EX_OK, "before: info");
}

static void test_what_is_not_possible_exits_1_with_the_reason(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    struct tool_result result = CTL(bridge, "ack", "session_lost");
    check_result(&result, 1, "no session is reported as lost");
    result = CTL(bridge, "ack", "everything");
    check_result(&result, EX_USAGE, "session_lost");
}

/* A killed bridge leaves its socket: nobody answers there, and the next one replaces it. */
static void test_without_a_bridge_it_exits_69(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    struct tool_result result = CTL(bridge, "status");
    check_result(&result, EX_UNAVAILABLE, "no bridge answers at");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_kill(bridge);
    result = CTL(bridge, "status");
    check_result(&result, EX_UNAVAILABLE, "Connection refused");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    result = CTL(bridge, "status");
    check_result(&result, EX_OK, "\"State\":\"online\"");
    bridge_stop(bridge);
    result = CTL(bridge, "status");
    check_result(&result, EX_UNAVAILABLE, "No such file");
    fixture_set(bridge, "control.socket = \"none\";");
    result = CTL(bridge, "status");
    check_result(&result, EX_UNAVAILABLE, "control.socket = \"none\"");
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_status_is_the_page_of_the_admin_endpoint),
        FLOW_TEST(test_the_level_of_the_log_changes_at_once),
        FLOW_TEST(test_what_is_not_possible_exits_1_with_the_reason),
        FLOW_TEST(test_without_a_bridge_it_exits_69),
    };
    return flow_main("control", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
