/* What operators see: the admin endpoint, the status topic, and a lost session. */
#include "flow_fixture.h"
#include "flow_http.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Starts a bridge with these settings and an admin endpoint on port *out_port. */
static struct bridge *start_with(struct fixture *fixture, int *out_port, const char *settings)
{
    int guard = -1;
    *out_port = port_reserve(&guard);
    struct bridge *bridge =
        fixture_bridge_alone(fixture, fixture_format(fixture, "admin.listen = \"127.0.0.1:%d\"; %s",
                                                     *out_port, settings));
    bridge_start(bridge);
    close(guard);
    return bridge;
}

static struct bridge *start_with_admin(struct fixture *fixture, int *out_port)
{
    return start_with(fixture, out_port, "");
}

static long get(int port, const char *path)
{
    char *body = NULL;
    long http = http_exchange(port, "GET", path, NULL, &body);
    free(body);
    return http;
}

static void wait_for(int port, const char *path, long http)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (get(port, path) != http) {
        if (flow_now_ms() > end_ms) {
            flow_fail("%s does not answer %ld", path, http);
        }
        flow_pause();
    }
}

/* The value of the metric whose name ends like this; -1 if there is none. */
static double metric(int port, const char *name)
{
    char *body = NULL;
    double value = -1;
    http_exchange(port, "GET", "/metrics", NULL, &body);
    for (char *line = strtok(body, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *space = strrchr(line, ' ');
        size_t length = strlen(name);
        if (line[0] != '#' && space != NULL && space - line >= (long)length &&
            strncmp(space - length, name, length) == 0) {
            value = strtod(space, NULL);
        }
    }
    free(body);
    return value;
}

static void test_a_bridge_that_is_online_is_alive_and_ready(struct fixture *fixture)
{
    int port = 0;
    struct bridge *bridge = start_with_admin(fixture, &port);
    bridge_wait_online(bridge);
    assert_int_equal(get(port, "/livez"), 200);
    assert_int_equal(get(port, "/readyz"), 200);
    assert_int_equal(get(port, "/metrics"), 200);
    assert_int_equal(get(port, "/nothing"), 404);
    char *status = NULL;
    assert_int_equal(http_exchange(port, "GET", "/status", NULL, &status), 200);
    assert_non_null(strstr(status, "{\"State\":\"online\",\"Instance\":"));
    assert_non_null(
        strstr(status, "\"Filters\":[\"" FLOW_COMMANDS "\"],\"State\":\"subscribed\"}"));
    free(status);
    bridge_stop(bridge);
    assert_int_equal(get(port, "/livez"), 0);
}

/* The JSON of a page; the caller deletes it. */
static cJSON *get_json(int port, const char *path, long http)
{
    char *body = NULL;
    assert_int_equal(http_exchange(port, "GET", path, NULL, &body), http);
    cJSON *json = cJSON_Parse(body);
    assert_non_null(json);
    free(body);
    return json;
}

/* The object of this token in an array; NULL if there is none. */
static const cJSON *of_token(const cJSON *array, const char *token)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        if (strcmp(json_text(item, "ClientToken"), token) == 0) {
            return item;
        }
    }
    return NULL;
}

/* Waits until the token is in this array of /api/commands; true if its member has this value. */
static bool is_listed(int port, const char *array, const char *token, const char *member,
                      const char *value)
{
    bool is_there = false;
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (!is_there && flow_now_ms() < end_ms) {
        cJSON *json = get_json(port, "/api/commands", 200);
        const cJSON *item = of_token(cJSON_GetObjectItem(json, array), token);
        is_there = item != NULL && strcmp(json_text(item, member), value) == 0;
        cJSON_Delete(json);
        flow_pause();
    }
    return is_there;
}

