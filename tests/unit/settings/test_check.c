/*
 * Errors and warnings of settings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "support/read_file.h"
#include "support/settings_fixture.h"

#define VECTORS "tests/vectors/settings/"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_fault_is_reported_with_its_line),
        cmocka_unit_test(test_every_danger_is_reported_with_its_line),
        cmocka_unit_test(test_an_empty_list_of_routes_is_refused),
        cmocka_unit_test(test_the_length_of_a_client_id_counts_after_filling_in),
        cmocka_unit_test(test_mqtt_3_needs_a_user_name_with_a_password),
        cmocka_unit_test(test_session_expiry_is_not_checked_where_the_broker_decides_it),
        cmocka_unit_test(test_shared_subscriptions_with_mqtt_3_are_a_danger),
        cmocka_unit_test(test_a_danger_because_of_a_default_is_reported_at_the_line_of_its_cause),
        cmocka_unit_test(test_topics_that_only_look_alike_are_no_danger),
        cmocka_unit_test(test_a_default_that_its_route_does_not_allow_is_refused),
        cmocka_unit_test(test_malformed_patterns_are_refused),
        cmocka_unit_test(test_a_success_is_remembered_as_long_as_a_session_can_hold_its_command),
        cmocka_unit_test(test_a_route_must_not_take_in_what_the_bridge_publishes),
        cmocka_unit_test(test_the_settings_of_watch_have_limits),
        cmocka_unit_test(test_retained_events_need_a_topic_for_each_group),
        cmocka_unit_test(test_patterns_that_can_never_match_are_a_danger),
        cmocka_unit_test(test_a_default_of_another_action_is_refused),
        cmocka_unit_test(test_a_route_that_allows_everything_is_a_danger),
        cmocka_unit_test(test_an_admin_endpoint_off_loopback_is_a_danger),
        cmocka_unit_test(test_traces_that_go_unencrypted_over_the_network_are_a_danger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
