/* The object that the status topic and /status show. */
#include "model/status_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define NOW_MS  INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */
#define LOST_MS (NOW_MS - 1000)

static struct {
    struct loop *loop;
    struct health *health;
    struct counters counters;
    struct buf text;
    struct json *json;
} fixture;

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.loop = loop_new();
    fixture.health = health_new(fixture.loop);
    health_set(fixture.health, HEALTH_NOT_SUBSCRIBED, false);
    health_set(fixture.health, HEALTH_NO_PUBLISHER, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    health_free(fixture.health);
    loop_free(fixture.loop);
    json_free(fixture.json);
    buf_fini(&fixture.text);
    return 0;
}

static void parse(void)
{
    struct json_fault fault;
    fixture.json = json_parse(buf_slice(&fixture.text), 4, &fault);
    assert_non_null(fixture.json);
}

static void render(void)
{
    const struct status_report report = {"i-1", fixture.health, &fixture.counters};
    json_put_open(&fixture.text, '{');
    status_report_put(&report, NOW_MS, &fixture.text);
    json_put_close(&fixture.text, '}');
    parse();
}

static void assert_field(const char *name, const char *text)
{
    assert_true(slice_equals_text(json_text(json_member(fixture.json, name)), text));
}

static void test_an_online_bridge_has_no_reasons(void **state)
{
    (void)state;
    render();
    assert_field("State", "online");
    assert_field("Instance", "i-1");
    assert_field("Version", BRIDGE_VERSION);
    assert_field("At", "2026-01-02T03:04:05.123Z");
    assert_null(json_member(fixture.json, "Reasons"));
    assert_null(json_member(fixture.json, "Reason"));
    assert_null(json_member(fixture.json, "SessionLostAt"));
    assert_true(json_number(json_member(fixture.json, "SessionsLost")) == 0);
}

static void test_a_degraded_bridge_names_its_reasons(void **state)
{
    (void)state;
    health_set(fixture.health, HEALTH_API_UNREACHABLE, true);
    health_set(fixture.health, HEALTH_STORE_UNAVAILABLE, true);
    render();
    assert_field("State", "degraded");
    const struct json *first = json_first(json_member(fixture.json, "Reasons"));
    assert_true(slice_equals_text(json_text(first), "store_unavailable"));
    assert_true(slice_equals_text(json_text(json_next(first)), "api_unreachable"));
    assert_null(json_next(json_next(first)));
}

static void test_a_lost_session_has_its_time_and_number(void **state)
{
    (void)state;
    health_set_since(fixture.health, HEALTH_SESSION_LOST, LOST_MS);
    counter_add(&fixture.counters, COUNTER_SESSIONS_LOST, 2);
    render();
    assert_field("SessionLostAt", "2026-01-02T03:04:04.123Z");
    assert_true(json_number(json_member(fixture.json, "SessionsLost")) == 2);
}

static void test_a_stopped_bridge_says_why_and_keeps_its_counts(void **state)
{
    (void)state;
    health_set(fixture.health, HEALTH_API_UNREACHABLE, true);
    health_stop(fixture.health, "stopped");
    render();
    assert_field("State", "offline");
    assert_field("Reason", "stopped");
    assert_null(json_member(fixture.json, "Reasons"));
    assert_non_null(json_member(fixture.json, "Counts"));
}

static void test_the_counts_are_the_rows_of_the_accounting(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"Since",    "Received",   "Resumed", "Succeeded",
                                        "Failed",   "Unknown",    "Refused", "Replayed",
                                        "Filtered", "HandedOver", "Waiting", "InWork",
                                        "NotTaken", "BeingTaken", "Outbox"};
    for (int i = 0; i < COUNTER_COUNT; i++) {
        counter_set(&fixture.counters, (enum counter)i, 100 + i);
    }
    render();
    const struct json *count = json_first(json_member(fixture.json, "Counts"));
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        assert_true(slice_equals_text(json_name(count), NAMES[i]));
        count = json_next(count);
    }
    assert_null(count);
    const struct json *counts = json_member(fixture.json, "Counts");
    assert_true(json_number(json_member(counts, "InWork")) == 100 + COUNTER_IN_WORK);
    assert_true(json_number(json_member(counts, "Outbox")) == 100 + COUNTER_OUTBOX_DEPTH);
}

static void test_the_last_will_claims_nothing_that_only_a_running_bridge_knows(void **state)
{
    (void)state;
    status_report_put_will("i-1", &fixture.text);
    parse();
    assert_field("State", "offline");
    assert_field("Reason", "connection_lost");
    assert_field("Instance", "i-1");
    assert_field("Version", BRIDGE_VERSION);
    assert_null(json_member(fixture.json, "At"));
    assert_null(json_member(fixture.json, "Counts"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_an_online_bridge_has_no_reasons),
        TEST(test_a_degraded_bridge_names_its_reasons),
        TEST(test_a_lost_session_has_its_time_and_number),
        TEST(test_a_stopped_bridge_says_why_and_keeps_its_counts),
        TEST(test_the_counts_are_the_rows_of_the_accounting),
        TEST(test_the_last_will_claims_nothing_that_only_a_running_bridge_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
