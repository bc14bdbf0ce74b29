/* What the pages of the admin endpoint hold. */
#include "admin/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "admin/server.h"
#include "base/json.h"

static struct {
    struct loop *loop;
    struct health *health;
    struct counters counters;
    struct shared_text sessions;
    struct admin_options options;
    struct buf body;
} fixture;

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.loop = loop_new();
    fixture.health = health_new(fixture.loop);
    health_set(fixture.health, HEALTH_NOT_SUBSCRIBED, false);
    health_set(fixture.health, HEALTH_NO_PUBLISHER, false);
    shared_text_init(&fixture.sessions);
    fixture.options = (struct admin_options){.instance = "i-1",
                                             .health = fixture.health,
                                             .counters = &fixture.counters,
                                             .sessions = &fixture.sessions};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    health_free(fixture.health);
    loop_free(fixture.loop);
    shared_text_fini(&fixture.sessions);
    buf_fini(&fixture.body);
    return 0;
}

static void test_readyz_is_200_also_with_reasons_that_do_not_block(void **state)
{
    (void)state;
    health_set(fixture.health, HEALTH_API_UNREACHABLE, true);
    assert_int_equal(admin_page_readyz(&fixture.options, &fixture.body), 200);
    assert_string_equal(fixture.body.data, "ready\n");
}

static void test_readyz_is_503_and_names_each_reason_with_its_time(void **state)
{
    (void)state;
    health_set_since(fixture.health, HEALTH_STORE_UNAVAILABLE, INT64_C(1767323045123));
    assert_int_equal(admin_page_readyz(&fixture.options, &fixture.body), 503);
    assert_non_null(
        strstr(fixture.body.data, "not ready\nstore_unavailable since 2026-01-02T03:04:05.123Z: "));
}

static void test_status_is_the_status_report_and_the_start(void **state)
{
    (void)state;
    struct json_fault fault;
    assert_int_equal(admin_page_status(&fixture.options, &fixture.body), 200);
    struct json *json = json_parse(buf_slice(&fixture.body), 4, &fault);
    assert_true(slice_equals_text(json_text(json_member(json, "State")), "online"));
    assert_true(slice_equals_text(json_text(json_member(json, "Instance")), "i-1"));
    assert_non_null(json_member(json, "Counts"));
    assert_non_null(json_member(json, "StartedAt"));
    assert_int_equal(json_kind(json_member(json, "Live")), JSON_TRUE);
    assert_int_equal(json_kind(json_member(json, "Ready")), JSON_TRUE);
    assert_null(json_first(json_member(json, "ReasonDetails")));
    assert_null(json_first(json_member(json, "Watches")));
    json_free(json);
}

static void test_status_has_what_is_in_work_and_in_the_outbox(void **state)
{
    (void)state;
    static const char sessions[] =
        "[{\"ClientId\":\"c-in\",\"Filters\":[\"a/b\"],\"State\":\"subscribed\"}]";
    counter_set(&fixture.counters, COUNTER_IN_WORK, 5);
    counter_set(&fixture.counters, COUNTER_CALLS_IN_FLIGHT, 2);
    counter_set(&fixture.counters, COUNTER_WAITING, 3);
    counter_set(&fixture.counters, COUNTER_OUTBOX_DEPTH, 7);
    counter_set(&fixture.counters, COUNTER_OUTBOX_BYTES, 700);
    admin_put_status(&fixture.options, &fixture.body);
    assert_non_null(strstr(fixture.body.data,
                           "\"Pending\":5,\"InFlight\":2,\"Waiting\":3,"
                           "\"Outbox\":{\"Messages\":7,\"Bytes\":700},\"Sessions\":[],"));
    buf_clear(&fixture.body);
    shared_text_set(&fixture.sessions, slice_text(sessions));
    admin_put_status(&fixture.options, &fixture.body);
    assert_non_null(strstr(fixture.body.data, sessions));
}

static void test_status_tells_each_reason_in_words(void **state)
{
    (void)state;
    struct json_fault fault;
    health_set_since(fixture.health, HEALTH_STORE_UNAVAILABLE, INT64_C(1767323045123));
    health_set(fixture.health, HEALTH_SESSION_LOST, true);
    admin_put_status(&fixture.options, &fixture.body);
    struct json *json = json_parse(buf_slice(&fixture.body), 4, &fault);
    assert_true(slice_equals_text(json_text(json_member(json, "State")), "degraded"));
    assert_int_equal(json_kind(json_member(json, "Ready")), JSON_FALSE);
    const struct json *first = json_first(json_member(json, "ReasonDetails"));
    const struct json *second = json_next(first);
    assert_true(slice_equals_text(json_text(json_member(first, "Reason")), "session_lost"));
    assert_int_equal(json_kind(json_member(first, "BlocksReady")), JSON_FALSE);
    assert_true(slice_equals_text(json_text(json_member(second, "Reason")), "store_unavailable"));
    assert_true(
        slice_equals_text(json_text(json_member(second, "Since")), "2026-01-02T03:04:05.123Z"));
    assert_int_equal(json_kind(json_member(second, "BlocksReady")), JSON_TRUE);
    const struct health_reason_info *info = health_reason_info(HEALTH_STORE_UNAVAILABLE);
    assert_true(slice_equals_text(json_text(json_member(second, "Meaning")), info->meaning));
    assert_true(slice_equals_text(json_text(json_member(second, "Advice")), info->advice));
    assert_null(json_next(second));
    json_free(json);
}

static void test_metrics_have_a_help_a_type_and_a_value(void **state)
{
    (void)state;
    counter_add(&fixture.counters, COUNTER_RECEIVED, 3);
    counter_set(&fixture.counters, COUNTER_IN_WORK, 2);
    assert_int_equal(admin_page_metrics(&fixture.options, &fixture.body), 200);
    assert_non_null(
        strstr(fixture.body.data, "# HELP ecs_bridge_commands_received_total Messages"));
    assert_non_null(strstr(fixture.body.data, "# TYPE ecs_bridge_commands_received_total counter\n"
                                              "ecs_bridge_commands_received_total 3\n"));
    assert_non_null(strstr(fixture.body.data, "# TYPE ecs_bridge_commands_in_work gauge\n"
                                              "ecs_bridge_commands_in_work 2\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_readyz_is_200_also_with_reasons_that_do_not_block),
        TEST(test_readyz_is_503_and_names_each_reason_with_its_time),
        TEST(test_status_is_the_status_report_and_the_start),
        TEST(test_status_has_what_is_in_work_and_in_the_outbox),
        TEST(test_status_tells_each_reason_in_words),
        TEST(test_metrics_have_a_help_a_type_and_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
