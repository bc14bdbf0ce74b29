/* Every documented error of the API, from the simulator to the reply. */
#include "flow_fixture.h"

#include <stdio.h>
#include <string.h>

struct row {
    const char *code;
    int http;
    const char *category;
};

/* Makes the simulator answer every start with this token with this error, in JSON or XML. */
static void answer_always_in(struct fixture *fixture, const char *token, const char *code,
                             bool is_xml)
{
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"%s\",\"Xml\":%s,\"Count\":-1,"
                    "\"Match\":{\"ClientToken\":\"%s\"}",
                    code, is_xml ? "true" : "false", token);
}

static void answer_always(struct fixture *fixture, const char *token, const char *code)
{
    answer_always_in(fixture, token, code, false);
}

static void check_from_api(const struct message *reply, const char *status, const struct row *row,
                           bool is_retryable)
{
    check_error(reply, status, row->code, row->category, is_retryable);
    check_text(reply, "Error.Source", "ecs");
    assert_int_equal(json_number(reply->json, "Error.HttpStatus"), row->http);
    assert_true(json_text(reply->json, "Error.Hint")[0] != '\0');
    assert_int_equal(strlen(json_text(reply->json, "RequestId")), 36);
    assert_string_equal(message_user(reply, "code"), row->code);
    assert_string_equal(message_user(reply, "status"), status);
}

static void check_definite_in(struct fixture *fixture, const struct row *row, bool is_xml)
{
    const char *token = fixture_name(fixture, "token");
    answer_always_in(fixture, token, row->code, is_xml);
    const struct message *reply = fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    check_from_api(reply, "failed", row, strcmp(row->category, "cooldown") == 0);
    cJSON *rows = simulator_requests(&fixture->simulator, token);
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    check_text(reply, "RequestId", json_text(cJSON_GetArrayItem(rows, 0), "RequestId"));
    cJSON_Delete(rows);
}

/* A definite refusal: reported after one call, with the API's own message and request id. */
static void check_definite(struct fixture *fixture, const struct row *row)
{
    check_definite_in(fixture, row, false);
    check_definite_in(fixture, row, true);
}

static void test_definite_refusals_are_passed_on_after_one_call(struct fixture *fixture)
{
    static const struct row rows[] = {
        {"OperationDenied.StandbyDeviceAttached", 400, "conflict"},
        {"OperationDenied", 403, "conflict"},
        {"OperationDenied.InvalidStatus", 403, "conflict"},
        {"OperationDenied.ManualSyncLimit", 403, "cooldown"},
        {"OperationDenied.NoPairInGroup", 403, "conflict"},
        {"OperationDenied.PairGroupStatusConflict", 403, "conflict"},
        {"OperationDenied.PairGroupAZoneConflict", 403, "conflict"},
        {"OperationDenied.PairNotInGroup", 403, "conflict"},
        {"Forbidden", 403, "denied"},
        {"Forbidden.Action", 403, "denied"},
        {"NoSuchResource", 404, "not_found"},
        {"IdempotentParameterMismatch", 400, "invalid"},
    };
    fixture_bridge(fixture, "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_definite(fixture, &rows[i]);
    }
}

static void test_the_message_of_the_api_is_passed_on(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"NoSuchResource\","
                                         "\"Message\":\"No such \\\"group\\\" \\u00e4 <&>.\"");
    const struct message *reply = fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    check_text(reply, "Error.Message", "No such \"group\" \xc3\xa4 <&>.");
}

static void test_other_codes_are_classified_by_their_http_status(struct fixture *fixture)
{
    static const struct row rows[] = {
        {"Some.Code", 400, "invalid"},   {"Some.Code", 401, "denied"},
        {"Some.Code", 403, "denied"},    {"Some.Code", 404, "not_found"},
        {"Some.Code", 409, "conflict"},  {"Some.Code", 412, "invalid"},
        {"Some.Code", 429, "throttled"},
    };
    fixture_bridge(fixture, "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        simulator_fault(&fixture->simulator,
                        "\"error\",\"Code\":\"%s\",\"Http\":%d,\"Message\":\"As it is.\"",
                        rows[i].code, rows[i].http);
        const struct message *reply = fixture_request(fixture, fixture_name(fixture, "token"),
                                                      fixture_name(fixture, "pg"), "");
        check_from_api(reply, "failed", &rows[i], strcmp(rows[i].category, "throttled") == 0);
        check_text(reply, "Error.Message", "As it is.");
    }
}

