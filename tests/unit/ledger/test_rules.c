/*
 * The rules without a store: the plan of a claim for each row that may be found, and the replies of
 * an outcome.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/rules.h"
#include "model/message.h"
#include "support/store_batch.h"

#include <string.h>

#define NOW_MS INT64_C(1767322800000)

static int setup(void **state)
{
    static struct store_batch f;
    f = (struct store_batch){.limits = {.success_ttl_s = 86400,
                                        .failure_ttl_s = 300,
                                        .pending_max = 2,
                                        .waiters_max = 2,
                                        .replies = {1, 3600}},
                             .next_message_id = 7};
    store_batch_begin(&f);
    f.batch.limits = &f.limits;
    f.batch.next_message_id = f.next_message_id;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    store_batch_fini(*state);
    return 0;
}

/* A row of the claim's command. */
static struct store_row row_of(const struct ledger_request *claim, enum state state,
                               enum outcome_status status, enum retention retention)
{
    const struct command *command = claim->claim.ask.command;
    return (struct store_row){
        .id = 3,
        .state = state,
        .action = slice_text(command->action->name),
        .params = slice_text(command->params),
        .region = slice_text(command->region),
        .group = slice_text(command->group),
        .token = slice_text(command->token),
        .fingerprint = slice_of(command->fingerprint, sizeof command->fingerprint),
        .status = (int)status,
        .retention = (int)retention,
        .expires_at_ms = NOW_MS + 1000,
    };
}

static enum claim_plan plan(struct store_batch *f, struct ledger_request *claim,
                            const struct store_row *row, int64_t reply_to_count)
{
    const struct token_found found = {row, reply_to_count};
    return rules_claim(&f->batch, claim, &found);
}

static struct slice message(const struct store_batch *f, const struct ledger_request *request,
                            size_t index)
{
    assert_true(index < request->message_count);
    return ledger_batch_text(&f->batch, f->batch.messages[request->first_message + index].text);
}

/* The body of the request's message contains all these texts, which are separated by semicolons. */
static void assert_reply(const struct store_batch *f, const struct ledger_request *request,
                         size_t index, const char *words)
{
    struct message decoded;
    assert_int_equal(message_decode(message(f, request, index), &decoded), STATUS_OK);
    while (*words != '\0') {
        size_t length = strcspn(words, ";");
        if (memmem(decoded.body.data, decoded.body.length, words, length) == NULL) {
            fail_msg("%.*s is not in %.*s", (int)length, words, (int)decoded.body.length,
                     decoded.body.data);
        }
        words += length + (words[length] == ';' ? 1 : 0);
    }
}

/* ---- nothing found ---- */

static void test_a_new_token_is_inserted_without_a_look_up(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    assert_int_equal(rules_claim(&f->batch, claim, NULL), PLAN_INSERT);
    assert_int_equal(claim->claim.result, CLAIM_NEW);
    assert_int_equal(claim->claim.state, STATE_READY);
    assert_int_equal(claim->message_count, 0);
    assert_int_equal(f->batch.unfinished, 1);
}

static void test_a_command_that_is_called_at_once_is_inserted_as_calling(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    claim->claim.ask.is_called_at_once = true;
    claim->claim.ask.wants_accepted = true;
    assert_int_equal(rules_claim(&f->batch, claim, NULL), PLAN_INSERT);
    assert_int_equal(claim->claim.state, STATE_CALLING);
    assert_reply(f, claim, 0, "\"Status\":\"accepted\";\"Attempts\":0");
}

static void test_a_command_that_may_not_start_is_refused_after_a_look_up(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *late = store_batch_claim(f, "late");
    late->claim.ask.unless_found = ERROR_EXPIRED;
    late->claim.ask.unless_message = "It is too late.";
    assert_int_equal(rules_claim(&f->batch, late, NULL), PLAN_LOOK);
    assert_int_equal(plan(f, late, NULL, 0), PLAN_REPLY);
    assert_int_equal(late->claim.result, CLAIM_REFUSED);
    assert_reply(f, late, 0, "Bridge.Expired;It is too late.");
    f->batch.unfinished = 2;
    struct ledger_request *many = store_batch_claim(f, "many");
    assert_int_equal(rules_claim(&f->batch, many, NULL), PLAN_LOOK);
    assert_int_equal(plan(f, many, NULL, 0), PLAN_REPLY);
    assert_reply(f, many, 0, "Bridge.Overloaded;has 2 unfinished commands");
    assert_int_equal(f->batch.unfinished, 2);
}

