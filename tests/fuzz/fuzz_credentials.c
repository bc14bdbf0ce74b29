/*
 * Reads any bytes as a document of credentials, in each form. Accepted keys must be valid in a
 * header; an error must leave the output unchanged and have a text without parts of the document.
 */
#include "credentials/document.h"

#include <assert.h>
#include <stdint.h>

/* The form of external programs: only the key is required. */
static const struct credential_form form_external = {
    .id = "access_key_id",
    .secret = "access_key_secret",
    .token = "sts_token",
    .expiration = "expiration",
};

static void check_taken(const struct credentials *credentials, const struct credential_form *form)
{
    assert(secret_is_set(&credentials->access_key_id) && credentials->access_key_id.length > 0);
    assert(secret_is_set(&credentials->access_key_secret));
    assert(!form->needs_token || credentials->security_token.length > 0);
    assert(!form->needs_expiration || credentials->expires_at_ms != INT64_MAX);
    assert(credentials_is_key(secret_slice(&credentials->access_key_id)));
    assert(credentials_is_key(secret_slice(&credentials->access_key_secret)));
    assert(credentials_is_key(secret_slice(&credentials->security_token)));
    assert(credentials->provider[0] == '\0' && credentials->serial == 0);
}

static void check_told(const struct buf *why)
{
    assert(why->length > 0 && why->length < 200);
    for (size_t i = 0; i < why->length; i++) {
        assert(why->data[i] >= ' ' && why->data[i] <= '~');
    }
}

static void check_form(struct slice text, const struct credential_form *form)
{
    struct credentials credentials = {0};
    struct buf why = {0};
    if (credentials_read_document(text, form, &credentials, &why) == STATUS_OK) {
        assert(why.length == 0);
        check_taken(&credentials, form);
        credentials_fini(&credentials);
    } else {
        check_told(&why);
        assert(!secret_is_set(&credentials.access_key_id));
        assert(!secret_is_set(&credentials.access_key_secret));
        assert(!secret_is_set(&credentials.security_token));
    }
    buf_fini(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    check_form(text, &credential_form_plain);
    check_form(text, &credential_form_sts);
    check_form(text, &credential_form_cloud_sso);
    check_form(text, &form_external);
    return 0;
}
