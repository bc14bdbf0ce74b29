/*
 * The rate and the calls under way of each region, of regions that hang, and of those that no route
 * names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/fakes/dispatch_fixture.h"

#include <stdio.h>

static void test_regions_are_served_in_turn(void **state)
{
    static const char *const ORDER[] = {"a1", "b1", "a2", "b2", "a3"};
    (void)state;
    fixture_begin_anew(1);
    dispatch_hold(fixture.dispatch, true);
    for (size_t i = 0; i < 5; i++) {
        static const char *const ARRIVAL[] = {"a1", "a2", "a3", "b1", "b2"};
        struct command *command = command_of_record(
            &fixture.route, &action_rows[ACTION_StartDiskReplicaGroup],
            slice_text(ARRIVAL[i][0] == 'a' ? "cn-a" : "cn-b"), slice_text(ARRIVAL[i]),
            slice_text(ARRIVAL[i]), slice_text("{\"OneShot\":false}"));
        command->state = STATE_READY;
        command->deadline_at_ms = clock_wall_ms() + 10000;
        dispatch_resume(fixture.dispatch, command, true);
    }
    dispatch_hold(fixture.dispatch, false);
    fixture_record_starts();
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(fixture.call_count, i + 1);
        fixture_assert_called(i, ORDER[i]);
        fixture_answer(i, REACTION_DONE, NULL, -1);
    }
}

static void test_the_same_group_in_two_regions_is_called_one_at_a_time(void **state)
{
    (void)state;
    fixture_claim_in("cn-a", "g1", "t1");
    fixture_claim_in("cn-b", "g1", "t2");
    fixture_claim_in("cn-b", "g2", "t3");
    assert_int_equal(fixture.call_count, 2);
    fixture_assert_called(1, "t3");
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_assert_called(2, "t2");
    fixture_answer(2, REACTION_DONE, NULL, -1);
    fixture_answer(1, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.done_count, 3);
}

static void test_a_group_waits_in_the_region_of_its_first_command(void **state)
{
    (void)state;
    fixture_begin_anew(2);
    fixture.settings.api.max_in_flight_per_region = 1;
    fixture_begin_anew(2);
    fixture_claim_in("cn-a", "g1", "t1");
    fixture_confirm(fixture_reserve_in("cn-a", "g2", "t2", 100));
    fixture_claim_in("cn-b", "g2", "t3");
    assert_int_equal(fixture.call_count, 1);
    fixture_run(0, 1, 5000);
    fixture_assert_done(0, "t2", OUTCOME_FAILED, "Bridge.Expired");
    fixture_record_starts();
    assert_int_equal(fixture.call_count, 2);
    fixture_assert_called(1, "t3");
    fixture_answer(1, REACTION_DONE, NULL, -1);
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_claim_in("cn-b", "g3", "t4");
    fixture_assert_called(2, "t4");
}

static void test_a_region_that_is_full_leaves_room_for_the_others(void **state)
{
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 2;
    fixture_begin_anew(4);
    fixture_claim_in("cn-a", "g1", "t1");
    fixture_claim_in("cn-a", "g2", "t2");
    fixture_claim_in("cn-a", "g3", "t3");
    assert_int_equal(fixture.call_count, 2);
    fixture_claim_in("cn-b", "g4", "t4");
    fixture_claim_in("cn-b", "g5", "t5");
    assert_int_equal(fixture.call_count, 4);
    fixture_answer(0, REACTION_DONE, NULL, -1);
    fixture_assert_called(4, "t3");
}

static void test_a_region_that_hangs_gets_one_call_at_a_time_until_it_answers(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 4;
    fixture_begin_anew(16);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "n%d", i);
        fixture_claim_in("cn-a", name, name);
    }
    assert_int_equal(fixture.call_count, 4);
    fixture_answer_hung(0); /* n4 begins */
    fixture_answer_hung(1); /* n5 begins */
    assert_int_equal(fixture.call_count, 6);
    for (size_t i = 2; i < 5; i++) {
        fixture_answer_hung(i);
        assert_int_equal(fixture.call_count, 6);
    }
    fixture_answer_hung(5);
    assert_int_equal(fixture.call_count, 7); /* one, to find out */
    fixture_claim_in("cn-b", "g1", "other");
    fixture_assert_called(7, "other");
    fixture_answer(6, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 9);
    fixture_claim_in("cn-a", "g2", "again");
    fixture_assert_called(9, "again");
}

static void test_a_hanging_call_among_answered_ones_changes_nothing(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 2;
    fixture_begin_anew(16);
    for (size_t i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "n%zu", i);
        fixture_claim_in("cn-a", name, name);
        if (i % 2 == 0) {
            fixture_answer_hung(i);
        } else {
            fixture_answer(i, REACTION_DONE, NULL, -1);
        }
    }
    fixture_claim_in("cn-a", "x", "x");
    fixture_claim_in("cn-a", "y", "y");
    assert_int_equal(fixture.call_count, 12);
}

