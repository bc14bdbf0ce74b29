#include "x509.h"

#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define NEVER_MS INT64_MAX /* for a time that cannot be parsed */

static BIO *open_text(struct slice pem)
{
    assert(pem.length <= INT_MAX);
    BIO *bio = BIO_new_mem_buf(pem.length == 0 ? "" : pem.data, (int)pem.length);
    if (bio == NULL) {
        abort();
    }
    return bio;
}

static int64_t time_ms(const ASN1_TIME *time)
{
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * 1000 : NEVER_MS;
}

/* The next certificate; NULL at the end, or if it cannot be parsed (*out_is_bad). */
static X509 *read_next(BIO *bio, bool *out_is_bad)
{
    ERR_clear_error();
    X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    unsigned long error = ERR_peek_last_error();
    *out_is_bad = certificate == NULL && (ERR_GET_LIB(error) != ERR_LIB_PEM ||
                                          ERR_GET_REASON(error) != PEM_R_NO_START_LINE);
    ERR_clear_error();
    return certificate;
}

/* Reads all certificates; the term is that of the first, or of the one that expires last. */
static enum status read_all(struct slice pem, bool is_last_wanted, struct x509_term *out_term,
                            struct buf *why)
{
    BIO *bio = open_text(pem);
    struct x509_term term = {0};
    bool is_bad = false;
    X509 *certificate;
    size_t count = 0;
    while ((certificate = read_next(bio, &is_bad)) != NULL) {
        struct x509_term its = {time_ms(X509_get0_notBefore(certificate)),
                                time_ms(X509_get0_notAfter(certificate))};
        if (count == 0 || (is_last_wanted && its.ends_ms > term.ends_ms)) {
            term = its;
        }
        count++;
        X509_free(certificate);
    }
    BIO_free(bio);
    if (is_bad) {
        buf_printf(why, "holds a damaged certificate (number %zu)", count + 1);
    } else if (count == 0) {
        buf_append_text(why, "holds no certificate in PEM form");
    }
    if (is_bad || count == 0) {
        return STATUS_INVALID;
    }
    *out_term = term;
    return STATUS_OK;
}

enum status x509_check_authorities(struct slice pem, struct x509_term *out_term, struct buf *why)
{
    return read_all(pem, true, out_term, why);
}

enum status x509_check_chain(struct slice pem, struct x509_term *out_term, struct buf *why)
{
    return read_all(pem, false, out_term, why);
}

struct password {
    struct slice text;
    bool was_asked;
};

/* Replaces OpenSSL's callback, which prompts at the terminal. */
static int give_password(char *out, int size_bytes, int is_writing, void *arg)
{
    struct password *password = arg;
    (void)is_writing;
    password->was_asked = true;
    if (!slice_is_present(password->text) || password->text.length > (size_t)size_bytes) {
        return -1;
    }
    for (size_t i = 0; i < password->text.length; i++) {
        out[i] = password->text.data[i];
    }
    return (int)password->text.length;
}

static EVP_PKEY *read_key(struct slice pem, struct slice text, struct buf *why)
{
    struct password password = {.text = text};
    BIO *bio = open_text(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, give_password, &password);
    BIO_free(bio);
    ERR_clear_error();
    if (key != NULL) {
        return key;
    }
    if (!password.was_asked) {
        buf_append_text(why, "holds no private key in PEM form");
    } else if (slice_is_present(text)) {
        buf_append_text(why, "does not open with the password in key_password_file");
    } else {
        buf_append_text(why, "is encrypted, and no key_password_file is set");
    }
    return NULL;
}

enum status x509_check_key(struct slice pem, struct slice password, struct slice chain_pem,
                           struct buf *why)
{
    bool is_bad = false;
    EVP_PKEY *key = read_key(pem, password, why);
    if (key == NULL) {
        return STATUS_INVALID;
    }
    BIO *bio = open_text(chain_pem);
    X509 *certificate = read_next(bio, &is_bad);
    bool is_fit = certificate != NULL && X509_check_private_key(certificate, key) == 1;
    if (!is_fit) {
        buf_append_text(why, "is not the key of the certificate in cert_file");
    }
    ERR_clear_error();
    X509_free(certificate);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return is_fit ? STATUS_OK : STATUS_INVALID;
}