static void check_hint(struct fixture *fixture, const char *extra, const char *code,
                       const char *word)
{
    const char *token = fixture_name(fixture, "token");
    answer_always(fixture, token, code);
    const struct message *reply =
        fixture_request(fixture, token, fixture_name(fixture, "pg"), extra);
    if (strstr(json_text(reply->json, "Error.Hint"), word) == NULL) {
        flow_fail("the hint does not contain %s: %s", word, reply->payload);
    }
}

static void test_the_hint_names_what_helps(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_hint(fixture, "", "OperationDenied.InvalidStatus", "created, syncing, normal");
    check_hint(fixture, ",\"OneShot\":true", "OperationDenied.InvalidStatus",
               "created, manual_syncing");
    check_hint(fixture, "", "Forbidden.Action", "ebs:StartDiskReplicaGroup");
    check_hint(fixture, "", "InvalidAction.NotFound", "api.preset");
    check_hint(fixture, "", "InvalidVersion", "api.version");
    check_hint(fixture, "", "InvalidProduct.NotFound", "api.endpoint");
}

static void test_a_cooldown_reports_half_the_rpo(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *group = fixture_name(fixture, "pg");
    const char *one_shot = ",\"OneShot\":true";
    check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"), group, one_shot));
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), group, one_shot);
    check_error(reply, "failed", "OperationDenied.ManualSyncLimit", "cooldown", true);
    assert_int_equal(json_number(reply->json, "Error.RetryAfterMs"), 450000);
}

static void test_a_route_may_wait_for_the_end_of_a_cooldown(struct fixture *fixture)
{
    fixture_bridge(fixture, "routes.cooldown = \"defer\"; api.rpo_s = 4;");
    const char *token = fixture_name(fixture, "token");
    int64_t begin_ms = flow_now_ms();
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"OperationDenied.ManualSyncLimit\"");
    const struct message *reply =
        fixture_request(fixture, token, fixture_name(fixture, "pg"), ",\"OneShot\":true");
    check_succeeded(reply);
    assert_int_equal(json_number(reply->json, "Attempts"), 2);
    assert_true(flow_now_ms() - begin_ms >= 1950);
}

static void test_a_cooldown_longer_than_the_deadline_is_not_waited_for(struct fixture *fixture)
{
    fixture_bridge(fixture, "routes.cooldown = \"defer\";");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"OperationDenied.ManualSyncLimit\"");
    const struct message *reply = fixture_request(fixture, fixture_name(fixture, "token"),
                                                  fixture_name(fixture, "pg"), ",\"OneShot\":true");
    check_error(reply, "failed", "OperationDenied.ManualSyncLimit", "cooldown", true);
}

/* --- XML --- */

static void check_xml(struct fixture *fixture, const char *status, const char *extra,
                      const char *code, const char *category)
{
    const char *group = fixture_name(fixture, "pg");
    simulator_order(&fixture->simulator, "POST", "groups",
                    "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",\"Status\":\"%s\","
                    "\"CooldownMs\":%d}",
                    group, status, strcmp(category, "cooldown") == 0 ? 60000 : 0);
    simulator_fault(&fixture->simulator, "\"xml\"");
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), group, extra);
    if (code == NULL) {
        check_succeeded(reply);
    } else {
        check_error(reply, "failed", code, category, strcmp(category, "cooldown") == 0);
        check_text(reply, "Error.Source", "ecs");
        assert_int_equal(strlen(json_text(reply->json, "RequestId")), 36);
    }
}

