/* What happens once per token: every way a command can meet the record of an earlier one. */
#include "flow_world.h"

#include <string.h>
#include <time.h>

/* A sender's own place for replies. */
static const char *inbox(struct world *world, const char *name)
{
    return world_format(world, FLOW_REPLIES "%s", world_name(world, name));
}

static void send_to(struct world *world, const char *payload, const char *topic,
                    const char *correlation)
{
    client_publish(world->sender, &(struct outgoing){.topic = FLOW_COMMANDS,
                                                     .payload = payload,
                                                     .qos = 1,
                                                     .response_topic = topic,
                                                     .correlation = correlation});
}

static const struct message *ask_at(struct world *world, const char *payload, const char *topic)
{
    send_to(world, payload, topic, topic);
    return client_expect(world->sender, &(struct match){.topic = topic, .correlation = topic});
}

static void check_same(const struct message *first, const struct message *second, const char *path)
{
    assert_true(json_has(first->json, path));
    assert_true(cJSON_Compare(json_at(first->json, path), json_at(second->json, path), true));
}

/* A replay tells what the first one told. */
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

static void test_a_duplicate_in_work_waits_for_the_outcome(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *payload = world_command(world, token, world_name(world, "pg"), "");
    const char *a = inbox(world, "a");
    const char *b = inbox(world, "b");
    simulator_fault(&world->simulator,
                    "\"latency\",\"DelayMs\":1500,\"Match\":{\"ClientToken\":\"%s\"}", token);
    send_to(world, payload, a, "first");
    simulator_wait_token(&world->simulator, token, 1);
    send_to(world, payload, b, "second");
    const struct message *first =
        client_expect(world->sender, &(struct match){.topic = a, .correlation = "first"});
    const struct message *second =
        client_expect(world->sender, &(struct match){.topic = b, .correlation = "second"});
    check_succeeded(first);
    assert_false(json_is_true(first->json, "Replayed"));
    check_replay(first, second);
    check_same(first, second, "RequestId");
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 1);
    assert_int_equal(simulator_token(&world->simulator, token, "Effects"), 1);
}

static void test_a_success_is_told_to_a_duplicate(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *payload = world_command(world, token, world_name(world, "pg"), "");
    const struct message *first = ask_at(world, payload, inbox(world, "a"));
    const struct message *second = ask_at(world, payload, inbox(world, "b"));
    check_succeeded(second);
    check_replay(first, second);
    check_same(first, second, "RequestId");
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 1);
}

static void test_a_replay_has_the_correlation_id_of_its_own_sender(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    const struct message *first =
        world_ask(world, token, group, ",\"CorrelationId\":\"one\",\"traceparent\":\"t-1\"");
    const struct message *second = world_ask(world, token, group, ",\"CorrelationId\":\"two\"");
    check_text(first, "CorrelationId", "one");
    check_text(second, "CorrelationId", "two");
    assert_false(json_has(second->json, "traceparent"));
    assert_true(json_is_true(second->json, "Replayed"));
}

static void test_a_success_is_forgotten_after_its_time(struct world *world)
{
    world_bridge(world, "dedup.success_ttl_s = 1;");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    int64_t end_ms = flow_now_ms() + FLOW_PATIENCE_MS;
    check_succeeded(world_ask(world, token, group, ""));
    while (json_is_true(world_ask(world, token, group, "")->json, "Replayed")) {
        assert_true(flow_now_ms() < end_ms);
        flow_pause();
    }
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 2);
    assert_int_equal(simulator_token(&world->simulator, token, "Effects"), 1);
}

/* Makes the API refuse the next start with a token. */
static void refuse_once(struct world *world, const char *token, const char *code)
{
    simulator_fault(&world->simulator,
                    "\"error\",\"Code\":\"%s\",\"Match\":{\"ClientToken\":\"%s\"}", code, token);
}

