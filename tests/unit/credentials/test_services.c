/* Sources that send requests: a real loop, real HTTP, and a metadata service and a URI on loopback
 * that the test controls. */
#include "base/clock.h"
#include "base/mem.h"
#include "credentials/sources.h"
#include "support/http_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TOKEN      "imds-token-1"
#define EXPIRES    "2099-01-02T03:04:05Z"
#define EXPIRES_MS 4071006245000
#define DOCUMENT                                                                               \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"STS.testid\",\"AccessKeySecret\":\"testsecret\"," \
    "\"SecurityToken\":\"CAIS+/=\",\"Expiration\":\"" EXPIRES "\",\"LastUpdated\":\"x\"}"

#define VARIABLES_MAX 4

/* The answers of the service; NULL: it closes the connection, "...": it does not answer. */
struct service {
    const char *token;
    int token_status;
    bool needs_token;
    const char *roles;
    int roles_status;
    const char *document;
    int document_status;
};

struct fixture {
    struct loop *loop;
    struct credential_context context;
    struct credential_settings settings;
    struct peer *peer;
    char url[64];
    struct service service;
    char log[1024]; /* methods and paths, one a line; "+" where a token came along */
    bool is_running;
    int answered;
    enum status status;
    char id[64];
    char provider[CREDENTIALS_PROVIDER_BYTES];
    char text[1024];
    int64_t expires_at_ms;
    int64_t refresh_at_ms;
};

static const char *variables[VARIABLES_MAX][2];

static const char *environment(const char *name)
{
    for (size_t i = 0; i < VARIABLES_MAX && variables[i][0] != NULL; i++) {
        if (strcmp(variables[i][0], name) == 0) {
            return variables[i][1];
        }
    }
    return NULL;
}

static void answer(int fd, int status, const char *body)
{
    char text[4096];
    if (body == NULL) {
        return;
    }
    if (strcmp(body, "...") == 0) {
        peer_wait_ms(fd, 30000);
        return;
    }
    snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status,
             strlen(body), body);
    peer_write(fd, text);
}

static void note(struct peer *peer, struct fixture *fixture, const char *request, bool has_token)
{
    static const char ttl[] = "\r\nX-aliyun-ecs-metadata-token-ttl-seconds: 21600\r\n";
    size_t line = strcspn(request, "\r") - strlen(" HTTP/1.1");
    size_t used = strlen(fixture->log);
    bool is_odd = (request[0] == 'P') != (strstr(request, ttl) != NULL);
    snprintf(fixture->log + used, sizeof fixture->log - used, "%.*s%s%s\n", (int)line, request,
             has_token ? " +" : "", is_odd ? " without its time to live" : "");
    /* The peer's lock makes this visible to the test's thread. */
    (void)peer_requests(peer);
}

static void serve(struct peer *peer, int fd, size_t connection, void *arg)
{
    struct fixture *fixture = arg;
    struct service service;
    struct buf request = {0};
    (void)connection;
    while (peer_read(peer, fd)) {
        peer_last_request(peer, &request);
        bool has_token = strstr(request.data, "X-aliyun-ecs-metadata-token: " TOKEN "\r\n") != NULL;
        service = fixture->service;
        note(peer, fixture, request.data, has_token);
        if (strncmp(request.data, "PUT /latest/api/token ", 22) == 0) {
            answer(fd, service.token_status, service.token);
        } else if (service.needs_token && !has_token) {
            answer(fd, 403, "no");
        } else if (strstr(request.data, "/security-credentials/ ") != NULL) {
            answer(fd, service.roles_status, service.roles);
        } else {
            answer(fd, service.document_status, service.document);
        }
        if (service.document == NULL) {
            break;
        }
    }
    buf_fini(&request);
}

