/* An API that answers wrongly or not at all: every command ends, with one effect. */
#include "flow_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* After one such fault the command still succeeds, with one effect. */
static void check_overcome(struct fixture *fixture, const char *fault)
{
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "\"%s\"", fault);
    const struct message *reply = fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    check_succeeded(reply);
    assert_int_equal(json_number(reply->json, "Attempts"), 2);
    cJSON *seen = simulator_get(&fixture->simulator, fixture_format(fixture, "tokens/%s", token));
    check_text(reply, "RequestId", json_text(seen, "RequestId"));
    assert_int_equal(json_number(seen, "Effects"), 1);
    assert_int_equal(json_number(seen, "Calls"), 2);
    assert_int_equal(json_number(seen, "Answers.Lost"), 1);
    cJSON_Delete(seen);
}

static void test_a_reset_before_the_effect_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_overcome(fixture, "reset_before");
}

static void test_a_reset_after_the_effect_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_overcome(fixture, "reset_after");
}

static void test_an_error_after_the_effect_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_overcome(fixture, "error_after");
}

static void test_a_cut_answer_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_overcome(fixture, "cut_body");
}

static void test_a_page_of_a_load_balancer_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_overcome(fixture, "html_502");
}

static void test_an_empty_answer_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_overcome(fixture, "empty_200");
}

static void test_garbage_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_overcome(fixture, "garbage_200");
}

static void test_an_answer_that_is_far_too_long_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_overcome(fixture, "huge_body");
}

#define IMPATIENT "api.read_timeout_ms = 500;"

static void test_an_answer_that_does_not_come_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, IMPATIENT);
    check_overcome(fixture, "hang");
}

static void test_a_very_slow_answer_is_overcome(struct fixture *fixture)
{
    fixture_bridge(fixture, IMPATIENT);
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "\"slow_bytes\",\"Ms\":200");
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
}

#define HASTY "limits.deadline_s = 2; api.read_timeout_ms = 300;"

static void test_without_an_answer_the_outcome_is_unknown_at_the_deadline(struct fixture *fixture)
{
    fixture_bridge(fixture, HASTY);
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    int64_t begin_ms = flow_now_ms();
    const struct message *reply = fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    assert_true(flow_now_ms() - begin_ms >= 1000);
    check_error(reply, "unknown", "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
    check_text(reply, "Error.Source", "bridge");
    assert_true(json_number(reply->json, "Attempts") >= 2);
    assert_false(json_has(reply->json, "Error.HttpStatus"));
}

static void check_lasting(struct fixture *fixture, const char *fault)
{
    simulator_clear(&fixture->simulator);
    simulator_fault(&fixture->simulator, "\"%s\",\"Count\":-1", fault);
    check_error(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""),
        "unknown", "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
}

static void test_bad_answers_to_the_end_leave_the_outcome_unknown(struct fixture *fixture)
{
    fixture_bridge(fixture, "limits.deadline_s = 1; api.read_timeout_ms = 300;");
    check_lasting(fixture, "html_502");
    check_lasting(fixture, "empty_200");
    check_lasting(fixture, "cut_body");
    check_lasting(fixture, "reset_before");
}

static void test_another_error_of_the_server_leaves_the_outcome_unknown(struct fixture *fixture)
{
    fixture_bridge(fixture, HASTY);
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"Some.Trouble\",\"Http\":500,"
                                         "\"Message\":\"Trouble.\",\"Count\":-1");
    check_error(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""),
        "unknown", "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
}

static void test_what_may_have_happened_is_never_reported_as_failed(struct fixture *fixture)
{
    fixture_bridge(fixture, HASTY);
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "\"reset_after\"");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"ServiceUnavailable\",\"Count\":-1");
    const struct message *reply = fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    check_text(reply, "Status", "unknown");
    assert_true(json_is_true(reply->json, "Error.Retryable"));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
}

/* The first call has its effect and its answer is lost; what the API checks before the token
 * refuses the second one. Only a success ends that, also when the same command is sent again. */
