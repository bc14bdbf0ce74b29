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
#include <libconfig.h>

/* libconfig 1.5 leaks the text before a syntax error. It is a small block, and the program ends
 * then anyway. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

#define VECTORS "tests/vectors/settings/"

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
    assert_warnings("broker: { protocol = 4; session_expiry_s = 1; };" LIMITED_ROUTES, "");
}

static void test_shared_subscriptions_with_mqtt_3_are_a_danger(void **state)
{
    (void)state;
    assert_warnings(
        "broker: { protocol = 4; };\nroutes = ({\nshare = \"g\"; groups = (\"pg-*\"); });",
        "test:3: routes[0].share: needs shared subscriptions, which MQTT 3.1.1 does "
        "not have: no command arrives from a broker that "
        "does not offer them anyway, and it may not say so; use broker.protocol = 5, or no "
        "share\n");
    assert_warnings("routes = ({\nshare = \"g\"; groups = (\"pg-*\"); });", "");
}

static void test_a_danger_because_of_a_default_is_reported_at_the_line_of_its_cause(void **state)
{
    (void)state;
    assert_warnings(
        "\n\napi: {\n read_timeout_ms = 600000; };" LIMITED_ROUTES,
        "test:4: limits.deadline_s: is shorter than one attempt (api.connect_timeout_ms "
        "+ api.read_timeout_ms): a call that hangs is never tried again\n");
}

static void test_topics_that_only_look_alike_are_no_danger(void **state)
{
    (void)state;
    assert_warnings("topics: { dead_letters = \"cmd/dead\"; status = \"cmd\"; "
                    "events = \"cmd/start/{RegionId}\"; };\n"
                    "routes = ({ topics = (\"cmd/start\", \"+/stop\"); "
                    "reply_topic = \"cmd/r-{ClientToken}\"; response_topics = (\"cmd/r/#\"); "
                    "groups = (\"pg-*\"); });",
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

static void test_a_success_is_remembered_as_long_as_a_session_can_hold_its_command(void **state)
{
    (void)state;
    assert_errors(
        "broker: {\n session_expiry_s = 3600; };\ndedup: {\n success_ttl_s = 3599; };",
        "test:4: dedup.success_ttl_s: is shorter than broker.session_expiry_s: the broker "
        "could deliver a command again after its outcome was forgotten, and it would be "
        "started twice; allowed: at least broker.session_expiry_s (3600)\n");
    assert_errors(
        "broker: {\n session_expiry_s = 86401; };",
        "test:2: dedup.success_ttl_s: is shorter than broker.session_expiry_s: the broker "
        "could deliver a command again after its outcome was forgotten, and it would be "
        "started twice; allowed: at least broker.session_expiry_s (86401)\n");
    assert_warnings(
        "broker: { session_expiry_s = 3600; }; dedup: { success_ttl_s = 3600; };" LIMITED_ROUTES,
        "");
}

/* The lines for one command filter, with the topics that it takes in; they end with NULL. */
static void assert_own_topics(const char *text, const char *filter, const char *const own[])
{
    struct buf expected = {0};
    for (size_t i = 0; own[i] != NULL; i++) {
        buf_printf(&expected,
                   "%s: takes in what the bridge itself publishes (%s), which it would read as "
                   "commands; allowed: filters that match no topic of its own\n",
                   filter, own[i]);
    }
    assert_errors(text, expected.data);
    buf_fini(&expected);
}

static void test_a_route_must_not_take_in_what_the_bridge_publishes(void **state)
{
    (void)state;
    static const char *const all[] = {
        "topics.dead_letters, \"ecs-bridge/v1/dead-letters\"",
        "topics.status, \"ecs-bridge/v1/status/{Instance}\"",
        "topics.events, \"ecs-bridge/v1/events/{ReplicaGroupId}\"",
        "routes[0].reply_topic, \"ecs-bridge/v1/replies/{ClientToken}\"",
        NULL,
    };
    assert_own_topics("routes = ({\n topics = (\"a\",\n\"ecs-bridge/v1/+/#\"); });",
                      "test:2: routes[0].topics[1]", all);
    assert_own_topics("routes = ({ topics = (\"#\"); });", "test:1: routes[0].topics[0]", all);
    /* A shared subscription receives the same messages. */
    static const char *const dead[] = {"topics.dead_letters, \"x/d\"", NULL};
    assert_own_topics("routes = ({ share = \"g\"; topics = (\"+/d\"); });\n"
                      "topics: { dead_letters = \"x/d\"; };",
                      "test:1: routes[0].topics[0]", dead);
    /* The reply topic of another route. */
    static const char *const replies[] = {"routes[1].reply_topic, \"r/{ClientToken}/start\"", NULL};
    assert_own_topics("routes = ({ topics = (\"r/+/start\"); }, { name = \"b\"; topics = (\"b\"); "
                      "reply_topic = \"r/{ClientToken}/start\"; });",
                      "test:1: routes[0].topics[0]", replies);
    /* Wildcards do not match a first level that begins with a dollar sign. */
    assert_warnings("routes = ({ topics = (\"+/dead\"); groups = (\"pg-*\"); });\n"
                    "topics: { dead_letters = \"$bridge/dead\"; };",
                    "");
}

