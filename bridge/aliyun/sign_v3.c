/*
 * Encoding, the canonical query and the V3 signature. Every stage appends to a buffer of the
 * caller, so that tests can check each stage.
 */
#include "aliyun/sign.h"

#include "base/digest.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ALGORITHM "ACS3-HMAC-SHA256"

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

void sign_percent_encode(struct slice text, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    char *start = buf_reserve(out, 3 * text.length);
    char *at = start;

    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_unreserved(c)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    out->length += (size_t)(at - start);
    *at = '\0';
}

/* Insertion sort: a dozen pairs at most, mostly in order already. */
static void sort_pairs(struct sign_pair *pairs, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct sign_pair moving = pairs[i];
        size_t to = i;
        while (to > 0 && strcmp(pairs[to - 1].name, moving.name) > 0) {
            pairs[to] = pairs[to - 1];
            to--;
        }
        pairs[to] = moving;
    }
}

void sign_canonical_query(struct sign_pair *pairs, size_t count, struct buf *out)
{
    sort_pairs(pairs, count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(out, '&');
        }
        sign_percent_encode(slice_text(pairs[i].name), out);
        buf_append_char(out, '=');
        sign_percent_encode(pairs[i].value, out);
    }
}

void sign_v3_signed_headers(struct sign_pair *headers, size_t count, struct buf *out)
{
    sort_pairs(headers, count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(out, ';');
        }
        buf_append_text(out, headers[i].name);
    }
}

void sign_v3_canonical_request(const struct sign_v3_request *request, struct buf *out)
{
    sort_pairs(request->headers, request->header_count);
    buf_append_text(out, request->method);
    buf_append_char(out, '\n');
    buf_append_text(out, request->path);
    buf_append_char(out, '\n');
    buf_append(out, request->canonical_query);
    buf_append_char(out, '\n');
    for (size_t i = 0; i < request->header_count; i++) {
        buf_append_text(out, request->headers[i].name);
        buf_append_char(out, ':');
        buf_append(out, slice_trim(request->headers[i].value, " \t"));
        buf_append_char(out, '\n');
    }
    buf_append_char(out, '\n');
    sign_v3_signed_headers(request->headers, request->header_count, out);
    buf_append_char(out, '\n');
    buf_append(out, request->payload_hash);
}

void sign_v3_string_to_sign(struct slice canonical_request, struct buf *out)
{
    char hash[DIGEST_SHA256_HEX_BYTES];

    digest_sha256_hex(canonical_request, hash);
    buf_append_text(out, ALGORITHM "\n");
    buf_append(out, slice_of(hash, sizeof hash - 1));
}

void sign_v3_signature(struct slice secret, struct slice string_to_sign, struct buf *out)
{
    uint8_t code[DIGEST_SHA256_BYTES];
    char hex[2 * DIGEST_SHA256_BYTES + 1];

    digest_hmac_sha256(secret, string_to_sign, code);
    digest_hex(code, sizeof code, hex);
    buf_append(out, slice_of(hex, sizeof hex - 1));
}

void sign_v3_authorization(const struct sign_v3_request *request, struct slice access_key_id,
                           struct slice secret, struct buf *out)
{
    struct buf canonical = {0};
    struct buf string_to_sign = {0};

    buf_reserve(&canonical, 1024);
    sign_v3_canonical_request(request, &canonical);
    buf_reserve(&string_to_sign, 128);
    sign_v3_string_to_sign(buf_slice(&canonical), &string_to_sign);

    buf_append_text(out, ALGORITHM " Credential=");
    buf_append(out, access_key_id);
    buf_append_text(out, ",SignedHeaders=");
    sign_v3_signed_headers(request->headers, request->header_count, out);
    buf_append_text(out, ",Signature=");
    sign_v3_signature(secret, buf_slice(&string_to_sign), out);

    buf_fini(&string_to_sign);
    buf_fini(&canonical);
}
