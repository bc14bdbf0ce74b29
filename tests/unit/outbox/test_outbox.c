/*
 * The outbox with a ledger that is a table of rows, a publisher that records what it is given, and
 * timers that the test moves on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/message.h"
#include "outbox/outbox.h"
#include "support/fakes/fake_timers.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROWS_MAX     2000
#define WINDOW       128 /* at most so many are handed over at a time */
#define MEMORY_MAX   512 /* at most so many are in memory */
#define RETRY_MS     1000
#define SET_ASIDE_MS 60000
#define TEXT_BYTES   32

static struct {
    struct counters counters;
    struct outbox *outbox;
    /* the ledger */
    bool has_row[ROWS_MAX + 1];
    int64_t last_id;
    size_t delivered_count;
    /* the read that is not answered yet */
    bool is_reading;
    int64_t from_id;
    size_t limit;
    ledger_message_fn *each;
    ledger_read_fn *read_done;
    void *read_arg;
    size_t read_count;
    /* the publisher */
    size_t room; /* how many more its pipe takes */
    int64_t handed[2 * ROWS_MAX];
    size_t handed_count;
    bool has_other_bytes; /* than row_bytes() */
    int flush_count;
} fixture;

/* ---- the ledger and the publisher of this test ---- */

/* A row's bytes, the same at each reading. */
static struct slice row_bytes(int64_t id, char out[TEXT_BYTES])
{
    snprintf(out, TEXT_BYTES, "message %lld", (long long)id);
    return slice_text(out);
}

void ledger_read_outbox(struct ledger *ledger, int64_t from_id, size_t limit,
                        ledger_message_fn *each, ledger_read_fn *done, void *arg)
{
    (void)ledger;
    assert_false(fixture.is_reading);
    fixture.is_reading = true;
    fixture.from_id = from_id;
    fixture.limit = limit;
    fixture.each = each;
    fixture.read_done = done;
    fixture.read_arg = arg;
    fixture.read_count++;
}

void ledger_delivered(struct ledger *ledger, int64_t id)
{
    (void)ledger;
    assert_true(fixture.has_row[id]);
    fixture.has_row[id] = false;
    fixture.delivered_count++;
}

bool workers_may_publish(const struct workers *workers)
{
    (void)workers;
    return fixture.room > 0;
}

void workers_publish(struct workers *workers, int64_t id, struct slice message)
{
    char text[TEXT_BYTES];
    (void)workers;
    assert_true(fixture.room > 0);
    assert_true(fixture.has_other_bytes || slice_equals(message, row_bytes(id, text)));
    fixture.room--;
    fixture.handed[fixture.handed_count++] = id;
}

/* ---- steps of a test ---- */

/* Stores so many rows; the outbox does not know of them yet. */
static void store(int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        fixture.has_row[++fixture.last_id] = true;
    }
}

/* Stores so many rows and reports them to the outbox. */
static void post(int64_t count)
{
    char text[TEXT_BYTES];
    for (int64_t i = 0; i < count; i++) {
        store(1);
        outbox_posted(fixture.outbox, fixture.last_id, row_bytes(fixture.last_id, text));
    }
}

/* Answers the read. */
static void answer_read(void)
{
    char text[TEXT_BYTES];
    size_t count = 0;
    assert_true(fixture.is_reading);
    for (int64_t id = fixture.from_id; id <= fixture.last_id && count < fixture.limit; id++) {
        if (fixture.has_row[id]) {
            fixture.each(fixture.read_arg, id, row_bytes(id, text));
            count++;
        }
    }
    fixture.is_reading = false;
    fixture.read_done(fixture.read_arg, count);
}

static void connect_outbox(void)
{
    outbox_connect(fixture.outbox, NULL, NULL);
    answer_read();
}

static void publisher_comes(void)
{
    fixture.room = 2 * ROWS_MAX;
    outbox_publisher_changed(fixture.outbox, true);
}

static void publisher_goes(void)
{
    fixture.room = 0;
    outbox_publisher_changed(fixture.outbox, false);
}

static void lose_connections(int count)
{
    for (int i = 0; i < count; i++) {
        publisher_comes();
        publisher_goes();
    }
}

/* Acknowledges what is handed over until nothing more is; answers reads. */
static void publish_all(size_t from_index)
{
    for (size_t i = from_index; i < fixture.handed_count; i++) {
        outbox_published(fixture.outbox, fixture.handed[i]);
        while (i + 1 == fixture.handed_count && fixture.is_reading) {
            answer_read();
        }
    }
}

/* handed[from_index ...] are `count` ids in order, from `first_id` on. */
static void assert_handed(size_t from_index, int64_t first_id, size_t count)
{
    assert_int_equal(fixture.handed_count, from_index + count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture.handed[from_index + i], first_id + (int64_t)i);
    }
}

