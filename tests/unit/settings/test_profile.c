/* broker.profile: the defaults of each service, and what is beyond its limits. */
#include "base/buf.h"
#include "settings/settings.h"
#include "support/settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define URIS " uris = (\"mqtts://broker.example\"); "

/* The report of settings with these lines in `broker`, and `rest` outside of it. */
static void load(const char *broker_lines, const char *rest, struct settings_report *report)
{
    struct settings *settings = NULL;
    struct buf text = {0};
    buf_printf(&text, "instance = \"b1\"; broker: {" URIS "%s }; %s", broker_lines, rest);
    (void)settings_parse(buf_slice(&text), "test", &settings, report);
    settings_free(settings);
    buf_fini(&text);
}

static void assert_report(const char *broker_lines, const char *rest, const char *errors,
                          const char *warnings)
{
    struct settings_report report = {0};
    load(broker_lines, rest, &report);
    assert_string_equal(report.errors.length == 0 ? "" : report.errors.data, errors);
    assert_string_equal(report.warnings.length == 0 ? "" : report.warnings.data, warnings);
    settings_report_fini(&report);
}

static void test_a_profile_changes_the_defaults_that_the_file_leaves_out(void **state)
{
    (void)state;
    struct settings *settings =
        settings_of_text("broker: { profile = \"apsaramq\";" URIS "}; topics: { dead_letters = "
                         "\"mine/dead\"; }; routes = ({ name = \"a\"; groups = (\"pg-*\"); }, "
                         "{ name = \"b\"; topics = (\"mine/cmd\"); groups = (\"pg-*\"); });");
    assert_int_equal(settings->broker.keepalive_s, 90);
    assert_false(settings->broker.will);
    assert_false(settings->broker.retain);
    assert_true(settings->broker.publish_per_s > 19.9 && settings->broker.publish_per_s < 20.1);
    assert_string_equal(settings->topics.status, "");
    assert_string_equal(settings->topics.dead_letters, "mine/dead");
    assert_int_equal(settings->limits.reply_topic_bytes, 64);
    assert_int_equal(settings->routes[0].topics.count, 1);
    assert_string_equal(settings->routes[0].topics.items[0], "ecsbridge/cmd/start");
    assert_string_equal(settings->routes[1].topics.items[0], "mine/cmd");
    assert_string_equal(settings->routes[1].reply_topic, "ecsbridge/rep");
    settings_free(settings);
}

static void test_without_a_list_of_routes_the_one_route_has_the_defaults_of_the_profile(
    void **state)
{
    (void)state;
    struct settings *settings = settings_of_text("broker: { profile = \"apsaramq\";" URIS "};");
    assert_int_equal(settings->route_count, 1);
    assert_string_equal(settings->routes[0].topics.items[0], "ecsbridge/cmd/start");
    settings_free(settings);
}

static void test_what_is_given_on_the_command_line_counts_as_given(void **state)
{
    (void)state;
    static const char *const items[] = {"broker.profile=aws", "broker.publish_per_s=7"};
    const struct settings_options options = {items, 2};
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(settings_load_with(NULL, &options, &settings, &report), STATUS_OK);
    assert_true(settings->broker.publish_per_s > 6.9 && settings->broker.publish_per_s < 7.1);
    assert_int_equal(settings->limits.reply_topic_bytes, 256);
    settings_free(settings);
    settings_report_fini(&report);
}

static void test_printed_settings_of_a_profile_read_as_the_same_settings(void **state)
{
    (void)state;
    struct settings *settings =
        settings_of_text("instance = \"b1\"; broker: { profile = \"apsaramq\";" URIS "};");
    struct buf printed = {0};
    struct buf again = {0};
    settings_print(settings, &printed);
    struct settings *read = settings_of_text(printed.data);
    settings_print(read, &again);
    assert_string_equal(printed.data, again.data);
    settings_free(settings);
    settings_free(read);
    buf_fini(&printed);
    buf_fini(&again);
}

static void test_every_profile_accepts_its_own_defaults(void **state)
{
    (void)state;
    assert_report("profile = \"generic\";", LIMITED_ROUTES, "", "");
    assert_report("profile = \"apsaramq\";", LIMITED_ROUTES, "", "");
    assert_report("profile = \"aws\";", LIMITED_ROUTES, "", "");
    assert_report("profile = \"emqx-serverless\";", LIMITED_ROUTES, "", "");
    assert_report("profile = \"azure\";", LIMITED_ROUTES, "",
                  "test:1: broker.profile: Azure Event Grid keeps at most 100 commands for a "
                  "bridge that is away, for 28800 s at most, and then ends the session with all of "
                  "them: let senders repeat commands that get no reply\n");
}