static struct http *open_http(struct loop *loop, int64_t timeout_ms)
{
    struct http_options options = {.connect_timeout_ms = timeout_ms,
                                   .read_timeout_ms = timeout_ms,
                                   .answer_bytes_max = 4096,
                                   .proxy = "",
                                   .connections_max = 4,
                                   .is_secret = true};
    return http_new(loop, &options);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    memset(variables, 0, sizeof variables);
    fixture->loop = loop_new();
    fixture->service = (struct service){.token = TOKEN,
                                        .token_status = 200,
                                        .needs_token = true,
                                        .roles = "bridge-role\n",
                                        .roles_status = 200,
                                        .document = DOCUMENT,
                                        .document_status = 200};
    fixture->peer = peer_new(serve, fixture);
    snprintf(fixture->url, sizeof fixture->url, "http://127.0.0.1:%d", peer_port(fixture->peer));
    fixture->settings = (struct credential_settings){.provider = "default",
                                                     .metadata_url = fixture->url,
                                                     .role_name = "",
                                                     .uri = "",
                                                     .profile = "",
                                                     .cli_profile_file = "",
                                                     .profile_file = "",
                                                     .role_arn = "",
                                                     .role_session_name = "",
                                                     .role_session_s = 3600,
                                                     .role_policy = "",
                                                     .role_external_id = "",
                                                     .role_source = "default",
                                                     .oidc_provider_arn = "",
                                                     .oidc_token_file = "",
                                                     .sts_endpoint = "",
                                                     .sts_region = ""};
    fixture->context = (struct credential_context){.loop = fixture->loop,
                                                   .local_http = open_http(fixture->loop, 30000),
                                                   .metadata_http = open_http(fixture->loop, 30000),
                                                   .env = environment,
                                                   .now_ms = clock_wall_ms,
                                                   .settings = &fixture->settings};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    http_free(fixture->context.local_http);
    http_free(fixture->context.metadata_http);
    peer_free(fixture->peer);
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

static void set_patience(struct fixture *fixture, int64_t timeout_ms)
{
    http_free(fixture->context.local_http);
    http_free(fixture->context.metadata_http);
    fixture->context.local_http = open_http(fixture->loop, timeout_ms);
    fixture->context.metadata_http = open_http(fixture->loop, timeout_ms);
}

static void take(void *arg, enum status status, const struct credentials *credentials,
                 const char *text)
{
    struct fixture *fixture = arg;
    fixture->answered++;
    fixture->status = status;
    snprintf(fixture->text, sizeof fixture->text, "%s", text);
    assert_true((credentials != NULL) == (status == STATUS_OK));
    if (credentials != NULL) {
        assert_string_equal(credentials->access_key_secret.data, "testsecret");
        assert_string_equal(credentials->security_token.data, "CAIS+/=");
        snprintf(fixture->id, sizeof fixture->id, "%s", credentials->access_key_id.data);
        snprintf(fixture->provider, sizeof fixture->provider, "%s", credentials->provider);
        fixture->expires_at_ms = credentials->expires_at_ms;
        fixture->refresh_at_ms = credentials->refresh_at_ms;
    }
    if (fixture->is_running) {
        loop_stop(fixture->loop);
    }
}

static void get(struct fixture *fixture, struct credential_source *source)
{
    int answered = fixture->answered;
    fixture->log[0] = '\0';
    if (fixture->peer != NULL) {
        (void)peer_requests(fixture->peer);
    }
    credentials_get(source, take, fixture);
    if (fixture->answered == answered) {
        fixture->is_running = true;
        loop_run(fixture->loop);
        fixture->is_running = false;
    }
    assert_int_equal(fixture->answered, answered + 1);
    if (fixture->peer != NULL) {
        (void)peer_requests(fixture->peer);
    }
    assert_null(strstr(fixture->text, "testsecret"));
    assert_null(strstr(fixture->text, "CAIS"));
    assert_null(strstr(fixture->text, TOKEN));
}

static void get_once(struct fixture *fixture, struct credential_source *source)
{
    get(fixture, source);
    credentials_source_free(source);
}

static void get_role(struct fixture *fixture)
{
    get_once(fixture, credentials_ecs_ram_role_open(&fixture->context));
}

static void get_uri(struct fixture *fixture)
{
    fixture->service.needs_token = false;
    fixture->settings.uri = fixture->url;
    get_once(fixture, credentials_uri_open(&fixture->context));
}

static void check_ok(struct fixture *fixture, const char *log)
{
    if (fixture->status != STATUS_OK) {
        fail_msg("%s", fixture->text);
    }
    assert_string_equal(fixture->log, log);
    assert_string_equal(fixture->id, "STS.testid");
    assert_true(fixture->expires_at_ms == EXPIRES_MS);
}

static void check_failed(struct fixture *fixture, enum status status, const char *text)
{
    assert_int_equal(fixture->status, status);
    if (strstr(fixture->text, text) == NULL) {
        fail_msg("\"%s\" does not have \"%s\"", fixture->text, text);
    }
}

#define ROLES "GET /latest/meta-data/ram/security-credentials/"

/* --- the metadata service --- */

static void test_a_role_is_found_with_a_token(void **state)
{
    struct fixture *fixture = *state;
    get_role(fixture);
    check_ok(fixture, "PUT /latest/api/token\n" ROLES " +\n" ROLES "bridge-role +\n");
    assert_string_equal(fixture->provider, "ecs_ram_role");
    assert_true(fixture->refresh_at_ms == EXPIRES_MS - 3600000);
}

static void test_a_configured_role_needs_no_request_for_its_name(void **state)
{
    struct fixture *fixture = *state;
    variables[0][0] = "ALIBABA_CLOUD_ECS_METADATA";
    variables[0][1] = "by-variable";
    get_role(fixture);
    check_ok(fixture, "PUT /latest/api/token\n" ROLES "by-variable +\n");
    fixture->settings.role_name = "by-setting";
    get_role(fixture);
    check_ok(fixture, "PUT /latest/api/token\n" ROLES "by-setting +\n");
}

static void test_an_invalid_role_name_causes_no_request_for_it(void **state)
{
    struct fixture *fixture = *state;
    variables[0][0] = "ALIBABA_CLOUD_ECS_METADATA";
    variables[0][1] = "../x";
    get_role(fixture);
    check_failed(fixture, STATUS_INVALID, "ALIBABA_CLOUD_ECS_METADATA");
    variables[0][1] = "";
    fixture->service.roles = "a/../b";
    get_role(fixture);
    check_failed(fixture, STATUS_INVALID, "no RAM role");
    fixture->service.roles = "  \n";
    get_role(fixture);
    check_failed(fixture, STATUS_INVALID, "no RAM role");
}

static void test_without_a_token_version_1_is_used(void **state)
{
    struct fixture *fixture = *state;
    fixture->service.token = "not found";
    fixture->service.token_status = 404;
    fixture->service.needs_token = false;
    get_role(fixture);
    check_ok(fixture, "PUT /latest/api/token\n" ROLES "\n" ROLES "bridge-role\n");
}

static void test_a_refused_token_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    fixture->service.token = "another-token";
    get_role(fixture);
    check_failed(fixture, STATUS_INVALID, "403");
    assert_string_equal(fixture->log, "PUT /latest/api/token\n" ROLES "\n" ROLES "\n");
}