static void flushed(void *arg)
{
    assert_ptr_equal(arg, &fixture);
    fixture.flush_count++;
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.outbox = outbox_new(NULL, &fixture.counters);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    outbox_free(fixture.outbox);
    assert_int_equal(fake_timers_count(), 0);
    return 0;
}

/* ---- tests ---- */

static void test_it_begins_with_what_the_ledger_still_holds(void **state)
{
    (void)state;
    store(5);
    fixture.has_row[1] = false;
    fixture.has_row[3] = false;
    connect_outbox();
    publisher_comes();
    assert_int_equal(fixture.handed_count, 3);
    assert_int_equal(fixture.handed[0], 2);
    assert_int_equal(fixture.handed[1], 4);
    assert_int_equal(fixture.handed[2], 5);
}

static void test_nothing_is_handed_over_without_a_publisher(void **state)
{
    (void)state;
    connect_outbox();
    fixture.room = ROWS_MAX;
    post(3);
    assert_int_equal(fixture.handed_count, 0);
    publisher_comes();
    assert_handed(0, 1, 3);
    publisher_goes();
    fixture.room = ROWS_MAX;
    post(1);
    assert_int_equal(fixture.handed_count, 3);
}

static void test_a_message_is_forgotten_when_the_broker_acknowledged_it(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(2);
    assert_int_equal(fixture.delivered_count, 0);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 1);
    assert_true(fixture.has_row[1]);
    outbox_published(fixture.outbox, 1);
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 2);
}

static void test_a_window_of_messages_is_handed_over_at_a_time(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(WINDOW + 10);
    assert_handed(0, 1, WINDOW);
    outbox_published(fixture.outbox, 5);
    assert_handed(0, 1, WINDOW + 1);
    publish_all(0);
    assert_handed(0, 1, WINDOW + 10);
    assert_int_equal(fixture.delivered_count, WINDOW + 10);
}

static void test_a_full_pipe_holds_messages_back(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    fixture.room = 2;
    post(4);
    assert_handed(0, 1, 2);
    fixture.room = 1;
    outbox_published(fixture.outbox, 1);
    assert_handed(0, 1, 3);
}

static void test_what_a_lost_publisher_had_not_reported_is_handed_over_again(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(WINDOW + 2);
    outbox_published(fixture.outbox, 1);
    publisher_goes();
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 1);
    publisher_comes();
    assert_handed(WINDOW + 1, 2, WINDOW);
    publish_all(WINDOW + 1);
    assert_int_equal(fixture.delivered_count, WINDOW + 2);
}

static void test_a_final_refusal_is_counted_and_forgotten(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(2);
    outbox_unpublished(fixture.outbox, 1, true, slice_text("not authorised"));
    assert_false(fixture.has_row[1]);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_REFUSED), 1);
    fake_timers_advance(RETRY_MS);
    assert_handed(0, 1, 2);
}

static void test_a_temporary_refusal_is_tried_again_after_a_while_and_delays_no_other(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(1);
    outbox_unpublished(fixture.outbox, 1, false, slice_text("quota exceeded"));
    post(1);
    assert_handed(1, 2, 1);
    fake_timers_advance(RETRY_MS - 1);
    assert_int_equal(fixture.handed_count, 2);
    assert_int_equal(fixture.delivered_count, 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_REFUSED), 0);
    fake_timers_advance(1);
    assert_handed(2, 1, 1);
}

static void test_a_refused_message_does_not_hold_back_one_that_goes_alone(void **state)
{
    (void)state;
    connect_outbox();
    post(2);
    lose_connections(2);
    publisher_comes();
    outbox_published(fixture.outbox, 1);
    post(1);
    assert_handed(5, 2, 1);
    outbox_unpublished(fixture.outbox, 2, false, slice_text("quota exceeded"));
    assert_handed(6, 3, 1);
    outbox_published(fixture.outbox, 3);
    fake_timers_advance(RETRY_MS);
    assert_handed(7, 2, 1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 3);
}

static void test_a_connection_that_ends_behind_a_refusal_counts_for_no_message(void **state)
{
    (void)state;
    connect_outbox();
    post(2);
    for (int i = 0; i < 5; i++) {
        publisher_comes();
        outbox_unpublished(fixture.outbox, 1, false, slice_text("quota exceeded"));
        publisher_goes();
        fake_timers_advance(RETRY_MS);
    }
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_SET_ASIDE), 0);
    publisher_comes();
    outbox_published(fixture.outbox, 1);
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 2);
}

static void test_a_report_about_an_unknown_message_changes_nothing(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(1);
    outbox_published(fixture.outbox, 99);
    outbox_unpublished(fixture.outbox, 99, true, slice_text(""));
    assert_int_equal(fixture.delivered_count, 0);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_REFUSED), 0);
}

