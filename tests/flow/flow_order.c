/* Order and limits: who waits for whom, and who is sent away. */
#include "flow_world.h"

#include <stdio.h>
#include <string.h>

static void delay_all(struct world *world, int ms)
{
    simulator_fault(&world->simulator, "\"latency\",\"DelayMs\":%d,\"Count\":-1", ms);
}

/* Sends `count` commands, each to `group` or, where that is NULL, to a group of its own. */
static void send_many(struct world *world, const char **tokens, int count, const char *group)
{
    for (int i = 0; i < count; i++) {
        tokens[i] = world_name(world, "token");
        world_send(world, world_command(world, tokens[i],
                                        group == NULL ? world_name(world, "pg") : group, ""));
    }
}

static void check_all_succeeded(struct world *world, const char **tokens, int count)
{
    for (int i = 0; i < count; i++) {
        check_succeeded(world_expect_reply(world, tokens[i]));
        assert_int_equal(simulator_token(&world->simulator, tokens[i], "Effects"), 1);
    }
}

static void test_commands_for_one_group_are_called_one_at_a_time_in_order(struct world *world)
{
    enum { COUNT = 20 };
    const char *tokens[COUNT];
    world_bridge(world, "");
    delay_all(world, 20);
    send_many(world, tokens, COUNT, world_name(world, "pg"));
    check_all_succeeded(world, tokens, COUNT);
    assert_int_equal(simulator_total(&world->simulator, "Overlaps"), 0);
    cJSON *rows = simulator_get(&world->simulator, "requests?Last=1000");
    assert_int_equal(cJSON_GetArraySize(rows), COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_string_equal(json_text(cJSON_GetArrayItem(rows, i), "Params.ClientToken"),
                            tokens[i]);
    }
    cJSON_Delete(rows);
}

static void test_a_command_that_is_tried_again_keeps_its_turn(struct world *world)
{
    const char *tokens[3];
    world_bridge(world, "");
    simulator_fault(&world->simulator, "\"reset_before\",\"Count\":2");
    send_many(world, tokens, 3, world_name(world, "pg"));
    check_all_succeeded(world, tokens, 3);
    cJSON *rows = simulator_get(&world->simulator, "requests?Last=1000");
    static const int order[] = {0, 0, 0, 1, 2};
    assert_int_equal(cJSON_GetArraySize(rows), 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(json_text(cJSON_GetArrayItem(rows, i), "Params.ClientToken"),
                            tokens[order[i]]);
    }
    cJSON_Delete(rows);
}

static void test_a_refused_command_does_not_stop_its_group(struct world *world)
{
    const char *tokens[2];
    world_bridge(world, "");
    simulator_fault(&world->simulator, "\"error\",\"Code\":\"OperationDenied\"");
    send_many(world, tokens, 2, world_name(world, "pg"));
    check_text(world_expect_reply(world, tokens[0]), "Status", "failed");
    check_succeeded(world_expect_reply(world, tokens[1]));
}

static void test_groups_are_called_side_by_side(struct world *world)
{
    enum { COUNT = 12 };
    const char *tokens[COUNT];
    world_bridge(world, "");
    simulator_fault(&world->simulator, "\"hang\",\"Count\":-1");
    send_many(world, tokens, COUNT, NULL);
    simulator_wait(&world->simulator, "Requests", COUNT);
    simulator_clear(&world->simulator);
    check_all_succeeded(world, tokens, COUNT);
}

static void test_the_same_group_id_in_two_regions_is_two_groups(struct world *world)
{
    static const char *const regions[] = {"cn-beijing", "cn-hangzhou"};
    const char *tokens[2];
    world_bridge(world, "");
    const char *group = world_name(world, "pg");
    simulator_fault(&world->simulator, "\"hang\",\"Count\":-1");
    for (int i = 0; i < 2; i++) {
        tokens[i] = world_name(world, "token");
        world_send(world, world_format(world,
                                       "{\"RegionId\":\"%s\",\"ReplicaGroupId\":\"%s\","
                                       "\"ClientToken\":\"%s\"}",
                                       regions[i], group, tokens[i]));
    }
    simulator_wait(&world->simulator, "Requests", 2);
    simulator_clear(&world->simulator);
    check_all_succeeded(world, tokens, 2);
}

