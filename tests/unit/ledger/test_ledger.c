/*
 * The ledger on a real SQLite file and a real loop: what happens once per token, which replies are
 * posted, and what a restart finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ledger/sqlite/sqlite.h"
#include "support/ledger_fixture.h"
#include "support/store_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Claims and finishes a command and expects the lines of that. */
static void claim_and_succeed(struct fixture *fixture, const char *token)
{
    struct buf lines = {0};
    fixture_claim(fixture, token);
    buf_printf(&lines, "claimed %s ready\ndone %s new\n", token, token);
    fixture_expect(fixture, lines.data);
    fixture_succeed(fixture, token);
    buf_clear(&lines);
    buf_printf(&lines, "posted succeeded %s to replies/%s\n", token, token);
    fixture_expect(fixture, lines.data);
    buf_fini(&lines);
}

static void claim_and_fail(struct fixture *fixture, const char *token, enum retention retention)
{
    struct buf lines = {0};
    fixture_claim(fixture, token);
    buf_printf(&lines, "claimed %s ready\ndone %s new\n", token, token);
    fixture_expect(fixture, lines.data);
    fixture_fail(fixture, token, retention);
    buf_clear(&lines);
    buf_printf(&lines, "posted %s %s OperationDenied to replies/%s\n",
               retention == RETENTION_UNSURE ? "unknown" : "failed", token, token);
    fixture_expect(fixture, lines.data);
    buf_fini(&lines);
}

/* ---- once per token ---- */

static void test_a_new_command_is_claimed(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    assert_true(fixture_command(fixture, "t1")->id > 0);
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 1);
}

static void test_a_command_that_is_called_at_once_is_claimed_as_calling(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\n");
}

static void test_the_outcome_goes_to_its_reply_to(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim_as(
        fixture,
        &(struct fixture_claim){.token = "t1", .topic = "somewhere/else", .correlation_id = "c-7"});
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture_command(fixture, "t1")->attempts = 3;
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to somewhere/else #c-7\n");
    assert_non_null(strstr(fixture->last_body.data, "\"Replayed\":false"));
    assert_non_null(strstr(fixture->last_body.data, "\"Attempts\":3"));
    assert_non_null(
        strstr(fixture->last_body.data, "\"RequestId\":\"C123F94F-4E38-19AE-942A-A8D6F44F0000\""));
    assert_null(strstr(fixture->last_body.data, "\"Error\""));
    assert_int_equal(fixture_counter(fixture, COUNTER_SUCCEEDED), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 0);
    assert_int_equal(fixture_counter(fixture, COUNTER_OUTBOX_DEPTH), 1);
}

static void test_an_accepted_reply_is_posted_before_the_claim_is_done(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t1", .wants_accepted = true});
    fixture_expect(fixture, "posted accepted t1 to replies/t1\nclaimed t1 ready\ndone t1 new\n");
    assert_null(strstr(fixture->last_body.data, "CompletedAt"));
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t1", .wants_accepted = true});
    fixture_expect(fixture, "done t1 waits\n");
}

static void test_duplicates_in_work_wait_and_each_gets_its_own_reply(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_claim_as(
        fixture, &(struct fixture_claim){.token = "t1", .topic = "a", .correlation_id = "first"});
    fixture_claim_as(
        fixture, &(struct fixture_claim){.token = "t1", .topic = "b", .correlation_id = "second"});
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\ndone t1 waits\ndone t1 waits\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_WAITING), 2);
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n"
                            "posted succeeded t1 replayed to a #first\n"
                            "posted succeeded t1 replayed to b #second\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_WAITING), 0);
    assert_int_equal(fixture_counter(fixture, COUNTER_REPLAYED), 2);
    assert_int_equal(fixture_counter(fixture, COUNTER_SUCCEEDED), 1);
}

/* The text from `name` to the end of its value. */
static void copy_field(const char *body, const char *name, char out[64])
{
    const char *field = strstr(body, name);
    assert_non_null(field);
    size_t length = strcspn(field, ",}");
    assert_true(length < 64);
    memcpy(out, field, length);
    out[length] = '\0';
}

static void test_a_success_is_replayed_with_the_first_ones_times_and_attempts(void **state)
{
    static const char *const FIELDS[] = {"\"RequestId\"", "\"ReceivedAt\"", "\"CompletedAt\"",
                                         "\"Attempts\""};
    struct fixture *fixture = *state;
    char first[4][64];
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture_command(fixture, "t1")->attempts = 5;
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n");
    for (size_t i = 0; i < 4; i++) {
        copy_field(fixture->last_body.data, FIELDS[i], first[i]);
    }
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t1", .topic = "new/place"});
    fixture_expect(fixture, "posted succeeded t1 replayed to new/place\ndone t1 replayed\n");
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(strstr(fixture->last_body.data, first[i]));
    }
    assert_int_equal(fixture_counter(fixture, COUNTER_REPLAYED), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 0);
}

