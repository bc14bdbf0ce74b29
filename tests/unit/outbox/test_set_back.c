/*
 * Messages that the broker refused: when they are tried again, and what ends that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fakes/fake_timers.h"
#include "support/fakes/outbox_fixture.h"

#include <string.h>
#include <unistd.h>

/* Whoever runs the broker can mend each of these: permissions, quotas, limits, names. */
static void test_no_refusal_is_final(void **state)
{
    static const uint32_t CODES[] = {0, 0x80, 0x83, 0x87, 0x90, 0x91, 0x95, 0x97, 0x99};
    enum { COUNT = sizeof CODES / sizeof CODES[0] };
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        outbox_unpublished(fixture.outbox, (int64_t)i + 1, CODES[i], slice_text("refused"));
    }
    assert_int_equal(fixture.delivered_count + fixture.replaced_count, 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_REFUSED), COUNT);
    assert_true(fixture_is_refused());
    fixture_advance(RETRY_MS);
    assert_int_equal(fixture.handed_count, 2 * COUNT);
    fixture_publish_all(COUNT);
    assert_int_equal(fixture.delivered_count, COUNT);
    assert_false(fixture_is_refused());
}

static void test_a_refusal_is_logged_with_topic_and_token(void **state)
{
    (void)state;
    int ends[2];
    char line[1024] = "";
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(1);
    int saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    fixture_refuse(1);
    dup2(saved, STDERR_FILENO);
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line,
                           "event=reply_refused outbox_id=1 topic=replies/1 token=t1 code=135 "
                           "why=\"Not authorized\" retry_in_ms=1000"));
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

static void test_a_refused_message_is_tried_again_after_a_second_doubling_to_a_minute(void **state)
{
    static const int64_t WAITS_MS[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(1);
    for (size_t i = 0; i < sizeof WAITS_MS / sizeof WAITS_MS[0]; i++) {
        fixture_refuse(1);
        fixture_advance(WAITS_MS[i] - 1);
        assert_int_equal(fixture.handed_count, i + 1);
        fixture_advance(1);
        fixture_assert_handed(i + 1, 1, 1);
    }
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 1);
}

static void test_any_number_of_refused_messages_delays_no_other(void **state)
{
    enum { COUNT = 2 * MEMORY_MAX };
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    for (int64_t id = 1; id <= COUNT; id++) {
        fixture_post(1);
        fixture_refuse(id);
    }
    fixture_post(1);
    fixture_assert_handed(0, 1, COUNT + 1);
    outbox_published(fixture.outbox, COUNT + 1);
    assert_int_equal(fixture.delivered_count, 1);
    /* Now the broker takes them. */
    for (size_t published = COUNT + 1; fixture.delivered_count <= COUNT; published++) {
        if (published == fixture.handed_count) {
            fixture_advance(RETRY_MS);
        }
        assert_true(published < fixture.handed_count);
        outbox_published(fixture.outbox, fixture.handed[published]);
    }
    assert_false(fixture_is_refused());
}

static void test_a_refused_message_becomes_a_dead_letter_when_it_expires(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(1);
    size_t tries = 0;
    for (int64_t waited_s = 0; waited_s < EXPIRY_S - 2; waited_s++) {
        while (tries < fixture.handed_count) {
            fixture_refuse(fixture.handed[tries++]);
        }
        fixture_advance(1000);
        assert_int_equal(fixture.replaced_count, 0);
    }
    fixture_advance(2000);
    assert_int_equal(fixture.replaced_count, 1);
    fixture_assert_letter(1, "expired");
    assert_true(fixture_is_refused());
    fixture_answer_replace(STATUS_OK);
    assert_false(fixture_is_refused());
    assert_int_equal(counter_get(&fixture.counters, COUNTER_UNDELIVERED), 1);
    assert_int_equal(fixture.delivered_count, 0);
    fixture_advance(60000);
    assert_int_equal(fixture.handed_count, tries);
}

