/* Errors and warnings of settings, and the files that the checks read. */
#include "base/buf.h"
#include "settings/settings.h"
#include "support/read_file.h"
#include "support/settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define VECTORS "tests/vectors/settings/"

/* The text is refused with exactly these lines. */
static void assert_errors(const char *text, const char *expected)
{
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(settings_parse(slice_text(text), "test", &settings, &report), STATUS_INVALID);
    assert_null(settings);
    assert_string_equal(report.errors.data, expected);
    settings_report_fini(&report);
}

static void write_file(const char *path, const char *text, size_t length, mode_t mode)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_every_fault_is_reported_with_its_line(void **state)
{
    (void)state;
    struct settings *settings = NULL;
    struct settings_report report = {0};
    struct buf expected = {0};
    read_file(VECTORS "faults.txt", &expected);
    assert_int_equal(settings_load(VECTORS "faults.conf", &settings, &report), STATUS_INVALID);
    assert_null(settings);
    assert_string_equal(report.errors.data, expected.data);
    buf_fini(&expected);
    settings_report_fini(&report);
}

static void test_every_danger_is_reported_with_its_line(void **state)
{
    (void)state;
    struct settings *settings = NULL;
    struct settings_report report = {0};
    struct buf expected = {0};
    read_file(VECTORS "dangers.txt", &expected);
    assert_int_equal(settings_load(VECTORS "dangers.conf", &settings, &report), STATUS_OK);
    assert_string_equal(report.warnings.data, expected.data);
    buf_fini(&expected);
    settings_free(settings);
    settings_report_fini(&report);
}

static void test_numbers_beyond_32_bits_are_not_truncated(void **state)
{
    (void)state;
    struct settings *settings = settings_of_text("replies: { expiry_s = 4294967295; };");
    assert_int_equal(settings->replies.expiry_s, 4294967295);
    settings_free(settings);
    settings =
        settings_of_text("replies: { expiry_s = 0xFFFFFFFF /* 12345678901 */; }; // 12345678901");
    assert_int_equal(settings->replies.expiry_s, 4294967295);
    settings_free(settings);
    assert_errors("replies: { expiry_s = 4294967296; };",
                  "test:1: replies.expiry_s: is 4294967296; allowed: a whole number, 1 to "
                  "4294967295\n");
    assert_errors("replies: {\n expiry_s = -4294967295; };",
                  "test:2: replies.expiry_s: is -4294967295; allowed: a whole number, 1 to "
                  "4294967295\n");
    settings =
        settings_of_text("instance = \"12345678901\"; api: { rate_per_s = 0.12345678901; };");
    assert_string_equal(settings->instance, "12345678901");
    assert_true(settings->api.rate_per_s < 0.2);
    settings_free(settings);
}

static void test_infinity_is_no_rate(void **state)
{
    (void)state;
    assert_errors("api: { rate_per_s = 1e999; };",
                  "test:1: api.rate_per_s: is inf; allowed: a number, 0.01 to 100000\n");
}

static void test_a_syntax_error_is_reported_with_its_line(void **state)
{
    (void)state;
    assert_errors("instance = \"a\";\nbroker: {\n keepalive_s = ; };\n",
                  "test:3: syntax: syntax error; allowed: key = value; and key: { ... };\n");
    assert_errors("instance = \"a\";\ninstance = \"b\";\n",
                  "test:2: syntax: duplicate setting name; allowed: key = value; and key: { ... "
                  "};\n");
    assert_errors("\n\ninstance = \"a;\n", "test:3: syntax: a text has no end; allowed: \"...\"\n");
    assert_errors("\ninstance = \"a\"; /* rest\n",
                  "test:2: syntax: a comment /* has no end; allowed: /* ... */\n");
    assert_errors("instance = \"a\\x00b\";\n",
                  "test:1: syntax: a text contains a NUL, \\x00; allowed: any other character\n");
    assert_errors("\n@include \"other.conf\"\n",
                  "test:2: syntax: @include is not supported; allowed: one file with all "
                  "settings\n");
}