static void test_answers_in_xml_are_understood(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_xml(fixture, "created", "", NULL, "");
    check_xml(fixture, "failovered", "", "OperationDenied.InvalidStatus", "conflict");
    check_xml(fixture, "stopped", ",\"OneShot\":true", "OperationDenied.ManualSyncLimit",
              "cooldown");
}

/* --- errors after which the bridge tries again --- */

/* Each in its own region, so that throttling one does not slow the next. */
static void send_in_region(struct fixture *fixture, const char *token, int region)
{
    fixture_send(fixture, fixture_format(fixture,
                                         "{\"RegionId\":\"cn-region-%d\",\"ReplicaGroupId\":\"%s\","
                                         "\"ClientToken\":\"%s\"}",
                                         region, fixture_name(fixture, "pg"), token));
}

struct retried {
    struct row row;
    const char *status; /* the status at the deadline */
};

static const struct retried retried_rows[] = {
    {{"InternalError", 500, "unavailable"}, "unknown"},
    {{"RequestTimeout", 504, "unavailable"}, "unknown"},
    {{"LastTokenProcessing", 403, "unavailable"}, "unknown"},
    {{"Throttling", 400, "throttled"}, "failed"},
    {{"Throttling.User", 400, "throttled"}, "failed"},
    {{"Throttling.Api", 400, "throttled"}, "failed"},
    {{"BLOCK.LimitedRequest", 429, "throttled"}, "failed"},
    {{"ServiceUnavailable", 503, "unavailable"}, "failed"},
    {{"ServiceUnavailable.RegionMaintaining", 503, "unavailable"}, "failed"},
};

enum { RETRIED_COUNT = sizeof retried_rows / sizeof retried_rows[0] };

static void test_errors_that_pass_are_overcome_with_the_same_token(struct fixture *fixture)
{
    const char *tokens[RETRIED_COUNT];
    fixture_bridge(fixture, "");
    for (int i = 0; i < RETRIED_COUNT; i++) {
        tokens[i] = fixture_name(fixture, "token");
        simulator_fault(&fixture->simulator,
                        "\"error\",\"Code\":\"%s\",\"Match\":{\"ClientToken\":\"%s\"}",
                        retried_rows[i].row.code, tokens[i]);
        send_in_region(fixture, tokens[i], i);
    }
    for (int i = 0; i < RETRIED_COUNT; i++) {
        const struct message *reply = fixture_expect_reply(fixture, tokens[i]);
        check_succeeded(reply);
        assert_int_equal(json_number(reply->json, "Attempts"), 2);
        assert_int_equal(simulator_token(&fixture->simulator, tokens[i], "Calls"), 2);
        assert_int_equal(simulator_token(&fixture->simulator, tokens[i], "Effects"), 1);
    }
}

static void test_errors_that_last_are_reported_at_the_deadline(struct fixture *fixture)
{
    const char *tokens[RETRIED_COUNT];
    fixture_bridge(fixture, "limits.deadline_s = 2; api.read_timeout_ms = 500;");
    for (int i = 0; i < RETRIED_COUNT; i++) {
        tokens[i] = fixture_name(fixture, "token");
        answer_always_in(fixture, tokens[i], retried_rows[i].row.code, i % 2 == 1);
        send_in_region(fixture, tokens[i], i);
    }
    for (int i = 0; i < RETRIED_COUNT; i++) {
        const struct message *reply = fixture_expect_reply(fixture, tokens[i]);
        check_from_api(reply, retried_rows[i].status, &retried_rows[i].row, true);
        assert_true(json_number(reply->json, "Attempts") >= 2);
        assert_int_equal(json_number(reply->json, "Attempts"),
                         simulator_token(&fixture->simulator, tokens[i], "Calls"));
    }
}

static void test_each_attempt_has_a_new_nonce(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"InternalError\",\"Count\":2");
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    cJSON *rows = simulator_requests(&fixture->simulator, token);
    assert_int_equal(cJSON_GetArraySize(rows), 3);
    for (int i = 0; i < 3; i++) {
        for (int other = 0; other < i; other++) {
            assert_string_not_equal(json_text(cJSON_GetArrayItem(rows, i), "Nonce"),
                                    json_text(cJSON_GetArrayItem(rows, other), "Nonce"));
        }
    }
    cJSON_Delete(rows);
    assert_int_equal(simulator_total(&fixture->simulator, "NonceReuse"), 0);
    assert_int_equal(simulator_total(&fixture->simulator, "SignatureErrors"), 0);
}