static void test_the_pages_tell_what_becomes_of_a_command(struct fixture *fixture)
{
    int port = 0;
    struct bridge *bridge = start_with_admin(fixture, &port);
    bridge_wait_online(bridge);
    const char *done = fixture_name(fixture, "token");
    const char *hanging = fixture_name(fixture, "token");
    const char *behind = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, done, group, ""));
    assert_true(is_listed(port, "Outcomes", done, "Status", "succeeded"));
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    fixture_send(fixture, fixture_command(fixture, hanging, group, ""));
    fixture_send(fixture, fixture_command(fixture, behind, group, ""));
    assert_true(is_listed(port, "InWork", hanging, "Wait", "calling"));
    assert_true(is_listed(port, "InWork", behind, "Wait", "group"));
    cJSON *record = get_json(port, fixture_format(fixture, "/api/commands/%s", done), 200);
    assert_string_equal(json_text(record, "Status"), "succeeded");
    const cJSON *history = cJSON_GetObjectItem(record, "History");
    assert_string_equal(json_text(cJSON_GetArrayItem(history, 0), "Event"), "arrived");
    cJSON_Delete(record);
    cJSON_Delete(get_json(port, "/api/commands/never-sent", 404));
    assert_int_equal(get(port, "/"), 200);
    simulator_clear(&fixture->simulator);
    check_succeeded(fixture_expect_reply(fixture, behind));
    bridge_stop(bridge);
}

static void test_a_watched_group_is_listed_until_its_watch_ends(struct fixture *fixture)
{
    int port = 0;
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    struct bridge *bridge = start_with(fixture, &port,
                                       "routes.watch = \"until_done\"; watch.poll_min_s = 1; "
                                       "watch.poll_max_s = 2;");
    bridge_wait_online(bridge);
    const char *token = fixture_name(fixture, "token");
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":600000}");
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    bool is_seen = false;
    while (!is_seen && flow_now_ms() < end_ms) {
        cJSON *json = get_json(port, "/api/watches", 200);
        const cJSON *watch = of_token(cJSON_GetObjectItem(json, "Watches"), token);
        is_seen = watch != NULL && json_has(watch, "GroupStatus") &&
                  strcmp(json_text(watch, "GroupStatus"), "initial_syncing") == 0 &&
                  strcmp(json_text(watch, "LastEvent"), "watching") == 0;
        cJSON_Delete(json);
        flow_pause();
    }
    assert_true(is_seen);
    simulator_order(&fixture->simulator, "POST", "clock", "{\"AdvanceMs\":600000}");
    end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    double count = 1;
    while (count > 0 && flow_now_ms() < end_ms) {
        cJSON *json = get_json(port, "/api/watches", 200);
        count = json_number(json, "Count");
        cJSON_Delete(json);
        flow_pause();
    }
    assert_true(count == 0);
    simulator_reset(&fixture->simulator);
    bridge_stop(bridge);
}

static void test_a_bridge_without_its_broker_is_alive_and_not_ready(struct fixture *fixture)
{
    int port = 0;
    struct bridge *bridge = start_with_admin(fixture, &port);
    bridge_wait_online(bridge);
    broker_kill(&fixture->broker);
    wait_for(port, "/readyz", 503);
    assert_int_equal(get(port, "/livez"), 200);
    broker_start(&fixture->broker);
    wait_for(port, "/readyz", 200);
    fixture_renew_sender(fixture);
    bridge_stop(bridge);
}