static void test_invented_regions_have_the_slots_of_one_region(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 4;
    fixture_begin_anew(64);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "g%d", i);
        fixture_claim_in("invented", name, name);
    }
    assert_int_equal(fixture.call_count, 2);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "x%d", i);
        fixture_claim_in(name, name, name);
    }
    assert_int_equal(fixture.call_count, 4);
    fixture_claim_in("cn-a", "named", "named");
    fixture_assert_called(4, "named");
    fixture_answer(0, REACTION_REPLY, "NoSuchResource", -1);
    assert_int_equal(fixture.call_count, 6); /* still one region's slots, and served in turn */
    fixture_assert_called(5, "g2");
    fixture_answer(1, REACTION_REPLY, "NoSuchResource", -1);
    assert_int_equal(fixture.call_count, 7);
    fixture_assert_called(6, "x2");
}

static void test_invented_regions_have_the_rate_of_one_region(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.rate_per_s = 0.01;
    fixture.settings.api.rate_burst = 3;
    fixture_begin_anew(64);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "x%d", i);
        fixture_claim_in(name, name, name);
    }
    assert_int_equal(fixture.call_count, 3);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "a%d", i);
        fixture_claim_in("cn-a", name, name);
    }
    assert_int_equal(fixture.call_count, 6);
}

static void test_a_success_or_a_word_about_the_group_proves_a_region(void **state)
{
    static const struct {
        enum reaction reaction;
        const char *code;
        size_t calls;
    } cases[] = {
        {REACTION_REPLY, "NoSuchResource", 3},
        {REACTION_DONE, NULL, 5},
        {REACTION_COOLDOWN, "InCooldown", 5},
    };
    (void)state;
    fixture.settings.api.max_in_flight_per_region = 4;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_begin_anew(64);
        for (int k = 0; k < 9; k++) {
            char name[16];
            snprintf(name, sizeof name, "g%d", k);
            fixture_claim_in("x1", name, name);
        }
        assert_int_equal(fixture.call_count, 2);
        fixture_answer(0, cases[i].reaction, cases[i].code, 10);
        assert_int_equal(fixture.call_count, cases[i].calls);
    }
}

static void test_a_region_that_is_proven_gets_no_second_burst(void **state)
{
    char name[16];
    (void)state;
    fixture.settings.api.rate_per_s = 0.01;
    fixture.settings.api.rate_burst = 3;
    fixture_begin_anew(64);
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "g%d", i);
        fixture_claim_in("x1", name, name);
    }
    assert_int_equal(fixture.call_count, 2);
    fixture_answer(0, REACTION_DONE, NULL, -1);
    assert_int_equal(fixture.call_count, 3);
}

static void test_a_throttled_region_pauses_for_its_other_groups_too(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_answer(0, REACTION_THROTTLE, "Throttling", 300);
    int64_t begin_ms = clock_mono_ms();
    fixture_claim("g2", "t2", 10000);
    assert_int_equal(fixture.call_count, 1);
    fixture_run(2, 0, 5000);
    assert_true(clock_mono_ms() - begin_ms >= 200);
}

static void test_a_new_command_does_not_overtake_the_queue_of_its_region(void **state)
{
    (void)state;
    dispatch_hold(fixture.dispatch, true);
    fixture_resume("g1", "t1", 0);
    struct claim second = fixture_reserve("g2", "t2", 10000);
    assert_false(second.reservation.is_called_at_once);
    fixture_confirm(second);
    dispatch_hold(fixture.dispatch, false);
    fixture_record_starts();
    fixture_assert_called(0, "t1");
    fixture_assert_called(1, "t2");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_regions_are_served_in_turn),
        TEST(test_the_same_group_in_two_regions_is_called_one_at_a_time),
        TEST(test_a_group_waits_in_the_region_of_its_first_command),
        TEST(test_a_region_that_is_full_leaves_room_for_the_others),
        TEST(test_a_region_that_hangs_gets_one_call_at_a_time_until_it_answers),
        TEST(test_a_hanging_call_among_answered_ones_changes_nothing),
        TEST(test_invented_regions_have_the_slots_of_one_region),
        TEST(test_invented_regions_have_the_rate_of_one_region),
        TEST(test_a_success_or_a_word_about_the_group_proves_a_region),
        TEST(test_a_region_that_is_proven_gets_no_second_burst),
        TEST(test_a_throttled_region_pauses_for_its_other_groups_too),
        TEST(test_a_new_command_does_not_overtake_the_queue_of_its_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
