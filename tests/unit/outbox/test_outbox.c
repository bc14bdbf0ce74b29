/*
 * What is handed over and when, what memory holds, the flush, and the limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/fakes/fake_timers.h"
#include "support/fakes/outbox_fixture.h"

#include <unistd.h>

static void test_it_begins_with_what_the_ledger_still_holds(void **state)
{
    (void)state;
    fixture_store(5);
    fixture.has_row[1] = false;
    fixture.has_row[3] = false;
    fixture_connect_outbox();
    fixture_publisher_comes();
    assert_int_equal(fixture.handed_count, 3);
    assert_int_equal(fixture.handed[0], 2);
    assert_int_equal(fixture.handed[1], 4);
    assert_int_equal(fixture.handed[2], 5);
}

static void test_nothing_is_handed_over_without_a_publisher(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture.room = ROWS_MAX;
    fixture_post(3);
    assert_int_equal(fixture.handed_count, 0);
    fixture_publisher_comes();
    fixture_assert_handed(0, 1, 3);
    fixture_publisher_goes();
    fixture.room = ROWS_MAX;
    fixture_post(1);
    assert_int_equal(fixture.handed_count, 3);
}

static void test_a_message_is_forgotten_when_the_broker_acknowledged_it(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(2);
    assert_int_equal(fixture.delivered_count, 0);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 1);
    assert_true(fixture.has_row[1]);
    assert_int_equal(fixture.traced_id, 2);
    assert_int_equal(fixture.traced_bytes, fixture_row_bytes(2).length);
    outbox_published(fixture.outbox, 1);
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 2);
}

static void test_a_window_of_messages_is_handed_over_at_a_time(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(WINDOW + 10);
    fixture_assert_handed(0, 1, WINDOW);
    outbox_published(fixture.outbox, 5);
    fixture_assert_handed(0, 1, WINDOW + 1);
    fixture_publish_all(0);
    fixture_assert_handed(0, 1, WINDOW + 10);
    assert_int_equal(fixture.delivered_count, WINDOW + 10);
}

static void test_a_full_pipe_holds_messages_back(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture.room = 2;
    fixture_post(4);
    fixture_assert_handed(0, 1, 2);
    fixture.room = 1;
    outbox_published(fixture.outbox, 1);
    fixture_assert_handed(0, 1, 3);
}

static void test_a_report_about_an_unknown_message_changes_nothing(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(1);
    outbox_published(fixture.outbox, 99);
    outbox_unpublished(fixture.outbox, 99, 0x87, slice_text(""));
    assert_int_equal(fixture.delivered_count, 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_REFUSED), 0);
}

static void test_what_finds_no_room_in_memory_is_read_from_the_ledger(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(ROWS_MAX - 500);
    assert_int_equal(fixture.read_count, 1);
    fixture_publisher_comes();
    for (int64_t id = 1; !fixture.is_reading && id <= MEMORY_MAX; id++) {
        outbox_published(fixture.outbox, id);
    }
    assert_int_equal(fixture.read.from_id, MEMORY_MAX + 1);
    assert_true(fixture.delivered_count >= MEMORY_MAX / 4);
    fixture_publish_all(fixture.delivered_count);
    fixture_assert_handed(0, 1, ROWS_MAX - 500);
    assert_int_equal(fixture.delivered_count, ROWS_MAX - 500);
}

static int64_t published_within(int64_t bound_us)
{
    int64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        bool is_within = i < HISTOGRAM_BOUNDS && histogram_bounds_us[i] <= bound_us;
        count += is_within ? fixture.counters.histograms[HISTOGRAM_PUBLISH].buckets[i] : 0;
    }
    return count;
}

static void test_the_time_until_a_message_is_published_counts_from_when_it_was_stored(void **state)
{
    (void)state;
    fixture.made_at_ms = clock_wall_ms() - 100000;
    fixture_store(1); /* by an earlier run */
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(published_within(60000000), 1);
    outbox_published(fixture.outbox, 1);
    assert_int_equal(published_within(60000000), 1);
    assert_int_equal(published_within(300000000), 2);
}

static void test_a_long_outbox_is_read_in_parts_at_start(void **state)
{
    (void)state;
    fixture_store(ROWS_MAX);
    fixture_connect_outbox();
    while (fixture.is_reading) {
        fixture_answer_read();
    }
    assert_true(fixture.read_count * fixture.read.limit <= MEMORY_MAX);
    fixture_publisher_comes();
    fixture_publish_all(0);
    fixture_assert_handed(0, 1, ROWS_MAX);
    assert_int_equal(fixture.delivered_count, ROWS_MAX);
}

static void test_messages_posted_around_a_read_are_handed_over_once_and_in_order(void **state)
{
    (void)state;
    fixture_store(2);
    fixture_publisher_comes();
    outbox_connect(fixture.outbox, NULL, NULL);
    fixture_post(2); /* committed and reported before the read is carried out */
    fixture_answer_read();
    fixture_post(2); /* committed after it */
    fixture_assert_handed(0, 1, 6);
}

static void test_messages_posted_while_older_ones_are_not_read_go_behind_them(void **state)
{
    (void)state;
    fixture_store(300);
    fixture_publisher_comes();
    outbox_connect(fixture.outbox, NULL, NULL);
    fixture_answer_read(); /* 256 of them; the next read begins at once */
    fixture_post(5);
    fixture_answer_read();
    fixture_post(5);
    fixture_publish_all(0);
    fixture_assert_handed(0, 1, 310);
    assert_int_equal(fixture.delivered_count, 310);
}

