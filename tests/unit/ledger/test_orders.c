/* Orders of an operator about commands whose outcome is unknown: retry and resolve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ledger/view.h"
#include "support/ledger_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_MS 60000
#define WAIT_MS     30000

/* Adds the line "ordered RESULT", and keeps the command of a retry. */
static void ordered(void *arg, enum status status, enum ledger_order order,
                    struct command *command_take)
{
    static const char *const names[] = {
        [LEDGER_ORDER_DONE] = "done",
        [LEDGER_ORDER_NO_RECORD] = "no record",
        [LEDGER_ORDER_IN_WORK] = "in work",
        [LEDGER_ORDER_DEFINITE] = "definite",
    };
    struct fixture *fixture = arg;
    buf_printf(&fixture->log, "ordered %s\n", status == STATUS_OK ? names[order] : "store");
    fixture->line_count++;
    if (command_take != NULL) {
        assert_int_equal(command_take->state, STATE_UNSURE);
        assert_int_equal(command_take->crashes, 0);
        fixture->held[fixture->held_count++] = command_take;
    }
    if (fixture->line_count >= fixture->awaited_count) {
        loop_stop(fixture->loop);
    }
}

static void retry(struct fixture *fixture, const char *token)
{
    ledger_retry(fixture->ledger, slice_text(token), clock_wall_ms() + DEADLINE_MS, ordered,
                 fixture);
}

static void resolve(struct fixture *fixture, const char *token, enum outcome_status status)
{
    struct outcome outcome = {.status = OUTCOME_SUCCEEDED, .retention = RETENTION_SUCCESS};
    if (status == OUTCOME_SUCCEEDED) {
        outcome.request_id = mem_strdup("R-found");
    } else {
        outcome_of_error(&outcome,
                         status == OUTCOME_FAILED ? ERROR_RESOLVED : ERROR_NO_DEFINITE_ANSWER,
                         "seen in the console");
    }
    ledger_resolve(fixture->ledger, slice_text(token), &outcome, slice_text("seen in the console"),
                   ordered, fixture);
    outcome_fini(&outcome);
}

/* Waits for all requests; their lines do not matter. */
static void drop_lines(struct fixture *fixture)
{
    fixture_settle(fixture);
    buf_clear(&fixture->log);
    fixture->line_count = 0;
}

/* A command with a duplicate that ended unknown. */
static void end_unknown(struct fixture *fixture, const char *token, enum bridge_error error)
{
    struct outcome outcome;
    char lines[400];
    const char *code = bridge_error_row(error)->code;
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = token, .topic = "first", .group = "pg"});
    drop_lines(fixture);
    fixture_claim_as(
        fixture, &(struct fixture_claim){
                     .token = token, .topic = "second", .group = "pg", .correlation_id = "two"});
    drop_lines(fixture);
    fixture_begin(fixture, token);
    drop_lines(fixture);
    outcome_of_error(&outcome, error, "nobody knows");
    fixture_finish(fixture, token, &outcome);
    outcome_fini(&outcome);
    snprintf(lines, sizeof lines,
             "posted unknown %s %s to first\nposted unknown %s %s replayed to second #two\n", token,
             code, token, code);
    fixture_expect(fixture, lines);
}

static int64_t sum_of_ends(struct fixture *fixture)
{
    static const enum counter ends[] = {COUNTER_SUCCEEDED, COUNTER_FAILED,   COUNTER_UNKNOWN,
                                        COUNTER_REFUSED,   COUNTER_REPLAYED, COUNTER_WAITING,
                                        COUNTER_IN_WORK};
    int64_t sum = 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        sum += fixture_counter(fixture, ends[i]);
    }
    return sum;
}

