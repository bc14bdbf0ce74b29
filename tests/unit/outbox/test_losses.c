/*
 * Messages with which connections were lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fakes/outbox_fixture.h"

static void test_what_a_lost_publisher_had_not_reported_is_handed_over_again(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(WINDOW + 2);
    outbox_published(fixture.outbox, 1);
    fixture_publisher_goes();
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 1);
    fixture_publisher_comes();
    fixture_assert_handed(WINDOW + 1, 2, WINDOW);
    fixture_publish_all(WINDOW + 1);
    assert_int_equal(fixture.delivered_count, WINDOW + 2);
}

static void test_a_connection_that_ends_right_behind_a_refusal_counts_for_no_message(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(2);
    for (int i = 0; i < 5; i++) {
        size_t before = fixture.handed_count;
        fixture_publisher_comes();
        fixture_advance(60000);
        assert_int_equal(fixture.handed_count, before + 2);
        fixture_refuse(1);
        fixture_advance(RETRY_MS - 1);
        fixture_publisher_goes();
    }
    assert_int_equal(fixture.replaced_count, 0);
    fixture_publisher_comes_and_lasts();
    outbox_published(fixture.outbox, 1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 2);
}

/* Else one refusal a day would protect a message at which the broker closes the connection. */
static void test_a_connection_that_ends_later_after_a_refusal_counts(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(1);
    for (int64_t refused_id = 2; refused_id <= 3; refused_id++) {
        fixture_publisher_comes();
        fixture_post(1);
        fixture_refuse(refused_id);
        fixture_advance(RETRY_MS + 1);
        fixture_publisher_goes();
    }
    size_t before = fixture.handed_count;
    fixture_publisher_comes();
    assert_int_equal(fixture.handed_count, before); /* the first message goes alone from now on */
    fixture_advance(60000);
    assert_true(fixture.handed_count > before);
}

static void test_messages_with_which_two_connections_were_lost_go_alone(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(3);
    fixture_lose_connections(2);
    assert_true(fixture_is_refused());
    fixture_publisher_comes();
    assert_int_equal(fixture.handed_count, 6);
    fixture_post(1); /* the others do not wait for it */
    fixture_assert_handed(6, 4, 1);
    fixture_advance(ALONE_MS);
    assert_int_equal(fixture.handed_count, 7); /* what is in flight ends first */
    fixture_post(1);
    assert_int_equal(fixture.handed_count, 7);
    outbox_published(fixture.outbox, 4);
    assert_int_equal(fixture.handed_count, 8); /* one of the three, alone */
    int64_t seen = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(fixture.handed[7 + i] <= 3);
        seen += fixture.handed[7 + i];
        outbox_published(fixture.outbox, fixture.handed[7 + i]);
    }
    assert_int_equal(seen, 1 + 2 + 3);
    assert_int_equal(fixture.handed[10], 5);
    assert_false(fixture_is_refused());
}

static void test_a_single_lost_connection_changes_nothing(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(3);
    fixture_lose_connections(1);
    fixture_publisher_comes();
    fixture_assert_handed(3, 1, 3);
    assert_false(fixture_is_refused());
}

static void test_three_connections_lost_while_it_was_alone_make_a_message_a_dead_letter(
    void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(1);
    fixture_lose_connections(2);
    assert_int_equal(fixture.replaced_count, 0);
    fixture_publisher_comes();
    fixture_post(1);
    outbox_published(fixture.outbox, 2);
    fixture_advance(ALONE_MS);
    assert_int_equal(fixture.replaced_count, 0);
    fixture_publisher_goes();
    fixture_assert_letter(1, "Three connections");
    fixture_answer_replace(STATUS_OK);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_UNDELIVERED), 1);
    assert_false(fixture_is_refused());
    fixture_publisher_comes_and_lasts();
    assert_int_equal(fixture.handed_count, 4);
}

/* The status message may be the one at which the broker closes. */
static void test_connections_that_end_at_once_do_not_count_for_a_message_that_goes_alone(
    void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(1);
    fixture_lose_connections(2);
    for (int i = 0; i < 10; i++) {
        fixture_advance(60000);
        fixture_publisher_comes();
        fixture_advance(ALONE_MS - 1);
        fixture_publisher_goes();
    }
    assert_int_equal(fixture.replaced_count, 0);
    fixture_publisher_comes_and_lasts();
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 1);
}

static void test_connections_lost_with_several_messages_make_none_a_dead_letter(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(2);
    fixture_lose_connections(4); /* two with both, then one or two with each alone */
    assert_int_equal(fixture.replaced_count, 0);
    fixture_publisher_comes_and_lasts();
    for (size_t i = fixture.handed_count - 1; i < fixture.handed_count; i++) {
        outbox_published(fixture.outbox, fixture.handed[i]);
    }
    assert_int_equal(fixture.delivered_count, 2);
}

static void test_a_message_that_ends_connections_is_tried_ever_less_often(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(2);
    fixture_lose_connections(2);
    fixture_publisher_comes();
    fixture_advance(ALONE_MS); /* the first of them goes alone */
    int64_t bad = fixture.handed[fixture.handed_count - 1];
    fixture_publisher_goes();
    fixture_publisher_comes();
    fixture_advance(ALONE_MS);
    assert_int_equal(fixture.handed[fixture.handed_count - 1], 3 - bad); /* then the other */
    outbox_published(fixture.outbox, 3 - bad);
    assert_int_equal(fixture.handed[fixture.handed_count - 1], 3 - bad);
    fixture_advance(RETRY_MS);
    assert_int_equal(fixture.handed[fixture.handed_count - 1], bad); /* 2 s after the loss */
    outbox_published(fixture.outbox, bad);
    assert_int_equal(fixture.delivered_count, 2);
}

static void test_a_refusal_in_between_begins_the_count_anew(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(1);
    fixture_lose_connections(2);
    fixture_publisher_comes_and_lasts();
    fixture_refuse(1);
    fixture_publisher_goes();
    for (int i = 0; i < 2; i++) {
        fixture_advance(60000);
        fixture_lose_connections(1);
    }
    assert_int_equal(fixture.replaced_count, 0);
    fixture_advance(60000);
    fixture_lose_connections(1);
    fixture_assert_letter(1, "Three connections");
    fixture_answer_replace(STATUS_OK);
}

static void test_events_keep_their_order_over_lost_connections(void **state)
{
    (void)state;
    fixture.event_topics = 1;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(3);
    fixture_lose_connections(1);
    fixture_publisher_comes_and_lasts();
    size_t count = fixture.handed_count;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture.handed[i], 1);
    }
    fixture_acknowledge_all(count - 1);
    fixture_assert_handed(count, 2, 2);
    assert_int_equal(fixture.delivered_count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(test_what_a_lost_publisher_had_not_reported_is_handed_over_again),
        TEST(test_a_connection_that_ends_right_behind_a_refusal_counts_for_no_message),
        TEST(test_a_connection_that_ends_later_after_a_refusal_counts),
        TEST(test_messages_with_which_two_connections_were_lost_go_alone),
        TEST(test_a_single_lost_connection_changes_nothing),
        TEST(test_three_connections_lost_while_it_was_alone_make_a_message_a_dead_letter),
        TEST(test_connections_that_end_at_once_do_not_count_for_a_message_that_goes_alone),
        TEST(test_connections_lost_with_several_messages_make_none_a_dead_letter),
        TEST(test_a_message_that_ends_connections_is_tried_ever_less_often),
        TEST(test_a_refusal_in_between_begins_the_count_anew),
        TEST(test_events_keep_their_order_over_lost_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