static void test_a_definite_refusal_is_replayed_with_its_error(void **state)
{
    struct fixture *fixture = *state;
    claim_and_fail(fixture, "t1", RETENTION_REFUSAL);
    char error[64];
    copy_field(fixture->last_body.data, "\"Error\"", error);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture,
                   "posted failed t1 OperationDenied replayed to replies/t1\ndone t1 replayed\n");
    assert_non_null(strstr(fixture->last_body.data, error));
    assert_non_null(strstr(fixture->last_body.data, "The operation is not permitted."));
    assert_int_equal(fixture_counter(fixture, COUNTER_FAILED), 1);
}

static void test_a_cooldown_that_has_ended_is_not_replayed(void **state)
{
    struct fixture *fixture = *state;
    claim_and_fail(fixture, "t1", RETENTION_COOLDOWN);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
}

static void test_a_refusal_about_the_bridge_does_not_use_up_the_token(void **state)
{
    struct fixture *fixture = *state;
    claim_and_fail(fixture, "t1", RETENTION_NOT);
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t1", .one_shot = true});
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
}

static void test_an_expired_record_is_new(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.success_ttl_s = 0;
    fixture_open_again(fixture);
    claim_and_succeed(fixture, "t1");
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t1", .one_shot = true});
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
}

static void test_a_command_that_was_given_up_is_called_again(void **state)
{
    struct fixture *fixture = *state;
    claim_and_fail(fixture, "t1", RETENTION_GIVEN_UP);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 again\n");
    assert_int_equal(fixture_command(fixture, "t1")->attempts, 0);
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n");
}

static void test_a_command_with_an_unknown_outcome_is_called_again_as_unsure(void **state)
{
    struct fixture *fixture = *state;
    claim_and_fail(fixture, "t1", RETENTION_UNSURE);
    assert_int_equal(fixture_counter(fixture, COUNTER_UNKNOWN), 1);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 unsure\ndone t1 again\n");
    fixture_fail(fixture, "t1", RETENTION_UNSURE);
    fixture_expect(fixture, "posted unknown t1 OperationDenied to replies/t1\n");
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 recalling\ndone t1 again\n");
}

static void test_a_command_that_starts_again_comes_after_earlier_ones(void **state)
{
    struct fixture *fixture = *state;
    claim_and_fail(fixture, "t1", RETENTION_GIVEN_UP);
    fixture_claim(fixture, "t2");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t2 ready\ndone t2 new\nclaimed t1 ready\ndone t1 again\n");
    fixture_open_again(fixture);
    fixture_expect(fixture, "claimed t2 ready\nclaimed t1 ready\n");
}

static void test_a_token_with_other_parameters_is_refused_and_the_record_stays(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t1", .one_shot = true, .topic = "x"});
    fixture_expect(fixture,
                   "claimed t1 ready\ndone t1 new\n"
                   "posted failed t1 IdempotentParameterMismatch to x\ndone t1 mismatch\n");
    assert_non_null(strstr(fixture->last_body.data, "\"OneShot\":true"));
    assert_non_null(strstr(fixture->last_body.data, "\"Attempts\":0"));
    assert_non_null(strstr(fixture->last_body.data, "\"CompletedAt\""));
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n");
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t1", .group = "other", .topic = "x"});
    fixture_expect(fixture,
                   "posted failed t1 IdempotentParameterMismatch to x\ndone t1 mismatch\n");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 replayed to replies/t1\ndone t1 replayed\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSED), 2);
    assert_int_equal(fixture_counter(fixture, COUNTER_WAITING), 0);
}

static void test_a_late_command_is_refused_and_does_not_use_up_the_token(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t1", .unless_found = ERROR_EXPIRED});
    fixture_expect(fixture, "posted failed t1 Bridge.Expired to replies/t1\ndone t1 refused\n");
    assert_non_null(strstr(fixture->last_body.data, "It is too late."));
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSED), 1);
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t1", .one_shot = true});
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
}

static void test_a_stored_outcome_is_replayed_even_to_a_late_command(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_claim_as(fixture, &(struct fixture_claim){
                                  .token = "t1", .topic = "late", .unless_found = ERROR_EXPIRED});
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\ndone t1 waits\n");
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture,
                   "posted succeeded t1 to replies/t1\nposted succeeded t1 replayed to late\n");
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t1", .unless_found = ERROR_EXPIRED});
    fixture_expect(fixture, "posted succeeded t1 replayed to replies/t1\ndone t1 replayed\n");
}

