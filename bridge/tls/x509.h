/*
 * x509 - checks PEM texts of certificates and private keys, and whether they belong together.
 *
 * Wraps OpenSSL. Which certificates are trusted is decided in the handshake, not here.
 *
 * Thread: any.
 */
#ifndef TLS_X509_H
#define TLS_X509_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdint.h>

/* When a certificate is valid, as wall clock. */
struct x509_term {
    int64_t begins_ms;
    int64_t ends_ms;
};

/*
 * Authorities: at least one certificate. *out_term is that of the one that expires last.
 * STATUS_INVALID: the reason, a phrase such as "holds no certificate", is appended to *why.
 */
enum status x509_check_authorities(struct slice pem, struct x509_term *out_term, struct buf *why);
/* A chain, our own certificate first; *out_term is that of the first. STATUS_INVALID as above. */
enum status x509_check_chain(struct slice pem, struct x509_term *out_term, struct buf *why);
/*
 * The private key of the chain's first certificate. `password` is absent if there is none. The
 * reason contains nothing of the key or the password. STATUS_INVALID as above.
 */
enum status x509_check_key(struct slice pem, struct slice password, struct slice chain_pem,
                           struct buf *why);

#endif
