/*
 * http_tls - the authorities and the client certificate that libcurl uses, and what its errors of
 * TLS mean.
 *
 * Thread: the loop's.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/secret.h"
#include "tls/files.h"

#include <curl/curl.h>
#include <stdbool.h>

struct http_tls {
    char *ca_path; /* "" for none */
    struct secret ca_pem;
    struct secret cert_pem;
    struct secret key_pem;
    struct secret key_password;
};

/* Copies; NULL for the system's authorities and no certificate. */
void http_tls_init(struct http_tls *tls, const struct tls_files *files);
void http_tls_fini(struct http_tls *tls);
/* For this handle and as long as it lives; `tls` must outlive it. */
void http_tls_set(const struct http_tls *tls, CURL *easy);
/* In plain words what libcurl reports as `code` and `error`; NULL for what is no problem of TLS.
 * The phrases are ours: they do not change with libcurl's version. */
const char *http_tls_meaning(CURL *easy, CURLcode code, const char *error);
/*
 * Whether an exchange without an answer was refused with the handshake. In TLS 1.3 the client is
 * done with it before the server has looked at its certificate: the request is on the way, but a
 * server that answers it with an alert about the certificate has not read it.
 */
bool http_tls_is_refusal(CURL *easy, const char *error);

#endif
