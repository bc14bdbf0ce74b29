/*
 * The history of a command: its bytes, and what a ledger records for the ways of a command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/history.h"
#include "support/ledger_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the bytes ---- */

/* One line for each event; times in ms since BASE_MS. */
#define BASE_MS INT64_C(1767322800000)

static void put_line(struct buf *out, const struct ledger_event *event, bool has_time)
{
    static const char *const NAMES[LEDGER_EVENT_KIND_COUNT] = {
        [LEDGER_EVENT_ARRIVED] = "arrived",
        [LEDGER_EVENT_ATTEMPT_STARTED] = "started",
        [LEDGER_EVENT_ATTEMPT_ENDED] = "ended",
        [LEDGER_EVENT_OUTCOME] = "outcome",
        [LEDGER_EVENT_REPLY_ACKNOWLEDGED] = "acknowledged",
        [LEDGER_EVENT_REPLY_UNDELIVERED] = "undelivered",
        [LEDGER_EVENT_INTERRUPTED] = "interrupted",
        [LEDGER_EVENT_LEFT_OUT] = "left out",
        [LEDGER_EVENT_ORDERED] = "ordered",
    };
    if (has_time) {
        buf_printf(out, "%lld ", (long long)(event->at_ms - BASE_MS));
    }
    buf_append_text(out, NAMES[event->kind]);
    if (event->result != NULL) {
        buf_printf(out, " %s", event->result);
    }
    if (event->attempt != 0) {
        buf_printf(out, " attempt %lld", (long long)event->attempt);
    }
    if (slice_is_present(event->code)) {
        buf_printf(out, " %.*s", (int)event->code.length, event->code.data);
    }
    if (slice_is_present(event->request_id)) {
        buf_printf(out, " %.*s", (int)event->request_id.length, event->request_id.data);
    }
    if (event->reply_id != 0) {
        buf_printf(out, " #%lld", (long long)event->reply_id);
    }
    if (event->count > 1) {
        buf_printf(out, " x%lld", (long long)event->count);
    }
    buf_append_char(out, '\n');
}

static void assert_history(struct slice history, const char *lines)
{
    struct history_reader reader = {.rest = history};
    struct ledger_event event;
    struct buf out = {0};
    while (history_read(&reader, &event)) {
        put_line(&out, &event, true);
    }
    assert_int_equal(reader.rest.length, 0);
    assert_string_equal(out.length == 0 ? "" : out.data, lines);
    buf_fini(&out);
}

static const struct outcome THROTTLED = {
    .status = OUTCOME_FAILED, .code = (char *)"Throttling.User", .request_id = (char *)"R-1"};
static const struct outcome TIMED_OUT = {.status = OUTCOME_UNKNOWN,
                                         .code = (char *)"Bridge.NoAnswer"};

static void test_every_event_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct buf history = {0};
    history_put_arrival(&history, BASE_MS, CLAIM_NEW, false, 127);
    history_put_start(&history, BASE_MS + 1, 1);
    history_put_end(&history, BASE_MS + 2, &THROTTLED);
    history_put_start(&history, BASE_MS + 3, 2);
    history_put_end(&history, BASE_MS + 4, &TIMED_OUT);
    history_put_start(&history, BASE_MS + 5, 3);
    history_put_end(&history, BASE_MS + 6, NULL);
    history_put_start(&history, BASE_MS + 7, 3);
    history_put_interrupted(&history, BASE_MS + 8, true);
    history_put_interrupted(&history, BASE_MS + 9, false);
    history_put_arrival(&history, BASE_MS + 10, CLAIM_WAITS, false, 0);
    history_put_outcome(&history, BASE_MS + 11, OUTCOME_UNKNOWN, false, INT64_C(1) << 40, 2);
    history_put_acknowledged(&history, BASE_MS + 12, INT64_C(1) << 40);
    history_put_undelivered(&history, BASE_MS + 13, (INT64_C(1) << 40) + 1);
    assert_history(buf_slice(&history), "0 arrived claimed #127\n"
                                        "1 started attempt 1\n"
                                        "2 ended failed attempt 1 Throttling.User R-1\n"
                                        "3 started attempt 2\n"
                                        "4 ended no_answer attempt 2 Bridge.NoAnswer\n"
                                        "5 started attempt 3\n"
                                        "6 ended not_made attempt 3\n"
                                        "7 started attempt 3\n"
                                        "8 interrupted crash\n"
                                        "9 interrupted stop\n"
                                        "10 arrived waits\n"
                                        "11 outcome unknown #1099511627776 x2\n"
                                        "12 acknowledged #1099511627776\n"
                                        "13 undelivered #1099511627777\n");
    buf_fini(&history);
}

