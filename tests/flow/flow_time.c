/* The wall clock is set forwards and backwards while the bridge runs: durations do not change. */
#include "flow_fixture.h"
#include "support/sanitizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FAKE_LIBRARY "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
#define TWO_DAYS     "+2d"
#define AN_HOUR_BACK "-1h"

/* A bridge whose wall clock the test sets. */
struct clocked {
    struct bridge *bridge;
    const char *offset_file;
};

/* Replaces the file atomically: the bridge reads it whenever it reads the clock. */
static void set_clock(struct fixture *fixture, const struct clocked *clocked, const char *offset)
{
    const char *next = fixture_format(fixture, "%s.next", clocked->offset_file);
    file_write(next, fixture_format(fixture, "%s\n", offset));
    assert_int_equal(rename(next, clocked->offset_file), 0);
}

static struct clocked clocked_bridge(struct fixture *fixture, const char *settings)
{
    if (IS_SANITIZED) {
        print_message("skipped: libfaketime and a sanitizer do not go together\n");
        skip();
    }
    if (access(FAKE_LIBRARY, R_OK) != 0) {
        print_message("skipped: there is no %s (package faketime)\n", FAKE_LIBRARY);
        skip();
    }
    struct clocked clocked = {.bridge = fixture_bridge_alone(fixture, settings)};
    clocked.offset_file = fixture_format(fixture, "%s/offset", clocked.bridge->directory);
    set_clock(fixture, &clocked, "+0");
    const char *const fake[] = {
        "LD_PRELOAD=" FAKE_LIBRARY, "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1",
        fixture_format(fixture, "FAKETIME_TIMESTAMP_FILE=%s", clocked.offset_file)};
    for (size_t i = 0; i < sizeof fake / sizeof fake[0]; i++) {
        clocked.bridge->env[2 + i] = fake[i];
    }
    bridge_start(clocked.bridge);
    bridge_wait_online(clocked.bridge);
    return clocked;
}

/* Checks by the times in the reply that the bridge sees the step. */
static void check_clock(const struct message *reply, int64_t offset_s)
{
    char expected[16];
    time_t about = time(NULL) + (time_t)offset_s;
    struct tm parts;
    strftime(expected, sizeof expected, "%Y-%m-%dT%H", gmtime_r(&about, &parts));
    if (strncmp(json_text(reply->json, "CompletedAt"), expected, strlen(expected)) != 0) {
        about -= 60; /* the hour changed in the meantime */
        strftime(expected, sizeof expected, "%Y-%m-%dT%H", gmtime_r(&about, &parts));
        assert_memory_equal(json_text(reply->json, "CompletedAt"), expected, strlen(expected));
    }
}

/* A command waits for its retry when the clock is set; the retry comes at the usual time. */
static void check_retry(struct fixture *fixture, const char *offset, int64_t offset_s)
{
    struct clocked clocked = clocked_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"Throttling.User\",\"RetryAfterMs\":2000,\"Match\":{"
                    "\"ClientToken\":\"%s\"}",
                    token);
    int64_t begin_ms = flow_now_ms();
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    bridge_wait_log(clocked.bridge, "event=attempt_failed");
    set_clock(fixture, &clocked, offset);
    const struct message *reply = fixture_expect_reply(fixture, token);
    int64_t took_ms = flow_now_ms() - begin_ms;
    check_succeeded(reply);
    check_clock(reply, offset_s);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    assert_true(took_ms >= 1900);
    assert_true(took_ms < 10000);
    bridge_stop(clocked.bridge);
}

static void test_a_retry_is_on_time_when_the_clock_is_set_forwards(struct fixture *fixture)
{
    check_retry(fixture, TWO_DAYS, 2 * 86400);
}

static void test_a_retry_is_on_time_when_the_clock_is_set_backwards(struct fixture *fixture)
{
    check_retry(fixture, AN_HOUR_BACK, -3600);
}

