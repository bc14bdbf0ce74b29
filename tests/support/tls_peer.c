#include "support/tls_peer.h"

#include "base/buf.h"
#include "base/mem.h"
#include "support/http_peer.h"

#include <assert.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tls_peer {
    struct peer *peer;
    pthread_mutex_t lock;
    struct tls_peer_options options;
    char *body;
    size_t request_count;
};

/* --- certificates --- */

static char *text_of(BIO *bio)
{
    char *data = NULL;
    long length = BIO_get_mem_data(bio, &data);
    char *text = mem_dup(data, (size_t)length);
    BIO_free(bio);
    return text;
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert(extension != NULL);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_subject_alt_name, "IP:127.0.0.1");
    int length = X509_sign(certificate, key, EVP_sha256());
    assert(length > 0);
    return certificate;
}

void tls_identity_init(struct tls_identity *identity, const char *name)
{
    BIO *key = BIO_new(BIO_s_mem());
    BIO *certificate = BIO_new(BIO_s_mem());
    identity->key = EVP_EC_gen("P-256");
    identity->certificate = make_certificate(identity->key, name);
    PEM_write_bio_PrivateKey(key, identity->key, NULL, NULL, 0, NULL, NULL);
    PEM_write_bio_X509(certificate, identity->certificate);
    identity->key_pem = text_of(key);
    identity->certificate_pem = text_of(certificate);
}

void tls_identity_fini(struct tls_identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    free(identity->key_pem);
    free(identity->certificate_pem);
    *identity = (struct tls_identity){0};
}

char *tls_identity_write_hashed(const struct tls_identity *identity, const char *directory)
{
    char path[256];
    X509_NAME *subject = X509_get_subject_name(identity->certificate);
    snprintf(path, sizeof path, "%s/%08lx.0", directory,
             X509_NAME_hash_ex(subject, NULL, NULL, NULL));
    FILE *file = fopen(path, "we");
    assert(file != NULL);
    fputs(identity->certificate_pem, file);
    fclose(file);
    return mem_strdup(path);
}

/* --- the server --- */

static SSL_CTX *make_context(const struct tls_peer_options *options)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    assert(context != NULL);
    SSL_CTX_use_certificate(context, options->identity->certificate);
    SSL_CTX_use_PrivateKey(context, options->identity->key);
    if (options->version != 0) {
        /* At its default security level OpenSSL 3 supports no TLS below 1.2. */
        SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
        SSL_CTX_set_min_proto_version(context, options->version);
        SSL_CTX_set_max_proto_version(context, options->version);
    }
    if (options->client != NULL) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), options->client->certificate);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return context;
}

static bool read_bytes(SSL *ssl, struct buf *out, size_t length)
{
    while (out->length < length) {
        char c;
        if (SSL_read(ssl, &c, 1) != 1) {
            return false;
        }
        buf_append_char(out, c);
    }
    return true;
}

static bool read_request(SSL *ssl)
{
    struct buf text = {0};
    bool is_whole = true;
    while (is_whole && strstr(buf_slice(&text).data, "\r\n\r\n") == NULL) {
        is_whole = read_bytes(ssl, &text, text.length + 1);
    }
    const char *line = is_whole ? strcasestr(text.data, "\r\ncontent-length:") : NULL;
    if (line != NULL) {
        size_t body = strtoul(line + strlen("\r\ncontent-length:"), NULL, 10);
        is_whole = read_bytes(ssl, &text, text.length + body);
    }
    buf_fini(&text);
    return is_whole;
}

static void answer(struct tls_peer *tls, SSL *ssl)
{
    struct buf text = {0};
    pthread_mutex_lock(&tls->lock);
    tls->request_count++;
    buf_printf(&text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(tls->body),
               tls->body);
    pthread_mutex_unlock(&tls->lock);
    SSL_write(ssl, text.data, (int)text.length);
    buf_fini(&text);
}

static void write_text(SSL *ssl, const char *text)
{
    SSL_write(ssl, text, (int)strlen(text));
}

static void ask_for_certificate(SSL *ssl)
{
    char byte;
    SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_verify_client_post_handshake(ssl);
    SSL_do_handshake(ssl);
    (void)SSL_read(ssl, &byte, 1);
}

static void serve(struct peer *peer, int fd, size_t connection, void *arg)
{
    struct tls_peer *tls = arg;
    char rest[512];
    (void)peer;
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *context = make_context(&tls->options);
    bool has_stray = tls->options.has_stray && connection == 0;
    bool asks_late = tls->options.asks_late;
    bool asks_again = tls->options.asks_again;
    pthread_mutex_unlock(&tls->lock);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    bool is_open = SSL_accept(ssl) == 1;
    for (size_t count = 0; is_open && read_request(ssl); count++) {
        if (asks_late) {
            write_text(ssl, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");
        }
        if (asks_late || (asks_again && count > 0)) {
            ask_for_certificate(ssl);
            break;
        }
        answer(tls, ssl);
        if (has_stray) {
            write_text(ssl, "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nstray");
        }
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    /* Closing with unread data would discard our last alert. */
    shutdown(fd, SHUT_WR);
    while (read(fd, rest, sizeof rest) > 0) {
    }
}

struct tls_peer *tls_peer_new(const struct tls_peer_options *options, const char *body)
{
    struct tls_peer *tls = mem_zalloc(1, sizeof *tls);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    pthread_mutex_init(&tls->lock, NULL);
    tls->options = *options;
    tls->body = mem_strdup(body);
    tls->peer = peer_new(serve, tls);
    return tls;
}

void tls_peer_free(struct tls_peer *tls)
{
    if (tls == NULL) {
        return;
    }
    peer_free(tls->peer);
    pthread_mutex_destroy(&tls->lock);
    free(tls->body);
    free(tls);
}

int tls_peer_port(const struct tls_peer *tls)
{
    return peer_port(tls->peer);
}

void tls_peer_set(struct tls_peer *tls, const struct tls_peer_options *options)
{
    pthread_mutex_lock(&tls->lock);
    tls->options = *options;
    pthread_mutex_unlock(&tls->lock);
}

void tls_peer_set_body(struct tls_peer *tls, const char *body)
{
    pthread_mutex_lock(&tls->lock);
    free(tls->body);
    tls->body = mem_strdup(body);
    pthread_mutex_unlock(&tls->lock);
}

size_t tls_peer_requests(struct tls_peer *tls)
{
    pthread_mutex_lock(&tls->lock);
    size_t count = tls->request_count;
    pthread_mutex_unlock(&tls->lock);
    return count;
}

size_t tls_peer_connections(struct tls_peer *tls)
{
    return peer_connections(tls->peer);
}