static void test_the_expiry_counts_from_the_time_a_message_was_made(void **state)
{
    (void)state;
    fixture.made_at_ms -= (EXPIRY_S - 10) * 1000;
    fixture_store(1);
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_refuse(1);
    fixture_advance(RETRY_MS);
    fixture_refuse(1);
    fixture_advance(2 * RETRY_MS);
    fixture_refuse(1);
    fixture_advance(4 * RETRY_MS);
    assert_int_equal(fixture.handed_count, 4);
    fixture_refuse(1);
    fixture_advance(4 * RETRY_MS); /* at its expiry, not after 8 s */
    fixture_assert_letter(1, "expired");
    fixture_answer_replace(STATUS_OK);
}

static void test_a_message_that_waited_for_the_broker_for_long_is_tried_once(void **state)
{
    (void)state;
    fixture.made_at_ms -= 2 * EXPIRY_S * 1000;
    fixture_store(2);
    fixture_connect_outbox();
    fixture_publisher_comes();
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 1);
    fixture_refuse(2);
    fixture_assert_letter(2, "expired");
    fixture_answer_replace(STATUS_OK);
}

static void test_a_dead_letter_that_expires_is_dropped(void **state)
{
    (void)state;
    fixture.has_dead_letters = true;
    fixture.made_at_ms -= EXPIRY_S * 1000;
    fixture_store(1);
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_refuse(1);
    assert_int_equal(fixture.replaced_id, 1);
    assert_int_equal(fixture.letter.length, 0);
    fixture_answer_replace(STATUS_OK);
    assert_false(fixture_is_refused());
}

static void test_a_dead_letter_that_cannot_be_stored_is_made_again(void **state)
{
    (void)state;
    fixture.made_at_ms -= EXPIRY_S * 1000;
    fixture_store(1);
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_refuse(1);
    fixture_answer_replace(STATUS_STORE);
    assert_true(fixture_is_refused());
    fixture_advance(RETRY_MS);
    assert_int_equal(fixture.replaced_count, 2);
    fixture_assert_letter(1, "expired");
    fixture_answer_replace(STATUS_OK);
    assert_false(fixture_is_refused());
}

static void test_a_refused_message_does_not_hold_back_one_that_goes_alone(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_post(2);
    fixture_lose_connections(2);
    fixture_publisher_comes_and_lasts();
    fixture_assert_handed(4, 1, 1);
    outbox_published(fixture.outbox, 1);
    fixture_post(1);
    fixture_assert_handed(5, 2, 1);
    fixture_refuse(2);
    fixture_assert_handed(6, 3, 1);
    outbox_published(fixture.outbox, 3);
    fixture_advance(4 * RETRY_MS);
    fixture_assert_handed(7, 2, 1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 3);
}

/* Each of them costs the others the connection. */
static void test_a_broker_that_closes_at_refusals_gets_one_at_a_time_with_pauses(void **state)
{
    enum { COUNT = 20 };
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(COUNT);
    for (int64_t id = 1; id <= COUNT; id++) {
        fixture_refuse(id);
    }
    fixture_publisher_goes();
    fixture_publisher_comes();
    fixture_advance(60000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture.handed_count, COUNT + 1 + i);
        fixture_refuse(fixture.handed[fixture.handed_count - 1]);
        fixture_publisher_goes();
        fixture_publisher_comes();
        fixture_advance(PACE_MS_MAX - 1);
        assert_int_equal(fixture.handed_count, COUNT + 1 + i);
        fixture_advance(1);
    }
    outbox_published(fixture.outbox, fixture.handed[fixture.handed_count - 1]);
    fixture_advance(60000);
    assert_int_equal(fixture.handed_count, COUNT + 4 + 16); /* as many as there are places */
}