static void test_an_arrival_that_is_called_at_once_and_an_answer_that_is_the_outcome_are_two_events(
    void **state)
{
    (void)state;
    struct buf history = {0};
    struct buf shown = {0};
    history_put_arrival(&history, BASE_MS, CLAIM_NEW, true, 0);
    history_put_outcome(&history, BASE_MS + 7, OUTCOME_SUCCEEDED, true, 5, 1);
    history_put_acknowledged(&history, BASE_MS + 9, 5);
    assert_true(history.length <= 40); /* most commands are like this */
    history_carry_over(buf_slice(&history), (struct slice){0}, slice_text("C123"), &shown);
    assert_history(buf_slice(&shown), "0 arrived claimed\n"
                                      "0 started attempt 1\n"
                                      "7 ended succeeded attempt 1 C123\n"
                                      "7 outcome succeeded C123 #5\n"
                                      "9 acknowledged #5\n");
    buf_fini(&history);
    buf_fini(&shown);
}

static void test_an_outcome_that_was_carried_over_keeps_its_own_code(void **state)
{
    (void)state;
    struct buf first = {0};
    struct buf second = {0};
    history_put_outcome(&first, BASE_MS, OUTCOME_UNKNOWN, false, 0, 0);
    history_carry_over(buf_slice(&first), slice_text("One"), (struct slice){0}, &second);
    buf_clear(&first);
    history_carry_over(buf_slice(&second), slice_text("Other"), slice_text("R"), &first);
    assert_history(buf_slice(&first), "0 outcome unknown One\n");
    buf_fini(&first);
    buf_fini(&second);
}

/* Appends duplicates number `from` to `to` one by one. */
static void add_duplicates(struct buf *history, int64_t from, int64_t to)
{
    for (int64_t i = from; i <= to; i++) {
        struct buf event = {0};
        struct buf all = {0};
        history_put_arrival(&event, BASE_MS + i, CLAIM_WAITS, false, 0);
        history_append(buf_slice(history), buf_slice(&event), &all);
        buf_fini(&event);
        buf_fini(history);
        *history = all;
    }
}

static void test_acknowledgements_go_where_room_was_left_for_them(void **state)
{
    (void)state;
    struct buf history = {0};
    history_put_outcome(&history, BASE_MS, OUTCOME_SUCCEEDED, false, 127, 2);
    history_put_room(&history, 127, 2);
    for (int64_t reply_id = 128; reply_id >= 127; reply_id--) {
        struct buf event = {0};
        struct buf all = {0};
        history_put_acknowledged(&event, BASE_MS + reply_id, reply_id);
        history_append(buf_slice(&history), buf_slice(&event), &all);
        assert_int_equal(all.length, history.length);
        assert_null(history_fault(buf_slice(&all), STATE_DONE));
        buf_fini(&history);
        buf_fini(&event);
        history = all;
    }
    assert_history(buf_slice(&history), "0 outcome succeeded #127 x2\n"
                                        "128 acknowledged #128\n"
                                        "127 acknowledged #127\n");
    add_duplicates(&history, 1, 1);
    assert_null(history_fault(buf_slice(&history), STATE_DONE));
    buf_fini(&history);
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const struct outcome answer = {.status = OUTCOME_FAILED, .code = text, .request_id = text};
    struct buf history = {0};
    struct ledger_event event;
    history_put_end(&history, BASE_MS, &answer);
    struct history_reader reader = {.rest = buf_slice(&history)};
    assert_true(history_read(&reader, &event));
    assert_int_equal(event.code.length, HISTORY_TEXT_BYTES_MAX);
    assert_int_equal(event.request_id.length, HISTORY_TEXT_BYTES_MAX);
    assert_false(history_read(&reader, &event));
    buf_fini(&history);
}

static void test_of_many_events_the_first_and_the_last_stay(void **state)
{
    (void)state;
    struct buf history = {0};
    struct history_reader reader;
    struct ledger_event event;
    add_duplicates(&history, 1, 64);
    reader = (struct history_reader){.rest = buf_slice(&history)};
    for (int64_t i = 1; i <= 64; i++) {
        assert_true(history_read(&reader, &event));
        assert_int_equal(event.at_ms, BASE_MS + i);
    }
    assert_false(history_read(&reader, &event));
    add_duplicates(&history, 65, 1000);
    reader = (struct history_reader){.rest = buf_slice(&history)};
    for (int64_t i = 1; i <= 16; i++) {
        assert_true(history_read(&reader, &event));
        assert_int_equal(event.at_ms, BASE_MS + i);
    }
    assert_true(history_read(&reader, &event));
    assert_int_equal(event.kind, LEDGER_EVENT_LEFT_OUT);
    assert_int_equal(event.count, 1000 - 64);
    for (int64_t i = 1000 - 48 + 1; i <= 1000; i++) {
        assert_true(history_read(&reader, &event));
        assert_int_equal(event.at_ms, BASE_MS + i);
    }
    assert_false(history_read(&reader, &event));
    assert_int_equal(reader.rest.length, 0);
    buf_fini(&history);
}

