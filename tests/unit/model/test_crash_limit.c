/* Who is charged with an end of the bridge, and what follows from that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/crash_limit.h"

#include <string.h>

static struct blame_mark marks[BLAME_MARKS];

static int set_up(void **state)
{
    (void)state;
    memset(marks, 0, sizeof marks);
    return 0;
}

static const uint8_t *name(int number)
{
    static uint8_t digest[DIGEST_SHA256_BYTES];
    memset(digest, 7, sizeof digest);
    memcpy(digest, &number, sizeof number);
    return digest;
}

static struct blame_mark *begin(int number)
{
    return blame_mark_begin(marks, name(number));
}

static uint32_t count(int number)
{
    return blame_marks_count(marks, name(number));
}

static enum blame blame(uint32_t ends, uint32_t alone)
{
    return blame_of(&(struct blame_charges){.ends = ends, .alone = alone});
}

static void test_two_ends_make_a_suspect_and_three_are_enough(void **state)
{
    (void)state;
    assert_int_equal(blame_of_ends(0), BLAME_NONE);
    assert_int_equal(blame_of_ends(1), BLAME_NONE);
    assert_int_equal(blame_of_ends(2), BLAME_ALONE);
    assert_int_equal(blame_of_ends(3), BLAME_SET_ASIDE);
    assert_int_equal(blame_of_ends(UINT32_MAX), BLAME_SET_ASIDE);
}

static void test_only_ends_without_a_neighbour_set_aside(void **state)
{
    (void)state;
    assert_int_equal(blame(1, 0), BLAME_NONE);
    assert_int_equal(blame(2, 0), BLAME_ALONE);
    assert_int_equal(blame(100, 0), BLAME_ALONE);
    assert_int_equal(blame(3, 1), BLAME_ALONE);
    assert_int_equal(blame(100, 1), BLAME_ALONE);
    assert_int_equal(blame(3, 2), BLAME_SET_ASIDE);
    assert_int_equal(blame(4, 2), BLAME_SET_ASIDE);
}

static void test_what_was_being_taken_at_an_end_is_charged(void **state)
{
    (void)state;
    begin(1);
    begin(2);
    assert_int_equal(count(1), 0);
    assert_int_equal(blame_marks_charge(marks), 2);
    assert_int_equal(count(1), 1);
    assert_int_equal(count(2), 1);
    begin(1);
    assert_int_equal(blame_marks_charge(marks), 1);
    assert_int_equal(count(1), 2);
    assert_int_equal(count(2), 1);
    assert_int_equal(blame_marks_charge(marks), 0);
}

static void test_a_verdict_drops_all_charges(void **state)
{
    (void)state;
    begin(1);
    blame_marks_charge(marks);
    blame_mark_end(begin(1));
    assert_int_equal(count(1), 0);
    begin(1);
    blame_marks_charge(marks);
    assert_int_equal(count(1), 1);
}

static void test_the_same_message_twice_at_once_is_charged_once(void **state)
{
    (void)state;
    assert_ptr_equal(begin(1), begin(1));
    assert_int_equal(blame_marks_charge(marks), 1);
    assert_int_equal(count(1), 1);
}

static void test_an_orderly_end_charges_nothing_and_forgets_nothing(void **state)
{
    (void)state;
    begin(1);
    blame_marks_charge(marks);
    begin(1);
    blame_marks_release(marks);
    assert_int_equal(blame_marks_charge(marks), 0);
    assert_int_equal(count(1), 1);
}

static void test_a_delivery_that_is_left_undecided_keeps_its_charges(void **state)
{
    (void)state;
    begin(1);
    blame_marks_charge(marks);
    blame_mark_leave(begin(1));
    assert_int_equal(count(1), 1);
    assert_int_equal(blame_marks_charge(marks), 0);
}

/* Two that end the bridge by turns, so that one of them is always away when the other does. */
static void test_charges_outlive_ends_in_which_the_message_had_not_come(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        begin(1);
        blame_marks_charge(marks);
        begin(2);
        blame_marks_charge(marks);
    }
    assert_int_equal(blame_of_ends(count(1)), BLAME_SET_ASIDE);
    assert_int_equal(blame_of_ends(count(2)), BLAME_SET_ASIDE);
}

static void test_a_full_table_gives_up_the_least_charged(void **state)
{
    (void)state;
    for (int i = 0; i < BLAME_MARKS; i++) {
        begin(i);
    }
    assert_null(begin(BLAME_MARKS)); /* all are being taken */
    blame_marks_charge(marks);
    begin(5);
    begin(6);
    blame_marks_charge(marks);
    for (int i = BLAME_MARKS; i < 3 * BLAME_MARKS; i++) {
        blame_mark_end(begin(i));
    }
    assert_int_equal(count(5), 2);
    assert_int_equal(count(6), 2);
}

static void test_numbers_nobody_wrote_are_noticed(void **state)
{
    (void)state;
    assert_true(blame_marks_are_sound(marks));
    marks[3].taking = BLAME_TAKING_MAX + 1;
    assert_false(blame_marks_are_sound(marks));
    marks[3].taking = 0;
    marks[3].crash_count = UINT32_MAX;
    assert_false(blame_marks_are_sound(marks));
}

static void count_call(void *arg)
{
    ++*(int *)arg;
}

static void test_one_suspect_is_under_way_at_a_time(void **state)
{
    (void)state;
    int left = 0;
    int right = 0;
    struct blame_gate gate = {0};
    blame_gate_join(&gate, count_call, &left);
    blame_gate_join(&gate, count_call, &right);
    assert_true(blame_gate_enter(&gate, &left));
    assert_true(blame_gate_enter(&gate, &left));
    assert_false(blame_gate_enter(&gate, &right));
    assert_false(blame_gate_is_open(&gate, &right));
    blame_gate_leave(&gate, &right); /* it is not in */
    assert_false(blame_gate_enter(&gate, &right));
    blame_gate_leave(&gate, &left);
    assert_int_equal(left, 0);
    assert_int_equal(right, 1);
    assert_true(blame_gate_enter(&gate, &right));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_two_ends_make_a_suspect_and_three_are_enough, set_up),
        cmocka_unit_test_setup(test_only_ends_without_a_neighbour_set_aside, set_up),
        cmocka_unit_test_setup(test_what_was_being_taken_at_an_end_is_charged, set_up),
        cmocka_unit_test_setup(test_a_verdict_drops_all_charges, set_up),
        cmocka_unit_test_setup(test_the_same_message_twice_at_once_is_charged_once, set_up),
        cmocka_unit_test_setup(test_an_orderly_end_charges_nothing_and_forgets_nothing, set_up),
        cmocka_unit_test_setup(test_a_delivery_that_is_left_undecided_keeps_its_charges, set_up),
        cmocka_unit_test_setup(test_charges_outlive_ends_in_which_the_message_had_not_come, set_up),
        cmocka_unit_test_setup(test_a_full_table_gives_up_the_least_charged, set_up),
        cmocka_unit_test_setup(test_numbers_nobody_wrote_are_noticed, set_up),
        cmocka_unit_test_setup(test_one_suspect_is_under_way_at_a_time, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