static void test_a_late_command_does_not_start_again(void **state)
{
    struct fixture *fixture = *state;
    claim_and_fail(fixture, "t1", RETENTION_GIVEN_UP);
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t1", .unless_found = ERROR_SHUTTING_DOWN});
    fixture_expect(fixture,
                   "posted failed t1 Bridge.ShuttingDown to replies/t1\ndone t1 refused\n");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 again\n");
}

static void test_an_unknown_outcome_is_replayed_if_the_command_may_not_start_again(void **state)
{
    struct fixture *fixture = *state;
    claim_and_fail(fixture, "t1", RETENTION_UNSURE);
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t1", .unless_found = ERROR_EXPIRED});
    fixture_expect(fixture,
                   "posted unknown t1 OperationDenied replayed to replies/t1\ndone t1 replayed\n");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 unsure\ndone t1 again\n");
}

/* ---- limits ---- */

static void test_new_commands_are_refused_while_too_many_are_unfinished(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.pending_max = 2;
    fixture_open_again(fixture);
    fixture_claim(fixture, "t1");
    fixture_claim(fixture, "t2");
    fixture_claim(fixture, "t3");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\nclaimed t2 ready\ndone t2 new\n"
                            "posted failed t3 Bridge.Overloaded to replies/t3\ndone t3 refused\n"
                            "done t2 waits\n");
    assert_non_null(strstr(fixture->last_body.data, "2 unfinished commands"));
    fixture_fail(fixture, "t1", RETENTION_GIVEN_UP);
    fixture_claim(fixture, "t3");
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "posted failed t1 OperationDenied to replies/t1\n"
                            "claimed t3 ready\ndone t3 new\n"
                            "posted failed t1 Bridge.Overloaded to replies/t1\ndone t1 refused\n");
}

static void test_unfinished_commands_of_an_earlier_run_count(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.pending_max = 1;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture_open_again(fixture);
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "claimed t1 ready\n"
                            "posted failed t2 Bridge.Overloaded to replies/t2\ndone t2 refused\n");
}

static void test_too_many_duplicates_are_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.waiters_max = 2;
    fixture_open_again(fixture);
    for (int i = 0; i < 4; i++) {
        fixture_claim(fixture, "t1");
    }
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\ndone t1 waits\ndone t1 waits\n"
                            "posted failed t1 Bridge.Overloaded to replies/t1\ndone t1 refused\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_WAITING), 2);
    fixture_succeed(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 to replies/t1\n"
                            "posted succeeded t1 replayed to replies/t1\n"
                            "posted succeeded t1 replayed to replies/t1\n");
}

/* ---- called at once ---- */

static void test_a_duplicate_of_a_command_that_is_called_at_once_is_not_called(void **state)
{
    struct fixture *fixture = *state;
    claim_and_succeed(fixture, "t1");
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 replayed to replies/t1\ndone t1 replayed\n");
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t1", .one_shot = true});
    fixture_expect(fixture, "posted failed t1 IdempotentParameterMismatch to replies/t1\n"
                            "done t1 mismatch\n");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "claimed t2 calling\ndone t2 new\n");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "done t2 waits\n");
    assert_int_equal(fixture_command(fixture, "t2")->attempts, 1);
}

/* ---- state changes and restarts ---- */

static void test_a_call_in_flight_is_unsure_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture_begin(fixture, "t1");
    assert_int_equal(fixture_command(fixture, "t1")->state, STATE_READY);
    fixture_expect(fixture, "begun t1\n");
    assert_int_equal(fixture_command(fixture, "t1")->state, STATE_CALLING);
    fixture_open_again(fixture);
    fixture_expect(fixture, "claimed t1 unsure\n");
    assert_int_equal(fixture_command(fixture, "t1")->attempts, 1);
    fixture_begin(fixture, "t1");
    fixture_expect(fixture, "begun t1\n");
    assert_int_equal(fixture_command(fixture, "t1")->state, STATE_RECALLING);
}

