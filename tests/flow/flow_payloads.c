/*
 * Alerts and events as commands: the worked examples, several commands of one message, what is
 * filtered, coalesced and refused, and a reload.
 */
#include "flow_fixture.h"
#include "flow_http.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALERTS "alerts/alertmanager"

/* The settings of the worked examples with the default route in front, each on one line. */
static const char *example_settings(struct fixture *fixture, const char *more)
{
    char *text = file_read(EXAMPLES "payloads.conf");
    char *settings = strchr(text, '\n'); /* behind the comment */
    assert_non_null(settings);
    for (char *at = settings; *at != '\0'; at++) {
        *at = *at == '\n' ? ' ' : *at;
    }
    char *routes = strstr(settings, "routes = (");
    assert_non_null(routes);
    *routes = '\0';
    const char *all = fixture_format(
        fixture, "%s\n%s\nroutes = ( { name = \"start\"; topics = (\"" FLOW_COMMANDS "\"); }, %s\n",
        more, settings, routes + strlen("routes = ("));
    free(text);
    return all;
}

static const char *example_payload(struct fixture *fixture, const char *file)
{
    char *text = file_read(fixture_format(fixture, EXAMPLES "%s", file));
    const char *copy = fixture_format(fixture, "%s", text);
    free(text);
    return copy;
}

static void publish(struct fixture *fixture, const char *topic, const char *payload)
{
    client_publish(fixture->sender,
                   &(struct outgoing){.topic = topic, .payload = payload, .qos = 1});
}

/* The reply, and what the API has got. */
static const struct message *check_command(struct fixture *fixture, const char *token,
                                           const char *region, const char *group,
                                           const char *one_shot)
{
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_succeeded(reply);
    check_text(reply, "RegionId", region);
    check_text(reply, "ReplicaGroupId", group);
    cJSON *rows = simulator_requests(&fixture->simulator, token);
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    assert_string_equal(json_text(row, "Params.RegionId"), region);
    assert_string_equal(json_text(row, "Params.ReplicaGroupId"), group);
    assert_string_equal(json_text(row, "Params.OneShot"), one_shot);
    cJSON_Delete(rows);
    return reply;
}

static void check_replayed(struct fixture *fixture, const struct message *first, const char *token)
{
    const struct message *again = fixture_expect_reply(fixture, token);
    check_succeeded(again);
    assert_true(json_is_true(again->json, "Replayed"));
    check_text(again, "RequestId", json_text(first->json, "RequestId"));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
}

/* Publishes the example twice; the second time is a duplicate. Returns the first reply. */
static const struct message *check_example(struct fixture *fixture, const char *topic,
                                           const char *file, const char *token, const char *region,
                                           const char *group, const char *one_shot)
{
    const char *payload = example_payload(fixture, file);
    publish(fixture, topic, payload);
    const struct message *reply = check_command(fixture, token, region, group, one_shot);
    publish(fixture, topic, payload);
    check_replayed(fixture, reply, token);
    return reply;
}

static void test_an_alert_of_grafana(struct fixture *fixture)
{
    fixture_bridge(fixture, example_settings(fixture, ""));
    const struct message *reply = check_example(fixture, "grafana/alerts", "a-grafana.json",
                                                "grafana:fac0861a85de433a:2026-01-02T03:04:05Z",
                                                "cn-beijing", "pg-a", "true");
    assert_int_equal(json_number(reply->json, "Element"), 0);
}

static void test_an_alert_of_alertmanager(struct fixture *fixture)
{
    fixture_bridge(fixture, example_settings(fixture, ""));
    check_example(fixture, ALERTS, "b-alertmanager.json",
                  "am:9b1e7c0d11aa22bb:2026-01-02T03:04:05.123Z", "cn-beijing", "pg-b", "false");
}

static void test_one_message_for_each_alert(struct fixture *fixture)
{
    fixture_bridge(fixture, example_settings(fixture, ""));
    const struct message *reply =
        check_example(fixture, "alerts/SyncDisks", "c-one-alert.json",
                      "SyncDisks:db-1:9100:2026-01-02T03:04:05Z", "cn-beijing", "pg-a", "false");
    assert_false(json_has(reply->json, "Element"));
}

