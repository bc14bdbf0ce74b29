/* Requests to STS: the published vector, endpoints, and roles that are refused. */
#include "credentials/sts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DATE  "2026-01-02T03:04:05Z"
#define NONCE "15215528852396"
#define ARN   "acs:ram::123456789012:role/bridge"

static char arn[] = ARN;
static char session_name[] = "mqtt-bridge";

static void test_assume_role_is_signed_as_in_the_vector(void **state)
{
    (void)state;
    struct sts_role role = {.arn = arn, .session_name = session_name, .duration_s = 3600};
    struct credentials credentials = {0};
    struct sts_request request = {{0}, {0}};
    secret_set(&credentials.access_key_id, slice_text("testid"));
    secret_set(&credentials.access_key_secret, slice_text("testsecret"));
    sts_assume_role("https://sts.aliyuncs.com", &role, &credentials, DATE, NONCE, &request);
    assert_string_equal(request.url.data,
                        "https://sts.aliyuncs.com/?AccessKeyId=testid&Action=AssumeRole&Format=JSON"
                        "&Signature=Le9FrQ6syviXKZKwUSNYFs%2FPdxg%3D&SignatureMethod=HMAC-SHA1"
                        "&SignatureNonce=" NONCE "&SignatureVersion=1.0"
                        "&Timestamp=2026-01-02T03%3A04%3A05Z&Version=2015-04-01");
    assert_string_equal(request.form.data, "DurationSeconds=3600"
                                           "&RoleArn=acs%3Aram%3A%3A123456789012%3Arole%2Fbridge"
                                           "&RoleSessionName=mqtt-bridge");
    sts_request_fini(&request);
    assert_null(request.url.data);
    credentials_fini(&credentials);
}

static void test_a_security_token_and_optional_parameters_are_sent(void **state)
{
    (void)state;
    static char policy[] = "{\"Version\":\"1\"}";
    static char external_id[] = "a b";
    struct sts_role role = {.arn = arn,
                            .session_name = session_name,
                            .policy = policy,
                            .external_id = external_id,
                            .duration_s = 900};
    struct credentials credentials = {0};
    struct sts_request request = {{0}, {0}};
    secret_set(&credentials.access_key_id, slice_text("STS.testid"));
    secret_set(&credentials.access_key_secret, slice_text("testsecret"));
    secret_set(&credentials.security_token, slice_text("CAIS+/="));
    sts_assume_role("http://127.0.0.1:1", &role, &credentials, DATE, NONCE, &request);
    assert_non_null(strstr(request.url.data, "&SecurityToken=CAIS%2B%2F%3D&"));
    assert_null(strstr(request.url.data, "testsecret"));
    assert_non_null(strstr(request.form.data, "ExternalId=a%20b&"));
    assert_non_null(strstr(request.form.data, "&Policy=%7B%22Version%22%3A%221%22%7D&"));
    sts_request_fini(&request);
    credentials_fini(&credentials);
}

static void test_a_request_with_an_oidc_token_has_no_signature(void **state)
{
    (void)state;
    struct sts_role role = {.arn = arn, .session_name = session_name, .duration_s = 3600};
    struct secret token = {0};
    struct sts_request request = {{0}, {0}};
    secret_set(&token, slice_text("a.b-c"));
    sts_assume_role_with_oidc("https://sts.aliyuncs.com", &role,
                              "acs:ram::123456789012:oidc-provider/k8s", &token, DATE, &request);
    assert_string_equal(request.url.data,
                        "https://sts.aliyuncs.com/?Action=AssumeRoleWithOIDC&Format=JSON"
                        "&Timestamp=2026-01-02T03%3A04%3A05Z&Version=2015-04-01");
    assert_string_equal(request.form.data,
                        "DurationSeconds=3600"
                        "&OIDCProviderArn=acs%3Aram%3A%3A123456789012%3Aoidc-provider%2Fk8s"
                        "&OIDCToken=a.b-c&RoleArn=acs%3Aram%3A%3A123456789012%3Arole%2Fbridge"
                        "&RoleSessionName=mqtt-bridge");
    sts_request_fini(&request);
    secret_fini(&token);
}