static void test_a_pause_sets_the_state_at_once_and_is_stored(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "nothing");
    fixture_claim(fixture, "unsure");
    fixture_expect(fixture, "claimed nothing calling\ndone nothing new\n"
                            "claimed unsure calling\ndone unsure new\n");
    fixture_command(fixture, "nothing")->attempts = 2;
    fixture_command(fixture, "nothing")->not_before_ms = 12345;
    fixture_pause(fixture, "nothing", MOVE_NOTHING_DONE);
    fixture_pause(fixture, "unsure", MOVE_NO_ANSWER);
    assert_int_equal(fixture_command(fixture, "nothing")->state, STATE_READY);
    assert_int_equal(fixture_command(fixture, "unsure")->state, STATE_UNSURE);
    fixture_open_again(fixture);
    fixture_expect(fixture, "claimed nothing ready\nclaimed unsure unsure\n");
    assert_int_equal(fixture_command(fixture, "nothing")->attempts, 2);
    assert_int_equal(fixture_command(fixture, "nothing")->not_before_ms, 12345);
}

static void test_a_pause_alone_is_committed_soon(void **state)
{
    struct fixture *fixture = *state;
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 calling\ndone t1 new\n");
    int64_t commits = fixture_counter(fixture, COUNTER_LEDGER_COMMITS);
    fixture_pause(fixture, "t1", MOVE_NOTHING_DONE);
    fixture_begin(fixture, "t1");
    fixture_expect(fixture, "begun t1\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_LEDGER_COMMITS), commits + 1);
}

static void test_a_restart_resumes_in_order_of_arrival_with_everything(void **state)
{
    struct fixture *fixture = *state;
    char token[16];
    struct buf lines = {0};
    for (int i = 20; i > 0; i--) {
        snprintf(token, sizeof token, "t%d", i);
        fixture_claim(fixture, token);
        buf_printf(&lines, "claimed %s ready\ndone %s new\n", token, token);
    }
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t7", .topic = "w", .correlation_id = "c"});
    buf_append_text(&lines, "done t7 waits\n");
    fixture_expect(fixture, lines.data);
    int64_t deadline_at_ms = fixture_command(fixture, "t7")->deadline_at_ms;
    fixture_open_again(fixture);
    buf_clear(&lines);
    for (int i = 20; i > 0; i--) {
        buf_printf(&lines, "claimed t%d ready\n", i);
    }
    fixture_expect(fixture, lines.data);
    struct command *command = fixture_command(fixture, "t7");
    assert_ptr_equal(command->route, &fixture->route);
    assert_string_equal(command->group, "t7");
    assert_int_equal(command->deadline_at_ms, deadline_at_ms);
    assert_int_equal(fixture_counter(fixture, COUNTER_RESUMED),
                     20 + 1); /* and the duplicate that waits */
    assert_int_equal(fixture_counter(fixture, COUNTER_IN_WORK), 20);
    assert_int_equal(fixture_counter(fixture, COUNTER_WAITING), 1);
    fixture_succeed(fixture, "t7");
    fixture_expect(fixture,
                   "posted succeeded t7 to replies/t7\nposted succeeded t7 replayed to w #c\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_WAITING), 0);
    buf_fini(&lines);
}

static void test_a_command_of_a_removed_route_is_resumed_without_a_route(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture->options.route_count = 0;
    fixture_open_again(fixture);
    fixture_expect(fixture, "claimed t1 ready\n");
    assert_null(fixture_command(fixture, "t1")->route);
}

static void test_an_outcome_is_known_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    claim_and_succeed(fixture, "t1");
    fixture_open_again(fixture);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 replayed to replies/t1\ndone t1 replayed\n");
}

static void test_closing_commits_the_queue(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture_succeed(fixture, "t1");
    ledger_remember(fixture->ledger, "fact", 5);
    fixture_open_again(fixture);
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "posted succeeded t1 replayed to replies/t1\ndone t1 replayed\n");
    fixture_read(fixture, 0, 1);
    fixture_expect(fixture, "found succeeded t1 to replies/t1\nread 1\n");
}

/* ---- the outbox ---- */

static void test_a_refusal_and_a_dead_letter_are_counted_and_posted(void **state)
{
    struct fixture *fixture = *state;
    fixture_post(fixture, "refusal", false);
    fixture_post(fixture, "letter", true);
    fixture_expect(fixture, "posted refusal\nkept\nposted letter\nkept\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSED), 2);
    assert_int_equal(fixture_counter(fixture, COUNTER_DEAD_LETTERS), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_OUTBOX_DEPTH), 2);
}

