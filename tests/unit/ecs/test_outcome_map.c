/* Real answers are mapped: every row of the table, and answers that no row is about. */
#include "base/mem.h"
#include "ecs/outcome_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct outcome_map_context plain_context = {.rpo_s = 900};
static const struct command plain_command = {.action = &action_rows[ACTION_StartDiskReplicaGroup],
                                             .params = "{\"OneShot\":false}"};
static const struct command one_shot_command = {
    .action = &action_rows[ACTION_StartDiskReplicaGroup], .params = "{\"OneShot\":true}"};
static const struct command stop_command = {.action = &action_rows[ACTION_StopDiskReplicaGroup],
                                            .params = "{}"};

static struct attempt map_as(int status, const char *body, const struct command *command,
                             const struct outcome_map_context *context)
{
    struct attempt attempt;
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = status,
        .body = slice_text(body),
        .retry_after_ms = -1,
        .date_ms = -1,
        .error = "",
    };
    outcome_map(&answer, command, context, &attempt);
    return attempt;
}

static struct attempt map(int status, const char *body)
{
    return map_as(status, body, &plain_command, &plain_context);
}

/* An error as the API sends it, in JSON or in XML. */
static struct attempt map_code(int status, const char *code, const char *message, bool is_xml)
{
    char body[4096];
    snprintf(body, sizeof body,
             is_xml
                 ? "<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>R1</RequestId>"
                   "<HostId>ebs</HostId><Code>%s</Code><Message>%s</Message></Error>"
                 : "{\"RequestId\":\"R1\",\"HostId\":\"ebs\",\"Code\":\"%s\",\"Message\":\"%s\"}",
             code, message);
    return map(status, body);
}

struct row {
    const char *code;
    int status;
    enum category category;
    enum reaction reaction;
    enum retention retention;
};

