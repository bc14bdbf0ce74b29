#include "model/outcome.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_the_bridges_errors_are_those_of_the_contract(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        enum category category;
    } rows[ERROR_COUNT] = {
        [ERROR_MALFORMED_PAYLOAD] = {"Bridge.MalformedPayload", CATEGORY_INVALID},
        [ERROR_PAYLOAD_TOO_LARGE] = {"Bridge.PayloadTooLarge", CATEGORY_INVALID},
        [ERROR_TOO_MANY_COMMANDS] = {"Bridge.TooManyCommands", CATEGORY_INVALID},
        [ERROR_MISSING_PARAMETER] = {"Bridge.MissingParameter", CATEGORY_INVALID},
        [ERROR_INVALID_PARAMETER] = {"Bridge.InvalidParameter", CATEGORY_INVALID},
        [ERROR_UNKNOWN_PARAMETER] = {"Bridge.UnknownParameter", CATEGORY_INVALID},
        [ERROR_RETAINED] = {"Bridge.Retained", CATEGORY_INVALID},
        [ERROR_EXPIRED] = {"Bridge.Expired", CATEGORY_EXPIRED},
        [ERROR_NOT_ALLOWED] = {"Bridge.NotAllowed", CATEGORY_DENIED},
        [ERROR_REPLY_TOPIC_NOT_ALLOWED] = {"Bridge.ReplyTopicNotAllowed", CATEGORY_DENIED},
        [ERROR_OVERLOADED] = {"Bridge.Overloaded", CATEGORY_OVERLOADED},
        [ERROR_NO_CREDENTIALS] = {"Bridge.NoCredentials", CATEGORY_UNAVAILABLE},
        [ERROR_UNREACHABLE] = {"Bridge.Unreachable", CATEGORY_UNAVAILABLE},
        [ERROR_REPLY_UNDELIVERED] = {"Bridge.ReplyUndelivered", CATEGORY_UNAVAILABLE},
        [ERROR_NO_DEFINITE_ANSWER] = {"Bridge.NoDefiniteAnswer", CATEGORY_UNKNOWN_OUTCOME},
        [ERROR_SHUTTING_DOWN] = {"Bridge.ShuttingDown", CATEGORY_OVERLOADED},
        [ERROR_RESOLVED] = {"Bridge.Resolved", CATEGORY_CONFLICT},
        [ERROR_SET_ASIDE] = {"Bridge.SetAside", CATEGORY_INTERNAL},
        [ERROR_PARAMETER_MISMATCH] = {"IdempotentParameterMismatch", CATEGORY_INVALID},
    };
    for (int i = ERROR_NONE + 1; i < ERROR_COUNT; i++) {
        assert_non_null(rows[i].code);
        assert_string_equal(bridge_error_row((enum bridge_error)i)->code, rows[i].code);
        assert_int_equal(bridge_error_row((enum bridge_error)i)->category, rows[i].category);
        assert_true(strlen(bridge_error_row((enum bridge_error)i)->hint) > 10);
    }
}

static void test_categories_have_the_names_and_retryability_of_the_contract(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_retryable;
    } rows[] = {
        [CATEGORY_INVALID] = {"invalid", false},
        [CATEGORY_DENIED] = {"denied", false},
        [CATEGORY_NOT_FOUND] = {"not_found", false},
        [CATEGORY_CONFLICT] = {"conflict", false},
        [CATEGORY_COOLDOWN] = {"cooldown", true},
        [CATEGORY_THROTTLED] = {"throttled", true},
        [CATEGORY_EXPIRED] = {"expired", false},
        [CATEGORY_OVERLOADED] = {"overloaded", true},
        [CATEGORY_UNAVAILABLE] = {"unavailable", true},
        [CATEGORY_UNKNOWN_OUTCOME] = {"unknown_outcome", true},
        [CATEGORY_CONFIGURATION] = {"configuration", false},
        [CATEGORY_INTERNAL] = {"internal", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_string_equal(category_text((enum category)i), rows[i].text);
        assert_int_equal(category_is_retryable((enum category)i), rows[i].is_retryable);
    }
}

static void test_statuses_have_the_texts_of_the_contract(void **state)
{
    (void)state;
    assert_string_equal(outcome_status_text(OUTCOME_SUCCEEDED), "succeeded");
    assert_string_equal(outcome_status_text(OUTCOME_FAILED), "failed");
    assert_string_equal(outcome_status_text(OUTCOME_UNKNOWN), "unknown");
}

static void test_an_error_of_the_bridge_is_failed_or_unknown_where_a_call_may_have_had_effect(
    void **state)
{
    (void)state;
    for (int i = ERROR_NONE + 1; i < ERROR_COUNT; i++) {
        struct outcome outcome;
        outcome_of_error(&outcome, (enum bridge_error)i, "why");
        bool is_unsure = i == ERROR_NO_DEFINITE_ANSWER;
        bool is_given_up = i == ERROR_UNREACHABLE;
        bool is_set_aside = i == ERROR_SET_ASIDE;
        assert_int_equal(outcome.status,
                         is_unsure || is_set_aside ? OUTCOME_UNKNOWN : OUTCOME_FAILED);
        assert_int_equal(outcome.retention, is_unsure             ? RETENTION_UNSURE
                                            : is_given_up         ? RETENTION_GIVEN_UP
                                            : is_set_aside        ? RETENTION_SET_ASIDE
                                            : i == ERROR_RESOLVED ? RETENTION_REFUSAL
                                                                  : RETENTION_NOT);
        assert_true(outcome.is_from_bridge);
        assert_string_equal(outcome.message, "why");
        assert_true(outcome.retry_after_ms == -1);
        outcome_fini(&outcome);
        assert_null(outcome.code);
    }
}