static void test_a_message_is_stored_until_it_is_delivered(void **state)
{
    struct fixture *fixture = *state;
    fixture_post(fixture, "a", false);
    fixture_post(fixture, "b", false);
    fixture_expect(fixture, "posted a\nkept\nposted b\nkept\n");
    int64_t b = fixture->last_message_id;
    fixture_open_again(fixture);
    assert_int_equal(fixture_counter(fixture, COUNTER_OUTBOX_DEPTH), 2);
    fixture_read(fixture, 0, 10);
    fixture_expect(fixture, "found a\nfound b\nread 2\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_OUTBOX_BYTES), 2);
    ledger_delivered(fixture->ledger, b - 1, 1);
    ledger_delivered(fixture->ledger, b - 1, 1);
    fixture_read(fixture, 0, 10);
    fixture_expect(fixture, "found b\nread 1\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_OUTBOX_DEPTH), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_OUTBOX_BYTES), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_PUBLISHED), 1);
}

static void replaced(void *arg, enum status status)
{
    assert_int_equal(status, STATUS_OK);
    ++*(int *)arg;
}

static void test_an_undeliverable_message_becomes_a_dead_letter_and_is_no_refusal(void **state)
{
    struct fixture *fixture = *state;
    int replaced_count = 0;
    fixture_post(fixture, "reply", false);
    fixture_expect(fixture, "posted reply\nkept\n");
    ledger_replace(fixture->ledger, fixture->last_message_id, 5, slice_text("letter"), replaced,
                   &replaced_count);
    fixture_read(fixture, 0, 10);
    fixture_expect(fixture, "posted letter\nfound letter\nread 1\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_DEAD_LETTERS), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_OUTBOX_BYTES), 6);
    ledger_replace(fixture->ledger, fixture->last_message_id, 6, (struct slice){0}, replaced,
                   &replaced_count);
    fixture_read(fixture, 0, 10);
    fixture_expect(fixture, "read 0\n");
    assert_int_equal(replaced_count, 2);
    assert_int_equal(fixture_counter(fixture, COUNTER_OUTBOX_DEPTH), 0);
    assert_int_equal(fixture_counter(fixture, COUNTER_OUTBOX_BYTES), 0);
    assert_int_equal(fixture_counter(fixture, COUNTER_PUBLISHED), 0);
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSED), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_DEAD_LETTERS), 1);
}

static void test_a_read_contains_what_was_posted_before_it_only(void **state)
{
    struct fixture *fixture = *state;
    fixture_post(fixture, "a", false);
    fixture_read(fixture, 0, 10);
    fixture_post(fixture, "b", false);
    fixture_expect(fixture, "posted a\nkept\nfound a\nread 1\nposted b\nkept\n");
    fixture_read(fixture, 0, 1);
    fixture_expect(fixture, "found a\nread 1\n");
}

/* ---- batches ---- */

static void test_requests_of_one_turn_are_committed_together_and_answered_in_order(void **state)
{
    enum { COUNT = 200 };
    struct fixture *fixture = *state;
    struct buf lines = {0};
    fixture_settle(fixture);
    int64_t commits = fixture_counter(fixture, COUNTER_LEDGER_COMMITS);
    for (int i = 0; i < COUNT; i++) {
        char token[16];
        snprintf(token, sizeof token, "t%d", i);
        fixture_claim(fixture, token);
        buf_printf(&lines, "claimed %s ready\ndone %s new\n", token, token);
    }
    fixture_expect(fixture, lines.data);
    assert_in_range(fixture_counter(fixture, COUNTER_LEDGER_COMMITS) - commits, 1, COUNT / 4);
    buf_fini(&lines);
}

static void test_requests_for_more_than_one_batch_are_answered_in_order(void **state)
{
    enum { COUNT = 1500 };
    struct fixture *fixture = *state;
    struct buf lines = {0};
    for (int i = 0; i < COUNT; i++) {
        char text[16];
        snprintf(text, sizeof text, "m%d", i);
        fixture_post(fixture, text, false);
        buf_printf(&lines, "posted %s\nkept\n", text);
    }
    fixture_expect(fixture, lines.data);
    assert_true(fixture_counter(fixture, COUNTER_LEDGER_COMMITS) >= 3);
    buf_fini(&lines);
}

/* The time in which so many claims of one turn, and then a message, are committed. */
static int64_t time_us(struct fixture *fixture, int claim_count)
{
    static int number;
    struct buf lines = {0};
    int64_t start_us = clock_mono_us();
    for (int i = 0; i < claim_count; i++) {
        char token[16];
        snprintf(token, sizeof token, "t%d", number++);
        fixture_claim(fixture, token);
        buf_printf(&lines, "claimed %s ready\ndone %s new\n", token, token);
    }
    fixture_expect(fixture, lines.data);
    fixture_post(fixture, "m", false);
    fixture_expect(fixture, "posted m\nkept\n");
    buf_fini(&lines);
    return clock_mono_us() - start_us;
}