static void test_what_finds_no_room_in_memory_is_read_from_the_ledger(void **state)
{
    (void)state;
    connect_outbox();
    post(ROWS_MAX - 500);
    assert_int_equal(fixture.read_count, 1);
    publisher_comes();
    for (int64_t id = 1; !fixture.is_reading && id <= MEMORY_MAX; id++) {
        outbox_published(fixture.outbox, id);
    }
    assert_int_equal(fixture.from_id, MEMORY_MAX + 1);
    assert_true(fixture.delivered_count >= MEMORY_MAX / 4);
    publish_all(fixture.delivered_count);
    assert_handed(0, 1, ROWS_MAX - 500);
    assert_int_equal(fixture.delivered_count, ROWS_MAX - 500);
}

static void test_a_long_outbox_is_read_in_parts_at_start(void **state)
{
    (void)state;
    store(ROWS_MAX);
    connect_outbox();
    while (fixture.is_reading) {
        answer_read();
    }
    assert_true(fixture.read_count * fixture.limit <= MEMORY_MAX);
    publisher_comes();
    publish_all(0);
    assert_handed(0, 1, ROWS_MAX);
    assert_int_equal(fixture.delivered_count, ROWS_MAX);
}

static void test_messages_posted_around_a_read_are_handed_over_once_and_in_order(void **state)
{
    (void)state;
    store(2);
    publisher_comes();
    outbox_connect(fixture.outbox, NULL, NULL);
    post(2); /* committed and reported before the read is carried out */
    answer_read();
    post(2); /* committed after it */
    assert_handed(0, 1, 6);
}

static void test_messages_posted_while_older_ones_are_not_read_go_behind_them(void **state)
{
    (void)state;
    store(300);
    publisher_comes();
    outbox_connect(fixture.outbox, NULL, NULL);
    answer_read(); /* 256 of them; the next read begins at once */
    post(5);
    answer_read();
    post(5);
    publish_all(0);
    assert_handed(0, 1, 310);
    assert_int_equal(fixture.delivered_count, 310);
}

static void test_an_empty_outbox_is_flushed_in_the_next_iteration(void **state)
{
    (void)state;
    connect_outbox();
    outbox_flush(fixture.outbox, flushed, &fixture);
    assert_int_equal(fixture.flush_count, 0);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
    fake_timers_advance(RETRY_MS);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_flush_waits_for_the_last_acknowledgement(void **state)
{
    (void)state;
    connect_outbox();
    publisher_comes();
    post(2);
    outbox_flush(fixture.outbox, flushed, &fixture);
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
    connect_outbox();
    publisher_comes();
    outbox_flush(fixture.outbox, flushed, &fixture);
    fake_timers_advance(0);
    post(1);
    outbox_published(fixture.outbox, 1);
    fake_timers_advance(0);
    assert_int_equal(fixture.delivered_count, 1);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_flush_waits_for_what_is_not_read_yet(void **state)
{
    (void)state;
    store(1);
    outbox_connect(fixture.outbox, NULL, NULL);
    publisher_comes();
    outbox_flush(fixture.outbox, flushed, &fixture);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 0);
    answer_read();
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 0);
    outbox_published(fixture.outbox, 1);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_message_with_which_two_connections_were_lost_goes_alone(void **state)
{
    (void)state;
    connect_outbox();
    post(3);
    lose_connections(2);
    publisher_comes();
    assert_handed(6, 1, 1);
    post(1);
    assert_int_equal(fixture.handed_count, 7);
    outbox_published(fixture.outbox, 1);
    assert_handed(7, 2, 1);
    outbox_published(fixture.outbox, 2);
    outbox_published(fixture.outbox, 3);
    assert_handed(9, 4, 1);
}

static void test_a_single_lost_connection_changes_nothing(void **state)
{
    (void)state;
    connect_outbox();
    post(3);
    lose_connections(1);
    publisher_comes();
    assert_handed(3, 1, 3);
}

static void test_three_connections_lost_while_it_was_alone_set_a_message_aside(void **state)
{
    (void)state;
    connect_outbox();
    post(1);
    lose_connections(2);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_SET_ASIDE), 0);
    post(1);
    lose_connections(1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_SET_ASIDE), 1);
    publisher_comes();
    assert_handed(3, 2, 1);
    outbox_published(fixture.outbox, 2);
    assert_true(fixture.has_row[1]);
    post(1);
    assert_handed(4, 3, 1);
    /* A stop does not wait for it. */
    outbox_flush(fixture.outbox, flushed, &fixture);
    outbox_published(fixture.outbox, 3);
    fake_timers_advance(0);
    assert_int_equal(fixture.flush_count, 1);
}

