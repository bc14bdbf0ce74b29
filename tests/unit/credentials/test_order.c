/*
 * All sources with services on loopback: the default chain tries them in order, each works alone,
 * and credentials.provider chooses one by name.
 */
#include "credentials/sources.h"
#include "support/credential_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define ARN        "acs:ram::123456789012:role/bridge"
#define KEY_SECRET "key-" SECRET_WORD

static const struct fixture_route routes[] = {
    {"POST /?Action=AssumeRoleWithOIDC", 200, FIXTURE_STS("STS.oidc")},
    {"POST /?AccessKeyId=", 200, FIXTURE_STS("STS.assumed")},
    {"PUT /latest/api/token", 200, "imds-token"},
    {"GET /latest/meta-data/ram/security-credentials/ ", 200, "instance-role"},
    {"GET /latest/meta-data/ram/security-credentials/instance-role", 200,
     "{\"Code\":\"Success\",\"AccessKeyId\":\"STS.imds\",\"AccessKeySecret\":\"x-" SECRET_WORD
     "\",\"SecurityToken\":\"t-" SECRET_WORD "\",\"Expiration\":\"" FIXTURE_EXPIRES "\"}"},
    {"GET /credentials", 200, FIXTURE_KEYS("STS.uri")},
    {0},
};

/* One source of the chain: how it is configured, how that is removed, and what it gives. */
struct step {
    const char *provider;
    void (*set)(struct fixture *fixture);
    void (*clear)(struct fixture *fixture);
    const char *id;
    const char *got_provider;
};

static void set_env(struct fixture *fixture)
{
    (void)fixture;
    fixture_env("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI-env");
    fixture_env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", KEY_SECRET);
}

static void clear_env(struct fixture *fixture)
{
    (void)fixture;
    fixture_env("ALIBABA_CLOUD_ACCESS_KEY_ID", NULL);
    fixture_env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", NULL);
}

static void set_oidc(struct fixture *fixture)
{
    fixture_env("ALIBABA_CLOUD_ROLE_ARN", ARN);
    fixture_env("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::123456789012:oidc-provider/k8s");
    fixture_env("ALIBABA_CLOUD_OIDC_TOKEN_FILE",
                fixture_file(fixture, "token", 0600, "jwt." SECRET_WORD));
}

static void clear_oidc(struct fixture *fixture)
{
    (void)fixture;
    fixture_env("ALIBABA_CLOUD_OIDC_TOKEN_FILE", NULL);
}

static void set_cli(struct fixture *fixture)
{
    fixture_file(
        fixture, ".aliyun/config.json", 0600,
        "{\"current\":\"a\",\"profiles\":[{\"name\":\"a\",\"mode\":\"AK\",\"access_key_id\":"
        "\"LTAI-cli\",\"access_key_secret\":\"" KEY_SECRET "\"}]}");
}

static void clear_cli(struct fixture *fixture)
{
    unlink(fixture_file(fixture, ".aliyun/config.json", 0600, ""));
}

static void set_ini(struct fixture *fixture)
{
    fixture_file(fixture, ".alibabacloud/credentials", 0600,
                 "[default]\ntype=access_key\naccess_key_id=LTAI-ini\naccess_key_secret=" KEY_SECRET
                 "\n");
}

static void clear_ini(struct fixture *fixture)
{
    unlink(fixture_file(fixture, ".alibabacloud/credentials", 0600, ""));
}

static void set_metadata(struct fixture *fixture)
{
    (void)fixture;
    fixture_env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", NULL);
}

static void clear_metadata(struct fixture *fixture)
{
    (void)fixture;
    fixture_env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
}

static void set_uri(struct fixture *fixture)
{
    char uri[96];
    snprintf(uri, sizeof uri, "%s/credentials", fixture->url);
    fixture_env("ALIBABA_CLOUD_CREDENTIALS_URI", uri);
}

static void clear_uri(struct fixture *fixture)
{
    (void)fixture;
    fixture_env("ALIBABA_CLOUD_CREDENTIALS_URI", NULL);
}

static const struct step steps[] = {
    {"env", set_env, clear_env, "LTAI-env", "env"},
    {"oidc_role_arn", set_oidc, clear_oidc, "STS.oidc", "oidc_role_arn"},
    {"cli_profile", set_cli, clear_cli, "LTAI-cli", "cli_profile/static_ak"},
    {"profile", set_ini, clear_ini, "LTAI-ini", "profile/static_ak"},
    {"ecs_ram_role", set_metadata, clear_metadata, "STS.imds", "ecs_ram_role"},
    {"credentials_uri", set_uri, clear_uri, "STS.uri", "credential_uri"},
};
#define STEP_COUNT (sizeof steps / sizeof steps[0])

static struct fixture *begin(void **state)
{
    struct fixture *fixture = *state;
    fixture->answer = (struct fixture_answer){.status = 404, .body = "", .routes = routes};
    return fixture;
}

static void assert_gives(struct fixture *fixture, const struct step *step, const char *prefix)
{
    char provider[CREDENTIALS_PROVIDER_BYTES];
    snprintf(provider, sizeof provider, "%s%s", prefix, step->got_provider);
    if (fixture->status != STATUS_OK) {
        fail_msg("%s", fixture->text);
    }
    assert_string_equal(secret_slice(&fixture->got.access_key_id).data, step->id);
    assert_string_equal(fixture->got.provider, provider);
}

