/* What `ecs-mqtt-bridge ledger` tells about a command, beside a running bridge. */
#include "flow_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Runs `ecs-mqtt-bridge ledger --config FILE VERB [OPERAND]`. */
static struct tool_result look(const struct bridge *bridge, const char *verb, const char *operand)
{
    const char *const argv[] = {BRIDGE_BINARY, "ledger", "--config", bridge->config,
                                verb,          operand,  NULL};
    return tool_run(bridge->directory, NULL, argv);
}

static void expect_in(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        flow_fail("no %s in %s", part, text);
    }
}

/* Each part stands behind the one before. */
static void expect_in_order(const char *text, const char *const *parts)
{
    const char *place = text;
    for (; *parts != NULL; parts++) {
        const char *found = strstr(place, *parts);
        if (found == NULL) {
            flow_fail("no %s at its place in %s", *parts, text);
        }
        place = found + strlen(*parts);
    }
}

/* The acknowledgement of a reply is recorded a moment after its sender has it. */
static struct tool_result show_with(const struct bridge *bridge, const char *token,
                                    const char *part)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    struct tool_result result = look(bridge, "show", token);
    while (result.code == 0 && strstr(result.output, part) == NULL) {
        if (flow_now_ms() > end_ms) {
            flow_fail("no %s in %s", part, result.output);
        }
        tool_result_fini(&result);
        flow_pause();
        result = look(bridge, "show", token);
    }
    assert_int_equal(result.code, 0);
    return result;
}

static void test_a_history_has_attempts_duplicates_and_acknowledgements(struct fixture *fixture)
{
    static const char *const EVENTS[] = {
        "\"Event\":\"arrived\",\"Result\":\"claimed\"",
        "\"Event\":\"attempt_started\",\"Attempt\":1",
        "\"Event\":\"attempt_ended\",\"Result\":\"failed\",\"Attempt\":1",
        "\"Code\":\"Throttling.User\"",
        "\"Event\":\"attempt_started\",\"Attempt\":2",
        "\"Event\":\"attempt_ended\",\"Result\":\"succeeded\",\"Attempt\":2",
        "\"Event\":\"outcome\",\"Result\":\"succeeded\"",
        "\"Event\":\"reply_acknowledged\"",
        "\"Event\":\"arrived\",\"Result\":\"replayed\"",
        "\"Event\":\"arrived\",\"Result\":\"mismatch\"",
        "\"Event\":\"reply_acknowledged\"",
        NULL,
    };
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"Throttling.User\",\"Match\":{\"ClientToken\":\"%s\"}",
                    token);
    check_succeeded(fixture_request(fixture, token, group, ""));
    struct tool_result first = show_with(bridge, token, "reply_acknowledged");
    tool_result_fini(&first);
    check_succeeded(fixture_request(fixture, token, group, ""));
    fixture_request(fixture, token, fixture_name(fixture, "pg-other"), "");
    struct tool_result shown = show_with(bridge, token, "mismatch");
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (strstr(strstr(shown.output, "mismatch"), "reply_acknowledged") == NULL) {
        assert_true(flow_now_ms() < end_ms);
        tool_result_fini(&shown);
        flow_pause();
        shown = look(bridge, "show", token);
    }
    expect_in_order(shown.output, EVENTS);
    tool_result_fini(&shown);
}

static void test_a_backup_of_a_running_bridge_is_sound(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    const char *token = fixture_name(fixture, "token");
    struct stat about;
    bridge_start(bridge);
    bridge_wait_online(bridge);
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    struct tool_result made = look(bridge, "backup", "copy.db");
    assert_int_equal(made.code, 0);
    tool_result_fini(&made);
    assert_int_equal(stat(fixture_format(fixture, "%s/copy.db", bridge->directory), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    made = look(bridge, "backup", "copy.db");
    assert_int_equal(made.code, 73);
    expect_in(made.errors, "exists already");
    tool_result_fini(&made);
    const char *const copies[] = {BRIDGE_BINARY,  "ledger", "--config",
                                  bridge->config, "--set",  "ledger.store=sqlite:copy.db",
                                  "export",       NULL};
    struct tool_result exported = tool_run(bridge->directory, NULL, copies);
    assert_int_equal(exported.code, 0);
    expect_in(exported.output, token);
    expect_in(exported.output, "\"History\":[{");
    tool_result_fini(&exported);
    struct tool_result verified = look(bridge, "verify", NULL);
    assert_int_equal(verified.code, 0);
    expect_in(verified.output, "1 records, 0 faults");
    tool_result_fini(&verified);
}

static void test_wrong_filters_are_named(struct fixture *fixture)
{
    static const struct {
        const char *verb;
        const char *option;
        const char *text;
    } CASES[] = {
        {"list", "--state=finished", "--state is ready"},
        {"list", "--since=yesterday", "2026-01-31T12:00:00Z"},
        {"list", "--until=-3h", "how long ago"},
        {"list", "--limit=0", "at least 1"},
        {"count", "--all", "for list and export only"},
    };
    struct bridge *bridge = fixture_bridge(fixture, "");
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct tool_result result = look(bridge, CASES[i].verb, CASES[i].option);
        assert_int_equal(result.code, 64);
        expect_in(result.errors, CASES[i].text);
        tool_result_fini(&result);
    }
    struct tool_result listed = look(bridge, "list", "--since=2d");
    assert_int_equal(listed.code, 0);
    tool_result_fini(&listed);
}

int main(int argc, char **argv)
{
    const struct flow_test tests[] = {
        FLOW_TEST(test_a_history_has_attempts_duplicates_and_acknowledgements),
        FLOW_TEST(test_a_backup_of_a_running_bridge_is_sound),
        FLOW_TEST(test_wrong_filters_are_named),
    };
    return flow_main("history", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
