/*
 * All sources together, against services on loopback: the default chain asks in order, each source
 * is found alone, and credentials.provider picks one by name.
 */
#include "credentials/sources.h"
#include "support/credential_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define ARN        "acs:ram::123456789012:role/bridge"
#define KEY_SECRET "key-" SECRET_WORD

static const struct rig_route routes[] = {
    {"POST /?Action=AssumeRoleWithOIDC", 200, RIG_STS("STS.oidc")},
    {"POST /?AccessKeyId=", 200, RIG_STS("STS.assumed")},
    {"PUT /latest/api/token", 200, "imds-token"},
    {"GET /latest/meta-data/ram/security-credentials/ ", 200, "instance-role"},
    {"GET /latest/meta-data/ram/security-credentials/instance-role", 200,
     "{\"Code\":\"Success\",\"AccessKeyId\":\"STS.imds\",\"AccessKeySecret\":\"x-" SECRET_WORD
     "\",\"SecurityToken\":\"t-" SECRET_WORD "\",\"Expiration\":\"" RIG_EXPIRES "\"}"},
    {"GET /credentials", 200, RIG_KEYS("STS.uri")},
    {0},
};

/* One of the chain: how it is configured and taken away again, and what it then gives. */
struct step {
    const char *provider;
    void (*set)(struct rig *rig);
    void (*clear)(struct rig *rig);
    const char *id;
    const char *told_provider;
};

static void set_env(struct rig *rig)
{
    (void)rig;
    rig_env("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI-env");
    rig_env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", KEY_SECRET);
}

static void clear_env(struct rig *rig)
{
    (void)rig;
    rig_env("ALIBABA_CLOUD_ACCESS_KEY_ID", NULL);
    rig_env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", NULL);
}

static void set_oidc(struct rig *rig)
{
    rig_env("ALIBABA_CLOUD_ROLE_ARN", ARN);
    rig_env("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::123456789012:oidc-provider/k8s");
    rig_env("ALIBABA_CLOUD_OIDC_TOKEN_FILE", rig_file(rig, "token", 0600, "jwt." SECRET_WORD));
}

static void clear_oidc(struct rig *rig)
{
    (void)rig;
    rig_env("ALIBABA_CLOUD_OIDC_TOKEN_FILE", NULL);
}

static void set_cli(struct rig *rig)
{
    rig_file(rig, ".aliyun/config.json", 0600,
             "{\"current\":\"a\",\"profiles\":[{\"name\":\"a\",\"mode\":\"AK\",\"access_key_id\":"
             "\"LTAI-cli\",\"access_key_secret\":\"" KEY_SECRET "\"}]}");
}

static void clear_cli(struct rig *rig)
{
    unlink(rig_file(rig, ".aliyun/config.json", 0600, ""));
}

static void set_ini(struct rig *rig)
{
    rig_file(rig, ".alibabacloud/credentials", 0600,
             "[default]\ntype=access_key\naccess_key_id=LTAI-ini\naccess_key_secret=" KEY_SECRET
             "\n");
}

static void clear_ini(struct rig *rig)
{
    unlink(rig_file(rig, ".alibabacloud/credentials", 0600, ""));
}

static void set_metadata(struct rig *rig)
{
    (void)rig;
    rig_env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", NULL);
}

static void clear_metadata(struct rig *rig)
{
    (void)rig;
    rig_env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
}

static void set_uri(struct rig *rig)
{
    char uri[96];
    snprintf(uri, sizeof uri, "%s/credentials", rig->url);
    rig_env("ALIBABA_CLOUD_CREDENTIALS_URI", uri);
}

static void clear_uri(struct rig *rig)
{
    (void)rig;
    rig_env("ALIBABA_CLOUD_CREDENTIALS_URI", NULL);
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

static struct rig *begin(void **state)
{
    struct rig *rig = *state;
    rig->answer = (struct rig_answer){.status = 404, .body = "", .routes = routes};
    return rig;
}

static void assert_gives(struct rig *rig, const struct step *step, const char *prefix)
{
    char provider[CREDENTIALS_PROVIDER_BYTES];
    snprintf(provider, sizeof provider, "%s%s", prefix, step->told_provider);
    if (rig->status != STATUS_OK) {
        fail_msg("%s", rig->text);
    }
    assert_string_equal(secret_slice(&rig->got.access_key_id).data, step->id);
    assert_string_equal(rig->got.provider, provider);
}

static void test_the_chain_asks_in_order(void **state)
{
    struct rig *rig = begin(state);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        steps[i].set(rig);
    }
    for (size_t i = 0; i < STEP_COUNT; i++) {
        rig_get_once(rig, credentials_source_open(&rig->context, "default"));
        assert_gives(rig, &steps[i], "default/");
        steps[i].clear(rig);
    }
    rig_get_once(rig, credentials_source_open(&rig->context, "default"));
    rig_assert_failed(rig, STATUS_NOT_FOUND, "env: ");
    for (size_t i = 1; i < STEP_COUNT; i++) {
        char line[64];
        snprintf(line, sizeof line, "\n%s: ", steps[i].provider);
        rig_assert_failed(rig, STATUS_NOT_FOUND, line);
    }
}