static void test_version_1_may_be_forbidden(void **state)
{
    struct fixture *fixture = *state;
    fixture->service.token_status = 404;
    fixture->service.needs_token = false;
    variables[0][0] = "ALIBABA_CLOUD_IMDSV1_DISABLED";
    variables[0][1] = "TRUE";
    get_role(fixture);
    check_failed(fixture, STATUS_INVALID, "version 1");
    assert_string_equal(fixture->log, "PUT /latest/api/token\n");
    variables[0][1] = "false";
    get_role(fixture);
    check_ok(fixture, "PUT /latest/api/token\n" ROLES "\n" ROLES "bridge-role\n");
    fixture->settings.disable_imdsv1 = true;
    get_role(fixture);
    check_failed(fixture, STATUS_INVALID, "version 1");
}

static void test_a_variable_turns_the_metadata_service_off(void **state)
{
    struct fixture *fixture = *state;
    variables[0][0] = "ALIBABA_CLOUD_ECS_METADATA_DISABLED";
    variables[0][1] = "true";
    get_role(fixture);
    check_failed(fixture, STATUS_NOT_FOUND, "ALIBABA_CLOUD_ECS_METADATA_DISABLED");
    assert_int_equal(peer_connections(fixture->peer), 0);
}

static void test_an_instance_without_a_role_is_reported(void **state)
{
    struct fixture *fixture = *state;
    fixture->service.roles_status = 404;
    get_role(fixture);
    check_failed(fixture, STATUS_NOT_FOUND, "no RAM role");
}

