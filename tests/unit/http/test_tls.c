/* Whom the bridge talks to over TLS, and whom it does not. The far side is libmicrohttpd with a
 * certificate made here. */
#include "http/client.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define FAR_MS 30000

struct identity {
    char *key_pem;
    char *certificate_pem;
    char file[64]; /* the certificate, which is its own authority */
};

static struct identity identity;

struct fixture {
    struct loop *loop;
    struct MHD_Daemon *far_side;
    atomic_int request_count;
    enum http_result result;
    int status;
    char error[256];
};

static char *text_of(BIO *bio)
{
    char *data = NULL;
    long length = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)length);
    BIO_free(bio);
    return text;
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_subject_alt_name, "IP:127.0.0.1");
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

static int make_identity(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(key);
    X509 *certificate = make_certificate(key);
    BIO *key_bio = BIO_new(BIO_s_mem());
    BIO *certificate_bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
    PEM_write_bio_X509(certificate_bio, certificate);
    identity.key_pem = text_of(key_bio);
    identity.certificate_pem = text_of(certificate_bio);
    X509_free(certificate);
    EVP_PKEY_free(key);
    snprintf(identity.file, sizeof identity.file, "/tmp/test_http_tls_XXXXXX");
    int fd = mkstemp(identity.file);
    assert_true(fd >= 0);
    size_t length = strlen(identity.certificate_pem);
    assert_int_equal(write(fd, identity.certificate_pem, length), length);
    close(fd);
    return 0;
}

static int forget_identity(void **state)
{
    (void)state;
    unlink(identity.file);
    free(identity.key_pem);
    free(identity.certificate_pem);
    return 0;
}

static enum MHD_Result serve(void *arg, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *upload_data,
                             size_t *upload_data_size, void **connection_arg)
{
    struct fixture *fixture = arg;
    static char ok[] = "ok";
    (void)url;
    (void)method;
    (void)version;
    (void)upload_data;
    (void)upload_data_size;
    if (*connection_arg == NULL) {
        *connection_arg = ok;
        return MHD_YES;
    }
    atomic_fetch_add(&fixture->request_count, 1);
    struct MHD_Response *response = MHD_create_response_from_buffer(2, ok, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    MHD_stop_daemon(fixture->far_side);
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

static void begin(struct fixture *fixture, const char *priorities)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fixture->far_side =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS, 0, NULL, NULL, serve,
                         fixture, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_HTTPS_MEM_KEY,
                         identity.key_pem, MHD_OPTION_HTTPS_MEM_CERT, identity.certificate_pem,
                         MHD_OPTION_HTTPS_PRIORITIES, priorities, MHD_OPTION_END);
    assert_non_null(fixture->far_side);
}

static void take(void *arg, const struct http_answer *answer)
{
    struct fixture *fixture = arg;
    fixture->result = answer->result;
    fixture->status = answer->status;
    snprintf(fixture->error, sizeof fixture->error, "%s", answer->error);
    loop_stop(fixture->loop);
}

static void exchange(struct fixture *fixture, const char *host, const char *ca_file)
{
    char url[64];
    struct http_options options = {.connect_timeout_ms = FAR_MS,
                                   .read_timeout_ms = FAR_MS,
                                   .answer_bytes_max = 100,
                                   .ca_file = ca_file,
                                   .proxy = "",
                                   .connections_max = 4};
    struct http *http = http_new(fixture->loop, &options);
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(fixture->far_side, MHD_DAEMON_INFO_BIND_PORT);
    snprintf(url, sizeof url, "https://%s:%d/", host, info->port);
    struct http_request request = {"POST", url, NULL, 0, slice_text("")};
    http_send(http, &request, take, fixture);
    loop_run(fixture->loop);
    http_free(http);
}

static void assert_nothing_was_sent(struct fixture *fixture)
{
    assert_int_equal(fixture->result, HTTP_NOT_SENT);
    assert_string_not_equal(fixture->error, "");
    assert_int_equal(atomic_load(&fixture->request_count), 0);
}

static void test_a_far_side_with_a_trusted_certificate_is_talked_to(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "NORMAL");
    exchange(fixture, "127.0.0.1", identity.file);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    assert_int_equal(fixture->status, 200);
    assert_int_equal(atomic_load(&fixture->request_count), 1);
}

static void test_a_certificate_nobody_vouches_for_is_refused(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "NORMAL");
    exchange(fixture, "127.0.0.1", "");
    assert_nothing_was_sent(fixture);
}

static void test_a_certificate_of_another_name_is_refused(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "NORMAL");
    exchange(fixture, "localhost", identity.file);
    assert_nothing_was_sent(fixture);
}

static void test_without_the_authorities_file_nobody_is_trusted(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "NORMAL");
    exchange(fixture, "127.0.0.1", "/nowhere/ca.pem");
    assert_nothing_was_sent(fixture);
}

static void test_a_far_side_that_only_knows_tls_1_1_is_refused(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "NORMAL:-VERS-ALL:+VERS-TLS1.1");
    exchange(fixture, "127.0.0.1", identity.file);
    assert_nothing_was_sent(fixture);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_far_side_with_a_trusted_certificate_is_talked_to),
        CASE(test_a_certificate_nobody_vouches_for_is_refused),
        CASE(test_a_certificate_of_another_name_is_refused),
        CASE(test_without_the_authorities_file_nobody_is_trusted),
        CASE(test_a_far_side_that_only_knows_tls_1_1_is_refused),
    };
    return cmocka_run_group_tests(tests, make_identity, forget_identity);
}