static void test_each_source_is_found_alone(void **state)
{
    struct rig *rig = begin(state);
    clear_metadata(rig);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        steps[i].set(rig);
        rig_get_once(rig, credentials_source_open(&rig->context, "default"));
        assert_gives(rig, &steps[i], "default/");
        steps[i].clear(rig);
    }
}

static void test_a_source_is_picked_by_name_from_among_all(void **state)
{
    struct rig *rig = begin(state);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        steps[i].set(rig);
    }
    for (size_t i = 0; i < STEP_COUNT; i++) {
        struct credential_source *source =
            credentials_source_open(&rig->context, steps[i].provider);
        assert_non_null(source);
        assert_string_equal(credentials_name(source), steps[i].provider);
        rig_get_once(rig, source);
        assert_gives(rig, &steps[i], "");
    }
    assert_null(credentials_source_open(&rig->context, "rsa_key_pair"));
}

static void test_any_source_can_sign_for_a_role(void **state)
{
    struct rig *rig = begin(state);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        char name[32];
        char provider[CREDENTIALS_PROVIDER_BYTES];
        steps[i].set(rig);
        rig_env("ALIBABA_CLOUD_ROLE_ARN", ARN);
        snprintf(name, sizeof name, "%s", steps[i].provider);
        snprintf(provider, sizeof provider, "ram_role_arn/%s", steps[i].told_provider);
        rig->settings.role_source = name;
        rig_get_once(rig, credentials_source_open(&rig->context, "ram_role_arn"));
        rig_assert_got(rig, "STS.assumed", "session-" SECRET_WORD,
                       "token-" SECRET_WORD "+/=", provider);
        assert_string_equal(rig_parameter(rig, "AccessKeyId"), steps[i].id);
        steps[i].clear(rig);
    }
}

/* A source that is configured and fails does not end the chain, but is told where all fail. */
static void test_a_broken_source_is_gone_past_and_told_of(void **state)
{
    struct rig *rig = begin(state);
    clear_metadata(rig);
    rig_file(rig, ".aliyun/config.json", 0600, "{");
    set_ini(rig);
    struct credential_source *source = credentials_source_open(&rig->context, "default");
    rig_get(rig, source);
    assert_gives(rig, &steps[3], "default/");
    clear_ini(rig);
    rig_get(rig, source);
    rig_assert_failed(rig, STATUS_INVALID, "\ncli_profile: ");
    set_cli(rig);
    rig_get(rig, source);
    assert_gives(rig, &steps[2], "default/");
    credentials_source_free(source);
}

static void test_profiles_can_stand_for_the_role_of_the_instance(void **state)
{
    struct rig *rig = begin(state);
    rig_file(rig, ".aliyun/config.json", 0600,
             "{\"current\":\"a\",\"profiles\":[{\"name\":\"a\",\"mode\":\"EcsRamRole\","
             "\"ram_role_name\":\"instance-role\"}]}");
    rig_get_once(rig, credentials_source_open(&rig->context, "cli_profile"));
    assert_int_equal(rig->status, STATUS_OK);
    assert_string_equal(rig->got.provider, "cli_profile/ecs_ram_role");
    rig_file(rig, ".alibabacloud/credentials", 0600, "[default]\ntype=ecs_ram_role\n");
    rig_get_once(rig, credentials_source_open(&rig->context, "profile"));
    assert_int_equal(rig->status, STATUS_OK);
    assert_string_equal(rig->got.provider, "profile/ecs_ram_role");
    assert_string_equal(secret_slice(&rig->got.access_key_id).data, "STS.imds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define RIG_TEST(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)
        RIG_TEST(test_the_chain_asks_in_order),
        RIG_TEST(test_each_source_is_found_alone),
        RIG_TEST(test_a_source_is_picked_by_name_from_among_all),
        RIG_TEST(test_any_source_can_sign_for_a_role),
        RIG_TEST(test_a_broken_source_is_gone_past_and_told_of),
        RIG_TEST(test_profiles_can_stand_for_the_role_of_the_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