static void test_a_message_that_was_set_aside_is_tried_again_alone_after_a_minute(void **state)
{
    (void)state;
    connect_outbox();
    post(1);
    lose_connections(3);
    publisher_comes();
    post(2);
    assert_handed(3, 2, 2);
    outbox_published(fixture.outbox, 2);
    outbox_published(fixture.outbox, 3);
    fake_timers_advance(SET_ASIDE_MS - 1);
    assert_int_equal(fixture.handed_count, 5);
    fake_timers_advance(1);
    assert_handed(5, 1, 1);
    outbox_published(fixture.outbox, 1);
    assert_int_equal(fixture.delivered_count, 3);
}

static void test_connections_lost_with_several_messages_set_none_aside(void **state)
{
    (void)state;
    connect_outbox();
    post(2);
    lose_connections(4); /* the last two with the first message alone */
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_SET_ASIDE), 0);
    publisher_comes();
    outbox_published(fixture.outbox, 1);
    publisher_goes(); /* the first one with the second message alone */
    lose_connections(1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_SET_ASIDE), 0);
    publisher_comes();
    outbox_published(fixture.outbox, 2);
    assert_int_equal(fixture.delivered_count, 2);
}

static void test_a_refusal_in_between_begins_the_count_anew(void **state)
{
    (void)state;
    connect_outbox();
    post(1);
    lose_connections(2);
    publisher_comes();
    outbox_unpublished(fixture.outbox, 1, false, slice_text("quota exceeded"));
    fake_timers_advance(RETRY_MS);
    publisher_goes(); /* behind a refusal: not counted */
    lose_connections(2);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_SET_ASIDE), 0);
    lose_connections(1);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_PUBLISH_SET_ASIDE), 1);
}

static void test_a_refusal_is_logged_with_topic_and_token(void **state)
{
    (void)state;
    int ends[2];
    char line[1024] = "";
    struct buf bytes = {0};
    const struct message message = {.topic = slice_text("replies/somebody"),
                                    .body = slice_text("{\"ClientToken\":\"nightly-1\"}"),
                                    .qos = 1,
                                    .expiry_s = -1};
    message_encode(&message, &bytes);
    fixture.has_other_bytes = true;
    connect_outbox();
    publisher_comes();
    store(1);
    outbox_posted(fixture.outbox, fixture.last_id, buf_slice(&bytes));
    buf_fini(&bytes);
    int saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    outbox_unpublished(fixture.outbox, 1, false, slice_text("quota exceeded"));
    dup2(saved, STDERR_FILENO);
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line, "event=reply_not_published outbox_id=1 topic=replies/somebody "
                                 "token=nightly-1 why=\"quota exceeded\""));
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_it_begins_with_what_the_ledger_still_holds),
        TEST(test_a_message_with_which_two_connections_were_lost_goes_alone),
        TEST(test_a_single_lost_connection_changes_nothing),
        TEST(test_three_connections_lost_while_it_was_alone_set_a_message_aside),
        TEST(test_connections_lost_with_several_messages_set_none_aside),
        TEST(test_a_refusal_in_between_begins_the_count_anew),
        TEST(test_nothing_is_handed_over_without_a_publisher),
        TEST(test_a_message_is_forgotten_when_the_broker_acknowledged_it),
        TEST(test_a_window_of_messages_is_handed_over_at_a_time),
        TEST(test_a_full_pipe_holds_messages_back),
        TEST(test_what_a_lost_publisher_had_not_reported_is_handed_over_again),
        TEST(test_a_final_refusal_is_counted_and_forgotten),
        TEST(test_a_temporary_refusal_is_tried_again_after_a_while_and_delays_no_other),
        TEST(test_a_refused_message_does_not_hold_back_one_that_goes_alone),
        TEST(test_a_connection_that_ends_behind_a_refusal_counts_for_no_message),
        TEST(test_a_message_that_was_set_aside_is_tried_again_alone_after_a_minute),
        TEST(test_a_report_about_an_unknown_message_changes_nothing),
        TEST(test_what_finds_no_room_in_memory_is_read_from_the_ledger),
        TEST(test_a_long_outbox_is_read_in_parts_at_start),
        TEST(test_messages_posted_around_a_read_are_handed_over_once_and_in_order),
        TEST(test_messages_posted_while_older_ones_are_not_read_go_behind_them),
        TEST(test_a_refusal_is_logged_with_topic_and_token),
        TEST(test_an_empty_outbox_is_flushed_in_the_next_iteration),
        TEST(test_a_flush_waits_for_the_last_acknowledgement),
        TEST(test_a_flush_is_reported_once),
        TEST(test_a_flush_waits_for_what_is_not_read_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
