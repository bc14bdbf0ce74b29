/*
 * The first reason is kept: a certificate that was refused here is also the cause of the errors
 * that OpenSSL and the broker report afterwards.
 */
#include "connection_tls.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX       5 /* of a certificate, in a message */
#define NAME_BYTES      100
#define COUNT_OF(table) (sizeof(table) / sizeof(table)[0])

/* Of the only connection of the process. */
static struct {
    struct buf host; /* NUL-terminated */
    struct buf text;
    bool is_tls;
    bool has_verify;
    bool has_context;
    bool has_handshake;
    bool is_in_use;
} guard;

/* Paho initialises OpenSSL also for a connection without TLS. What is left out here takes 100 KiB:
 * texts of errors, names of algorithms, the configuration file. */
static void begin_without_tls(void)
{
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_SSL_STRINGS | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                         OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS |
                         OPENSSL_INIT_NO_LOAD_CONFIG,
                     NULL);
}

void tls_guard_begin(struct slice host, bool is_tls, bool has_verify)
{
    if (is_tls) {
        OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL);
    } else {
        begin_without_tls();
    }
    buf_clear(&guard.host);
    buf_clear(&guard.text);
    buf_append(&guard.host, host);
    guard.is_tls = is_tls;
    guard.has_verify = has_verify;
    guard.has_context = false;
    guard.has_handshake = false;
    guard.is_in_use = true;
}

void tls_guard_append_authorities(struct buf *out)
{
    const char *file = secure_getenv(X509_get_default_cert_file_env());
    const char *folders = secure_getenv(X509_get_default_cert_dir_env());
    buf_printf(out, "%s:%s", file != NULL ? file : X509_get_default_cert_file(),
               folders != NULL ? folders : X509_get_default_cert_dir());
}

const char *tls_guard_text(void)
{
    return guard.text.length == 0 ? NULL : guard.text.data;
}

bool tls_guard_has_handshake(void)
{
    return guard.has_handshake;
}

bool tls_guard_is_missing(void)
{
    return guard.is_tls && !guard.has_context;
}

/* ---- The broker's certificate ---- */

static void append_time(const ASN1_TIME *time)
{
    struct tm parts;
    char text[32] = "a time that cannot be read";
    if (ASN1_TIME_to_tm(time, &parts) == 1) {
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    buf_append_text(&guard.text, text);
}

/* As it is, in UTF-8: the log escapes what would disguise a line. */
static void append_name(const ASN1_STRING *name)
{
    unsigned char *bytes = NULL;
    int length = ASN1_STRING_to_UTF8(&bytes, name);
    if (length < 0) {
        buf_append_text(&guard.text, "a name that cannot be read");
        return;
    }
    /* A NUL would end the text. */
    struct slice text = slice_of((const char *)bytes, strnlen((const char *)bytes, (size_t)length));
    buf_append(&guard.text, utf8_prefix(text, NAME_BYTES));
    OPENSSL_free(bytes);
}

static void append_common_name(X509_NAME *subject)
{
    int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (index < 0) {
        buf_append_text(&guard.text, "no name");
    } else {
        append_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
    }
}

static void append_names(X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = names == NULL ? 0 : sk_GENERAL_NAME_num(names);
    int shown = 0;
    for (int i = 0; i < count && shown < NAMES_MAX; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS && name->type != GEN_IPADD) {
            continue;
        }
        buf_append_text(&guard.text, shown++ == 0 ? "" : ", ");
        if (name->type == GEN_DNS) {
            append_name(name->d.dNSName);
        } else {
            char text[INET6_ADDRSTRLEN] = "";
            int bytes = ASN1_STRING_length(name->d.iPAddress);
            if (bytes == 4 || bytes == 16) {
                inet_ntop(bytes == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress),
                          text, sizeof text);
            }
            buf_append_text(&guard.text, text);
        }
    }
    if (shown == 0) {
        append_common_name(X509_get_subject_name(certificate));
    }
    GENERAL_NAMES_free(names);
}

static void append_end(X509 *certificate)
{
    append_time(X509_get0_notAfter(certificate));
}

static void append_begin(X509 *certificate)
{
    append_time(X509_get0_notBefore(certificate));
}

static void append_hosts(X509 *certificate)
{
    buf_printf(&guard.text, "%s but for ", guard.host.data);
    append_names(certificate);
}

static void append_issuer(X509 *certificate)
{
    append_common_name(X509_get_issuer_name(certificate));
}

#define UNTRUSTED "comes from an authority that is not trusted: "

static const struct {
    int error;
    const char *text;
    void (*append)(X509 *certificate);
} certificate_errors[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, "expired on ", append_end},
    {X509_V_ERR_CERT_NOT_YET_VALID, "is not yet valid; it begins on ", append_begin},
    {X509_V_ERR_HOSTNAME_MISMATCH, "is not for ", append_hosts},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, "is not for ", append_hosts},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, UNTRUSTED, append_issuer},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, UNTRUSTED, append_issuer},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, UNTRUSTED, append_issuer},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNTRUSTED, append_issuer},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, UNTRUSTED, append_issuer},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, UNTRUSTED, append_issuer},
};

