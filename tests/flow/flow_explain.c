/* What replies say about the state of the group: the real bridge reads it from the simulator after
 * a refusal or an unknown outcome. */
#include "flow_fixture.h"

#include <stdio.h>
#include <string.h>

#define SETTINGS "routes.explain = true;"
#define SYNC_MS  600000
#define DESCRIBE "\"Match\":{\"Action\":\"DescribeDiskReplicaGroups\"}"
#define REFUSAL  "OperationDenied.InvalidStatus"
#define WITHOUT  "A start with OneShot false is allowed in the states"

static struct bridge *begin(struct fixture *fixture, const char *settings)
{
    struct bridge *bridge = fixture_bridge(fixture, settings);
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":%d,\"RpoS\":900}", SYNC_MS);
    return bridge;
}

static void set_status(struct fixture *fixture, const char *group, const char *status)
{
    simulator_order(&fixture->simulator, "POST", "groups",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",\"Status\":\"%s\"}",
                    group, status);
}

/* The refusal names the state in which the group was found. */
static void check_refusal(const struct message *reply, const char *status, const char *hint)
{
    check_error(reply, "failed", REFUSAL, "conflict", false);
    check_text(reply, "Error.GroupStatus", status);
    assert_true(json_has(reply->json, "Error.ObservedAt"));
    assert_false(json_has(reply->json, "Observed"));
    if (strstr(json_text(reply->json, "Error.Hint"), hint) == NULL) {
        flow_fail("no \"%s\": %s", hint, reply->payload);
    }
}

/* The reply of a bridge that does not read the state. */
static void check_plain(const struct message *reply)
{
    check_error(reply, "failed", REFUSAL, "conflict", false);
    assert_false(json_has(reply->json, "Error.GroupStatus"));
    assert_false(json_has(reply->json, "Error.ObservedAt"));
    assert_non_null(strstr(json_text(reply->json, "Error.Hint"), WITHOUT));
}

static void test_a_refusal_names_the_state_in_which_the_group_was_found(struct fixture *fixture)
{
    static const struct {
        const char *status;
        const char *extra;
        const char *hint;
    } rows[] = {
        {"initial_syncing", "", "Replication is already starting; nothing needs to be done."},
        {"manual_syncing", "", "send it again when the group is stopped."},
        {"stopping", "", "found in the state stopping; a start with OneShot false is possible in"},
        {"failovered", "", "Reprotect the group first."},
        {"invalid", "", "see StatusMessage of its pairs."},
        {"deleted", "", "found in the state deleted; a start with OneShot false is possible in"},
        {"normal", ",\"OneShot\":true", "found in the state normal; a start with OneShot true"},
    };
    begin(fixture, SETTINGS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        const char *group = fixture_name(fixture, "pg");
        int calls = simulator_total(&fixture->simulator, "Describes");
        set_status(fixture, group, rows[i].status);
        const struct message *reply = fixture_request(fixture, token, group, rows[i].extra);
        check_refusal(reply, rows[i].status, rows[i].hint);
        assert_int_equal((int)json_number(reply->json, "Attempts"), 1);
        assert_int_equal(simulator_total(&fixture->simulator, "Describes"), calls + 1);
        /* A duplicate gets what was recorded. */
        const struct message *again = fixture_request(fixture, token, group, rows[i].extra);
        assert_true(json_is_true(again->json, "Replayed"));
        assert_string_equal(strstr(again->payload, "\"Error\":"),
                            strstr(reply->payload, "\"Error\":"));
        assert_int_equal(simulator_total(&fixture->simulator, "Describes"), calls + 1);
    }
    simulator_reset(&fixture->simulator);
}

static void test_a_refused_stop_is_explained_too(struct fixture *fixture)
{
    const char *group = fixture_name(fixture, "pg");
    begin(fixture, SETTINGS "routes.action = \"StopDiskReplicaGroup\";");
    set_status(fixture, group, "failovered");
    check_refusal(fixture_request(fixture, fixture_name(fixture, "token"), group, ""), "failovered",
                  "found in the state failovered; a stop is possible in the states manual_syncing");
    simulator_reset(&fixture->simulator);
}

static void test_without_a_state_the_reply_is_the_usual_one(struct fixture *fixture)
{
    static const char *const faults[] = {
        "\"error\",\"Code\":\"ServiceUnavailable\"",
        "\"error\",\"Code\":\"Forbidden\"",
        "\"omit\"",
        "\"garbage_200\"",
        "\"hang\"",
    };
    struct bridge *bridge = begin(fixture, SETTINGS);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        const char *group = fixture_name(fixture, "pg");
        const char *token = fixture_name(fixture, "token");
        int calls = simulator_total(&fixture->simulator, "Describes");
        set_status(fixture, group, "failovered");
        simulator_fault(&fixture->simulator, "%s,\"Count\":-1," DESCRIBE, faults[i]);
        check_plain(fixture_request(fixture, token, group, ""));
        assert_int_equal(simulator_total(&fixture->simulator, "Describes"), calls + 1);
        bridge_wait_log(bridge, fixture_format(fixture, "event=explain_failed token=%s", token));
        simulator_clear(&fixture->simulator);
    }
    simulator_reset(&fixture->simulator);
}