static void test_metrics_count_what_happened(struct fixture *fixture)
{
    int port = 0;
    struct bridge *bridge = start_with_admin(fixture, &port);
    bridge_wait_online(bridge);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    simulator_fault(&fixture->simulator, "\"reset_before\"");
    check_succeeded(fixture_request(fixture, token, group, ""));
    check_succeeded(fixture_request(fixture, token, group, ""));
    fixture_request(fixture, fixture_name(fixture, "token"), group, ",\"Wrong\":1");
    fixture_send(fixture, "not json");
    client_expect(fixture->sender, &(struct match){.topic = FLOW_DEAD_LETTERS});
    assert_int_equal(metric(port, "commands_received_total"), 4);
    assert_int_equal(metric(port, "commands_total{outcome=\"succeeded\"}"), 1);
    assert_int_equal(metric(port, "commands_total{outcome=\"failed\"}"), 0);
    assert_int_equal(metric(port, "commands_total{outcome=\"replayed\"}"), 1);
    assert_int_equal(metric(port, "commands_total{outcome=\"refused\"}"), 2);
    assert_int_equal(metric(port, "api_attempts_total{result=\"succeeded\"}"), 1);
    assert_int_equal(metric(port, "api_attempts_total{result=\"unknown_outcome\"}"), 1);
    assert_int_equal(metric(port, "refusals_total{code=\"Bridge.UnknownParameter\"}"), 1);
    assert_int_equal(metric(port, "refusals_total{code=\"Bridge.MalformedPayload\"}"), 1);
    assert_int_equal(metric(port, "api_retries_total"), 1);
    assert_int_equal(metric(port, "dead_letters_total"), 1);
    assert_int_equal(metric(port, "commands_unfinished{state=\"in_work\"}"), 0);
    assert_int_equal(metric(port, "sessions_lost_total"), 0);
    bridge_stop(bridge);
}

static void test_a_session_lost_while_the_bridge_runs_is_reported(struct fixture *fixture)
{
    int port = 0;
    struct bridge *bridge = start_with_admin(fixture, &port);
    bridge_wait_online(bridge);
    bridge->log_offset = file_size(bridge->log);
    broker_kill(&fixture->broker);
    broker_start(&fixture->broker);
    fixture_renew_sender(fixture);
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    const struct message *status = NULL;
    do {
        status = client_expect(fixture->sender,
                               &(struct match){.topic = bridge->status_topic, .state = "degraded"});
    } while (strstr(status->payload, "session_lost") == NULL && flow_now_ms() < end_ms);
    assert_non_null(strstr(status->payload, "session_lost"));
    assert_int_equal(metric(port, "sessions_lost_total"), 1);
    assert_true(bridge_log_contains(bridge, "level=error"));
    bridge_wait_log(bridge, "event=receiver_up"); /* the loss is reported before the subscription */
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    bridge_stop(bridge);
}

/* Acknowledges the loss: the bridge is online, also after a restart. */
static void acknowledge_loss(struct fixture *fixture, struct bridge *bridge)
{
    client_forget(fixture->sender, &(struct match){.topic = bridge->status_topic});
    assert_int_equal(kill(bridge->pid, SIGUSR2), 0);
    client_expect(fixture->sender,
                  &(struct match){.topic = bridge->status_topic, .state = "online"});
    assert_true(bridge_log_contains(bridge, "event=session_loss_acknowledged"));
    bridge_stop(bridge);
    bridge_start(bridge);
    bridge_wait_online(bridge);
}

static void test_a_lost_session_is_reported_over_restarts_until_it_is_acknowledged(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    bridge_stop(bridge);
    broker_kill(&fixture->broker);
    broker_start(&fixture->broker);
    fixture_renew_sender(fixture);
    const struct match lost = {.topic = bridge->status_topic, .state = "degraded"};
    bridge_start(bridge);
    const char *at = json_text(client_expect(fixture->sender, &lost)->json, "SessionLostAt");
    assert_string_not_equal(at, "");
    bridge_stop(bridge);
    bridge_start(bridge);
    const struct message *again = client_expect(fixture->sender, &lost);
    assert_non_null(strstr(again->payload, "session_lost"));
    assert_string_equal(json_text(again->json, "SessionLostAt"), at);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    acknowledge_loss(fixture, bridge);
}