static void test_comments_and_texts_may_contain_anything(void **state)
{
    (void)state;
    struct settings *settings =
        settings_of_text("# @include \"x\" /*\n// \"\ninstance = \"@include /* \\\\x00\"; "
                         "/* // \" */ log: { level = \"warn\"; };");
    assert_string_equal(settings->instance, "@include /* \\x00");
    assert_int_equal(settings_log_level(settings), LOG_LEVEL_WARN);
    settings_free(settings);
}

static void test_a_path_with_a_control_character_is_not_repeated(void **state)
{
    (void)state;
    assert_errors(
        "broker: { password_file = \"/a\\nb\"; };",
        "test:1: broker.password_file: contains a control character or bytes that are not "
        "UTF-8; allowed: empty, or the path of a readable file (at most 4096 bytes)\n");
}

static void test_a_nul_byte_is_refused(void **state)
{
    (void)state;
    static const char text[] = "instance = \"a\";\n\0log: 1;";
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(settings_parse(slice_of(text, sizeof text - 1), "test", &settings, &report),
                     STATUS_INVALID);
    assert_string_equal(report.errors.data,
                        "test:2: syntax: the file contains a NUL byte; allowed: text\n");
    settings_report_fini(&report);
}

static void test_an_empty_list_of_routes_is_refused(void **state)
{
    (void)state;
    assert_errors("\nroutes = ();", "test:2: routes: is empty; allowed: a list of at least one "
                                    "group ({ ... }, ...)\n");
}

static void test_the_length_of_a_client_id_counts_after_filling_in(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_append_text(&text,
                    "instance = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\";\nbroker: { client_id = \"");
    for (int i = 0; i < 2200; i++) {
        buf_append_text(&text, "{Instance}");
    }
    buf_append_text(&text, "\"; };");
    assert_errors(text.data, "test:2: broker.client_id: is too long once {Instance} is filled in; "
                             "allowed: a text that may contain {Instance} (at most 65000 bytes)\n");
    buf_fini(&text);
}

static void test_mqtt_3_needs_a_user_name_with_a_password(void **state)
{
    (void)state;
    assert_errors("broker: { protocol = 4; password_file = \"" VECTORS "full.conf\"; };",
                  "test:1: broker.password_file: is set without broker.username; allowed: both or "
                  "none (MQTT 3.1.1 has no password without a user name)\n");
}

static void test_session_expiry_is_not_checked_where_the_broker_decides_it(void **state)
{
    (void)state;
    assert_warnings("broker: { protocol = 4; session_expiry_s = 1; };", "");
}

static void test_shared_subscriptions_with_mqtt_3_are_a_danger(void **state)
{
    (void)state;
    assert_warnings("broker: { protocol = 4; receivers = 2; };\nroutes = ({\nshare = \"g\"; });",
                    "test:1: broker.receivers: needs shared subscriptions, which MQTT 3.1.1 does "
                    "not have: no command arrives from a broker that "
                    "does not offer them anyway\n"
                    "test:3: routes[0].share: needs shared subscriptions, which MQTT 3.1.1 does "
                    "not have: no command arrives from a broker that "
                    "does not offer them anyway\n");
    assert_warnings("broker: { receivers = 2; };\nroutes = ({\nshare = \"g\"; });", "");
}

static void test_a_danger_because_of_a_default_is_reported_at_the_line_of_its_cause(void **state)
{
    (void)state;
    assert_warnings(
        "\n\napi: {\n read_timeout_ms = 600000; };",
        "test:4: limits.deadline_s: is shorter than one attempt (api.connect_timeout_ms "
        "+ api.read_timeout_ms): a call that hangs is never tried again\n");
}

static void test_topics_that_only_look_alike_are_no_danger(void **state)
{
    (void)state;
    assert_warnings("topics: { dead_letters = \"cmd/dead\"; status = \"cmd\"; "
                    "events = \"cmd/start/{RegionId}\"; };\n"
                    "routes = ({ topics = (\"cmd/start\", \"+/stop\"); "
                    "reply_topic = \"cmd/r-{ClientToken}\"; response_topics = (\"cmd/r/#\"); });",
                    "");
}

