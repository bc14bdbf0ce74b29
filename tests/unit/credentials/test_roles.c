/* Roles assumed with STS: a real loop, real HTTP, and an STS on loopback that checks signatures. */
#include "base/mem.h"
#include "credentials/roles.h"
#include "support/credential_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ARN          "acs:ram::123456789012:role/bridge"
#define PROVIDER_ARN "acs:ram::123456789012:oidc-provider/k8s"
#define KEY_SECRET   "key-" SECRET_WORD
#define SESSION      "session-" SECRET_WORD
#define TOKEN        "token-" SECRET_WORD "+/="

static void set_key(const char *token)
{
    fixture_env("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI-key");
    fixture_env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", KEY_SECRET);
    fixture_env("ALIBABA_CLOUD_SECURITY_TOKEN", token);
    fixture_env("ALIBABA_CLOUD_ROLE_ARN", ARN);
}

static struct fixture *begin_role(void **state)
{
    struct fixture *fixture = *state;
    set_key(NULL);
    fixture->answer =
        (struct fixture_answer){200, FIXTURE_STS("STS.role"), false, KEY_SECRET, NULL};
    return fixture;
}

/* --- AssumeRole --- */

static void test_a_role_is_assumed_with_a_signed_request(void **state)
{
    struct fixture *fixture = begin_role(state);
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_got(fixture, "STS.role", SESSION, TOKEN, "ram_role_arn/env");
    assert_true(fixture->got.expires_at_ms == FIXTURE_EXPIRES_MS);
    assert_string_equal(fixture_parameter(fixture, "Action"), "AssumeRole");
    assert_string_equal(fixture_parameter(fixture, "AccessKeyId"), "LTAI-key");
    assert_string_equal(fixture_parameter(fixture, "RoleArn"), ARN);
    assert_string_equal(fixture_parameter(fixture, "RoleSessionName"), STS_SESSION_NAME);
    assert_string_equal(fixture_parameter(fixture, "DurationSeconds"), "3600");
    assert_null(fixture_parameter(fixture, "SecurityToken"));
    assert_null(fixture_parameter(fixture, "ExternalId"));
}

static void test_a_session_token_is_passed_on_and_signed(void **state)
{
    struct fixture *fixture = begin_role(state);
    static char policy[] = "{\"Statement\":[]}";
    static char external_id[] = "partner-7";
    set_key("first-" SECRET_WORD);
    fixture_env("ALIBABA_CLOUD_ROLE_SESSION_NAME", "me@here");
    fixture->settings.role_policy = policy;
    fixture->settings.role_external_id = external_id;
    fixture->settings.role_session_s = 900;
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_got(fixture, "STS.role", SESSION, TOKEN, "ram_role_arn/env");
    assert_string_equal(fixture_parameter(fixture, "SecurityToken"), "first-" SECRET_WORD);
    assert_string_equal(fixture_parameter(fixture, "Policy"), policy);
    assert_string_equal(fixture_parameter(fixture, "ExternalId"), "partner-7");
    assert_string_equal(fixture_parameter(fixture, "RoleSessionName"), "me@here");
    assert_string_equal(fixture_parameter(fixture, "DurationSeconds"), "900");
}

static void test_a_wrong_secret_is_refused_and_reported(void **state)
{
    struct fixture *fixture = begin_role(state);
    fixture->answer.signing_secret = "another-" SECRET_WORD;
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "HTTP status 400, SignatureDoesNotMatch");
}

static void test_each_request_has_a_nonce_of_its_own(void **state)
{
    struct fixture *fixture = begin_role(state);
    struct credential_source *source = credentials_ram_role_arn_open(&fixture->context);
    fixture_get(fixture, source);
    char *first = mem_strdup(fixture_parameter(fixture, "SignatureNonce"));
    fixture_get(fixture, source);
    assert_string_not_equal(first, fixture_parameter(fixture, "SignatureNonce"));
    assert_true(credentials_refused(source, 1));
    free(first);
    credentials_source_free(source);
}

