/* The API is fake_http. The loop is real, since calls without credentials are answered from a
 * timer.
 */
#include "aliyun/sign.h"
#include "base/clock.h"
#include "base/digest.h"
#include "ecs/call.h"
#include "support/fakes/fake_http.h"
#include "support/settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID    "LTAItestid"
#define KEY   "testsecretkey"
#define TOKEN "CAIStoken+/=~*"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SUCCESS      "{\"RequestId\":\"C123\"}"
#define REFUSAL(code, message) \
    "{\"RequestId\":\"R1\",\"Code\":\"" code "\",\"Message\":\"" message "\"}"

/* How late a slow machine may be; the clock offsets tested are far larger. */
#define SLOW_MS 60000

struct fixture {
    struct loop *loop;
    struct ecs *ecs;
    struct settings settings;
    struct tls_files tls;
    struct command command;
    struct health *health;
    struct counters counters;
    int change_count; /* of the health */
    int answers;
    enum reaction reaction;
    struct outcome outcome;
    int64_t retry_after_ms;
    int64_t at_ms;
};

static void count_change(void *arg)
{
    struct fixture *fixture = arg;
    fixture->change_count++;
}

static bool is_on(const struct fixture *fixture, enum health_reason reason)
{
    return health_is_on(fixture->health, reason);
}

static void take_answer(void *arg, struct attempt *attempt)
{
    struct fixture *fixture = arg;
    fixture->answers++;
    fixture->reaction = attempt->reaction;
    fixture->retry_after_ms = attempt->retry_after_ms;
    fixture->at_ms = attempt->at_ms;
    outcome_fini(&fixture->outcome);
    fixture->outcome = attempt->outcome;
    attempt->outcome = (struct outcome){0};
    loop_stop(fixture->loop);
}

static void set_environment(const char *id, const char *key, const char *token)
{
    const struct {
        const char *name;
        const char *value;
    } rows[] = {{"ALIBABA_CLOUD_ACCESS_KEY_ID", id},
                {"ALIBABA_CLOUD_ACCESS_KEY_SECRET", key},
                {"ALIBABA_CLOUD_SECURITY_TOKEN", token}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value == NULL) {
            unsetenv(rows[i].name);
        } else {
            setenv(rows[i].name, rows[i].value, 1);
        }
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    fixture->health = health_new(fixture->loop);
    health_watch(fixture->health, count_change, fixture);
    settings_fixture_set_api(&fixture->settings);
    fixture->command = (struct command){.action = &action_rows[ACTION_StartDiskReplicaGroup],
                                        .region = "cn-beijing",
                                        .group = "pg-myreplica****",
                                        .token = "123e4567-e89b-12d3-a456-42665544****",
                                        .params = "{\"OneShot\":false}"};
    set_environment(ID, KEY, NULL);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    ecs_free(fixture->ecs);
    health_free(fixture->health);
    loop_free(fixture->loop);
    outcome_fini(&fixture->outcome);
    fake_http_reset();
    free(fixture);
    return 0;
}

static void begin(struct fixture *fixture)
{
    struct buf why = {0};
    assert_int_equal(ecs_new(fixture->loop, &fixture->settings, &fixture->tls, fixture->health,
                             &fixture->counters, &fixture->ecs, &why),
                     STATUS_OK);
    assert_int_equal(why.length, 0);
    buf_fini(&why);
}

/* Starts a call and returns the number of its request. */
static size_t call(struct fixture *fixture)
{
    size_t count = fake_http_count();
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    assert_int_equal(fake_http_count(), count + 1);
    return count;
}

static void call_and_answer(struct fixture *fixture, int status, const char *body)
{
    int answers = fixture->answers;
    size_t index = call(fixture);
    assert_int_equal(fixture->answers, answers);
    fake_http_answer_text(index, status, body);
    assert_int_equal(fixture->answers, answers + 1);
}

static void call_and_fail(struct fixture *fixture, enum http_result result, const char *error)
{
    struct http_answer answer = {
        .result = result, .retry_after_ms = -1, .date_ms = -1, .error = error};
    fake_http_answer(call(fixture), &answer);
}

