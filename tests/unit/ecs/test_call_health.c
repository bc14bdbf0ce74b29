/*
 * Calls without credentials, with refused ones or without a way to the API, and the health that
 * follows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/fakes/ecs_fixture.h"

#include <stdio.h>

static void test_without_credentials_nothing_is_sent_and_the_callback_comes_later(void **state)
{
    struct fixture *fixture = *state;
    fixture_set_environment(NULL, NULL, NULL);
    fixture_begin(fixture);
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
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
    assert_true(fixture_is_on(fixture, HEALTH_NO_CREDENTIALS));
}

static void test_without_credentials_the_health_says_so_before_the_first_call(void **state)
{
    struct fixture *fixture = *state;
    fixture_set_environment(NULL, NULL, NULL);
    fixture_begin(fixture);
    ecs_start(fixture->ecs);
    assert_true(fixture_is_on(fixture, HEALTH_NO_CREDENTIALS));
    ecs_free(fixture->ecs);
    fixture_set_environment(ID, KEY, NULL);
    fixture_begin(fixture);
    ecs_start(fixture->ecs);
    assert_false(fixture_is_on(fixture, HEALTH_NO_CREDENTIALS));
    /* They do not expire. */
    assert_int_equal(counter_get(&fixture->counters, COUNTER_CREDENTIALS_EXPIRY), 0);
}

/* A credentials URI in place of the environment; its answers are those of the first requests. */
static void begin_with_uri(struct fixture *fixture)
{
    fixture->settings.credentials.provider = "credentials_uri";
    fixture->settings.credentials.uri = "http://127.0.0.1:1/given";
    fixture_begin(fixture);
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
    fixture_begin(fixture);
    ecs_set_lease(fixture->ecs, &lease);
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    assert_int_equal(fixture->answers, 0);
    loop_run(fixture->loop);
    assert_int_equal(fixture->answers, 1);
    assert_int_equal(fixture->reaction, REACTION_RETRY);
    assert_int_equal(fake_http_count(), 0);
    lease_renewed(&lease, 1000, LEASE_MARGIN_MS + 1000);
    assert_int_equal(lease_check(&lease, 1000), LEASE_REGAINED);
    fixture_call(fixture);
}

static void test_credentials_that_are_unavailable_are_tried_again(void **state)
{
    struct fixture *fixture = *state;
    begin_with_uri(fixture);
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    fake_http_answer_text(0, 503, "");
    assert_int_equal(fixture->answers, 0);
    loop_run(fixture->loop);
    assert_int_equal(fixture->reaction, REACTION_RETRY);
    assert_string_equal(fixture->outcome.code, "Bridge.NoCredentials");
    assert_int_equal(fixture->outcome.retention, RETENTION_NOT);
    assert_true(fixture_is_on(fixture, HEALTH_NO_CREDENTIALS));
}

static void test_credentials_are_missing_until_the_fetch_at_the_start_is_answered(void **state)
{
    struct fixture *fixture = *state;
    begin_with_uri(fixture);
    ecs_start(fixture->ecs);
    assert_true(fixture_is_on(fixture, HEALTH_NO_CREDENTIALS));
    assert_int_equal(counter_get(&fixture->counters, COUNTER_CREDENTIALS_EXPIRY), 0);
    give_credentials(0, "STS.first");
    assert_false(fixture_is_on(fixture, HEALTH_NO_CREDENTIALS));
    assert_int_equal(fake_http_count(), 1);
    assert_int_equal(counter_get(&fixture->counters, COUNTER_CREDENTIALS_EXPIRY),
                     INT64_C(4070908800000)); /* 2099-01-01 */
}

