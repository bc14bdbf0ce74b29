/* Credentials, and the operations of a source. */
#include "credentials/credentials.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MASK_HEAD_BYTES 4
#define MASK_TAIL_BYTES 4
/* The shortest key of which parts are shown. */
#define MASK_BYTES_MIN 16

void credentials_fini(struct credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    secret_fini(&credentials->access_key_id);
    secret_fini(&credentials->access_key_secret);
    secret_fini(&credentials->security_token);
    *credentials = (struct credentials){0};
}

void credentials_copy(struct credentials *out, const struct credentials *from)
{
    struct credentials copy = *from;
    copy.access_key_id = (struct secret){0};
    copy.access_key_secret = (struct secret){0};
    copy.security_token = (struct secret){0};
    secret_copy(&copy.access_key_id, &from->access_key_id);
    secret_copy(&copy.access_key_secret, &from->access_key_secret);
    secret_copy(&copy.security_token, &from->security_token);
    credentials_fini(out);
    *out = copy;
}

void credentials_set_provider(struct credentials *credentials, const char *format, ...)
{
    char text[CREDENTIALS_PROVIDER_BYTES];
    va_list arguments;
    va_start(arguments, format);
    /* The old value may be one of the arguments: format into `text` first. */
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(credentials->provider, text, sizeof text);
}

bool credentials_is_key(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return true;
}

void credentials_mask_id(const struct credentials *credentials, struct buf *out)
{
    struct slice id = secret_slice(&credentials->access_key_id);
    bool is_long = id.length >= MASK_BYTES_MIN;
    if (is_long) {
        buf_append(out, slice_of(id.data, MASK_HEAD_BYTES));
    }
    buf_append_text(out, "****");
    if (is_long) {
        buf_append(out, slice_of(id.data + id.length - MASK_TAIL_BYTES, MASK_TAIL_BYTES));
    }
}

/* --- calls --- */

const char *credentials_name(const struct credential_source *source)
{
    return source->ops->name;
}

void credentials_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    source->ops->get(source, got, arg);
}

bool credentials_refused(struct credential_source *source, uint64_t serial)
{
    return source->ops->refused == NULL || source->ops->refused(source, serial);
}

void credentials_files(struct credential_source *source, credentials_file_fn *report, void *arg)
{
    if (source->ops->files != NULL) {
        source->ops->files(source, report, arg);
    }
}

void credentials_source_free(struct credential_source *source)
{
    if (source != NULL) {
        source->ops->free(source);
    }
}