static void test_errors_in_answers_of_the_metadata_service(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *document;
        int http_status;
        enum status status;
        const char *text;
    } rows[] = {
        {"oops", 500, STATUS_UNAVAILABLE, "HTTP status 500"},
        {"slow down", 429, STATUS_UNAVAILABLE, "HTTP status 429"},
        {"no such role", 404, STATUS_INVALID, "HTTP status 404"},
        {"<html>", 200, STATUS_INVALID, "not JSON"},
        {"{\"Code\":\"Success\",\"AccessKeyId\":\"a\"", 200, STATUS_INVALID, "not JSON"},
        {"{}", 200, STATUS_INVALID, "Code is missing"},
        {"{\"Code\":200}", 200, STATUS_INVALID, "Code is missing or not a string"},
        {"{\"Code\":\"Failed\"}", 200, STATUS_INVALID, "Code is Failed"},
        {"{\"Code\":\"two words\"}", 200, STATUS_INVALID, "Code is invalid"},
        {"{\"Code\":\"Success\",\"AccessKeyId\":[]}", 200, STATUS_INVALID, "AccessKeyId"},
        {"{\"Code\":\"Success\"}", 200, STATUS_INVALID, "AccessKeyId is missing"},
        {"", 200, STATUS_INVALID, "not JSON"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture->service.document = rows[i].document;
        fixture->service.document_status = rows[i].http_status;
        get_role(fixture);
        check_failed(fixture, rows[i].status, rows[i].text);
    }
}

static void test_a_missing_metadata_service_is_an_error_only_if_it_is_configured(void **state)
{
    struct fixture *fixture = *state;
    struct credential_source *source = credentials_ecs_ram_role_open(&fixture->context);
    get(fixture, source);
    assert_int_equal(fixture->status, STATUS_OK);
    peer_free(fixture->peer);
    fixture->peer = NULL;
    get_once(fixture, source);
    check_failed(fixture, STATUS_UNAVAILABLE, "no answer");
    get_role(fixture);
    check_failed(fixture, STATUS_NOT_FOUND, "no answer");
    fixture->settings.provider = "ecs_ram_role";
    get_role(fixture);
    check_failed(fixture, STATUS_UNAVAILABLE, "no answer");
}

static void test_a_service_that_does_not_answer_is_given_up_soon(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.provider = "ecs_ram_role";
    fixture->service.document = "...";
    set_patience(fixture, 300);
    get_role(fixture);
    check_failed(fixture, STATUS_UNAVAILABLE, "300 ms");
    get_uri(fixture);
    check_failed(fixture, STATUS_UNAVAILABLE, "300 ms");
}

static void test_a_connection_that_ends_without_an_answer_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.provider = "ecs_ram_role";
    fixture->service.document = NULL;
    get_role(fixture);
    check_failed(fixture, STATUS_UNAVAILABLE, "no answer");
    get_uri(fixture);
    check_failed(fixture, STATUS_UNAVAILABLE, "no answer");
}

static void test_a_source_freed_during_a_request_has_no_callback(void **state)
{
    struct fixture *fixture = *state;
    fixture->service.document = "...";
    struct credential_source *role = credentials_ecs_ram_role_open(&fixture->context);
    struct credential_source *uri = credentials_uri_new(&fixture->context, fixture->url);
    fixture->service.needs_token = false;
    credentials_get(uri, take, fixture);
    credentials_get(role, take, fixture);
    credentials_source_free(uri);
    credentials_source_free(role);
    get_once(fixture, credentials_uri_new(&fixture->context, "ftp://x"));
    assert_int_equal(fixture->answered, 1);
}

/* --- the credentials URI --- */

static void test_a_uri_gives_a_document(void **state)
{
    struct fixture *fixture = *state;
    char url[96];
    fixture->service.needs_token = false;
    snprintf(url, sizeof url, "%s/path?x=1", fixture->url);
    variables[0][0] = "ALIBABA_CLOUD_CREDENTIALS_URI";
    variables[0][1] = url;
    get_once(fixture, credentials_uri_open(&fixture->context));
    check_ok(fixture, "GET /path?x=1\n");
    assert_string_equal(fixture->provider, "credential_uri");
    get_uri(fixture);
    check_ok(fixture, "GET /\n");
}

static void test_a_uri_that_is_not_set_or_invalid(void **state)
{
    struct fixture *fixture = *state;
    get_once(fixture, credentials_uri_open(&fixture->context));
    check_failed(fixture, STATUS_NOT_FOUND, "ALIBABA_CLOUD_CREDENTIALS_URI");
    get_once(fixture, credentials_uri_new(&fixture->context, "file:///etc/passwd"));
    check_failed(fixture, STATUS_INVALID, "ALIBABA_CLOUD_CREDENTIALS_URI");
    get_once(fixture, credentials_uri_new(&fixture->context, "http://user:testsecret@h/"));
    check_failed(fixture, STATUS_INVALID, "contains a user name");
}