static void test_nothing_is_read_where_nothing_is_to_be_explained(struct fixture *fixture)
{
    begin(fixture, SETTINGS);
    int calls = simulator_total(&fixture->simulator, "Describes");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"OperationDenied.NoPairInGroup\"");
    check_error(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""),
        "failed", "OperationDenied.NoPairInGroup", "conflict", false);
    assert_int_equal(simulator_total(&fixture->simulator, "Describes"), calls);
    begin(fixture, "");
    const char *group = fixture_name(fixture, "pg");
    set_status(fixture, group, "failovered");
    check_plain(fixture_request(fixture, fixture_name(fixture, "token"), group, ""));
    assert_int_equal(simulator_total(&fixture->simulator, "Describes"), calls);
    simulator_reset(&fixture->simulator);
}

/* ---- unknown outcomes ---- */

static void check_observed(const struct message *reply, const char *shown, const char *conclusion)
{
    check_text(reply, "Status", "unknown");
    check_text(reply, "Observed.Conclusion", conclusion);
    check_text(reply, "Observed.GroupStatus", shown);
    assert_int_equal(json_has(reply->json, "Observed.ObservedAt"), shown[0] != '\0');
    assert_false(json_has(reply->json, "Error.GroupStatus"));
}

/* The first call of each start has this fault, and the second one is refused because of the state.
 */
static void test_a_refusal_by_state_after_an_unsure_attempt_shows_what_is_seen(
    struct fixture *fixture)
{
    static const struct {
        const char *fault;
        const char *extra;
        const char *status; /* before the first call; "": as it is */
        const char *code;   /* of the second one */
        const char *shown;
        const char *conclusion;
    } rows[] = {
        {"reset_after", "", "", REFUSAL, "initial_syncing", "replicating"},
        {"reset_before", "", "normal", REFUSAL, "normal", "replicating"},
        {"reset_after", ",\"OneShot\":true", "", REFUSAL, "manual_syncing", "synchronised_since"},
        {"reset_after", ",\"OneShot\":true", "", "OperationDenied.ManualSyncLimit",
         "manual_syncing", "synchronised_since"},
        {"reset_before", "", "created", REFUSAL, "created", "not_seen"},
        {"reset_before", ",\"OneShot\":true", "stopped", REFUSAL, "stopped", "not_seen"},
        {"reset_before", "", "failovered", REFUSAL, "failovered", "undecided"},
    };
    begin(fixture, SETTINGS);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        const char *group = fixture_name(fixture, "pg");
        int calls = simulator_total(&fixture->simulator, "Describes");
        if (rows[i].status[0] != '\0') {
            set_status(fixture, group, rows[i].status);
        }
        simulator_fault(&fixture->simulator, "\"%s\",\"Match\":{\"ClientToken\":\"%s\"}",
                        rows[i].fault, token);
        simulator_fault(&fixture->simulator,
                        "\"error\",\"Code\":\"%s\",\"Match\":{\"ClientToken\":\"%s\"}",
                        rows[i].code, token);
        const struct message *reply = fixture_request(fixture, token, group, rows[i].extra);
        check_text(reply, "Error.Code", rows[i].code);
        check_observed(reply, rows[i].shown, rows[i].conclusion);
        assert_int_equal((int)json_number(reply->json, "Attempts"), 2);
        assert_int_equal(simulator_total(&fixture->simulator, "Describes"), calls + 1);
    }
    simulator_reset(&fixture->simulator);
}

/* The copy ends while the second call waits for its refusal. */
static void test_a_copy_that_has_ended_since_the_call_is_seen(struct fixture *fixture)
{
    const char *token = fixture_name(fixture, "token");
    begin(fixture, SETTINGS);
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":1500}");
    simulator_fault(&fixture->simulator, "\"reset_after\",\"Match\":{\"ClientToken\":\"%s\"}",
                    token);
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"" REFUSAL "\",\"DelayMs\":2000,"
                    "\"Match\":{\"ClientToken\":\"%s\"}",
                    token);
    const struct message *reply =
        fixture_request(fixture, token, fixture_name(fixture, "pg"), ",\"OneShot\":true");
    check_observed(reply, "stopped", "synchronised_since");
    assert_true(json_has(reply->json, "Observed.LastRecoverPoint"));
    simulator_reset(&fixture->simulator);
}

