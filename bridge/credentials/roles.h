/*
 * roles - sources that assume a RAM role with STS.
 *
 * The source owns the role and the endpoint that it is created with. If the role breaks a rule
 * (sts_role_check), every get fails with the reason.
 *
 * Thread: the loop's.
 */
#ifndef CREDENTIALS_ROLES_H
#define CREDENTIALS_ROLES_H

#include "sources.h"
#include "sts.h"

/* AssumeRole, signed with the credentials of `signer`, which the source owns. */
struct credential_source *credentials_ram_role_arn_new(const struct credential_context *context,
                                                       struct credential_source *signer,
                                                       struct sts_role *role, char *endpoint);
/* By credentials.role_*; the signer is credentials.role_source. */
struct credential_source *credentials_ram_role_arn_open(const struct credential_context *context);

/* AssumeRoleWithOIDC with the token in a file, which is read for each get. */
struct credential_source *credentials_oidc_role_arn_new(const struct credential_context *context,
                                                        struct sts_role *role,
                                                        const char *provider_arn,
                                                        const char *token_file, char *endpoint);
/* From the settings and ALIBABA_CLOUD_ROLE_ARN, ..._OIDC_PROVIDER_ARN and ..._OIDC_TOKEN_FILE. If
 * one of the three is missing, a get gives STATUS_NOT_FOUND. */
struct credential_source *credentials_oidc_role_arn_open(const struct credential_context *context);

/* The role of the settings and the environment; `arn` is NULL if neither names one. */
void credentials_role_of_settings(const struct credential_context *context, bool with_external_id,
                                  struct sts_role *out_role);

#endif
