/*
 * The files are given from memory (tls/files.h says why), with one exception: a directory of
 * authorities, in which OpenSSL looks for one at a time.
 */
#include "tls.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void must(CURLcode code)
{
    assert(code == CURLE_OK);
}

static void copy(struct secret *out, const struct secret *from)
{
    if (secret_is_set(from)) {
        secret_set(out, secret_slice(from));
    }
}

void http_tls_init(struct http_tls *tls, const struct http_options *options)
{
    const struct tls_files *files = options->tls;
    bool has_path = files != NULL && files->ca_path != NULL;
    *tls = (struct http_tls){0};
    tls->ca_path = mem_strdup(has_path ? files->ca_path : "");
    if (files != NULL) {
        copy(&tls->ca_pem, &files->ca_pem);
        copy(&tls->cert_pem, &files->cert_pem);
        copy(&tls->key_pem, &files->key_pem);
        copy(&tls->key_password, &files->key_password);
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
 * libcurl knows the system's authorities as a file and as a directory, and naming one leaves the
 * other in force: so both are named, or neither.
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

bool http_tls_is_refusal(CURL *easy, const char *error)
{
    /* OpenSSL's words for alerts that are sent about a client's certificate and for nothing else.
     */
    static const char *const alerts[] = {
        "alert certificate required", "alert bad certificate",     "alert unsupported certificate",
        "alert certificate revoked",  "alert certificate expired", "alert certificate unknown",
        "alert unknown ca",
    };
    long connections = 0;
    long header_bytes = 0;
    must(curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections));
    must(curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &header_bytes));
    if (connections != 1 || header_bytes > 0) {
        return false; /* a kept connection, or one that has begun to answer */
    }
    for (size_t i = 0; i < sizeof alerts / sizeof alerts[0]; i++) {
        if (strstr(error, alerts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

const char *http_library_version(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}
