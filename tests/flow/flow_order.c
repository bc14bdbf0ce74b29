/* Order and limits: which command waits for which, and which is refused. */
#include "flow_fixture.h"

#include <stdio.h>
#include <string.h>

static void delay_all(struct fixture *fixture, int ms)
{
    simulator_fault(&fixture->simulator, "\"latency\",\"DelayMs\":%d,\"Count\":-1", ms);
}

/* Sends `count` commands, all for `group`, or each for its own group if that is NULL. */
static void send_many(struct fixture *fixture, const char **tokens, int count, const char *group)
{
    for (int i = 0; i < count; i++) {
        tokens[i] = fixture_name(fixture, "token");
        fixture_send(fixture,
                     fixture_command(fixture, tokens[i],
                                     group == NULL ? fixture_name(fixture, "pg") : group, ""));
    }
}

static void check_all_succeeded(struct fixture *fixture, const char **tokens, int count)
{
    for (int i = 0; i < count; i++) {
        check_succeeded(fixture_expect_reply(fixture, tokens[i]));
        assert_int_equal(simulator_token(&fixture->simulator, tokens[i], "Effects"), 1);
    }
}

static void test_commands_for_one_group_are_called_one_at_a_time_in_order(struct fixture *fixture)
{
    enum { COUNT = 20 };
    const char *tokens[COUNT];
    fixture_bridge(fixture, "");
    delay_all(fixture, 20);
    send_many(fixture, tokens, COUNT, fixture_name(fixture, "pg"));
    check_all_succeeded(fixture, tokens, COUNT);
    assert_int_equal(simulator_total(&fixture->simulator, "Overlaps"), 0);
    cJSON *rows = simulator_get(&fixture->simulator, "requests?Last=1000");
    assert_int_equal(cJSON_GetArraySize(rows), COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_string_equal(json_text(cJSON_GetArrayItem(rows, i), "Params.ClientToken"),
                            tokens[i]);
    }
    cJSON_Delete(rows);
}

static void test_a_retried_command_keeps_its_place_in_the_queue(struct fixture *fixture)
{
    const char *tokens[3];
    fixture_bridge(fixture, "");
    simulator_fault(&fixture->simulator, "\"reset_before\",\"Count\":2");
    send_many(fixture, tokens, 3, fixture_name(fixture, "pg"));
    check_all_succeeded(fixture, tokens, 3);
    cJSON *rows = simulator_get(&fixture->simulator, "requests?Last=1000");
    static const int order[] = {0, 0, 0, 1, 2};
    assert_int_equal(cJSON_GetArraySize(rows), 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(json_text(cJSON_GetArrayItem(rows, i), "Params.ClientToken"),
                            tokens[order[i]]);
    }
    cJSON_Delete(rows);
}

static void test_a_refused_command_does_not_stop_its_group(struct fixture *fixture)
{
    const char *tokens[2];
    fixture_bridge(fixture, "");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"OperationDenied\"");
    send_many(fixture, tokens, 2, fixture_name(fixture, "pg"));
    check_text(fixture_expect_reply(fixture, tokens[0]), "Status", "failed");
    check_succeeded(fixture_expect_reply(fixture, tokens[1]));
}

static void test_groups_are_called_side_by_side(struct fixture *fixture)
{
    enum { COUNT = 12 };
    const char *tokens[COUNT];
    fixture_bridge(fixture, "routes.regions = (\"cn-beijing\");");
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    send_many(fixture, tokens, COUNT, NULL);
    simulator_wait(&fixture->simulator, "Requests", COUNT);
    simulator_clear(&fixture->simulator);
    check_all_succeeded(fixture, tokens, COUNT);
}

/* The highest number of simultaneous calls, by the simulator's log. */
static int most_at_once(struct fixture *fixture)
{
    int most = 0;
    cJSON *rows = simulator_get(&fixture->simulator, "requests?Last=1000");
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, rows)
    {
        int count = 0;
        double at_ms = json_number(row, "ArrivalMs");
        const cJSON *other = NULL;
        cJSON_ArrayForEach(other, rows)
        {
            count +=
                json_number(other, "ArrivalMs") <= at_ms && json_number(other, "AnswerMs") > at_ms;
        }
        most = count > most ? count : most;
    }
    cJSON_Delete(rows);
    return most;
}