static void test_bytes_that_are_no_history_end_it(void **state)
{
    (void)state;
    struct buf history = {0};
    struct ledger_event event;
    history_put_start(&history, BASE_MS, 1);
    for (size_t length = 0; length < history.length; length++) {
        struct history_reader reader = {.rest = slice_of(history.data, length)};
        assert_false(history_read(&reader, &event));
        assert_int_equal(reader.rest.length, length);
    }
    history.data[0] = LEDGER_EVENT_KIND_COUNT;
    struct history_reader reader = {.rest = buf_slice(&history)};
    assert_false(history_read(&reader, &event));
    assert_int_equal(reader.rest.length, history.length);
    buf_fini(&history);
}

/* ---- what a ledger records ---- */

struct answer {
    struct fixture *fixture;
    struct buf lines;
    struct buf json;
    size_t count;
    enum status status;
    bool is_done;
};

static void answered(void *arg, enum status status, const struct ledger_record *const *records,
                     size_t count)
{
    struct answer *answer = arg;
    for (size_t i = 0; i < count; i++) {
        for (size_t e = 0; e < records[i]->event_count; e++) {
            put_line(&answer->lines, &records[i]->events[e], false);
        }
        ledger_record_put(records[i], true, &answer->json);
    }
    answer->count = count;
    answer->status = status;
    answer->is_done = true;
}

static void assert_recorded(struct fixture *fixture, const char *token, const char *lines)
{
    struct answer answer = {0};
    ledger_query_token(fixture->ledger, slice_text(token), answered, &answer);
    fixture_settle(fixture);
    assert_true(answer.is_done);
    assert_int_equal(answer.status, STATUS_OK);
    assert_string_equal(answer.lines.length == 0 ? "" : answer.lines.data, lines);
    buf_fini(&answer.lines);
    buf_fini(&answer.json);
}

static void replaced(void *arg, enum status status)
{
    (void)arg;
    assert_int_equal(status, STATUS_OK);
}

static void test_a_command_is_recorded_from_its_arrival_to_the_acknowledgement(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\n");
    fixture_pause(fixture, "t1", MOVE_NO_ANSWER);
    fixture_begin(fixture, "t1");
    fixture_expect(fixture, "begun t1\n");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "done t1 waits\n");
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t1", .group = "other"});
    fixture_expect(
        fixture, "posted failed t1 IdempotentParameterMismatch to replies/t1\ndone t1 mismatch\n");
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n"
                            "posted succeeded t1 replayed to replies/t1\n");
    ledger_delivered(fixture->ledger, 2, 1);
    ledger_replace(fixture->ledger, 3, 1, (struct slice){0}, replaced, NULL);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 replayed to replies/t1\ndone t1 replayed\n");
    assert_recorded(fixture, "t1",
                    "arrived claimed\n"
                    "started attempt 1\n"
                    "ended no_answer attempt 1 ServiceUnavailable A1B2\n"
                    "started attempt 2\n"
                    "arrived waits\n"
                    "arrived mismatch #1\n"
                    "ended succeeded attempt 2 C123F94F-4E38-19AE-942A-A8D6F44F0000\n"
                    "outcome succeeded C123F94F-4E38-19AE-942A-A8D6F44F0000 #2 x2\n"
                    "acknowledged #2\n"
                    "undelivered #3\n"
                    "arrived replayed #4\n");
}

static void test_a_token_that_goes_upstream_again_keeps_its_history(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture_fail(fixture, "t1", RETENTION_UNSURE);
    fixture_expect(fixture, "posted unknown t1 OperationDenied to replies/t1\n");
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t1", .wants_accepted = true});
    fixture_expect(fixture, "posted accepted t1 to replies/t1\nclaimed t1 unsure\ndone t1 again\n");
    assert_recorded(fixture, "t1",
                    "arrived claimed\n"
                    "outcome unknown OperationDenied 473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E #1\n"
                    "arrived claimed_again #3\n");
}

static void test_a_call_that_was_interrupted_is_recorded(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\n");
    fixture_open_again(fixture);
    fixture_expect(fixture, "claimed t1 unsure\n");
    assert_recorded(fixture, "t1", "arrived claimed\nstarted attempt 1\ninterrupted stop\n");
}

static void test_a_token_without_a_record_has_no_answer(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t1", .unless_found = ERROR_EXPIRED});
    fixture_expect(fixture, "posted failed t1 Bridge.Expired to replies/t1\ndone t1 refused\n");
    assert_recorded(fixture, "t1", "");
}

