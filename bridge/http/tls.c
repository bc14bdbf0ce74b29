/*
 * libcurl gets the files from memory (see tls/files.h), except for the directory of authorities, in
 * which OpenSSL looks up one at a time.
 */
#include "tls.h"

#include "base/mem.h"
#include "must.h"

#include <stdlib.h>
#include <string.h>

#define UNTRUSTED  "the server's certificate comes from an authority that is not trusted"
#define REFUSED    "the server refuses the client certificate"
#define NO_TLS_1_2 "the server does not support TLS 1.2 or newer"

void http_tls_init(struct http_tls *tls, const struct tls_files *files)
{
    bool has_path = files != NULL && files->ca_path != NULL;
    *tls = (struct http_tls){0};
    tls->ca_path = mem_strdup(has_path ? files->ca_path : "");
    if (files != NULL) {
        secret_copy(&tls->ca_pem, &files->ca_pem);
        secret_copy(&tls->cert_pem, &files->cert_pem);
        secret_copy(&tls->key_pem, &files->key_pem);
        secret_copy(&tls->key_password, &files->key_password);
    }
}

void http_tls_fini(struct http_tls *tls)
{
    free(tls->ca_path);
    secret_fini(&tls->ca_pem);
    secret_fini(&tls->cert_pem);
    secret_fini(&tls->key_pem);
    secret_fini(&tls->key_password);
}

static void set_blob(CURL *easy, CURLoption option, const struct secret *content)
{
    if (secret_is_set(content)) {
        struct curl_blob blob = {content->data, content->length, CURL_BLOB_NOCOPY};
        must(curl_easy_setopt(easy, option, &blob));
    }
}

/*
 * libcurl has a file and a directory of the system's authorities. Setting one leaves the other in
 * use: so both are set, or neither.
 */
static void set_authorities(const struct http_tls *tls, CURL *easy, CURLoption file,
                            CURLoption directory, CURLoption blob)
{
    bool has_path = tls->ca_path[0] != '\0';
    if (!has_path && !secret_is_set(&tls->ca_pem)) {
        return;
    }
    must(curl_easy_setopt(easy, file, NULL));
    must(curl_easy_setopt(easy, directory, has_path ? tls->ca_path : NULL));
    set_blob(easy, blob, &tls->ca_pem);
}

void http_tls_set(const struct http_tls *tls, CURL *easy)
{
    must(curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2));
    must(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L));
    must(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L));
    must(curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2));
    must(curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, 1L));
    must(curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, 2L));
    set_authorities(tls, easy, CURLOPT_CAINFO, CURLOPT_CAPATH, CURLOPT_CAINFO_BLOB);
    set_authorities(tls, easy, CURLOPT_PROXY_CAINFO, CURLOPT_PROXY_CAPATH,
                    CURLOPT_PROXY_CAINFO_BLOB);
    set_blob(easy, CURLOPT_SSLCERT_BLOB, &tls->cert_pem);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, &tls->key_pem);
    if (secret_is_set(&tls->key_password)) {
        must(curl_easy_setopt(easy, CURLOPT_KEYPASSWD, tls->key_password.data));
    }
}

/* --- problems --- */

/* Parts of OpenSSL's error texts, which libcurl includes in its own. They are the same in all
 * versions 3 of OpenSSL; libcurl's own texts differ between versions. */
static const struct problem {
    const char *words;
    const char *meaning;
    bool is_refusal; /* an alert that is sent about a client's certificate and nothing else */
} problems[] = {
    {"unable to get local issuer certificate", UNTRUSTED, false},
    {"unable to get issuer certificate", UNTRUSTED, false},
    {"self-signed certificate", UNTRUSTED, false},
    {"certificate has expired", "the server's certificate has expired", false},
    {"certificate is not yet valid", "the server's certificate is not yet valid", false},
    {"alert certificate required", "the server asks for a client certificate", true},
    {"alert unknown ca", "the server does not trust the authority of the client certificate", true},
    {"alert certificate expired", "the client certificate has expired, according to the server",
     true},
    {"alert certificate revoked", "the client certificate was revoked, according to the server",
     true},
    {"alert bad certificate", REFUSED, true},
    {"alert certificate unknown", REFUSED, true},
    {"alert unsupported certificate", REFUSED, true},
    /* In TLS 1.2 the only alert for a missing certificate. */
    {"alert handshake failure",
     "the server ended the handshake: it asks for a client certificate, or has no cipher in "
     "common",
     false},
    {"alert protocol version", NO_TLS_1_2, false},
    {"unsupported protocol", NO_TLS_1_2, false},
    {"wrong version number", "the server does not speak TLS", false},
};

static const struct problem *find_problem(const char *error)
{
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        if (strstr(error, problems[i].words) != NULL) {
            return &problems[i];
        }
    }
    return NULL;
}

const char *http_tls_meaning(CURL *easy, CURLcode code, const char *error)
{
    long server = 0;
    long proxy = 0;
    const struct problem *problem = find_problem(error);
    if (code == CURLE_SSL_CACERT_BADFILE) {
        return "the trusted authorities cannot be read";
    }
    if (problem != NULL) {
        return problem->meaning;
    }
    if (code != CURLE_PEER_FAILED_VERIFICATION) {
        return NULL;
    }
    /* OpenSSL verifies the chain; its errors begin at 2. libcurl verifies the name. */
    must(curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &server));
    must(curl_easy_getinfo(easy, CURLINFO_PROXY_SSL_VERIFYRESULT, &proxy));
    return server < 2 && proxy < 2 ? "the server's certificate is for another host"
                                   : "the server's certificate is not accepted";
}

bool http_tls_is_refusal(CURL *easy, const char *error)
{
    long connections = 0;
    long header_bytes = 0;
    must(curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections));
    must(curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &header_bytes));
    const struct problem *problem = find_problem(error);
    /* A new connection on which no answer has started. */
    return connections == 1 && header_bytes == 0 && problem != NULL && problem->is_refusal;
}