static void test_the_same_group_id_in_two_regions_is_one_group(struct fixture *fixture)
{
    static const char *const regions[] = {"cn-beijing", "cn-hangzhou"};
    const char *tokens[4];
    fixture_bridge(fixture, "routes.regions = (\"cn-beijing\", \"cn-hangzhou\");");
    const char *group = fixture_name(fixture, "pg");
    delay_all(fixture, 100);
    for (int i = 0; i < 4; i++) {
        tokens[i] = fixture_name(fixture, "token");
        fixture_send(fixture, fixture_format(fixture,
                                             "{\"RegionId\":\"%s\",\"ReplicaGroupId\":\"%s\","
                                             "\"ClientToken\":\"%s\"}",
                                             regions[i % 2], group, tokens[i]));
    }
    check_all_succeeded(fixture, tokens, 4);
    assert_int_equal(most_at_once(fixture), 1);
}

static void test_no_more_calls_than_allowed_are_in_flight(struct fixture *fixture)
{
    enum { COUNT = 12 };
    const char *tokens[COUNT];
    fixture_bridge(fixture, "api.max_in_flight = 3;");
    delay_all(fixture, 150);
    send_many(fixture, tokens, COUNT, NULL);
    check_all_succeeded(fixture, tokens, COUNT);
    assert_int_equal(most_at_once(fixture), 3);
}

static const char *send_to_region(struct fixture *fixture, const char *region)
{
    const char *token = fixture_name(fixture, "token");
    fixture_send(fixture, fixture_format(fixture,
                                         "{\"RegionId\":\"%s\",\"ReplicaGroupId\":\"%s\","
                                         "\"ClientToken\":\"%s\"}",
                                         region, fixture_name(fixture, "pg"), token));
    return token;
}

/* Two regions hang, and a sender invents others that hang, too. All of their commands came first,
 * and none of them is answered while the healthy region is served. */
static void test_regions_that_hang_do_not_starve_another(struct fixture *fixture)
{
    enum { HANGING = 100, INVENTED = 40, HEALTHY = 20 };
    const char *tokens[HEALTHY];
    fixture_bridge(fixture, "api.read_timeout_ms = 60000; routes.regions = (\"*\", \"cn-bad-1\");");
    simulator_fault(&fixture->simulator,
                    "\"hang\",\"Count\":-1,\"Match\":{\"RegionId\":\"cn-bad-1\"}");
    simulator_fault(&fixture->simulator,
                    "\"hang\",\"Count\":-1,\"Match\":{\"RegionId\":\"cn-bad-2\"}");
    for (int i = 0; i < HANGING; i++) {
        send_to_region(fixture, i % 2 == 0 ? "cn-bad-1" : "cn-bad-2");
    }
    for (int i = 0; i < 4; i++) {
        const char *region = fixture_format(fixture, "invented-%d", i);
        simulator_fault(&fixture->simulator,
                        "\"hang\",\"Count\":-1,\"Match\":{\"RegionId\":\"%s\"}", region);
        for (int k = 0; k < INVENTED / 4; k++) {
            send_to_region(fixture, region);
        }
    }
    for (int i = 0; i < HEALTHY; i++) {
        tokens[i] = send_to_region(fixture, "cn-beijing");
    }
    check_all_succeeded(fixture, tokens, HEALTHY);
    simulator_clear(&fixture->simulator);
}

static void test_an_upper_case_region_is_refused_before_any_call(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const struct message *reply =
        fixture_expect_reply(fixture, send_to_region(fixture, "CN-BEIJING"));
    check_error(reply, "failed", "Bridge.InvalidParameter", "invalid", false);
    assert_non_null(strstr(json_text(reply->json, "Error.Message"), "lower-case"));
    cJSON *rows = simulator_get(&fixture->simulator, "requests?Last=1000");
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, rows)
    {
        assert_string_not_equal(json_text(row, "Params.RegionId"), "CN-BEIJING");
    }
    cJSON_Delete(rows);
}