static void test_calls_that_come_during_a_fetch_share_it(void **state)
{
    struct fixture *fixture = *state;
    begin_with_uri(fixture);
    for (int i = 0; i < 5; i++) {
        ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
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
        ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    }
    give_credentials(0, "STS.first");
    fake_http_answer_text(1, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    assert_int_equal(fixture->reaction, REACTION_CREDENTIALS_ONCE);
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    give_credentials(4, "STS.second");
    /* Late refusals of the first key do not touch the second. */
    fake_http_answer_text(2, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    assert_int_equal(fixture->reaction, REACTION_CREDENTIALS_ONCE);
    fake_http_answer_text(3, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    assert_int_equal(fake_http_count(), 7);
    check_signed_by(5, "STS.second");
    check_signed_by(6, "STS.second");
    fake_http_answer_text(5, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    assert_int_equal(fixture->reaction, REACTION_REPLY_BRIDGE);
    fake_http_answer_text(6, 200, SUCCESS);
}

static void test_a_credential_refusal_degrades_until_the_api_answers_otherwise(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    fixture_call_and_answer(fixture, 404, REFUSAL("InvalidAccessKeyId.NotFound", "m"));
    assert_int_equal(fixture->reaction,
                     REACTION_REPLY_BRIDGE); /* the environment has no other credentials */
    assert_int_equal(fixture->outcome.category, CATEGORY_DENIED);
    assert_int_equal(fixture->outcome.retention, RETENTION_NOT);
    assert_int_equal(fixture->change_count, 1);
    assert_true(fixture_is_on(fixture, HEALTH_CREDENTIALS_REFUSED));
    fixture_call_and_answer(fixture, 400, REFUSAL("SignatureDoesNotMatch", "m"));
    fixture_call_and_answer(fixture, 502, "<html></html>");
    fixture_call_and_fail(fixture, HTTP_NOT_SENT, "x");
    assert_int_equal(fixture->change_count, 1);
    fixture_call_and_answer(fixture, 404, REFUSAL("NoSuchResource", "m"));
    assert_int_equal(fixture->change_count, 2);
    assert_false(fixture_is_on(fixture, HEALTH_CREDENTIALS_REFUSED));
}

static void test_three_attempts_in_a_row_that_were_not_sent_degrade(void **state)
{
    struct fixture *fixture = *state;
    fixture_begin(fixture);
    fixture_call_and_fail(fixture, HTTP_NOT_SENT, "x");
    fixture_call_and_fail(fixture, HTTP_NOT_SENT, "x");
    fixture_call_and_fail(fixture, HTTP_CUT, "x");
    fixture_call_and_fail(fixture, HTTP_NOT_SENT, "x");
    fixture_call_and_fail(fixture, HTTP_NOT_SENT, "x");
    assert_int_equal(fixture->change_count, 0);
    fixture_call_and_fail(fixture, HTTP_NOT_SENT, "x");
    fixture_call_and_fail(fixture, HTTP_NOT_SENT, "x");
    assert_int_equal(fixture->change_count, 1);
    assert_true(fixture_is_on(fixture, HEALTH_API_UNREACHABLE));
    fixture_call_and_fail(fixture, HTTP_CUT, "x");
    assert_int_equal(fixture->change_count, 1);
    fixture_call_and_answer(fixture, 502, "<html></html>");
    assert_int_equal(fixture->change_count, 2);
    assert_false(fixture_is_on(fixture, HEALTH_API_UNREACHABLE));
}

static void fail_in(struct fixture *fixture, const char *region, bool is_host_unknown)
{
    fixture->command.region = region;
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
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
    fixture_begin(fixture);
    for (int i = 0; i < 5; i++) {
        fail_in(fixture, "cn-bejing", true); /* before any region has answered */
    }
    assert_non_null(strstr(fixture->outcome.message, "check the RegionId cn-bejing"));
    assert_false(fixture_is_on(fixture, HEALTH_API_UNREACHABLE));
    fixture->command.region = "cn-beijing";
    fixture_call_and_answer(fixture, 404, REFUSAL("NoSuchResource", "m"));
    for (int i = 0; i < 5; i++) {
        fail_in(fixture, "cn-bejing", true);
        fail_in(fixture, "cn-nowhere", false);
    }
    assert_false(fixture_is_on(fixture, HEALTH_API_UNREACHABLE));
    /* A region that has answered before exists: its name is not misspelt. */
    for (int i = 0; i < 3; i++) {
        fail_in(fixture, "cn-beijing", true);
    }
    assert_true(fixture_is_on(fixture, HEALTH_API_UNREACHABLE));
}

static void test_a_region_that_a_route_names_degrades(void **state)
{
    struct fixture *fixture = *state;
    static char *named[] = {"cn-beijing"};
    struct route route = {.regions = {.items = named, .count = 1}};
    fixture->settings.routes = &route;
    fixture->settings.route_count = 1;
    fixture_begin(fixture);
    for (int i = 0; i < 3; i++) {
        assert_false(fixture_is_on(fixture, HEALTH_API_UNREACHABLE));
        fail_in(fixture, "cn-beijing", true);
    }
    assert_true(fixture_is_on(fixture, HEALTH_API_UNREACHABLE));
    ecs_free(fixture->ecs);
    fixture->ecs = NULL;
}

static void test_with_one_host_for_all_regions_each_of_them_degrades(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.api.endpoint = "https://api.example";
    fixture_begin(fixture);
    for (int i = 0; i < 3; i++) {
        fail_in(fixture, "cn-bejing", true);
    }
    assert_true(fixture_is_on(fixture, HEALTH_API_UNREACHABLE));
    assert_null(strstr(fixture->outcome.message, "check the RegionId"));
}

static void test_no_secret_of_a_former_identity_gets_into_a_message(void **state)
{
    struct fixture *fixture = *state;
    begin_with_uri(fixture);
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    give_credentials(0, "STS.first");
    fake_http_answer_text(1, 400, REFUSAL("InvalidSecurityToken.Expired", "m"));
    ecs_call(fixture->ecs, &fixture->command, fixture_take_answer, fixture);
    give_credentials(3, "STS.second");
    fake_http_answer_text(2, 403, REFUSAL("Forbidden", "STS.first may not."));
    assert_string_equal(fixture->outcome.message, "*** may not.");
    fake_http_answer_text(4, 403, REFUSAL("Forbidden", "STS.second may not."));
    assert_string_equal(fixture->outcome.message, "*** may not.");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_without_credentials_nothing_is_sent_and_the_callback_comes_later),
        TEST(test_without_credentials_the_health_says_so_before_the_first_call),
        TEST(test_credentials_are_missing_until_the_fetch_at_the_start_is_answered),
        TEST(test_without_a_valid_lease_nothing_is_sent),
        TEST(test_credentials_that_are_unavailable_are_tried_again),
        TEST(test_calls_that_come_during_a_fetch_share_it),
        TEST(test_a_refused_key_is_fetched_again_once_for_all_calls),
        TEST(test_a_credential_refusal_degrades_until_the_api_answers_otherwise),
        TEST(test_three_attempts_in_a_row_that_were_not_sent_degrade),
        TEST(test_a_misspelt_region_does_not_degrade_and_is_named),
        TEST(test_a_region_that_a_route_names_degrades),
        TEST(test_with_one_host_for_all_regions_each_of_them_degrades),
        TEST(test_no_secret_of_a_former_identity_gets_into_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