static void test_a_flush_does_not_wait_for_what_is_refused(void **state)
{
    (void)state;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(2);
    fixture_refuse(1);
    outbox_flush(fixture.outbox, fixture_flushed, &fixture);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 0);
    outbox_published(fixture.outbox, 2);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_events_wait_behind_one_of_their_topic_that_is_refused(void **state)
{
    (void)state;
    fixture.event_topics = 1;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(2);
    fixture_refuse(1);
    fixture_post(1);
    fixture_assert_handed(0, 1, 1);
    fixture_advance(RETRY_MS);
    fixture_assert_handed(1, 1, 1);
    fixture_refuse(1);
    fixture_advance(2 * RETRY_MS);
    fixture_assert_handed(2, 1, 1);
    fixture_acknowledge_all(2);
    fixture_assert_handed(3, 2, 2);
    assert_int_equal(fixture.delivered_count, 3);
}

static void test_events_that_wait_are_read_again_when_it_is_their_turn(void **state)
{
    (void)state;
    fixture.event_topics = 1;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(3);
    fixture_refuse(1);
    fixture_advance(RETRY_MS);
    fixture_refuse(1);
    fixture_advance(2 * RETRY_MS);
    assert_int_equal(fixture.retry_read_total, 2);
    fixture_assert_handed(2, 1, 1);
    outbox_published(fixture.outbox, 1);
    fixture_advance(0);
    fixture_assert_handed(3, 2, 1);
    fixture_refuse(2);
    fixture_advance(RETRY_MS);
    outbox_published(fixture.outbox, 2);
    fixture_advance(0);
    fixture_assert_handed(5, 3, 1);
    assert_int_equal(fixture.retry_read_total, 5);
}

static void test_an_event_that_waits_is_dropped_when_it_expires(void **state)
{
    (void)state;
    fixture.event_topics = 1;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(1);
    fixture_refuse(1);
    fixture.made_at_ms -= (EXPIRY_S - 60) * 1000;
    fixture_post(1);
    size_t tries = 1;
    for (int64_t waited_s = 0; waited_s < 58; waited_s++) {
        while (tries < fixture.handed_count) {
            fixture_refuse(fixture.handed[tries++]);
        }
        fixture_advance(1000);
        assert_int_equal(fixture.replaced_count, 0);
    }
    fixture_advance(2000);
    assert_int_equal(fixture.replaced_id, 2);
    assert_int_equal(fixture.letter.length, 0);
    fixture_answer_replace(STATUS_OK);
    assert_true(fixture_is_refused());
    assert_int_equal(counter_get(&fixture.counters, COUNTER_UNDELIVERED), 1);
}

static void test_events_of_other_topics_do_not_wait_for_one_that_is_refused(void **state)
{
    (void)state;
    fixture.event_topics = 2;
    fixture_connect_outbox();
    fixture_publisher_comes();
    fixture_post(1);
    fixture_refuse(1);
    fixture_post(4);
    fixture_assert_handed(1, 2, 1); /* 3 and 5 wait for 1 */
    outbox_published(fixture.outbox, 2);
    fixture_assert_handed(2, 4, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
        TEST(test_no_refusal_is_final),
        TEST(test_a_refusal_is_logged_with_topic_and_token),
        TEST(test_a_refused_message_is_tried_again_after_a_second_doubling_to_a_minute),
        TEST(test_any_number_of_refused_messages_delays_no_other),
        TEST(test_a_refused_message_becomes_a_dead_letter_when_it_expires),
        TEST(test_the_expiry_counts_from_the_time_a_message_was_made),
        TEST(test_a_message_that_waited_for_the_broker_for_long_is_tried_once),
        TEST(test_a_dead_letter_that_expires_is_dropped),
        TEST(test_a_dead_letter_that_cannot_be_stored_is_made_again),
        TEST(test_a_refused_message_does_not_hold_back_one_that_goes_alone),
        TEST(test_a_broker_that_closes_at_refusals_gets_one_at_a_time_with_pauses),
        TEST(test_a_flush_does_not_wait_for_what_is_refused),
        TEST(test_events_wait_behind_one_of_their_topic_that_is_refused),
        TEST(test_events_that_wait_are_read_again_when_it_is_their_turn),
        TEST(test_an_event_that_waits_is_dropped_when_it_expires),
        TEST(test_events_of_other_topics_do_not_wait_for_one_that_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
