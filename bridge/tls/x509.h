/*
 * x509 - what PEM texts of certificates and private keys hold, and whether they fit together.
 *
 * Knows OpenSSL, as digest.h does. Nothing here decides whom to trust: that is the TLS library's.
 *
 * Thread: any.
 */
#ifndef TLS_X509_H
#define TLS_X509_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdint.h>

/* The first and the last moment at which a certificate is valid, as wall clock. */
struct x509_term {
    int64_t begins_ms;
    int64_t ends_ms;
};

/*
 * Authorities to trust: at least one certificate. *out_term is of the one that ends last.
 * STATUS_INVALID with the reason appended, a phrase: "holds no certificate".
 */
enum status x509_check_authorities(struct slice pem, struct x509_term *out_term, struct buf *why);
/* A certificate chain, our own first; *out_term is of that. STATUS_INVALID as above. */
enum status x509_check_chain(struct slice pem, struct x509_term *out_term, struct buf *why);
/*
 * The private key of that chain's first certificate; `password` is absent for none. Nothing of the
 * key or the password is in the reason. STATUS_INVALID as above.
 */
enum status x509_check_key(struct slice pem, struct slice password, struct slice chain_pem,
                           struct buf *why);

#endif