/* The time from the first answer to the second request, in ms. */
static double pause_between(const cJSON *rows)
{
    return json_number(cJSON_GetArrayItem(rows, 1), "ArrivalMs") -
           json_number(cJSON_GetArrayItem(rows, 0), "AnswerMs");
}

static void test_the_retry_after_time_of_the_api_is_obeyed(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"Throttling.User\",\"RetryAfterMs\":1500");
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    cJSON *rows = simulator_requests(&fixture->simulator, token);
    assert_int_equal(cJSON_GetArraySize(rows), 2);
    assert_true(pause_between(rows) >= 1490);
    assert_true(pause_between(rows) < 10000);
    assert_true(strcmp(json_text(cJSON_GetArrayItem(rows, 0), "Date"),
                       json_text(cJSON_GetArrayItem(rows, 1), "Date")) < 0);
    cJSON_Delete(rows);
}

static void test_a_throttled_command_reports_when_to_send_again(struct fixture *fixture)
{
    fixture_bridge(fixture, "limits.deadline_s = 1; api.read_timeout_ms = 500;");
    simulator_fault(&fixture->simulator,
                    "\"error\",\"Code\":\"Throttling.User\",\"RetryAfterMs\":30000,\"Count\":-1");
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    check_error(reply, "failed", "Throttling.User", "throttled", true);
    assert_true(json_number(reply->json, "Error.RetryAfterMs") > 20000);
    assert_true(json_number(reply->json, "Error.RetryAfterMs") <= 30000);
}

static void test_commands_succeed_after_a_long_throttling(struct fixture *fixture)
{
    enum { COUNT = 40 };
    const char *tokens[COUNT];
    fixture_bridge(fixture, "api.rate_per_s = 20.0; api.rate_burst = 40;");
    simulator_order(&fixture->simulator, "POST", "limits",
                    "{\"RatePerS\":10,\"Burst\":3,\"RetryAfter\":true}");
    for (int i = 0; i < COUNT; i++) {
        tokens[i] = fixture_name(fixture, "token");
        fixture_send(fixture, fixture_command(fixture, tokens[i], fixture_name(fixture, "pg"), ""));
    }
    for (int i = 0; i < COUNT; i++) {
        check_succeeded(fixture_expect_reply(fixture, tokens[i]));
    }
    assert_true(simulator_total(&fixture->simulator, "Throttled") > 0);
    assert_int_equal(simulator_total(&fixture->simulator, "Effects"), COUNT);
    /* Each may be throttled a few times; without a backoff it would be hundreds of times. */
    assert_true(simulator_total(&fixture->simulator, "Throttled") < 4 * COUNT);
}

/* --- credentials, clock, signature --- */

static void test_refused_credentials_are_reported_after_one_more_try(struct fixture *fixture)
{
    static const struct row rows[] = {
        {"InvalidAccessKeyId.NotFound", 404, "denied"},
        {"InvalidAccessKeyId.Inactive", 400, "denied"},
        {"SignatureDoesNotMatch", 400, "denied"},
        {"InvalidSecurityToken.Expired", 400, "denied"},
        {"InvalidSecurityToken.Malformed", 400, "denied"},
        {"Forbidden.AccessKeyDisabled", 403, "denied"},
    };
    fixture_bridge(fixture, "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *token = fixture_name(fixture, "token");
        answer_always(fixture, token, rows[i].code);
        check_from_api(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""), "failed",
                       &rows[i], false);
        int calls = simulator_token(&fixture->simulator, token, "Calls");
        assert_true(calls >= 1 && calls <= 2);
    }
}