static void test_what_a_service_refuses_for_sure_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *broker;
        const char *rest;
        const char *errors;
    } cases[] = {
        {"profile = \"apsaramq\"; will = true;", "topics: { status = \"a/b\"; };" LIMITED_ROUTES,
         "test:1: broker.will: is true, and ApsaraMQ for MQTT refuses a connection with a Last "
         "Will; allowed: false\n"},
        {"profile = \"apsaramq\"; retain = true;", "topics: { status = \"a/b\"; };" LIMITED_ROUTES,
         "test:1: broker.retain: is true, and ApsaraMQ for MQTT has no retained messages; "
         "allowed: false\n"},
        {"profile = \"azure\";", "routes = ({ groups = (\"pg-*\"); share = \"g\"; });",
         "test:1: routes[0].share: is set, and Azure Event Grid has no shared subscriptions; "
         "allowed: \"\"\n"},
        {"profile = \"aws\";",
         "routes = ({ groups = (\"pg-*\"); topics = (\"a/b/c/d/e/f/g/h/+\"); });",
         "test:1: routes[0].topics[0]: has 9 levels; allowed: at most 8 (AWS IoT Core)\n"},
        {"profile = \"apsaramq\";",
         "topics: { dead_letters = "
         "\"ecsbridge/01234567890123456789012345678901234567890123456789012345\"; "
         "};" LIMITED_ROUTES,
         "test:1: topics.dead_letters: is 66 bytes long; allowed: at most 64 bytes (ApsaraMQ for "
         "MQTT)\n"},
        {"profile = \"apsaramq\";", "topics: { dead_letters = \"ecs%2Fdead\"; };" LIMITED_ROUTES,
         "test:1: topics.dead_letters: has the character '%'; allowed: letters, digits, '-' and "
         "'_' (ApsaraMQ for MQTT); values with others are percent-encoded, so they are not "
         "allowed either\n"},
        {"profile = \"apsaramq\"; client_id = "
         "\"GID_bridge@@@0123456789012345678901234567890123456789012345678\";",
         LIMITED_ROUTES,
         "test:1: broker.client_id: is 66 bytes long with -out behind it; allowed: at most 64 "
         "bytes (ApsaraMQ for MQTT)\n"},
        {"profile = \"emqx-serverless\";",
         "routes = ({ groups = (\"pg-*\"); topics = (\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", "
         "\"g\", \"h\", \"i\", \"j\", \"k\"); });",
         "test:1: routes[0].topics: makes 11 topic filters in all routes; allowed: at most 10 "
         "(EMQX Serverless)\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings_report report = {0};
        load(cases[i].broker, cases[i].rest, &report);
        assert_string_equal(report.errors.length == 0 ? "" : report.errors.data, cases[i].errors);
        settings_report_fini(&report);
    }
}

static void test_an_address_without_tls_is_an_error_unless_it_is_on_loopback(void **state)
{
    (void)state;
    static const char far[] = "broker: { profile = \"aws\"; uris = (\"mqtt://broker.example\"); };";
    static const char near[] = "broker: { profile = \"aws\"; uris = (\"mqtt://127.0.0.1\"); };";
    struct settings *settings = NULL;
    struct settings_report report = {0};
    assert_int_equal(settings_parse(slice_text(far), "test", &settings, &report), STATUS_INVALID);
    assert_string_equal(report.errors.data,
                        "test:1: broker.uris: has an address without TLS, which AWS IoT Core "
                        "refuses; allowed: mqtts:// or wss://\n");
    settings_report_fini(&report);
    settings_free(settings_of_text(near));
}

static void test_what_a_service_grants_less_of_is_a_warning(void **state)
{
    (void)state;
    assert_report("profile = \"apsaramq\"; keepalive_s = 481; publish_per_s = 0.0;",
                  "limits: { payload_bytes = 65537; reply_topic_bytes = 65; };" LIMITED_ROUTES, "",
                  "test:1: broker.keepalive_s: is 481, and ApsaraMQ for MQTT allows 0 to 480: the "
                  "service may end idle connections, or refuse them\n"
                  "test:1: limits.payload_bytes: is 65537, and ApsaraMQ for MQTT allows 0 to "
                  "65536: larger commands never arrive, and get no refusal\n"
                  "test:1: limits.reply_topic_bytes: is 65, and ApsaraMQ for MQTT allows 0 to 64: "
                  "a reply to a longer topic is refused by the service and becomes a dead letter\n"
                  "test:1: broker.publish_per_s: is 0 (no limit), and ApsaraMQ for MQTT takes 20 "
                  "messages a second from a client: it may drop the others, or end the "
                  "connection\n");
    assert_report("profile = \"aws\"; keepalive_s = 4;", LIMITED_ROUTES, "",
                  "test:1: broker.keepalive_s: is 4, and AWS IoT Core allows 5 to 1200: the "
                  "service may end idle connections, or refuse them\n");
}

