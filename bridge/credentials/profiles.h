/*
 * profiles - sources that stand in the files of the vendor's tools, and those found there only.
 *
 * A file is read anew for each get, so that what was renewed there is used. A profile stands for
 * another source; its text of an error begins with the file and the profile.
 *
 * Thread: the loop's.
 */
#ifndef CREDENTIALS_PROFILES_H
#define CREDENTIALS_PROFILES_H

#include "sources.h"

#define EXTERNAL_TIMEOUT_MS       60000
#define EXTERNAL_OUTPUT_BYTES_MAX 65536
/* A program's credentials are asked for again this long before they expire. */
#define EXTERNAL_LEAD_MS 180000

/* ~/.aliyun/config.json of the vendor's command line, see cli_chain.h. */
struct credential_source *credentials_cli_profile_open(const struct credential_context *context);

/*
 * ~/.alibabacloud/credentials of the vendor's SDKs: an ini file whose sections have a type
 * (access_key, ecs_ram_role, ram_role_arn).
 */
struct credential_source *credentials_profile_open(const struct credential_context *context);

/*
 * A program that prints {"mode": "AK" or "StsToken", "access_key_id", "access_key_secret",
 * "sts_token", "expiration"}. `command` is split by base/argv.h and run without a shell, with the
 * environment, without input, and with nobody listening to what it says on standard error. It has
 * `timeout_ms` and EXTERNAL_OUTPUT_BYTES_MAX, then it and what it started is killed. What it gave
 * without an expiration is used once.
 */
struct credential_source *credentials_external_new(const struct credential_context *context,
                                                   const char *command, int64_t timeout_ms);

struct cloud_sso {
    const char *sign_in_url; /* https, or http to loopback; its path does not count */
    const char *account_id;
    const char *access_config;
    const char *access_token;
    int64_t access_token_expires_s; /* Unix time, 0: there is none */
};
/* A session that a person has begun with the command line. Copies. */
struct credential_source *credentials_cloud_sso_new(const struct credential_context *context,
                                                    const struct cloud_sso *sso);

#endif