static void test_an_empty_outbox_is_flushed_in_the_next_iteration(void **state)
{
    (void)state;
    fixture_connect_outbox();
    outbox_flush(fixture.outbox, fixture_flushed, &fixture);
    assert_int_equal(fixture.flush_count, 0);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
    fake_timers_advance(RETRY_MS);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_flush_waits_for_the_last_acknowledgement(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(2);
    outbox_flush(fixture.outbox, fixture_flushed, &fixture);
    outbox_published(fixture.outbox, 1);
    fake_timers_advance(RETRY_MS);
    assert_int_equal(fixture.flush_count, 0);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.flush_count, 0);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_flush_is_reported_once(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    outbox_flush(fixture.outbox, fixture_flushed, &fixture);
    fake_timers_advance(0);
    fixture_post(1);
    outbox_published(fixture.outbox, 1);
    fake_timers_advance(0);
    assert_int_equal(fixture.delivered_count, 1);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_flush_waits_for_what_is_not_read_yet(void **state)
{
    (void)state;
    fixture_store(1);
    outbox_connect(fixture.outbox, NULL, NULL);
    fixture_publisher_comes();
    outbox_flush(fixture.outbox, fixture_flushed, &fixture);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 0);
    fixture_answer_read();
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 0);
    outbox_published(fixture.outbox, 1);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_one_event_of_a_topic_is_handed_over_at_a_time(void **state)
{
    (void)state;
    fixture.event_topics = 2;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(4);
    fixture_assert_handed(0, 1, 2); /* one of each topic */
    outbox_published(fixture.outbox, 2);
    fixture_assert_handed(2, 4, 1);
    outbox_published(fixture.outbox, 1);
    fixture_assert_handed(3, 3, 1);
}

static void test_the_outbox_is_full_by_its_number_or_its_bytes_and_recovers(void **state)
{
    static const struct {
        int64_t messages;
        int64_t bytes;
        bool is_full;
    } ROWS[] = {{99, 999, false}, {100, 0, true}, {99, 1000, true}, {99, 999, false}};
    (void)state;
    fixture.settings.limits.outbox_messages = 100;
    fixture.settings.limits.outbox_bytes = 1000;
    fixture_connect_outbox();
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        counter_set(&fixture.counters, COUNTER_OUTBOX_DEPTH, ROWS[i].messages);
        counter_set(&fixture.counters, COUNTER_OUTBOX_BYTES, ROWS[i].bytes);
        assert_int_equal(outbox_is_full(fixture.outbox), ROWS[i].is_full);
        assert_int_equal(health_is_on(fixture.health, HEALTH_OUTBOX_FULL), ROWS[i].is_full);
    }
    /* Without a delivery that asks. */
    counter_set(&fixture.counters, COUNTER_OUTBOX_DEPTH, 100);
    fixture_post(1);
    assert_true(health_is_on(fixture.health, HEALTH_OUTBOX_FULL));
    counter_set(&fixture.counters, COUNTER_OUTBOX_DEPTH, 99);
    fixture_advance(1000);
    assert_false(health_is_on(fixture.health, HEALTH_OUTBOX_FULL));
    assert_false(health_is_ready(fixture.health));
}

static void test_without_a_valid_lease_nothing_is_handed_over(void **state)
{
    (void)state;
    struct lease lease;
    lease_init(&lease);
    lease_begin(&lease);
    outbox_set_lease(fixture.outbox, &lease);
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(2);
    assert_int_equal(fixture.handed_count, 0);
    lease_renewed(&lease, 1000, LEASE_MARGIN_MS + 5000);
    assert_int_equal(lease_check(&lease, 1001), LEASE_REGAINED);
    outbox_lease_regained(fixture.outbox);
    assert_int_equal(fixture.handed_count, 2);
    assert_int_equal(fixture.valid_until_ms, 6000);
}

static void test_a_message_that_waited_longer_than_the_lease_is_handed_over_again(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(2);
    assert_int_equal(fixture.handed_count, 2);
    assert_int_equal(fixture.valid_until_ms, 0);
    outbox_expired(fixture.outbox, 1);
    assert_int_equal(fixture.handed_count, 3);
    assert_int_equal(fixture.handed[2], 1);
    assert_false(fixture_is_refused());
    outbox_expired(fixture.outbox, 77); /* not known */
    assert_int_equal(fixture.handed_count, 3);
    outbox_published(fixture.outbox, 1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(test_it_begins_with_what_the_ledger_still_holds),
        TEST(test_nothing_is_handed_over_without_a_publisher),
        TEST(test_without_a_valid_lease_nothing_is_handed_over),
        TEST(test_a_message_that_waited_longer_than_the_lease_is_handed_over_again),
        TEST(test_a_message_is_forgotten_when_the_broker_acknowledged_it),
        TEST(test_a_window_of_messages_is_handed_over_at_a_time),
        TEST(test_a_full_pipe_holds_messages_back),
        TEST(test_a_report_about_an_unknown_message_changes_nothing),
        TEST(test_what_finds_no_room_in_memory_is_read_from_the_ledger),
        TEST(test_the_time_until_a_message_is_published_counts_from_when_it_was_stored),
        TEST(test_a_long_outbox_is_read_in_parts_at_start),
        TEST(test_messages_posted_around_a_read_are_handed_over_once_and_in_order),
        TEST(test_messages_posted_while_older_ones_are_not_read_go_behind_them),
        TEST(test_an_empty_outbox_is_flushed_in_the_next_iteration),
        TEST(test_a_flush_waits_for_the_last_acknowledgement),
        TEST(test_a_flush_is_reported_once),
        TEST(test_a_flush_waits_for_what_is_not_read_yet),
        TEST(test_one_event_of_a_topic_is_handed_over_at_a_time),
        TEST(test_the_outbox_is_full_by_its_number_or_its_bytes_and_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
