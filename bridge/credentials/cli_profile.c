/* Reads the chain of profiles, then creates the sources from the last to the first: the source of a
 * profile signs the request for the role before it. */
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

static struct credential_source *make_static(const struct cli_profile *profile)
{
    bool has_token = profile->mode == CLI_STS_TOKEN;
    return credentials_static_new(profile->access_key_id, profile->access_key_secret,
                                  has_token ? profile->sts_token : slice_text(NULL));
}

/* Owns `signer`. */
static struct credential_source *make_role(const struct profile_file *cli,
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
    sts_role_init(&role, profile->ram_role_arn, profile->ram_session_name, profile->policy,
                  profile->external_id,
                  profile->expired_seconds > 0 ? profile->expired_seconds : STS_DURATION_S);
    if (profile->mode != CLI_OIDC) {
        return credentials_ram_role_arn_new(cli->context, signer, &role, buf_take(&url));
    }
    return credentials_oidc_role_arn_new(cli->context, &role, profile->oidc_provider_arn.data,
                                         profile->oidc_token_file.data, buf_take(&url));
}

/* `signer` is the source of the next profile in the chain, owned here; NULL for the last one. */
static struct credential_source *make_source(const struct profile_file *cli,
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
        return credentials_cloud_sso_new(
            cli->context, &(struct cloud_sso){
                              .sign_in_url = profile->cloud_sso_sign_in_url.data,
                              .account_id = profile->cloud_sso_account_id.data,
                              .access_config = profile->cloud_sso_access_config.data,
                              .access_token = profile->access_token.data,
                              .access_token_expires_s = profile->cloud_sso_access_token_expire,
                          });
    case CLI_EXTERNAL:
        return credentials_external_new(cli->context, profile->process_command.data,
                                        EXTERNAL_TIMEOUT_MS);
    }
    abort();
}

static enum status read_document(const struct profile_file *cli, const struct json *document,
                                 struct credential_source **out_source, char **out_where,
                                 struct buf *out_why)
{
    struct cli_profile profiles[CLI_CHAIN_MAX];
    size_t count = 0;
    struct buf where = {0};
    struct buf why = {0};
    buf_append_text(&where, cli->file.path);
    enum status status = cli_chain_read(document, cli->profile, profiles, &count, &why);
    if (status == STATUS_OK) {
        buf_printf(&where, ": profile \"%s\"", profiles[0].name.data);
        struct credential_source *source = NULL;
        do {
            source = make_source(cli, &profiles[--count], source, &why);
        } while (source != NULL && count > 0);
        *out_source = source;
        status = source == NULL ? STATUS_INVALID : STATUS_OK;
    }
    if (status == STATUS_OK) {
        *out_where = buf_take(&where);
    } else {
        buf_printf(out_why, "%s: %s", where.data, why.data);
    }
    buf_fini(&where);
    buf_fini(&why);
    return status;
}

static enum status cli_read(const struct profile_file *cli, struct slice content,
                            struct credential_source **out_source, char **out_where,
                            struct buf *out_why)
{
    struct json_fault fault = {0};
    struct json *document = json_parse(content, CLI_DEPTH_MAX, &fault);
    if (document == NULL) {
        buf_printf(out_why, "%s: %s at byte %zu", cli->file.path, fault.what, fault.offset);
        return STATUS_INVALID;
    }
    enum status status = read_document(cli, document, out_source, out_where, out_why);
    json_free_secret(document);
    return status;
}

struct credential_source *credentials_cli_profile_open(const struct credential_context *context)
{
    static const struct credential_source_ops ops = {.name = "cli_profile",
                                                     .get = profile_file_get,
                                                     .files = profile_file_files,
                                                     .free = profile_file_free};
    const char *path = credential_value(context, context->settings->cli_profile_file, FILE_NAME);
    const char *profile = credential_value(context, context->settings->profile, PROFILE_NAME);
    struct profile_file *cli =
        profile_file_new(&ops, context, path != NULL ? path : FILE_PATH, profile, cli_read);
    cli->off_name = DISABLED_NAME;
    return &cli->source;
}
