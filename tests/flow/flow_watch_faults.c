/* Watching where something is wrong: clocks that differ, groups that may not be read or are gone, a
 * ledger that cannot be written; and a reload. */
#include "base/clock.h"
#include "flow_events.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define GROUPS 100

/* The API's clock is so far ahead; its signatures allow 15 minutes. */
static void check_other_clock(struct fixture *fixture, int offset_s)
{
    events_begin(fixture, EVENTS_SETTINGS "watch.blind_s = 300;");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    int64_t started_at_ms = 0;
    int64_t now_ms = clock_wall_ms() + offset_s * 1000;
    simulator_order(&fixture->simulator, "POST", "clock", "{\"OffsetS\":%d}", offset_s);
    check_succeeded(fixture_request(fixture, token, group, ""));
    const struct message *first = events_expect(fixture, token, group, "watching", 1, false);
    assert_int_equal(clock_parse(slice_text(json_text(first->json, "StartedAt")), &started_at_ms),
                     STATUS_OK);
    assert_true(llabs(started_at_ms - now_ms) < 60000);
    assert_true(json_number(first->json, "DurationMs") < 60000);
    /* No answer tells the API's time: nothing is blind before 300 s. */
    int calls = simulator_total(&fixture->simulator, "Describes");
    simulator_fault(&fixture->simulator, "\"reset_before\","
                                         "\"Match\":{\"Action\":\"DescribeDiskReplicaGroups\"}");
    simulator_wait(&fixture->simulator, "Describes", calls + 2);
    events_end_copies(fixture);
    events_expect(fixture, token, group, "status", 2, false);
    const struct message *last = events_expect(fixture, token, group, "synchronised", 3, true);
    check_text(last, "Basis", "recover_point");
    assert_true(json_number(last->json, "LagS") < 60);
    assert_true(json_number(last->json, "DurationMs") < 60000);
    simulator_reset(&fixture->simulator);
}

static void test_a_clock_that_differs_from_that_of_the_api_changes_nothing(struct fixture *fixture)
{
    check_other_clock(fixture, 600);
    check_other_clock(fixture, -600);
}

/* How many groups the last call that asked for this one asked for. */
static int asked_together(struct fixture *fixture, const char *group)
{
    cJSON *requests = simulator_get(&fixture->simulator, "requests?Last=50");
    const cJSON *request = NULL;
    int count = 0;
    cJSON_ArrayForEach(request, requests)
    {
        const cJSON *ids = cJSON_GetObjectItemCaseSensitive(
            cJSON_GetObjectItemCaseSensitive(request, "Params"), "GroupIds");
        const char *text = cJSON_IsString(ids) ? ids->valuestring : "";
        if (strstr(text, group) != NULL) {
            count = 1;
            for (; *text != '\0'; text++) {
                count += *text == ',';
            }
        }
    }
    cJSON_Delete(requests);
    return count;
}

static void expect_all(struct fixture *fixture, const char *const *groups, int left_out,
                       const char *name, int seq, bool is_final)
{
    for (int i = 0; i < GROUPS; i++) {
        if (i != left_out) {
            events_expect(fixture, groups[i], groups[i], name, seq, is_final);
        }
    }
}

static void test_a_group_that_may_not_be_read_does_not_blind_the_others(struct fixture *fixture)
{
    enum { REFUSED = 37 };
    struct bridge *bridge = events_begin(fixture, EVENTS_SETTINGS
                                         "watch.poll_max_s = 1;"
                                         "watch.rate_per_s = 1000.0; api.rate_per_s = 1000.0;");
    const char *prefix = fixture_name(fixture, "pg");
    const char *groups[GROUPS];
    for (int i = 0; i < GROUPS; i++) {
        groups[i] = fixture_format(fixture, "%s-%03d", prefix, i);
        fixture_send(fixture, fixture_command(fixture, groups[i], groups[i], ""));
    }
    expect_all(fixture, groups, -1, "watching", 1, false);
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"Forbidden\",\"Count\":-1,\"Match\":{\"Action\":"
                    "\"DescribeDiskReplicaGroups\",\"ReplicaGroupId\":\"%s\"}",
                    groups[REFUSED]);
    bridge_wait_log(bridge, fixture_format(fixture, "group=%s code=Forbidden", groups[REFUSED]));
    assert_int_equal(asked_together(fixture, groups[REFUSED]), 1);
    events_end_copies(fixture);
    expect_all(fixture, groups, REFUSED, "status", 2, false);
    expect_all(fixture, groups, REFUSED, "synchronised", 3, true);
    client_sync(fixture->sender);
    assert_int_equal(client_count(fixture->sender,
                                  &(struct match){.topic = fixture_format(
                                                      fixture, EVENTS_TOPIC "%s", groups[REFUSED]),
                                                  .token = groups[REFUSED]}),
                     0);
    simulator_clear(&fixture->simulator);
    events_expect(fixture, groups[REFUSED], groups[REFUSED], "status", 2, false);
    simulator_reset(&fixture->simulator);
}