static void test_only_a_success_resolves_an_unknown_outcome(struct fixture *fixture)
{
    static const struct {
        const char *code;
        const char *category;
    } refusals[] = {
        {"NoSuchResource", "not_found"},
        {"Forbidden", "denied"},
        {"OperationDenied.InvalidStatus", "conflict"},
        {"OperationDenied.ManualSyncLimit", "cooldown"},
    };
    fixture_bridge(fixture, "routes.cooldown = \"defer\"; api.rpo_s = 4;");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        const char *group = fixture_name(fixture, "pg");
        simulator_fault(&fixture->simulator, "\"reset_after\"");
        simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"%s\",\"Count\":2",
                        refusals[i].code);
        const struct message *reply = fixture_request(fixture, token, group, "");
        check_error(reply, "unknown", refusals[i].code, refusals[i].category, true);
        assert_int_equal(json_number(reply->json, "Attempts"), 2);
        reply = fixture_request(fixture, token, group, "");
        check_error(reply, "unknown", refusals[i].code, refusals[i].category, true);
        check_succeeded(fixture_request(fixture, token, group, ""));
        assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    }
}

static void test_a_second_answer_is_told_to_nobody(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    simulator_fault(&fixture->simulator, "\"answer_twice\",\"Count\":10");
    for (int i = 0; i < 10; i++) {
        const struct message *reply = fixture_request(fixture, fixture_name(fixture, "token"),
                                                      fixture_name(fixture, "pg"), "");
        check_succeeded(reply);
        assert_int_equal(json_number(reply->json, "Attempts"), 1);
        /* The simulator has sent the second answer before it serves this. */
        assert_int_equal(simulator_total(&fixture->simulator, "Effects"), i + 1);
    }
}

/* Each second answer comes when the next request is on its way already. */
static void test_without_kept_connections_no_second_answer_is_told(struct fixture *fixture)
{
    enum { COUNT = 10 };
    const char *tokens[COUNT];
    fixture_bridge(fixture, "api.max_connection_age_s = 0; api.max_in_flight = 1;");
    simulator_fault(&fixture->simulator, "\"answer_twice\",\"Count\":%d", COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        tokens[i] = fixture_name(fixture, "token");
        fixture_send(fixture, fixture_command(fixture, tokens[i], fixture_name(fixture, "pg"), ""));
    }
    for (size_t i = 0; i < COUNT; i++) {
        const struct message *reply = fixture_expect_reply(fixture, tokens[i]);
        check_succeeded(reply);
        assert_int_equal(json_number(reply->json, "Attempts"), 1);
    }
}

static void test_the_attempt_on_the_wire_at_the_deadline_is_not_cut(struct fixture *fixture)
{
    fixture_bridge(fixture, "limits.deadline_s = 1; api.read_timeout_ms = 20000;");
    simulator_fault(&fixture->simulator, "\"latency\",\"DelayMs\":2000");
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    check_succeeded(reply);
    assert_int_equal(json_number(reply->json, "Attempts"), 1);
}