static const struct row rows[] = {
    {"OperationDenied.StandbyDeviceAttached", 400, CATEGORY_CONFLICT, REACTION_REPLY,
     RETENTION_REFUSAL},
    {"OperationDenied", 403, CATEGORY_CONFLICT, REACTION_REPLY, RETENTION_REFUSAL},
    {"OperationDenied.InvalidStatus", 403, CATEGORY_CONFLICT, REACTION_REPLY, RETENTION_REFUSAL},
    {"OperationDenied.ManualSyncLimit", 403, CATEGORY_COOLDOWN, REACTION_COOLDOWN,
     RETENTION_COOLDOWN},
    {"OperationDenied.NoPairInGroup", 403, CATEGORY_CONFLICT, REACTION_REPLY, RETENTION_REFUSAL},
    {"OperationDenied.PairGroupStatusConflict", 403, CATEGORY_CONFLICT, REACTION_REPLY,
     RETENTION_REFUSAL},
    {"OperationDenied.PairGroupAZoneConflict", 403, CATEGORY_CONFLICT, REACTION_REPLY,
     RETENTION_REFUSAL},
    {"OperationDenied.PairNotInGroup", 403, CATEGORY_CONFLICT, REACTION_REPLY, RETENTION_REFUSAL},
    {"Forbidden", 403, CATEGORY_DENIED, REACTION_REPLY, RETENTION_REFUSAL},
    {"Forbidden.Action", 403, CATEGORY_DENIED, REACTION_REPLY, RETENTION_REFUSAL},
    {"NoSuchResource", 404, CATEGORY_NOT_FOUND, REACTION_REPLY, RETENTION_REFUSAL},
    {"InternalError", 500, CATEGORY_UNAVAILABLE, REACTION_RETRY_UNSURE, RETENTION_UNSURE},
    {"RequestTimeout", 504, CATEGORY_UNAVAILABLE, REACTION_RETRY_UNSURE, RETENTION_UNSURE},
    {"LastTokenProcessing", 403, CATEGORY_UNAVAILABLE, REACTION_RETRY_UNSURE, RETENTION_UNSURE},
    {"IdempotentProcessing", 409, CATEGORY_UNAVAILABLE, REACTION_RETRY_UNSURE, RETENTION_UNSURE},
    {"IdempotentRequestProcessing", 400, CATEGORY_UNAVAILABLE, REACTION_RETRY_UNSURE,
     RETENTION_UNSURE},
    {"IdempotentParameterMismatch", 400, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    {"InvalidIdempotenceParameter.Mismatch", 403, CATEGORY_INVALID, REACTION_REPLY,
     RETENTION_REFUSAL},
    {"OperationConflict", 409, CATEGORY_CONFLICT, REACTION_REPLY, RETENTION_REFUSAL},
    {"InvalidAccountStatus.NotEnoughBalance", 403, CATEGORY_DENIED, REACTION_REPLY,
     RETENTION_REFUSAL},
    {"NoPermission.SLR", 403, CATEGORY_DENIED, REACTION_REPLY, RETENTION_REFUSAL},
    {"Throttling", 400, CATEGORY_THROTTLED, REACTION_THROTTLE, RETENTION_GIVEN_UP},
    {"Throttling.User", 400, CATEGORY_THROTTLED, REACTION_THROTTLE, RETENTION_GIVEN_UP},
    {"Throttling.Api", 400, CATEGORY_THROTTLED, REACTION_THROTTLE, RETENTION_GIVEN_UP},
    /* Some gateways use 503. */
    {"Throttling.User", 503, CATEGORY_THROTTLED, REACTION_THROTTLE, RETENTION_GIVEN_UP},
    {"Throttling", 429, CATEGORY_THROTTLED, REACTION_THROTTLE, RETENTION_GIVEN_UP},
    {"Rejected.Throttling", 400, CATEGORY_THROTTLED, REACTION_THROTTLE, RETENTION_GIVEN_UP},
    {"BLOCK.LimitedRequest", 429, CATEGORY_THROTTLED, REACTION_THROTTLE, RETENTION_GIVEN_UP},
    {"ServiceUnavailable", 503, CATEGORY_UNAVAILABLE, REACTION_RETRY, RETENTION_GIVEN_UP},
    {"ServiceUnavailable.RegionMaintaining", 503, CATEGORY_UNAVAILABLE, REACTION_RETRY,
     RETENTION_GIVEN_UP},
    {"SignatureNonceUsed", 400, CATEGORY_INTERNAL, REACTION_RESIGN_ONCE, RETENTION_UNSURE},
    {"InvalidTimeStamp.Expired", 400, CATEGORY_CONFIGURATION, REACTION_CLOCK_ONCE, RETENTION_NOT},
    {"InvalidTimeStamp.Format", 400, CATEGORY_INTERNAL, REACTION_REPLY_BRIDGE, RETENTION_NOT},
    {"IllegalTimestamp", 400, CATEGORY_INTERNAL, REACTION_REPLY_BRIDGE, RETENTION_NOT},
    {"IncompleteSignature", 400, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE, RETENTION_NOT},
    {"SignatureDoesNotMatch", 400, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE, RETENTION_NOT},
    {"SignatureDoesNotMatch", 403, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE, RETENTION_NOT},
    {"InvalidAccessKeyId.NotFound", 404, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE, RETENTION_NOT},
    {"InvalidAccessKeyId.NotFound", 400, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE, RETENTION_NOT},
    {"InvalidAccessKeyId.Inactive", 400, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE, RETENTION_NOT},
    {"Forbidden.AccessKeyDisabled", 403, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE, RETENTION_NOT},
    {"InvalidSecurityToken.Expired", 400, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE,
     RETENTION_NOT},
    {"InvalidSecurityToken.Malformed", 403, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE,
     RETENTION_NOT},
    {"MissingSecurityToken", 400, CATEGORY_DENIED, REACTION_CREDENTIALS_ONCE, RETENTION_NOT},
    {"InvalidAction.NotFound", 404, CATEGORY_CONFIGURATION, REACTION_REPLY_BRIDGE, RETENTION_NOT},
    {"InvalidApi.NotFound", 404, CATEGORY_CONFIGURATION, REACTION_REPLY_BRIDGE, RETENTION_NOT},
    {"InvalidVersion", 400, CATEGORY_CONFIGURATION, REACTION_REPLY_BRIDGE, RETENTION_NOT},
    {"InvalidProduct.NotFound", 404, CATEGORY_CONFIGURATION, REACTION_REPLY_BRIDGE, RETENTION_NOT},
    {"InvalidProtocol.NeedSsl", 404, CATEGORY_CONFIGURATION, REACTION_REPLY_BRIDGE, RETENTION_NOT},
    {"InvalidProtocol.NeedSsl", 400, CATEGORY_CONFIGURATION, REACTION_REPLY_BRIDGE, RETENTION_NOT},
    {"UnsupportedHTTPMethod", 403, CATEGORY_INTERNAL, REACTION_REPLY_BRIDGE, RETENTION_NOT},
    {"MissingParameter", 400, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    {"MissingRegionId", 400, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    {"InvalidParameter", 400, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    {"InvalidParameter.Conflict", 400, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    {"InvalidParameter.Format", 400, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    {"InvalidClientToken.Malformed", 400, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    /* Unknown codes are mapped by their HTTP status. */
    {"Fresh.Code", 400, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    {"Fresh.Code", 401, CATEGORY_DENIED, REACTION_REPLY, RETENTION_REFUSAL},
    {"Fresh.Code", 403, CATEGORY_DENIED, REACTION_REPLY, RETENTION_REFUSAL},
    {"InvalidRegionId.NotFound", 404, CATEGORY_NOT_FOUND, REACTION_REPLY, RETENTION_REFUSAL},
    {"Fresh.Code", 405, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    {"Fresh.Code", 409, CATEGORY_CONFLICT, REACTION_REPLY, RETENTION_REFUSAL},
    {"Fresh.Code", 418, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
    {"Fresh.Code", 429, CATEGORY_THROTTLED, REACTION_REPLY, RETENTION_GIVEN_UP},
    /* Case matters. */
    {"throttling", 400, CATEGORY_INVALID, REACTION_REPLY, RETENTION_REFUSAL},
};

static void check_row(const struct row *row, bool is_xml)
{
    print_message("%d %s\n", row->status, row->code);
    struct attempt attempt = map_code(row->status, row->code, "In words.", is_xml);
    const struct outcome *outcome = &attempt.outcome;
    bool is_unsure =
        row->reaction == REACTION_RETRY_UNSURE || row->reaction == REACTION_RESIGN_ONCE;
    assert_int_equal(attempt.reaction, row->reaction);
    assert_int_equal(outcome->category, row->category);
    assert_int_equal(outcome->retention, row->retention);
    assert_int_equal(outcome->status, is_unsure ? OUTCOME_UNKNOWN : OUTCOME_FAILED);
    assert_string_equal(outcome->code, row->code);
    assert_string_equal(outcome->message, "In words.");
    assert_string_equal(outcome->request_id, "R1");
    assert_int_equal(outcome->http_status, row->status);
    assert_false(outcome->is_from_bridge);
    assert_non_null(outcome->hint);
    assert_int_equal(outcome->retry_after_ms, row->reaction == REACTION_COOLDOWN ? 450000 : -1);
    attempt_fini(&attempt);
}

static void test_every_error_has_its_meaning_in_json_and_in_xml(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(&rows[i], false);
        check_row(&rows[i], true);
    }
}

static void test_every_code_of_the_table_is_tried_above(void **state)
{
    (void)state;
    static const char *const codes[] = {
#define OUTCOME(http, code, category, reaction, hint) code,
#include "tables/outcomes.def"
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        size_t head = strcspn(codes[i], "*");
        bool is_tried = false;
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
            is_tried = is_tried || (strncmp(rows[k].code, codes[i], head) == 0 &&
                                    (codes[i][head] == '*' || rows[k].code[head] == '\0'));
        }
        if (!is_tried) {
            fail_msg("no test row for %s", codes[i]);
        }
    }
}

static void test_a_request_id_without_an_error_is_success(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"RequestId\":\"C123\"}",
        "{\"requestId\":\"C123\"}",
        "{\"RequestId\":\"C123\",\"Code\":\"200\"}",
        "{\"RequestId\":\"C123\",\"Code\":200}",
        "{\"RequestId\":\"C123\",\"Code\":\"OK\"}",
        "{\"RequestId\":\"C123\",\"Code\":\"Success\"}",
        "{\"RequestId\":\"C123\",\"code\":\"success\",\"Message\":\"fine\"}",
        "<AnyResponse><RequestId>C123</RequestId></AnyResponse>",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct attempt attempt = map(200, bodies[i]);
        assert_int_equal(attempt.reaction, REACTION_DONE);
        assert_int_equal(attempt.outcome.status, OUTCOME_SUCCEEDED);
        assert_int_equal(attempt.outcome.retention, RETENTION_SUCCESS);
        assert_string_equal(attempt.outcome.request_id, "C123");
        assert_null(attempt.outcome.code);
        assert_int_equal(attempt.retry_after_ms, -1);
        attempt_fini(&attempt);
    }
}

static const struct {
    int status;
    const char *body;
    const char *request_id;
} not_definite[] = {
    {200, "", NULL},
    {200, "{}", NULL},
    {200, "{\"RequestId\":\"\"}", NULL},
    {200, "{\"RequestId\":\"C1", NULL},
    {200, "<html>captive portal</html>", NULL},
    {200, "{\"RequestId\":\"C1\",\"Code\":\"SomethingElse\"}", "C1"},
    {204, "", NULL},
    {302, "{\"RequestId\":\"C1\"}", "C1"},
    {302, "{\"RequestId\":\"C1\",\"Code\":\"Moved\"}", "C1"},
    {400, "Bad Request", NULL},
    {403, "<html>proxy says no</html>", NULL},
    {403, "{\"code\":\"blocked\",\"message\":\"by a wall\"}", NULL},
    /* The API writes Code and RequestId, both, and so. */
    {403, "{\"requestid\":\"C1\",\"code\":\"Forbidden\",\"message\":\"m\"}", NULL},
    {403, "{\"RequestId\":\"C1\",\"code\":\"Forbidden\",\"message\":\"m\"}", "C1"},
    {403, "{\"requestId\":\"C1\",\"Code\":\"Forbidden\",\"Message\":\"m\"}", "C1"},
    {403, "{\"Code\":\"Forbidden\",\"Message\":\"m\"}", NULL},
    {403, "{\"RequestId\":\"\",\"Code\":\"Forbidden\",\"Message\":\"m\"}", NULL},
    {403, "{\"RequestId\":\"C1\",\"Code\":\"\",\"Message\":\"m\"}", "C1"},
    {400, "{\"Code\":\"Throttling\",\"Message\":\"m\"}", NULL},
    {403, "<Error><Code>Forbidden</Code></Error>", NULL},
    /* Statuses that proxies and gateways give. */
    {407, "{\"RequestId\":\"C1\",\"Code\":\"Forbidden\",\"Message\":\"m\"}", "C1"},
    {408, "{\"RequestId\":\"C1\",\"Code\":\"RequestTimeout\",\"Message\":\"m\"}", "C1"},
    {408, "{\"RequestId\":\"C1\",\"Code\":\"Throttling\",\"Message\":\"m\"}", "C1"},
    {425, "{\"RequestId\":\"C1\",\"Code\":\"TooEarly\",\"Message\":\"m\"}", "C1"},
    {499, "{\"RequestId\":\"C1\",\"Code\":\"Forbidden\",\"Message\":\"m\"}", "C1"},
    /* A code of a 5xx under another status. */
    {400, "{\"RequestId\":\"C1\",\"Code\":\"InternalError\",\"Message\":\"m\"}", "C1"},
    {403, "{\"RequestId\":\"C1\",\"Code\":\"RequestTimeout\",\"Message\":\"m\"}", "C1"},
    {429, "{\"RequestId\":\"C1\",\"Code\":\"ServiceUnavailable\",\"Message\":\"m\"}", "C1"},
    {500, "{\"RequestId\":\"C1\",\"Code\":\"ServiceUnavailable\",\"Message\":\"m\"}", "C1"},
    {503, "{\"RequestId\":\"C1\",\"Code\":\"InternalError\",\"Message\":\"m\"}", "C1"},
    {500, "{\"RequestId\":\"C1\",\"Code\":\"Throttling\",\"Message\":\"m\"}", "C1"},
    {500, "{\"RequestId\":\"C1\",\"Code\":\"InvalidAccessKeyId.NotFound\"}", "C1"},
    /* A success that says no. */
    {200, "{\"RequestId\":\"C1\",\"Code\":\"OperationDenied.InvalidStatus\"}", "C1"},
    {200, "{\"RequestId\":\"C1\",\"Code\":\"InternalError\"}", "C1"},
    {200, "{\"RequestId\":\"C1\",\"code\":\"Forbidden\"}", "C1"},
    {200, "{\"RequestId\":\"C1\",\"Success\":false}", "C1"},
    {200, "{\"RequestId\":\"C1\",\"Success\":\"false\",\"Code\":\"200\"}", "C1"},
    {200, "{\"RequestId\":\"C1\",\"success\":false}", "C1"},
    {200, "<R1Response><RequestId>C1</RequestId><Success>false</Success></R1Response>", "C1"},
    {404, "{\"message\":\"no route\"}", NULL},
    {500, "{\"RequestId\":\"C1\",\"Code\":\"Fresh.Code\",\"Message\":\"m\"}", "C1"},
    {500, "{\"RequestId\":\"C1\",\"Code\":\"OperationDenied\",\"Message\":\"m\"}", "C1"},
    {502, "<html><body>Bad Gateway</body></html>", NULL},
    {503, "", NULL},
    {0, "{\"RequestId\":\"C1\"}", "C1"},
};

static void test_an_answer_that_is_not_the_apis_stays_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof not_definite / sizeof not_definite[0]; i++) {
        print_message("%d %s\n", not_definite[i].status, not_definite[i].body);
        struct attempt attempt = map(not_definite[i].status, not_definite[i].body);
        assert_int_equal(attempt.reaction, REACTION_RETRY_UNSURE);
        assert_int_equal(attempt.outcome.status, OUTCOME_UNKNOWN);
        assert_int_equal(attempt.outcome.retention, RETENTION_UNSURE);
        assert_int_equal(attempt.outcome.category, CATEGORY_UNKNOWN_OUTCOME);
        assert_true(attempt.outcome.is_from_bridge);
        assert_string_equal(attempt.outcome.code, "Bridge.NoDefiniteAnswer");
        assert_int_equal(attempt.outcome.http_status, not_definite[i].status);
        assert_true((attempt.outcome.request_id == NULL) == (not_definite[i].request_id == NULL));
        attempt_fini(&attempt);
    }
}

static void test_another_5xx_keeps_the_apis_words_in_the_message(void **state)
{
    (void)state;
    struct attempt attempt = map_code(500, "Fresh.Code", "In words.", false);
    assert_non_null(strstr(attempt.outcome.message, "500"));
    assert_non_null(strstr(attempt.outcome.message, "Fresh.Code: In words."));
    attempt_fini(&attempt);
}

static void test_success_true_is_no_problem(void **state)
{
    (void)state;
    struct attempt attempt = map(200, "{\"RequestId\":\"C1\",\"Success\":true}");
    assert_int_equal(attempt.reaction, REACTION_DONE);
    attempt_fini(&attempt);
}

static void test_the_hint_of_a_wrong_state_goes_by_the_action(void **state)
{
    (void)state;
    const char *body =
        "{\"RequestId\":\"R1\",\"Code\":\"OperationDenied.InvalidStatus\",\"Message\":\"m\"}";
    struct attempt attempt = map(403, body);
    assert_non_null(strstr(attempt.outcome.hint, "created, syncing, normal and stopped"));
    attempt_fini(&attempt);
    attempt = map_as(403, body, &one_shot_command, &plain_context);
    assert_non_null(strstr(attempt.outcome.hint, "created, manual_syncing and stopped"));
    attempt_fini(&attempt);
    attempt = map_as(403, body, &stop_command, &plain_context);
    assert_non_null(strstr(attempt.outcome.hint,
                           "manual_syncing, syncing, normal, stopping, stop_failed and stopped"));
    attempt_fini(&attempt);
}

static void test_hints_name_the_permission_and_the_settings(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *code;
        const char *named;
    } cases[] = {
        {403, "Forbidden", "ebs:StartDiskReplicaGroup"},
        {403, "Forbidden.Action", "ebs:StartDiskReplicaGroup"},
        {404, "InvalidAction.NotFound", "api.preset"},
        {404, "InvalidApi.NotFound", "api.version"},
        {400, "InvalidVersion", "api.version"},
        {404, "InvalidProduct.NotFound", "api.endpoint"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct attempt attempt = map_code(cases[i].status, cases[i].code, "m", false);
        struct buf hint = {0};
        outcome_put_hint(&attempt.outcome, &hint);
        assert_non_null(strstr(hint.data, cases[i].named));
        assert_null(strchr(hint.data, '{'));
        buf_fini(&hint);
        attempt_fini(&attempt);
    }
}

static void test_the_cooldown_is_half_the_recovery_point_objective(void **state)
{
    (void)state;
    struct outcome_map_context context = {.rpo_s = 61};
    struct attempt attempt =
        map_as(403, "{\"RequestId\":\"R1\",\"Code\":\"OperationDenied.ManualSyncLimit\"}",
               &plain_command, &context);
    assert_int_equal(attempt.outcome.retry_after_ms, 30500);
    assert_string_equal(attempt.outcome.message, "The API gave no message.");
    attempt_fini(&attempt);
}

static void test_an_older_gateways_code_for_an_expired_token_is_understood(void **state)
{
    (void)state;
    struct attempt attempt =
        map_code(400, "InvalidParameter", "Specified SecurityToken.Expired is not valid", false);
    assert_int_equal(attempt.reaction, REACTION_CREDENTIALS_ONCE);
    assert_int_equal(attempt.outcome.retention, RETENTION_NOT);
    assert_string_equal(attempt.outcome.code, "InvalidParameter");
    attempt_fini(&attempt);
}

static void check_cut_message(const char *code, const char *message, const char *expected)
{
    struct attempt attempt = map_code(400, code, message, false);
    assert_string_equal(attempt.outcome.message, expected);
    attempt_fini(&attempt);
}

static void test_the_string_to_sign_is_removed_from_messages(void **state)
{
    (void)state;
    static const char *const endings[] = {
        " server string to sign is:POST&%2F&AccessKeyId%3Dx",
        " Server StringToSign is:x",
        ", server string_to_sign: [x]",
        " (server String-To-Sign is x)",
        "\\nstring to sign: x",
        " ACS3-HMAC-SHA256\\nabc",
        " server canonicalRequest is x",
        ": post&%2f&x",
    };
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char message[256];
        snprintf(message, sizeof message, "Not matched%s", endings[i]);
        check_cut_message("SignatureDoesNotMatch", message, "Not matched");
        check_cut_message("IncompleteSignature", message, "Not matched");
    }
    check_cut_message("InvalidParameter", "No canonical name.", "No canonical name.");
    check_cut_message("SignatureDoesNotMatch", "server string to sign is:x",
                      "The API gave no message.");
}

static void test_secrets_of_six_bytes_are_removed_even_where_they_overlap(void **state)
{
    (void)state;
    const struct slice secrets[] = {slice_text("abcabc"), slice_text("xabcabcy/"),
                                    slice_text("id")};
    const struct outcome_map_context context = {900, secrets, 3};
    struct attempt attempt = map_as(400,
                                    "{\"RequestId\":\"R-abcabc\",\"Code\":\"Bad.abcabc\","
                                    "\"Message\":\"1 abcabc 2 xabcabcy/ 3 xabcabcy%2F 4 "
                                    "xabcabcy%252F 5 abcabcabc 6 id abc\"}",
                                    &plain_command, &context);
    assert_string_equal(attempt.outcome.message, "1 *** 2 *** 3 *** 4 *** 5 *** 6 id abc");
    assert_string_equal(attempt.outcome.code, "Bad.***");
    assert_string_equal(attempt.outcome.request_id, "R-***");
    attempt_fini(&attempt);
    attempt = map_as(200, "{\"RequestId\":\"R-abcabc-1\"}", &plain_command, &context);
    assert_string_equal(attempt.outcome.request_id, "R-***-1");
    attempt_fini(&attempt);
}

static void test_only_a_long_attempt_without_an_answer_has_hung(void **state)
{
    static const struct {
        enum http_result result;
        int64_t took_ms;
        bool has_hung;
    } cases[] = {
        {HTTP_ANSWERED, 60000, false},
        {HTTP_CUT, HUNG_AFTER_MS, true},
        {HTTP_CUT, HUNG_AFTER_MS - 1, false},
        {HTTP_NOT_SENT, HUNG_AFTER_MS, true},
        {HTTP_NOT_SENT, HUNG_AFTER_MS - 1, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_answer answer = {.result = cases[i].result,
                                     .status = 200,
                                     .body = slice_text("{}"),
                                     .error = "",
                                     .took_ms = cases[i].took_ms};
        struct attempt attempt;
        outcome_map(&answer, &plain_command, &plain_context, &attempt);
        assert_int_equal(attempt.has_hung, cases[i].has_hung);
        attempt_fini(&attempt);
    }
}

static void test_long_messages_end_at_a_whole_character(void **state)
{
    (void)state;
    char message[1100];
    memset(message, 'a', 1022);
    strcpy(message + 1022, "\xE7\xA3\x81\xE7\xA3\x81");
    struct attempt attempt = map_code(400, "InvalidParameter", message, false);
    assert_int_equal(strlen(attempt.outcome.message), 1022);
    attempt_fini(&attempt);
    memmove(message + 1, message, sizeof message - 1);
    attempt = map_code(500, "Fresh.Code", message, false);
    assert_in_range(strlen(attempt.outcome.message), 1000, 1024);
    attempt_fini(&attempt);
}

static void test_strange_codes_and_ids_become_harmless(void **state)
{
    (void)state;
    char code[300];
    memset(code, 'c', sizeof code - 1);
    code[sizeof code - 1] = '\0';
    struct attempt attempt = map_code(400, code, "m", false);
    assert_int_equal(strlen(attempt.outcome.code), 128);
    attempt_fini(&attempt);
    attempt = map(200, "{\"RequestId\":\"a b\\n\xE7\xA3\x81\"}");
    assert_int_equal(attempt.reaction, REACTION_DONE);
    assert_string_equal(attempt.outcome.request_id, "a b????");
    attempt_fini(&attempt);
}

static void test_a_code_that_only_begins_like_a_known_one_is_another(void **state)
{
    (void)state;
    struct attempt attempt = map_code(403, "OperationDenied.Fresh", "m", false);
    assert_int_equal(attempt.outcome.category, CATEGORY_DENIED);
    attempt_fini(&attempt);
    attempt = map_code(400, "Idempotent", "m", false);
    assert_int_equal(attempt.reaction, REACTION_REPLY);
    attempt_fini(&attempt);
    attempt_fini(NULL);
}

static void test_a_wait_the_api_names_is_reported_where_waiting_helps(void **state)
{
    (void)state;
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = 503,
        .body =
            slice_text("{\"RequestId\":\"R1\",\"Code\":\"ServiceUnavailable\",\"Message\":\"m\"}"),
        .retry_after_ms = 700,
        .date_ms = -1,
        .error = "",
    };
    struct attempt attempt;
    outcome_map(&answer, &plain_command, &plain_context, &attempt);
    assert_int_equal(attempt.retry_after_ms, 700);
    assert_int_equal(attempt.outcome.retry_after_ms, 700);
    attempt_fini(&attempt);
    answer.body =
        slice_text("{\"RequestId\":\"R1\",\"Code\":\"InvalidVersion\",\"Message\":\"m\"}");
    answer.status = 400;
    outcome_map(&answer, &plain_command, &plain_context, &attempt);
    assert_int_equal(attempt.outcome.retry_after_ms, -1);
    attempt_fini(&attempt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_error_has_its_meaning_in_json_and_in_xml),
        cmocka_unit_test(test_every_code_of_the_table_is_tried_above),
        cmocka_unit_test(test_a_request_id_without_an_error_is_success),
        cmocka_unit_test(test_an_answer_that_is_not_the_apis_stays_unknown),
        cmocka_unit_test(test_another_5xx_keeps_the_apis_words_in_the_message),
        cmocka_unit_test(test_success_true_is_no_problem),
        cmocka_unit_test(test_the_hint_of_a_wrong_state_goes_by_the_action),
        cmocka_unit_test(test_hints_name_the_permission_and_the_settings),
        cmocka_unit_test(test_the_cooldown_is_half_the_recovery_point_objective),
        cmocka_unit_test(test_an_older_gateways_code_for_an_expired_token_is_understood),
        cmocka_unit_test(test_the_string_to_sign_is_removed_from_messages),
        cmocka_unit_test(test_secrets_of_six_bytes_are_removed_even_where_they_overlap),
        cmocka_unit_test(test_only_a_long_attempt_without_an_answer_has_hung),
        cmocka_unit_test(test_long_messages_end_at_a_whole_character),
        cmocka_unit_test(test_strange_codes_and_ids_become_harmless),
        cmocka_unit_test(test_a_code_that_only_begins_like_a_known_one_is_another),
        cmocka_unit_test(test_a_wait_the_api_names_is_reported_where_waiting_helps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
