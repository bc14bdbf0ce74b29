#include "model/claim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW 1000

static void test_an_unknown_token_is_new(void **state)
{
    (void)state;
    struct claim_found found = {.state = STATE_NONE};
    assert_int_equal(claim_decide(&found, NOW), CLAIM_NEW);
}

static void test_a_token_in_work_waits_or_mismatches(void **state)
{
    (void)state;
    static const enum state in_work[] = {STATE_READY, STATE_CALLING, STATE_UNSURE, STATE_RECALLING};
    for (size_t i = 0; i < sizeof in_work / sizeof in_work[0]; i++) {
        /* An unfinished row does not expire, whatever its columns say. */
        struct claim_found found = {.state = in_work[i], .has_same_fingerprint = true};
        assert_int_equal(claim_decide(&found, NOW), CLAIM_WAITS);
        found.retention = RETENTION_NOT;
        assert_int_equal(claim_decide(&found, NOW), CLAIM_WAITS);
        found.has_same_fingerprint = false;
        assert_int_equal(claim_decide(&found, NOW), CLAIM_MISMATCH);
    }
}

static void test_a_finished_token_is_replayed_or_tried_again_by_its_retention(void **state)
{
    (void)state;
    static const struct {
        enum retention retention;
        enum claim_result with_same;
        enum claim_result with_other;
    } rows[] = {
        {RETENTION_SUCCESS, CLAIM_REPLAYED, CLAIM_MISMATCH},
        {RETENTION_REFUSAL, CLAIM_REPLAYED, CLAIM_MISMATCH},
        {RETENTION_COOLDOWN, CLAIM_REPLAYED, CLAIM_MISMATCH},
        {RETENTION_UNSURE, CLAIM_AGAIN, CLAIM_MISMATCH},
        {RETENTION_GIVEN_UP, CLAIM_AGAIN, CLAIM_MISMATCH},
        {RETENTION_NOT, CLAIM_NEW, CLAIM_NEW},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct claim_found found = {.state = STATE_DONE,
                                    .has_same_fingerprint = true,
                                    .retention = rows[i].retention,
                                    .expires_at_ms = NOW + 1};
        assert_int_equal(claim_decide(&found, NOW), rows[i].with_same);
        found.has_same_fingerprint = false;
        assert_int_equal(claim_decide(&found, NOW), rows[i].with_other);
        found.expires_at_ms = NOW;
        assert_int_equal(claim_decide(&found, NOW), CLAIM_NEW);
        found.has_same_fingerprint = true;
        assert_int_equal(claim_decide(&found, NOW), CLAIM_NEW);
    }
}

static void test_what_was_set_aside_is_replayed_for_a_time_and_then_tried_again(void **state)
{
    (void)state;
    struct claim_found found = {.state = STATE_DONE,
                                .has_same_fingerprint = true,
                                .retention = RETENTION_SET_ASIDE,
                                .expires_at_ms = NOW + 100,
                                .replay_until_ms = NOW + 1};
    assert_int_equal(claim_decide(&found, NOW), CLAIM_REPLAYED);
    assert_int_equal(claim_decide(&found, NOW + 1), CLAIM_AGAIN);
    assert_int_equal(claim_decide(&found, NOW + 100), CLAIM_NEW);
    found.has_same_fingerprint = false;
    assert_int_equal(claim_decide(&found, NOW), CLAIM_MISMATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unknown_token_is_new),
        cmocka_unit_test(test_a_token_in_work_waits_or_mismatches),
        cmocka_unit_test(test_a_finished_token_is_replayed_or_tried_again_by_its_retention),
        cmocka_unit_test(test_what_was_set_aside_is_replayed_for_a_time_and_then_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