static void test_a_token_whose_row_was_deleted_meanwhile_is_inserted(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    assert_int_equal(rules_claim(&f->batch, claim, NULL), PLAN_INSERT);
    assert_int_equal(plan(f, claim, NULL, 0), PLAN_INSERT);
    assert_int_equal(f->batch.unfinished, 1);
}

static void test_the_number_of_records_follows_the_last_plan(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    struct store_row row = row_of(claim, STATE_DONE, OUTCOME_FAILED, RETENTION_NOT);
    f->batch.records = (struct batch_records){10, 3};
    assert_int_equal(rules_claim(&f->batch, claim, NULL), PLAN_INSERT);
    assert_int_equal(f->batch.records.count, 11);
    assert_int_equal(plan(f, claim, &row, 1), PLAN_REPLACE);
    assert_int_equal(f->batch.records.count, 10);
    assert_int_equal(f->batch.records.last_id, claim->claim.id);
}

static void test_the_number_of_records_is_stored_when_some_were_deleted_or_at_times(void **state)
{
    static const struct {
        bool has_replaced;
        bool may_shrink;
        size_t expired_count;
        int64_t count;
        size_t meta_count;
    } rows[] = {
        {false, false, 0, 12, 0}, {false, true, 0, 10, 0},  {false, true, 0, 12, 2},
        {true, false, 0, 10, 2},  {false, false, 2, 12, 2},
    };
    struct store_batch *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        f->batch.records = (struct batch_records){rows[i].count, 3};
        f->batch.records_stored = (struct batch_records){10, 3};
        f->batch.has_replaced = rows[i].has_replaced;
        f->batch.may_shrink = rows[i].may_shrink;
        f->batch.expired_count = rows[i].expired_count;
        f->batch.meta_count = 0;
        rules_end_batch(&f->batch);
        assert_int_equal(f->batch.meta_count, rows[i].meta_count);
        assert_int_equal(f->batch.records_stored.count,
                         rows[i].meta_count == 0 ? 10
                                                 : rows[i].count - (int64_t)rows[i].expired_count);
    }
}

/* ---- a row found ---- */

static void test_a_new_plan_replaces_the_earlier_one(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    struct store_row row = row_of(claim, STATE_CALLING, OUTCOME_SUCCEEDED, RETENTION_SUCCESS);
    f->limits.is_audited = true;
    claim->claim.ask.wants_accepted = true;
    assert_int_equal(rules_claim(&f->batch, claim, NULL), PLAN_INSERT);
    assert_int_equal(claim->message_count, 1);
    assert_string_equal(claim->audit_event, "claimed");
    assert_int_equal(plan(f, claim, &row, 1), PLAN_JOIN);
    assert_int_equal(claim->claim.result, CLAIM_WAITS);
    assert_int_equal(claim->message_count, 0);
    assert_string_equal(claim->audit_event, "joined");
    assert_int_equal(f->batch.unfinished, 0);
}

static void test_duplicates_that_wait_are_limited(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    struct store_row row = row_of(claim, STATE_READY, OUTCOME_SUCCEEDED, RETENTION_SUCCESS);
    assert_int_equal(plan(f, claim, &row, 2), PLAN_JOIN);
    assert_int_equal(plan(f, claim, &row, 3), PLAN_REPLY);
    assert_int_equal(claim->claim.result, CLAIM_REFUSED);
    assert_reply(f, claim, 0, "Bridge.Overloaded;2 commands with this ClientToken wait");
}

static void test_other_parameters_are_a_mismatch_in_every_state(void **state)
{
    static const enum state STATES[] = {STATE_READY, STATE_CALLING, STATE_UNSURE, STATE_DONE};
    static const uint8_t OTHER[DIGEST_SHA256_BYTES] = {1};
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    for (size_t i = 0; i < sizeof STATES / sizeof STATES[0]; i++) {
        struct store_row row = row_of(claim, STATES[i], OUTCOME_SUCCEEDED, RETENTION_SUCCESS);
        row.fingerprint = slice_of(OTHER, sizeof OTHER);
        assert_int_equal(plan(f, claim, &row, 1), PLAN_REPLY);
        assert_int_equal(claim->claim.result, CLAIM_MISMATCH);
        assert_reply(f, claim, 0, "IdempotentParameterMismatch");
    }
}