static void test_the_endpoint_follows_region_network_and_override(void **state)
{
    (void)state;
    static const struct {
        const char *override;
        const char *region;
        bool is_vpc;
        const char *url; /* NULL: refused */
    } rows[] = {
        {NULL, NULL, false, "https://sts.aliyuncs.com"},
        {"", "", true, "https://sts.aliyuncs.com"},
        {NULL, "cn-beijing", false, "https://sts.cn-beijing.aliyuncs.com"},
        {NULL, "cn-beijing", true, "https://sts-vpc.cn-beijing.aliyuncs.com"},
        {NULL, "cn-hangzhou-finance", false, "https://sts.aliyuncs.com"},
        {NULL, "cn-hangzhou-finance", true, "https://sts-vpc.cn-hangzhou-finance.aliyuncs.com"},
        {NULL, "cn-shenzhen-finance-1", false, "https://sts.aliyuncs.com"},
        {NULL, "cn-shanghai-finance-1", false, "https://sts.cn-shanghai-finance-1.aliyuncs.com"},
        {"sts.example.com", "cn-beijing", true, "https://sts.example.com"},
        {"https://sts.example.com:8443", NULL, false, "https://sts.example.com:8443"},
        {"http://127.0.0.1:81", NULL, false, "http://127.0.0.1:81"},
        {"http://sts.example.com", NULL, false, NULL},
        {"https://sts.example.com/x", NULL, false, NULL},
        {"u@sts.example.com", NULL, false, NULL},
        {"https://{RegionId}.example.com", NULL, false, NULL},
        {NULL, "evil.com/", false, NULL},
        {NULL, "a.b", false, NULL},
        {NULL, "-a", false, NULL},
        {NULL, "a-", false, NULL},
        {NULL, "CN-BEIJING", false, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf url = {0};
        const char *why = NULL;
        enum status status =
            sts_endpoint(rows[i].override, rows[i].region, rows[i].is_vpc, &url, &why);
        assert_int_equal(status, rows[i].url == NULL ? STATUS_INVALID : STATUS_OK);
        assert_string_equal(buf_slice(&url).data, rows[i].url == NULL ? "" : rows[i].url);
        assert_int_equal(why != NULL, rows[i].url == NULL);
        buf_fini(&url);
    }
}

/* The letter, `length` times. */
static char *letters(size_t length)
{
    static char text[4096];
    memset(text, 'a', length);
    text[length] = '\0';
    return text;
}

static void assert_refused(const struct sts_role *role, const char *part)
{
    const char *why = NULL;
    assert_int_equal(sts_role_check(role, &why), STATUS_INVALID);
    assert_non_null(strstr(why, part));
}

static void test_a_role_that_breaks_a_rule_is_refused_with_the_rule(void **state)
{
    (void)state;
    static const char *const arns[] = {"",
                                       "acs:ram::role/bridge",
                                       "acs:ram::12x:role/bridge",
                                       "acs:ram::123:role/",
                                       "acs:ram::123:role/a b",
                                       "acs:ram::123:role/a:b",
                                       "acs:ram::123:user/a",
                                       "arn:aws:iam::123:role/a"};
    static const char *const names[] = {"", "a", "a b", "a/b", "a\xC3\xA4"};
    struct sts_role good = {.arn = arn, .session_name = session_name, .duration_s = 900};
    struct sts_role role = good;
    for (size_t i = 0; i < sizeof arns / sizeof arns[0]; i++) {
        role.arn = (char *)arns[i];
        assert_refused(&role, "acs:ram::<account>:role/<name>");
    }
    role.arn = NULL;
    assert_refused(&role, "acs:ram::<account>:role/<name>");
    role = good;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        role.session_name = (char *)names[i];
        assert_refused(&role, "session name");
    }
    role.session_name = letters(65);
    assert_refused(&role, "session name");
    role = good;
    role.duration_s = 899;
    assert_refused(&role, "900 to 43200");
    role.duration_s = 43201;
    assert_refused(&role, "900 to 43200");
    role = good;
    role.external_id = letters(1);
    assert_refused(&role, "2 to 1224");
    role.external_id = letters(1225);
    assert_refused(&role, "2 to 1224");
    role = good;
    role.policy = letters(0);
    assert_refused(&role, "1 to 2048");
    role.policy = letters(2049);
    assert_refused(&role, "1 to 2048");
}

static void test_a_role_at_its_limits_passes(void **state)
{
    (void)state;
    static char two[] = "a1";
    struct sts_role role = {.arn = arn, .session_name = two, .duration_s = 43200};
    const char *why = NULL;
    assert_int_equal(sts_role_check(&role, &why), STATUS_OK);
    role.session_name = letters(64);
    assert_int_equal(sts_role_check(&role, &why), STATUS_OK);
    role.session_name = session_name;
    role.external_id = letters(1224);
    assert_int_equal(sts_role_check(&role, &why), STATUS_OK);
    role.external_id = NULL;
    role.policy = letters(2048);
    assert_int_equal(sts_role_check(&role, &why), STATUS_OK);
    sts_role_fini(NULL);
    sts_request_fini(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assume_role_is_signed_as_in_the_vector),
        cmocka_unit_test(test_a_security_token_and_optional_parameters_are_sent),
        cmocka_unit_test(test_a_request_with_an_oidc_token_has_no_signature),
        cmocka_unit_test(test_the_endpoint_follows_region_network_and_override),
        cmocka_unit_test(test_a_role_that_breaks_a_rule_is_refused_with_the_rule),
        cmocka_unit_test(test_a_role_at_its_limits_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