static void test_refused_credentials_degrade_the_bridge_until_they_are_accepted(
    struct fixture *fixture)
{
    struct bridge *bridge = fixture_bridge(fixture, "");
    const struct match degraded = {.topic = bridge->status_topic, .state = "degraded"};
    const char *token = fixture_name(fixture, "token");
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    client_sync(fixture->sender);
    client_forget(fixture->sender, &(struct match){.topic = bridge->status_topic});
    answer_always(fixture, token, "InvalidAccessKeyId.NotFound");
    fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    const struct message *status = client_expect(fixture->sender, &degraded);
    assert_non_null(strstr(status->payload, "credentials_refused"));
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    bridge_wait_online(bridge);
}

static void test_configuration_errors_are_reported(struct fixture *fixture)
{
    static const struct row rows[] = {
        {"InvalidAction.NotFound", 404, "configuration"},
        {"InvalidApi.NotFound", 404, "configuration"},
        {"InvalidVersion", 400, "configuration"},
        {"InvalidProduct.NotFound", 404, "configuration"},
    };
    fixture_bridge(fixture, "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_definite(fixture, &rows[i]);
    }
}

static void test_after_a_used_nonce_the_call_is_signed_again_once(struct fixture *fixture)
{
    static const struct row row = {"SignatureNonceUsed", 400, "internal"};
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"SignatureNonceUsed\"");
    const struct message *reply = fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    check_succeeded(reply);
    assert_int_equal(json_number(reply->json, "Attempts"), 2);
    token = fixture_name(fixture, "token");
    answer_always(fixture, token, row.code);
    check_from_api(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""), "unknown",
                   &row, true);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 2);
}

static void check_clock(struct fixture *fixture, int offset_s)
{
    simulator_clear(&fixture->simulator);
    simulator_fault(&fixture->simulator, "\"wrong_clock\",\"OffsetS\":%d", offset_s);
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    check_succeeded(reply);
    assert_int_equal(json_number(reply->json, "Attempts"), 2);
    reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    check_succeeded(reply);
    assert_int_equal(json_number(reply->json, "Attempts"), 1);
}

static void test_a_wrong_clock_is_measured_and_corrected(struct fixture *fixture)
{
    fixture_bridge(fixture, "");
    check_clock(fixture, 7200);
    check_clock(fixture, -7200);
}

static void test_a_date_that_is_never_accepted_is_a_configuration_error(struct fixture *fixture)
{
    static const struct row row = {"InvalidTimeStamp.Expired", 400, "configuration"};
    fixture_bridge(fixture, "");
    const char *token = fixture_name(fixture, "token");
    answer_always(fixture, token, row.code);
    check_from_api(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""), "failed", &row,
                   false);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 2);
}

static void test_a_wrong_secret_is_reported_without_the_secret(struct fixture *fixture)
{
    static const char *const settings[] = {"", "api.signature = \"v1\";"};
    for (size_t i = 0; i < 2; i++) {
        struct bridge *bridge = fixture_bridge_alone(fixture, settings[i]);
        bridge->env[1] = "ALIBABA_CLOUD_ACCESS_KEY_SECRET=NotTheSecretOfThisKey";
        bridge_start(bridge);
        bridge_wait_online(bridge);
        const struct message *reply = fixture_request(fixture, fixture_name(fixture, "token"),
                                                      fixture_name(fixture, "pg"), "");
        check_error(reply, "failed", "SignatureDoesNotMatch", "denied", false);
        assert_null(strstr(reply->payload, "NotTheSecret"));
        assert_null(strstr(reply->payload, FLOW_ACCESS_KEY));
        bridge_stop(bridge);
        assert_false(bridge_log_contains(bridge, "NotTheSecret"));
        assert_false(bridge_log_contains(bridge, FLOW_ACCESS_KEY));
    }
}