static void test_several_claims_delay_the_next_batch_and_one_does_not(void **state)
{
    struct fixture *fixture = *state;
    int64_t alone_us = INT64_MAX;
    int64_t together_us = INT64_MAX;
    /* The shortest times count: on a busy machine it takes more rounds until one is not delayed. */
    for (int round = 0; round < 20 || (alone_us >= together_us && round < 1000); round++) {
        int64_t one_us = time_us(fixture, 1);
        int64_t four_us = time_us(fixture, 4);
        alone_us = one_us < alone_us ? one_us : alone_us;
        together_us = four_us < together_us ? four_us : together_us;
    }
    assert_true(together_us >= 1000);
    assert_true(alone_us < together_us);
}

static void test_a_delivery_alone_is_committed_soon(void **state)
{
    struct fixture *fixture = *state;
    fixture_post(fixture, "a", false);
    fixture_expect(fixture, "posted a\nkept\n");
    ledger_delivered(fixture->ledger, fixture->last_message_id, 1);
    fixture_await(fixture, COUNTER_PUBLISHED, 1);
}

/* Writes records that expired long ago. */
static void store_expired(struct fixture *fixture, int record_count)
{
    struct store_batch batch;
    const struct store_ops *ops = NULL;
    struct store *store = fixture_open_store(fixture, &ops);
    char token[16];
    store_batch_init(&batch, ops, store);
    int64_t first_id = batch.last_id + 1;
    for (int i = 0; i < record_count; i++) {
        snprintf(token, sizeof token, "old%d", i);
        store_batch_claim(&batch, token);
    }
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    store_batch_begin(&batch);
    for (int i = 0; i < record_count; i++) {
        snprintf(token, sizeof token, "old%d", i);
        store_batch_finish(&batch, token, first_id + i, 2);
    }
    assert_int_equal(store_batch_run(&batch), STATUS_OK);
    store_batch_fini(&batch);
    ops->close(store);
}

static void test_expired_records_are_deleted_in_small_steps_without_other_requests(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture, 1000);
    store_expired(fixture, 150);
    fixture_open(fixture);
    int64_t commits = fixture_counter(fixture, COUNTER_LEDGER_COMMITS);
    fixture_settle(fixture);
    fixture_await(fixture, COUNTER_LEDGER_EXPIRED, 150);
    assert_true(fixture_counter(fixture, COUNTER_LEDGER_COMMITS) - commits >= 3);
}

/* With only a few rows at a time, a busy ledger would keep what expired and grow. */
static void test_more_records_are_deleted_than_a_busy_ledger_gets(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture, 1000);
    store_expired(fixture, 2000);
    fixture_open(fixture);
    fixture_settle(fixture);
    fixture_await(fixture, COUNTER_LEDGER_EXPIRED, 1);
    int64_t before = fixture_counter(fixture, COUNTER_LEDGER_EXPIRED);
    for (int i = 0; i < 400; i++) {
        ledger_delivered(fixture->ledger, 1000 + i, 1);
    }
    fixture_settle(fixture);
    assert_true(fixture_counter(fixture, COUNTER_LEDGER_EXPIRED) - before >= 400);
}

/* ---- figures ---- */

static void test_the_records_are_counted_over_restarts(void **state)
{
    struct fixture *fixture = *state;
    fixture_claim(fixture, "t1");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\nclaimed t2 ready\ndone t2 new\n");
    fixture_fail(fixture, "t1", RETENTION_NOT);
    fixture_expect(fixture, "posted failed t1 OperationDenied to replies/t1\n");
    fixture_claim(fixture, "t1"); /* replaces the record */
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_LEDGER_RECORDS), 2);
    fixture_claim(fixture, "t3");
    fixture_expect(fixture, "claimed t3 ready\ndone t3 new\n");
    fixture_open_again(fixture);
    fixture_expect(fixture, "claimed t2 ready\nclaimed t1 ready\nclaimed t3 ready\n");
    assert_int_equal(fixture_counter(fixture, COUNTER_LEDGER_RECORDS), 3);
    fixture_close(fixture, 1000);
    store_expired(fixture, 5); /* as of an older version, which does not count them */
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t2 ready\nclaimed t1 ready\nclaimed t3 ready\n");
    fixture_settle(fixture);
    fixture_await(fixture, COUNTER_LEDGER_EXPIRED, 5);
    assert_int_equal(fixture_counter(fixture, COUNTER_LEDGER_RECORDS), 3);
}