static void test_the_settings_of_watch_have_limits(void **state)
{
    (void)state;
    assert_errors("watch: { poll_max_s = 10;\n poll_min_s = 11; };",
                  "test:2: watch.poll_min_s: is longer than watch.poll_max_s; allowed: at most "
                  "watch.poll_max_s\n");
    /* The line of the one that is in the file. */
    assert_errors("\nwatch: { poll_max_s = 4; };",
                  "test:2: watch.poll_min_s: is longer than watch.poll_max_s; allowed: at most "
                  "watch.poll_max_s\n");
    assert_warnings("watch: { poll_min_s = 10; poll_max_s = 10; };" LIMITED_ROUTES, "");
    assert_errors("watch: { poll_min_s = 0; };",
                  "test:1: watch.poll_min_s: is 0; allowed: a whole number, 1 to 31536000\n");
    assert_errors("watch: { lag_factor = 0.9; };",
                  "test:1: watch.lag_factor: is 0.9; allowed: a number, 1 to 100\n");
    assert_errors("routes = ({ watch = \"on\"; });",
                  "test:1: routes[0].watch: is not one of the choices; allowed: \"off\", "
                  "\"until_done\" or \"continuous\"\n");
    assert_errors("routes = ({ explain = 1; });",
                  "test:1: routes[0].explain: is a whole number; allowed: true or false\n");
}

/* The routes watch, and events are retained, on this topic. */
static void assert_events_warning(const char *route, const char *retain, const char *events,
                                  const char *expected)
{
    struct buf text = {0};
    buf_printf(&text,
               "routes = ({ groups = (\"pg-*\"); }, { name = \"b\"; topics = (\"b\"); "
               "groups = (\"pg-*\"); %s });\n"
               "watch: { retain = %s; };\ntopics: { events = \"%s\"; };",
               route, retain, events);
    assert_warnings(text.data, expected);
    buf_fini(&text);
}

static void test_retained_events_need_a_topic_for_each_group(void **state)
{
    (void)state;
    static const char warning[] =
        "test:3: topics.events: has no {ReplicaGroupId} while watch.retain is true: the last event "
        "of one group replaces the last event of another; put {ReplicaGroupId} into it, or set "
        "watch.retain = false\n";
    assert_events_warning("watch = \"until_done\";", "true", "e/{RegionId}", warning);
    assert_events_warning("watch = \"continuous\";", "true", "e/{RegionId}", warning);
    assert_events_warning("explain = true;", "true", "e/{RegionId}", warning);
    assert_events_warning("watch = \"off\";", "true", "e/{RegionId}", "");
    assert_events_warning("watch = \"until_done\";", "false", "e/{RegionId}", "");
    assert_events_warning("watch = \"until_done\";", "true", "e/{ReplicaGroupId}", "");
}

/* The lines about patterns of routes[0], in line 1; they end with NULL. */
static void assert_never(const char *text, const char *const lines[])
{
    struct buf expected = {0};
    buf_append_text(&expected, "");
    for (size_t i = 0; lines[i] != NULL; i++) {
        buf_printf(&expected, "test:1: routes[0].%s\n", lines[i]);
    }
    assert_warnings(text, expected.data);
    buf_fini(&expected);
}

