/* Profiles of the command line's configuration file, single ones and chains. */
#include "credentials/cli_chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define KEY     "\"access_key_id\":\"LTAI\",\"access_key_secret\":\"s3cret\""
#define ROLE    "\"ram_role_arn\":\"acs:ram::1:role/a\""
#define ONLY(p) "{\"current\":\"a\",\"profiles\":[{\"name\":\"a\"," p "}]}"
#define ON(name, source)                                            \
    "{\"name\":\"" name "\",\"mode\":\"ChainableRamRoleArn\"," ROLE \
    ",\"source_profile\":\"" source "\"}"

struct result {
    struct json *document;
    struct cli_profile profiles[CLI_CHAIN_MAX];
    size_t count;
    struct buf why;
};

static enum status read_text(struct result *result, const char *text, const char *wanted)
{
    struct json_fault fault;
    *result = (struct result){.document = json_parse(slice_text(text), CLI_DEPTH_MAX, &fault)};
    assert_non_null(result->document);
    return cli_chain_read(result->document, wanted, result->profiles, &result->count, &result->why);
}

static void result_fini(struct result *result)
{
    json_free_secret(result->document);
    buf_fini(&result->why);
}

static void test_each_mode_requires_its_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum cli_mode mode;
    } rows[] = {
        {ONLY("\"mode\":\"AK\"," KEY), CLI_AK},
        {ONLY("\"mode\":\"StsToken\"," KEY ",\"sts_token\":\"t\""), CLI_STS_TOKEN},
        {ONLY("\"mode\":\"RamRoleArn\"," KEY "," ROLE), CLI_RAM_ROLE_ARN},
        {ONLY("\"mode\":\"EcsRamRole\""), CLI_ECS_RAM_ROLE},
        {ONLY("\"mode\":\"OIDC\"," ROLE ",\"oidc_provider_arn\":\"p\",\"oidc_token_file\":\"f\""),
         CLI_OIDC},
        {ONLY("\"mode\":\"External\",\"process_command\":\"c\""), CLI_EXTERNAL},
        {ONLY(
             "\"mode\":\"CloudSSO\",\"cloud_sso_sign_in_url\":\"u\",\"cloud_sso_account_id\":\"i\","
             "\"cloud_sso_access_config\":\"c\",\"access_token\":\"t\""),
         CLI_CLOUD_SSO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result result;
        assert_int_equal(read_text(&result, rows[i].text, NULL), STATUS_OK);
        assert_int_equal(result.count, 1);
        assert_int_equal(result.profiles[0].mode, rows[i].mode);
        assert_true(slice_equals_text(result.profiles[0].name, "a"));
        result_fini(&result);
    }
}

static void test_each_value_is_read_into_its_field(void **state)
{
    (void)state;
    struct result result;
    assert_int_equal(
        read_text(&result,
                  ONLY("\"mode\":\"RamRoleArn\"," KEY "," ROLE ",\"ram_session_name\":\"n\","
                       "\"expired_seconds\":900,\"sts_region\":\"r\",\"enable_vpc\":true,"
                       "\"policy\":\"{}\",\"external_id\":\"x\",\"sts_endpoint\":\"\","
                       "\"sts_token\":null,\"output_format\":\"json\",\"retry_count\":3"),
                  NULL),
        STATUS_OK);
    const struct cli_profile *profile = &result.profiles[0];
    assert_true(slice_equals_text(profile->access_key_id, "LTAI"));
    assert_true(slice_equals_text(profile->access_key_secret, "s3cret"));
    assert_true(slice_equals_text(profile->ram_role_arn, "acs:ram::1:role/a"));
    assert_true(slice_equals_text(profile->ram_session_name, "n"));
    assert_true(slice_equals_text(profile->sts_region, "r"));
    assert_true(slice_equals_text(profile->policy, "{}"));
    assert_true(slice_equals_text(profile->external_id, "x"));
    assert_false(slice_is_present(profile->sts_endpoint));
    assert_false(slice_is_present(profile->sts_token));
    assert_int_equal(profile->expired_seconds, 900);
    assert_true(profile->enable_vpc);
    result_fini(&result);
}

