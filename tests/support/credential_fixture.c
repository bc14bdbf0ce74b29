#include "support/credential_fixture.h"

#include "aliyun/sign.h"
#include "base/clock.h"
#include "base/mem.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define VARIABLES_MAX  32
#define PARAMETERS_MAX 32
#define FAR_MS         30000
#define ANSWER_MAX     65536

/* --- the environment --- */

static struct {
    const char *name;
    char *value;
} variables[VARIABLES_MAX];

void fixture_env(const char *name, const char *value)
{
    size_t at = 0;
    while (at < VARIABLES_MAX && variables[at].name != NULL &&
           strcmp(variables[at].name, name) != 0) {
        at++;
    }
    assert_true(at < VARIABLES_MAX);
    free(variables[at].value);
    variables[at].name = name;
    variables[at].value = mem_strdup(value);
}

static const char *variable(const char *name)
{
    for (size_t i = 0; i < VARIABLES_MAX && variables[i].name != NULL; i++) {
        if (strcmp(variables[i].name, name) == 0) {
            return variables[i].value;
        }
    }
    return NULL;
}

static void forget_environment(void)
{
    for (size_t i = 0; i < VARIABLES_MAX; i++) {
        free(variables[i].value);
        variables[i].name = NULL;
        variables[i].value = NULL;
    }
}

/* --- the service --- */

struct form {
    struct sign_pair pairs[PARAMETERS_MAX];
    size_t count;
    struct buf text; /* names and values, decoded */
};