static void describe(X509_STORE_CTX *store)
{
    int error = X509_STORE_CTX_get_error(store);
    X509 *current = X509_STORE_CTX_get_current_cert(store);
    X509 *certificate = current == NULL ? X509_STORE_CTX_get0_cert(store) : current;
    bool is_broker = X509_STORE_CTX_get_error_depth(store) == 0;
    buf_printf(&guard.text, "TLS: %s ",
               is_broker ? "the broker's certificate" : "an authority's certificate");
    for (size_t i = 0; i < COUNT_OF(certificate_errors); i++) {
        if (certificate_errors[i].error == error) {
            buf_append_text(&guard.text, certificate_errors[i].text);
            certificate_errors[i].append(certificate);
            return;
        }
    }
    buf_printf(&guard.text, "is refused: %s", X509_verify_cert_error_string(error));
}

/* ---- Errors of the handshake ---- */

#define NO_ALERT   (-1)
#define NO_TLS_1_2 "the broker does not support TLS 1.2 or newer"
#define REFUSED    "the broker refuses the client certificate"

/* An error reaches us as an alert, as a line of OpenSSL's error queue, or as both. */
static const struct {
    int alert;
    const char *reason; /* part of the line */
    const char *text;
} handshake_errors[] = {
    {SSL_AD_CERTIFICATE_REQUIRED, NULL,
     "the broker asks for a client certificate (broker.tls.cert_file)"},
    {SSL_AD_UNKNOWN_CA, NULL, "the broker does not trust the authority of the client certificate"},
    {SSL_AD_CERTIFICATE_EXPIRED, NULL,
     "the client certificate has expired, according to the broker"},
    {SSL_AD_CERTIFICATE_REVOKED, NULL,
     "the client certificate was revoked, according to the broker"},
    {SSL_AD_BAD_CERTIFICATE, NULL, REFUSED},
    {SSL_AD_CERTIFICATE_UNKNOWN, NULL, REFUSED},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, NULL, REFUSED},
    {SSL_AD_ACCESS_DENIED, NULL, REFUSED},
    {SSL_AD_PROTOCOL_VERSION, "alert protocol version", NO_TLS_1_2},
    {NO_ALERT, "unsupported protocol", NO_TLS_1_2},
    /* TLS 1.2 has no other alert for a missing certificate. */
    {SSL_AD_HANDSHAKE_FAILURE, "alert handshake failure",
     "the broker ended the handshake: it asks for a client certificate (broker.tls.cert_file), or "
     "has no cipher in common"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, NULL,
     "the broker supports none of the protocols in broker.tls.alpn"},
    {NO_ALERT, "wrong version number", "wrong version number (the server does not speak TLS)"},
};

static void on_info(const SSL *ssl, int where, int value)
{
    int alert = value & 0xff;
    (void)ssl;
    guard.has_handshake |= where == SSL_CB_HANDSHAKE_DONE;
    if (where != SSL_CB_READ_ALERT || value >> 8 != SSL3_AL_FATAL || guard.text.length > 0) {
        return;
    }
    for (size_t i = 0; i < COUNT_OF(handshake_errors); i++) {
        if (handshake_errors[i].alert == alert) {
            buf_printf(&guard.text, "TLS: %s", handshake_errors[i].text);
            return;
        }
    }
    buf_printf(&guard.text, "TLS: the broker ended the handshake: %s",
               SSL_alert_desc_string_long(value));
}

static int check_certificate(X509_STORE_CTX *store, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509_VERIFY_PARAM *wanted = X509_STORE_CTX_get0_param(store);
    (void)arg;
    SSL_set_info_callback(ssl, on_info);
    if (!guard.has_verify) {
        return 1;
    }
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(wanted, guard.host.data) != 1 &&
        X509_VERIFY_PARAM_set1_host(wanted, guard.host.data, 0) != 1) {
        return 0;
    }
    int is_good = X509_verify_cert(store);
    if (is_good != 1 && guard.text.length == 0) {
        describe(store);
    }
    return is_good;
}

/* ---- The context ---- */

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new_ex(NULL, NULL, method); /* as libssl's own function does */
    if (context != NULL && guard.is_in_use) {
        if (SSL_CTX_get_min_proto_version(context) < TLS1_2_VERSION) {
            SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
        }
        SSL_CTX_set_cert_verify_callback(context, check_certificate, NULL);
        guard.has_context = true;
    }
    return context;
}

/* "thread:error:code:library:function:reason:file:line:data" */
static struct slice reason_of(struct slice line)
{
    const char *start = line.data;
    const char *end = line.data + line.length;
    for (int colons = 0; colons < 5; colons++) {
        const char *colon = memchr(start, ':', (size_t)(end - start));
        if (colon == NULL) {
            return line;
        }
        start = colon + 1;
    }
    const char *last = memchr(start, ':', (size_t)(end - start));
    return slice_of(start, (size_t)((last == NULL ? end : last) - start));
}

void tls_guard_error(struct slice line)
{
    struct slice reason = reason_of(line);
    if (guard.text.length > 0) {
        return;
    }
    buf_append_text(&guard.text, "TLS: ");
    for (size_t i = 0; i < COUNT_OF(handshake_errors); i++) {
        const char *part = handshake_errors[i].reason;
        if (part != NULL && memmem(reason.data, reason.length, part, strlen(part)) != NULL) {
            buf_append_text(&guard.text, handshake_errors[i].text);
            return;
        }
    }
    buf_append(&guard.text, reason);
}