static void test_refusals_are_counted_by_their_code(void **state)
{
    struct fixture *fixture = *state;
    fixture_post(fixture, "a", false);
    fixture_claim_as(fixture,
                     &(struct fixture_claim){.token = "t1", .unless_found = ERROR_EXPIRED});
    fixture_claim(fixture, "t2");
    fixture_claim_as(fixture, &(struct fixture_claim){.token = "t2", .group = "other"});
    fixture_settle(fixture);
    fixture->line_count = 0;
    buf_clear(&fixture->log);
    fixture->awaited_count = 0;
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSAL_MALFORMED_PAYLOAD), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSAL_EXPIRED), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSAL_PARAMETER_MISMATCH), 1);
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSAL_OVERLOADED), 0);
    assert_int_equal(fixture_counter(fixture, COUNTER_REFUSED), 3);
}

static void test_the_time_of_commits_and_syncs_is_observed(void **state)
{
    struct fixture *fixture = *state;
    int64_t commits = 0;
    int64_t syncs = 0;
    fixture->options.is_full = true;
    fixture_open_again(fixture);
    fixture_post(fixture, "a", false);
    fixture_expect(fixture, "posted a\nkept\n");
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        commits += fixture->counters.histograms[HISTOGRAM_COMMIT].buckets[i];
        syncs += fixture->counters.histograms[HISTOGRAM_FSYNC].buckets[i];
    }
    assert_int_equal(commits, fixture_counter(fixture, COUNTER_LEDGER_COMMITS));
    assert_true(commits > 0);
    assert_true(syncs > 0 || fixture_is_shared(fixture)); /* the server does not say it */
    assert_true(fixture_counter(fixture, COUNTER_LEDGER_BYTES) > 0);
}

/* ---- the rest ---- */

static void test_a_value_is_recalled_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    const struct ledger_hooks hooks = {.arg = NULL};
    struct buf why = {0};
    ledger_remember(fixture->ledger, "session:in", 41);
    ledger_remember(fixture->ledger, "session:in", 42);
    fixture_close(fixture, 1000);
    assert_int_equal(ledger_open(fixture->loop, &fixture->options, &hooks, &fixture->ledger, &why),
                     STATUS_OK);
    assert_int_equal(ledger_recall(fixture->ledger, "session:in", -1), 42);
    assert_int_equal(ledger_recall(fixture->ledger, "session:out", -1), -1);
    fixture_close(fixture, 1000);
    fixture_open(fixture);
    buf_fini(&why);
}

static void note_key(void *arg, const char *key, int64_t value)
{
    buf_printf(arg, "%s=%lld ", key, (long long)value);
}

static void test_values_are_listed_by_prefix_and_forgotten(void **state)
{
    struct fixture *fixture = *state;
    const struct ledger_hooks hooks = {.arg = NULL};
    struct buf why = {0};
    struct buf keys = {0};
    ledger_remember(fixture->ledger, "broker.session:b", 2);
    ledger_remember(fixture->ledger, "broker.session:a", 1);
    ledger_remember(fixture->ledger, "broker.session:c", 3);
    ledger_remember(fixture->ledger, "broker.sessions", 4);
    ledger_forget(fixture->ledger, "broker.session:c");
    ledger_forget(fixture->ledger, "broker.session:never");
    fixture_close(fixture, 1000);
    assert_int_equal(ledger_open(fixture->loop, &fixture->options, &hooks, &fixture->ledger, &why),
                     STATUS_OK);
    ledger_recall_all(fixture->ledger, "broker.session:", note_key, &keys);
    assert_string_equal(keys.data, "broker.session:a=1 broker.session:b=2 ");
    fixture_close(fixture, 1000);
    fixture_open(fixture);
    buf_fini(&keys);
    buf_fini(&why);
}

static void test_an_unknown_kind_of_store_is_refused_by_name(void **state)
{
    static const char *const STORES[] = {"mysql://x/y", "ledger.db", "sqlite:", ""};
    struct fixture *fixture = *state;
    const struct ledger_hooks hooks = {.arg = NULL};
    for (size_t i = 0; i < sizeof STORES / sizeof STORES[0]; i++) {
        struct ledger_options options = fixture->options;
        struct ledger *ledger = NULL;
        struct buf why = {0};
        options.store = STORES[i];
        assert_int_equal(ledger_open(fixture->loop, &options, &hooks, &ledger, &why),
                         STATUS_INVALID);
        assert_null(ledger);
        assert_non_null(strstr(why.data, "sqlite:PATH"));
        buf_fini(&why);
    }
}

