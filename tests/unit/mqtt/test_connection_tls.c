/*
 * What the guard adds to the contexts that Paho makes. Both ends of each handshake are in memory,
 * so a broker may have any name.
 */
#include "base/mem.h"
#include "mqtt/paho/connection_options.h"
#include "mqtt/paho/connection_tls.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static EVP_PKEY *strong_key;

static int make_key(void **state)
{
    (void)state;
    strong_key = EVP_EC_gen("P-256");
    return 0;
}

static int forget_key(void **state)
{
    (void)state;
    EVP_PKEY_free(strong_key);
    return 0;
}

/* Self-signed, with this list of names. */
static X509 *make_certificate(EVP_PKEY *key, const char *names)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_set_version(certificate, 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"broker", -1, -1,
                               0);
    X509_set_issuer_name(certificate, subject);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

static SSL_CTX *make_broker(EVP_PKEY *key, X509 *certificate)
{
    SSL_CTX *context = SSL_CTX_new_ex(NULL, NULL, TLS_server_method());
    SSL_CTX_set_security_level(context, 0); /* it takes any key */
    assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    return context;
}

/* As Paho makes one. */
static SSL_CTX *make_client(const char *host, X509 *authority)
{
    tls_guard_begin(slice_text(host), true, true);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_false(tls_guard_is_missing());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority);
    return context;
}

static bool shakes_hands(SSL_CTX *client_context, SSL_CTX *broker_context)
{
    SSL *client = SSL_new(client_context);
    SSL *broker = SSL_new(broker_context);
    BIO *ends[2];
    assert_int_equal(BIO_new_bio_pair(&ends[0], 0, &ends[1], 0), 1);
    SSL_set_bio(client, ends[0], ends[0]);
    SSL_set_bio(broker, ends[1], ends[1]);
    int client_result = 0;
    int broker_result = 0;
    for (int i = 0; i < 10 && (client_result != 1 || broker_result != 1); i++) {
        client_result = SSL_connect(client);
        broker_result = SSL_accept(broker);
    }
    SSL_free(client);
    SSL_free(broker);
    return client_result == 1 && broker_result == 1;
}

static void test_a_certificate_must_have_the_name_of_the_broker(void **state)
{
    static const struct {
        const char *host;
        const char *names;
        bool fits;
    } rows[] = {
        {"mqtt.example.com", "DNS:mqtt.example.com", true},
        {"mqtt.example.com", "DNS:other.example.com,DNS:mqtt.example.com", true},
        {"mqtt.example.com", "DNS:*.example.com", true},
        {"mqtt.example.com", "DNS:other.example.com", false},
        {"mqtt.example.com", "DNS:example.com", false},
        {"mqtt.example.com", "DNS:m*.example.com", false}, /* part of a label */
        {"mqtt.example.com", "DNS:*tt.example.com", false},
        {"a.mqtt.example.com", "DNS:*.example.com", false},
        {"mqtt.example.com", "DNS:*.com", false},
        {"192.0.2.1", "IP:192.0.2.1", true},
        {"192.0.2.1", "IP:192.0.2.2", false},
        {"192.0.2.1", "DNS:192.0.2.1", false},
        {"2001:db8::1", "IP:2001:db8::1", true},
        {"2001:db8::1", "IP:2001:db8::2", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        X509 *certificate = make_certificate(strong_key, rows[i].names);
        SSL_CTX *client = make_client(rows[i].host, certificate);
        SSL_CTX *broker = make_broker(strong_key, certificate);
        if (shakes_hands(client, broker) != rows[i].fits) {
            fail_msg("%s and %s", rows[i].host, rows[i].names);
        }
        assert_int_equal(tls_guard_text() == NULL, rows[i].fits);
        assert_int_equal(tls_guard_has_handshake(), rows[i].fits);
        SSL_CTX_free(client);
        SSL_CTX_free(broker);
        X509_free(certificate);
    }
}

/* OpenSSL's own configuration, which often asks for this as well, is not read: see main(). */
static void test_tls_1_2_is_required_whatever_the_system_allows(void **state)
{
    (void)state;
    X509 *certificate = make_certificate(strong_key, "DNS:mqtt.example.com");
    SSL_CTX *system = SSL_CTX_new_ex(NULL, NULL, TLS_client_method());
    assert_true(SSL_CTX_get_min_proto_version(system) < TLS1_2_VERSION);
    SSL_CTX *client = make_client("mqtt.example.com", certificate);
    assert_int_equal(SSL_CTX_get_min_proto_version(client), TLS1_2_VERSION);
    SSL_CTX_free(system);
    SSL_CTX_free(client);
    X509_free(certificate);
}

static void test_a_broker_with_a_weak_key_is_refused(void **state)
{
    (void)state;
    struct connect_params params = {.protocol = 4, .has_tls_verify = true};
    struct connect_options options;
    assert_int_equal(connect_options_init(&options, &params), STATUS_OK);
    for (int is_weak = 0; is_weak < 2; is_weak++) {
        EVP_PKEY *key = is_weak ? EVP_RSA_gen(1024U) : EVP_RSA_gen(2048U);
        X509 *certificate = make_certificate(key, "DNS:mqtt.example.com");
        SSL_CTX *client = make_client("mqtt.example.com", certificate);
        SSL_CTX *broker = make_broker(key, certificate);
        assert_int_equal(SSL_CTX_set_cipher_list(client, options.tls.enabledCipherSuites), 1);
        assert_int_equal(shakes_hands(client, broker), !is_weak);
        SSL_CTX_free(client);
        SSL_CTX_free(broker);
        X509_free(certificate);
        EVP_PKEY_free(key);
    }
    connect_options_fini(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_certificate_must_have_the_name_of_the_broker),
        cmocka_unit_test(test_tls_1_2_is_required_whatever_the_system_allows),
        cmocka_unit_test(test_a_broker_with_a_weak_key_is_refused),
    };
    setenv("OPENSSL_CONF", "/dev/null", 1);
    return cmocka_run_group_tests(tests, make_key, forget_key);
}
