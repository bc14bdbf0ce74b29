/* Which HTTPS servers are trusted, and which certificate they get. */
#include "http/client.h"
#include "support/http_peer.h"
#include "support/tls_peer.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FAR_MS 30000

static struct tls_identity server;
static struct tls_identity client;

struct fixture {
    struct loop *loop;
    struct tls_peer *peer;
    struct tls_files files;
    enum http_result result;
    int status;
    bool is_untrusted;
    char error[256];
};

static int make_identities(void **state)
{
    (void)state;
    tls_identity_init(&server, "server");
    tls_identity_init(&client, "client");
    return 0;
}

static int forget_identities(void **state)
{
    (void)state;
    tls_identity_fini(&server);
    tls_identity_fini(&client);
    return 0;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    fixture->files.ca_path = "";
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    tls_peer_free(fixture->peer);
    tls_files_fini(&fixture->files);
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

static void begin(struct fixture *fixture, const struct tls_peer_options *options)
{
    fixture->peer = tls_peer_new(options, "ok");
}

static void take(void *arg, const struct http_answer *answer)
{
    struct fixture *fixture = arg;
    fixture->result = answer->result;
    fixture->is_untrusted = answer->is_untrusted;
    fixture->status = answer->status;
    snprintf(fixture->error, sizeof fixture->error, "%s", answer->error);
    loop_stop(fixture->loop);
}

static void stop(void *arg)
{
    loop_stop(((struct fixture *)arg)->loop);
}

/* Sends `count` requests, one after the other, with a pause of 20 ms in between. */
static void exchange_some(struct fixture *fixture, const char *url, const char *proxy, int count)
{
    struct http_options options = {.connect_timeout_ms = FAR_MS,
                                   .read_timeout_ms = FAR_MS,
                                   .answer_bytes_max = 100,
                                   .proxy = proxy,
                                   .connections_max = 4,
                                   .tls = &fixture->files};
    struct http *http = http_new(fixture->loop, &options);
    struct http_request request = {"POST", url, NULL, 0, slice_text(""), NULL, 0};
    for (int i = 0; i < count; i++) {
        http_send(http, &request, take, fixture);
        loop_run(fixture->loop);
        if (i + 1 < count) {
            struct loop_timer *pause = loop_timer_new(fixture->loop, stop, fixture);
            loop_timer_start(pause, 20);
            loop_run(fixture->loop);
            loop_timer_free(pause);
        }
    }
    http_free(http);
}

static void exchange_on(struct fixture *fixture, const char *host, int port, int count)
{
    char url[64];
    snprintf(url, sizeof url, "https://%s:%d/", host, port);
    exchange_some(fixture, url, "", count);
}

static void exchange(struct fixture *fixture, const char *host)
{
    exchange_on(fixture, host, tls_peer_port(fixture->peer), 1);
}

static void show(struct fixture *fixture, const struct tls_identity *identity)
{
    secret_set(&fixture->files.cert_pem, slice_text(identity->certificate_pem));
    secret_set(&fixture->files.key_pem, slice_text(identity->key_pem));
}

static void trust_server(struct fixture *fixture)
{
    secret_set(&fixture->files.ca_pem, slice_text(server.certificate_pem));
}

static void assert_answered(struct fixture *fixture)
{
    assert_string_equal(fixture->error, "");
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    assert_int_equal(fixture->status, 200);
    assert_int_equal(tls_peer_requests(fixture->peer), 1);
}

/* libcurl's own text follows in brackets. */
static void assert_nothing_was_sent(struct fixture *fixture, const char *why)
{
    char start[160];
    snprintf(start, sizeof start, "TLS: the server%s (", why);
    if (strncmp(fixture->error, start, strlen(start)) != 0) {
        fail_msg("\"%s\" does not begin with \"%s\"", fixture->error, start);
    }
    assert_int_equal(fixture->result, HTTP_NOT_SENT);
    assert_int_equal(tls_peer_requests(fixture->peer), 0);
}

static void test_a_server_with_a_trusted_certificate_is_used(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){.identity = &server});
    trust_server(fixture);
    exchange(fixture, "127.0.0.1");
    assert_answered(fixture);
}

