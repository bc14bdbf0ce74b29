/* The older RPC signature: the whole query, encoded once more, under HMAC-SHA1. */
#include "aliyun/sign.h"

#include "base/digest.h"
#include "base/secret.h"

void sign_v1_string_to_sign(const char *method, struct slice canonical_query, struct buf *out)
{
    buf_append_text(out, method);
    buf_append_text(out, "&%2F&");
    sign_percent_encode(canonical_query, out);
}

void sign_v1_signature(struct slice secret, struct slice string_to_sign, struct buf *out)
{
    struct buf key = {0};
    uint8_t code[DIGEST_SHA1_BYTES];

    /* Reserve all of it now: growing would leave copies of the secret in freed memory. */
    buf_reserve(&key, secret.length + 1);
    buf_append(&key, secret);
    buf_append_char(&key, '&');
    digest_hmac_sha1(buf_slice(&key), string_to_sign, code);
    secret_wipe(key.data, key.length);
    buf_fini(&key);
    digest_base64(slice_of(code, sizeof code), out);
}