static void test_patterns_that_can_never_match_are_a_danger(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "regions[0]: can never match: no region contains _",
        "regions[2]: can never match: no region contains .",
        "regions[3]: can never match: no region contains [_.]",
        "groups[0]: can never match: no replica group contains \xc3\xa9",
        "groups[2]: can never match: no replica group contains [!!-~ ]",
        NULL,
    };
    assert_never(
        "routes = ({ regions = (\"cn_beijing\", \"cn-*\", \"cn.*\", \"*[_.]\", \"[a-z]?\"); "
        "groups = (\"pg-\xc3\xa9*\", \"pg a\", \"[!!-~ ]\", \"[[:alpha:]]\"); });",
        lines);
    static const char *const too_long[] = {
        "groups[0]: can never match: a replica group has at most 128 bytes", NULL};
    for (int stars = 0; stars < 2; stars++) {
        struct buf text = {0};
        buf_append_text(&text, "routes = ({ groups = (\"");
        for (int i = 0; i < 129; i++) {
            buf_append_char(&text, i < stars ? '*' : '?');
        }
        buf_append_text(&text, "\"); });");
        assert_never(text.data, stars > 0 ? too_long + 1 : too_long);
        buf_fini(&text);
    }
}

static void test_a_default_of_another_action_is_refused(void **state)
{
    (void)state;
    assert_errors("routes = ({ action = \"StopDiskReplicaGroup\"; groups = (\"pg-*\");\n"
                  " defaults: { OneShot = false; }; });",
                  "test:2: routes[0].defaults.OneShot: is no parameter of this route's action, "
                  "StopDiskReplicaGroup; remove it\n");
    assert_warnings("routes = ({ groups = (\"pg-*\"); defaults: { OneShot = true; }; });", "");
}

static void test_a_route_that_allows_everything_is_a_danger(void **state)
{
    (void)state;
    assert_warnings("routes = ({ action = \"StopDiskReplicaGroup\"; });",
                    "test:1: routes[0].groups: allows every replica group, and `regions` every "
                    "region: everybody who may publish on this route's topics can stop all of "
                    "them; list the regions or the groups\n");
    assert_warnings("routes = ({\n groups = (\"pg-a\", \"**\"); });", "test:2" OPEN_ROUTE_WARNING);
    assert_warnings("routes = ({ groups = (\"p*\"); });", "");
    assert_warnings("routes = ({ regions = (\"cn-*\"); });", "");
}

static void test_an_admin_endpoint_off_loopback_is_a_danger(void **state)
{
    (void)state;
    static const char *const far[] = {"0.0.0.0:9464", "[::]:9464", "192.0.2.1:0", "host:9464"};
    static const char *const near[] = {"127.1.2.3:9464", "[::1]:9464", "localhost:9464", ""};
    for (size_t i = 0; i < 4; i++) {
        struct buf text = {0};
        buf_printf(&text, "admin: { listen = \"%s\"; };" LIMITED_ROUTES, far[i]);
        assert_warnings(text.data,
                        "test:1: admin.listen: is not on loopback: everybody who can reach this "
                        "address sees the bridge's state and numbers, without a password or "
                        "encryption; use 127.0.0.1, or a firewall\n");
        buf_clear(&text);
        buf_printf(&text, "admin: { listen = \"%s\"; };" LIMITED_ROUTES, near[i]);
        assert_warnings(text.data, "");
        buf_fini(&text);
    }
}

