/*
 * Files of settings: their syntax, who may read and write them, and the files that they name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "support/settings_fixture.h"

#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VECTORS "tests/vectors/settings/"

static void write_file(const char *path, const char *text, size_t length, mode_t mode)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
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
                  "test:3: syntax: ';' is not expected here: the value of keepalive_s is missing; "
                  "allowed: key = value; and key: { ... };\n");
    assert_errors("instance = \"a\";\ninstance = \"b\";\n",
                  "test:2: syntax: instance is there twice; allowed: each key once in its group\n");
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
    buf_printf(&text, "\nbroker: { password_file = \"%s\"; };" LIMITED_ROUTES, path.data);
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
    static const char text[] = "api: { proxy = \"http://me:secret@proxy\"; };" LIMITED_ROUTES;
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

/* Likely causes, by what a person wrote. */
static void test_a_syntax_error_names_its_token_and_the_likely_cause(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says; /* after "test:", before "; allowed" */
    } faults[] = {
        {"broker: {\n username = alice;\n};\n",
         "2: syntax: 'alice' is not expected here: a text is written in double quotes, \"...\""},
        {"\nlimits: { deadline_s = 5m; };\n", "2: syntax: '5m' is not expected here: a number has "
                                              "digits only, without a unit; a text is "
                                              "written in double quotes, \"...\""},
        {"broker.protocol = 5;\n",
         "1: syntax: '.' is not expected here: a name has no dot, a group is written broker: { ... "
         "};"},
        {"broker: { uris = (\"mqtt://a\"; };\n", "1: syntax: ';' is not expected here: a comma is "
                                                 "missing before it, or the end of the list "
                                                 "of line 1"},
#if LIBCONFIG_VER_MAJOR == 1 && LIBCONFIG_VER_MINOR < 7
        /* Later versions take a comma behind the last item. */
        {"\nbroker: { uris = (\"mqtt://a\", ); };\n",
         "2: syntax: ')' is not expected here: an item of the list is missing before it"},
#endif
        {"instance = 'a';\n",
         "1: syntax: ''' is not expected here: a text is written in double quotes, \"...\""},
        {"instance = \xe2\x80\x9c"
         "a\xe2\x80\x9d;\n",
         "1: syntax: '\\xe2' is not expected here: only texts and comments may contain other "
         "characters than ASCII, and a text is written in plain double quotes, \"...\""},
        {"instance = ${HOST};\n",
         "1: syntax: '$' is not expected here: this character may only be part of a text, and a "
         "text is written in double quotes, \"...\""},
        {"log: {\n level = \"info\";\n",
         "3: syntax: the file ends, but the { of line 1 is still open"},
        {"instance = \"a\";\n}\n",
         "2: syntax: '}' is not expected here: nothing is open that it could close"},
        {"routes = ({ name = \"a\"; );\n",
         "1: syntax: ')' is not expected here: the { of line 1 is still open"},
        {"\"log\": { level = \"info\"; };\n",
         "1: syntax: '\"log\"' is not expected here: the name of a setting is expected, without "
         "quotes"},
        {"log { level = \"info\"; };\n",
         "1: syntax: '{' is not expected here: = or : is missing after log; a text is written in "
         "double quotes, \"...\""},
        {"instance = \"a\";;\n",
         "1: syntax: ';' is not expected here: there is one ; or , too many"},
        {"= \"a\";\n",
         "1: syntax: '=' is not expected here: the name of the setting is missing before it"},
        {"instance =\n", "2: syntax: the file ends before the value of instance"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct buf expected = {0};
        buf_printf(&expected, "test:%s; allowed: key = value; and key: { ... };\n", faults[i].says);
        assert_errors(faults[i].text, expected.data);
        buf_fini(&expected);
    }
    assert_errors("log: {\n level = \"info\"; };\nbroker: { protocol = 5;\n protocol = 5; };\n",
                  "test:4: syntax: protocol is there twice; allowed: each key once in its group\n");
}

static void test_a_byte_order_mark_is_named(void **state)
{
    (void)state;
    assert_errors("\xef\xbb\xbfinstance = \"a\";\n",
                  "test:1: syntax: the file begins with a byte order mark (the bytes EF BB BF); "
                  "allowed: UTF-8 without it, save the file so\n");
    assert_errors(
        "\xff\xfei\n",
        "test:1: syntax: the file begins with a byte order mark of UTF-16; allowed: UTF-8 "
        "without a byte order mark, save the file so\n");
}

static void test_a_variable_in_a_text_is_a_danger(void **state)
{
    (void)state;
    assert_warnings(
        "broker: {\n username = \"a-${MQTT_USER}-${B}\"; };\n"
        "routes = ({ groups = (\"pg\", \"${G}\"); });",
        "test:2: broker.username: contains ${MQTT_USER}, which is taken as it stands: "
        "variables of the environment are not replaced; write the value itself, or give "
        "it with --set\n"
        "test:3: routes[0].groups: contains ${G}, which is taken as it stands: "
        "variables of the environment are not replaced; write the value itself, or give "
        "it with --set\n");
    assert_warnings("broker: { username = \"a$MQTT{\"; };" LIMITED_ROUTES, "");
}

static void test_a_file_that_everybody_may_write_is_a_danger(void **state)
{
    struct buf text = {0};
    struct buf path = {0};
    struct buf expected = {0};
    buf_printf(&path, "%s/file", (char *)*state);
    buf_printf(&text, "\nbroker: { tls: { ca_file = \"%s\"; }; };" LIMITED_ROUTES, path.data);
    write_file(path.data, "x", 1, 0644);
    assert_warnings(text.data, "");
    assert_int_equal(chmod(path.data, 0646), 0);
    buf_printf(&expected,
               "test:2: broker.tls.ca_file: %s may be written by everybody (mode 0646); use mode "
               "0644 or less\n",
               path.data);
    assert_warnings(text.data, expected.data);
    buf_fini(&text);
    buf_fini(&path);
    buf_fini(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_beyond_32_bits_are_not_truncated),
        cmocka_unit_test(test_infinity_is_no_rate),
        cmocka_unit_test(test_a_syntax_error_is_reported_with_its_line),
        cmocka_unit_test(test_comments_and_texts_may_contain_anything),
        cmocka_unit_test(test_a_path_with_a_control_character_is_not_repeated),
        cmocka_unit_test(test_a_nul_byte_is_refused),
        cmocka_unit_test(test_a_missing_file_has_another_status_than_a_bad_one),
        WITH_FOLDER(test_a_file_too_large_is_refused),
        WITH_FOLDER(test_a_secret_that_others_may_read_is_a_danger),
        WITH_FOLDER(test_a_proxy_user_in_an_open_file_is_a_danger),
        WITH_FOLDER(test_the_password_comes_from_its_file_or_the_credentials_folder),
        cmocka_unit_test(test_a_syntax_error_names_its_token_and_the_likely_cause),
        cmocka_unit_test(test_a_byte_order_mark_is_named),
        cmocka_unit_test(test_a_variable_in_a_text_is_a_danger),
        WITH_FOLDER(test_a_file_that_everybody_may_write_is_a_danger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
