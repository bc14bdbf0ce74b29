/*
 * sts - requests to the security token service: roles, endpoints, signed forms.
 *
 * AssumeRole is signed with V1 (method POST, query and form signed together), AssumeRoleWithOIDC
 * is not signed at all. Source: the vendor's pages "AssumeRole", "AssumeRoleWithOIDC" and
 * "Endpoints" of STS 2015-04-01.
 *
 * Thread: any; pure, time and nonce are passed in.
 */
#ifndef CREDENTIALS_STS_H
#define CREDENTIALS_STS_H

#include "base/buf.h"
#include "base/status.h"
#include "credentials/credentials.h"

#include <stdbool.h>
#include <stdint.h>

#define STS_DURATION_S   3600
#define STS_SESSION_NAME "ecs-mqtt-bridge"

/* A role to assume. Owns its texts. */
struct sts_role {
    char *arn;          /* acs:ram::<account>:role/<name> */
    char *session_name; /* 2 to 64 letters, digits, '.', '@', '-', '_' */
    char *policy;       /* 1 to 2048 bytes, NULL: all that the role may do */
    char *external_id;  /* 2 to 1224 bytes, NULL: none */
    int64_t duration_s; /* 900 to 43200; a role may allow less */
};

/* Copies texts that are present and not empty; the default session name is STS_SESSION_NAME. */
void sts_role_init(struct sts_role *role, struct slice arn, struct slice session_name,
                   struct slice policy, struct slice external_id, int64_t duration_s);
void sts_role_fini(struct sts_role *role);
/* STATUS_INVALID: *out_why is a phrase with the field and its limit, never its value. */
enum status sts_role_check(const struct sts_role *role, const char **out_why);

/*
 * Appends the URL without a path. `override` is a host or scheme://host[:port] (http to loopback
 * only), NULL or "" for the rule: sts.<region>.aliyuncs.com, sts-vpc.<region>.aliyuncs.com,
 * sts.aliyuncs.com without a region (NULL or "") and for the public side of two finance regions.
 * STATUS_INVALID with a phrase.
 */
enum status sts_endpoint(const char *override, const char *region, bool is_vpc, struct buf *out_url,
                         const char **out_why);

/* A POST with a form. Both hold what must not stay in memory. */
struct sts_request {
    struct buf url;
    struct buf form;
};

/* `date` is "2026-01-02T03:04:05Z"; `nonce` is new each time. Fills an empty request. */
void sts_assume_role(const char *endpoint, const struct sts_role *role,
                     const struct credentials *credentials, const char *date, const char *nonce,
                     struct sts_request *out_request);
void sts_assume_role_with_oidc(const char *endpoint, const struct sts_role *role,
                               const char *oidc_provider_arn, const struct secret *oidc_token,
                               const char *date, struct sts_request *out_request);
/* Wipes. Takes NULL. */
void sts_request_fini(struct sts_request *request);

#endif