static void test_traces_that_go_unencrypted_over_the_network_are_a_danger(void **state)
{
    (void)state;
    assert_warnings("trace: { endpoint = \"http://192.0.2.1:4318\"; };" LIMITED_ROUTES,
                    "test:1: trace.endpoint: is not encrypted and not on loopback: tokens, groups "
                    "and outcomes can be read on the network; use https://, or a collector on this "
                    "machine\n");
    assert_warnings("trace: { endpoint = \"https://192.0.2.1/v1/traces\"; };" LIMITED_ROUTES, "");
    assert_warnings("trace: { endpoint = \"http://127.0.0.1:4318\"; };" LIMITED_ROUTES, "");
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

/* ---- options of the command line ---- */

#define WITH_OPTION(option) (&(struct settings_options){(const char *const[]){option}, 1})

static struct settings *settings_with(const struct settings_options *options)
{
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(settings_load_with(VECTORS "full.conf", options, &settings, &report),
                     STATUS_OK);
    settings_report_fini(&report);
    return settings;
}

static void test_an_option_replaces_what_the_file_says(void **state)
{
    (void)state;
    static const char *const options[] = {
        "broker.username=a word, and more",
        "broker.uris=(\"mqtt://[::1]\", \"wss://127.0.0.1\")",
        "broker.tls.verify=false",
        "broker.session_expiry_s=4294967294",
        "api.rate_per_s=0.5",
        "api.version=2020-01-02",
        "admin.listen=127.0.0.1:1",
        "ledger.store=sqlite:/x=y.db",
        "topics.status=\"s/{Instance}\"",
        "log.level=warn",
        "log.level=error",
        "instance=b",
    };
    struct settings *settings =
        settings_with(&(struct settings_options){options, sizeof options / sizeof options[0]});
    assert_string_equal(settings->broker.username, "a word, and more");
    assert_int_equal(settings->broker.uris.count, 2);
    assert_string_equal(settings->broker.uris.items[1], "wss://127.0.0.1");
    assert_false(settings->broker.tls.verify);
    assert_int_equal(settings->broker.session_expiry_s, 4294967294);
    assert_true(settings->api.rate_per_s == 0.5);
    assert_string_equal(settings->api.version, "2020-01-02");
    assert_string_equal(settings->admin.listen, "127.0.0.1:1");
    assert_string_equal(settings->ledger.store, "sqlite:/x=y.db");
    assert_string_equal(settings->topics.status, "s/{Instance}");
    assert_string_equal(settings->log.level, "error");
    assert_string_equal(settings->broker.client_id, "id-b-b");
    assert_int_equal(settings->route_count, 2);
    settings_free(settings);
    settings = settings_with(WITH_OPTION("api.proxy="));
    assert_string_equal(settings->api.proxy, "");
    settings_free(settings);
}

static void test_an_option_that_does_not_fit_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *option;
        const char *says;
    } faults[] = {
        {"log.level", "log.level: has no value; allowed: PATH=VALUE\n"},
        {"log.levle=info", "log.levle: is not a known key; allowed: level, format\n"},
        {"log.level=loud", "log.level: is not one of the choices; allowed: "},
        {"broker.keepalive_s=x",
         "broker.keepalive_s: is a text; allowed: a whole number, 1 to 65535\n"},
        {"broker.keepalive_s=0", "broker.keepalive_s: is 0; allowed: a whole number, 1 to 65535\n"},
        {"broker.keepalive_s=1; protocol = 4",
         "broker.keepalive_s: is a text; allowed: a whole number, 1 to 65535\n"},
        {"broker.username=5", "broker.username: is a whole number; allowed: any text"},
        {"broker.username=\"a",
         "broker.username: has a value that is none; allowed: a number, true, false, \"a text\", a "
         "text without quotes, or (\"a\", \"b\")\n"},
        {"broker.uris=mqtt://a", "broker.uris: is a text; allowed: a list "},
        {"broker.uris=(\"tcp://a\")",
         "broker.uris[0]: has a scheme other than mqtt, mqtts, ws and wss; allowed: "},
        {"broker={ protocol = 4; }",
         "broker: is not one setting; allowed: the path of a setting outside of routes, such as "
         "log.level\n"},
        {"routes=()", "routes: is not one setting; allowed: "},
        {"routes[0].name=x", "routes[0].name: is not one setting; allowed: "},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct settings *settings = NULL;
        struct settings_report report = {0};
        struct buf expected = {0};
        buf_printf(&expected, "--set: %s", faults[i].says);
        assert_int_equal(settings_load_with(VECTORS "full.conf", WITH_OPTION(faults[i].option),
                                            &settings, &report),
                         STATUS_INVALID);
        assert_int_equal(report.error_count, 1);
        if (strncmp(report.errors.data, expected.data, expected.length) != 0) {
            fail_msg("%s: %s", faults[i].option, report.errors.data);
        }
        buf_fini(&expected);
        settings_report_fini(&report);
    }
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
        cmocka_unit_test(test_a_syntax_error_names_its_token_and_the_likely_cause),
        cmocka_unit_test(test_a_byte_order_mark_is_named),
        cmocka_unit_test(test_a_success_is_remembered_as_long_as_a_session_can_hold_its_command),
        cmocka_unit_test(test_a_route_must_not_take_in_what_the_bridge_publishes),
        cmocka_unit_test(test_the_settings_of_watch_have_limits),
        cmocka_unit_test(test_retained_events_need_a_topic_for_each_group),
        cmocka_unit_test(test_patterns_that_can_never_match_are_a_danger),
        cmocka_unit_test(test_a_default_of_another_action_is_refused),
        cmocka_unit_test(test_a_route_that_allows_everything_is_a_danger),
        cmocka_unit_test(test_an_admin_endpoint_off_loopback_is_a_danger),
        cmocka_unit_test(test_traces_that_go_unencrypted_over_the_network_are_a_danger),
        cmocka_unit_test(test_a_variable_in_a_text_is_a_danger),
        WITH_FOLDER(test_a_file_that_everybody_may_write_is_a_danger),
        cmocka_unit_test(test_an_option_replaces_what_the_file_says),
        cmocka_unit_test(test_an_option_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