static void test_a_second_bridge_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct ledger_hooks hooks = {.arg = NULL};
    struct ledger *ledger = NULL;
    struct buf why = {0};
    assert_int_equal(ledger_open(fixture->loop, &fixture->options, &hooks, &ledger, &why),
                     STATUS_BUSY);
    assert_non_null(strstr(why.data, "in use"));
    buf_fini(&why);
}

static void test_closing_nothing_is_allowed(void **state)
{
    (void)state;
    ledger_close(NULL, 0);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_new_command_is_claimed),
        FIXTURE_TEST(test_a_command_that_is_called_at_once_is_claimed_as_calling),
        FIXTURE_TEST(test_the_outcome_goes_to_its_reply_to),
        FIXTURE_TEST(test_an_accepted_reply_is_posted_before_the_claim_is_done),
        FIXTURE_TEST(test_duplicates_in_work_wait_and_each_gets_its_own_reply),
        FIXTURE_TEST(test_a_success_is_replayed_with_the_first_ones_times_and_attempts),
        FIXTURE_TEST(test_a_definite_refusal_is_replayed_with_its_error),
        FIXTURE_TEST(test_a_cooldown_that_has_ended_is_not_replayed),
        FIXTURE_TEST(test_a_refusal_about_the_bridge_does_not_use_up_the_token),
        FIXTURE_TEST(test_an_expired_record_is_new),
        FIXTURE_TEST(test_a_command_that_was_given_up_is_called_again),
        FIXTURE_TEST(test_a_command_with_an_unknown_outcome_is_called_again_as_unsure),
        FIXTURE_TEST(test_a_command_that_starts_again_comes_after_earlier_ones),
        FIXTURE_TEST(test_a_token_with_other_parameters_is_refused_and_the_record_stays),
        FIXTURE_TEST(test_a_late_command_is_refused_and_does_not_use_up_the_token),
        FIXTURE_TEST(test_a_stored_outcome_is_replayed_even_to_a_late_command),
        FIXTURE_TEST(test_a_late_command_does_not_start_again),
        FIXTURE_TEST(test_an_unknown_outcome_is_replayed_if_the_command_may_not_start_again),
        FIXTURE_TEST(test_new_commands_are_refused_while_too_many_are_unfinished),
        FIXTURE_TEST(test_unfinished_commands_of_an_earlier_run_count),
        FIXTURE_TEST(test_too_many_duplicates_are_refused),
        FIXTURE_TEST(test_a_duplicate_of_a_command_that_is_called_at_once_is_not_called),
        FIXTURE_TEST(test_a_call_in_flight_is_unsure_after_a_restart),
        FIXTURE_TEST(test_a_pause_sets_the_state_at_once_and_is_stored),
        FIXTURE_TEST(test_a_pause_alone_is_committed_soon),
        FIXTURE_TEST(test_a_restart_resumes_in_order_of_arrival_with_everything),
        FIXTURE_TEST(test_a_command_of_a_removed_route_is_resumed_without_a_route),
        FIXTURE_TEST(test_an_outcome_is_known_after_a_restart),
        FIXTURE_TEST(test_closing_commits_the_queue),
        FIXTURE_TEST(test_a_refusal_and_a_dead_letter_are_counted_and_posted),
        FIXTURE_TEST(test_a_message_is_stored_until_it_is_delivered),
        FIXTURE_TEST(test_an_undeliverable_message_becomes_a_dead_letter_and_is_no_refusal),
        FIXTURE_TEST(test_a_read_contains_what_was_posted_before_it_only),
        FIXTURE_TEST(test_requests_of_one_turn_are_committed_together_and_answered_in_order),
        FIXTURE_TEST(test_requests_for_more_than_one_batch_are_answered_in_order),
        FIXTURE_TEST(test_several_claims_delay_the_next_batch_and_one_does_not),
        FIXTURE_TEST(test_a_delivery_alone_is_committed_soon),
        FIXTURE_TEST(test_expired_records_are_deleted_in_small_steps_without_other_requests),
        FIXTURE_TEST(test_more_records_are_deleted_than_a_busy_ledger_gets),
        FIXTURE_TEST(test_the_records_are_counted_over_restarts),
        FIXTURE_TEST(test_refusals_are_counted_by_their_code),
        FIXTURE_TEST(test_the_time_of_commits_and_syncs_is_observed),
        FIXTURE_TEST(test_a_value_is_recalled_after_a_restart),
        FIXTURE_TEST(test_values_are_listed_by_prefix_and_forgotten),
        FIXTURE_TEST(test_an_unknown_kind_of_store_is_refused_by_name),
        FIXTURE_TEST(test_a_second_bridge_is_refused),
        FIXTURE_TEST(test_closing_nothing_is_allowed),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
