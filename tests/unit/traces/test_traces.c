/* The queue and the batches, with a ledger that answers when the test says so, an HTTP client that
 * records, and timers that the test moves. */
#include "traces/traces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/message.h"
#include "support/fakes/fake_http.h"
#include "support/fakes/fake_timers.h"

#define QUEUE_MAX  2048
#define ASKED_MAX  32
#define COLLECT_MS 1000
#define RETRY_MS   1000

static struct {
    struct counters counters;
    struct traces *traces;
    struct {
        ledger_records_fn *done;
        void *arg;
    } queries[QUEUE_MAX + 1];
    size_t query_count;
    size_t answered_count;
    size_t flush_count;
} fixture;

void ledger_query_token(struct ledger *ledger, struct slice token, ledger_records_fn *done,
                        void *arg)
{
    (void)ledger;
    assert_true(slice_equals_text(token, "t-1"));
    assert_true(fixture.query_count <= QUEUE_MAX);
    fixture.queries[fixture.query_count].done = done;
    fixture.queries[fixture.query_count++].arg = arg;
}

/* ---- steps of a test ---- */

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fake_http_reset();
    fixture.traces = traces_new(NULL, "http://127.0.0.1:4318", "i-1", &fixture.counters);
    traces_connect(fixture.traces, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    traces_free(fixture.traces);
    fake_http_reset();
    assert_int_equal(fake_timers_count(), 0);
    return 0;
}

static void publish(int count)
{
    struct buf bytes = {0};
    const struct message message = {
        .topic = slice_text("replies/t-1"),
        .body = slice_text("{\"Status\":\"succeeded\",\"ClientToken\":\"t-1\"}"),
        .expiry_s = -1,
        .made_at_ms = 1000};
    message_encode(&message, &bytes);
    for (int i = 0; i < count; i++) {
        traces_published(fixture.traces, i + 1, buf_slice(&bytes));
    }
    buf_fini(&bytes);
}

/* Answers all queries, those that follow too: there is no record, so each reply has three spans. */
static void answer_queries(void)
{
    while (fixture.answered_count < fixture.query_count) {
        size_t i = fixture.answered_count++;
        fixture.queries[i].done(fixture.queries[i].arg, STATUS_OK, NULL, 0);
    }
}

static void collect(int count)
{
    publish(count);
    fake_timers_advance(COLLECT_MS);
    answer_queries();
}

static void assert_counted(int64_t sent, int64_t dropped)
{
    assert_int_equal(counter_get(&fixture.counters, COUNTER_TRACES_SENT), sent);
    assert_int_equal(counter_get(&fixture.counters, COUNTER_TRACES_DROPPED), dropped);
}

static size_t spans_in(size_t request)
{
    size_t count = 0;
    const char *text = fake_http_request(request)->body.data;
    while ((text = strstr(text, "\"spanId\"")) != NULL) {
        text++;
        count++;
    }
    return count;
}

static void fail_request(size_t index)
{
    const struct http_answer answer = {
        .result = HTTP_NOT_SENT, .error = "connection refused", .retry_after_ms = -1};
    fake_http_answer(index, &answer);
}

static void note_flushed(void *arg)
{
    (void)arg;
    fixture.flush_count++;
}

/* ---- tests ---- */

static void test_without_an_endpoint_there_are_no_traces(void **state)
{
    (void)state;
    assert_null(traces_new(NULL, "", "i-1", &fixture.counters));
    traces_connect(NULL, NULL);
    traces_stored(NULL, slice_text("t"), 1);
    traces_published(NULL, 1, slice_text("m"));
    traces_flush(NULL, note_flushed, NULL);
    assert_int_equal(fixture.flush_count, 1);
    traces_free(NULL);
}