static void test_errors_in_answers_of_a_uri(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *document;
        int http_status;
        enum status status;
        const char *text;
    } rows[] = {
        {DOCUMENT, 500, STATUS_UNAVAILABLE, "500"},
        {DOCUMENT, 403, STATUS_INVALID, "403"},
        {DOCUMENT, 302, STATUS_INVALID, "302"},
        {"", 200, STATUS_INVALID, "not JSON"},
        {"[]", 200, STATUS_INVALID, "not a JSON object"},
        {"{}", 200, STATUS_INVALID, "AccessKeyId"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture->service.document = rows[i].document;
        fixture->service.document_status = rows[i].http_status;
        get_uri(fixture);
        check_failed(fixture, rows[i].status, rows[i].text);
    }
}

/* --- the table --- */

static void set_variable(size_t index, const char *name, const char *value)
{
    variables[index][0] = name;
    variables[index][1] = value;
}

static void get_default(struct fixture *fixture)
{
    get_once(fixture, credentials_source_open(&fixture->context, "default"));
}

static void test_the_default_chain_has_its_order(void **state)
{
    struct fixture *fixture = *state;
    char uri[96];
    snprintf(uri, sizeof uri, "%s/uri", fixture->url);
    set_variable(0, "ALIBABA_CLOUD_ACCESS_KEY_ID", "STS.testid");
    set_variable(1, "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "testsecret");
    set_variable(2, "ALIBABA_CLOUD_SECURITY_TOKEN", "CAIS+/=");
    set_variable(3, "ALIBABA_CLOUD_CREDENTIALS_URI", uri);
    get_default(fixture);
    assert_string_equal(fixture->provider, "default/env");
    assert_string_equal(fixture->log, "");
    set_variable(0, "ALIBABA_CLOUD_ECS_METADATA", "r");
    get_default(fixture);
    assert_string_equal(fixture->provider, "default/ecs_ram_role");
    set_variable(0, "ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
    fixture->service.needs_token = false;
    get_default(fixture);
    assert_string_equal(fixture->provider, "default/credential_uri");
    assert_string_equal(fixture->log, "GET /uri\n");
}

static void test_a_chain_without_success_has_the_error_of_each_source(void **state)
{
    struct fixture *fixture = *state;
    set_variable(0, "ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
    set_variable(1, "ALIBABA_CLOUD_ACCESS_KEY_ID", "STS.testid");
    get_default(fixture);
    check_failed(fixture, STATUS_INVALID, "env: ALIBABA_CLOUD_ACCESS_KEY_ID is set but");
    check_failed(fixture, STATUS_INVALID, "\necs_ram_role: turned off");
    check_failed(fixture, STATUS_INVALID, "\ncredentials_uri: ALIBABA_CLOUD_CREDENTIALS_URI");
}

static void test_each_source_can_be_opened_by_its_name(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.provider = "ecs_ram_role";
    get_once(fixture, credentials_source_open(&fixture->context, "ecs_ram_role"));
    assert_string_equal(fixture->provider, "ecs_ram_role");
    assert_null(credentials_source_open(&fixture->context, "imds"));
    assert_null(credentials_source_open(&fixture->context, ""));
    credentials_source_free(NULL);
    credentials_fini(NULL);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_role_is_found_with_a_token),
        CASE(test_a_configured_role_needs_no_request_for_its_name),
        CASE(test_an_invalid_role_name_causes_no_request_for_it),
        CASE(test_without_a_token_version_1_is_used),
        CASE(test_a_refused_token_is_left_out),
        CASE(test_version_1_may_be_forbidden),
        CASE(test_a_variable_turns_the_metadata_service_off),
        CASE(test_an_instance_without_a_role_is_reported),
        CASE(test_errors_in_answers_of_the_metadata_service),
        CASE(test_a_missing_metadata_service_is_an_error_only_if_it_is_configured),
        CASE(test_a_service_that_does_not_answer_is_given_up_soon),
        CASE(test_a_connection_that_ends_without_an_answer_is_an_error),
        CASE(test_a_source_freed_during_a_request_has_no_callback),
        CASE(test_a_uri_gives_a_document),
        CASE(test_a_uri_that_is_not_set_or_invalid),
        CASE(test_errors_in_answers_of_a_uri),
        CASE(test_the_default_chain_has_its_order),
        CASE(test_a_chain_without_success_has_the_error_of_each_source),
        CASE(test_each_source_can_be_opened_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
