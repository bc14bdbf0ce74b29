/* Many commands: every one is answered, and each token has one effect. */
#include "flow_load.h"

#include <stdio.h>

static void test_a_thousand_commands_half_of_them_duplicates_from_four_clients(
    struct fixture *fixture)
{
    enum { CLIENTS = 4, COMMANDS = 250, TOKENS = 125 };
    struct load loads[CLIENTS];
    fixture_bridge(fixture, "");
    /* Two clients share tokens, so that a duplicate comes from the same client or from another. */
    const char *prefixes[] = {fixture_name(fixture, "a"), fixture_name(fixture, "b")};
    for (int i = 0; i < CLIENTS; i++) {
        load_init(&loads[i], fixture, prefixes[i % 2], COMMANDS, i < 2 ? TOKENS : COMMANDS, 20);
    }
    for (int from = 0; from < COMMANDS; from += 25) {
        for (int i = 0; i < CLIENTS; i++) {
            load_send(&loads[i], from, from + 25);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        load_wait_answered(&loads[i], COMMANDS);
        load_check(&loads[i]);
        assert_int_equal(load_extra_replies(&loads[i]), 0);
    }
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), 2 * COMMANDS);
    assert_int_equal(simulator_total(&fixture->simulator, "MaxEffectsPerToken"), 1);
    assert_int_equal(simulator_total(&fixture->simulator, "Overlaps"), 0);
    for (int i = 0; i < CLIENTS; i++) {
        load_fini(&loads[i]);
    }
}

static void check_load(struct fixture *fixture, const char *settings)
{
    enum { COMMANDS = 400, TOKENS = 200 };
    struct load load;
    fixture_bridge(fixture, settings);
    load_init(&load, fixture, fixture_name(fixture, "t"), COMMANDS, TOKENS, 10);
    load_send(&load, 0, COMMANDS);
    load_wait_answered(&load, COMMANDS);
    load_check(&load);
    assert_int_equal(load_extra_replies(&load), 0);
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), TOKENS);
    assert_int_equal(simulator_total(&fixture->simulator, "Overlaps"), 0);
    load_fini(&load);
}

static void test_a_ledger_that_does_not_sync_answers_all(struct fixture *fixture)
{
    check_load(fixture, "ledger.durability = \"process\";");
}

static void test_an_api_with_faults_gets_one_effect_per_token(struct fixture *fixture)
{
    static const char *const faults[] = {"reset_before", "reset_after", "error_after",
                                         "cut_body",     "html_502",    "empty_200"};
    enum { COMMANDS = 200, TOKENS = 100 };
    struct load load;
    fixture_bridge(fixture, "");
    for (int i = 0; i < 30; i++) {
        simulator_fault(&fixture->simulator, "\"%s\"", faults[i % 6]);
    }
    load_init(&load, fixture, fixture_name(fixture, "t"), COMMANDS, TOKENS, 20);
    load_send(&load, 0, COMMANDS);
    load_wait_answered(&load, COMMANDS);
    load_check(&load);
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), TOKENS);
    assert_int_equal(simulator_total(&fixture->simulator, "FaultsTaken"), 30);
    load_fini(&load);
}

static void test_two_bridges_share_a_subscription(struct fixture *fixture)
{
    enum { COMMANDS = 200 };
    struct load load;
    const char *share =
        fixture_format(fixture, "routes.share = \"%s\";", fixture_name(fixture, "group"));
    struct bridge *one = fixture_bridge_alone(fixture, share);
    struct bridge *two = fixture_bridge_new(fixture, share);
    const char *prefix = fixture_name(fixture, "t");
    bridge_start(one);
    bridge_start(two);
    bridge_wait_online(one);
    bridge_wait_online(two);
    load_init(&load, fixture, prefix, COMMANDS, COMMANDS, COMMANDS);
    load_send(&load, 0, COMMANDS);
    load_wait_answered(&load, COMMANDS);
    load_check(&load);
    assert_int_equal(load_extra_replies(&load), 0);
    assert_int_equal(simulator_total(&fixture->simulator, "Starts"), COMMANDS);
    assert_true(bridge_log_contains(one, prefix));
    assert_true(bridge_log_contains(two, prefix));
    load_fini(&load);
    bridge_stop(one);
    bridge_stop(two);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_thousand_commands_half_of_them_duplicates_from_four_clients),
        FLOW_TEST(test_an_api_with_faults_gets_one_effect_per_token),
        FLOW_TEST(test_a_ledger_that_does_not_sync_answers_all),
        FLOW_TEST(test_two_bridges_share_a_subscription),
    };
    return flow_main("load", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