static int64_t date_of_request(size_t index)
{
    int64_t date_ms = 0;
    const char *text = fake_http_header(index, "x-acs-date");
    assert_non_null(text);
    assert_int_equal(clock_parse(slice_text(text), &date_ms), STATUS_OK);
    return date_ms;
}

static void check_v3_signature(size_t index, const char *signed_headers, const char *id,
                               const char *key)
{
    struct sign_pair headers[8];
    size_t count = 0;
    char *names = strdup(signed_headers);
    char *rest = names;
    char *name;
    while ((name = strsep(&rest, ";")) != NULL) {
        const char *value = fake_http_header(index, name);
        assert_non_null(value);
        headers[count++] = (struct sign_pair){name, slice_text(value)};
    }
    struct sign_v3_request request = {
        .method = fake_http_request(index)->method,
        .path = "/",
        .canonical_query = slice_text(strchr(fake_http_request(index)->url, '?') + 1),
        .headers = headers,
        .header_count = count,
        .payload_hash = slice_text(EMPTY_SHA256),
    };
    struct buf expected = {0};
    sign_v3_authorization(&request, slice_text(id), slice_text(key), &expected);
    assert_string_equal(fake_http_header(index, "Authorization"), expected.data);
    buf_fini(&expected);
    free(names);
}

static void test_a_v3_call_is_a_signed_post_with_its_parameters_in_the_query(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    size_t index = call(fixture);
    const struct fake_http_request *request = fake_http_request(index);
    assert_string_equal(request->method, "POST");
    assert_string_equal(request->url,
                        "https://ebs.cn-beijing.aliyuncs.com/"
                        "?ClientToken=123e4567-e89b-12d3-a456-42665544%2A%2A%2A%2A&OneShot=false"
                        "&RegionId=cn-beijing&ReplicaGroupId=pg-myreplica%2A%2A%2A%2A");
    assert_int_equal(request->body.length, 0);
    assert_string_equal(fake_http_header(index, "host"), "ebs.cn-beijing.aliyuncs.com");
    assert_string_equal(fake_http_header(index, "x-acs-action"), "StartDiskReplicaGroup");
    assert_string_equal(fake_http_header(index, "x-acs-version"), "2021-07-30");
    assert_string_equal(fake_http_header(index, "x-acs-content-sha256"), EMPTY_SHA256);
    assert_string_equal(fake_http_header(index, "accept"), "application/json");
    assert_string_equal(fake_http_header(index, "user-agent"), "ecs-mqtt-bridge/" BRIDGE_VERSION);
    assert_null(fake_http_header(index, "content-type"));
    assert_null(fake_http_header(index, "x-acs-security-token"));
    assert_in_range(llabs(date_of_request(index) - clock_wall_ms()), 0, SLOW_MS);
    check_v3_signature(index,
                       "host;x-acs-action;x-acs-content-sha256;x-acs-date;"
                       "x-acs-signature-nonce;x-acs-version",
                       ID, KEY);
}

static void test_one_shot_and_the_region_of_the_command_are_used(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    fixture->command.params = "{\"OneShot\":true}";
    fixture->command.region = "eu-central-1";
    const char *url = fake_http_request(call(fixture))->url;
    assert_non_null(strstr(url, "https://ebs.eu-central-1.aliyuncs.com/?"));
    assert_non_null(strstr(url, "&OneShot=true&RegionId=eu-central-1&"));
}

static void test_a_security_token_is_sent_and_signed(void **state)
{
    struct fixture *fixture = *state;
    set_environment("STS.testid", KEY, TOKEN);
    begin(fixture);
    size_t index = call(fixture);
    assert_string_equal(fake_http_header(index, "x-acs-security-token"), TOKEN);
    check_v3_signature(index,
                       "host;x-acs-action;x-acs-content-sha256;x-acs-date;"
                       "x-acs-security-token;x-acs-signature-nonce;x-acs-version",
                       "STS.testid", KEY);
}

static void test_every_attempt_has_a_nonce_of_its_own_and_the_same_token(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    size_t first = call(fixture);
    size_t second = call(fixture);
    const char *nonce = fake_http_header(first, "x-acs-signature-nonce");
    assert_int_equal(strlen(nonce), 32);
    assert_int_equal(strspn(nonce, "0123456789abcdef"), 32);
    assert_string_not_equal(nonce, fake_http_header(second, "x-acs-signature-nonce"));
    assert_string_equal(fake_http_request(first)->url, fake_http_request(second)->url);
}

