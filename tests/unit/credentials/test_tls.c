/* Requests to STS, CloudSSO and credential URIs use the API's TLS files, also after a reload. */
#include "credentials/profiles.h"
#include "credentials/roles.h"
#include "support/credential_fixture.h"
#include "support/tls_peer.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct tls_identity server;
static struct tls_identity next_server;
static struct tls_identity client;

static char empty[] = "";

struct tls_fixture {
    struct settings settings;
    struct tls_files files;
    struct loop *loop;
    struct tls_peer *peer;
    char url[64];
    struct credential_context *context;
    /* What the last get gave. */
    enum status status;
    char id[64];
    char text[512];
};

static int make_identities(void **state)
{
    (void)state;
    tls_identity_init(&server, "server");
    tls_identity_init(&next_server, "next server");
    tls_identity_init(&client, "client");
    return 0;
}

static int forget_identities(void **state)
{
    (void)state;
    tls_identity_fini(&server);
    tls_identity_fini(&next_server);
    tls_identity_fini(&client);
    return 0;
}

/* The service requires a client certificate. The client has one, and trusts the service. */
static int set_up(void **state)
{
    struct tls_fixture *fixture = mem_zalloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    fixture->peer =
        tls_peer_new(&(struct tls_peer_options){.identity = &server, .client = &client}, "");
    snprintf(fixture->url, sizeof fixture->url, "https://127.0.0.1:%d",
             tls_peer_port(fixture->peer));
    fixture->settings.api.proxy = empty;
    fixture->files.ca_path = "";
    secret_set(&fixture->files.ca_pem, slice_text(server.certificate_pem));
    secret_set(&fixture->files.cert_pem, slice_text(client.certificate_pem));
    secret_set(&fixture->files.key_pem, slice_text(client.key_pem));
    fixture->context = credentials_context_new(fixture->loop, &fixture->settings, &fixture->files);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct tls_fixture *fixture = *state;
    credentials_context_free(fixture->context);
    tls_peer_free(fixture->peer);
    tls_files_fini(&fixture->files);
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

/* --- the three kinds of service --- */

static struct credential_source *make_sts(const struct tls_fixture *fixture)
{
    struct credential_source *signer = credentials_static_new(
        slice_text("caller"), slice_text("caller-" SECRET_WORD), slice_text(NULL));
    struct sts_role role;
    sts_role_init(&role, slice_text("acs:ram::123:role/bridge"), slice_text(NULL), slice_text(NULL),
                  slice_text(NULL), STS_DURATION_S);
    return credentials_ram_role_arn_new(fixture->context, signer, &role, mem_strdup(fixture->url));
}

static struct credential_source *make_cloud_sso(const struct tls_fixture *fixture)
{
    struct cloud_sso sso = {.sign_in_url = fixture->url,
                            .account_id = "123",
                            .access_config = "ac-1",
                            .access_token = "token-" SECRET_WORD,
                            .access_token_expires_s = INT64_C(4071006245)};
    return credentials_cloud_sso_new(fixture->context, &sso);
}

static struct credential_source *make_uri(const struct tls_fixture *fixture)
{
    return credentials_uri_new(fixture->context, fixture->url);
}

static const struct service {
    const char *name;
    struct credential_source *(*make)(const struct tls_fixture *fixture);
    const char *body;
} services[] = {
    {"STS", make_sts, FIXTURE_STS("fresh")},
    {"CloudSSO", make_cloud_sso, "{\"CloudCredential\":" FIXTURE_KEYS("fresh") "}"},
    {"URI", make_uri, FIXTURE_KEYS("fresh")},
};
#define SERVICE_COUNT (sizeof services / sizeof services[0])

static void take(void *arg, enum status status, const struct credentials *credentials,
                 const char *text)
{
    struct tls_fixture *fixture = arg;
    fixture->status = status;
    snprintf(fixture->text, sizeof fixture->text, "%s", text);
    snprintf(fixture->id, sizeof fixture->id, "%s",
             credentials == NULL ? "" : secret_slice(&credentials->access_key_id).data);
    loop_stop(fixture->loop);
}

static void get(struct tls_fixture *fixture, struct credential_source *source)
{
    credentials_get(source, take, fixture);
    loop_run(fixture->loop);
}

static void get_once(struct tls_fixture *fixture, const struct service *service)
{
    struct credential_source *source = service->make(fixture);
    tls_peer_set_body(fixture->peer, service->body);
    get(fixture, source);
    credentials_source_free(source);
}

static void assert_got(const struct tls_fixture *fixture, const char *name)
{
    if (fixture->status != STATUS_OK) {
        fail_msg("%s: %s", name, fixture->text);
    }
    assert_string_equal(fixture->id, "fresh");
}

static void assert_every_service_fails(struct tls_fixture *fixture)
{
    credentials_context_renew(fixture->context);
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        get_once(fixture, &services[i]);
        assert_int_not_equal(fixture->status, STATUS_OK);
        assert_string_not_equal(fixture->text, "");
    }
    assert_int_equal(tls_peer_requests(fixture->peer), 0);
}

