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
/* Sets the options of this handle; `tls` must outlive it. */
void http_tls_set(const struct http_tls *tls, CURL *easy);
/* The TLS problem that libcurl reports as `code` and `error`, in a phrase that does not change with
 * libcurl's version. NULL: not a TLS problem. */
const char *http_tls_meaning(CURL *easy, CURLcode code, const char *error);
/*
 * Whether the server refused our certificate and so has not read the request. In TLS 1.3 the client
 * finishes the handshake, and sends its request, before the server has verified the certificate.
 */
bool http_tls_is_refusal(CURL *easy, const char *error);

#endif