static void check_v1_signature(const char *url, const char *key)
{
    char *query = strdup(strchr(url, '?') + 1);
    char *signature = strstr(query, "&Signature=");
    assert_non_null(signature);
    *signature = '\0';
    signature += strlen("&Signature=");
    struct buf text = {0};
    struct buf expected = {0};
    struct buf encoded = {0};
    sign_v1_string_to_sign("POST", slice_text(query), &text);
    sign_v1_signature(slice_text(key), buf_slice(&text), &expected);
    sign_percent_encode(buf_slice(&expected), &encoded);
    assert_string_equal(signature, encoded.data);
    buf_fini(&text);
    buf_fini(&expected);
    buf_fini(&encoded);
    free(query);
}

static void test_a_v1_call_has_all_in_the_query(void **state)
{
    struct fixture *fixture = *state;
    set_environment("STS.testid", KEY, TOKEN);
    fixture->settings.api.signature = "v1";
    fixture->settings.api.endpoint = "http://127.0.0.1:8080";
    begin(fixture);
    size_t index = call(fixture);
    const struct fake_http_request *request = fake_http_request(index);
    static const char *const parts[] = {
        "http://127.0.0.1:8080/?AccessKeyId=STS.testid&Action=StartDiskReplicaGroup"
        "&ClientToken=123e4567-e89b-12d3-a456-42665544%2A%2A%2A%2A&Format=JSON&OneShot=false"
        "&RegionId=cn-beijing&ReplicaGroupId=pg-myreplica%2A%2A%2A%2A"
        "&SecurityToken=CAIStoken%2B%2F%3D~%2A&SignatureMethod=HMAC-SHA1&SignatureNonce=",
        "&SignatureVersion=1.0&Timestamp=",
        "Z&Version=2021-07-30&Signature=",
    };
    assert_string_equal(request->method, "POST");
    assert_int_equal(request->body.length, 0);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        assert_non_null(strstr(request->url, parts[i]));
    }
    assert_null(fake_http_header(index, "Authorization"));
    check_v1_signature(request->url, KEY);
}

static void test_a_v1_call_without_a_security_token_names_none(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.api.signature = "v1";
    begin(fixture);
    const char *url = fake_http_request(call(fixture))->url;
    assert_null(strstr(url, "SecurityToken"));
    check_v1_signature(url, KEY);
}

static void test_a_success_is_reported(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    call_and_answer(fixture, 200, SUCCESS);
    assert_int_equal(fixture->reaction, REACTION_DONE);
    assert_int_equal(fixture->outcome.status, OUTCOME_SUCCEEDED);
    assert_string_equal(fixture->outcome.request_id, "C123");
    assert_int_equal(fixture->change_count, 0);
}

static void test_calls_side_by_side_get_their_own_answers(void **state)
{
    struct fixture *fixture = *state;
    struct fixture other = *fixture;
    begin(fixture);
    size_t first = call(fixture);
    ecs_call(fixture->ecs, &fixture->command, take_answer, &other);
    fake_http_answer_text(first + 1, 404, REFUSAL("NoSuchResource", "m"));
    assert_int_equal(fixture->answers, 0);
    assert_int_equal(other.answers, 1);
    assert_int_equal(other.reaction, REACTION_REPLY);
    fake_http_answer_text(first, 200, SUCCESS);
    assert_int_equal(fixture->reaction, REACTION_DONE);
    assert_int_equal(other.answers, 1);
    outcome_fini(&other.outcome);
}

static void test_the_clock_is_measured_from_the_answer_and_later_dates_follow_it(void **state)
{
    struct fixture *fixture = *state;
    int64_t hour_ms = 3600000;
    begin(fixture);
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = 400,
        .body = slice_text(REFUSAL("InvalidTimeStamp.Expired", "m")),
        .retry_after_ms = -1,
        .date_ms = clock_wall_ms() + hour_ms,
        .error = "",
    };
    fake_http_answer(call(fixture), &answer);
    assert_int_equal(fixture->reaction, REACTION_CLOCK_ONCE);
    int64_t ahead_ms = date_of_request(call(fixture)) - clock_wall_ms();
    assert_in_range(llabs(ahead_ms - hour_ms), 0, SLOW_MS);
}