static void test_a_missing_file_has_another_status_than_a_bad_one(void **state)
{
    (void)state;
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(settings_load("/nonexistent/x.conf", &settings, &report), STATUS_NOT_FOUND);
    assert_int_equal(settings_load("tests", &settings, &report), STATUS_INVALID);
    assert_null(settings);
    assert_string_equal(report.errors.data,
                        "/nonexistent/x.conf: file: cannot be read: No such file or directory; "
                        "allowed: a readable file of at most 1 MiB\n"
                        "tests: file: cannot be read: Is a directory; "
                        "allowed: a readable file of at most 1 MiB\n");
    settings_report_fini(&report);
}

/* A temporary folder for a test that writes files. */
static int make_folder(void **state)
{
    char name[] = "/tmp/test_settings_XXXXXX";
    struct buf folder = {0};
    if (mkdtemp(name) == NULL) {
        return -1;
    }
    buf_append_text(&folder, name);
    *state = buf_take(&folder);
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"file", "mqtt-password"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf path = {0};
        buf_printf(&path, "%s/%s", (char *)*state, names[i]);
        unlink(path.data);
        buf_fini(&path);
    }
    int result = rmdir(*state);
    free(*state);
    return result;
}

static void test_a_file_too_large_is_refused(void **state)
{
    struct settings *settings = NULL;
    struct settings_report report = {0};
    struct buf path = {0};
    char *text = calloc(1, 1024 * 1024 + 1);
    assert_non_null(text);
    memset(text, ' ', 1024 * 1024 + 1);
    buf_printf(&path, "%s/file", (char *)*state);
    write_file(path.data, text, 1024 * 1024, 0600);
    assert_int_equal(settings_load(path.data, &settings, &report), STATUS_OK);
    settings_free(settings);
    write_file(path.data, text, 1024 * 1024 + 1, 0600);
    assert_int_equal(settings_load(path.data, &settings, &report), STATUS_INVALID);
    assert_int_equal(report.error_count, 1);
    free(text);
    buf_fini(&path);
    settings_report_fini(&report);
}

static void test_a_secret_that_others_may_read_is_a_danger(void **state)
{
    struct buf text = {0};
    struct buf path = {0};
    buf_printf(&path, "%s/file", (char *)*state);
    buf_printf(&text, "\nbroker: { password_file = \"%s\"; };", path.data);
    write_file(path.data, "x", 1, 0600);
    assert_warnings(text.data, "");
    assert_int_equal(chmod(path.data, 0640), 0);
    assert_warnings(text.data, "test:2: broker.password_file: names a secret file that other users "
                               "may open (mode 0640); use mode 0600 or 0400\n");
    assert_int_equal(chmod(path.data, 0604), 0);
    assert_warnings(text.data, "test:2: broker.password_file: names a secret file that other users "
                               "may open (mode 0604); use mode 0600 or 0400\n");
    buf_fini(&text);
    buf_fini(&path);
}

static void test_a_proxy_user_in_an_open_file_is_a_danger(void **state)
{
    static const char text[] = "api: { proxy = \"http://me:secret@proxy\"; };";
    struct settings_report report = {0};
    struct settings *settings = NULL;
    struct buf path = {0};
    buf_printf(&path, "%s/file", (char *)*state);
    write_file(path.data, text, strlen(text), 0640);
    assert_int_equal(settings_load(path.data, &settings, &report), STATUS_OK);
    assert_int_equal(report.warning_count, 0);
    settings_free(settings);
    assert_int_equal(chmod(path.data, 0644), 0);
    assert_int_equal(settings_load(path.data, &settings, &report), STATUS_OK);
    assert_int_equal(report.warning_count, 1);
    assert_non_null(strstr(report.warnings.data, ":1: api.proxy: contains a user name"));
    assert_null(strstr(report.warnings.data, "secret"));
    settings_free(settings);
    settings_report_fini(&report);
    buf_fini(&path);
}

static void assert_password_path(const struct settings *settings, const char *expected)
{
    char *path = settings_password_path(settings);
    if (expected == NULL) {
        assert_null(path);
    } else {
        assert_non_null(path);
        assert_string_equal(path, expected);
    }
    free(path);
}

