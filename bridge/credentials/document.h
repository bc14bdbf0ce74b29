/*
 * document - the JSON that credential services answer with, read strictly.
 *
 * Thread: any; pure.
 */
#ifndef CREDENTIALS_DOCUMENT_H
#define CREDENTIALS_DOCUMENT_H

#include "base/json.h"
#include "credentials/credentials.h"

/* What the members are called. */
struct credential_form {
    const char *within; /* the member that holds the object, NULL where it is the document */
    const char *id;
    const char *secret;
    const char *token;      /* NULL where there is none */
    const char *expiration; /* NULL where there is none */
    bool needs_token;
    bool needs_expiration; /* else it may be absent: never expires */
};

/* {AccessKeyId, AccessKeySecret, SecurityToken, Expiration}: metadata service, credentials URI. */
extern const struct credential_form credential_form_plain;
/* The same within "Credentials": STS. */
extern const struct credential_form credential_form_sts;
/* The same within "CloudCredential": CloudSSO. */
extern const struct credential_form credential_form_cloud_sso;

/*
 * Reads a document, in which other members may stand; of its own ones none may come twice. An
 * expiration is an RFC 3339 time ("2026-01-02T03:04:05Z", also with a fraction). STATUS_INVALID
 * appends to *out_why what is wrong, naming the member and never its value; *out is untouched then.
 * Else `provider`, `serial` and `refresh_at_ms` of *out are empty.
 */
enum status credentials_read_document(struct slice text, const struct credential_form *form,
                                      struct credentials *out, struct buf *out_why);
/* The same for a parsed object. */
enum status credentials_read_object(const struct json *object, const struct credential_form *form,
                                    struct credentials *out, struct buf *out_why);

#endif