static void test_an_attempt_without_an_answer_ends_by_the_clock_of_the_last_one(void **state)
{
    struct fixture *fixture = *state;
    int64_t ten_minutes_ms = 600000;
    begin(fixture);
    call_and_fail(fixture, HTTP_CUT, "reset");
    assert_in_range(llabs(fixture->at_ms - clock_wall_ms()), 0, SLOW_MS);
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = 200,
        .body = slice_text(SUCCESS),
        .retry_after_ms = -1,
        .date_ms = clock_wall_ms() - ten_minutes_ms,
        .error = "",
    };
    fake_http_answer(call(fixture), &answer);
    assert_int_equal(fixture->at_ms, answer.date_ms);
    call_and_fail(fixture, HTTP_CUT, "reset");
    assert_in_range(llabs(fixture->at_ms + ten_minutes_ms - clock_wall_ms()), 0, SLOW_MS);
}

static void test_a_wrong_clock_without_a_date_is_reported_at_once(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    call_and_answer(fixture, 400, REFUSAL("InvalidTimeStamp.Expired", "m"));
    assert_int_equal(fixture->reaction, REACTION_REPLY_BRIDGE);
    assert_int_equal(fixture->outcome.retention, RETENTION_NOT);
    assert_int_equal(fixture->outcome.category, CATEGORY_CONFIGURATION);
}

static void test_without_credentials_nothing_is_sent_and_the_callback_comes_later(void **state)
{
    struct fixture *fixture = *state;
    set_environment(NULL, NULL, NULL);
    begin(fixture);
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    assert_int_equal(fixture->answers, 0);
    loop_run(fixture->loop);
    assert_int_equal(fixture->answers, 1);
    assert_int_equal(fake_http_count(), 0);
    assert_int_equal(fixture->reaction, REACTION_REPLY_BRIDGE);
    assert_int_equal(fixture->outcome.status, OUTCOME_FAILED);
    assert_int_equal(fixture->outcome.retention, RETENTION_NOT);
    assert_string_equal(fixture->outcome.code, "Bridge.NoCredentials");
    /* What is wrong on this machine is for the log. */
    assert_null(strstr(fixture->outcome.message, "ALIBABA_CLOUD_ACCESS_KEY_ID"));
    assert_null(strchr(fixture->outcome.message, '/'));
    assert_int_equal(fixture->change_count, 1);
    assert_true(is_on(fixture, HEALTH_NO_CREDENTIALS));
}

static void test_without_credentials_the_health_says_so_before_the_first_call(void **state)
{
    struct fixture *fixture = *state;
    set_environment(NULL, NULL, NULL);
    begin(fixture);
    ecs_start(fixture->ecs);
    assert_true(is_on(fixture, HEALTH_NO_CREDENTIALS));
    ecs_free(fixture->ecs);
    set_environment(ID, KEY, NULL);
    begin(fixture);
    ecs_start(fixture->ecs);
    assert_false(is_on(fixture, HEALTH_NO_CREDENTIALS));
    /* They do not expire. */
    assert_int_equal(counter_get(&fixture->counters, COUNTER_CREDENTIALS_EXPIRY), 0);
}

/* A credentials URI in place of the environment; its answers are those of the first requests. */
static void begin_with_uri(struct fixture *fixture)
{
    fixture->settings.credentials.provider = "credentials_uri";
    fixture->settings.credentials.uri = "http://127.0.0.1:1/given";
    begin(fixture);
}

static void give_credentials(size_t index, const char *id)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"AccessKeyId\":\"%s\",\"AccessKeySecret\":\"" KEY "\",\"SecurityToken\":\"" TOKEN
             "\",\"Expiration\":\"2099-01-01T00:00:00Z\"}",
             id);
    assert_string_equal(fake_http_request(index)->url, "http://127.0.0.1:1/given");
    fake_http_answer_text(index, 200, text);
}

static void check_signed_by(size_t index, const char *id)
{
    assert_non_null(strstr(fake_http_header(index, "Authorization"), id));
}