static void test_without_a_signer_there_is_an_error_and_no_request(void **state)
{
    struct fixture *fixture = begin_role(state);
    fixture_env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", NULL);
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET is not");
    assert_int_equal(peer_requests(fixture->peer), 0);
}

static void test_an_invalid_role_is_an_error_without_a_request(void **state)
{
    struct fixture *fixture = begin_role(state);
    static char region[] = "no region";
    fixture_env("ALIBABA_CLOUD_ROLE_ARN", NULL);
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "acs:ram::<account>:role/<name>");
    fixture_env("ALIBABA_CLOUD_ROLE_ARN", ARN);
    fixture_env("ALIBABA_CLOUD_ROLE_SESSION_NAME", "x");
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "session name");
    fixture->settings.sts_endpoint = region + strlen(region);
    fixture->settings.sts_region = region;
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "STS region");
    assert_int_equal(peer_requests(fixture->peer), 0);
}

/* --- answers of STS --- */

static void test_invalid_answers_are_reported_without_secrets(void **state)
{
    struct fixture *fixture = begin_role(state);
    static const struct {
        int status;
        const char *body;
        const char *error;
    } rows[] = {
        {500, "", "STS answered with HTTP status 500"},
        {502, "<html>" KEY_SECRET "</html>", "STS answered with HTTP status 502"},
        {404,
         "{\"RequestId\":\"R-7\",\"Code\":\"EntityNotExist.Role\",\"Message\":\"The role not "
         "exists\"}",
         "HTTP status 404, EntityNotExist.Role: The role not exists (request R-7)"},
        {403, "<Error><Code>NoPermission</Code><Message>You are not authorized</Message></Error>",
         "HTTP status 403, NoPermission: You are not authorized"},
        {400,
         "{\"Code\":\"InvalidAccessKeyId\",\"Message\":\"" KEY_SECRET " and first-" SECRET_WORD
         " of LTAI-key\"}",
         "InvalidAccessKeyId: *** and *** of ***"},
        {400,
         "{\"Code\":\"SignatureDoesNotMatch\",\"Message\":\"Wrong. server string to sign "
         "is:POST&%2F&" SECRET_WORD "\"}",
         "SignatureDoesNotMatch: Wrong."},
        {200, "", "the answer of STS: the document is not JSON"},
        {200, "{\"Credentials\":", "the answer of STS: the document is not JSON"},
        {200, "[]", "the answer of STS: Credentials is not a JSON object"},
        {200, "{}", "the answer of STS: Credentials is missing"},
        {200, "{\"Credentials\":[]}", "the answer of STS: Credentials is not a JSON object"},
        {200,
         "{\"Credentials\":{\"AccessKeyId\":7,\"AccessKeySecret\":\"" SECRET_WORD
         "\",\"SecurityToken\":\"x\",\"Expiration\":\"" FIXTURE_EXPIRES "\"}}",
         "AccessKeyId must be a string"},
        {200,
         "{\"Credentials\":{\"AccessKeyId\":\"a\",\"AccessKeySecret\":\"" SECRET_WORD
         "\",\"Expiration\":\"" FIXTURE_EXPIRES "\"}}",
         "SecurityToken is missing"},
        {200,
         "{\"Credentials\":{\"AccessKeyId\":\"a\",\"AccessKeySecret\":\"" SECRET_WORD
         "\",\"SecurityToken\":\"x\",\"Expiration\":\"" SECRET_WORD "\"}}",
         "Expiration is not a time"},
        {200,
         "{\"Credentials\":{\"AccessKeyId\":\"a\",\"AccessKeySecret\":\"" SECRET_WORD
         " \",\"SecurityToken\":\"x\",\"Expiration\":\"" FIXTURE_EXPIRES "\"}}",
         "AccessKeySecret holds a character"},
    };
    set_key("first-" SECRET_WORD);
    struct credential_source *source = credentials_ram_role_arn_open(&fixture->context);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture->answer = (struct fixture_answer){rows[i].status, rows[i].body, false, NULL, NULL};
        fixture_get(fixture, source);
        fixture_assert_failed(fixture, STATUS_INVALID, rows[i].error);
    }
    fixture->answer =
        (struct fixture_answer){200, FIXTURE_STS("STS.role"), false, KEY_SECRET, NULL};
    fixture_get(fixture, source);
    fixture_assert_got(fixture, "STS.role", SESSION, TOKEN, "ram_role_arn/env");
    credentials_source_free(source);
}