/* Waits longer than the interval in which the ledger's thread removes expired records. */
static void let_expire(struct fixture *fixture)
{
    int64_t end_ms = flow_now_ms() + 2500;
    while (flow_now_ms() < end_ms) {
        check_succeeded(fixture_request(fixture, fixture_name(fixture, "other"),
                                        fixture_name(fixture, "pg"), ""));
    }
}

/* The duplicate gets the recorded outcome, and no second call is made. */
static void check_known(struct fixture *fixture, const char *offset, bool is_restarted)
{
    struct clocked clocked = clocked_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct message *first = fixture_request(fixture, token, group, "");
    check_succeeded(first);
    set_clock(fixture, &clocked, offset);
    if (is_restarted) {
        bridge_stop(clocked.bridge);
        bridge_start(clocked.bridge);
        bridge_wait_online(clocked.bridge);
    }
    let_expire(fixture);
    const struct message *again = fixture_request(fixture, token, group, "");
    check_succeeded(again);
    assert_true(json_is_true(again->json, "Replayed"));
    assert_string_equal(json_text(again->json, "RequestId"), json_text(first->json, "RequestId"));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    bridge_stop(clocked.bridge);
}

static void test_a_token_is_not_forgotten_when_the_clock_is_set_forwards(struct fixture *fixture)
{
    check_known(fixture, TWO_DAYS, false);
}

static void test_a_token_is_not_forgotten_when_the_clock_is_set_backwards(struct fixture *fixture)
{
    check_known(fixture, AN_HOUR_BACK, false);
}

static void test_a_token_is_not_forgotten_when_the_clock_is_set_while_the_bridge_is_away(
    struct fixture *fixture)
{
    check_known(fixture, TWO_DAYS, true);
}

/* The clock is wrong for some time and then corrected, as with a faulty time service. */
static void test_commands_are_answered_once_while_the_clock_jumps_about(struct fixture *fixture)
{
    static const char *const offsets[] = {TWO_DAYS, "+0", AN_HOUR_BACK, "+0"};
    struct clocked clocked = clocked_bridge(fixture, "");
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        set_clock(fixture, &clocked, offsets[i]);
        check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
        assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    }
    bridge_stop(clocked.bridge);
}

/* A queued command keeps its deadline, which is a duration. */
static void test_a_waiting_command_does_not_expire_when_the_clock_is_set_forwards(
    struct fixture *fixture)
{
    struct clocked clocked = clocked_bridge(fixture, "api.read_timeout_ms = 60000;");
    const char *group = fixture_name(fixture, "pg");
    const char *first = fixture_name(fixture, "token");
    const char *second = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator,
                    "\"latency\",\"DelayMs\":1500,\"Match\":{\"ClientToken\":\"%s\"}", first);
    fixture_send(fixture, fixture_command(fixture, first, group, ""));
    fixture_send(fixture, fixture_command(fixture, second, group, ""));
    simulator_wait_token(&fixture->simulator, first, 1);
    fixture_expect_nothing(fixture, &(struct match){.token = second});
    set_clock(fixture, &clocked, TWO_DAYS);
    check_succeeded(fixture_expect_reply(fixture, first));
    check_succeeded(fixture_expect_reply(fixture, second));
    bridge_stop(clocked.bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_retry_is_on_time_when_the_clock_is_set_forwards),
        FLOW_TEST(test_a_retry_is_on_time_when_the_clock_is_set_backwards),
        FLOW_TEST(test_a_waiting_command_does_not_expire_when_the_clock_is_set_forwards),
        FLOW_TEST(test_a_token_is_not_forgotten_when_the_clock_is_set_forwards),
        FLOW_TEST(test_a_token_is_not_forgotten_when_the_clock_is_set_backwards),
        FLOW_TEST(test_a_token_is_not_forgotten_when_the_clock_is_set_while_the_bridge_is_away),
        FLOW_TEST(test_commands_are_answered_once_while_the_clock_jumps_about),
    };
    return flow_main("time", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