static void test_without_a_valid_lease_nothing_is_sent(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease;
    lease_init(&lease);
    lease_begin(&lease);
    begin(fixture);
    ecs_set_lease(fixture->ecs, &lease);
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    assert_int_equal(fixture->answers, 0);
    loop_run(fixture->loop);
    assert_int_equal(fixture->answers, 1);
    assert_int_equal(fixture->reaction, REACTION_RETRY);
    assert_int_equal(fake_http_count(), 0);
    lease_renewed(&lease, 1000, LEASE_MARGIN_MS + 1000);
    assert_int_equal(lease_check(&lease, 1000), LEASE_REGAINED);
    call(fixture);
}

static void test_credentials_that_are_unavailable_are_tried_again(void **state)
{
    struct fixture *fixture = *state;
    begin_with_uri(fixture);
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    fake_http_answer_text(0, 503, "");
    assert_int_equal(fixture->answers, 0);
    loop_run(fixture->loop);
    assert_int_equal(fixture->reaction, REACTION_RETRY);
    assert_string_equal(fixture->outcome.code, "Bridge.NoCredentials");
    assert_int_equal(fixture->outcome.retention, RETENTION_NOT);
    assert_true(is_on(fixture, HEALTH_NO_CREDENTIALS));
}

static void test_credentials_are_missing_until_the_fetch_at_the_start_is_answered(void **state)
{
    struct fixture *fixture = *state;
    begin_with_uri(fixture);
    ecs_start(fixture->ecs);
    assert_true(is_on(fixture, HEALTH_NO_CREDENTIALS));
    assert_int_equal(counter_get(&fixture->counters, COUNTER_CREDENTIALS_EXPIRY), 0);
    give_credentials(0, "STS.first");
    assert_false(is_on(fixture, HEALTH_NO_CREDENTIALS));
    assert_int_equal(fake_http_count(), 1);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_CREDENTIALS_EXPIRY),
                     INT64_C(4070908800000)); /* 2099-01-01 */
}

static void test_calls_that_come_during_a_fetch_share_it(void **state)
{
    struct fixture *fixture = *state;
    begin_with_uri(fixture);
    for (int i = 0; i < 5; i++) {
        ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    }
    assert_int_equal(fake_http_count(), 1);
    give_credentials(0, "STS.first");
    assert_int_equal(fake_http_count(), 6);
    for (size_t i = 1; i <= 5; i++) {
        check_signed_by(i, "STS.first");
        fake_http_answer_text(i, 200, SUCCESS);
    }
    assert_int_equal(fixture->answers, 5);
}