static void test_an_sts_that_does_not_answer_or_is_not_there_is_reported(void **state)
{
    struct fixture *fixture = begin_role(state);
    static char nobody[] = "http://127.0.0.1:1";
    fixture->answer.body = NULL;
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "STS gave no complete answer");
    fixture_set_timeout(fixture, 50);
    fixture->answer = (struct fixture_answer){.is_silent = true};
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "STS gave no complete answer");
    fixture->settings.sts_endpoint = nobody;
    fixture_get_once(fixture, credentials_ram_role_arn_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "STS cannot be reached");
}

static void never(void *arg, enum status status, const struct credentials *credentials,
                  const char *text)
{
    (void)arg;
    (void)status;
    (void)credentials;
    (void)text;
    fail_msg("a source that was freed has called back");
}

static void stop(void *arg)
{
    loop_stop(arg);
}

static void test_a_source_freed_during_a_request_has_no_callback(void **state)
{
    struct fixture *fixture = begin_role(state);
    struct credential_source *source = credentials_ram_role_arn_open(&fixture->context);
    fixture->answer.is_silent = true;
    credentials_get(source, never, NULL);
    credentials_source_free(source);
    struct loop_timer *timer = loop_timer_new(fixture->loop, stop, fixture->loop);
    loop_timer_start(timer, 20);
    loop_run(fixture->loop);
    loop_timer_free(timer);
}

/* --- AssumeRoleWithOIDC --- */

static struct fixture *begin_oidc(void **state, const char *token)
{
    struct fixture *fixture = *state;
    fixture->answer = (struct fixture_answer){200, FIXTURE_STS("STS.oidc"), false, NULL, NULL};
    fixture_env("ALIBABA_CLOUD_ROLE_ARN", ARN);
    fixture_env("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", PROVIDER_ARN);
    fixture_env("ALIBABA_CLOUD_OIDC_TOKEN_FILE", fixture_file(fixture, "token", 0600, token));
    return fixture;
}

static void test_an_oidc_token_becomes_a_session(void **state)
{
    struct fixture *fixture = begin_oidc(state, "jwt." SECRET_WORD "\n");
    fixture_env("ALIBABA_CLOUD_ROLE_SESSION_NAME", "pod-7");
    fixture_get_once(fixture, credentials_oidc_role_arn_open(&fixture->context));
    fixture_assert_got(fixture, "STS.oidc", SESSION, TOKEN, "oidc_role_arn");
    assert_true(fixture->got.expires_at_ms == FIXTURE_EXPIRES_MS);
    assert_string_equal(fixture_parameter(fixture, "Action"), "AssumeRoleWithOIDC");
    assert_string_equal(fixture_parameter(fixture, "OIDCToken"), "jwt." SECRET_WORD);
    assert_string_equal(fixture_parameter(fixture, "OIDCProviderArn"), PROVIDER_ARN);
    assert_string_equal(fixture_parameter(fixture, "RoleSessionName"), "pod-7");
    assert_null(fixture_parameter(fixture, "Signature"));
    assert_null(fixture_parameter(fixture, "AccessKeyId"));
}

