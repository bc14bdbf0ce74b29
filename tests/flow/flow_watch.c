/* What is published about a group after its start: the real bridge reads states from the simulator.
 */
#include "flow_events.h"

#include <stdio.h>
#include <string.h>

static void test_a_start_is_followed_until_the_copy_is_done(struct fixture *fixture)
{
    events_begin(fixture, EVENTS_SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    const struct message *first = events_expect(fixture, token, group, "watching", 1, false);
    check_text(first, "GroupStatus", "initial_syncing");
    check_text(first, "Outcome", "succeeded");
    assert_int_equal((int)first->expiry_s, 86400);
    events_end_copies(fixture);
    const struct message *status = events_expect(fixture, token, group, "status", 2, false);
    check_text(status, "PreviousStatus", "initial_syncing");
    const struct message *last = events_expect(fixture, token, group, "synchronised", 3, true);
    check_text(last, "Basis", "recover_point");
    simulator_reset(&fixture->simulator);
}

static void test_a_watch_goes_on_after_a_crash(struct fixture *fixture)
{
    struct bridge *bridge = events_begin(fixture, EVENTS_SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    events_expect(fixture, token, group, "watching", 1, false);
    bridge_kill(bridge);
    events_end_copies(fixture);
    bridge_start(bridge);
    const struct message *event = client_expect(
        fixture->sender, &(struct match){.topic = fixture_format(fixture, EVENTS_TOPIC "%s", group),
                                         .token = token});
    if (strcmp(json_text(event->json, "Event"), "watching") == 0) { /* it was published again */
        assert_int_equal((int)json_number(event->json, "Seq"), 1);
        event = events_expect(fixture, token, group, "status", 2, false);
    }
    check_text(event, "Event", "status");
    assert_int_equal((int)json_number(event->json, "Seq"), 2);
    events_expect(fixture, token, group, "synchronised", 3, true);
    simulator_reset(&fixture->simulator);
}

static void test_a_later_command_ends_the_watch(struct fixture *fixture)
{
    events_begin(fixture, EVENTS_SETTINGS);
    const char *group = fixture_name(fixture, "pg");
    const char *earlier = fixture_name(fixture, "token");
    const char *later = fixture_name(fixture, "token");
    check_succeeded(fixture_request(fixture, earlier, group, ""));
    events_expect(fixture, earlier, group, "watching", 1, false);
    events_set_status(fixture, group, "stopped");
    check_succeeded(fixture_request(fixture, later, group, ""));
    const char *topic = fixture_format(fixture, EVENTS_TOPIC "%s", group);
    const struct match match = {.topic = topic, .token = earlier};
    const struct message *event = client_expect(fixture->sender, &match);
    int seq = (int)json_number(event->json, "Seq");
    assert_int_equal(seq, 2);
    while (!json_is_true(event->json, "Final")) {
        event = client_expect(fixture->sender, &match);
        assert_int_equal((int)json_number(event->json, "Seq"), ++seq);
    }
    check_text(event, "Event", "superseded");
    events_expect(fixture, later, group, "watching", 1, false);
    simulator_reset(&fixture->simulator);
}

static void test_the_progress_of_a_copy_is_published(struct fixture *fixture)
{
    events_begin(fixture, EVENTS_SETTINGS "watch.progress_s = 1;");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct match match = {.topic = fixture_format(fixture, EVENTS_TOPIC "%s", group),
                                .token = token};
    check_succeeded(fixture_request(fixture, token, group, ""));
    events_expect(fixture, token, group, "watching", 1, false);
    simulator_order(&fixture->simulator, "POST", "clock", "{\"AdvanceMs\":%d}", EVENTS_SYNC_MS / 2);
    int seq = 1;
    int percent = 0;
    while (percent < 50) { /* of the slower pair */
        const struct message *event = client_expect(fixture->sender, &match);
        check_text(event, "Event", "progress");
        assert_int_equal((int)json_number(event->json, "Seq"), ++seq);
        assert_true(json_number(event->json, "ProgressPercent") > percent);
        percent = (int)json_number(event->json, "ProgressPercent");
    }
    assert_true(percent < 100);
    simulator_order(&fixture->simulator, "POST", "clock", "{\"AdvanceMs\":%d}", EVENTS_SYNC_MS / 2);
    const struct message *event = client_expect(fixture->sender, &match);
    while (strcmp(json_text(event->json, "Event"), "progress") == 0) {
        assert_int_equal((int)json_number(event->json, "Seq"), ++seq);
        event = client_expect(fixture->sender, &match);
    }
    check_text(event, "Event", "status");
    assert_int_equal((int)json_number(event->json, "Seq"), ++seq);
    assert_false(json_has(event->json, "ProgressPercent"));
    simulator_reset(&fixture->simulator);
}

static void test_a_failed_group_is_told_with_its_faulty_pair(struct fixture *fixture)
{
    events_begin(fixture, EVENTS_SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    events_expect(fixture, token, group, "watching", 1, false);
    events_set_status(fixture, group, "invalid");
    const struct message *last = events_expect(fixture, token, group, "failed", 2, true);
    const cJSON *pairs = cJSON_GetObjectItemCaseSensitive(last->json, "Pairs");
    const char *first = fixture_format(fixture, "pair-%s-1", group);
    assert_int_equal(cJSON_GetArraySize(pairs), 2);
    assert_string_equal(json_text(cJSON_GetArrayItem(pairs, 0), "ReplicaPairId"), first);
    assert_string_equal(json_text(cJSON_GetArrayItem(pairs, 0), "Status"), "invalid");
    assert_true(json_has(cJSON_GetArrayItem(pairs, 0), "StatusMessage"));
    assert_string_equal(json_text(cJSON_GetArrayItem(pairs, 1), "Status"), "stopped");
    simulator_reset(&fixture->simulator);
}

static void test_a_failed_group_is_told_without_its_pairs_where_they_may_not_be_read(
    struct fixture *fixture)
{
    events_begin(fixture, EVENTS_SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"Forbidden\",\"Count\":-1,"
                                         "\"Match\":{\"Action\":\"DescribeDiskReplicaPairs\"}");
    check_succeeded(fixture_request(fixture, token, group, ""));
    events_expect(fixture, token, group, "watching", 1, false);
    events_set_status(fixture, group, "invalid");
    const struct message *last = events_expect(fixture, token, group, "failed", 2, true);
    assert_false(json_has(last->json, "Pairs"));
    assert_int_equal(simulator_total(&fixture->simulator, "PairDescribes"), 1);
    simulator_reset(&fixture->simulator);
}

static void test_a_group_that_fails_or_is_deleted_ends_the_watch(struct fixture *fixture)
{
    static const char *const ends[][2] = {{"invalid", "failed"}, {"deleted", "gone"}};
    events_begin(fixture, EVENTS_SETTINGS);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        const char *group = fixture_name(fixture, "pg");
        check_succeeded(fixture_request(fixture, token, group, ""));
        events_expect(fixture, token, group, "watching", 1, false);
        events_set_status(fixture, group, ends[i][0]);
        const struct message *last = events_expect(fixture, token, group, ends[i][1], 2, true);
        assert_int_equal(json_has(last->json, "Error"), i == 0);
    }
    simulator_reset(&fixture->simulator);
}

static void test_nothing_is_read_where_the_route_does_not_watch(struct fixture *fixture)
{
    events_begin(fixture, "");
    int calls = simulator_total(&fixture->simulator, "Describes");
    const char *token = fixture_name(fixture, "token");
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    fixture_expect_nothing(fixture, &(struct match){.token = "no such token"});
    assert_int_equal(simulator_total(&fixture->simulator, "Describes"), calls);
    simulator_reset(&fixture->simulator);
}

static void test_a_stop_is_followed_until_the_group_has_stopped(struct fixture *fixture)
{
    events_begin(fixture, EVENTS_SETTINGS "routes.action = \"StopDiskReplicaGroup\";");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    events_set_status(fixture, group, "normal");
    simulator_order(&fixture->simulator, "POST", "times", "{\"StopMs\":%d}", EVENTS_SYNC_MS);
    check_succeeded(fixture_request(fixture, token, group, ""));
    const struct message *first = events_expect(fixture, token, group, "watching", 1, false);
    check_text(first, "GroupStatus", "stopping");
    assert_false(json_has(first->json, "OneShot"));
    simulator_order(&fixture->simulator, "POST", "clock", "{\"AdvanceMs\":%d}", EVENTS_SYNC_MS);
    events_expect(fixture, token, group, "status", 2, false);
    const struct message *last = events_expect(fixture, token, group, "done", 3, true);
    check_text(last, "GroupStatus", "stopped");
    simulator_reset(&fixture->simulator);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_start_is_followed_until_the_copy_is_done),
        FLOW_TEST(test_a_watch_goes_on_after_a_crash),
        FLOW_TEST(test_a_later_command_ends_the_watch),
        FLOW_TEST(test_the_progress_of_a_copy_is_published),
        FLOW_TEST(test_a_failed_group_is_told_with_its_faulty_pair),
        FLOW_TEST(test_a_failed_group_is_told_without_its_pairs_where_they_may_not_be_read),
        FLOW_TEST(test_a_group_that_fails_or_is_deleted_ends_the_watch),
        FLOW_TEST(test_a_stop_is_followed_until_the_group_has_stopped),
        FLOW_TEST(test_nothing_is_read_where_the_route_does_not_watch),
    };
    return flow_main("flow_watch", tests, sizeof tests / sizeof tests[0], "", argc, argv);
}
