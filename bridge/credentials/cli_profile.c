/* The chain of profiles is read first, then sources are made from its end on: each role is signed
 * for by what stands behind it. */
#include "base/mem.h"
#include "cli_chain.h"
#include "common.h"
#include "profiles.h"
#include "roles.h"

#include <stdlib.h>

#define DISABLED_NAME "ALIBABA_CLOUD_CLI_PROFILE_DISABLED"
#define FILE_NAME     "ALIBABA_CLOUD_CONFIG_FILE"
#define PROFILE_NAME  "ALIBABA_CLOUD_PROFILE"
#define FILE_PATH     "~/.aliyun/config.json"

struct cli_source {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    struct key_file file;
    char *profile; /* NULL for the file's current one */
    struct delegate delegate;
};

static char *copy_text(struct slice text)
{
    return slice_is_present(text) ? mem_dup(text.data, text.length) : NULL;
}

static struct credential_source *make_static(const struct cli_profile *profile)
{
    struct credentials credentials = {.expires_at_ms = INT64_MAX};
    bool has_token = profile->mode == CLI_STS_TOKEN;
    secret_set(&credentials.access_key_id, profile->access_key_id);
    secret_set(&credentials.access_key_secret, profile->access_key_secret);
    if (has_token) {
        secret_set(&credentials.security_token, profile->sts_token);
    }
    credentials_set_provider(&credentials, "%s", has_token ? "static_sts" : "static_ak");
    struct credential_source *source = credentials_static_new(&credentials);
    credentials_fini(&credentials);
    return source;
}

static void take_role(const struct cli_profile *profile, struct sts_role *out_role)
{
    char *session_name = copy_text(profile->ram_session_name);
    *out_role = (struct sts_role){
        .arn = copy_text(profile->ram_role_arn),
        .session_name = session_name != NULL ? session_name : mem_strdup(STS_SESSION_NAME),
        .policy = copy_text(profile->policy),
        .external_id = copy_text(profile->external_id),
        .duration_s = profile->expired_seconds > 0 ? profile->expired_seconds : STS_DURATION_S,
    };
}

/* `signer` is taken over. */
static struct credential_source *make_role(const struct cli_source *cli,
                                           const struct cli_profile *profile,
                                           struct credential_source *signer, struct buf *out_why)
{
    struct sts_role role;
    struct buf url = {0};
    if (service_sts_endpoint(cli->context, profile->sts_endpoint.data, profile->sts_region.data,
                             profile->enable_vpc, &url, out_why) != STATUS_OK) {
        credentials_source_free(signer);
        buf_fini(&url);
        return NULL;
    }
    take_role(profile, &role);
    if (profile->mode != CLI_OIDC) {
        return credentials_ram_role_arn_new(cli->context, signer, &role, buf_take(&url));
    }
    return credentials_oidc_role_arn_new(cli->context, &role, profile->oidc_provider_arn.data,
                                         profile->oidc_token_file.data, buf_take(&url));
}

static struct credential_source *make_cloud_sso(const struct cli_source *cli,
                                                const struct cli_profile *profile)
{
    struct cloud_sso sso = {
        .sign_in_url = profile->cloud_sso_sign_in_url.data,
        .account_id = profile->cloud_sso_account_id.data,
        .access_config = profile->cloud_sso_access_config.data,
        .access_token = profile->access_token.data,
        .access_token_expires_s = profile->cloud_sso_access_token_expire,
    };
    return credentials_cloud_sso_new(cli->context, &sso);
}

/* `signer` is of the profile behind, and taken over; NULL for the last. */
static struct credential_source *make_source(const struct cli_source *cli,
                                             const struct cli_profile *profile,
                                             struct credential_source *signer, struct buf *out_why)
{
    switch (profile->mode) {
    case CLI_AK:
    case CLI_STS_TOKEN:
        return make_static(profile);
    case CLI_RAM_ROLE_ARN:
        return make_role(cli, profile, make_static(profile), out_why);
    case CLI_CHAINABLE_RAM_ROLE_ARN:
        return make_role(cli, profile, signer, out_why);
    case CLI_OIDC:
        return make_role(cli, profile, NULL, out_why);
    case CLI_ECS_RAM_ROLE:
        return credentials_ecs_ram_role_new(cli->context, profile->ram_role_name.data);
    case CLI_CLOUD_SSO:
        return make_cloud_sso(cli, profile);
    case CLI_EXTERNAL:
        return credentials_external_new(cli->context, profile->process_command.data,
                                        EXTERNAL_TIMEOUT_MS);
    }
    abort();
}

