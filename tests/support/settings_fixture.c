#include "settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* libconfig 1.5 leaks the text before a syntax error. It is a small block, and the program ends
 * then anyway. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

struct settings *settings_of_text(const char *text)
{
    struct settings *settings = NULL;
    struct settings_report report = {0};
    if (settings_parse(slice_text(text), "test", &settings, &report) != STATUS_OK) {
        fail_msg("refused: %s", report.errors.data);
    }
    settings_report_fini(&report);
    return settings;
}

struct settings *settings_of_file(const char *path)
{
    struct settings *settings = NULL;
    struct settings_report report = {0};
    if (settings_load(path, &settings, &report) != STATUS_OK) {
        fail_msg("refused: %s", report.errors.data);
    }
    settings_report_fini(&report);
    return settings;
}

void assert_warnings(const char *text, const char *expected)
{
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(settings_parse(slice_text(text), "test", &settings, &report), STATUS_OK);
    assert_string_equal(report.warning_count == 0 ? "" : report.warnings.data, expected);
    settings_free(settings);
    settings_report_fini(&report);
}

void assert_errors(const char *text, const char *expected)
{
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(settings_parse(slice_text(text), "test", &settings, &report), STATUS_INVALID);
    assert_null(settings);
    assert_string_equal(report.errors.data, expected);
    settings_report_fini(&report);
}

void settings_fixture_set_api(struct settings *settings)
{
    settings->api.preset = "ebs";
    settings->api.network = "public";
    settings->api.endpoint = "";
    settings->api.version = "";
    settings->api.signature = "v3";
    settings->api.connect_timeout_ms = 5000;
    settings->api.read_timeout_ms = 10000;
    settings->api.max_in_flight = 64;
    settings->api.max_connection_age_s = 60;
    settings->api.proxy = "";
    settings->api.rpo_s = 900;
    settings->credentials.provider = "env";
}