static void test_an_event_of_eventbridge(struct fixture *fixture)
{
    fixture_bridge(fixture, example_settings(fixture, ""));
    check_example(fixture, "ecsbridge/evt-in", "d-eventbridge.json",
                  "ce-8ee54574fff7af285eee9e9c7f600a179ceb9fbcdc736ec907c3b963eba07", "cn-hangzhou",
                  "pg-a", "true");
}

static void publish_binary(struct fixture *fixture, const char *tenant, const char *id)
{
    client_publish(fixture->sender,
                   &(struct outgoing){.topic = "backup/windows",
                                      .payload = example_payload(fixture, "e-binary.json"),
                                      .qos = 1,
                                      .content_type = "application/json",
                                      .user = {"unrelated", "x", "specversion", "1.0", "type",
                                               "com.example.backup.window", "source",
                                               "/scheduler/nightly", "id", id, "tenant", tenant}});
}

static void test_a_binary_cloudevent(struct fixture *fixture)
{
    fixture_bridge(fixture, example_settings(fixture, ""));
    publish_binary(fixture, "t1", "run-0815");
    const struct message *reply = check_command(fixture, "run-0815", "cn-beijing", "pg-a", "false");
    publish_binary(fixture, "t1", "run-0815");
    check_replayed(fixture, reply, "run-0815");
    publish_binary(fixture, "t2", "run-0816");
    fixture_expect_nothing(fixture, &(struct match){.token = "run-0816"});
}

/* An alert as the route "alertmanager" maps it; without a group where that is NULL. */
static const char *alert(struct fixture *fixture, const char *status, const char *group,
                         const char *fingerprint)
{
    const char *label =
        group == NULL ? "" : fixture_format(fixture, "\"ebs.example.com/group\":\"%s\"", group);
    return fixture_format(fixture,
                          "{\"status\":\"%s\",\"labels\":{%s},\"startsAt\":\"s\","
                          "\"fingerprint\":\"%s\"}",
                          status, label, fingerprint);
}

static const char *token_of(struct fixture *fixture, const char *fingerprint)
{
    return fixture_format(fixture, "am:%s:s", fingerprint);
}

/* The value of a series, its name without "ecs_mqtt_bridge_"; -1 if it is not there. */
static int metric(struct fixture *fixture, int port, const char *series)
{
    char *body = NULL;
    http_exchange(port, "GET", "/metrics", NULL, &body);
    const char *line = fixture_format(fixture, "\necs_mqtt_bridge_%s ", series);
    const char *at = strstr(body, line);
    int value = at == NULL ? -1 : atoi(at + strlen(line));
    free(body);
    return value;
}