static void test_authorities_may_be_a_directory(void **state)
{
    struct fixture *fixture = *state;
    char directory[] = "/tmp/test_http_tls_XXXXXX";
    assert_non_null(mkdtemp(directory));
    char *path = tls_identity_write_hashed(&server, directory);
    begin(fixture, &(struct tls_peer_options){.identity = &server});
    fixture->files.ca_path = directory;
    exchange(fixture, "127.0.0.1");
    assert_answered(fixture);
    unlink(path);
    rmdir(directory);
    free(path);
}

static void test_a_certificate_of_an_unknown_authority_is_refused(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){.identity = &server});
    secret_set(&fixture->files.ca_pem, slice_text(client.certificate_pem));
    exchange(fixture, "127.0.0.1");
    assert_nothing_was_sent(fixture, "'s certificate comes from an authority that is not trusted");
    assert_true(fixture->is_untrusted);
}

/* libcurl's words for it name the file. */
static void test_unreadable_authorities_are_reported_without_libcurls_words(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){.identity = &server});
    secret_set(&fixture->files.ca_pem, slice_text("no certificate"));
    exchange(fixture, "127.0.0.1");
    assert_string_equal(fixture->error,
                        "TLS: the trusted authorities cannot be read (see the log of the bridge)");
    assert_int_equal(fixture->result, HTTP_NOT_SENT);
    assert_true(fixture->is_untrusted);
}

static void test_a_certificate_for_another_host_is_refused(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){.identity = &server});
    trust_server(fixture);
    exchange(fixture, "localhost");
    assert_nothing_was_sent(fixture, "'s certificate is for another host");
    assert_true(fixture->is_untrusted);
}

static void test_without_the_directory_of_authorities_no_server_is_trusted(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){.identity = &server});
    fixture->files.ca_path = "/nowhere";
    exchange(fixture, "127.0.0.1");
    assert_nothing_was_sent(fixture, "'s certificate comes from an authority that is not trusted");
}

static void test_a_server_with_tls_1_1_only_is_refused(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){.identity = &server, .version = TLS1_1_VERSION});
    trust_server(fixture);
    exchange(fixture, "127.0.0.1");
    assert_nothing_was_sent(fixture, " does not support TLS 1.2 or newer");
    assert_false(fixture->is_untrusted);
}

static void serve_plain(struct peer *peer, int fd, size_t connection, void *arg)
{
    (void)connection;
    (void)arg;
    (void)peer;
    peer_write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
    (void)peer_wait_ms(fd, FAR_MS);
}

static void test_a_server_without_tls_is_reported(void **state)
{
    struct fixture *fixture = *state;
    struct peer *plain = peer_new(serve_plain, NULL);
    begin(fixture, &(struct tls_peer_options){.identity = &server});
    trust_server(fixture);
    exchange_on(fixture, "127.0.0.1", peer_port(plain), 1);
    assert_nothing_was_sent(fixture, " does not speak TLS");
    peer_free(plain);
}

/* In TLS 1.3 the refusal comes after the request was sent, but the server has not read it. */
static void test_the_client_certificate_is_sent_if_the_server_requests_one(void **state)
{
    static const struct {
        int version;
        const char *without;
        const char *wrong;
    } rows[] = {
        {TLS1_2_VERSION,
         " ended the handshake: it asks for a client certificate, or has no cipher in common",
         " does not trust the authority of the client certificate"},
        {TLS1_3_VERSION, " asks for a client certificate",
         " does not trust the authority of the client certificate"},
    };
    struct fixture *fixture = *state;
    trust_server(fixture);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin(fixture, &(struct tls_peer_options){
                           .identity = &server, .client = &client, .version = rows[i].version});
        exchange(fixture, "127.0.0.1");
        assert_nothing_was_sent(fixture, rows[i].without);
        show(fixture, &server);
        exchange(fixture, "127.0.0.1");
        assert_nothing_was_sent(fixture, rows[i].wrong);
        show(fixture, &client);
        exchange(fixture, "127.0.0.1");
        assert_answered(fixture);
        tls_peer_free(fixture->peer);
        fixture->peer = NULL;
        secret_fini(&fixture->files.cert_pem);
        secret_fini(&fixture->files.key_pem);
    }
}