static void test_a_definite_refusal_is_told_to_a_duplicate(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *payload = world_command(world, token, world_name(world, "pg"), "");
    refuse_once(world, token, "OperationDenied.NoPairInGroup");
    const struct message *first = ask_at(world, payload, inbox(world, "a"));
    const struct message *second = ask_at(world, payload, inbox(world, "b"));
    check_error(first, "failed", "OperationDenied.NoPairInGroup", "conflict", false);
    check_replay(first, second);
    check_same(first, second, "Error");
    assert_string_equal(message_user(second, "code"), "OperationDenied.NoPairInGroup");
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 1);
}

static void test_a_definite_refusal_is_forgotten_after_its_time(struct world *world)
{
    world_bridge(world, "dedup.failure_ttl_s = 1;");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    int64_t end_ms = flow_now_ms() + FLOW_PATIENCE_MS;
    refuse_once(world, token, "NoSuchResource");
    const struct message *reply = world_ask(world, token, group, "");
    check_error(reply, "failed", "NoSuchResource", "not_found", false);
    while (strcmp(json_text(reply->json, "Status"), "succeeded") != 0) {
        assert_true(flow_now_ms() < end_ms);
        flow_pause();
        reply = world_ask(world, token, group, "");
    }
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void test_a_cooldown_is_kept_only_until_it_is_over(struct world *world)
{
    world_bridge(world, "api.rpo_s = 6;");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    const char *one_shot = ",\"OneShot\":true";
    int64_t begin_ms = flow_now_ms();
    refuse_once(world, token, "OperationDenied.ManualSyncLimit");
    const struct message *reply = world_ask(world, token, group, one_shot);
    check_error(reply, "failed", "OperationDenied.ManualSyncLimit", "cooldown", true);
    assert_int_equal(json_number(reply->json, "Error.RetryAfterMs"), 3000);
    reply = world_ask(world, token, group, one_shot);
    assert_true(json_is_true(reply->json, "Replayed"));
    while (strcmp(json_text(reply->json, "Status"), "succeeded") != 0) {
        assert_true(flow_now_ms() < begin_ms + FLOW_PATIENCE_MS);
        flow_pause();
        reply = world_ask(world, token, group, one_shot);
    }
    assert_true(flow_now_ms() - begin_ms >= 2900);
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void check_not_kept(struct world *world, const char *code, const char *category, int count)
{
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    simulator_fault(&world->simulator,
                    "\"error\",\"Code\":\"%s\",\"Count\":%d,\"Match\":{\"ClientToken\":\"%s\"}",
                    code, count, token);
    check_error(world_ask(world, token, group, ""), "failed", code, category, false);
    simulator_clear(&world->simulator);
    const struct message *reply = world_ask(world, token, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void test_a_refusal_of_the_credentials_is_not_kept(struct world *world)
{
    world_bridge(world, "");
    check_not_kept(world, "InvalidAccessKeyId.NotFound", "denied", -1);
    check_not_kept(world, "Forbidden.AccessKeyDisabled", "denied", -1);
    check_not_kept(world, "SignatureDoesNotMatch", "denied", -1);
}

static void test_a_refusal_of_the_configuration_is_not_kept(struct world *world)
{
    world_bridge(world, "");
    check_not_kept(world, "InvalidVersion", "configuration", 1);
    check_not_kept(world, "InvalidAction.NotFound", "configuration", 1);
}

#define QUICK_DEADLINE "limits.deadline_s = 1; api.read_timeout_ms = 300;"

static void test_an_unknown_outcome_is_resolved_by_the_same_command(struct world *world)
{
    world_bridge(world, QUICK_DEADLINE);
    const char *token = world_name(world, "token");
    const char *payload = world_command(world, token, world_name(world, "pg"), "");
    simulator_fault(&world->simulator, "\"reset_after\",\"Count\":-1");
    const struct message *reply = ask_at(world, payload, inbox(world, "a"));
    check_error(reply, "unknown", "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
    assert_int_equal(simulator_token(&world->simulator, token, "Effects"), 1);
    simulator_clear(&world->simulator);
    reply = ask_at(world, payload, inbox(world, "b"));
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
    cJSON *seen = simulator_get(&world->simulator, world_format(world, "tokens/%s", token));
    check_text(reply, "RequestId", json_text(seen, "RequestId"));
    assert_int_equal(json_number(seen, "Effects"), 1);
    cJSON_Delete(seen);
}

static void test_what_was_given_up_before_any_effect_goes_again(struct world *world)
{
    world_bridge(world, QUICK_DEADLINE);
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    simulator_fault(&world->simulator, "\"error\",\"Code\":\"ServiceUnavailable\",\"Count\":-1");
    check_error(world_ask(world, token, group, ""), "failed", "ServiceUnavailable", "unavailable",
                true);
    simulator_clear(&world->simulator);
    const struct message *reply = world_ask(world, token, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
}

/* Sends a command whose token was used with other parameters; then the first is still there. */
static void check_mismatch(struct world *world, const char *token, const char *group,
                           const char *other)
{
    const struct message *first = world_ask(world, token, group, "");
    check_succeeded(first);
    world_send(world, other);
    const struct message *reply = world_expect_reply(world, token);
    check_error(reply, "failed", "IdempotentParameterMismatch", "invalid", false);
    check_text(reply, "Error.Source", "bridge");
    check_replay(first, world_ask(world, token, group, ""));
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 1);
}

static void test_a_token_with_another_group_is_refused(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    check_mismatch(world, token, world_name(world, "pg"),
                   world_command(world, token, world_name(world, "pg"), ""));
}

static void test_a_token_with_another_one_shot_is_refused(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    check_mismatch(world, token, group, world_command(world, token, group, ",\"OneShot\":true"));
}

static void test_a_token_with_another_region_is_refused(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    check_mismatch(world, token, group,
                   world_format(world,
                                "{\"RegionId\":\"cn-hangzhou\",\"ReplicaGroupId\":\"%s\","
                                "\"ClientToken\":\"%s\"}",
                                group, token));
}

static void test_a_mismatch_is_answered_while_the_first_is_in_work(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *a = inbox(world, "a");
    simulator_fault(&world->simulator, "\"hang\"");
    send_to(world, world_command(world, token, world_name(world, "pg"), ""), a, a);
    simulator_wait_token(&world->simulator, token, 1);
    const struct message *reply =
        ask_at(world, world_command(world, token, world_name(world, "pg"), ""), inbox(world, "b"));
    check_error(reply, "failed", "IdempotentParameterMismatch", "invalid", false);
    assert_int_equal(client_count(world->sender, &(struct match){.topic = a}), 0);
    simulator_clear(&world->simulator);
    check_succeeded(client_expect(world->sender, &(struct match){.topic = a}));
}

static void check_token_unused(struct world *world, const char *token, const char *group)
{
    const struct message *reply = world_ask(world, token, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void test_an_invalid_command_does_not_use_up_its_token(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    const struct message *reply = world_ask(world, token, group, ",\"Oneshot\":true");
    check_error(reply, "failed", "Bridge.UnknownParameter", "invalid", false);
    check_token_unused(world, token, group);
}

static void test_a_command_that_is_not_allowed_does_not_use_up_its_token(struct world *world)
{
    world_bridge(world, "routes.groups = (\"pg-*\");");
    const char *token = world_name(world, "token");
    const struct message *reply = world_ask(world, token, world_name(world, "other"), "");
    check_error(reply, "failed", "Bridge.NotAllowed", "denied", false);
    check_token_unused(world, token, world_name(world, "pg"));
}

static void test_an_expired_command_does_not_use_up_its_token(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    const struct message *reply =
        world_ask(world, token, group, ",\"NotAfter\":\"2020-01-01T00:00:00Z\"");
    check_error(reply, "failed", "Bridge.Expired", "expired", false);
    assert_int_equal(simulator_total(&world->simulator, "Starts"), 0);
    check_token_unused(world, token, group);
}

static void test_a_stored_outcome_is_told_even_to_a_late_sender(struct world *world)
{
    world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    const struct message *first = world_ask(world, token, group, "");
    const struct message *second =
        world_ask(world, token, group, ",\"NotAfter\":\"2020-01-01T00:00:00Z\"");
    check_succeeded(second);
    check_replay(first, second);
}

static void test_an_outcome_is_not_told_where_the_command_is_not_allowed(struct world *world)
{
    world_bridge(world,
                 "routes = ({ name = \"start\"; },"
                 "{ name = \"narrow\"; topics = (\"narrow/start\"); groups = (\"none\"); });");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    check_succeeded(world_ask(world, token, group, ""));
    client_publish(world->sender,
                   &(struct outgoing){.topic = "narrow/start",
                                      .payload = world_command(world, token, group, ""),
                                      .qos = 1});
    check_error(world_expect_reply(world, token), "failed", "Bridge.NotAllowed", "denied", false);
}

static void test_tokens_are_case_sensitive(struct world *world)
{
    world_bridge(world, "");
    const char *lower = world_name(world, "token");
    const char *upper = world_format(world, "TOKEN%s", lower + strlen("token"));
    const char *group = world_name(world, "pg");
    check_succeeded(world_ask(world, lower, group, ""));
    const struct message *reply = world_ask(world, upper, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
    assert_int_equal(simulator_total(&world->simulator, "Effects"), 2);
}

static void test_a_replay_survives_a_restart(struct world *world)
{
    struct bridge *bridge = world_bridge(world, "");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    const struct message *first = world_ask(world, token, group, "");
    bridge_stop(bridge);
    bridge_start(bridge);
    const struct message *second = world_ask(world, token, group, "");
    check_succeeded(second);
    check_replay(first, second);
    assert_int_equal(simulator_token(&world->simulator, token, "Calls"), 1);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_duplicate_in_work_waits_for_the_outcome),
        FLOW_TEST(test_a_success_is_told_to_a_duplicate),
        FLOW_TEST(test_a_replay_has_the_correlation_id_of_its_own_sender),
        FLOW_TEST(test_a_definite_refusal_is_told_to_a_duplicate),
        FLOW_TEST(test_a_refusal_of_the_credentials_is_not_kept),
        FLOW_TEST(test_a_refusal_of_the_configuration_is_not_kept),
        FLOW_TEST(test_a_token_with_another_group_is_refused),
        FLOW_TEST(test_a_token_with_another_one_shot_is_refused),
        FLOW_TEST(test_a_token_with_another_region_is_refused),
        FLOW_TEST(test_a_mismatch_is_answered_while_the_first_is_in_work),
        FLOW_TEST(test_an_invalid_command_does_not_use_up_its_token),
        FLOW_TEST(test_an_expired_command_does_not_use_up_its_token),
        FLOW_TEST(test_a_stored_outcome_is_told_even_to_a_late_sender),
        FLOW_TEST(test_tokens_are_case_sensitive),
        FLOW_TEST(test_a_replay_survives_a_restart),
        FLOW_TEST(test_an_unknown_outcome_is_resolved_by_the_same_command),
        FLOW_TEST(test_what_was_given_up_before_any_effect_goes_again),
        FLOW_TEST(test_a_command_that_is_not_allowed_does_not_use_up_its_token),
        FLOW_TEST(test_an_outcome_is_not_told_where_the_command_is_not_allowed),
        FLOW_TEST(test_a_success_is_forgotten_after_its_time),
        FLOW_TEST(test_a_definite_refusal_is_forgotten_after_its_time),
        FLOW_TEST(test_a_cooldown_is_kept_only_until_it_is_over),
    };
    return flow_main("once per token", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