static void test_a_retry_goes_on_as_unsure_and_everybody_who_asked_gets_the_outcome(void **state)
{
    struct fixture *fixture = *state;
    end_unknown(fixture, "t", ERROR_NO_DEFINITE_ANSWER);
    int64_t before = sum_of_ends(fixture) - fixture_counter(fixture, COUNTER_RESUMED);
    retry(fixture, "t");
    fixture_expect(fixture, "ordered done\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_WAITING), 1);
    fixture_begin(fixture, "t");
    fixture_expect(fixture, "begun t\n");
    assert_int_equal(fixture_command(fixture, "t")->state, STATE_RECALLING);
    fixture_succeed(fixture, "t");
    fixture_expect(fixture, "posted succeeded t to first\n"
                            "posted succeeded t replayed to second #two\n");
    assert_int_equal(sum_of_ends(fixture) - fixture_counter(fixture, COUNTER_RESUMED), before);
    retry(fixture, "t");
    resolve(fixture, "t", OUTCOME_FAILED);
    fixture_expect(fixture, "ordered definite\nordered definite\n");
}

static void test_what_was_set_aside_can_be_ordered_again(void **state)
{
    struct fixture *fixture = *state;
    end_unknown(fixture, "t", ERROR_SET_ASIDE);
    retry(fixture, "t");
    fixture_expect(fixture, "ordered done\n");
    retry(fixture, "t");
    resolve(fixture, "t", OUTCOME_UNKNOWN);
    fixture_expect(fixture, "ordered in work\nordered in work\n");
    fixture_succeed(fixture, "t");
    fixture_expect(fixture, "posted succeeded t to first\n"
                            "posted succeeded t replayed to second #two\n");
}

static void test_a_retry_is_durable_and_a_later_duplicate_waits_for_it(void **state)
{
    struct fixture *fixture = *state;
    end_unknown(fixture, "t", ERROR_NO_DEFINITE_ANSWER);
    retry(fixture, "t");
    fixture_expect(fixture, "ordered done\n");
    fixture_close(fixture, 1000);
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t unsure\n");
    assert_true(fixture_command(fixture, "t")->deadline_at_ms > clock_wall_ms());
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t", .topic = "third", .group = "pg"});
    fixture_expect(fixture, "done t waits\n");
    fixture_succeed(fixture, "t");
    fixture_expect(fixture, "posted succeeded t to first\n"
                            "posted succeeded t replayed to second #two\n"
                            "posted succeeded t replayed to third\n");
}

static void test_a_resolve_is_the_outcome_for_everybody_and_for_later_duplicates(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *token;
        enum outcome_status status;
        const char *posted; /* with %s for the token */
    } cases[] = {
        {"s", OUTCOME_SUCCEEDED, "succeeded %s"},
        {"f", OUTCOME_FAILED, "failed %s Bridge.Resolved"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        char lines[300];
        snprintf(text, sizeof text, i == 0 ? "succeeded %s" : "failed %s Bridge.Resolved",
                 cases[i].token);
        end_unknown(fixture, cases[i].token, ERROR_NO_DEFINITE_ANSWER);
        int64_t before = sum_of_ends(fixture) - fixture_counter(fixture, COUNTER_RESUMED);
        resolve(fixture, cases[i].token, cases[i].status);
        snprintf(lines, sizeof lines,
                 "posted %s to first\nposted %s replayed to second #two\nordered done\n", text,
                 text);
        fixture_expect(fixture, lines);
        assert_int_equal(sum_of_ends(fixture) - fixture_counter(fixture, COUNTER_RESUMED), before);
        fixture_claim_as(fixture, &(struct fixture_claim){
                                      .token = cases[i].token, .topic = "third", .group = "pg"});
        snprintf(lines, sizeof lines, "posted %s replayed to third\ndone %s replayed\n", text,
                 cases[i].token);
        fixture_expect(fixture, lines);
        retry(fixture, cases[i].token);
        fixture_expect(fixture, "ordered definite\n");
    }
}

/* Somebody else may find out more later. */
static void test_what_is_resolved_as_unknown_can_be_ordered_again(void **state)
{
    struct fixture *fixture = *state;
    end_unknown(fixture, "t", ERROR_SET_ASIDE);
    resolve(fixture, "t", OUTCOME_UNKNOWN);
    fixture_expect(fixture, "posted unknown t Bridge.NoDefiniteAnswer to first\n"
                            "posted unknown t Bridge.NoDefiniteAnswer replayed to second #two\n"
                            "ordered done\n");
    resolve(fixture, "t", OUTCOME_SUCCEEDED);
    fixture_expect(fixture, "posted succeeded t to first\n"
                            "posted succeeded t replayed to second #two\n"
                            "ordered done\n");
}

static void test_only_what_is_unknown_can_be_ordered(void **state)
{
    struct fixture *fixture = *state;
    retry(fixture, "nothing");
    resolve(fixture, "nothing", OUTCOME_FAILED);
    fixture_expect(fixture, "ordered no record\nordered no record\n");
    fixture_claim(fixture, "t");
    drop_lines(fixture);
    retry(fixture, "t");
    fixture_expect(fixture, "ordered in work\n");
    fixture_fail(fixture, "t", RETENTION_GIVEN_UP);
    drop_lines(fixture);
    retry(fixture, "t");
    resolve(fixture, "t", OUTCOME_SUCCEEDED);
    fixture_expect(fixture, "ordered definite\nordered definite\n");
}

static void print_line(void *arg, struct slice line)
{
    (void)arg;
    print_message("%.*s\n", (int)line.length, line.data);
}

/* What is kept of who asked goes with the record: when its token goes upstream again, and when it
 * expires. */
static void test_kept_reply_places_go_with_their_record(void **state)
{
    struct fixture *fixture = *state;
    struct buf why = {0};
    end_unknown(fixture, "again", ERROR_NO_DEFINITE_ANSWER);
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "again", .topic = "third", .group = "pg"});
    drop_lines(fixture);
    fixture_succeed(fixture, "again");
    fixture_expect(fixture, "posted succeeded again to third\n");
    fixture_close(fixture, 1000);
    fixture->options.success_ttl_s = 1;
    fixture_open(fixture);
    end_unknown(fixture, "expired", ERROR_NO_DEFINITE_ANSWER);
    end_unknown(fixture, "kept", ERROR_NO_DEFINITE_ANSWER);
    /* Requests make the ledger look for what has expired. */
    int64_t end_ms = clock_mono_ms() + WAIT_MS;
    while (fixture_counter(fixture, COUNTER_LEDGER_EXPIRED) < 2 && clock_mono_ms() < end_ms) {
        fixture_settle(fixture);
    }
    assert_int_equal(fixture_counter(fixture, COUNTER_LEDGER_EXPIRED), 2);
    fixture_close(fixture, 1000);
    int64_t fault_count = 0;
    int64_t record_count = 0;
    assert_int_equal(
        ledger_verify(SOURCE(fixture->store), print_line, NULL, &fault_count, &record_count, &why),
        STATUS_OK);
    assert_int_equal(fault_count, 0);
    buf_fini(&why);
    fixture_open(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_retry_goes_on_as_unsure_and_everybody_who_asked_gets_the_outcome),
        TEST(test_what_was_set_aside_can_be_ordered_again),
        TEST(test_a_retry_is_durable_and_a_later_duplicate_waits_for_it),
        TEST(test_a_resolve_is_the_outcome_for_everybody_and_for_later_duplicates),
        TEST(test_what_is_resolved_as_unknown_can_be_ordered_again),
        TEST(test_only_what_is_unknown_can_be_ordered),
        TEST(test_kept_reply_places_go_with_their_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