static void test_a_refused_key_is_fetched_again_once_for_all_calls(void **state)
{
    struct fixture *fixture = *state;
    begin_with_uri(fixture);
    for (int i = 0; i < 3; i++) {
        ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    }
    give_credentials(0, "STS.first");
    fake_http_answer_text(1, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    assert_int_equal(fixture->reaction, REACTION_CREDENTIALS_ONCE);
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    give_credentials(4, "STS.second");
    /* Late refusals of the first key do not touch the second. */
    fake_http_answer_text(2, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    assert_int_equal(fixture->reaction, REACTION_CREDENTIALS_ONCE);
    fake_http_answer_text(3, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    assert_int_equal(fake_http_count(), 7);
    check_signed_by(5, "STS.second");
    check_signed_by(6, "STS.second");
    fake_http_answer_text(5, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    assert_int_equal(fixture->reaction, REACTION_REPLY_BRIDGE);
    fake_http_answer_text(6, 200, SUCCESS);
}

static void test_a_probe_changes_nothing_and_names_no_group(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    ecs_probe(fixture->ecs, "cn-hangzhou", take_answer, fixture);
    assert_string_equal(fake_http_request(0)->url,
                        "https://ebs.cn-hangzhou.aliyuncs.com/?MaxResults=1&RegionId=cn-hangzhou");
    assert_string_equal(fake_http_header(0, "x-acs-action"), "DescribeDiskReplicaGroups");
    fake_http_answer_text(0, 200, "{\"RequestId\":\"C1\",\"ReplicaGroups\":[]}");
    assert_int_equal(fixture->reaction, REACTION_DONE);
}

static void test_a_credential_refusal_degrades_until_the_api_answers_otherwise(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    call_and_answer(fixture, 404, REFUSAL("InvalidAccessKeyId.NotFound", "m"));
    assert_int_equal(fixture->reaction,
                     REACTION_REPLY_BRIDGE); /* the environment has no other credentials */
    assert_int_equal(fixture->outcome.category, CATEGORY_DENIED);
    assert_int_equal(fixture->outcome.retention, RETENTION_NOT);
    assert_int_equal(fixture->change_count, 1);
    assert_true(is_on(fixture, HEALTH_CREDENTIALS_REFUSED));
    call_and_answer(fixture, 400, REFUSAL("SignatureDoesNotMatch", "m"));
    call_and_answer(fixture, 502, "<html></html>");
    call_and_fail(fixture, HTTP_NOT_SENT, "x");
    assert_int_equal(fixture->change_count, 1);
    call_and_answer(fixture, 404, REFUSAL("NoSuchResource", "m"));
    assert_int_equal(fixture->change_count, 2);
    assert_false(is_on(fixture, HEALTH_CREDENTIALS_REFUSED));
}

static void test_three_attempts_in_a_row_that_were_not_sent_degrade(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    call_and_fail(fixture, HTTP_NOT_SENT, "x");
    call_and_fail(fixture, HTTP_NOT_SENT, "x");
    call_and_fail(fixture, HTTP_CUT, "x");
    call_and_fail(fixture, HTTP_NOT_SENT, "x");
    call_and_fail(fixture, HTTP_NOT_SENT, "x");
    assert_int_equal(fixture->change_count, 0);
    call_and_fail(fixture, HTTP_NOT_SENT, "x");
    call_and_fail(fixture, HTTP_NOT_SENT, "x");
    assert_int_equal(fixture->change_count, 1);
    assert_true(is_on(fixture, HEALTH_API_UNREACHABLE));
    call_and_fail(fixture, HTTP_CUT, "x");
    assert_int_equal(fixture->change_count, 1);
    call_and_answer(fixture, 502, "<html></html>");
    assert_int_equal(fixture->change_count, 2);
    assert_false(is_on(fixture, HEALTH_API_UNREACHABLE));
}

static void fail_in(struct fixture *fixture, const char *region, bool is_host_unknown)
{
    fixture->command.region = region;
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    struct http_answer answer = {.result = HTTP_NOT_SENT,
                                 .retry_after_ms = -1,
                                 .date_ms = -1,
                                 .is_host_unknown = is_host_unknown,
                                 .error = "Could not resolve host"};
    fake_http_answer(fake_http_count() - 1, &answer);
}

static void test_a_misspelt_region_does_not_degrade_and_is_named(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    for (int i = 0; i < 5; i++) {
        fail_in(fixture, "cn-bejing", true); /* before any region has answered */
    }
    assert_non_null(strstr(fixture->outcome.message, "check the RegionId cn-bejing"));
    assert_false(is_on(fixture, HEALTH_API_UNREACHABLE));
    fixture->command.region = "cn-beijing";
    call_and_answer(fixture, 404, REFUSAL("NoSuchResource", "m"));
    for (int i = 0; i < 5; i++) {
        fail_in(fixture, "cn-bejing", true);
        fail_in(fixture, "cn-nowhere", false);
    }
    assert_false(is_on(fixture, HEALTH_API_UNREACHABLE));
    /* One that has answered before is no misspelt one. */
    for (int i = 0; i < 3; i++) {
        fail_in(fixture, "cn-beijing", true);
    }
    assert_true(is_on(fixture, HEALTH_API_UNREACHABLE));
}

static void test_a_region_that_a_route_names_degrades(void **state)
{
    struct fixture *fixture = *state;
    static char *named[] = {"cn-beijing"};
    struct route route = {.regions = {.items = named, .count = 1}};
    fixture->settings.routes = &route;
    fixture->settings.route_count = 1;
    begin(fixture);
    for (int i = 0; i < 3; i++) {
        assert_false(is_on(fixture, HEALTH_API_UNREACHABLE));
        fail_in(fixture, "cn-beijing", true);
    }
    assert_true(is_on(fixture, HEALTH_API_UNREACHABLE));
    ecs_free(fixture->ecs);
    fixture->ecs = NULL;
}

static void test_with_one_host_for_all_regions_each_of_them_degrades(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.api.endpoint = "https://api.example";
    begin(fixture);
    for (int i = 0; i < 3; i++) {
        fail_in(fixture, "cn-bejing", true);
    }
    assert_true(is_on(fixture, HEALTH_API_UNREACHABLE));
    assert_null(strstr(fixture->outcome.message, "check the RegionId"));
}

static void test_an_attempt_that_was_not_sent_is_repeated_and_names_the_host(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    call_and_fail(fixture, HTTP_NOT_SENT, "Could not resolve host");
    assert_int_equal(fixture->reaction, REACTION_RETRY);
    assert_int_equal(fixture->outcome.status, OUTCOME_FAILED);
    assert_int_equal(fixture->outcome.retention, RETENTION_GIVEN_UP);
    assert_string_equal(fixture->outcome.code, "Bridge.Unreachable");
    assert_non_null(strstr(fixture->outcome.message, "ebs.cn-beijing.aliyuncs.com"));
    assert_non_null(strstr(fixture->outcome.message, "Could not resolve host"));
}

static void test_an_attempt_that_was_cut_may_have_had_effect(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    call_and_fail(fixture, HTTP_CUT, "Recv failure");
    assert_int_equal(fixture->reaction, REACTION_RETRY_UNSURE);
    assert_int_equal(fixture->outcome.status, OUTCOME_UNKNOWN);
    assert_int_equal(fixture->outcome.retention, RETENTION_UNSURE);
    assert_string_equal(fixture->outcome.code, "Bridge.NoDefiniteAnswer");
    assert_non_null(strstr(fixture->outcome.message, "Recv failure"));
}

static void test_no_secret_gets_into_a_message(void **state)
{
    struct fixture *fixture = *state;
    set_environment(ID, KEY, TOKEN);
    begin(fixture);
    call_and_answer(fixture, 403,
                    REFUSAL("Forbidden", "Key " ID " with " TOKEN ", CAIStoken%2B%2F%3D~%2A and "
                                         "CAIStoken%252B%252F%253D~%252A may not."));
    assert_string_equal(fixture->outcome.message, "Key *** with ***, *** and *** may not.");
    call_and_fail(fixture, HTTP_CUT, "at https://h/?AccessKeyId=" ID "&x=" KEY);
    assert_null(strstr(fixture->outcome.message, ID));
    assert_null(strstr(fixture->outcome.message, KEY));
}

static void test_no_secret_of_a_former_identity_gets_into_a_message(void **state)
{
    struct fixture *fixture = *state;
    begin_with_uri(fixture);
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    give_credentials(0, "STS.first");
    fake_http_answer_text(1, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    give_credentials(3, "STS.second");
    fake_http_answer_text(2, 403, REFUSAL("Forbidden", "STS.first may not."));
    assert_string_equal(fixture->outcome.message, "*** may not.");
    fake_http_answer_text(4, 403, REFUSAL("Forbidden", "STS.second may not."));
    assert_string_equal(fixture->outcome.message, "*** may not.");
}

static void test_the_wait_the_api_asks_for_is_passed_on(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = 400,
        .body = slice_text(REFUSAL("Throttling.User", "m")),
        .retry_after_ms = 1234,
        .date_ms = -1,
        .error = "",
    };
    fake_http_answer(call(fixture), &answer);
    assert_int_equal(fixture->reaction, REACTION_THROTTLE);
    assert_int_equal(fixture->retry_after_ms, 1234);
    assert_int_equal(fixture->outcome.retry_after_ms, 1234);
}

static void test_unanswered_calls_end_without_a_callback(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    call(fixture);
    call(fixture);
    assert_true(fake_http_is_open());
    ecs_free(fixture->ecs);
    fixture->ecs = NULL;
    assert_false(fake_http_is_open());
    assert_int_equal(fixture->answers, 0);
    ecs_free(NULL);
}

static void test_unsent_calls_end_without_a_callback(void **state)
{
    struct fixture *fixture = *state;
    set_environment(NULL, NULL, NULL);
    begin(fixture);
    ecs_call(fixture->ecs, &fixture->command, take_answer, fixture);
    ecs_free(fixture->ecs);
    fixture->ecs = NULL;
    assert_int_equal(fixture->answers, 0);
}

static void test_settings_reach_the_http_client(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.api.proxy = "http://proxy:3128";
    begin(fixture);
    const struct http_options *options = fake_http_options();
    assert_int_equal(options->connect_timeout_ms, 5000);
    assert_int_equal(options->read_timeout_ms, 10000);
    assert_int_equal(options->answer_bytes_max, 65536);
    assert_int_equal(options->connections_max, 64);
    assert_int_equal(options->connection_age_max_s, 60);
    assert_string_equal(options->proxy, "http://proxy:3128");
    assert_ptr_equal(options->tls, &fixture->tls);
}

static void test_after_a_renewal_calls_use_new_connections(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture);
    call(fixture);
    fixture->settings.api.proxy = "http://other:3128";
    ecs_renew(fixture->ecs);
    assert_string_equal(fake_http_options()->proxy, "http://other:3128");
    size_t request = call(fixture);
    fake_http_answer_text(0, 200, "{\"RequestId\":\"a\"}");
    fake_http_answer_text(request, 200, "{\"RequestId\":\"b\"}");
    assert_int_equal(fixture->answers, 2);
}

static void check_refused(struct fixture *fixture, const char *named)
{
    struct buf why = {0};
    assert_int_equal(ecs_new(fixture->loop, &fixture->settings, &fixture->tls, fixture->health,
                             &fixture->counters, &fixture->ecs, &why),
                     STATUS_INVALID);
    assert_non_null(strstr(why.data, named));
    assert_null(fixture->ecs);
    buf_fini(&why);
}

static void test_an_impossible_endpoint_or_provider_is_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.api.endpoint = "http://cloud.example";
    check_refused(fixture, "api.endpoint");
    fixture->settings.api.endpoint = "";
    fixture->settings.credentials.provider = "imds";
    check_refused(fixture, "credentials.provider");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_v3_call_is_a_signed_post_with_its_parameters_in_the_query),
        CASE(test_one_shot_and_the_region_of_the_command_are_used),
        CASE(test_a_security_token_is_sent_and_signed),
        CASE(test_every_attempt_has_a_nonce_of_its_own_and_the_same_token),
        CASE(test_a_v1_call_has_all_in_the_query),
        CASE(test_a_v1_call_without_a_security_token_names_none),
        CASE(test_a_success_is_reported),
        CASE(test_calls_side_by_side_get_their_own_answers),
        CASE(test_the_clock_is_measured_from_the_answer_and_later_dates_follow_it),
        CASE(test_an_attempt_without_an_answer_ends_by_the_clock_of_the_last_one),
        CASE(test_a_wrong_clock_without_a_date_is_reported_at_once),
        CASE(test_without_credentials_nothing_is_sent_and_the_callback_comes_later),
        CASE(test_without_credentials_the_health_says_so_before_the_first_call),
        CASE(test_credentials_are_missing_until_the_fetch_at_the_start_is_answered),
        CASE(test_without_a_valid_lease_nothing_is_sent),
        CASE(test_credentials_that_are_unavailable_are_tried_again),
        CASE(test_calls_that_come_during_a_fetch_share_it),
        CASE(test_a_refused_key_is_fetched_again_once_for_all_calls),
        CASE(test_a_probe_changes_nothing_and_names_no_group),
        CASE(test_a_credential_refusal_degrades_until_the_api_answers_otherwise),
        CASE(test_three_attempts_in_a_row_that_were_not_sent_degrade),
        CASE(test_a_misspelt_region_does_not_degrade_and_is_named),
        CASE(test_a_region_that_a_route_names_degrades),
        CASE(test_with_one_host_for_all_regions_each_of_them_degrades),
        CASE(test_an_attempt_that_was_not_sent_is_repeated_and_names_the_host),
        CASE(test_an_attempt_that_was_cut_may_have_had_effect),
        CASE(test_no_secret_gets_into_a_message),
        CASE(test_no_secret_of_a_former_identity_gets_into_a_message),
        CASE(test_the_wait_the_api_asks_for_is_passed_on),
        CASE(test_unanswered_calls_end_without_a_callback),
        CASE(test_unsent_calls_end_without_a_callback),
        CASE(test_settings_reach_the_http_client),
        CASE(test_after_a_renewal_calls_use_new_connections),
        CASE(test_an_impossible_endpoint_or_provider_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
