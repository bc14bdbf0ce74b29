/* One effect per token: every case of a command that finds the record of an earlier one. */
#include "flow_fixture.h"

#include <string.h>
#include <time.h>

/* A sender's own reply topic. */
static const char *inbox(struct fixture *fixture, const char *name)
{
    return fixture_format(fixture, FLOW_REPLIES "%s", fixture_name(fixture, name));
}

static void send_to(struct fixture *fixture, const char *payload, const char *topic,
                    const char *correlation)
{
    client_publish(fixture->sender, &(struct outgoing){.topic = FLOW_COMMANDS,
                                                       .payload = payload,
                                                       .qos = 1,
                                                       .response_topic = topic,
                                                       .correlation = correlation});
}

static const struct message *ask_at(struct fixture *fixture, const char *payload, const char *topic)
{
    send_to(fixture, payload, topic, topic);
    return client_expect(fixture->sender, &(struct match){.topic = topic, .correlation = topic});
}

static void check_same(const struct message *first, const struct message *second, const char *path)
{
    assert_true(json_has(first->json, path));
    assert_true(cJSON_Compare(json_at(first->json, path), json_at(second->json, path), true));
}

/* A replay holds the same outcome as the first reply. */
static void check_replay(const struct message *first, const struct message *second)
{
    assert_true(json_is_true(second->json, "Replayed"));
    assert_string_equal(message_user(second, "replayed"), "true");
    check_same(first, second, "Status");
    check_same(first, second, "ReceivedAt");
    check_same(first, second, "CompletedAt");
    check_same(first, second, "Attempts");
    check_same(first, second, "ClientToken");
}

static void test_a_duplicate_in_work_waits_for_the_outcome(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), "");
    const char *a = inbox(fixture, "a");
    const char *b = inbox(fixture, "b");
    simulator_fault(&fixture->simulator,
                    "\"latency\",\"DelayMs\":1500,\"Match\":{\"ClientToken\":\"%s\"}", token);
    send_to(fixture, payload, a, "first");
    simulator_wait_token(&fixture->simulator, token, 1);
    send_to(fixture, payload, b, "second");
    const struct message *first =
        client_expect(fixture->sender, &(struct match){.topic = a, .correlation = "first"});
    const struct message *second =
        client_expect(fixture->sender, &(struct match){.topic = b, .correlation = "second"});
    check_succeeded(first);
    assert_false(json_is_true(first->json, "Replayed"));
    check_replay(first, second);
    check_same(first, second, "RequestId");
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
}

static void test_a_success_is_replayed_to_a_duplicate(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), "");
    const struct message *first = ask_at(fixture, payload, inbox(fixture, "a"));
    const struct message *second = ask_at(fixture, payload, inbox(fixture, "b"));
    check_succeeded(second);
    check_replay(first, second);
    check_same(first, second, "RequestId");
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
}

static void test_a_replay_has_the_correlation_id_of_its_own_sender(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct message *first = fixture_request(
        fixture, token, group, ",\"CorrelationId\":\"one\",\"traceparent\":\"t-1\"");
    const struct message *second =
        fixture_request(fixture, token, group, ",\"CorrelationId\":\"two\"");
    check_text(first, "CorrelationId", "one");
    check_text(second, "CorrelationId", "two");
    assert_false(json_has(second->json, "traceparent"));
    assert_true(json_is_true(second->json, "Replayed"));
}

static void test_a_success_is_forgotten_after_its_time(struct fixture *fixture)
{
    fixture_bridge(fixture, "dedup.success_ttl_s = 1; broker.session_expiry_s = 1;");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    check_succeeded(fixture_request(fixture, token, group, ""));
    while (json_is_true(fixture_request(fixture, token, group, "")->json, "Replayed")) {
        assert_true(flow_now_ms() < end_ms);
        flow_pause();
    }
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 2);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
}

/* Makes the API refuse the next start with a token. */
static void refuse_once(struct fixture *fixture, const char *token, const char *code)
{
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"%s\",\"Match\":{\"ClientToken\":\"%s\"}", code, token);
}

static void test_a_definite_refusal_is_replayed_to_a_duplicate(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), "");
    refuse_once(fixture, token, "OperationDenied.NoPairInGroup");
    const struct message *first = ask_at(fixture, payload, inbox(fixture, "a"));
    const struct message *second = ask_at(fixture, payload, inbox(fixture, "b"));
    check_error(first, "failed", "OperationDenied.NoPairInGroup", "conflict", false);
    check_replay(first, second);
    check_same(first, second, "Error");
    assert_string_equal(message_user(second, "code"), "OperationDenied.NoPairInGroup");
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
}