/* The most calls that were in work at the same time, by the simulator's log. */
static int most_at_once(struct world *world)
{
    int most = 0;
    cJSON *rows = simulator_get(&world->simulator, "requests?Last=1000");
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

static void test_no_more_calls_than_allowed_are_in_flight(struct world *world)
{
    enum { COUNT = 12 };
    const char *tokens[COUNT];
    world_bridge(world, "api.max_in_flight = 3;");
    delay_all(world, 150);
    send_many(world, tokens, COUNT, NULL);
    check_all_succeeded(world, tokens, COUNT);
    assert_int_equal(most_at_once(world), 3);
}

static void test_a_region_keeps_to_its_rate(struct world *world)
{
    enum { COUNT = 15 };
    const char *tokens[COUNT];
    world_bridge(world, "api.rate_per_s = 10.0; api.rate_burst = 5;");
    int64_t begin_ms = flow_now_ms();
    send_many(world, tokens, COUNT, NULL);
    check_all_succeeded(world, tokens, COUNT);
    assert_true(flow_now_ms() - begin_ms >= 950);
}

static void test_new_commands_are_sent_away_while_too_many_are_unfinished(struct world *world)
{
    const char *tokens[2];
    world_bridge(world, "limits.pending = 2;");
    const char *group = world_name(world, "pg");
    const char *late = world_name(world, "token");
    simulator_fault(&world->simulator, "\"hang\",\"Count\":-1");
    send_many(world, tokens, 2, NULL);
    simulator_wait(&world->simulator, "Requests", 2);
    check_error(world_ask(world, late, group, ""), "failed", "Bridge.Overloaded", "overloaded",
                true);
    simulator_clear(&world->simulator);
    check_all_succeeded(world, tokens, 2);
    const struct message *reply = world_ask(world, late, group, "");
    check_succeeded(reply);
    assert_false(json_is_true(reply->json, "Replayed"));
}

static void test_stored_outcomes_are_told_even_when_too_many_are_unfinished(struct world *world)
{
    const char *tokens[2];
    world_bridge(world, "limits.pending = 2;");
    const char *token = world_name(world, "token");
    const char *group = world_name(world, "pg");
    world_ask(world, token, group, "");
    simulator_fault(&world->simulator, "\"hang\",\"Count\":-1");
    send_many(world, tokens, 2, NULL);
    simulator_wait(&world->simulator, "Requests", 3);
    check_succeeded(world_ask(world, token, group, ""));
    simulator_clear(&world->simulator);
    check_all_succeeded(world, tokens, 2);
}

static void test_more_duplicates_than_may_wait_are_sent_away(struct world *world)
{
    world_bridge(world, "limits.waiters_per_token = 2;");
    const char *token = world_name(world, "token");
    const char *payload = world_command(world, token, world_name(world, "pg"), "");
    const char *topic = world_format(world, FLOW_REPLIES "%s", token);
    simulator_fault(&world->simulator, "\"hang\"");
    for (int i = 0; i < 4; i++) {
        world_send(world, payload);
    }
    check_error(world_expect_reply(world, token), "failed", "Bridge.Overloaded", "overloaded",
                true);
    simulator_wait_token(&world->simulator, token, 1);
    assert_int_equal(client_count(world->sender, &(struct match){.topic = topic}), 0);
    simulator_clear(&world->simulator);
    for (int i = 0; i < 3; i++) {
        check_succeeded(world_expect_reply(world, token));
    }
    assert_int_equal(simulator_token(&world->simulator, token, "Effects"), 1);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_commands_for_one_group_are_called_one_at_a_time_in_order),
        FLOW_TEST(test_a_command_that_is_tried_again_keeps_its_turn),
        FLOW_TEST(test_a_refused_command_does_not_stop_its_group),
        FLOW_TEST(test_groups_are_called_side_by_side),
        FLOW_TEST(test_the_same_group_id_in_two_regions_is_two_groups),
        FLOW_TEST(test_no_more_calls_than_allowed_are_in_flight),
        FLOW_TEST(test_a_region_keeps_to_its_rate),
        FLOW_TEST(test_new_commands_are_sent_away_while_too_many_are_unfinished),
        FLOW_TEST(test_stored_outcomes_are_told_even_when_too_many_are_unfinished),
        FLOW_TEST(test_more_duplicates_than_may_wait_are_sent_away),
    };
    return flow_main("order", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