static void test_replies_of_a_second_go_in_one_request(void **state)
{
    (void)state;
    publish(3);
    fake_timers_advance(COLLECT_MS - 1);
    assert_int_equal(fixture.query_count, 0);
    fake_timers_advance(1);
    assert_int_equal(fixture.query_count, 3);
    assert_int_equal(fake_http_count(), 0);
    answer_queries();
    assert_int_equal(fake_http_count(), 1);
    assert_int_equal(spans_in(0), 9);
    assert_string_equal(fake_http_request(0)->method, "POST");
    assert_string_equal(fake_http_request(0)->url, "http://127.0.0.1:4318/v1/traces");
    assert_string_equal(fake_http_header(0, "content-type"), "application/json");
    assert_counted(0, 0);
    fake_http_answer_text(0, 200, "{}");
    assert_counted(3, 0);
}

static void test_a_path_of_the_endpoint_stays_as_it_is(void **state)
{
    (void)state;
    traces_free(fixture.traces);
    fixture.traces = traces_new(NULL, "https://c.example/api/otlp", "i-1", &fixture.counters);
    collect(1);
    assert_string_equal(fake_http_request(0)->url, "https://c.example/api/otlp");
}

static void test_one_request_is_under_way_at_a_time(void **state)
{
    (void)state;
    collect(1);
    collect(2);
    fake_timers_advance(60000);
    assert_int_equal(fake_http_count(), 1);
    fake_http_answer_text(0, 200, "");
    answer_queries();
    assert_int_equal(fake_http_count(), 2);
    assert_int_equal(spans_in(1), 6);
}

static void test_few_records_are_asked_for_at_a_time_and_a_batch_is_limited(void **state)
{
    (void)state;
    publish(300);
    fake_timers_advance(COLLECT_MS);
    assert_int_equal(fixture.query_count, ASKED_MAX);
    answer_queries();
    assert_int_equal(fake_http_count(), 1);
    assert_in_range(spans_in(0), 512, 512 + 3 * ASKED_MAX);
    fake_http_answer_text(0, 200, "");
    answer_queries();
    fake_http_answer_text(1, 200, "");
    assert_counted(300, 0);
}

static void test_what_finds_no_room_is_dropped_and_counted(void **state)
{
    (void)state;
    publish(QUEUE_MAX + 5);
    assert_counted(0, 5);
}

static void test_a_large_queue_is_limited_by_its_bytes(void **state)
{
    struct buf bytes = {0};
    (void)state;
    memset(buf_reserve(&bytes, 1 << 20), 'x', 1 << 20);
    bytes.length = 1 << 20;
    for (int i = 0; i < 6; i++) {
        traces_published(fixture.traces, i + 1, buf_slice(&bytes));
    }
    assert_counted(0, 2);
    buf_fini(&bytes);
}

static void test_a_request_that_failed_is_sent_again_later(void **state)
{
    static const int statuses[] = {0, 429, 502, 503, 504};
    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        size_t first = fake_http_count();
        collect(1);
        if (statuses[i] == 0) {
            fail_request(first);
        } else {
            fake_http_answer_text(first, statuses[i], "");
        }
        fake_timers_advance(RETRY_MS - 1);
        assert_int_equal(fake_http_count(), first + 1);
        fake_timers_advance(1);
        assert_int_equal(fake_http_count(), first + 2);
        assert_string_equal(fake_http_request(first)->body.data,
                            fake_http_request(first + 1)->body.data);
        fake_http_answer_text(first + 1, 200, "");
        assert_counted((int64_t)i + 1, 0);
    }
}

static void test_a_batch_is_dropped_after_five_tries_and_the_next_one_goes(void **state)
{
    (void)state;
    collect(2);
    publish(1);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(fake_http_count(), i + 1);
        fail_request(i);
        fake_timers_advance(30000);
    }
    assert_counted(0, 2);
    answer_queries();
    assert_int_equal(fake_http_count(), 6);
    assert_int_equal(spans_in(5), 3);
    fake_http_answer_text(5, 200, "");
    assert_counted(1, 2);
}

static void test_a_refused_request_is_not_sent_again(void **state)
{
    (void)state;
    collect(1);
    fake_http_answer_text(0, 400, "");
    assert_counted(0, 1);
    fake_timers_advance(60000);
    assert_int_equal(fake_http_count(), 1);
    collect(1);
    assert_int_equal(fake_http_count(), 2);
}

