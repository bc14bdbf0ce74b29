#include "credentials/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID     "ALIBABA_CLOUD_ACCESS_KEY_ID"
#define SECRET "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
#define TOKEN  "ALIBABA_CLOUD_SECURITY_TOKEN"

struct got {
    int count;
    enum status status;
    char id[64];
    char secret[64];
    char token[64];
    bool has_token;
    int64_t expires_at_ms;
    char text[256];
};

static void copy(char *out, size_t out_bytes, struct slice text)
{
    assert_true(text.length < out_bytes);
    memcpy(out, text.data, text.length);
    out[text.length] = '\0';
}

static void take(void *arg, enum status status, const struct credentials *credentials,
                 const char *text)
{
    struct got *got = arg;
    got->count++;
    got->status = status;
    copy(got->text, sizeof got->text, slice_text(text));
    assert_true((credentials != NULL) == (status == STATUS_OK));
    if (credentials == NULL) {
        return;
    }
    copy(got->id, sizeof got->id, secret_slice(&credentials->access_key_id));
    copy(got->secret, sizeof got->secret, secret_slice(&credentials->access_key_secret));
    copy(got->token, sizeof got->token, secret_slice(&credentials->security_token));
    got->has_token = secret_is_set(&credentials->security_token);
    got->expires_at_ms = credentials->expires_at_ms;
}

static void set(const char *name, const char *value)
{
    if (value == NULL) {
        unsetenv(name);
    } else {
        setenv(name, value, 1);
    }
}

static const char *environment(const char *name)
{
    return getenv(name);
}

static const struct credential_context context = {.env = environment};

static struct got get(const char *id, const char *secret, const char *token)
{
    struct got got = {0};
    set(ID, id);
    set(SECRET, secret);
    set(TOKEN, token);
    struct credential_source *source = credentials_env_open(&context);
    credentials_get(source, take, &got);
    credentials_source_free(source);
    assert_int_equal(got.count, 1);
    return got;
}

static void test_a_key_comes_from_the_environment(void **state)
{
    (void)state;
    struct got got = get("testid", "testsecret", NULL);
    assert_int_equal(got.status, STATUS_OK);
    assert_string_equal(got.id, "testid");
    assert_string_equal(got.secret, "testsecret");
    assert_false(got.has_token);
    assert_true(got.expires_at_ms == INT64_MAX);
}

static void test_a_security_token_is_read_too(void **state)
{
    (void)state;
    struct got got = get("STS.testid", "testsecret", "CAIStoken+/=~*");
    assert_int_equal(got.status, STATUS_OK);
    assert_string_equal(got.token, "CAIStoken+/=~*");
}

static void test_an_empty_variable_counts_as_unset(void **state)
{
    (void)state;
    assert_int_equal(get("", "", "").status, STATUS_NOT_FOUND);
    assert_false(get("testid", "testsecret", "").has_token);
}

static void test_an_error_names_the_missing_variable(void **state)
{
    (void)state;
    struct got got = get(NULL, NULL, NULL);
    assert_int_equal(got.status, STATUS_NOT_FOUND);
    assert_non_null(strstr(got.text, ID));
    assert_non_null(strstr(got.text, SECRET));
    got = get("testid", NULL, NULL);
    assert_int_equal(got.status, STATUS_INVALID);
    assert_non_null(strstr(got.text, SECRET " is not"));
    got = get(NULL, "testsecret", NULL);
    assert_int_equal(got.status, STATUS_INVALID);
    assert_non_null(strstr(got.text, ID " is not"));
}

static void test_a_key_that_headers_cannot_hold_is_refused_and_not_shown(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        const char *secret;
        const char *token;
        const char *named;
    } rows[] = {
        {"bad\nid", "testsecret", NULL, ID},
        {"testid", "bad secret", NULL, SECRET},
        {"testid", "testsecret", "bad\r\nx: y", TOKEN},
        {"testid", "testsecret\n", NULL, SECRET},
        {"testid",
         "b\xC3\xA4"
         "d",
         NULL, SECRET},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct got got = get(rows[i].id, rows[i].secret, rows[i].token);
        assert_int_equal(got.status, STATUS_INVALID);
        assert_true(strncmp(got.text, rows[i].named, strlen(rows[i].named)) == 0);
        assert_null(strstr(got.text, "bad"));
        assert_null(strstr(got.text, "test"));
    }
}

static void test_after_a_refusal_the_environment_gives_no_others(void **state)
{
    (void)state;
    set(ID, "testid");
    set(SECRET, "testsecret");
    set(TOKEN, NULL);
    struct credential_source *source = credentials_env_open(&context);
    assert_false(credentials_refused(source, 0));
    struct got got = {0};
    credentials_get(source, take, &got);
    assert_int_equal(got.status, STATUS_OK);
    credentials_source_free(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_comes_from_the_environment),
        cmocka_unit_test(test_a_security_token_is_read_too),
        cmocka_unit_test(test_an_empty_variable_counts_as_unset),
        cmocka_unit_test(test_an_error_names_the_missing_variable),
        cmocka_unit_test(test_a_key_that_headers_cannot_hold_is_refused_and_not_shown),
        cmocka_unit_test(test_after_a_refusal_the_environment_gives_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