/* For a DONE row: the plan, the state of a new row, and the reply if nothing may be started. */
static void test_a_done_command_is_replayed_or_starts_again(void **state)
{
    static const struct {
        enum outcome_status status;
        enum retention retention;
        bool is_over;
        enum claim_plan plan;
        enum state state;
        const char *full; /* the reply if nothing may be started */
    } CASES[] = {
        {OUTCOME_SUCCEEDED, RETENTION_SUCCESS, false, PLAN_REPLY, STATE_NONE, "succeeded"},
        {OUTCOME_FAILED, RETENTION_REFUSAL, false, PLAN_REPLY, STATE_NONE, "failed"},
        {OUTCOME_FAILED, RETENTION_COOLDOWN, false, PLAN_REPLY, STATE_NONE, "failed"},
        {OUTCOME_SUCCEEDED, RETENTION_SUCCESS, true, PLAN_REPLACE, STATE_READY, "Overloaded"},
        {OUTCOME_FAILED, RETENTION_GIVEN_UP, false, PLAN_REPLACE, STATE_READY, "Overloaded"},
        {OUTCOME_FAILED, RETENTION_NOT, false, PLAN_REPLACE, STATE_READY, "Overloaded"},
        {OUTCOME_UNKNOWN, RETENTION_UNSURE, false, PLAN_REPLACE, STATE_UNSURE, "unknown"},
        {OUTCOME_UNKNOWN, RETENTION_UNSURE, true, PLAN_REPLACE, STATE_READY, "Overloaded"},
    };
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct store_row row = row_of(claim, STATE_DONE, CASES[i].status, CASES[i].retention);
        row.expires_at_ms = CASES[i].is_over ? NOW_MS : NOW_MS + 1;
        f->batch.unfinished = 0;
        claim->claim.is_counted = false;
        assert_int_equal(plan(f, claim, &row, 0), CASES[i].plan);
        assert_int_equal(f->batch.unfinished, CASES[i].plan == PLAN_REPLACE);
        if (CASES[i].plan == PLAN_REPLACE) {
            assert_int_equal(claim->claim.state, CASES[i].state);
        } else {
            assert_int_equal(claim->claim.result, CLAIM_REPLAYED);
            assert_reply(f, claim, 0, "\"Replayed\":true");
        }
        f->batch.unfinished = 2 + claim->claim.is_counted;
        assert_int_equal(plan(f, claim, &row, 0), PLAN_REPLY);
        assert_reply(f, claim, 0, CASES[i].full);
    }
}

static void test_an_unknown_outcome_that_is_called_at_once_becomes_recalling(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    struct store_row row = row_of(claim, STATE_DONE, OUTCOME_UNKNOWN, RETENTION_UNSURE);
    claim->claim.ask.is_called_at_once = true;
    assert_int_equal(plan(f, claim, &row, 0), PLAN_REPLACE);
    assert_int_equal(claim->claim.result, CLAIM_AGAIN);
    assert_int_equal(claim->claim.state, STATE_RECALLING);
}

static void test_a_replay_has_what_was_observed(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    struct store_row row = row_of(claim, STATE_DONE, OUTCOME_UNKNOWN, RETENTION_UNSURE);
    row.observed = slice_text("{\"Conclusion\":\"not_seen\"}");
    f->batch.unfinished = 2;
    assert_int_equal(plan(f, claim, &row, 0), PLAN_REPLY);
    assert_reply(f, claim, 0, "\"Observed\":{\"Conclusion\":\"not_seen\"}");
}

static void test_a_command_set_aside_is_replayed_for_the_time_of_a_failure(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    struct store_row row = row_of(claim, STATE_DONE, OUTCOME_UNKNOWN, RETENTION_SET_ASIDE);
    int64_t longer_ms = (f->limits.success_ttl_s - f->limits.failure_ttl_s) * 1000;
    row.expires_at_ms = NOW_MS + longer_ms + 1;
    assert_int_equal(plan(f, claim, &row, 0), PLAN_REPLY);
    assert_int_equal(claim->claim.result, CLAIM_REPLAYED);
    row.expires_at_ms = NOW_MS + longer_ms;
    assert_int_equal(plan(f, claim, &row, 0), PLAN_REPLACE);
    assert_int_equal(claim->claim.state, STATE_UNSURE);
}

/* ---- outcomes ---- */

static const struct reply_to HERE = {.topic = (char *)"here"};
static const struct reply_to NOWHERE = {.topic = NULL};