static void test_a_store_that_fails_leaves_the_spans_of_the_message(void **state)
{
    (void)state;
    publish(1);
    fake_timers_advance(COLLECT_MS);
    fixture.answered_count++;
    fixture.queries[0].done(fixture.queries[0].arg, STATUS_STORE, NULL, 0);
    assert_int_equal(spans_in(0), 3);
}

static void test_a_message_without_a_trace_makes_no_request(void **state)
{
    (void)state;
    traces_published(fixture.traces, 1, slice_text("no message"));
    fake_timers_advance(COLLECT_MS);
    assert_int_equal(fixture.query_count, 0);
    assert_int_equal(fake_http_count(), 0);
    assert_counted(0, 0);
}

static void test_a_reply_without_a_token_has_the_spans_of_its_message(void **state)
{
    struct buf bytes = {0};
    const struct message message = {.topic = slice_text("replies/x"),
                                    .body = slice_text("{\"Status\":\"failed\"}"),
                                    .expiry_s = -1,
                                    .made_at_ms = 1000};
    (void)state;
    message_encode(&message, &bytes);
    traces_published(fixture.traces, 1, buf_slice(&bytes));
    fake_timers_advance(COLLECT_MS);
    assert_int_equal(fixture.query_count, 0);
    assert_int_equal(spans_in(0), 3);
    buf_fini(&bytes);
}

static void test_a_partial_success_is_taken(void **state)
{
    (void)state;
    collect(1);
    fake_http_answer_text(
        0, 200, "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"too old\"}}");
    assert_counted(1, 0);
}

static void test_a_flush_sends_at_once_and_waits_for_the_answer(void **state)
{
    (void)state;
    publish(1);
    traces_flush(fixture.traces, note_flushed, NULL);
    answer_queries();
    assert_int_equal(fake_http_count(), 1);
    assert_int_equal(fixture.flush_count, 0);
    fake_http_answer_text(0, 200, "");
    assert_int_equal(fixture.flush_count, 1);
    traces_flush(fixture.traces, note_flushed, NULL);
    assert_int_equal(fixture.flush_count, 2);
}

static void test_a_flush_does_not_wait_for_a_collector_that_is_down(void **state)
{
    (void)state;
    publish(1);
    traces_flush(fixture.traces, note_flushed, NULL);
    answer_queries();
    fail_request(0);
    assert_int_equal(fixture.flush_count, 1);
    traces_flush(fixture.traces, note_flushed, NULL);
    assert_int_equal(fixture.flush_count, 2);
}

static void test_what_is_left_at_the_end_is_counted(void **state)
{
    (void)state;
    collect(1); /* being sent */
    publish(2); /* in the queue */
    traces_free(fixture.traces);
    fixture.traces = NULL;
    assert_counted(0, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_without_an_endpoint_there_are_no_traces),
        TEST(test_replies_of_a_second_go_in_one_request),
        TEST(test_a_path_of_the_endpoint_stays_as_it_is),
        TEST(test_one_request_is_under_way_at_a_time),
        TEST(test_few_records_are_asked_for_at_a_time_and_a_batch_is_limited),
        TEST(test_what_finds_no_room_is_dropped_and_counted),
        TEST(test_a_large_queue_is_limited_by_its_bytes),
        TEST(test_a_request_that_failed_is_sent_again_later),
        TEST(test_a_batch_is_dropped_after_five_tries_and_the_next_one_goes),
        TEST(test_a_refused_request_is_not_sent_again),
        TEST(test_a_store_that_fails_leaves_the_spans_of_the_message),
        TEST(test_a_message_without_a_trace_makes_no_request),
        TEST(test_a_reply_without_a_token_has_the_spans_of_its_message),
        TEST(test_a_partial_success_is_taken),
        TEST(test_a_flush_sends_at_once_and_waits_for_the_answer),
        TEST(test_a_flush_does_not_wait_for_a_collector_that_is_down),
        TEST(test_what_is_left_at_the_end_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
