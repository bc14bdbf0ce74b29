/*
 * Algorithms are fetched once: otherwise OpenSSL 3 looks them up by name in every call, which takes
 * longer than hashing a command. An HMAC is computed on a copy of a prepared context, because a new
 * context would look up its digest by name.
 */
#include "base/digest.h"

#include <assert.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define NONCES_DRAWN 32

static pthread_once_t is_prepared = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;
static EVP_MAC_CTX *hmac_sha256;
static EVP_MAC_CTX *hmac_sha1;

static _Noreturn void give_up(void)
{
    ERR_print_errors_fp(stderr);
    fputs("ecs-mqtt-bridge: OpenSSL failed\n", stderr);
    abort();
}

static EVP_MAC_CTX *prepare_hmac(EVP_MAC *hmac, char *digest)
{
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    /* Only a context with a key can be copied; the key is replaced in the copy. */
    static const unsigned char no_key[1];
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    if (context == NULL || EVP_MAC_init(context, no_key, sizeof no_key, parameters) != 1) {
        give_up();
    }
    return context;
}

static void prepare(void)
{
    static char sha256_name[] = "SHA256";
    static char sha1_name[] = "SHA1";
    sha256 = EVP_MD_fetch(NULL, sha256_name, NULL);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (sha256 == NULL || hmac == NULL) {
        give_up();
    }
    hmac_sha256 = prepare_hmac(hmac, sha256_name);
    hmac_sha1 = prepare_hmac(hmac, sha1_name);
    EVP_MAC_free(hmac);
}

static void prepare_once(void)
{
    int result = pthread_once(&is_prepared, prepare);
    assert(result == 0);
}

static const unsigned char *bytes_of(struct slice slice)
{
    /* An absent slice has no address, and for OpenSSL a key that is NULL means "keep the key". */
    return (const unsigned char *)(slice.data == NULL ? "" : slice.data);
}

void digest_sha256(struct slice data, uint8_t out[DIGEST_SHA256_BYTES])
{
    prepare_once();
    unsigned length = 0;
    if (EVP_Digest(bytes_of(data), data.length, out, &length, sha256, NULL) != 1) {
        give_up();
    }
    assert(length == DIGEST_SHA256_BYTES);
}

void digest_sha256_hex(struct slice data, char out[DIGEST_SHA256_HEX_BYTES])
{
    uint8_t hash[DIGEST_SHA256_BYTES];
    digest_sha256(data, hash);
    digest_hex(hash, sizeof hash, out);
}

static void compute_hmac(const EVP_MAC_CTX *prepared, struct slice key, struct slice data,
                         uint8_t *out, size_t size_bytes)
{
    size_t length = 0;
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(prepared);
    if (context == NULL || EVP_MAC_init(context, bytes_of(key), key.length, NULL) != 1 ||
        EVP_MAC_update(context, bytes_of(data), data.length) != 1 ||
        EVP_MAC_final(context, out, &length, size_bytes) != 1) {
        give_up();
    }
    assert(length == size_bytes);
    EVP_MAC_CTX_free(context);
}

void digest_hmac_sha256(struct slice key, struct slice data, uint8_t out[DIGEST_SHA256_BYTES])
{
    prepare_once();
    compute_hmac(hmac_sha256, key, data, out, DIGEST_SHA256_BYTES);
}

void digest_hmac_sha1(struct slice key, struct slice data, uint8_t out[DIGEST_SHA1_BYTES])
{
    prepare_once();
    compute_hmac(hmac_sha1, key, data, out, DIGEST_SHA1_BYTES);
}

void digest_hex(const uint8_t *bytes, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 0x0f];
    }
    out[2 * length] = '\0';
}

void digest_base64(struct slice bytes, struct buf *out)
{
    assert(bytes.length <= INT_MAX / 2);
    char *end = buf_reserve(out, (bytes.length + 2) / 3 * 4);
    int length = EVP_EncodeBlock((unsigned char *)end, bytes_of(bytes), (int)bytes.length);
    out->length += (size_t)length;
}

/* 0 to 63, or -1. */
static int base64_value(char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c == '\0' ? NULL : strchr(alphabet, c);
    return found == NULL ? -1 : (int)(found - alphabet);
}

enum status digest_base64_decode(struct slice text, struct buf *out)
{
    size_t padding = 0;
    uint32_t bits = 0;
    while (padding < 2 && padding < text.length && text.data[text.length - 1 - padding] == '=') {
        padding++;
    }
    bool is_valid = text.length % 4 == 0;
    size_t length = text.length / 4 * 3;
    char *end = buf_reserve(out, length);
    for (size_t i = 0; is_valid && i < text.length; i++) {
        bool is_padding = i >= text.length - padding;
        int value = is_padding ? 0 : base64_value(text.data[i]);
        is_valid = value >= 0;
        bits = bits << 6 | (uint32_t)(value & 0x3f);
        if (i % 4 == 3) {
            end[i / 4 * 3] = (char)(bits >> 16 & 0xff);
            end[i / 4 * 3 + 1] = (char)(bits >> 8 & 0xff);
            end[i / 4 * 3 + 2] = (char)(bits & 0xff);
        }
    }
    for (size_t i = 0; is_valid && i < padding; i++) {
        is_valid = end[length - 1 - i] == 0;
    }
    out->length += is_valid ? length - padding : 0;
    buf_reserve(out, 0)[0] = '\0';
    return is_valid ? STATUS_OK : STATUS_INVALID;
}

void digest_random(void *out, size_t length)
{
    assert(length <= INT_MAX);
    if (RAND_bytes(out, (int)length) != 1) {
        give_up();
    }
}

int64_t digest_random_id(void)
{
    int64_t id;
    digest_random(&id, sizeof id);
    return (id & INT64_MAX) | 1;
}

void digest_nonce(char out[DIGEST_NONCE_BYTES])
{
    /* Drawn in advance: a nonce is no secret, and a call of OpenSSL costs as much for all of them.
     */
    static _Thread_local uint8_t drawn[NONCES_DRAWN][DIGEST_NONCE_BYTES / 2];
    static _Thread_local size_t left;
    if (left == 0) {
        digest_random(drawn, sizeof drawn);
        left = NONCES_DRAWN;
    }
    digest_hex(drawn[--left], sizeof drawn[0], out);
}

const char *digest_library_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