static void test_all_senders_get_the_outcome_with_growing_ids(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *finish = store_batch_finish(f, "t", 3, NOW_MS);
    f->batch.unfinished = 1;
    rules_finish(&f->batch, finish);
    rules_answer(&f->batch, finish, &HERE);
    rules_answer(&f->batch, finish, &NOWHERE);
    rules_answer(&f->batch, finish, &HERE);
    rules_finish_end(&f->batch, finish);
    assert_int_equal(finish->finish.reply_to_count, 3);
    assert_int_equal(finish->message_count, 2);
    assert_reply(f, finish, 0, "\"Status\":\"succeeded\";\"Replayed\":false");
    assert_reply(f, finish, 1, "\"Status\":\"succeeded\";\"Replayed\":true");
    assert_int_equal(f->batch.messages[0].id, 7);
    assert_int_equal(f->batch.messages[1].id, 8);
    assert_int_equal(f->batch.next_message_id, 9);
    assert_int_equal(f->batch.unfinished, 0);
    assert_false(slice_is_present(finish_error(&finish->finish)));
    assert_int_equal(finish->finish.expires_at_ms, NOW_MS + 86400000);
}

static void test_an_outcome_without_end_does_not_overflow(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *finish = store_batch_finish(f, "t", 3, NOW_MS);
    f->limits.success_ttl_s = INT64_MAX;
    rules_finish(&f->batch, finish);
    assert_true(finish->finish.expires_at_ms == INT64_MAX);
}

/* A batch that is planned a second time has the same bytes and ids. */
static void test_a_second_plan_is_the_same(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *claim = store_batch_claim(f, "t");
    struct ledger_request *finish = store_batch_finish(f, "t", 3, NOW_MS);
    struct buf first = {0};
    claim->claim.ask.wants_accepted = true;
    for (int i = 0; i < 2; i++) {
        ledger_batch_reset(&f->batch);
        f->batch.next_message_id = 7;
        rules_claim(&f->batch, claim, NULL);
        rules_finish(&f->batch, finish);
        rules_answer(&f->batch, finish, &HERE);
        if (i == 0) {
            buf_append(&first, buf_slice(&f->batch.bytes));
        }
    }
    assert_true(slice_equals(buf_slice(&first), buf_slice(&f->batch.bytes)));
    assert_int_equal(f->batch.messages[1].id, 8);
    buf_fini(&first);
}

/* A store that sends a batch again gets the same audit records again. Only a batch that failed
 * gives its Seqs back. */
static void test_an_audit_record_keeps_its_seq_until_the_batch_is_reset(void **state)
{
    struct store_batch *f = *state;
    struct ledger_request *requests[] = {store_batch_claim(f, "t"), store_batch_add_audit(f, 1)};
    struct buf first = {0};
    f->limits.is_audited = true;
    for (int attempt = 0; attempt < 2; attempt++) {
        ledger_batch_reset(&f->batch);
        f->batch.last_audit_seq = 10;
        rules_claim(&f->batch, requests[0], NULL);
        rules_add_audit(&f->batch, requests[1]);
        for (int sending = 0; sending < 3; sending++) {
            struct buf text = {0};
            for (int i = 0; i < 2; i++) {
                assert_int_equal(rules_audit_record(&f->batch, requests[i], &text), 11 + i);
            }
            if (first.length == 0) {
                buf_append(&first, buf_slice(&text));
            }
            assert_true(slice_equals(buf_slice(&first), buf_slice(&text)));
            assert_int_equal(f->batch.last_audit_seq, 12);
            buf_fini(&text);
        }
    }
    buf_fini(&first);
}

#define RULES_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULES_TEST(test_a_new_token_is_inserted_without_a_look_up),
        RULES_TEST(test_a_command_that_is_called_at_once_is_inserted_as_calling),
        RULES_TEST(test_a_command_that_may_not_start_is_refused_after_a_look_up),
        RULES_TEST(test_a_token_whose_row_was_deleted_meanwhile_is_inserted),
        RULES_TEST(test_the_number_of_records_follows_the_last_plan),
        RULES_TEST(test_the_number_of_records_is_stored_when_some_were_deleted_or_at_times),
        RULES_TEST(test_a_new_plan_replaces_the_earlier_one),
        RULES_TEST(test_duplicates_that_wait_are_limited),
        RULES_TEST(test_other_parameters_are_a_mismatch_in_every_state),
        RULES_TEST(test_a_done_command_is_replayed_or_starts_again),
        RULES_TEST(test_an_unknown_outcome_that_is_called_at_once_becomes_recalling),
        RULES_TEST(test_a_replay_has_what_was_observed),
        RULES_TEST(test_a_command_set_aside_is_replayed_for_the_time_of_a_failure),
        RULES_TEST(test_all_senders_get_the_outcome_with_growing_ids),
        RULES_TEST(test_an_outcome_without_end_does_not_overflow),
        RULES_TEST(test_a_second_plan_is_the_same),
        RULES_TEST(test_an_audit_record_keeps_its_seq_until_the_batch_is_reset),
    };
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