static char hex_value(char c)
{
    return (char)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* Decodes a name or a value and adds a NUL; returns where the next one starts. */
static const char *decode(const char *from, char **to)
{
    while (strchr("=& \r\n", *from) == NULL) {
        char c = *from++;
        if (c == '%') {
            c = (char)(hex_value(from[0]) * 16 + hex_value(from[1]));
            from += 2;
        }
        *(*to)++ = c;
    }
    *(*to)++ = '\0';
    return from;
}

static void form_read(struct form *form, const char *from, char **to)
{
    while (*from != '\0' && *from != ' ' && form->count < PARAMETERS_MAX) {
        struct sign_pair *pair = &form->pairs[form->count++];
        pair->name = *to;
        from = decode(from, to);
        pair->value.data = *to;
        from = decode(from + 1, to);
        pair->value.length = (size_t)(*to - pair->value.data) - 1;
        from += *from == '&' ? 1 : 0;
    }
}

/* Query and body together, as in the signature. */
static void form_init(struct form *form, const char *request)
{
    const char *query = strchr(request, '?');
    const char *body = strstr(request, "\r\n\r\n");
    *form = (struct form){0};
    char *to = buf_reserve(&form->text, 2 * strlen(request) + 2);
    if (query != NULL && query < strchr(request, '\r')) {
        form_read(form, query + 1, &to);
    }
    if (body != NULL && body[4] != '{') {
        form_read(form, body + 4, &to);
    }
}

static const char *form_value(const struct form *form, const char *name)
{
    for (size_t i = 0; i < form->count; i++) {
        if (strcmp(form->pairs[i].name, name) == 0) {
            return form->pairs[i].value.data;
        }
    }
    return NULL;
}

static bool signature_is_right(const char *request, const char *secret)
{
    struct form form;
    struct buf query = {0};
    struct buf lines = {0};
    struct buf expected = {0};
    form_init(&form, request);
    const char *signature = form_value(&form, "Signature");
    size_t kept = 0;
    for (size_t i = 0; i < form.count; i++) {
        if (strcmp(form.pairs[i].name, "Signature") != 0) {
            form.pairs[kept++] = form.pairs[i];
        }
    }
    sign_canonical_query(form.pairs, kept, &query);
    sign_v1_string_to_sign("POST", buf_slice(&query), &lines);
    sign_v1_signature(slice_text(secret), buf_slice(&lines), &expected);
    bool is_right = signature != NULL && strcmp(signature, expected.data) == 0;
    buf_fini(&query);
    buf_fini(&lines);
    buf_fini(&expected);
    buf_fini(&form.text);
    return is_right;
}

static void respond(int fd, int status, const char *body)
{
    struct buf text = {0};
    buf_printf(&text, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    peer_write(fd, text.data);
    buf_fini(&text);
}

static struct fixture_answer answer_now(struct fixture *fixture)
{
    pthread_mutex_lock(&fixture->lock);
    struct fixture_answer answer = fixture->answer_now;
    pthread_mutex_unlock(&fixture->lock);
    return answer;
}

static void publish_answer(struct fixture *fixture)
{
    pthread_mutex_lock(&fixture->lock);
    fixture->answer_now = fixture->answer;
    pthread_mutex_unlock(&fixture->lock);
}

static const struct fixture_route *find_route(const struct fixture_route *routes,
                                              const char *request)
{
    while (routes != NULL && routes->start != NULL) {
        if (strncmp(request, routes->start, strlen(routes->start)) == 0) {
            return routes;
        }
        routes++;
    }
    return NULL;
}

static void serve(struct peer *peer, int fd, size_t connection, void *arg)
{
    struct buf request = {0};
    (void)connection;
    while (peer_read(peer, fd)) {
        struct fixture_answer answer = answer_now(arg);
        peer_last_request(peer, &request);
        const struct fixture_route *route = find_route(answer.routes, request.data);
        if (route != NULL) {
            respond(fd, route->status, route->body);
            continue;
        }
        if (answer.is_silent) {
            peer_wait_ms(fd, FAR_MS);
            break;
        }
        if (answer.body == NULL) {
            break;
        }
        if (answer.signing_secret != NULL &&
            !signature_is_right(request.data, answer.signing_secret)) {
            respond(fd, 400, "{\"Code\":\"SignatureDoesNotMatch\",\"Message\":\"no\"}");
        } else {
            respond(fd, answer.status, answer.body);
        }
    }
    buf_fini(&request);
}

const char *fixture_parameter(struct fixture *fixture, const char *name)
{
    static char value[4096];
    struct buf request = {0};
    struct form form;
    peer_last_request(fixture->peer, &request);
    form_init(&form, buf_slice(&request).data);
    const char *found = form_value(&form, name);
    if (found != NULL) {
        snprintf(value, sizeof value, "%s", found);
    }
    buf_fini(&form.text);
    buf_fini(&request);
    return found == NULL ? NULL : value;
}

/* --- the fixture --- */

static struct http *make_http(struct fixture *fixture, int64_t read_ms)
{
    struct http_options options = {
        .connect_timeout_ms = FAR_MS,
        .read_timeout_ms = read_ms,
        .answer_bytes_max = ANSWER_MAX,
        .proxy = "",
        .connections_max = 4,
        .is_secret = true,
    };
    return http_new(fixture->loop, &options);
}

void fixture_set_timeout(struct fixture *fixture, int64_t read_ms)
{
    http_free(fixture->context.http);
    http_free(fixture->context.local_http);
    http_free(fixture->context.metadata_http);
    fixture->context.http = make_http(fixture, read_ms);
    fixture->context.local_http = make_http(fixture, read_ms);
    fixture->context.metadata_http = make_http(fixture, read_ms);
}

int fixture_set_up(void **state)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    static char empty[] = "";
    static char role_source[] = "env";
    static char provider[] = "default";
    pthread_mutex_init(&fixture->lock, NULL);
    fixture->loop = loop_new();
    fixture->peer = peer_new(serve, fixture);
    snprintf(fixture->url, sizeof fixture->url, "http://127.0.0.1:%d", peer_port(fixture->peer));
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/test_credentials.XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->settings = (struct credential_settings){
        .provider = provider,
        .metadata_url = fixture->url,
        .role_name = empty,
        .uri = empty,
        .profile = empty,
        .cli_profile_file = empty,
        .profile_file = empty,
        .role_arn = empty,
        .role_session_name = empty,
        .role_session_s = 3600,
        .role_policy = empty,
        .role_external_id = empty,
        .role_source = role_source,
        .oidc_provider_arn = empty,
        .oidc_token_file = empty,
        .sts_endpoint = fixture->url,
        .sts_region = empty,
    };
    fixture->context = (struct credential_context){.loop = fixture->loop,
                                                   .env = variable,
                                                   .now_ms = clock_wall_ms,
                                                   .settings = &fixture->settings};
    fixture_set_timeout(fixture, FAR_MS);
    fixture_env("HOME", fixture->folder);
    *state = fixture;
    return 0;
}

static int remove_entry(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found;
    (void)kind;
    (void)place;
    return remove(path);
}

int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    http_free(fixture->context.http);
    http_free(fixture->context.local_http);
    http_free(fixture->context.metadata_http);
    peer_free(fixture->peer);
    loop_free(fixture->loop);
    credentials_fini(&fixture->got);
    pthread_mutex_destroy(&fixture->lock);
    forget_environment();
    nftw(fixture->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

const char *fixture_file(struct fixture *fixture, const char *name, mode_t mode,
                         const char *content)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    (void)mkdir(path, 0700);
    *slash = '/';
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static void take(void *arg, enum status status, const struct credentials *credentials,
                 const char *text)
{
    struct fixture *fixture = arg;
    fixture->answered++;
    fixture->status = status;
    assert_true((credentials != NULL) == (status == STATUS_OK));
    assert_non_null(text);
    snprintf(fixture->text, sizeof fixture->text, "%s", text);
    credentials_fini(&fixture->got);
    if (credentials != NULL) {
        credentials_copy(&fixture->got, credentials);
    }
    if (fixture->is_running) {
        loop_stop(fixture->loop);
    }
}

void fixture_get(struct fixture *fixture, struct credential_source *source)
{
    fixture->answered = 0;
    publish_answer(fixture);
    assert_non_null(source);
    credentials_get(source, take, fixture);
    if (fixture->answered == 0) {
        fixture->is_running = true;
        loop_run(fixture->loop);
        fixture->is_running = false;
    }
    assert_int_equal(fixture->answered, 1);
    assert_null(strstr(fixture->text, SECRET_WORD));
}

void fixture_get_once(struct fixture *fixture, struct credential_source *source)
{
    fixture_get(fixture, source);
    credentials_source_free(source);
}

void fixture_assert_got(const struct fixture *fixture, const char *id, const char *secret,
                        const char *token, const char *provider)
{
    if (fixture->status != STATUS_OK) {
        fail_msg("%s", fixture->text);
    }
    assert_string_equal(secret_slice(&fixture->got.access_key_id).data, id);
    assert_string_equal(secret_slice(&fixture->got.access_key_secret).data, secret);
    assert_string_equal(secret_slice(&fixture->got.security_token).data,
                        token == NULL ? "" : token);
    assert_int_equal(secret_is_set(&fixture->got.security_token), token != NULL);
    assert_string_equal(fixture->got.provider, provider);
}

void fixture_assert_failed(const struct fixture *fixture, enum status status, const char *text)
{
    if (strstr(fixture->text, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, fixture->text);
    }
    assert_int_equal(fixture->status, status);
}