static void test_a_profile_is_chosen_by_name_or_is_the_current_one(void **state)
{
    (void)state;
    static const char text[] = "{\"current\":\"b\",\"profiles\":["
                               "{\"name\":\"a\",\"mode\":\"Unknown\"},"
                               "{\"name\":\"b\",\"mode\":\"EcsRamRole\"},"
                               "{\"name\":\"c\",\"mode\":\"AK\"," KEY "}]}";
    struct result result;
    assert_int_equal(read_text(&result, text, NULL), STATUS_OK);
    assert_int_equal(result.profiles[0].mode, CLI_ECS_RAM_ROLE);
    result_fini(&result);
    assert_int_equal(read_text(&result, text, "c"), STATUS_OK);
    assert_int_equal(result.profiles[0].mode, CLI_AK);
    result_fini(&result);
    assert_int_equal(read_text(&result, text, "d"), STATUS_NOT_FOUND);
    assert_string_equal(result.why.data, "there is no profile \"d\"");
    result_fini(&result);
}

static void test_a_profile_can_name_another_one(void **state)
{
    (void)state;
    struct result result;
    assert_int_equal(
        read_text(&result,
                  "{\"current\":\"c\",\"profiles\":[{\"name\":\"a\",\"mode\":\"AK\"," KEY
                  "}," ON("b", "a") "," ON("c", "b") "]}",
                  NULL),
        STATUS_OK);
    assert_int_equal(result.count, 3);
    assert_true(slice_equals_text(result.profiles[0].name, "c"));
    assert_true(slice_equals_text(result.profiles[1].name, "b"));
    assert_true(slice_equals_text(result.profiles[2].name, "a"));
    result_fini(&result);
}

static void test_a_chain_that_comes_back_to_itself_is_refused(void **state)
{
    (void)state;
    struct result result;
    assert_int_equal(read_text(&result,
                               "{\"current\":\"a\",\"profiles\":[" ON("a", "b") "," ON(
                                   "b", "c") "," ON("c", "b") "]}",
                               NULL),
                     STATUS_INVALID);
    assert_string_equal(result.why.data,
                        "profile \"c\": source_profile \"b\" is already in the chain");
    result_fini(&result);
    assert_int_equal(
        read_text(&result, "{\"current\":\"a\",\"profiles\":[" ON("a", "a") "]}", NULL),
        STATUS_INVALID);
    assert_non_null(strstr(result.why.data, "is already in the chain"));
    result_fini(&result);
}

/* p1 names p2, and so on; the last of `count` is an access key. */
static enum status read_long_chain(struct result *result, int count)
{
    struct buf text = {0};
    buf_append_text(&text, "{\"current\":\"p1\",\"profiles\":[");
    for (int i = 1; i < count; i++) {
        buf_printf(&text,
                   "{\"name\":\"p%d\",\"mode\":\"ChainableRamRoleArn\"," ROLE
                   ",\"source_profile\":\"p%d\"},",
                   i, i + 1);
    }
    buf_printf(&text, "{\"name\":\"p%d\",\"mode\":\"AK\"," KEY "}]}", count);
    enum status status = read_text(result, text.data, NULL);
    buf_fini(&text);
    return status;
}

static void test_a_chain_has_a_limit(void **state)
{
    (void)state;
    struct result result;
    assert_int_equal(read_long_chain(&result, CLI_CHAIN_MAX), STATUS_OK);
    assert_int_equal(result.count, CLI_CHAIN_MAX);
    result_fini(&result);
    assert_int_equal(read_long_chain(&result, CLI_CHAIN_MAX + 1), STATUS_INVALID);
    assert_string_equal(result.why.data, "profile \"p1\" needs more than 7 other profiles");
    result_fini(&result);
}