static void test_a_copy_owns_its_strings(void **state)
{
    (void)state;
    struct outcome outcome;
    struct outcome copy;
    outcome_of_error(&outcome, ERROR_OVERLOADED, "why");
    outcome.request_id = mem_strdup("R-1");
    outcome.retry_after_ms = 7;
    outcome_copy(&copy, &outcome);
    outcome_fini(&outcome);
    assert_string_equal(copy.code, "Bridge.Overloaded");
    assert_string_equal(copy.message, "why");
    assert_string_equal(copy.request_id, "R-1");
    assert_int_equal(copy.retry_after_ms, 7);
    outcome_fini(&copy);
    outcome_fini(NULL);
}

static void test_the_error_object_has_its_fields_in_order(void **state)
{
    (void)state;
    struct outcome outcome = {
        .status = OUTCOME_FAILED,
        .code = mem_strdup("OperationDenied.ManualSyncLimit"),
        .message = mem_strdup("Too \"soon\"."),
        .hint = "Wait.",
        .http_status = 403,
        .category = CATEGORY_COOLDOWN,
        .retry_after_ms = 450000,
    };
    struct buf out = {0};
    outcome_put_error(&outcome, &out);
    assert_string_equal(
        out.data, "{\"Code\":\"OperationDenied.ManualSyncLimit\",\"Message\":\"Too \\\"soon\\\".\","
                  "\"HttpStatus\":403,\"Source\":\"ecs\",\"Category\":\"cooldown\","
                  "\"Retryable\":true,\"RetryAfterMs\":450000,\"Hint\":\"Wait.\"}");
    buf_fini(&out);
    outcome_fini(&outcome);
}

static void test_what_is_not_known_is_left_out_of_the_error_object(void **state)
{
    (void)state;
    struct outcome outcome = {.status = OUTCOME_UNKNOWN,
                              .is_from_bridge = true,
                              .category = CATEGORY_UNKNOWN_OUTCOME,
                              .retry_after_ms = -1};
    struct buf out = {0};
    outcome_put_error(&outcome, &out);
    assert_string_equal(
        out.data, "{\"Source\":\"bridge\",\"Category\":\"unknown_outcome\",\"Retryable\":true}");
    buf_fini(&out);
}

static void test_every_unknown_may_be_sent_again(void **state)
{
    (void)state;
    struct outcome outcome = {
        .status = OUTCOME_UNKNOWN, .category = CATEGORY_CONFLICT, .retry_after_ms = -1};
    struct buf out = {0};
    assert_true(outcome_is_retryable(&outcome));
    outcome_put_error(&outcome, &out);
    assert_non_null(strstr(out.data, "\"Retryable\":true"));
    buf_fini(&out);
    outcome.status = OUTCOME_FAILED;
    assert_false(outcome_is_retryable(&outcome));
}

static void test_a_success_has_no_error_object(void **state)
{
    (void)state;
    struct outcome outcome = {.status = OUTCOME_SUCCEEDED};
    struct buf out = {0};
    outcome_put_error(&outcome, &out);
    assert_int_equal(out.length, 0);
    buf_fini(&out);
}

static void test_an_outcome_is_kept_as_long_as_its_retention_says(void **state)
{
    (void)state;
    static const struct {
        enum retention retention;
        int64_t retry_after_ms;
        int64_t ttl_ms;
    } rows[] = {
        {RETENTION_SUCCESS, -1, 86400000},    {RETENTION_UNSURE, -1, 86400000},
        {RETENTION_REFUSAL, -1, 300000},      {RETENTION_REFUSAL, 1, 300000},
        {RETENTION_GIVEN_UP, 1, 300000},      {RETENTION_COOLDOWN, 1000, 1000},
        {RETENTION_COOLDOWN, 450000, 300000}, {RETENTION_COOLDOWN, 0, 0},
        {RETENTION_COOLDOWN, -1, 300000},     {RETENTION_NOT, -1, 0},
        {RETENTION_SET_ASIDE, -1, 86400000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct outcome outcome = {.retention = rows[i].retention,
                                  .retry_after_ms = rows[i].retry_after_ms};
        assert_int_equal(outcome_ttl_ms(&outcome, 86400, 300), rows[i].ttl_ms);
    }
    struct outcome set_aside = {.retention = RETENTION_SET_ASIDE};
    assert_true(outcome_ttl_ms(&set_aside, 10, 300) == 300000);
    struct outcome forever = {.retention = RETENTION_SUCCESS};
    assert_true(outcome_ttl_ms(&forever, INT64_MAX, 300) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bridges_errors_are_those_of_the_contract),
        cmocka_unit_test(test_categories_have_the_names_and_retryability_of_the_contract),
        cmocka_unit_test(test_statuses_have_the_texts_of_the_contract),
        cmocka_unit_test(
            test_an_error_of_the_bridge_is_failed_or_unknown_where_a_call_may_have_had_effect),
        cmocka_unit_test(test_a_copy_owns_its_strings),
        cmocka_unit_test(test_the_error_object_has_its_fields_in_order),
        cmocka_unit_test(test_what_is_not_known_is_left_out_of_the_error_object),
        cmocka_unit_test(test_every_unknown_may_be_sent_again),
        cmocka_unit_test(test_a_success_has_no_error_object),
        cmocka_unit_test(test_an_outcome_is_kept_as_long_as_its_retention_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
