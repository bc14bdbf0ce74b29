/*
 * profiles - sources in the files of the vendor's tools, and sources that only these files name.
 *
 * A file is read for each get, so that changes are used at once. A profile names another source;
 * its error texts start with the file and the profile.
 *
 * Thread: the loop's.
 */
#ifndef CREDENTIALS_PROFILES_H
#define CREDENTIALS_PROFILES_H

#include "sources.h"

#define EXTERNAL_TIMEOUT_MS       60000
#define EXTERNAL_OUTPUT_BYTES_MAX 65536
/* The program runs again this long before its credentials expire. */
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
 * "sts_token", "expiration"}. `command` is split by argv.h and run without a shell, with the
 * environment; standard input and standard error are /dev/null. After `timeout_ms` or
 * EXTERNAL_OUTPUT_BYTES_MAX of output it is killed, with the processes that it started. Credentials
 * without an expiration serve the waiting calls and are not stored.
 */
struct credential_source *credentials_external_new(const struct credential_context *context,
                                                   const char *command, int64_t timeout_ms);

struct cloud_sso {
    const char *sign_in_url; /* https, or http to loopback; the path is ignored */
    const char *account_id;
    const char *access_config;
    const char *access_token;
    int64_t access_token_expires_s; /* Unix time, 0: not given */
};
/* A session that a person started with the vendor's command line. Copies. */
struct credential_source *credentials_cloud_sso_new(const struct credential_context *context,
                                                    const struct cloud_sso *sso);

#endif