static size_t count_of(struct fixture *fixture,
                       void (*query)(struct ledger *ledger, size_t limit, ledger_records_fn *done,
                                     void *arg),
                       size_t limit, struct buf *out_json)
{
    struct answer answer = {0};
    query(fixture->ledger, limit, answered, &answer);
    fixture_settle(fixture);
    assert_true(answer.is_done);
    assert_int_equal(answer.status, STATUS_OK);
    buf_append(out_json, buf_slice(&answer.json));
    buf_fini(&answer.lines);
    buf_fini(&answer.json);
    return answer.count;
}

/* Claims the token t1, t2 and so on. */
static void claim_next(struct fixture *fixture, int number, char token[8])
{
    char line[64];
    snprintf(token, 8, "t%d", number);
    snprintf(line, sizeof line, "claimed %s ready\ndone %s new\n", token, token);
    fixture_claim(fixture, token);
    fixture_expect(fixture, line);
}

static void test_commands_in_work_and_the_last_outcomes_are_listed(void **state)
{
    struct fixture *fixture = *state;
    struct buf json = {0};
    for (int i = 1; i <= 4; i++) {
        char token[8];
        claim_next(fixture, i, token);
    }
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n");
    fixture_succeed(fixture, "t4");
    fixture_expect(fixture, "posted succeeded t4 to replies/t4\n");
    assert_int_equal(count_of(fixture, ledger_query_unfinished, 10, &json), 2);
    assert_non_null(strstr(json.data, "\"ClientToken\":\"t2\""));
    assert_non_null(strstr(json.data, "\"ClientToken\":\"t3\""));
    assert_int_equal(count_of(fixture, ledger_query_unfinished, 1, &json), 1);
    buf_clear(&json);
    assert_int_equal(count_of(fixture, ledger_query_outcomes, 10, &json), 2);
    assert_non_null(strstr(json.data, "\"ClientToken\":\"t1\""));
    assert_non_null(strstr(json.data, "\"ClientToken\":\"t4\""));
    assert_null(strstr(json.data, "\"ClientToken\":\"t2\""));
    assert_int_equal(count_of(fixture, ledger_query_outcomes, 1, &json), 1);
    buf_fini(&json);
}

/* Its record expires at once, and the last ones are listed nevertheless. */
static void test_outcomes_that_are_not_kept_are_listed_among_the_others(void **state)
{
    struct fixture *fixture = *state;
    struct buf json = {0};
    for (int i = 1; i <= 20; i++) {
        char token[8];
        char line[64];
        claim_next(fixture, i, token);
        if (i == 20) {
            fixture_succeed(fixture, token);
            snprintf(line, sizeof line, "posted succeeded %s to replies/%s\n", token, token);
        } else {
            fixture_fail(fixture, token, RETENTION_NOT);
            snprintf(line, sizeof line, "posted failed %s OperationDenied to replies/%s\n", token,
                     token);
        }
        fixture_expect(fixture, line);
    }
    assert_int_equal(count_of(fixture, ledger_query_outcomes, 30, &json), 20);
    /* Once a second a batch deletes expired records. */
    int64_t end_ms = clock_mono_ms() + 30000;
    do {
        assert_true(clock_mono_ms() < end_ms);
        buf_clear(&json);
    } while (count_of(fixture, ledger_query_outcomes, 30, &json) > 17);
    assert_int_equal(fixture_counter(fixture, COUNTER_LEDGER_EXPIRED), 19);
    assert_non_null(strstr(json.data, "\"ClientToken\":\"t20\""));
    assert_non_null(strstr(json.data, "\"ClientToken\":\"t19\""));
    assert_non_null(strstr(json.data, "\"ClientToken\":\"t4\""));
    assert_null(strstr(json.data, "\"ClientToken\":\"t3\""));
    assert_int_equal(count_of(fixture, ledger_query_outcomes, 3, &json), 3);
    buf_fini(&json);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_event_is_read_as_it_was_written),
        cmocka_unit_test(
            test_an_arrival_that_is_called_at_once_and_an_answer_that_is_the_outcome_are_two_events),
        cmocka_unit_test(test_an_outcome_that_was_carried_over_keeps_its_own_code),
        cmocka_unit_test(test_acknowledgements_go_where_room_was_left_for_them),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_of_many_events_the_first_and_the_last_stay),
        cmocka_unit_test(test_bytes_that_are_no_history_end_it),
        FIXTURE_TEST(test_a_command_is_recorded_from_its_arrival_to_the_acknowledgement),
        FIXTURE_TEST(test_a_token_that_goes_upstream_again_keeps_its_history),
        FIXTURE_TEST(test_a_call_that_was_interrupted_is_recorded),
        FIXTURE_TEST(test_a_token_without_a_record_has_no_answer),
        FIXTURE_TEST(test_commands_in_work_and_the_last_outcomes_are_listed),
        FIXTURE_TEST(test_outcomes_that_are_not_kept_are_listed_among_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
