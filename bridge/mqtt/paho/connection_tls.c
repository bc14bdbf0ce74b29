/*
 * What is said first is kept: a certificate that was found wrong here is also the reason for what
 * OpenSSL and the broker say about it afterwards.
 */
#include "connection_tls.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#define NAMES_MAX 5 /* of a certificate, in a message */

/* Of the process's only connection. */
static struct {
    struct buf host; /* NUL-terminated */
    struct buf text;
    bool is_tls;
    bool has_verify;
    bool has_context;
    bool is_in_use;
} guard;

void tls_guard_begin(struct slice host, bool is_tls, bool has_verify)
{
    buf_clear(&guard.host);
    buf_clear(&guard.text);
    buf_append(&guard.host, host);
    guard.is_tls = is_tls;
    guard.has_verify = has_verify;
    guard.has_context = false;
    guard.is_in_use = true;
}

const char *tls_guard_text(void)
{
    return guard.text.length == 0 ? NULL : guard.text.data;
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

static void append_ip(const ASN1_OCTET_STRING *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
    if (family == AF_INET || ASN1_STRING_length(address) == 16) {
        inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text);
    }
    buf_append_text(&guard.text, text);
}

/* The names come from whoever answered: what is not printable stays out. */
static void append_name(const ASN1_STRING *name)
{
    const unsigned char *bytes = ASN1_STRING_get0_data(name);
    int length = ASN1_STRING_length(name);
    for (int i = 0; i < length && i < 100; i++) {
        bool is_plain = bytes[i] > ' ' && bytes[i] < 0x7f;
        buf_append(&guard.text, is_plain ? slice_of((const char *)bytes + i, 1) : slice_text("?"));
    }
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
            append_ip(name->d.iPAddress);
        }
    }
    if (shown == 0) {
        append_common_name(X509_get_subject_name(certificate));
    }
    GENERAL_NAMES_free(names);
}

static void describe(X509_STORE_CTX *store)
{
    int error = X509_STORE_CTX_get_error(store);
    X509 *current = X509_STORE_CTX_get_current_cert(store);
    X509 *certificate = current == NULL ? X509_STORE_CTX_get0_cert(store) : current;
    bool is_broker = X509_STORE_CTX_get_error_depth(store) == 0;
    const char *whose = is_broker ? "the broker's certificate" : "an authority's certificate";
    buf_printf(&guard.text, "TLS: %s ", whose);
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        buf_append_text(&guard.text, "expired on ");
        append_time(X509_get0_notAfter(certificate));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        buf_append_text(&guard.text, "is not yet valid; it begins on ");
        append_time(X509_get0_notBefore(certificate));
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        buf_printf(&guard.text, "is not for %s but for ", guard.host.data);
        append_names(certificate);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        buf_append_text(&guard.text, "comes from an authority that is not trusted: ");
        append_common_name(X509_get_issuer_name(certificate));
        break;
    default:
        buf_printf(&guard.text, "is refused: %s", X509_verify_cert_error_string(error));
        break;
    }
}

/* ---- The broker's word about ours ---- */

static const char *alert_text(int alert)
{
    switch (alert) {
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "the broker asks for a client certificate (broker.tls.cert_file)";
    case SSL_AD_UNKNOWN_CA:
        return "the broker does not trust the authority of the client certificate";
    case SSL_AD_CERTIFICATE_EXPIRED:
        return "the broker says that the client certificate has expired";
    case SSL_AD_CERTIFICATE_REVOKED:
        return "the broker says that the client certificate was revoked";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_ACCESS_DENIED:
        return "the broker refuses the client certificate";
    case SSL_AD_PROTOCOL_VERSION:
        return "the broker knows no TLS 1.2 or newer";
    case SSL_AD_HANDSHAKE_FAILURE: /* TLS 1.2 has no other word for it */
        return "the broker ended the handshake: it asks for a client certificate "
               "(broker.tls.cert_file), or knows no common cipher";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return "the broker knows none of the names in broker.tls.alpn";
    default:
        return NULL;
    }
}

static void on_info(const SSL *ssl, int where, int value)
{
    bool is_fatal = where == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL;
    (void)ssl;
    if (is_fatal && guard.text.length == 0) {
        int alert = value & 0xff;
        const char *text = alert_text(alert);
        buf_printf(&guard.text, "TLS: %s%s",
                   text == NULL ? "the broker ended the handshake: " : text,
                   text == NULL ? SSL_alert_desc_string_long(value) : "");
    }
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
    SSL_CTX *context = SSL_CTX_new_ex(NULL, NULL, method); /* what libssl's own does */
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

static bool says(struct slice text, const char *part)
{
    return memmem(text.data, text.length, part, strlen(part)) != NULL;
}

void tls_guard_error(struct slice line)
{
    struct slice reason = reason_of(line);
    if (guard.text.length > 0) {
        return;
    }
    buf_append_text(&guard.text, "TLS: ");
    if (says(reason, "unsupported protocol") || says(reason, "alert protocol version")) {
        buf_append_text(&guard.text, alert_text(SSL_AD_PROTOCOL_VERSION));
        return;
    }
    if (says(reason, "alert handshake failure")) {
        buf_append_text(&guard.text, alert_text(SSL_AD_HANDSHAKE_FAILURE));
        return;
    }
    buf_append(&guard.text, reason);
    if (says(reason, "wrong version number")) {
        buf_append_text(&guard.text, " (what answers there does not speak TLS)");
    }
}