static void test_each_element_has_its_own_outcome(struct fixture *fixture)
{
    int guard = -1;
    int port = port_reserve(&guard);
    struct bridge *bridge = fixture_bridge_alone(
        fixture, example_settings(
                     fixture, fixture_format(fixture, "admin.listen = \"127.0.0.1:%d\";", port)));
    bridge_start(bridge);
    close(guard);
    bridge_wait_online(bridge);
    const char *one = fixture_name(fixture, "a");
    const char *two = fixture_name(fixture, "b");
    const char *bad = fixture_name(fixture, "c");
    const char *denied = fixture_name(fixture, "d");
    const char *payload = fixture_format(
        fixture, "{\"alerts\":[%s,%s,%s,%s,%s]}",
        alert(fixture, "firing", fixture_name(fixture, "pg-"), one),
        alert(fixture, "resolved", "pg-x", "resolved"), alert(fixture, "firing", NULL, bad),
        alert(fixture, "firing", fixture_name(fixture, "pg-"), two),
        alert(fixture, "firing", "other", denied));
    publish(fixture, ALERTS, payload);
    const struct message *reply = fixture_expect_reply(fixture, token_of(fixture, one));
    check_succeeded(reply);
    assert_int_equal(json_number(reply->json, "Element"), 0);
    reply = fixture_expect_reply(fixture, token_of(fixture, two));
    check_succeeded(reply);
    assert_int_equal(json_number(reply->json, "Element"), 3);
    reply = fixture_expect_reply(fixture, token_of(fixture, bad));
    check_error(reply, "failed", "Bridge.MissingParameter", "invalid", false);
    check_text(reply, "Error.Message",
               "ReplicaGroupId: nothing at /labels/ebs.example.com~1group in element 2 of "
               "/alerts.");
    assert_int_equal(json_number(reply->json, "Element"), 2);
    reply = fixture_expect_reply(fixture, token_of(fixture, denied));
    check_error(reply, "failed", "Bridge.NotAllowed", "denied", false);
    assert_int_equal(metric(fixture, port, "commands_received_total"), 5);
    assert_int_equal(metric(fixture, port, "commands_total{outcome=\"filtered\"}"), 1);
    assert_int_equal(metric(fixture, port, "commands_total{outcome=\"succeeded\"}"), 2);
    assert_int_equal(metric(fixture, port, "commands_total{outcome=\"refused\"}"), 2);
    /* The duplicate: each that was called is replayed. */
    publish(fixture, ALERTS, payload);
    assert_true(
        json_is_true(fixture_expect_reply(fixture, token_of(fixture, one))->json, "Replayed"));
    assert_true(
        json_is_true(fixture_expect_reply(fixture, token_of(fixture, two))->json, "Replayed"));
    assert_int_equal(simulator_token(&fixture->simulator, token_of(fixture, one), "Effects"), 1);
    assert_int_equal(simulator_token(&fixture->simulator, token_of(fixture, two), "Effects"), 1);
}

static void test_an_element_without_a_token_is_a_dead_letter(struct fixture *fixture)
{
    fixture_bridge(fixture, example_settings(fixture, ""));
    publish(fixture, ALERTS,
            fixture_format(fixture, "{\"alerts\":[%s,{\"status\":\"firing\"}]}",
                           alert(fixture, "resolved", "pg-a", "r")));
    const struct message *letter =
        client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    check_text(letter, "Error.Code", "Bridge.MissingParameter");
    check_text(letter, "Route", "alertmanager");
    assert_int_equal(json_number(letter->json, "Element"), 1);
}

static void test_a_message_with_too_many_elements_is_refused_whole(struct fixture *fixture)
{
    fixture_bridge(fixture, example_settings(fixture, "limits.commands_per_message = 2;"));
    const char *one = fixture_name(fixture, "a");
    publish(
        fixture, ALERTS,
        fixture_format(fixture, "{\"alerts\":[%s,{},{}]}", alert(fixture, "firing", "pg-a", one)));
    const struct message *letter =
        client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    check_text(letter, "Error.Code", "Bridge.TooManyCommands");
    assert_false(json_has(letter->json, "Element"));
    assert_int_equal(simulator_token(&fixture->simulator, token_of(fixture, one), "Calls"), 0);
}

static void test_a_route_may_take_larger_messages_than_the_others(struct fixture *fixture)
{
    fixture_bridge(fixture, example_settings(fixture, ""));
    const char *one = fixture_name(fixture, "large");
    char *filler = calloc(1, 100001);
    assert_non_null(filler);
    memset(filler, 'x', 100000);
    const char *payload = fixture_format(fixture,
                                         "{\"alerts\":[{\"status\":\"firing\",\"fingerprint\":\"%"
                                         "s\",\"startsAt\":\"s\",\"x\":\"%s\","
                                         "\"labels\":{\"action\":\"sync-disks\",\"region\":\"cn-"
                                         "beijing\",\"replica_group\":\"%s\"}}]}",
                                         one, filler, fixture_name(fixture, "pg-"));
    free(filler);
    publish(fixture, "grafana/alerts", payload);
    check_succeeded(fixture_expect_reply(fixture, fixture_format(fixture, "grafana:%s:s", one)));
    publish(fixture, ALERTS, payload);
    const struct message *letter =
        client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    check_text(letter, "Error.Code", "Bridge.PayloadTooLarge");
}