static void test_a_connection_is_used_again(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){.identity = &server});
    trust_server(fixture);
    exchange_on(fixture, "127.0.0.1", tls_peer_port(fixture->peer), 3);
    assert_int_equal(fixture->status, 200);
    assert_int_equal(tls_peer_requests(fixture->peer), 3);
    assert_int_equal(tls_peer_connections(fixture->peer), 1);
}

static void test_a_second_answer_belongs_to_nobody(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){.identity = &server, .has_stray = true});
    trust_server(fixture);
    exchange_on(fixture, "127.0.0.1", tls_peer_port(fixture->peer), 2);
    assert_int_equal(fixture->result, HTTP_ANSWERED);
    assert_int_equal(fixture->status, 200);
    assert_int_equal(tls_peer_requests(fixture->peer), 2);
    assert_int_equal(tls_peer_connections(fixture->peer), 2);
}

static void test_a_refusal_after_the_answer_has_begun_is_a_cut(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){
                       .identity = &server, .version = TLS1_3_VERSION, .asks_late = true});
    trust_server(fixture);
    exchange(fixture, "127.0.0.1");
    assert_non_null(strstr(fixture->error, "the server asks for a client certificate"));
    assert_int_equal(fixture->result, HTTP_CUT);
}

/* The proxy sees the whole request: it is verified like the API. */
static void test_a_proxy_is_verified_too(void **state)
{
    static const struct {
        const char *host;
        const struct tls_identity *authority;
        bool is_good;
    } rows[] = {
        {"127.0.0.1", &server, true},
        {"127.0.0.1", &client, false},
        {"localhost", &server, false}, /* the certificate is for 127.0.0.1 */
    };
    struct fixture *fixture = *state;
    char proxy[64];
    begin(fixture, &(struct tls_peer_options){.identity = &server});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        secret_set(&fixture->files.ca_pem, slice_text(rows[i].authority->certificate_pem));
        snprintf(proxy, sizeof proxy, "https://%s:%d", rows[i].host, tls_peer_port(fixture->peer));
        exchange_some(fixture, "http://api.example.com/", proxy, 1);
        assert_int_equal(fixture->result, rows[i].is_good ? HTTP_ANSWERED : HTTP_NOT_SENT);
    }
    assert_int_equal(tls_peer_requests(fixture->peer), 1);
}

/* The server has read the request. */
static void test_a_refusal_on_a_used_connection_is_a_cut(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, &(struct tls_peer_options){
                       .identity = &server, .version = TLS1_3_VERSION, .asks_again = true});
    trust_server(fixture);
    exchange_on(fixture, "127.0.0.1", tls_peer_port(fixture->peer), 2);
    assert_int_equal(tls_peer_requests(fixture->peer), 1);
    assert_string_equal(fixture->error, "the server closed a used connection before it answered");
    assert_int_equal(fixture->result, HTTP_CUT);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_server_with_a_trusted_certificate_is_used),
        CASE(test_authorities_may_be_a_directory),
        CASE(test_a_certificate_of_an_unknown_authority_is_refused),
        CASE(test_unreadable_authorities_are_reported_without_libcurls_words),
        CASE(test_a_certificate_for_another_host_is_refused),
        CASE(test_without_the_directory_of_authorities_no_server_is_trusted),
        CASE(test_a_server_with_tls_1_1_only_is_refused),
        CASE(test_a_server_without_tls_is_reported),
        CASE(test_the_client_certificate_is_sent_if_the_server_requests_one),
        CASE(test_a_connection_is_used_again),
        CASE(test_a_second_answer_belongs_to_nobody),
        CASE(test_a_refusal_after_the_answer_has_begun_is_a_cut),
        CASE(test_a_refusal_on_a_used_connection_is_a_cut),
        CASE(test_a_proxy_is_verified_too),
    };
    return cmocka_run_group_tests(tests, make_identities, forget_identities);
}