static void test_the_password_comes_from_its_file_or_the_credentials_folder(void **state)
{
    struct buf path = {0};
    struct settings *settings = settings_of_file(NULL);
    buf_printf(&path, "%s/mqtt-password", (char *)*state);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_password_path(settings, NULL);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", *state, 1), 0);
    assert_password_path(settings, NULL);
    write_file(path.data, "x", 1, 0600);
    assert_password_path(settings, path.data);
    settings_free(settings);

    settings = settings_of_file(VECTORS "full.conf");
    assert_password_path(settings, VECTORS "full.conf");
    settings_free(settings);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    buf_fini(&path);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

static void test_a_default_that_its_route_does_not_allow_is_refused(void **state)
{
    (void)state;
    assert_errors("routes = ({\n  regions = (\"cn-*\"); groups = (\"pg-a*\");\n"
                  "  defaults: {\n    RegionId = \"us-east-1\";\n"
                  "    ReplicaGroupId = \"pg-b\";\n  };\n});",
                  "test:4: routes[0].defaults.RegionId: is not allowed by this route's regions, so "
                  "every command without the field "
                  "would be refused; allowed: a value that they allow\n"
                  "test:5: routes[0].defaults.ReplicaGroupId: is not allowed by this route's "
                  "groups, so every command without the "
                  "field would be refused; allowed: a value that they allow\n");
    assert_warnings("routes = ({ regions = (\"cn-*\"); defaults: { RegionId = \"cn-beijing\"; }; "
                    "});",
                    "");
}

static void test_malformed_patterns_are_refused(void **state)
{
    (void)state;
    assert_errors("routes = ({ groups = (\"pg-[ab\", \"pg-\\\\\", \"[!]\"); });",
                  "test:1: routes[0].groups[0]: has a '[' without its ']' (write \\\\[ for a "
                  "bracket itself); allowed: a shell pattern of at most 1024 bytes\n"
                  "test:1: routes[0].groups[1]: ends with a backslash; allowed: a shell pattern of "
                  "at most 1024 bytes\n"
                  "test:1: routes[0].groups[2]: has a '[' without its ']' (write \\\\[ for a "
                  "bracket itself); allowed: a shell pattern of at most 1024 bytes\n");
    assert_warnings("routes = ({ groups = (\"pg-[]]\", \"pg-\\\\[\", \"[[:alpha:]]\", "
                    "\"pg-[!ab]*\"); });",
                    "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_fault_is_reported_with_its_line),
        cmocka_unit_test(test_every_danger_is_reported_with_its_line),
        cmocka_unit_test(test_numbers_beyond_32_bits_are_not_truncated),
        cmocka_unit_test(test_infinity_is_no_rate),
        cmocka_unit_test(test_a_syntax_error_is_reported_with_its_line),
        cmocka_unit_test(test_comments_and_texts_may_contain_anything),
        cmocka_unit_test(test_a_path_with_a_control_character_is_not_repeated),
        cmocka_unit_test(test_a_nul_byte_is_refused),
        cmocka_unit_test(test_an_empty_list_of_routes_is_refused),
        cmocka_unit_test(test_the_length_of_a_client_id_counts_after_filling_in),
        cmocka_unit_test(test_mqtt_3_needs_a_user_name_with_a_password),
        cmocka_unit_test(test_session_expiry_is_not_checked_where_the_broker_decides_it),
        cmocka_unit_test(test_shared_subscriptions_with_mqtt_3_are_a_danger),
        cmocka_unit_test(test_a_danger_because_of_a_default_is_reported_at_the_line_of_its_cause),
        cmocka_unit_test(test_topics_that_only_look_alike_are_no_danger),
        cmocka_unit_test(test_a_missing_file_has_another_status_than_a_bad_one),
        WITH_FOLDER(test_a_file_too_large_is_refused),
        WITH_FOLDER(test_a_secret_that_others_may_read_is_a_danger),
        WITH_FOLDER(test_a_proxy_user_in_an_open_file_is_a_danger),
        WITH_FOLDER(test_the_password_comes_from_its_file_or_the_credentials_folder),
        cmocka_unit_test(test_a_default_that_its_route_does_not_allow_is_refused),
        cmocka_unit_test(test_malformed_patterns_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