static void test_the_chain_tries_sources_in_order(void **state)
{
    struct fixture *fixture = begin(state);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        steps[i].set(fixture);
    }
    for (size_t i = 0; i < STEP_COUNT; i++) {
        fixture_get_once(fixture, credentials_source_open(&fixture->context, "default"));
        assert_gives(fixture, &steps[i], "default/");
        steps[i].clear(fixture);
    }
    fixture_get_once(fixture, credentials_source_open(&fixture->context, "default"));
    fixture_assert_failed(fixture, STATUS_NOT_FOUND, "env: ");
    for (size_t i = 1; i < STEP_COUNT; i++) {
        char line[64];
        snprintf(line, sizeof line, "\n%s: ", steps[i].provider);
        fixture_assert_failed(fixture, STATUS_NOT_FOUND, line);
    }
}

static void test_each_source_of_the_chain_works_alone(void **state)
{
    struct fixture *fixture = begin(state);
    clear_metadata(fixture);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        steps[i].set(fixture);
        fixture_get_once(fixture, credentials_source_open(&fixture->context, "default"));
        assert_gives(fixture, &steps[i], "default/");
        steps[i].clear(fixture);
    }
}

static void test_a_source_is_chosen_by_name(void **state)
{
    struct fixture *fixture = begin(state);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        steps[i].set(fixture);
    }
    for (size_t i = 0; i < STEP_COUNT; i++) {
        struct credential_source *source =
            credentials_source_open(&fixture->context, steps[i].provider);
        assert_non_null(source);
        assert_string_equal(credentials_name(source), steps[i].provider);
        fixture_get_once(fixture, source);
        assert_gives(fixture, &steps[i], "");
    }
    assert_null(credentials_source_open(&fixture->context, "rsa_key_pair"));
}

static void test_every_source_can_sign_for_a_role(void **state)
{
    struct fixture *fixture = begin(state);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        char name[32];
        char provider[CREDENTIALS_PROVIDER_BYTES];
        steps[i].set(fixture);
        fixture_env("ALIBABA_CLOUD_ROLE_ARN", ARN);
        snprintf(name, sizeof name, "%s", steps[i].provider);
        snprintf(provider, sizeof provider, "ram_role_arn/%s", steps[i].got_provider);
        fixture->settings.role_source = name;
        fixture_get_once(fixture, credentials_source_open(&fixture->context, "ram_role_arn"));
        fixture_assert_got(fixture, "STS.assumed", "session-" SECRET_WORD,
                           "token-" SECRET_WORD "+/=", provider);
        assert_string_equal(fixture_parameter(fixture, "AccessKeyId"), steps[i].id);
        steps[i].clear(fixture);
    }
}

/* The chain goes on after a source that fails; if all fail, the error has its reason. */
static void test_a_source_that_fails_is_skipped_and_reported(void **state)
{
    struct fixture *fixture = begin(state);
    clear_metadata(fixture);
    fixture_file(fixture, ".aliyun/config.json", 0600, "{");
    set_ini(fixture);
    struct credential_source *source = credentials_source_open(&fixture->context, "default");
    fixture_get(fixture, source);
    assert_gives(fixture, &steps[3], "default/");
    clear_ini(fixture);
    fixture_get(fixture, source);
    fixture_assert_failed(fixture, STATUS_INVALID, "\ncli_profile: ");
    set_cli(fixture);
    fixture_get(fixture, source);
    assert_gives(fixture, &steps[2], "default/");
    credentials_source_free(source);
}

static void test_a_profile_can_name_the_role_of_the_instance(void **state)
{
    struct fixture *fixture = begin(state);
    fixture_file(fixture, ".aliyun/config.json", 0600,
                 "{\"current\":\"a\",\"profiles\":[{\"name\":\"a\",\"mode\":\"EcsRamRole\","
                 "\"ram_role_name\":\"instance-role\"}]}");
    fixture_get_once(fixture, credentials_source_open(&fixture->context, "cli_profile"));
    assert_int_equal(fixture->status, STATUS_OK);
    assert_string_equal(fixture->got.provider, "cli_profile/ecs_ram_role");
    fixture_file(fixture, ".alibabacloud/credentials", 0600, "[default]\ntype=ecs_ram_role\n");
    fixture_get_once(fixture, credentials_source_open(&fixture->context, "profile"));
    assert_int_equal(fixture->status, STATUS_OK);
    assert_string_equal(fixture->got.provider, "profile/ecs_ram_role");
    assert_string_equal(secret_slice(&fixture->got.access_key_id).data, "STS.imds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)
        FIXTURE_TEST(test_the_chain_tries_sources_in_order),
        FIXTURE_TEST(test_each_source_of_the_chain_works_alone),
        FIXTURE_TEST(test_a_source_is_chosen_by_name),
        FIXTURE_TEST(test_every_source_can_sign_for_a_role),
        FIXTURE_TEST(test_a_source_that_fails_is_skipped_and_reported),
        FIXTURE_TEST(test_a_profile_can_name_the_role_of_the_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
