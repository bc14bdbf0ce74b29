/* The generated files in config/ must be what the tables generate, and all configuration files
 * there must load. */
#include "base/buf.h"
#include "documents.h"
#include "settings/settings.h"
#include "support/read_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Fails with the first line that differs. */
static void assert_same_text(const char *path, const char *expected, const char *actual)
{
    int line = 1;
    while (*expected != '\0' && *expected == *actual) {
        line += *expected == '\n';
        expected++;
        actual++;
    }
    if (*expected != *actual) {
        fail_msg("%s:%d differs from what the tables generate: \"%.40s\" should be "
                 "\"%.40s\"",
                 path, line, actual, expected);
    }
}

static void assert_is_generated(const char *path, void (*generate)(struct buf *out))
{
    struct buf committed = {0};
    struct buf generated = {0};
    read_file(path, &committed);
    generate(&generated);
    assert_same_text(path, generated.data, committed.data);
    buf_fini(&committed);
    buf_fini(&generated);
}

/* Fails on an error and on more warnings than this. */
static void assert_loads(const char *path, int warning_count)
{
    struct settings *settings = NULL;
    struct settings_report report = {0};
    enum status status = settings_load(path, &settings, &report);
    if (report.error_count > 0 || report.warning_count != warning_count) {
        print_error("%s%s", report.error_count > 0 ? report.errors.data : "",
                    report.warning_count > 0 ? report.warnings.data : "");
    }
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(report.error_count, 0);
    assert_int_equal(report.warning_count, warning_count);
    settings_free(settings);
    settings_report_fini(&report);
}

static void test_the_page_of_settings_is_the_generated_one(void **state)
{
    (void)state;
    assert_is_generated("config/settings.md", settings_page);
}

static void test_the_page_of_events_is_the_generated_one(void **state)
{
    (void)state;
    assert_is_generated("config/events.md", events_page);
}

static void test_the_page_of_metrics_is_the_generated_one(void **state)
{
    (void)state;
    assert_is_generated("config/metrics.md", metrics_page);
}

static void test_the_schemas_are_the_generated_ones(void **state)
{
    (void)state;
    assert_is_generated("config/schema/command.json", command_schema);
    assert_is_generated("config/schema/reply.json", reply_schema);
    assert_is_generated("config/schema/status.json", status_schema);
    assert_is_generated("config/schema/dead-letter.json", dead_letter_schema);
    assert_is_generated("config/schema/event.json", event_schema);
}

static void test_the_full_file_is_the_generated_one(void **state)
{
    (void)state;
    assert_is_generated("config/ecs-mqtt-bridge.conf", settings_example);
}

static void test_the_full_file_loads_cleanly(void **state)
{
    (void)state;
    assert_loads("config/ecs-mqtt-bridge.conf", 1); /* its route allows everything */
}

static void test_the_minimal_file_loads_cleanly(void **state)
{
    (void)state;
    assert_loads("config/minimal.conf", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_of_settings_is_the_generated_one),
        cmocka_unit_test(test_the_page_of_events_is_the_generated_one),
        cmocka_unit_test(test_the_page_of_metrics_is_the_generated_one),
        cmocka_unit_test(test_the_schemas_are_the_generated_ones),
        cmocka_unit_test(test_the_full_file_is_the_generated_one),
        cmocka_unit_test(test_the_full_file_loads_cleanly),
        cmocka_unit_test(test_the_minimal_file_loads_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