static void test_an_outcome_that_is_unknown_at_the_deadline_shows_what_is_seen(
    struct fixture *fixture)
{
    const char *seen = fixture_name(fixture, "token");
    const char *unseen = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    begin(fixture, SETTINGS "limits.deadline_s = 3; api.read_timeout_ms = 1000;"
                            "api.connect_timeout_ms = 1000;");
    simulator_fault(&fixture->simulator, "\"reset_before\",\"Count\":-1");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"InternalError\",\"Count\":-1,\"Match\":{\"Action\":"
                    "\"DescribeDiskReplicaGroups\",\"ReplicaGroupId\":\"%s\"}",
                    group);
    fixture_send(fixture, fixture_command(fixture, seen, fixture_name(fixture, "pg"), ""));
    fixture_send(fixture, fixture_command(fixture, unseen, group, ""));
    const struct message *reply = fixture_expect_reply(fixture, seen);
    check_error(reply, "unknown", "Bridge.NoDefiniteAnswer", "unknown_outcome", true);
    check_observed(reply, "created", "not_seen");
    check_observed(fixture_expect_reply(fixture, unseen), "", "undecided");
    simulator_reset(&fixture->simulator);
}

/* ---- cooldowns ---- */

static void test_a_cooldown_is_that_of_the_group(struct fixture *fixture)
{
    const char *ours = fixture_name(fixture, "pg");
    const char *theirs = fixture_name(fixture, "pg");
    begin(fixture, SETTINGS);
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":0,\"RpoS\":1000}");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), ours, ",\"OneShot\":true"));
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), ours, ",\"OneShot\":true");
    check_error(reply, "failed", "OperationDenied.ManualSyncLimit", "cooldown", true);
    double wait_ms = json_number(reply->json, "Error.RetryAfterMs");
    assert_true(wait_ms > 0 && wait_ms < 500000);
    /* Nothing is known of a start that somebody else made. */
    simulator_order(&fixture->simulator, "POST", "groups",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",\"Status\":\"stopped\","
                    "\"CooldownMs\":300000}",
                    theirs);
    reply = fixture_request(fixture, fixture_name(fixture, "token"), theirs, ",\"OneShot\":true");
    check_error(reply, "failed", "OperationDenied.ManualSyncLimit", "cooldown", true);
    assert_int_equal((int)json_number(reply->json, "Error.RetryAfterMs"), 500000);
    simulator_reset(&fixture->simulator);
}

static void test_a_start_is_deferred_for_the_cooldown_of_the_group(struct fixture *fixture)
{
    const char *group = fixture_name(fixture, "pg");
    begin(fixture, SETTINGS "routes.cooldown = \"defer\";");
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":0,\"RpoS\":4}");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), group, ",\"OneShot\":true"));
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"OperationDenied.ManualSyncLimit\","
                    "\"Match\":{\"ClientToken\":\"%s\"}",
                    token);
    check_succeeded(fixture_request(fixture, token, group, ",\"OneShot\":true"));
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
    simulator_reset(&fixture->simulator);
}

static void test_a_stop_does_not_wait_for_a_state(struct fixture *fixture)
{
    struct bridge *bridge = begin(fixture, SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    int calls = simulator_total(&fixture->simulator, "Describes");
    set_status(fixture, group, "failovered");
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1," DESCRIBE);
    fixture_send(fixture, fixture_command(fixture, token, group, ""));
    simulator_wait(&fixture->simulator, "Describes", calls + 1);
    bridge_stop(bridge);
    check_plain(fixture_expect_reply(fixture, token));
    simulator_reset(&fixture->simulator);
    bridge_start(bridge);
    bridge_wait_online(bridge);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_refusal_names_the_state_in_which_the_group_was_found),
        FLOW_TEST(test_without_a_state_the_reply_is_the_usual_one),
        FLOW_TEST(test_a_refusal_by_state_after_an_unsure_attempt_shows_what_is_seen),
        FLOW_TEST(test_a_copy_that_has_ended_since_the_call_is_seen),
        FLOW_TEST(test_a_cooldown_is_that_of_the_group),
        FLOW_TEST(test_a_stop_does_not_wait_for_a_state),
        FLOW_TEST(test_nothing_is_read_where_nothing_is_to_be_explained),
        FLOW_TEST(test_a_refused_stop_is_explained_too),
        FLOW_TEST(test_a_start_is_deferred_for_the_cooldown_of_the_group),
        FLOW_TEST(test_an_outcome_that_is_unknown_at_the_deadline_shows_what_is_seen),
    };
    return flow_main("flow_explain", tests, sizeof tests / sizeof tests[0], "", argc, argv);
}