static void test_a_definite_refusal_is_forgotten_after_its_time(struct fixture *fixture)
{
    fixture_bridge(fixture, "dedup.failure_ttl_s = 1;");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    refuse_once(fixture, token, "NoSuchResource");
    const struct message *reply = fixture_request(fixture, token, group, "");
    check_error(reply, "failed", "NoSuchResource", "not_found", false);
    while (strcmp(json_text(reply->json, "Status"), "succeeded") != 0) {
        assert_true(flow_now_ms() < end_ms);
        flow_pause();
        reply = fixture_request(fixture, token, group, "");
    }
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void test_a_cooldown_is_kept_only_until_it_is_over(struct fixture *fixture)
{
    fixture_bridge(fixture, "api.rpo_s = 10;");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const char *one_shot = ",\"OneShot\":true";
    int64_t begin_ms = flow_now_ms();
    refuse_once(fixture, token, "OperationDenied.ManualSyncLimit");
    const struct message *reply = fixture_request(fixture, token, group, one_shot);
    check_error(reply, "failed", "OperationDenied.ManualSyncLimit", "cooldown", true);
    assert_int_equal(json_number(reply->json, "Error.RetryAfterMs"), 5000);
    reply = fixture_request(fixture, token, group, one_shot);
    assert_true(json_is_true(reply->json, "Replayed"));
    while (strcmp(json_text(reply->json, "Status"), "succeeded") != 0) {
        assert_true(flow_now_ms() < begin_ms + FLOW_TIMEOUT_MS);
        flow_pause();
        reply = fixture_request(fixture, token, group, one_shot);
    }
    assert_true(flow_now_ms() - begin_ms >= 4900);
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void check_not_kept(struct fixture *fixture, const char *code, const char *category,
                           int count)
{
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"%s\",\"Count\":%d,\"Match\":{\"ClientToken\":\"%s\"}",
                    code, count, token);
    check_error(fixture_request(fixture, token, group, ""), "failed", code, category, false);
    simulator_clear(&fixture->simulator);
    const struct message *reply = fixture_request(fixture, token, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void test_a_refusal_of_the_credentials_is_not_kept(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_not_kept(fixture, "InvalidAccessKeyId.NotFound", "denied", -1);
    check_not_kept(fixture, "Forbidden.AccessKeyDisabled", "denied", -1);
    check_not_kept(fixture, "SignatureDoesNotMatch", "denied", -1);
}

static void test_a_refusal_of_the_configuration_is_not_kept(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_not_kept(fixture, "InvalidVersion", "configuration", 1);
    check_not_kept(fixture, "InvalidAction.NotFound", "configuration", 1);
}

#define QUICK_DEADLINE "limits.deadline_s = 1; api.read_timeout_ms = 300;"

static void test_an_unknown_outcome_is_resolved_by_the_same_command(struct fixture *fixture)
{
    fixture_bridge(fixture, QUICK_DEADLINE);
    const char *token = fixture_name(fixture, "token");
    const char *payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), "");
    simulator_fault(&fixture->simulator, "\"reset_after\",\"Count\":-1");
    const struct message *reply = ask_at(fixture, payload, inbox(fixture, "a"));
    check_error(reply, "unknown", "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    simulator_clear(&fixture->simulator);
    reply = ask_at(fixture, payload, inbox(fixture, "b"));
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
    cJSON *seen = simulator_get(&fixture->simulator, fixture_format(fixture, "tokens/%s", token));
    check_text(reply, "RequestId", json_text(seen, "RequestId"));
    assert_int_equal(json_number(seen, "Effects"), 1);
    cJSON_Delete(seen);
}

static void test_a_command_given_up_without_an_effect_is_called_again(struct fixture *fixture)
{
    fixture_bridge(fixture, QUICK_DEADLINE);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"ServiceUnavailable\",\"Count\":-1");
    check_error(fixture_request(fixture, token, group, ""), "failed", "ServiceUnavailable",
                "unavailable", true);
    simulator_clear(&fixture->simulator);
    const struct message *reply = fixture_request(fixture, token, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
}

/* Sends a command whose token was used with other parameters; the first record must be unchanged.
 */
static void check_mismatch(struct fixture *fixture, const char *token, const char *group,
                           const char *other)
{
    const struct message *first = fixture_request(fixture, token, group, "");
    check_succeeded(first);
    fixture_send(fixture, other);
    const struct message *reply = fixture_expect_reply(fixture, token);
    check_error(reply, "failed", "IdempotentParameterMismatch", "invalid", false);
    check_text(reply, "Error.Source", "bridge");
    check_replay(first, fixture_request(fixture, token, group, ""));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
}

static void test_a_token_with_another_group_is_refused(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    check_mismatch(fixture, token, fixture_name(fixture, "pg"),
                   fixture_command(fixture, token, fixture_name(fixture, "pg"), ""));
}

static void test_a_token_with_another_one_shot_is_refused(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_mismatch(fixture, token, group,
                   fixture_command(fixture, token, group, ",\"OneShot\":true"));
}

static void test_a_token_with_another_region_is_refused(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_mismatch(fixture, token, group,
                   fixture_format(fixture,
                                  "{\"RegionId\":\"cn-hangzhou\",\"ReplicaGroupId\":\"%s\","
                                  "\"ClientToken\":\"%s\"}",
                                  group, token));
}

static void test_a_mismatch_is_answered_while_the_first_is_in_work(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *a = inbox(fixture, "a");
    simulator_fault(&fixture->simulator, "\"hang\"");
    send_to(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""), a, a);
    simulator_wait_token(&fixture->simulator, token, 1);
    const struct message *reply =
        ask_at(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg"), ""),
               inbox(fixture, "b"));
    check_error(reply, "failed", "IdempotentParameterMismatch", "invalid", false);
    assert_int_equal(client_count(fixture->sender, &(struct match){.topic = a}), 0);
    simulator_clear(&fixture->simulator);
    check_succeeded(client_expect(fixture->sender, &(struct match){.topic = a}));
}

static void check_token_unused(struct fixture *fixture, const char *token, const char *group)
{
    const struct message *reply = fixture_request(fixture, token, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void test_an_invalid_command_does_not_use_up_its_token(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct message *reply = fixture_request(fixture, token, group, ",\"Oneshot\":true");
    check_error(reply, "failed", "Bridge.UnknownParameter", "invalid", false);
    check_token_unused(fixture, token, group);
}

static void test_a_command_that_is_not_allowed_does_not_use_up_its_token(struct fixture *fixture)
{
    fixture_bridge(fixture, "routes.groups = (\"pg-*\");");
    const char *token = fixture_name(fixture, "token");
    const struct message *reply =
        fixture_request(fixture, token, fixture_name(fixture, "other"), "");
    check_error(reply, "failed", "Bridge.NotAllowed", "denied", false);
    check_token_unused(fixture, token, fixture_name(fixture, "pg"));
}

static void test_an_expired_command_does_not_use_up_its_token(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct message *reply =
        fixture_request(fixture, token, group, ",\"NotAfter\":\"2020-01-01T00:00:00Z\"");
    check_error(reply, "failed", "Bridge.Expired", "expired", false);
    assert_int_equal(simulator_total(&fixture->simulator, "Starts"), 0);
    check_token_unused(fixture, token, group);
}

static void test_a_stored_outcome_is_replayed_even_to_a_late_sender(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct message *first = fixture_request(fixture, token, group, "");
    const struct message *second =
        fixture_request(fixture, token, group, ",\"NotAfter\":\"2020-01-01T00:00:00Z\"");
    check_succeeded(second);
    check_replay(first, second);
}

static void test_an_outcome_is_not_reported_where_the_command_is_not_allowed(
    struct fixture *fixture)
{
    fixture_bridge(fixture, "routes = ({ name = \"start\"; share = \"test\"; },"
                            "{ name = \"narrow\"; share = \"test\"; topics = (\"narrow/start\"); "
                            "groups = (\"none\"); });");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    client_publish(fixture->sender,
                   &(struct outgoing){.topic = "narrow/start",
                                      .payload = fixture_command(fixture, token, group, ""),
                                      .qos = 1});
    check_error(fixture_expect_reply(fixture, token), "failed", "Bridge.NotAllowed", "denied",
                false);
}

static void test_tokens_are_case_sensitive(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *lower = fixture_name(fixture, "token");
    const char *upper = fixture_format(fixture, "TOKEN%s", lower + strlen("token"));
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, lower, group, ""));
    const struct message *reply = fixture_request(fixture, upper, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), 2);
}

