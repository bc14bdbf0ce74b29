/*
 * tls_peer - an HTTPS server on loopback for unit tests, and certificates made for it.
 *
 * Wraps OpenSSL. Every request gets the same answer. Thread: functions here are for the test's
 * thread; connections have their own threads.
 */
#ifndef SUPPORT_TLS_PEER_H
#define SUPPORT_TLS_PEER_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

/* A self-signed certificate for 127.0.0.1, which is also the authority, and its key. */
struct tls_identity {
    EVP_PKEY *key;
    X509 *certificate;
    char *key_pem;
    char *certificate_pem;
};

void tls_identity_init(struct tls_identity *identity, const char *name);
void tls_identity_fini(struct tls_identity *identity);
/* Writes the certificate into the directory under the name that `openssl rehash` would use; returns
 * the path, which the caller frees. */
char *tls_identity_write_hashed(const struct tls_identity *identity, const char *directory);

struct tls_peer_options {
    const struct tls_identity *identity;
    const struct tls_identity
        *client;     /* the only accepted client; NULL: no client certificate is requested */
    int version;     /* only this version, for example TLS1_1_VERSION; 0: OpenSSL's default */
    bool has_stray;  /* the first connection gets a second answer, 403, behind its first one */
    bool asks_late;  /* sends half of an answer's head, then refuses the missing client certificate
                        (TLS 1.3) */
    bool asks_again; /* refuses the missing client certificate at the second request (TLS 1.3) */
};

struct tls_peer;

/* Listens on a free port of 127.0.0.1. It answers with status 200 and `body`; the identities must
 * outlive the peer. */
struct tls_peer *tls_peer_new(const struct tls_peer_options *options, const char *body);
/* Closes open connections and waits for all threads. Takes NULL. */
void tls_peer_free(struct tls_peer *peer);
int tls_peer_port(const struct tls_peer *peer);
/* Applies to later connections. */
void tls_peer_set(struct tls_peer *peer, const struct tls_peer_options *options);
void tls_peer_set_body(struct tls_peer *peer, const char *body);
/* The number of complete requests so far, and of connections. */
size_t tls_peer_requests(struct tls_peer *peer);
size_t tls_peer_connections(struct tls_peer *peer);

#endif