static void test_the_token_file_is_read_for_each_session(void **state)
{
    struct fixture *fixture = begin_oidc(state, "one-" SECRET_WORD);
    struct credential_source *source = credentials_oidc_role_arn_open(&fixture->context);
    fixture_get(fixture, source);
    assert_string_equal(fixture_parameter(fixture, "OIDCToken"), "one-" SECRET_WORD);
    fixture_file(fixture, "token", 0600, "two-" SECRET_WORD "\r\n");
    fixture_get(fixture, source);
    assert_string_equal(fixture_parameter(fixture, "OIDCToken"), "two-" SECRET_WORD);
    unlink(fixture_file(fixture, "token", 0600, ""));
    fixture_get(fixture, source);
    fixture_assert_failed(fixture, STATUS_INVALID, "/token cannot be opened: No such file");
    fixture_file(fixture, "token", 0600, "three-" SECRET_WORD);
    fixture_get(fixture, source);
    assert_string_equal(fixture_parameter(fixture, "OIDCToken"), "three-" SECRET_WORD);
    assert_true(credentials_refused(source, 1));
    credentials_source_free(source);
}

static void test_oidc_is_configured_by_three_variables_or_not_at_all(void **state)
{
    struct fixture *fixture = begin_oidc(state, "x");
    static const char *const names[] = {"ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                                        "ALIBABA_CLOUD_OIDC_TOKEN_FILE"};
    for (size_t i = 0; i < 3; i++) {
        char *value = mem_strdup(fixture->context.env(names[i]));
        fixture_env(names[i], i == 1 ? "" : NULL);
        fixture_get_once(fixture, credentials_oidc_role_arn_open(&fixture->context));
        fixture_assert_failed(fixture, STATUS_NOT_FOUND, names[i]);
        fixture_env(names[i], value);
        free(value);
    }
    fixture_get_once(fixture, credentials_oidc_role_arn_open(&fixture->context));
    assert_int_equal(fixture->status, STATUS_OK);
}

static void test_a_token_file_that_cannot_be_used_is_named(void **state)
{
    struct fixture *fixture = begin_oidc(state, "\n\r\n");
    struct credential_source *source = credentials_oidc_role_arn_open(&fixture->context);
    fixture_get(fixture, source);
    fixture_assert_failed(fixture, STATUS_INVALID, "/token is empty");
    fixture_file(fixture, "token", 0600, "a " SECRET_WORD);
    fixture_get(fixture, source);
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "/token holds a character that OIDC tokens cannot have");
    fixture_file(fixture, "token", 0620, SECRET_WORD);
    fixture_get(fixture, source);
    fixture_assert_failed(fixture, STATUS_INVALID, "/token can be written by others");
    credentials_source_free(source);
    assert_int_equal(peer_requests(fixture->peer), 0);
}

static void test_an_sts_that_quotes_the_token_is_not_repeated(void **state)
{
    struct fixture *fixture = begin_oidc(state, "jwt." SECRET_WORD);
    fixture->answer = (struct fixture_answer){
        400,
        "{\"Code\":\"AuthenticationFail.OIDCToken.Expired\",\"Message\":\"jwt." SECRET_WORD
        " is too old\"}",
        false, NULL, NULL};
    fixture_get_once(fixture, credentials_oidc_role_arn_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "AuthenticationFail.OIDCToken.Expired: *** is too old");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)
        FIXTURE_TEST(test_a_role_is_assumed_with_a_signed_request),
        FIXTURE_TEST(test_a_session_token_is_passed_on_and_signed),
        FIXTURE_TEST(test_a_wrong_secret_is_refused_and_reported),
        FIXTURE_TEST(test_each_request_has_a_nonce_of_its_own),
        FIXTURE_TEST(test_without_a_signer_there_is_an_error_and_no_request),
        FIXTURE_TEST(test_an_invalid_role_is_an_error_without_a_request),
        FIXTURE_TEST(test_invalid_answers_are_reported_without_secrets),
        FIXTURE_TEST(test_an_sts_that_does_not_answer_or_is_not_there_is_reported),
        FIXTURE_TEST(test_a_source_freed_during_a_request_has_no_callback),
        FIXTURE_TEST(test_an_oidc_token_becomes_a_session),
        FIXTURE_TEST(test_the_token_file_is_read_for_each_session),
        FIXTURE_TEST(test_oidc_is_configured_by_three_variables_or_not_at_all),
        FIXTURE_TEST(test_a_token_file_that_cannot_be_used_is_named),
        FIXTURE_TEST(test_an_sts_that_quotes_the_token_is_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