/* --- tests --- */

static void test_every_service_gets_the_client_certificate(void **state)
{
    struct tls_fixture *fixture = *state;
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        get_once(fixture, &services[i]);
        assert_got(fixture, services[i].name);
    }
}

static void test_without_the_client_certificate_every_service_refuses(void **state)
{
    struct tls_fixture *fixture = *state;
    secret_fini(&fixture->files.cert_pem);
    secret_fini(&fixture->files.key_pem);
    assert_every_service_fails(fixture);
}

static void test_a_service_of_another_authority_is_not_trusted(void **state)
{
    struct tls_fixture *fixture = *state;
    secret_set(&fixture->files.ca_pem, slice_text(next_server.certificate_pem));
    assert_every_service_fails(fixture);
}

static void test_the_authority_may_be_in_a_directory(void **state)
{
    struct tls_fixture *fixture = *state;
    char directory[] = "/tmp/test_credentials_tls_XXXXXX";
    assert_non_null(mkdtemp(directory));
    char *path = tls_identity_write_hashed(&server, directory);
    secret_fini(&fixture->files.ca_pem);
    fixture->files.ca_path = directory;
    credentials_context_renew(fixture->context);
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        get_once(fixture, &services[i]);
        assert_got(fixture, services[i].name);
    }
    unlink(path);
    rmdir(directory);
    free(path);
}

/* The source stays the same; its HTTP client changes. */
static void test_a_reload_gives_every_service_another_authority(void **state)
{
    struct tls_fixture *fixture = *state;
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        bool is_next = i % 2 == 0;
        struct credential_source *source = services[i].make(fixture);
        tls_peer_set_body(fixture->peer, services[i].body);
        get(fixture, source);
        assert_got(fixture, services[i].name);
        tls_peer_set(fixture->peer,
                     &(struct tls_peer_options){.identity = is_next ? &next_server : &server,
                                                .client = &client});
        secret_set(&fixture->files.ca_pem,
                   slice_text(is_next ? next_server.certificate_pem : server.certificate_pem));
        credentials_context_renew(fixture->context);
        get(fixture, source);
        assert_got(fixture, services[i].name);
        credentials_source_free(source);
    }
    assert_int_equal(tls_peer_requests(fixture->peer), 2 * SERVICE_COUNT);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_every_service_gets_the_client_certificate),
        CASE(test_without_the_client_certificate_every_service_refuses),
        CASE(test_a_service_of_another_authority_is_not_trusted),
        CASE(test_the_authority_may_be_in_a_directory),
        CASE(test_a_reload_gives_every_service_another_authority),
    };
    return cmocka_run_group_tests(tests, make_identities, forget_identities);
}
