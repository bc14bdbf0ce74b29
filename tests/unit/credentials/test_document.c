#include "credentials/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS                                                                                       \
    "\"AccessKeyId\":\"STS.testid\",\"AccessKeySecret\":\"testsecret\",\"SecurityToken\":\"CAIS+/" \
    "=\""

static enum status read_text(const char *text, const struct credential_form *form,
                             struct credentials *out, struct buf *why)
{
    return credentials_read_document(slice_text(text), form, out, why);
}

static void check_read(const char *text, const struct credential_form *form, int64_t expires_at_ms)
{
    struct credentials credentials = {0};
    struct buf why = {0};
    assert_int_equal(read_text(text, form, &credentials, &why), STATUS_OK);
    assert_int_equal(why.length, 0);
    assert_string_equal(credentials.access_key_id.data, "STS.testid");
    assert_string_equal(credentials.access_key_secret.data, "testsecret");
    assert_string_equal(credentials.security_token.data, "CAIS+/=");
    assert_true(credentials.expires_at_ms == expires_at_ms);
    credentials_fini(&credentials);
    buf_fini(&why);
}

static void check_refused(const char *text, const struct credential_form *form, const char *named)
{
    struct credentials credentials = {.serial = 7};
    struct buf why = {0};
    assert_int_equal(read_text(text, form, &credentials, &why), STATUS_INVALID);
    if (strstr(why.data, named) == NULL) {
        fail_msg("\"%s\" does not name %s", why.data, named);
    }
    assert_null(strstr(why.data, "testsecret"));
    assert_null(strstr(why.data, "CAIS"));
    assert_int_equal(credentials.serial, 7);
    assert_false(secret_is_set(&credentials.access_key_id));
    buf_fini(&why);
}

static void test_both_forms_of_an_expiration_are_read(void **state)
{
    (void)state;
    check_read("{" KEYS ",\"Expiration\":\"2024-08-30T07:03:06Z\"}", &credential_form_plain,
               1725001386000);
    check_read("{" KEYS ",\"Expiration\":\"2024-08-30T07:03:06.117Z\"}", &credential_form_plain,
               1725001386117);
}

static void test_other_members_are_ignored(void **state)
{
    (void)state;
    check_read("{\"LastUpdated\":\"x\",\"Code\":\"Success\"," KEYS
               ",\"Expiration\":\"2024-08-30T07:03:06Z\",\"More\":[{\"a\":null}]}",
               &credential_form_plain, 1725001386000);
}

static void test_members_within_another_object_are_read(void **state)
{
    (void)state;
    static const char sts[] = "{\"RequestId\":\"R\",\"Credentials\":{" KEYS
                              ",\"Expiration\":\"2024-08-30T07:03:06Z\"},\"AssumedRoleUser\":{}}";
    static const char sso[] =
        "{\"CloudCredential\":{" KEYS ",\"Expiration\":\"2024-08-30T07:03:06Z\"}}";
    check_read(sts, &credential_form_sts, 1725001386000);
    check_read(sso, &credential_form_cloud_sso, 1725001386000);
    check_refused(sts, &credential_form_cloud_sso, "CloudCredential is missing");
    check_refused("{\"Credentials\":[]}", &credential_form_sts, "Credentials is not a JSON object");
}

static void test_a_form_may_have_no_token_and_no_expiration(void **state)
{
    (void)state;
    static const struct credential_form form = {
        .id = "access_key_id", .secret = "access_key_secret", .token = "sts_token"};
    struct credentials credentials = {0};
    struct buf why = {0};
    assert_int_equal(read_text("{\"access_key_id\":\"a\",\"access_key_secret\":\"b\"}", &form,
                               &credentials, &why),
                     STATUS_OK);
    assert_false(secret_is_set(&credentials.security_token));
    assert_true(credentials.expires_at_ms == INT64_MAX);
    credentials_fini(&credentials);
    buf_fini(&why);
}

static void test_an_error_names_the_member_and_never_its_value(void **state)
{
    (void)state;
#define END ",\"Expiration\":\"2024-08-30T07:03:06Z\"}"
    static const struct {
        const char *text;
        const char *named;
    } rows[] = {
        {"", "not JSON"},
        {"{" KEYS, "not JSON"},
        {"{" KEYS END "x", "not JSON"},
        {"<html>testsecret</html>", "not JSON"},
        {"[]", "not a JSON object"},
        {"null", "not a JSON object"},
        {"\"testsecret\"", "not a JSON object"},
        {"{}", "AccessKeyId is missing"},
        {"{\"AccessKeyId\":\"a\"" END, "AccessKeySecret is missing"},
        {"{\"AccessKeyId\":\"a\",\"AccessKeySecret\":\"testsecret\"" END,
         "SecurityToken is missing"},
        {"{" KEYS "}", "Expiration is missing"},
        {"{" KEYS ",\"Expiration\":null}", "Expiration is missing"},
        {"{\"AccessKeyId\":5" END, "AccessKeyId must be a string; its type is number"},
        {"{\"AccessKeyId\":\"\"" END, "AccessKeyId is empty"},
        {"{\"AccessKeyId\":\"a\",\"AccessKeySecret\":[\"testsecret\"]" END,
         "AccessKeySecret must be a string"},
        {"{\"AccessKeyId\":\"a\",\"AccessKeySecret\":\"testsecret\\n\"" END,
         "AccessKeySecret holds a character"},
        {"{\"AccessKeyId\":\"a b\"" END, "AccessKeyId holds a character"},
        {"{\"AccessKeyId\":\"a\",\"AccessKeyId\":\"b\"" END, "AccessKeyId appears twice"},
        {"{" KEYS ",\"SecurityToken\":\"CAIS\"" END, "SecurityToken appears twice"},
        {"{" KEYS ",\"Expiration\":1725001386}", "Expiration must be a string"},
        {"{" KEYS ",\"Expiration\":\"tomorrow\"}", "Expiration is not a time"},
        {"{" KEYS ",\"Expiration\":\"2024-02-30T07:03:06Z\"}", "Expiration is not a time"},
        {"{" KEYS ",\"Expiration\":\"2024-08-30 07:03:06\"}", "Expiration is not a time"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_refused(rows[i].text, &credential_form_plain, rows[i].named);
    }
}

static void test_only_the_ends_of_a_key_are_shown(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"LTAI5tABCDEFGHIJKabcd", "LTAI****abcd"}, {"LTAI5tABCabcd", "****"}, {"", "****"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct credentials credentials = {0};
        struct buf text = {0};
        secret_set(&credentials.access_key_id, slice_text(rows[i][0]));
        credentials_mask_id(&credentials, &text);
        assert_string_equal(text.data, rows[i][1]);
        buf_fini(&text);
        credentials_fini(&credentials);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_forms_of_an_expiration_are_read),
        cmocka_unit_test(test_other_members_are_ignored),
        cmocka_unit_test(test_members_within_another_object_are_read),
        cmocka_unit_test(test_a_form_may_have_no_token_and_no_expiration),
        cmocka_unit_test(test_an_error_names_the_member_and_never_its_value),
        cmocka_unit_test(test_only_the_ends_of_a_key_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
