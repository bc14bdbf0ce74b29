/*
 * Requests and their signatures, the clock, and what an answer means.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "aliyun/sign.h"
#include "base/clock.h"
#include "base/digest.h"
#include "support/fakes/ecs_fixture.h"

#include <stdlib.h>

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
    fixture_begin(fixture);
    size_t index = fixture_call(fixture);
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
    assert_in_range(llabs(fixture_date_of_request(index) - clock_wall_ms()), 0, SLOW_MS);
    check_v3_signature(index,
                       "host;x-acs-action;x-acs-content-sha256;x-acs-date;"
                       "x-acs-signature-nonce;x-acs-version",
                       ID, KEY);
}

static void test_one_shot_and_the_region_of_the_command_are_used(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    fixture->command.params = "{\"OneShot\":true}";
    fixture->command.region = "eu-central-1";
    const char *url = fake_http_request(fixture_call(fixture))->url;
    assert_non_null(strstr(url, "https://ebs.eu-central-1.aliyuncs.com/?"));
    assert_non_null(strstr(url, "&OneShot=true&RegionId=eu-central-1&"));
}

static void test_a_security_token_is_sent_and_signed(void **state)
{
    struct fixture *fixture = *state;
    fixture_set_environment("STS.testid", KEY, TOKEN);
    fixture_begin(fixture);
    size_t index = fixture_call(fixture);
    assert_string_equal(fake_http_header(index, "x-acs-security-token"), TOKEN);
    check_v3_signature(index,
                       "host;x-acs-action;x-acs-content-sha256;x-acs-date;"
                       "x-acs-security-token;x-acs-signature-nonce;x-acs-version",
                       "STS.testid", KEY);
}

static void test_every_attempt_has_a_nonce_of_its_own_and_the_same_token(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    size_t first = fixture_call(fixture);
    size_t second = fixture_call(fixture);
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
    fixture_set_environment("STS.testid", KEY, TOKEN);
    fixture->settings.api.signature = "v1";
    fixture->settings.api.endpoint = "http://127.0.0.1:8080";
    fixture_begin(fixture);
    size_t index = fixture_call(fixture);
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
    fixture_begin(fixture);
    const char *url = fake_http_request(fixture_call(fixture))->url;
    assert_null(strstr(url, "SecurityToken"));
    check_v1_signature(url, KEY);
}

static void test_a_success_is_reported(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    fixture_call_and_answer(fixture, 200, SUCCESS);
    assert_int_equal(fixture->reaction, REACTION_DONE);
    assert_int_equal(fixture->outcome.status, OUTCOME_SUCCEEDED);
    assert_string_equal(fixture->outcome.request_id, "C123");
    assert_int_equal(fixture->change_count, 0);
}

static void test_calls_side_by_side_get_their_own_answers(void **state)
{
    struct fixture *fixture = *state;
    struct fixture other = *fixture;
    fixture_begin(fixture);
    size_t first = fixture_call(fixture);
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, &other);
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
    fixture_begin(fixture);
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = 400,
        .body = slice_text(REFUSAL("InvalidTimeStamp.Expired", "m")),
        .retry_after_ms = -1,
        .date_ms = clock_wall_ms() + hour_ms,
        .error = "",
    };
    fake_http_answer(fixture_call(fixture), &answer);
    assert_int_equal(fixture->reaction, REACTION_CLOCK_ONCE);
    int64_t ahead_ms = fixture_date_of_request(fixture_call(fixture)) - clock_wall_ms();
    assert_in_range(llabs(ahead_ms - hour_ms), 0, SLOW_MS);
}

static void test_an_attempt_without_an_answer_ends_by_the_clock_of_the_last_one(void **state)
{
    struct fixture *fixture = *state;
    int64_t ten_minutes_ms = 600000;
    fixture_begin(fixture);
    fixture_call_and_fail(fixture, HTTP_CUT, "reset");
    assert_in_range(llabs(fixture->at_ms - clock_wall_ms()), 0, SLOW_MS);
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = 200,
        .body = slice_text(SUCCESS),
        .retry_after_ms = -1,
        .date_ms = clock_wall_ms() - ten_minutes_ms,
        .error = "",
    };
    fake_http_answer(fixture_call(fixture), &answer);
    assert_int_equal(fixture->at_ms, answer.date_ms);
    fixture_call_and_fail(fixture, HTTP_CUT, "reset");
    assert_in_range(llabs(fixture->at_ms + ten_minutes_ms - clock_wall_ms()), 0, SLOW_MS);
}

static void test_a_wrong_clock_without_a_date_is_reported_at_once(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    fixture_call_and_answer(fixture, 400, REFUSAL("InvalidTimeStamp.Expired", "m"));
    assert_int_equal(fixture->reaction, REACTION_REPLY_BRIDGE);
    assert_int_equal(fixture->outcome.retention, RETENTION_NOT);
    assert_int_equal(fixture->outcome.category, CATEGORY_CONFIGURATION);
}

static void test_a_probe_changes_nothing_and_names_no_group(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    ecs_probe(fixture->ecs, "cn-hangzhou", fixture_take_answer, fixture);
    assert_string_equal(fake_http_request(0)->url,
                        "https://ebs.cn-hangzhou.aliyuncs.com/?MaxResults=1&RegionId=cn-hangzhou");
    assert_string_equal(fake_http_header(0, "x-acs-action"), "DescribeDiskReplicaGroups");
    fake_http_answer_text(0, 200, "{\"RequestId\":\"C1\",\"ReplicaGroups\":[]}");
    assert_int_equal(fixture->reaction, REACTION_DONE);
}

static void test_an_attempt_that_was_not_sent_is_repeated_and_names_the_host(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    fixture_call_and_fail(fixture, HTTP_NOT_SENT, "Could not resolve host");
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
    fixture_begin(fixture);
    fixture_call_and_fail(fixture, HTTP_CUT, "Recv failure");
    assert_int_equal(fixture->reaction, REACTION_RETRY_UNSURE);
    assert_int_equal(fixture->outcome.status, OUTCOME_UNKNOWN);
    assert_int_equal(fixture->outcome.retention, RETENTION_UNSURE);
    assert_string_equal(fixture->outcome.code, "Bridge.NoDefiniteAnswer");
    assert_non_null(strstr(fixture->outcome.message, "Recv failure"));
}

static void test_no_secret_gets_into_a_message(void **state)
{
    struct fixture *fixture = *state;
    fixture_set_environment(ID, KEY, TOKEN);
    fixture_begin(fixture);
    fixture_call_and_answer(fixture, 403,
                            REFUSAL("Forbidden",
                                    "Key " ID " with " TOKEN ", CAIStoken%2B%2F%3D~%2A and "
                                    "CAIStoken%252B%252F%253D~%252A may not."));
    assert_string_equal(fixture->outcome.message, "Key *** with ***, *** and *** may not.");
    fixture_call_and_fail(fixture, HTTP_CUT, "at https://h/?AccessKeyId=" ID "&x=" KEY);
    assert_null(strstr(fixture->outcome.message, ID));
    assert_null(strstr(fixture->outcome.message, KEY));
}

static void test_the_wait_the_api_asks_for_is_passed_on(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    struct http_answer answer = {
        .result = HTTP_ANSWERED,
        .status = 400,
        .body = slice_text(REFUSAL("Throttling.User", "m")),
        .retry_after_ms = 1234,
        .date_ms = -1,
        .error = "",
    };
    fake_http_answer(fixture_call(fixture), &answer);
    assert_int_equal(fixture->reaction, REACTION_THROTTLE);
    assert_int_equal(fixture->retry_after_ms, 1234);
    assert_int_equal(fixture->outcome.retry_after_ms, 1234);
}

static void test_unanswered_calls_end_without_a_callback(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    fixture_call(fixture);
    fixture_call(fixture);
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
    fixture_set_environment(NULL, NULL, NULL);
    fixture_begin(fixture);
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    ecs_free(fixture->ecs);
    fixture->ecs = NULL;
    assert_int_equal(fixture->answers, 0);
}

static void test_settings_reach_the_http_client(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.api.proxy = "http://proxy:3128";
    fixture_begin(fixture);
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
    fixture_begin(fixture);
    fixture_call(fixture);
    fixture->settings.api.proxy = "http://other:3128";
    ecs_renew(fixture->ecs);
    assert_string_equal(fake_http_options()->proxy, "http://other:3128");
    size_t request = fixture_call(fixture);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_v3_call_is_a_signed_post_with_its_parameters_in_the_query),
        TEST(test_one_shot_and_the_region_of_the_command_are_used),
        TEST(test_a_security_token_is_sent_and_signed),
        TEST(test_every_attempt_has_a_nonce_of_its_own_and_the_same_token),
        TEST(test_a_v1_call_has_all_in_the_query),
        TEST(test_a_v1_call_without_a_security_token_names_none),
        TEST(test_a_success_is_reported),
        TEST(test_calls_side_by_side_get_their_own_answers),
        TEST(test_the_clock_is_measured_from_the_answer_and_later_dates_follow_it),
        TEST(test_an_attempt_without_an_answer_ends_by_the_clock_of_the_last_one),
        TEST(test_a_wrong_clock_without_a_date_is_reported_at_once),
        TEST(test_a_probe_changes_nothing_and_names_no_group),
        TEST(test_an_attempt_that_was_not_sent_is_repeated_and_names_the_host),
        TEST(test_an_attempt_that_was_cut_may_have_had_effect),
        TEST(test_no_secret_gets_into_a_message),
        TEST(test_the_wait_the_api_asks_for_is_passed_on),
        TEST(test_unanswered_calls_end_without_a_callback),
        TEST(test_unsent_calls_end_without_a_callback),
        TEST(test_settings_reach_the_http_client),
        TEST(test_after_a_renewal_calls_use_new_connections),
        TEST(test_an_impossible_endpoint_or_provider_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