/* The offline message has the final counts. */
static void test_the_status_counts_what_became_of_all_commands(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    check_succeeded(fixture_request(fixture, token, group, ""));
    fixture_send(fixture, "{}");
    client_expect(fixture->sender, &(struct match){.topic = "ecs-bridge/v1/dead-letters"});
    bridge_stop(bridge);
    const struct message *status = client_expect(
        fixture->sender, &(struct match){.topic = bridge->status_topic, .state = "offline"});
    const cJSON *counts = cJSON_GetObjectItem(status->json, "Counts");
    assert_non_null(counts);
    assert_int_equal(json_number(counts, "Received"), 3);
    assert_int_equal(json_number(counts, "Succeeded"), 1);
    assert_int_equal(json_number(counts, "Replayed"), 1);
    assert_int_equal(json_number(counts, "Refused"), 1);
}

static void test_a_session_lost_while_the_bridge_is_stopped_is_reported(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    bridge_stop(bridge);
    broker_kill(&fixture->broker);
    broker_start(&fixture->broker);
    fixture_renew_sender(fixture);
    bridge_start(bridge);
    const struct message *status = client_expect(
        fixture->sender, &(struct match){.topic = bridge->status_topic, .state = "degraded"});
    assert_non_null(strstr(status->payload, "session_lost"));
}

static void test_a_restart_with_a_kept_session_reports_no_loss(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    bridge_stop(bridge);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    assert_false(bridge_log_contains(bridge, "session_lost"));
}

static void test_the_log_may_be_json_lines(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "log.format = \"json\";");
    const char *token = fixture_name(fixture, "token");
    fixture_request(fixture, token, fixture_name(fixture, "pg"),
                    ",\"traceparent\":\"a \\\"b\\\"\"");
    bridge_stop(bridge);
    char *log = file_read(bridge->log);
    int count = 0;
    for (char *line = strtok(log, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        cJSON *json = cJSON_Parse(line);
        if (json_text(json, "event")[0] == '\0' || json_text(json, "time")[0] == '\0') {
            flow_fail("a log line is not valid: %s", line);
        }
        cJSON_Delete(json);
        count++;
    }
    free(log);
    assert_true(count > 3);
    assert_true(bridge_log_contains(bridge, token));
}

/* A broker that has once had the session says so, so each loss after that is a real one. */
static void test_each_of_two_losses_in_a_row_is_reported(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, "");
    bridge_start(bridge);
    bridge_wait_online(bridge);
    bridge_stop(bridge);
    bridge_start(bridge); /* the session is present */
    bridge_wait_online(bridge);
    for (int i = 0; i < 2; i++) {
        bridge->log_offset = file_size(bridge->log);
        broker_stop(&fixture->broker);
        broker_start(&fixture->broker);
        fixture_renew_sender(fixture);
        bridge_wait_log(bridge, "event=session_lost");
        bridge_wait_log(bridge, "event=receiver_up");
        kill(bridge->pid, SIGUSR2);
        bridge_wait_log(bridge, "event=session_loss_acknowledged");
    }
    bridge_stop(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_bridge_that_is_online_is_alive_and_ready),
        FLOW_TEST(test_the_pages_tell_what_becomes_of_a_command),
        FLOW_TEST(test_a_watched_group_is_listed_until_its_watch_ends),
        FLOW_TEST(test_metrics_count_what_happened),
        FLOW_TEST(test_the_log_may_be_json_lines),
        FLOW_TEST(test_a_lost_session_is_reported_over_restarts_until_it_is_acknowledged),
        FLOW_TEST(test_the_status_counts_what_became_of_all_commands),
        FLOW_TEST(test_a_restart_with_a_kept_session_reports_no_loss),
        FLOW_TEST(test_a_bridge_without_its_broker_is_alive_and_not_ready),
        FLOW_TEST(test_a_session_lost_while_the_bridge_runs_is_reported),
        FLOW_TEST(test_a_session_lost_while_the_bridge_is_stopped_is_reported),
        FLOW_TEST(test_each_of_two_losses_in_a_row_is_reported),
    };
    return flow_main("admin", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
