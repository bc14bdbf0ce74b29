/* What the pages of the admin endpoint hold. */
#include "admin/pages.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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
    assert_true(json_number(json_member(json, "Watches")) == 0);
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

static void assert_has(const char *text)
{
    if (strstr(fixture.body.data, text) == NULL) {
        fail_msg("not on the page: %s", text);
    }
}

static void assert_has_no(const char *text)
{
    if (strstr(fixture.body.data, text) != NULL) {
        fail_msg("on the page: %s", text);
    }
}

static void read_metrics(void)
{
    buf_clear(&fixture.body);
    assert_int_equal(admin_page_metrics(&fixture.options, &fixture.body), 200);
}

static void test_metrics_have_a_help_a_type_and_a_value(void **state)
{
    (void)state;
    counter_add(&fixture.counters, COUNTER_RECEIVED, 3);
    counter_set(&fixture.counters, COUNTER_IN_WORK, 2);
    read_metrics();
    assert_has("# HELP ecs_mqtt_bridge_commands_received_total Commands");
    assert_has("# TYPE ecs_mqtt_bridge_commands_received_total counter\n"
               "ecs_mqtt_bridge_commands_received_total 3\n");
    assert_has("# TYPE ecs_mqtt_bridge_commands_unfinished gauge\n");
    assert_has("\necs_mqtt_bridge_commands_unfinished{state=\"in_work\"} 2\n");
    assert_has("\necs_mqtt_bridge_build_info{version=\"" BRIDGE_VERSION "\"} 1\n");
}

static void test_metrics_have_every_counter_of_the_table_once(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        counter_set(&fixture.counters, (enum counter)i, 1000 + i);
    }
    read_metrics();
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *series = counter_info((enum counter)i);
        const struct metric_info *metric = metric_info(series->metric);
        struct buf line = {0};
        buf_printf(&line, "\n%s", metric->name);
        if (metric->label[0] != '\0') {
            buf_printf(&line, "{%s=\"%s\"}", metric->label, series->value);
        }
        if (metric->kind == METRIC_KIND_TIME) {
            buf_printf(&line, " %.10g\n", (1000 + i) / 1000.0);
        } else {
            buf_printf(&line, metric->kind == METRIC_KIND_AGE ? " 1" : " %d\n", 1000 + i);
        }
        assert_has(line.data);
        assert_null(strstr(strstr(fixture.body.data, line.data) + 1, line.data));
        buf_fini(&line);
    }
}

static void test_metrics_have_each_state_and_each_reason(void **state)
{
    (void)state;
    read_metrics();
    assert_has("_ready 1\n");
    assert_has("_live 1\n");
    assert_has("_state{state=\"online\"} 1\n");
    assert_has("_state{state=\"degraded\"} 0\n");
    assert_has("_state{state=\"offline\"} 0\n");
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        for (int is_on = 1; is_on >= 0; is_on--) {
            char line[128];
            health_set(fixture.health, (enum health_reason)i, is_on);
            read_metrics();
            snprintf(line, sizeof line, "_degraded_reason{reason=\"%s\"} %d\n",
                     health_reason_info((enum health_reason)i)->name, is_on);
            assert_has(line);
            assert_has(is_on ? "_state{state=\"degraded\"} 1\n" : "_state{state=\"online\"} 1\n");
        }
    }
    health_set(fixture.health, HEALTH_STORE_UNAVAILABLE, true);
    read_metrics();
    assert_has("_ready 0\n");
}

static void test_times_are_absent_or_0_where_there_are_none(void **state)
{
    (void)state;
    read_metrics();
    assert_has_no("\necs_mqtt_bridge_api_credentials_expiry_timestamp_seconds");
    assert_has_no("\necs_mqtt_bridge_certificate_expiry_timestamp_seconds");
    assert_has("\necs_mqtt_bridge_oldest_command_age_seconds 0\n");
    assert_has("\necs_mqtt_bridge_session_lost_timestamp_seconds 0\n");
    counter_set(&fixture.counters, COUNTER_CREDENTIALS_EXPIRY, INT64_C(1767323045120));
    counter_set(&fixture.counters, COUNTER_API_CA_EXPIRY, INT64_MAX);
    health_set_past(fixture.health, HEALTH_SESSION_LOST, INT64_C(1767323045000));
    read_metrics();
    assert_has("\necs_mqtt_bridge_api_credentials_expiry_timestamp_seconds 1767323045.12\n");
    assert_has_no("\necs_mqtt_bridge_certificate_expiry_timestamp_seconds");
    assert_has("\necs_mqtt_bridge_session_lost_timestamp_seconds 1767323045\n");
}