/* About three seconds from now; rounded to a second, so between two and three. */
static const char *soon(struct fixture *fixture)
{
    char text[32];
    time_t then = time(NULL) + 3;
    struct tm parts;
    gmtime_r(&then, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return fixture_format(fixture, "%s", text);
}

static void test_not_after_is_a_deadline(struct fixture *fixture)
{
    fixture_bridge(fixture, IMPATIENT);
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    const char *extra = fixture_format(fixture, ",\"NotAfter\":\"%s\"", soon(fixture));
    const struct message *reply = fixture_request(fixture, fixture_name(fixture, "token"),
                                                  fixture_name(fixture, "pg"), extra);
    check_text(reply, "Status", "unknown");
}

static void test_the_message_expiry_is_a_deadline(struct fixture *fixture)
{
    fixture_bridge(fixture, IMPATIENT);
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    client_publish(fixture->sender,
                   &(struct outgoing){
                       .topic = FLOW_COMMANDS,
                       .payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
                       .qos = 1,
                       .expiry_s = 3});
    check_text(fixture_expect_reply(fixture, token), "Status", "unknown");
}

static void test_an_unreachable_api_is_reported_at_the_deadline(struct fixture *fixture)
{
    int guard = -1;
    int port = port_reserve(&guard);
    fixture_bridge(fixture, fixture_format(fixture,
                                           "api.endpoint = \"http://127.0.0.1:%d\";"
                                           "limits.deadline_s = 1; api.read_timeout_ms = 300;"
                                           "api.connect_timeout_ms = 300;",
                                           port));
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    check_error(reply, "failed", "Bridge.Unreachable", "unavailable", true);
    check_text(reply, "Error.Source", "bridge");
    close(guard);
}

static void test_an_unreachable_api_degrades_the_bridge_until_it_is_back(struct fixture *fixture)
{
    int guard = -1;
    struct simulator late = {0};
    int port = port_reserve(&guard);
    struct bridge *bridge = fixture_bridge(
        fixture, fixture_format(fixture, "api.endpoint = \"http://127.0.0.1:%d\";", port));
    const char *token = fixture_name(fixture, "token");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    const struct message *status = client_expect(
        fixture->sender, &(struct match){.topic = bridge->status_topic, .state = "degraded"});
    assert_non_null(strstr(status->payload, "api_unreachable"));
    simulator_start(&late, bridge->directory, port);
    check_succeeded(fixture_expect_reply(fixture, token));
    bridge_wait_online(bridge);
    simulator_stop(&late);
    close(guard);
}

static void test_commands_wait_for_an_api_that_is_down(struct fixture *fixture)
{
    int guard = -1;
    struct simulator api = {0};
    int port = port_reserve(&guard);
    struct bridge *bridge = fixture_bridge(
        fixture, fixture_format(fixture, "api.endpoint = \"http://127.0.0.1:%d\";", port));
    const char *token = fixture_name(fixture, "token");
    simulator_start(&api, bridge->directory, port);
    simulator_fault(&api, "\"hang\"");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
    simulator_wait_token(&api, token, 1);
    simulator_stop(&api);
    simulator_start(&api, bridge->directory, port);
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_succeeded(reply);
    assert_true(json_number(reply->json, "Attempts") >= 2);
    simulator_stop(&api);
    close(guard);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_reset_before_the_effect_is_overcome),
        FLOW_TEST(test_a_reset_after_the_effect_is_overcome),
        FLOW_TEST(test_an_error_after_the_effect_is_overcome),
        FLOW_TEST(test_a_cut_answer_is_overcome),
        FLOW_TEST(test_a_page_of_a_load_balancer_is_overcome),
        FLOW_TEST(test_an_empty_answer_is_overcome),
        FLOW_TEST(test_garbage_is_overcome),
        FLOW_TEST(test_an_answer_that_is_far_too_long_is_overcome),
        FLOW_TEST(test_only_a_success_resolves_an_unknown_outcome),
        FLOW_TEST(test_a_second_answer_is_told_to_nobody),
        FLOW_TEST(test_without_kept_connections_no_second_answer_is_told),
        FLOW_TEST(test_an_answer_that_does_not_come_is_overcome),
        FLOW_TEST(test_a_very_slow_answer_is_overcome),
        FLOW_TEST(test_not_after_is_a_deadline),
        FLOW_TEST(test_the_message_expiry_is_a_deadline),
        FLOW_TEST(test_without_an_answer_the_outcome_is_unknown_at_the_deadline),
        FLOW_TEST(test_another_error_of_the_server_leaves_the_outcome_unknown),
        FLOW_TEST(test_what_may_have_happened_is_never_reported_as_failed),
        FLOW_TEST(test_bad_answers_to_the_end_leave_the_outcome_unknown),
        FLOW_TEST(test_the_attempt_on_the_wire_at_the_deadline_is_not_cut),
        FLOW_TEST(test_an_unreachable_api_is_reported_at_the_deadline),
        FLOW_TEST(test_an_unreachable_api_degrades_the_bridge_until_it_is_back),
        FLOW_TEST(test_commands_wait_for_an_api_that_is_down),
    };
    return flow_main("api faults", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
