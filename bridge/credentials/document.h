/*
 * document - the JSON documents of credential services, read strictly.
 *
 * Thread: any; pure.
 */
#ifndef CREDENTIALS_DOCUMENT_H
#define CREDENTIALS_DOCUMENT_H

#include "base/json.h"
#include "credentials/credentials.h"

/* The members' names. */
struct credential_form {
    const char *within; /* the member that contains the others; NULL: the document does */
    const char *id;
    const char *secret;
    const char *token;      /* NULL: none */
    const char *expiration; /* NULL: none */
    bool needs_token;
    bool needs_expiration; /* false: without it the credentials never expire */
};

/* {AccessKeyId, AccessKeySecret, SecurityToken, Expiration}: metadata service, credentials URI. */
extern const struct credential_form credential_form_plain;
/* The same within "Credentials": STS. */
extern const struct credential_form credential_form_sts;
/* The same within "CloudCredential": CloudSSO. */
extern const struct credential_form credential_form_cloud_sso;

/*
 * Reads a document. Other members are ignored; a member of the form must not appear twice. The
 * expiration is an RFC 3339 time ("2026-01-02T03:04:05Z", also with a fraction). STATUS_INVALID:
 * the reason, with the member's name and never its value, is appended to *out_why; *out is
 * unchanged. STATUS_OK: `provider`, `serial` and `refresh_at_ms` of *out are empty.
 */
enum status credentials_read_document(struct slice text, const struct credential_form *form,
                                      struct credentials *out, struct buf *out_why);
/* The same, for a parsed object. */
enum status credentials_read_object(const struct json *object, const struct credential_form *form,
                                    struct credentials *out, struct buf *out_why);

#endif