static void test_a_replay_survives_a_restart(struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct message *first = fixture_request(fixture, token, group, "");
    bridge_stop(bridge);
    bridge_start(bridge);
    const struct message *second = fixture_request(fixture, token, group, "");
    check_succeeded(second);
    check_replay(first, second);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 1);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_duplicate_in_work_waits_for_the_outcome),
        FLOW_TEST(test_a_success_is_replayed_to_a_duplicate),
        FLOW_TEST(test_a_replay_has_the_correlation_id_of_its_own_sender),
        FLOW_TEST(test_a_definite_refusal_is_replayed_to_a_duplicate),
        FLOW_TEST(test_a_refusal_of_the_credentials_is_not_kept),
        FLOW_TEST(test_a_refusal_of_the_configuration_is_not_kept),
        FLOW_TEST(test_a_token_with_another_group_is_refused),
        FLOW_TEST(test_a_token_with_another_one_shot_is_refused),
        FLOW_TEST(test_a_token_with_another_region_is_refused),
        FLOW_TEST(test_a_mismatch_is_answered_while_the_first_is_in_work),
        FLOW_TEST(test_an_invalid_command_does_not_use_up_its_token),
        FLOW_TEST(test_an_expired_command_does_not_use_up_its_token),
        FLOW_TEST(test_a_stored_outcome_is_replayed_even_to_a_late_sender),
        FLOW_TEST(test_tokens_are_case_sensitive),
        FLOW_TEST(test_a_replay_survives_a_restart),
        FLOW_TEST(test_an_unknown_outcome_is_resolved_by_the_same_command),
        FLOW_TEST(test_a_command_given_up_without_an_effect_is_called_again),
        FLOW_TEST(test_a_command_that_is_not_allowed_does_not_use_up_its_token),
        FLOW_TEST(test_an_outcome_is_not_reported_where_the_command_is_not_allowed),
        FLOW_TEST(test_a_success_is_forgotten_after_its_time),
        FLOW_TEST(test_a_definite_refusal_is_forgotten_after_its_time),
        FLOW_TEST(test_a_cooldown_is_kept_only_until_it_is_over),
    };
    return flow_main("once per token", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