static void test_an_error_names_the_profile_and_the_key(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"[]", "the document must be an object"},
        {"{\"profiles\":[]}", "current must name a profile"},
        {"{\"current\":7,\"profiles\":[]}", "current must name a profile"},
        {"{\"current\":\"\",\"profiles\":[]}", "current must name a profile"},
        {"{\"current\":\"a\\nb\",\"profiles\":[]}", "without control characters"},
        {"{\"current\":\"a\"}", "profiles must be an array"},
        {"{\"current\":\"a\",\"profiles\":{}}", "profiles must be an array"},
        {"{\"current\":\"a\",\"profiles\":[{\"name\":\"a\"},{\"name\":\"a\"}]}",
         "profile \"a\" comes more than once"},
        {ONLY("\"x\":1"), "profile \"a\": mode is missing"},
        {ONLY("\"mode\":1"), "mode must be a string, not a number"},
        {ONLY("\"mode\":\"OAuth\""), "the mode \"OAuth\" is not supported"},
        {ONLY("\"mode\":\"RsaKeyPair\""), "the mode \"RsaKeyPair\" is not supported"},
        {ONLY("\"mode\":\"ak\""), "the mode \"ak\" is not supported"},
        {ONLY("\"mode\":\"a\\nb\""), "the mode \"?\" is not supported"},
        {ONLY("\"mode\":\"AK\",\"access_key_id\":\"x\""),
         "access_key_secret is missing, which the mode AK needs"},
        {ONLY("\"mode\":\"AK\",\"access_key_secret\":\"s3cret\""), "access_key_id is missing"},
        {ONLY("\"mode\":\"AK\",\"access_key_id\":[\"s3cret\"]"),
         "access_key_id must be a string, not a array"},
        {ONLY("\"mode\":\"AK\",\"access_key_id\":\"x\",\"access_key_secret\":\"s3cret \""),
         "access_key_secret holds a character"},
        {ONLY("\"mode\":\"AK\",\"mode\":\"AK\"," KEY), "mode comes more than once"},
        {ONLY("\"mode\":\"AK\",\"access_key_id\":\"y\"," KEY),
         "access_key_id comes more than once"},
        {ONLY("\"mode\":\"StsToken\"," KEY), "sts_token is missing"},
        {ONLY("\"mode\":\"RamRoleArn\"," KEY), "ram_role_arn is missing"},
        {ONLY("\"mode\":\"RamRoleArn\",\"expired_seconds\":\"900\"," KEY "," ROLE),
         "expired_seconds must be a number, not a string"},
        {ONLY("\"mode\":\"RamRoleArn\",\"expired_seconds\":1.5," KEY "," ROLE),
         "expired_seconds must be a whole number"},
        {ONLY("\"mode\":\"RamRoleArn\",\"expired_seconds\":1e400," KEY "," ROLE),
         "expired_seconds must be a whole number"},
        {ONLY("\"mode\":\"RamRoleArn\",\"enable_vpc\":\"true\"," KEY "," ROLE),
         "enable_vpc must be"},
        {ONLY("\"mode\":\"ChainableRamRoleArn\"," ROLE), "source_profile is missing"},
        {ONLY("\"mode\":\"ChainableRamRoleArn\"," ROLE ",\"source_profile\":\"z\""),
         "there is no profile \"z\""},
        {ONLY("\"mode\":\"ChainableRamRoleArn\"," ROLE ",\"source_profile\":\"\\t\""),
         "source_profile must have"},
        {ONLY("\"mode\":\"External\""), "process_command is missing"},
        {ONLY("\"mode\":\"CloudSSO\""), "cloud_sso_sign_in_url is missing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result result;
        assert_int_equal(read_text(&result, rows[i].text, NULL), STATUS_INVALID);
        if (strstr(result.why.data, rows[i].why) == NULL) {
            fail_msg("row %zu: \"%s\" is not in \"%s\"", i, rows[i].why, result.why.data);
        }
        assert_null(strstr(result.why.data, "s3cret"));
        result_fini(&result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mode_requires_its_keys),
        cmocka_unit_test(test_each_value_is_read_into_its_field),
        cmocka_unit_test(test_a_profile_is_chosen_by_name_or_is_the_current_one),
        cmocka_unit_test(test_a_profile_can_name_another_one),
        cmocka_unit_test(test_a_chain_that_comes_back_to_itself_is_refused),
        cmocka_unit_test(test_a_chain_has_a_limit),
        cmocka_unit_test(test_an_error_names_the_profile_and_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