static const struct message *ask_grafana(struct fixture *fixture, const char *fingerprint,
                                         const char *group)
{
    publish(fixture, "grafana/alerts",
            fixture_format(fixture,
                           "{\"alerts\":[{\"status\":\"firing\",\"fingerprint\":\"%s\","
                           "\"startsAt\":\"s\",\"labels\":{\"action\":\"sync-disks\","
                           "\"region\":\"cn-beijing\",\"replica_group\":\"%s\"}}]}",
                           fingerprint, group));
    return fixture_expect_reply(fixture, fixture_format(fixture, "grafana:%s:s", fingerprint));
}

static void check_coalesced(const struct message *reply, const struct message *first)
{
    check_succeeded(reply);
    assert_true(json_is_true(reply->json, "Coalesced"));
    assert_int_equal(json_number(reply->json, "Attempts"), 0);
    check_text(reply, "RequestId", json_text(first->json, "RequestId"));
}

static void test_a_second_alert_is_coalesced_with_a_success(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, example_settings(fixture, ""));
    const char *group = fixture_name(fixture, "pg-");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    int before = simulator_total(&fixture->simulator, "Requests");
    const struct message *first = ask_grafana(fixture, fixture_name(fixture, "x"), group);
    check_succeeded(first);
    assert_false(json_has(first->json, "Coalesced"));
    const char *second = fixture_name(fixture, "x");
    const struct message *reply = ask_grafana(fixture, second, group);
    check_coalesced(reply, first);
    assert_false(json_is_true(reply->json, "Replayed"));
    reply = ask_grafana(fixture, second, group);
    check_coalesced(reply, first);
    assert_true(json_is_true(reply->json, "Replayed"));
    bridge_stop(bridge);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    check_coalesced(ask_grafana(fixture, fixture_name(fixture, "x"), group), first);
    assert_int_equal(simulator_total(&fixture->simulator, "Requests"), before + 1);
    check_succeeded(ask_grafana(fixture, fixture_name(fixture, "x"), fixture_name(fixture, "pg-")));
    assert_int_equal(simulator_total(&fixture->simulator, "Requests"), before + 2);
}

static void test_a_stop_in_between_makes_the_next_alert_a_call(struct fixture *fixture)
{
    static const char stops[] = " { name = \"stops\"; action = \"StopDiskReplicaGroup\"; "
                                "topics = (\"stops\"); groups = (\"pg-*\"); },";
    const char *settings = example_settings(fixture, "");
    const char *first_route = strstr(settings, "{ name = \"start\"");
    fixture_bridge(fixture, fixture_format(fixture, "%.*s%s%s", (int)(first_route - settings),
                                           settings, stops, first_route));
    const char *group = fixture_name(fixture, "pg-");
    const char *stop = fixture_name(fixture, "stop");
    const struct message *first = ask_grafana(fixture, fixture_name(fixture, "x"), group);
    check_succeeded(first);
    publish(fixture, "stops", fixture_command(fixture, stop, group, ""));
    check_succeeded(fixture_expect_reply(fixture, stop));
    const struct message *next = ask_grafana(fixture, fixture_name(fixture, "x"), group);
    /* It is called; the API has its own rule for one-shot starts in a row. */
    check_error(next, "failed", "OperationDenied.ManualSyncLimit", "cooldown", true);
    assert_int_equal(json_number(next->json, "Attempts"), 1);
}

static void test_alerts_of_one_message_for_one_group_wait_for_the_first(struct fixture *fixture)
{
    fixture_bridge(fixture, example_settings(fixture, ""));
    int before = simulator_total(&fixture->simulator, "Requests");
    const char *group = fixture_name(fixture, "pg-");
    const char *one = fixture_name(fixture, "x");
    const char *two = fixture_name(fixture, "x");
    static const char form[] = "{\"status\":\"firing\",\"fingerprint\":\"%s\",\"startsAt\":\"s\","
                               "\"labels\":{\"action\":\"sync-disks\",\"region\":\"cn-beijing\","
                               "\"replica_group\":\"%s\"}}";
    char first[512];
    char second[512];
    snprintf(first, sizeof first, form, one, group);
    snprintf(second, sizeof second, form, two, group);
    publish(fixture, "grafana/alerts",
            fixture_format(fixture, "{\"alerts\":[%s,%s]}", first, second));
    const struct message *reply =
        fixture_expect_reply(fixture, fixture_format(fixture, "grafana:%s:s", one));
    check_succeeded(reply);
    check_coalesced(fixture_expect_reply(fixture, fixture_format(fixture, "grafana:%s:s", two)),
                    reply);
    assert_int_equal(simulator_total(&fixture->simulator, "Requests"), before + 1);
}