static struct credential_source *make_chain(const struct cli_source *cli,
                                            const struct cli_profile *profiles, size_t count,
                                            struct buf *out_why)
{
    struct credential_source *source = NULL;
    for (size_t i = count; i > 0; i--) {
        source = make_source(cli, &profiles[i - 1], source, out_why);
        if (source == NULL) {
            break;
        }
    }
    return source;
}

/* *out_where is what an error of the source begins with. */
static enum status read_document(const struct cli_source *cli, struct slice content,
                                 struct credential_source **out_source, char **out_where,
                                 struct buf *out_why)
{
    struct cli_profile profiles[CLI_CHAIN_MAX];
    size_t count = 0;
    struct json_fault fault = {0};
    struct json *document = json_parse(content, CLI_DEPTH_MAX, &fault);
    if (document == NULL) {
        buf_printf(out_why, "%s at byte %zu", fault.what, fault.offset);
        return STATUS_INVALID;
    }
    enum status status = cli_chain_read(document, cli->profile, profiles, &count, out_why);
    if (status == STATUS_OK) {
        struct buf where = {0};
        buf_printf(&where, "%s: profile \"%s\"", cli->file.path, profiles[0].name.data);
        *out_where = buf_take(&where);
        *out_source = make_chain(cli, profiles, count, out_why);
        status = *out_source == NULL ? STATUS_INVALID : STATUS_OK;
    }
    json_free_secret(document);
    return status;
}

static enum status prepare(struct cli_source *cli, struct credential_source **out_source,
                           char **out_where, struct buf *out_why)
{
    struct secret content = {0};
    struct buf why = {0};
    if (credential_env_is_true(cli->context, DISABLED_NAME)) {
        buf_append_text(out_why, "turned off by " DISABLED_NAME);
        return STATUS_NOT_FOUND;
    }
    enum status status = key_file_read(&cli->file, &content, out_why);
    if (status == STATUS_OK) {
        status = read_document(cli, secret_slice(&content), out_source, out_where, &why);
        if (status != STATUS_OK) {
            buf_printf(out_why, "%s: %s", *out_where != NULL ? *out_where : cli->file.path,
                       why.data);
        }
    }
    secret_fini(&content);
    buf_fini(&why);
    return status;
}

static void cli_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct cli_source *cli = (struct cli_source *)source;
    struct credential_source *inner = NULL;
    char *where = NULL;
    struct buf why = {0};
    enum status status = prepare(cli, &inner, &where, &why);
    if (status != STATUS_OK) {
        free(where);
        got(arg, status, NULL, why.data);
    } else {
        delegate_get(&cli->delegate, inner, where, got, arg);
    }
    buf_fini(&why);
}

/* The file may hold others by now. */
static bool cli_refused(struct credential_source *source, uint64_t serial)
{
    (void)source;
    (void)serial;
    return true;
}

static void cli_files(struct credential_source *source, credentials_file_fn *told, void *arg)
{
    struct cli_source *cli = (struct cli_source *)source;
    if (!credential_env_is_true(cli->context, DISABLED_NAME)) {
        told(arg, cli->file.path);
    }
}

static void cli_free(struct credential_source *source)
{
    struct cli_source *cli = (struct cli_source *)source;
    delegate_fini(&cli->delegate);
    key_file_fini(&cli->file);
    free(cli->profile);
    free(cli);
}

struct credential_source *credentials_cli_profile_open(const struct credential_context *context)
{
    static const struct credential_source_ops ops = {.name = "cli_profile",
                                                     .get = cli_get,
                                                     .refused = cli_refused,
                                                     .files = cli_files,
                                                     .free = cli_free};
    const char *path = credential_value(context, context->settings->cli_profile_file, FILE_NAME);
    struct cli_source *cli = mem_zalloc(1, sizeof *cli);
    cli->source.ops = &ops;
    cli->context = context;
    cli->profile = mem_strdup(credential_value(context, context->settings->profile, PROFILE_NAME));
    cli->delegate.provider = "cli_profile";
    key_file_init(&cli->file, context, path != NULL ? path : FILE_PATH);
    return &cli->source;
}