static void test_a_region_keeps_to_its_rate(struct fixture *fixture)
{
    enum { COUNT = 15 };
    const char *tokens[COUNT];
    fixture_bridge(fixture, "api.rate_per_s = 10.0; api.rate_burst = 5;");
    int64_t begin_ms = flow_now_ms();
    send_many(fixture, tokens, COUNT, NULL);
    check_all_succeeded(fixture, tokens, COUNT);
    assert_true(flow_now_ms() - begin_ms >= 950);
}

static void test_new_commands_are_refused_while_too_many_are_unfinished(struct fixture *fixture)
{
    const char *tokens[2];
    fixture_bridge(fixture, "limits.pending = 2;");
    const char *group = fixture_name(fixture, "pg");
    const char *late = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    send_many(fixture, tokens, 2, NULL);
    simulator_wait(&fixture->simulator, "Requests", 2);
    check_error(fixture_request(fixture, late, group, ""), "failed", "Bridge.Overloaded",
                "overloaded", true);
    simulator_clear(&fixture->simulator);
    check_all_succeeded(fixture, tokens, 2);
    const struct message *reply = fixture_request(fixture, late, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void test_stored_outcomes_are_replayed_even_when_too_many_are_unfinished(
    struct fixture *fixture)
{
    const char *tokens[2];
    fixture_bridge(fixture, "limits.pending = 2;");
    const char *token = fixture_name(fixture, "token");
    const char *group = fixture_name(fixture, "pg");
    fixture_request(fixture, token, group, "");
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":-1");
    send_many(fixture, tokens, 2, NULL);
    simulator_wait(&fixture->simulator, "Requests", 3);
    check_succeeded(fixture_request(fixture, token, group, ""));
    simulator_clear(&fixture->simulator);
    check_all_succeeded(fixture, tokens, 2);
}

static void test_duplicates_beyond_the_limit_are_refused(struct fixture *fixture)
{
    fixture_bridge(fixture, "limits.waiters_per_token = 2;");
    const char *token = fixture_name(fixture, "token");
    const char *payload = fixture_command(fixture, token, fixture_name(fixture, "pg"), "");
    const char *topic = fixture_format(fixture, FLOW_REPLIES "%s", token);
    simulator_fault(&fixture->simulator, "\"hang\"");
    for (int i = 0; i < 4; i++) {
        fixture_send(fixture, payload);
    }
    check_error(fixture_expect_reply(fixture, token), "failed", "Bridge.Overloaded", "overloaded",
                true);
    simulator_wait_token(&fixture->simulator, token, 1);
    assert_int_equal(client_count(fixture->sender, &(struct match){.topic = topic}), 0);
    simulator_clear(&fixture->simulator);
    for (int i = 0; i < 3; i++) {
        check_succeeded(fixture_expect_reply(fixture, token));
    }
    assert_int_equal(simulator_token(&fixture->simulator, token, "Effects"), 1);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_commands_for_one_group_are_called_one_at_a_time_in_order),
        FLOW_TEST(test_a_retried_command_keeps_its_place_in_the_queue),
        FLOW_TEST(test_a_refused_command_does_not_stop_its_group),
        FLOW_TEST(test_groups_are_called_side_by_side),
        FLOW_TEST(test_the_same_group_id_in_two_regions_is_one_group),
        FLOW_TEST(test_no_more_calls_than_allowed_are_in_flight),
        FLOW_TEST(test_regions_that_hang_do_not_starve_another),
        FLOW_TEST(test_an_upper_case_region_is_refused_before_any_call),
        FLOW_TEST(test_a_region_keeps_to_its_rate),
        FLOW_TEST(test_new_commands_are_refused_while_too_many_are_unfinished),
        FLOW_TEST(test_stored_outcomes_are_replayed_even_when_too_many_are_unfinished),
        FLOW_TEST(test_duplicates_beyond_the_limit_are_refused),
    };
    return flow_main("order", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