static void test_a_security_token_is_sent_and_signed(struct fixture *fixture)
{
    static const char *const settings[] = {"", "api.signature = \"v1\";"};
    simulator_order(&fixture->simulator, "POST", "keys",
                    "{\"AccessKeyId\":\"STS.session\",\"AccessKeySecret\":\"SessionSecret\","
                    "\"SecurityToken\":\"CAIStoken+/=~*\"}");
    for (size_t i = 0; i < 2; i++) {
        struct bridge *bridge = fixture_bridge_alone(fixture, settings[i]);
        bridge->env[0] = "ALIBABA_CLOUD_ACCESS_KEY_ID=STS.session";
        bridge->env[1] = "ALIBABA_CLOUD_ACCESS_KEY_SECRET=SessionSecret";
        bridge->env[2] = "ALIBABA_CLOUD_SECURITY_TOKEN=CAIStoken+/=~*";
        bridge_start(bridge);
        bridge_wait_online(bridge);
        check_succeeded(fixture_request(fixture, fixture_name(fixture, "token"),
                                        fixture_name(fixture, "pg"), ""));
        bridge_stop(bridge);
    }
}

static void test_calls_may_be_signed_with_v1(struct fixture *fixture)
{
    fixture_bridge(fixture, "api.signature = \"v1\";");
    const char *token = fixture_name(fixture, "token *~/+%");
    simulator_fault(&fixture->simulator, "\"error\",\"Code\":\"InternalError\"");
    fixture_send(fixture, fixture_command(fixture, token, fixture_name(fixture, "pg &="), ""));
    check_succeeded(client_expect(fixture->sender, &(struct match){.token = token}));
    assert_int_equal(simulator_total(&fixture->simulator, "SignatureV1"), 2);
    assert_int_equal(simulator_total(&fixture->simulator, "SignatureV3"), 0);
    assert_int_equal(simulator_total(&fixture->simulator, "SignatureErrors"), 0);
}

static void test_the_other_preset_uses_the_other_version(struct fixture *fixture)
{
    fixture_bridge(fixture, "api.preset = \"ecs\";");
    const char *token = fixture_name(fixture, "token");
    check_succeeded(fixture_request(fixture, token, fixture_name(fixture, "pg"), ""));
    cJSON *rows = simulator_requests(&fixture->simulator, token);
    assert_string_equal(json_text(cJSON_GetArrayItem(rows, 0), "Version"), "2014-05-26");
    cJSON_Delete(rows);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_definite_refusals_are_passed_on_after_one_call),
        FLOW_TEST(test_the_message_of_the_api_is_passed_on),
        FLOW_TEST(test_other_codes_are_classified_by_their_http_status),
        FLOW_TEST(test_the_hint_names_what_helps),
        FLOW_TEST(test_a_cooldown_reports_half_the_rpo),
        FLOW_TEST(test_answers_in_xml_are_understood),
        FLOW_TEST(test_errors_that_pass_are_overcome_with_the_same_token),
        FLOW_TEST(test_each_attempt_has_a_new_nonce),
        FLOW_TEST(test_configuration_errors_are_reported),
        FLOW_TEST(test_refused_credentials_are_reported_after_one_more_try),
        FLOW_TEST(test_refused_credentials_degrade_the_bridge_until_they_are_accepted),
        FLOW_TEST(test_after_a_used_nonce_the_call_is_signed_again_once),
        FLOW_TEST(test_a_date_that_is_never_accepted_is_a_configuration_error),
        FLOW_TEST(test_the_retry_after_time_of_the_api_is_obeyed),
        FLOW_TEST(test_a_wrong_clock_is_measured_and_corrected),
        FLOW_TEST(test_a_route_may_wait_for_the_end_of_a_cooldown),
        FLOW_TEST(test_a_cooldown_longer_than_the_deadline_is_not_waited_for),
        FLOW_TEST(test_errors_that_last_are_reported_at_the_deadline),
        FLOW_TEST(test_a_throttled_command_reports_when_to_send_again),
        FLOW_TEST(test_commands_succeed_after_a_long_throttling),
        FLOW_TEST(test_calls_may_be_signed_with_v1),
        FLOW_TEST(test_the_other_preset_uses_the_other_version),
        FLOW_TEST(test_a_wrong_secret_is_reported_without_the_secret),
        FLOW_TEST(test_a_security_token_is_sent_and_signed),
    };
    return flow_main("errors of the API", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
}
