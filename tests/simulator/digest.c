/* OpenSSL's digests; algorithms are fetched once, since a fetch costs more than a hash. */
#include "digest.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

static EVP_MD *sha256;
static EVP_MD_CTX *sha256_context;
static EVP_MAC *hmac;
static EVP_MAC_CTX *hmac_sha256;
static EVP_MAC_CTX *hmac_sha1;

static EVP_MAC_CTX *new_hmac(const char *digest)
{
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    char name[16];
    strncpy(name, digest, sizeof name - 1);
    name[sizeof name - 1] = '\0';
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    assert(context && EVP_MAC_CTX_set_params(context, params) == 1);
    return context;
}

void digest_init(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    sha256_context = EVP_MD_CTX_new();
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    assert(sha256 && sha256_context && hmac);
    hmac_sha256 = new_hmac("SHA256");
    hmac_sha1 = new_hmac("SHA1");
}

void digest_fini(void)
{
    EVP_MAC_CTX_free(hmac_sha256);
    EVP_MAC_CTX_free(hmac_sha1);
    EVP_MAC_free(hmac);
    EVP_MD_CTX_free(sha256_context);
    EVP_MD_free(sha256);
}

void digest_sha256(const void *data, size_t length, uint8_t out[SHA256_BYTES])
{
    int is_ok = EVP_DigestInit_ex2(sha256_context, sha256, NULL) == 1 &&
                EVP_DigestUpdate(sha256_context, data, length) == 1 &&
                EVP_DigestFinal_ex(sha256_context, out, NULL) == 1;
    assert(is_ok);
}

static void run_hmac(EVP_MAC_CTX *context, const char *key, const void *data, size_t length,
                     uint8_t *out, size_t out_bytes)
{
    size_t written = 0;
    int is_ok = EVP_MAC_init(context, (const unsigned char *)key, strlen(key), NULL) == 1 &&
                EVP_MAC_update(context, data, length) == 1 &&
                EVP_MAC_final(context, out, &written, out_bytes) == 1;
    assert(is_ok && written == out_bytes);
}

void digest_hmac_sha256(const char *key, const void *data, size_t length, uint8_t out[SHA256_BYTES])
{
    run_hmac(hmac_sha256, key, data, length, out, SHA256_BYTES);
}

void digest_hmac_sha1(const char *key, const void *data, size_t length, uint8_t out[SHA1_BYTES])
{
    run_hmac(hmac_sha1, key, data, length, out, SHA1_BYTES);
}

void digest_base64(const uint8_t *data, size_t length, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, data, (int)length);
}

bool digest_is_equal(const char *left, const char *right)
{
    size_t length = strlen(left);
    return length == strlen(right) && CRYPTO_memcmp(left, right, length) == 0;
}
