/* HMAC-SHA1 over the sorted parameters, the older form of the RPC signature. */
#include "digest.h"
#include "signature_kinds.h"

#include <stdio.h>
#include <string.h>

enum { BASE64_BYTES = (SHA1_BYTES + 2) / 3 * 4 + 1 };

static bool check_method(struct call *call)
{
    const char *method = params_get(&call->params, "SignatureMethod");
    const char *version = params_get(&call->params, "SignatureVersion");
    const char *signature = params_get(&call->params, "Signature");
    bool is_ok = method && version && signature && strcmp(method, "HMAC-SHA1") == 0 &&
                 strcmp(version, "1.0") == 0;
    return is_ok || problem_set(&call->problem, "IncompleteSignature", NULL);
}

static bool check_nonce(struct call *call, const char **out_nonce)
{
    *out_nonce = params_get(&call->params, "SignatureNonce");
    if (!*out_nonce || !**out_nonce) {
        return problem_set(&call->problem, "MissingSignatureNonce", NULL);
    }
    return true;
}

static bool check_signature(struct call *call, const struct access_key *key)
{
    struct text canonical = {0};
    struct text to_sign = {0};
    params_canonical(&call->params, "Signature", &canonical);
    text_puts(&to_sign, call->method);
    text_puts(&to_sign, "&%2F&");
    text_add_encoded(&to_sign, text_string(&canonical));
    char secret[sizeof key->secret + 1];
    snprintf(secret, sizeof secret, "%s&", key->secret);
    uint8_t signature[SHA1_BYTES];
    char expected[BASE64_BYTES];
    digest_hmac_sha1(secret, to_sign.data, to_sign.length, signature);
    digest_base64(signature, sizeof signature, expected);
    bool is_ok =
        signature_compare(call, params_get(&call->params, "Signature"), expected, &to_sign);
    text_fini(&canonical);
    text_fini(&to_sign);
    return is_ok;
}

bool signature_check_v1(struct call *call, int64_t now_ms, const char **out_nonce)
{
    const char *id = params_get(&call->params, "AccessKeyId");
    if (!id || !*id) {
        return problem_set(&call->problem, "MissingAccessKeyId", NULL);
    }
    if (!check_method(call)) {
        return false;
    }
    const struct access_key *key =
        signature_check_key(call, id, params_get(&call->params, "SecurityToken"));
    return key && signature_check_date(call, params_get(&call->params, "Timestamp"), now_ms) &&
           check_nonce(call, out_nonce) && check_signature(call, key);
}