static void test_a_group_that_is_not_listed_any_more_is_gone(struct fixture *fixture)
{
    events_begin(fixture, EVENTS_SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    events_expect(fixture, token, group, "watching", 1, false);
    events_set_status(fixture, group, "none");
    /* An absence takes three calls at most: together, alone, and at the other site. */
    int calls = simulator_total(&fixture->simulator, "Describes");
    simulator_wait(&fixture->simulator, "Describes", calls + 4);
    simulator_order(&fixture->simulator, "POST", "clock", "{\"OffsetS\":120}");
    const struct message *last = events_expect(fixture, token, group, "gone", 2, true);
    check_text(last, "GroupStatus", "initial_syncing");
    simulator_reset(&fixture->simulator);
}

static void test_a_crash_while_the_pairs_of_a_failed_group_are_read_loses_nothing(
    struct fixture *fixture)
{
    struct bridge *bridge = events_begin(fixture, EVENTS_SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    events_expect(fixture, token, group, "watching", 1, false);
    client_sync(fixture->sender);
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1,"
                                         "\"Match\":{\"Action\":\"DescribeDiskReplicaPairs\"}");
    events_set_status(fixture, group, "invalid");
    while (simulator_total(&fixture->simulator, "PairDescribes") == 0) {
        client_sync(fixture->sender);
    }
    bridge_kill(bridge);
    simulator_clear(&fixture->simulator);
    bridge_start(bridge);
    const struct match match = {.topic = fixture_format(fixture, EVENTS_TOPIC "%s", group),
                                .token = token};
    const struct message *last = client_expect(fixture->sender, &match);
    if (strcmp(json_text(last->json, "Event"), "watching") == 0) { /* it was published again */
        last = client_expect(fixture->sender, &match);
    }
    check_text(last, "Event", "failed");
    assert_int_equal((int)json_number(last->json, "Seq"), 2);
    assert_true(json_has(last->json, "Pairs"));
    simulator_reset(&fixture->simulator);
}

static void limit_file_size(const struct bridge *bridge, rlim_t bytes)
{
    const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    assert_int_equal(prlimit(bridge->pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

static void test_what_is_seen_while_the_store_fails_is_published_once_it_works(
    struct fixture *fixture)
{
    struct bridge *bridge = events_begin(fixture, EVENTS_SETTINGS "watch.poll_max_s = 1;");
    const char *wal = fixture_format(fixture, "%s/ledger.db-wal", bridge->directory);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    events_expect(fixture, token, group, "watching", 1, false);
    client_sync(fixture->sender);
    while (file_size(wal) < 2 * file_size(bridge->log) + 65536) { /* the log goes on */
        fixture_request(fixture, fixture_name(fixture, "filler"), fixture_name(fixture, "pg"), "");
    }
    limit_file_size(bridge, (rlim_t)file_size(wal) + 100);
    events_end_copies(fixture);
    bridge_wait_log(bridge, "event=store_unavailable");
    int calls = simulator_total(&fixture->simulator, "Describes");
    simulator_wait(&fixture->simulator, "Describes", calls + 2); /* it is seen again and again */
    client_sync(fixture->sender);
    assert_int_equal(
        client_count(fixture->sender,
                     &(struct match){.token = token,
                                     .topic = fixture_format(fixture, EVENTS_TOPIC "%s", group)}),
        0);
    limit_file_size(bridge, RLIM_INFINITY);
    events_expect(fixture, token, group, "status", 2, false);
    events_expect(fixture, token, group, "synchronised", 3, true);
    fixture_expect_nothing(fixture, &(struct match){.token = token});
    simulator_reset(&fixture->simulator);
}

static void test_watches_end_where_a_reload_switches_watch_off(struct fixture *fixture)
{
    struct bridge *bridge = events_begin(fixture, EVENTS_SETTINGS);
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    check_succeeded(fixture_request(fixture, token, group, ""));
    events_expect(fixture, token, group, "watching", 1, false);
    fixture_set(bridge, EVENTS_SETTINGS "routes.watch = \"off\";");
    assert_int_equal(kill(bridge->pid, SIGHUP), 0);
    events_expect(fixture, token, group, "gave_up", 2, true);
    int calls = simulator_total(&fixture->simulator, "Describes");
    fixture_expect_nothing(fixture, &(struct match){.token = token});
    assert_int_equal(simulator_total(&fixture->simulator, "Describes"), calls);
    simulator_reset(&fixture->simulator);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_clock_that_differs_from_that_of_the_api_changes_nothing),
        FLOW_TEST(test_a_group_that_may_not_be_read_does_not_blind_the_others),
        FLOW_TEST(test_a_group_that_is_not_listed_any_more_is_gone),
        FLOW_TEST(test_a_crash_while_the_pairs_of_a_failed_group_are_read_loses_nothing),
        FLOW_TEST(test_what_is_seen_while_the_store_fails_is_published_once_it_works),
        FLOW_TEST(test_watches_end_where_a_reload_switches_watch_off),
    };
    return flow_main("flow_watch_faults", tests, sizeof tests / sizeof tests[0], "", argc, argv);
}