static void test_a_histogram_adds_its_buckets_up(void **state)
{
    (void)state;
    histogram_observe(&fixture.counters, HISTOGRAM_COMMIT, 400);
    histogram_observe(&fixture.counters, HISTOGRAM_COMMIT, 2000);
    histogram_observe(&fixture.counters, HISTOGRAM_COMMIT, 999000050);
    read_metrics();
    assert_has("# TYPE ecs_mqtt_bridge_ledger_commit_seconds histogram\n"
               "ecs_mqtt_bridge_ledger_commit_seconds_bucket{le=\"0.0005\"} 1\n"
               "ecs_mqtt_bridge_ledger_commit_seconds_bucket{le=\"0.001\"} 1\n"
               "ecs_mqtt_bridge_ledger_commit_seconds_bucket{le=\"0.0025\"} 2\n");
    assert_has("ecs_mqtt_bridge_ledger_commit_seconds_bucket{le=\"300\"} 2\n"
               "ecs_mqtt_bridge_ledger_commit_seconds_bucket{le=\"+Inf\"} 3\n"
               "ecs_mqtt_bridge_ledger_commit_seconds_sum 999.00245\n"
               "ecs_mqtt_bridge_ledger_commit_seconds_count 3\n");
}

static void test_regions_have_a_label_and_the_rest_is_other(void **state)
{
    (void)state;
    size_t place = counters_region(&fixture.counters, "cn-beijing");
    regional_add(&fixture.counters, place, REGIONAL_CALLS, 4);
    regional_add(&fixture.counters, COUNTER_REGION_OTHER, REGIONAL_THROTTLED, 2);
    read_metrics();
    assert_has("\necs_mqtt_bridge_api_calls_total{region=\"cn-beijing\"} 4\n"
               "ecs_mqtt_bridge_api_calls_total{region=\"other\"} 0\n");
    assert_has("\necs_mqtt_bridge_api_throttled_total{region=\"cn-beijing\"} 0\n"
               "ecs_mqtt_bridge_api_throttled_total{region=\"other\"} 2\n");
}

/* The value of a metric without labels. */
static double value_of(const char *name)
{
    struct buf line = {0};
    buf_printf(&line, "\n%s ", name);
    const char *at = strstr(fixture.body.data, line.data);
    double value = at == NULL ? -1 : strtod(at + line.length, NULL);
    buf_fini(&line);
    return value;
}

static void test_figures_of_the_process_are_its_own(void **state)
{
    (void)state;
    struct rlimit limit = {0};
    read_metrics();
    double fds = value_of("process_open_fds");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    read_metrics();
    assert_true(value_of("process_open_fds") == fds + 1);
    close(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_cur == RLIM_INFINITY ||
                value_of("process_max_fds") == (double)limit.rlim_cur);
    assert_true(value_of("process_resident_memory_bytes") > 100000);
    assert_true(value_of("process_virtual_memory_bytes") >
                value_of("process_resident_memory_bytes"));
    assert_true(value_of("process_cpu_seconds_total") > 0);
    assert_true((int64_t)value_of("process_start_time_seconds") ==
                health_started_at_ms(fixture.health) / 1000);
    assert_true(value_of("ecs_mqtt_bridge_log_lines_lost_total") == 0);
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
        TEST(test_metrics_have_every_counter_of_the_table_once),
        TEST(test_metrics_have_each_state_and_each_reason),
        TEST(test_times_are_absent_or_0_where_there_are_none),
        TEST(test_a_histogram_adds_its_buckets_up),
        TEST(test_regions_have_a_label_and_the_rest_is_other),
        TEST(test_figures_of_the_process_are_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