static void test_a_topic_with_a_token_is_a_warning_where_few_characters_are_allowed(void **state)
{
    (void)state;
    assert_report("profile = \"apsaramq\";",
                  "routes = ({ groups = (\"pg-*\"); reply_topic = \"ecsbridge/rep/{ClientToken}\"; "
                  "});",
                  "",
                  "test:1: routes[0].reply_topic: contains {ClientToken}, which the sender "
                  "chooses: with a token that is too long for 64 bytes in all, or has other "
                  "characters than letters, digits, '-' and '_', ApsaraMQ for MQTT refuses the "
                  "message; use a topic without it\n");
}

static void test_the_login_of_apsaramq_needs_what_its_mode_uses(void **state)
{
    (void)state;
    static const struct {
        const char *broker;
        const char *errors;
    } cases[] = {
        {"profile = \"apsaramq\"; apsaramq: { instance_id = \"i\"; };",
         "test: broker.apsaramq.credentials_file: is empty; allowed: what broker.apsaramq.mode = "
         "\"device\" needs\n"},
        {"profile = \"apsaramq\"; apsaramq: { instance_id = \"i\"; mode = \"signature\"; };",
         "test: broker.apsaramq.access_key_id: is empty; allowed: what broker.apsaramq.mode = "
         "\"signature\" needs\n"
         "test: broker.apsaramq.secret_file: is empty; allowed: what broker.apsaramq.mode = "
         "\"signature\" needs\n"},
        {"profile = \"apsaramq\"; apsaramq: { access_key_id = \"a\"; };",
         "test:1: broker.apsaramq.access_key_id: is set without broker.apsaramq.instance_id; "
         "allowed: both or none\n"},
        {"profile = \"apsaramq\"; username = \"u\"; apsaramq: { instance_id = \"i\"; mode = "
         "\"token\"; access_key_id = \"a\"; token_file = \"/dev/null\"; };",
         "test:1: broker.apsaramq.token_file: names something that is not a regular file "
         "(/dev/null); allowed: empty, or the path of a readable file (at most 4096 bytes)\n"
         "test:1: broker.username: is set together with broker.apsaramq.instance_id; allowed: one "
         "of them\n"},
        {"profile = \"apsaramq\"; client_id = \"mine\"; apsaramq: { instance_id = \"i\"; "
         "credentials_file = \"tests/vectors/settings/faults.conf\"; };",
         "test:1: broker.client_id: is not the client id of broker.apsaramq; allowed: no "
         "client_id, since it is made of group_id and device_id (GID_bridge@@@b1)\n"},
        {"profile = \"apsaramq\"; apsaramq: { instance_id = \"i\"; group_id = \"a/b\"; "
         "credentials_file = \"tests/vectors/settings/faults.conf\"; };",
         "test:1: broker.apsaramq.group_id: has a character that is not allowed; "
         "allowed: letters, digits, '-' and '_' (at most 64 bytes)\n"},
        {"profile = \"apsaramq\"; apsaramq: { instance_id = \"i\"; device_id = "
         "\"0123456789012345678901234567890123\"; credentials_file = "
         "\"tests/vectors/settings/faults.conf\"; };",
         "test:1: broker.apsaramq.device_id: makes client ids of 51 bytes; allowed: at most 48 "
         "bytes, which is the longest name of a section in credentials_file\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings_report report = {0};
        load(cases[i].broker, LIMITED_ROUTES, &report);
        assert_string_equal(report.errors.length == 0 ? "" : report.errors.data, cases[i].errors);
        settings_report_fini(&report);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_profile_changes_the_defaults_that_the_file_leaves_out),
        cmocka_unit_test(
            test_without_a_list_of_routes_the_one_route_has_the_defaults_of_the_profile),
        cmocka_unit_test(test_what_is_given_on_the_command_line_counts_as_given),
        cmocka_unit_test(test_printed_settings_of_a_profile_read_as_the_same_settings),
        cmocka_unit_test(test_every_profile_accepts_its_own_defaults),
        cmocka_unit_test(test_what_a_service_refuses_for_sure_is_an_error),
        cmocka_unit_test(test_an_address_without_tls_is_an_error_unless_it_is_on_loopback),
        cmocka_unit_test(test_what_a_service_grants_less_of_is_a_warning),
        cmocka_unit_test(test_a_topic_with_a_token_is_a_warning_where_few_characters_are_allowed),
        cmocka_unit_test(test_the_login_of_apsaramq_needs_what_its_mode_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
