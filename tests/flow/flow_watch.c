/* What is published about a group after its start: the real bridge reads states from the simulator.
 */
#include "flow_fixture.h"

#include <stdio.h>
#include <string.h>

#define EVENTS   "ecs-bridge/v1/events/"
#define SETTINGS "routes.watch = \"until_done\"; watch.poll_min_s = 1; watch.poll_max_s = 2;"
#define SYNC_MS  600000

/* A bridge that watches, and copies that take as long as the test wants. */
static struct bridge *begin(struct fixture *fixture, const char *settings)
{
    struct bridge *bridge = fixture_bridge(fixture, settings);
    client_subscribe(fixture->sender, EVENTS "#");
    simulator_order(&fixture->simulator, "POST", "times", "{\"SyncMs\":%d}", SYNC_MS);
    return bridge;
}

/* The copies under way end half a second from now. */
static void end_copies(const struct fixture *fixture)
{
    simulator_order(&fixture->simulator, "POST", "clock", "{\"AdvanceMs\":%d}", SYNC_MS - 500);
}

static void set_status(struct fixture *fixture, const char *group, const char *status)
{
    simulator_order(&fixture->simulator, "POST", "groups",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",\"Status\":\"%s\"}",
                    group, status);
}

/* The next event of the command: it has this name and Seq. */
static const struct message *expect_event(struct fixture *fixture, const char *token,
                                          const char *group, const char *name, int seq,
                                          bool is_final)
{
    const char *topic = fixture_format(fixture, EVENTS "%s", group);
    const struct message *event =
        client_expect(fixture->sender, &(struct match){.topic = topic, .token = token});
    if (strcmp(json_text(event->json, "Event"), name) != 0) {
        flow_fail("not %s: %s", name, event->payload);
    }
    assert_int_equal((int)json_number(event->json, "Seq"), seq);
    assert_int_equal(json_is_true(event->json, "Final"), is_final);
    assert_string_equal(message_user(event, "event"), name);
    assert_string_equal(message_user(event, "final"), is_final ? "true" : "false");
    return event;
}

static void test_a_start_is_followed_until_the_copy_is_done(struct fixture *fixture)
{
    begin(fixture, SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    const struct message *first = expect_event(fixture, token, group, "watching", 1, false);
    check_text(first, "GroupStatus", "initial_syncing");
    check_text(first, "Outcome", "succeeded");
    assert_int_equal((int)first->expiry_s, 86400);
    end_copies(fixture);
    const struct message *status = expect_event(fixture, token, group, "status", 2, false);
    check_text(status, "PreviousStatus", "initial_syncing");
    const struct message *last = expect_event(fixture, token, group, "synchronised", 3, true);
    check_text(last, "Basis", "recover_point");
    simulator_reset(&fixture->simulator);
}

static void test_a_watch_goes_on_after_a_crash(struct fixture *fixture)
{
    struct bridge *bridge = begin(fixture, SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    expect_event(fixture, token, group, "watching", 1, false);
    bridge_kill(bridge);
    end_copies(fixture);
    bridge_start(bridge);
    const struct message *event = client_expect(
        fixture->sender,
        &(struct match){.topic = fixture_format(fixture, EVENTS "%s", group), .token = token});
    if (strcmp(json_text(event->json, "Event"), "watching") == 0) { /* it was published again */
        assert_int_equal((int)json_number(event->json, "Seq"), 1);
        event = expect_event(fixture, token, group, "status", 2, false);
    }
    check_text(event, "Event", "status");
    assert_int_equal((int)json_number(event->json, "Seq"), 2);
    expect_event(fixture, token, group, "synchronised", 3, true);
    simulator_reset(&fixture->simulator);
}

static void test_a_later_command_ends_the_watch(struct fixture *fixture)
{
    begin(fixture, SETTINGS);
    const char *group = fixture_name(fixture, "pg");
    const char *earlier = fixture_name(fixture, "token");
    const char *later = fixture_name(fixture, "token");
    check_succeeded(fixture_request(fixture, earlier, group, ""));
    expect_event(fixture, earlier, group, "watching", 1, false);
    set_status(fixture, group, "stopped");
    check_succeeded(fixture_request(fixture, later, group, ""));
    const char *topic = fixture_format(fixture, EVENTS "%s", group);
    const struct match match = {.topic = topic, .token = earlier};
    const struct message *event = client_expect(fixture->sender, &match);
    int seq = (int)json_number(event->json, "Seq");
    assert_int_equal(seq, 2);
    while (!json_is_true(event->json, "Final")) {
        event = client_expect(fixture->sender, &match);
        assert_int_equal((int)json_number(event->json, "Seq"), ++seq);
    }
    check_text(event, "Event", "superseded");
    expect_event(fixture, later, group, "watching", 1, false);
    simulator_reset(&fixture->simulator);
}

static void test_the_progress_of_a_copy_is_published(struct fixture *fixture)
{
    begin(fixture, SETTINGS "watch.progress_s = 1;");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    const struct match match = {.topic = fixture_format(fixture, EVENTS "%s", group),
                                .token = token};
    check_succeeded(fixture_request(fixture, token, group, ""));
    expect_event(fixture, token, group, "watching", 1, false);
    simulator_order(&fixture->simulator, "POST", "clock", "{\"AdvanceMs\":%d}", SYNC_MS / 2);
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
    simulator_order(&fixture->simulator, "POST", "clock", "{\"AdvanceMs\":%d}", SYNC_MS / 2);
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
    begin(fixture, SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    expect_event(fixture, token, group, "watching", 1, false);
    set_status(fixture, group, "invalid");
    const struct message *last = expect_event(fixture, token, group, "failed", 2, true);
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
    begin(fixture, SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"Forbidden\",\"Count\":-1,"
                                         "\"Match\":{\"Action\":\"DescribeDiskReplicaPairs\"}");
    check_succeeded(fixture_request(fixture, token, group, ""));
    expect_event(fixture, token, group, "watching", 1, false);
    set_status(fixture, group, "invalid");
    const struct message *last = expect_event(fixture, token, group, "failed", 2, true);
    assert_false(json_has(last->json, "Pairs"));
    assert_int_equal(simulator_total(&fixture->simulator, "PairDescribes"), 1);
    simulator_reset(&fixture->simulator);
}

static void test_a_group_that_fails_or_is_deleted_ends_the_watch(struct fixture *fixture)
{
    static const char *const ends[][2] = {{"invalid", "failed"}, {"deleted", "gone"}};
    begin(fixture, SETTINGS);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        const char *group = fixture_name(fixture, "pg");
        check_succeeded(fixture_request(fixture, token, group, ""));
        expect_event(fixture, token, group, "watching", 1, false);
        set_status(fixture, group, ends[i][0]);
        const struct message *last = expect_event(fixture, token, group, ends[i][1], 2, true);
        assert_int_equal(json_has(last->json, "Error"), i == 0);
    }
    simulator_reset(&fixture->simulator);
}

static void test_nothing_is_read_where_the_route_does_not_watch(struct fixture *fixture)
{
    begin(fixture, "");
    int calls = simulator_total(&fixture->simulator, "Describes");
    const char *token = fixture_name(fixture, "token");
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    fixture_expect_nothing(fixture, &(struct match){.token = "no such token"});
    assert_int_equal(simulator_total(&fixture->simulator, "Describes"), calls);
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
        FLOW_TEST(test_nothing_is_read_where_the_route_does_not_watch),
    };
    return flow_main("flow_watch", tests, sizeof tests / sizeof tests[0], "", argc, argv);
}
