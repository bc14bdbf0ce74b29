/*
 * cli_chain - profiles in the configuration file of the vendor's command line
 * (~/.aliyun/config.json).
 *
 * {"current": name, "profiles": [{"name": .., "mode": .., ...}]}. A profile with the mode
 * ChainableRamRoleArn names another one: the result is a chain of profiles.
 *
 * Thread: any; pure. Texts name profiles and keys, never the values of keys.
 */
#ifndef CREDENTIALS_CLI_CHAIN_H
#define CREDENTIALS_CLI_CHAIN_H

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Profiles in a chain. */
#define CLI_CHAIN_MAX 8
/* Nested arrays and objects in the file. */
#define CLI_DEPTH_MAX 16

enum cli_mode {
    CLI_AK,
    CLI_STS_TOKEN,
    CLI_RAM_ROLE_ARN,
    CLI_ECS_RAM_ROLE,
    CLI_OIDC,
    CLI_CHAINABLE_RAM_ROLE_ARN,
    CLI_CLOUD_SSO,
    CLI_EXTERNAL,
};

/* A text is absent if the file has none or an empty one; else a NUL follows it. */
struct cli_profile {
    struct slice name;
    enum cli_mode mode;
    struct slice access_key_id;
    struct slice access_key_secret;
    struct slice sts_token;
    struct slice ram_role_arn;
    struct slice ram_session_name;
    struct slice ram_role_name;
    struct slice policy;
    struct slice external_id;
    struct slice sts_region;
    struct slice sts_endpoint;
    struct slice oidc_provider_arn;
    struct slice oidc_token_file;
    struct slice source_profile;
    struct slice process_command;
    struct slice cloud_sso_sign_in_url;
    struct slice cloud_sso_account_id;
    struct slice cloud_sso_access_config;
    struct slice access_token;
    int64_t expired_seconds;               /* 0: not given */
    int64_t cloud_sso_access_token_expire; /* Unix time in s, 0: not given */
    bool enable_vpc;
};

/*
 * Reads the profile `wanted` (NULL: the file's current one) and those that it needs. profiles[0] is
 * the wanted one; only the last has another mode than ChainableRamRoleArn. All keys that a mode
 * requires are present. The texts point into the document.
 *
 * STATUS_NOT_FOUND: no such profile. STATUS_INVALID: a wrong form or type, an unknown mode, a
 * missing key, a chain that comes back to itself or has more than CLI_CHAIN_MAX profiles. On
 * failure the reason is appended to *out_why and the other outputs are unchanged.
 */
enum status cli_chain_read(const struct json *document, const char *wanted,
                           struct cli_profile out_profiles[CLI_CHAIN_MAX], size_t *out_count,
                           struct buf *out_why);

#endif
