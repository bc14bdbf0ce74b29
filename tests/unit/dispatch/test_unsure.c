/*
 * Commands of which an attempt may have had an effect.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fakes/dispatch_fixture.h"

static void test_once_unsure_a_later_throttling_cannot_make_it_a_failure(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 2000);
    fixture_answer(0, REACTION_RETRY_UNSURE, "InternalError", 10);
    assert_int_equal(fixture.last_pause, MOVE_NO_ANSWER);
    fixture_run(2, 0, 5000);
    fixture_answer(1, REACTION_THROTTLE, "Throttling", 60000);
    fixture_assert_done(0, "t1", OUTCOME_UNKNOWN, "InternalError");
}

/* The state of a command after an attempt without a definite answer, and after a restart. */
static void begin_unsure(void)
{
    fixture_claim("g1", "t1", 2000);
    fixture_answer(0, REACTION_RETRY_UNSURE, "Bridge.NoDefiniteAnswer", 10);
    fixture_run(2, 0, 5000);
    assert_int_equal(fixture.call_count, 2);
}

static void resume_unsure(void)
{
    fixture_resume("g1", "t1", 0);
    assert_int_equal(fixture.call_count, 1);
}

static void test_once_unsure_any_refusal_is_unknown_with_its_code(void **state)
{
    static const struct {
        enum reaction reaction;
        const char *code;
        const char *expected;
    } cases[] = {
        {REACTION_REPLY, "NoSuchResource", "NoSuchResource"},
        {REACTION_REPLY, "OperationDenied.InvalidStatus", "OperationDenied.InvalidStatus"},
        {REACTION_REPLY_BRIDGE, "InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.NotFound"},
        {REACTION_REPLY_BRIDGE, "Bridge.NoCredentials", "Bridge.NoDefiniteAnswer"},
        {REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", "OperationDenied.ManualSyncLimit"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int is_resumed = 0; is_resumed < 2; is_resumed++) {
            print_message("%s\n", cases[i].code);
            fixture_begin_anew(2);
            fixture.done_count = 0;
            if (is_resumed) {
                resume_unsure();
            } else {
                begin_unsure();
            }
            fixture_answer(fixture.call_count - 1, cases[i].reaction, cases[i].code, 50);
            fixture_assert_done(0, "t1", OUTCOME_UNKNOWN, cases[i].expected);
            assert_int_equal(fixture.done[0].retention, RETENTION_UNSURE);
        }
    }
}

static void test_once_unsure_a_cooldown_is_not_waited_for(void **state)
{
    (void)state;
    fixture.route.may_defer_cooldown = true;
    begin_unsure();
    fixture_answer(1, REACTION_COOLDOWN, "OperationDenied.ManualSyncLimit", 50);
    fixture_assert_done(0, "t1", OUTCOME_UNKNOWN, "OperationDenied.ManualSyncLimit");
}

static void test_once_unsure_a_remedy_is_tried_and_its_refusal_is_unknown(void **state)
{
    static const enum reaction remedies[] = {REACTION_CREDENTIALS_ONCE, REACTION_CLOCK_ONCE,
                                             REACTION_RESIGN_ONCE};
    (void)state;
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++) {
        fixture_begin_anew(2);
        fixture.done_count = 0;
        begin_unsure();
        fixture_answer(1, remedies[i], "Refused.First", -1);
        assert_int_equal(fixture.call_count, 3);
        fixture_answer(2, remedies[i], "Refused.Again", -1);
        fixture_assert_done(0, "t1", OUTCOME_UNKNOWN, "Refused.Again");
        assert_int_equal(fixture.done[0].retention, RETENTION_UNSURE);
    }
}

static void test_a_429_is_the_reply_but_once_unsure_it_is_tried_again(void **state)
{
    (void)state;
    fixture_claim("g0", "t0", 2000);
    fixture_answer(0, REACTION_REPLY, "TooMany", -1);
    fixture_assert_done(0, "t0", OUTCOME_FAILED, "TooMany");
    fixture_begin_anew(2);
    fixture.done_count = 0;
    begin_unsure();
    fixture_answer(1, REACTION_REPLY, "TooMany", 10);
    assert_int_equal(fixture.done_count, 0);
    fixture_run(3, 0, 5000);
    fixture_answer(2, REACTION_DONE, NULL, -1);
    fixture_assert_done(0, "t1", OUTCOME_SUCCEEDED, "");
}

static void test_a_command_resumed_as_unsure_and_given_up_is_unknown(void **state)
{
    (void)state;
    struct command *command = fixture_make("g1", "t1", 300);
    command->state = STATE_UNSURE;
    dispatch_resume(fixture.dispatch, command, true);
    fixture_run(1, 0, 5000);
    assert_int_equal(fixture.calls[0].command->state, STATE_RECALLING);
    fixture_answer(0, REACTION_RETRY, "Bridge.Unreachable", 60000);
    fixture_assert_done(0, "t1", OUTCOME_UNKNOWN, "Bridge.NoDefiniteAnswer");
}

static void test_a_new_signature_is_tried_once(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_answer(0, REACTION_RESIGN_ONCE, "SignatureNonceUsed", -1);
    assert_int_equal(fixture.call_count, 2);
    fixture_answer(1, REACTION_RESIGN_ONCE, "SignatureNonceUsed", -1);
    fixture_assert_done(0, "t1", OUTCOME_UNKNOWN, "SignatureNonceUsed");
    assert_int_equal(fixture.done[0].attempts, 2);
}

static void test_a_used_nonce_means_that_another_copy_may_have_had_effect(void **state)
{
    (void)state;
    fixture_claim("g1", "t1", 10000);
    fixture_answer(0, REACTION_RESIGN_ONCE, "SignatureNonceUsed", -1);
    assert_int_equal(fixture.last_pause, MOVE_NO_ANSWER);
    fixture_answer(1, REACTION_REPLY, "OperationDenied.InvalidStatus", -1);
    fixture_assert_done(0, "t1", OUTCOME_UNKNOWN, "OperationDenied.InvalidStatus");
    fixture_claim("g2", "t2", 1000);
    fixture_answer(2, REACTION_RESIGN_ONCE, "SignatureNonceUsed", -1);
    fixture_answer(3, REACTION_RETRY, "ServiceUnavailable", 5000);
    fixture_assert_done(1, "t2", OUTCOME_UNKNOWN, "SignatureNonceUsed");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_once_unsure_a_later_throttling_cannot_make_it_a_failure),
        TEST(test_once_unsure_any_refusal_is_unknown_with_its_code),
        TEST(test_once_unsure_a_cooldown_is_not_waited_for),
        TEST(test_once_unsure_a_remedy_is_tried_and_its_refusal_is_unknown),
        TEST(test_a_429_is_the_reply_but_once_unsure_it_is_tried_again),
        TEST(test_a_command_resumed_as_unsure_and_given_up_is_unknown),
        TEST(test_a_new_signature_is_tried_once),
        TEST(test_a_used_nonce_means_that_another_copy_may_have_had_effect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