static void test_check_shows_what_a_sample_becomes(struct fixture *fixture)
{
    const char *const argv[] = {BRIDGE_BINARY, "check",
                                "--config",    EXAMPLES "payloads.conf",
                                "--sample",    EXAMPLES "a-grafana.json",
                                "--route",     "grafana",
                                NULL};
    struct tool_result result = tool_run(fixture->directory, NULL, argv);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.output,
                           "{\"Element\":0,\"Action\":\"StartDiskReplicaGroup\",\"RegionId\":"
                           "\"cn-beijing\",\"ReplicaGroupId\":\"pg-a\",\"OneShot\":true,"
                           "\"ClientToken\":\"grafana:fac0861a85de433a:2026-01-02T03:04:05Z\"}\n"
                           "filtered: 1\n"));
    tool_result_fini(&result);
    const char *const wrong[] = {BRIDGE_BINARY, "check",
                                 "--config",    EXAMPLES "payloads.conf",
                                 "--sample",    EXAMPLES "a-grafana.json",
                                 "--route",     "one-alert",
                                 "--set",       "limits.payload_bytes=9",
                                 NULL};
    result = tool_run(fixture->directory, NULL, wrong);
    assert_int_equal(result.code, 78);
    assert_non_null(strstr(result.output, "\"Refused\":\"Bridge.PayloadTooLarge\""));
    tool_result_fini(&result);
}

static void test_a_reload_changes_the_conditions(struct fixture *fixture)
{
    const char *settings = example_settings(fixture, "");
    struct bridge *bridge = fixture_bridge_alone(fixture, settings);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    char *changed = strdup(settings);
    assert_non_null(changed);
    char *firing = strstr(strstr(changed, "\"alertmanager\""), "firing");
    memcpy(firing, "calmed", strlen("calmed"));
    fixture_set(bridge, changed);
    free(changed);
    kill(bridge->pid, SIGHUP);
    bridge_wait_log(bridge, "event=reloaded");
    const char *one = fixture_name(fixture, "r");
    const char *two = fixture_name(fixture, "r");
    const char *firing_alert = alert(fixture, "firing", fixture_name(fixture, "pg-"), one);
    const char *calmed_alert = alert(fixture, "calmed", fixture_name(fixture, "pg-"), two);
    publish(fixture, ALERTS,
            fixture_format(fixture, "{\"alerts\":[%s,%s]}", firing_alert, calmed_alert));
    check_succeeded(fixture_expect_reply(fixture, token_of(fixture, two)));
    assert_int_equal(simulator_token(&fixture->simulator, token_of(fixture, one), "Calls"), 0);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_an_alert_of_grafana),
        FLOW_TEST(test_an_alert_of_alertmanager),
        FLOW_TEST(test_one_message_for_each_alert),
        FLOW_TEST(test_an_event_of_eventbridge),
        FLOW_TEST(test_a_binary_cloudevent),
        FLOW_TEST(test_each_element_has_its_own_outcome),
        FLOW_TEST(test_an_element_without_a_token_is_a_dead_letter),
        FLOW_TEST(test_a_message_with_too_many_elements_is_refused_whole),
        FLOW_TEST(test_a_route_may_take_larger_messages_than_the_others),
        FLOW_TEST(test_check_shows_what_a_sample_becomes),
        FLOW_TEST(test_a_reload_changes_the_conditions),
        FLOW_TEST(test_a_second_alert_is_coalesced_with_a_success),
        FLOW_TEST(test_a_stop_in_between_makes_the_next_alert_a_call),
        FLOW_TEST(test_alerts_of_one_message_for_one_group_wait_for_the_first),
    };
    return flow_main("flow_payloads", tests, sizeof tests / sizeof tests[0], "", argc, argv);
}
