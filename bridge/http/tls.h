/*
 * http_tls - whom libcurl trusts, what it shows of us, and what a far side's refusal means.
 *
 * Private to http.c and, with it, the only code that knows libcurl. Thread: the loop's.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "http/client.h"

#include <curl/curl.h>

struct http_tls {
    char *ca_path; /* "" for none */
    struct secret ca_pem;
    struct secret cert_pem;
    struct secret key_pem;
    struct secret key_password;
};

/* Copies from the options. */
void http_tls_init(struct http_tls *tls, const struct http_options *options);
void http_tls_fini(struct http_tls *tls);
/* For this handle and as long as it lives; `tls` must outlive it. */
void http_tls_set(const struct http_tls *tls, CURL *easy);
/*
 * Whether an exchange that came to nothing was refused with the handshake. In TLS 1.3 the client is
 * done with it before the server has looked at its certificate: the request is on the way, but a
 * server that answers it with an alert about the certificate has not read it.
 */
bool http_tls_is_refusal(CURL *easy, const char *error);

#endif
