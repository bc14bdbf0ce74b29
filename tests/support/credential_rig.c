#include "support/credential_rig.h"

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

void rig_env(const char *name, const char *value)
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

/* Decodes one side of a pair to its NUL; gives where the next begins. */
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

/* Query and body together, as they are signed. */
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

static struct rig_answer answer_now(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    struct rig_answer answer = rig->answer_now;
    pthread_mutex_unlock(&rig->lock);
    return answer;
}

static void publish_answer(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    rig->answer_now = rig->answer;
    pthread_mutex_unlock(&rig->lock);
}

static const struct rig_route *find_route(const struct rig_route *routes, const char *request)
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
        struct rig_answer answer = answer_now(arg);
        peer_last_request(peer, &request);
        const struct rig_route *route = find_route(answer.routes, request.data);
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

const char *rig_parameter(struct rig *rig, const char *name)
{
    static char value[4096];
    struct buf request = {0};
    struct form form;
    peer_last_request(rig->peer, &request);
    form_init(&form, buf_slice(&request).data);
    const char *found = form_value(&form, name);
    if (found != NULL) {
        snprintf(value, sizeof value, "%s", found);
    }
    buf_fini(&form.text);
    buf_fini(&request);
    return found == NULL ? NULL : value;
}

/* --- the rig --- */

static struct http *make_http(struct rig *rig, int64_t read_ms)
{
    struct http_options options = {
        .connect_timeout_ms = FAR_MS,
        .read_timeout_ms = read_ms,
        .answer_bytes_max = ANSWER_MAX,
        .ca_file = "",
        .proxy = "",
        .connections_max = 4,
        .is_secret = true,
    };
    return http_new(rig->loop, &options);
}

void rig_set_timeout(struct rig *rig, int64_t read_ms)
{
    http_free(rig->context.http);
    http_free(rig->context.local_http);
    http_free(rig->context.metadata_http);
    rig->context.http = make_http(rig, read_ms);
    rig->context.local_http = make_http(rig, read_ms);
    rig->context.metadata_http = make_http(rig, read_ms);
}

int rig_set_up(void **state)
{
    struct rig *rig = mem_zalloc(1, sizeof *rig);
    static char empty[] = "";
    static char role_source[] = "env";
    static char provider[] = "default";
    pthread_mutex_init(&rig->lock, NULL);
    rig->loop = loop_new();
    rig->peer = peer_new(serve, rig);
    snprintf(rig->url, sizeof rig->url, "http://127.0.0.1:%d", peer_port(rig->peer));
    snprintf(rig->folder, sizeof rig->folder, "/tmp/test_credentials.XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    rig->settings = (struct credential_settings){
        .provider = provider,
        .metadata_url = rig->url,
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
        .sts_endpoint = rig->url,
        .sts_region = empty,
    };
    rig->context = (struct credential_context){
        .loop = rig->loop, .env = variable, .now_ms = clock_wall_ms, .settings = &rig->settings};
    rig_set_timeout(rig, FAR_MS);
    rig_env("HOME", rig->folder);
    *state = rig;
    return 0;
}

static int remove_entry(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found;
    (void)kind;
    (void)place;
    return remove(path);
}

int rig_tear_down(void **state)
{
    struct rig *rig = *state;
    http_free(rig->context.http);
    http_free(rig->context.local_http);
    http_free(rig->context.metadata_http);
    peer_free(rig->peer);
    loop_free(rig->loop);
    credentials_fini(&rig->got);
    pthread_mutex_destroy(&rig->lock);
    forget_environment();
    nftw(rig->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(rig);
    return 0;
}

const char *rig_file(struct rig *rig, const char *name, mode_t mode, const char *content)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", rig->folder, name);
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
    struct rig *rig = arg;
    rig->told++;
    rig->status = status;
    assert_true((credentials != NULL) == (status == STATUS_OK));
    assert_non_null(text);
    snprintf(rig->text, sizeof rig->text, "%s", text);
    credentials_fini(&rig->got);
    if (credentials != NULL) {
        credentials_copy(&rig->got, credentials);
    }
    if (rig->is_running) {
        loop_stop(rig->loop);
    }
}

void rig_get(struct rig *rig, struct credential_source *source)
{
    rig->told = 0;
    publish_answer(rig);
    assert_non_null(source);
    credentials_get(source, take, rig);
    if (rig->told == 0) {
        rig->is_running = true;
        loop_run(rig->loop);
        rig->is_running = false;
    }
    assert_int_equal(rig->told, 1);
    assert_null(strstr(rig->text, SECRET_WORD));
}

void rig_get_once(struct rig *rig, struct credential_source *source)
{
    rig_get(rig, source);
    credentials_source_free(source);
}

void rig_assert_got(const struct rig *rig, const char *id, const char *secret, const char *token,
                    const char *provider)
{
    if (rig->status != STATUS_OK) {
        fail_msg("%s", rig->text);
    }
    assert_string_equal(secret_slice(&rig->got.access_key_id).data, id);
    assert_string_equal(secret_slice(&rig->got.access_key_secret).data, secret);
    assert_string_equal(secret_slice(&rig->got.security_token).data, token == NULL ? "" : token);
    assert_int_equal(secret_is_set(&rig->got.security_token), token != NULL);
    assert_string_equal(rig->got.provider, provider);
}

void rig_assert_failed(const struct rig *rig, enum status status, const char *text)
{
    if (strstr(rig->text, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, rig->text);
    }
    assert_int_equal(rig->status, status);
}
