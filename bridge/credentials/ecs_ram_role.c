/*
 * The role of an ECS instance, from its metadata service:
 *
 *   PUT for a token → GET the role's name, unless it is configured → GET the role's credentials
 *
 * If the service gives no token (an old one, or version 2 is turned off), the next requests go
 * without one, where the settings allow version 1. If the service refuses its own token, the
 * request is repeated once without it, as the vendor's SDKs do.
 */
#include "sources.h"

#include "base/mem.h"
#include "document.h"
#include "model/ram.h"

#include <stdlib.h>
#include <string.h>

#define ROLE_VARIABLE     "ALIBABA_CLOUD_ECS_METADATA"
#define DISABLED_VARIABLE "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
#define NO_V1_VARIABLE    "ALIBABA_CLOUD_IMDSV1_DISABLED"

#define TOKEN_PATH   "/latest/api/token"
#define ROLES_PATH   "/latest/meta-data/ram/security-credentials/"
#define TTL_HEADER   "X-aliyun-ecs-metadata-token-ttl-seconds: 21600"
#define TOKEN_HEADER "X-aliyun-ecs-metadata-token: "

#define TOKEN_BYTES_MAX  4096
#define CODE_BYTES_MAX   64
#define REFRESH_AHEAD_MS 3600000 /* the service has new ones an hour before the end */
#define DEPTH_MAX        16
#define WHITE_SPACE      " \t\n\v\f\r"

struct role_source {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    char *given_role;    /* NULL: the service names it */
    struct secret token; /* not set: version 1 of the protocol */
    struct buf role;
    bool is_expected; /* a metadata service should exist */
    credentials_got_fn *got;
    void *arg;
};

/* --- the end of a get --- */

static void finish(struct role_source *role, enum status status, struct credentials *credentials,
                   const char *text)
{
    secret_fini(&role->token);
    role->got(role->arg, status, credentials, text);
}

static void fail_answer(struct role_source *role, const char *what,
                        const struct http_answer *answer)
{
    struct buf text = {0};
    enum status status = STATUS_INVALID;
    if (answer->result != HTTP_ANSWERED) {
        buf_printf(&text, "the metadata service gave no answer: %s", answer->error);
        /* Outside the cloud there is no service. */
        status = role->is_expected ? STATUS_UNAVAILABLE : STATUS_NOT_FOUND;
    } else {
        buf_printf(&text, "the metadata service answered the request for %s with HTTP status %d",
                   what, answer->status);
        status = credential_status_of_http(answer->status);
    }
    finish(role, status, NULL, text.data);
    buf_fini(&text);
}

/* --- requests --- */

static bool may_v1(const struct role_source *role)
{
    return !role->context->settings->disable_imdsv1 &&
           !credential_env_is_true(role->context, NO_V1_VARIABLE);
}

static void request_path(struct role_source *role, const char *method, const char *path,
                         const char *tail, const char *header, http_done_fn *done)
{
    struct buf url = {0};
    buf_printf(&url, "%s%s%s", role->context->settings->metadata_url, path, tail);
    struct http_request request = {.method = method,
                                   .url = url.data,
                                   .headers = &header,
                                   .header_count = header == NULL ? 0 : 1,
                                   .body = slice_text("")};
    http_send(role->context->metadata_http, &request, done, role);
    buf_fini(&url);
}

static void request_role(struct role_source *role, const char *tail, http_done_fn *done)
{
    struct buf header = {0};
    if (!secret_is_set(&role->token)) {
        request_path(role, "GET", ROLES_PATH, tail, NULL, done);
        return;
    }
    struct slice token = secret_slice(&role->token);
    buf_reserve(&header, sizeof TOKEN_HEADER + token.length);
    buf_append_text(&header, TOKEN_HEADER);
    buf_append(&header, token);
    request_path(role, "GET", ROLES_PATH, tail, header.data, done);
    secret_wipe(header.data, header.length);
    buf_fini(&header);
}

/* Whether the token was refused and the request may be repeated without it. */
static bool drop_refused_token(struct role_source *role, const struct http_answer *answer)
{
    bool is_refused =
        answer->result == HTTP_ANSWERED && (answer->status == 401 || answer->status == 403);
    if (!is_refused || !secret_is_set(&role->token) || !may_v1(role)) {
        return false;
    }
    secret_fini(&role->token);
    return true;
}

/* --- the document --- */

static enum status read_document(struct slice body, struct credentials *out, struct buf *why)
{
    struct json_fault fault;
    struct json *root = json_parse(body, DEPTH_MAX, &fault);
    enum status status = STATUS_INVALID;
    struct slice code = json_text(json_member(root, "Code"));
    buf_append_text(why, "the metadata service's document: ");
    if (root == NULL) {
        buf_printf(why, "not JSON: %s at byte %zu", fault.what, fault.offset);
    } else if (!slice_is_present(code)) {
        buf_append_text(why, "Code is missing or not a string");
    } else if (slice_equals_text(code, "Success")) {
        status = credentials_read_object(root, &credential_form_plain, out, why);
    } else {
        bool is_word = code.length <= CODE_BYTES_MAX && credentials_is_key(code);
        buf_printf(why, "Code is %.*s", is_word ? (int)code.length : 7,
                   is_word ? code.data : "invalid");
    }
    json_free_secret(root);
    return status;
}

static void document_came(void *arg, const struct http_answer *answer)
{
    struct role_source *role = arg;
    if (drop_refused_token(role, answer)) {
        request_role(role, role->role.data, document_came);
        return;
    }
    if (answer->result != HTTP_ANSWERED || answer->status != 200) {
        fail_answer(role, "the role's credentials", answer);
        return;
    }
    struct credentials credentials = {0};
    struct buf why = {0};
    enum status status = read_document(answer->body, &credentials, &why);
    if (status == STATUS_OK) {
        credentials.refresh_at_ms = credentials.expires_at_ms - REFRESH_AHEAD_MS;
        credentials_set_provider(&credentials, "ecs_ram_role");
        role->is_expected = true;
    }
    finish(role, status, status == STATUS_OK ? &credentials : NULL, why.data);
    credentials_fini(&credentials);
    buf_fini(&why);
}

/* --- the role --- */

static void request_document(struct role_source *role, struct slice name, const char *what)
{
    if (!ram_role_name_is_valid(name)) {
        finish(role, STATUS_INVALID, NULL, what);
        return;
    }
    buf_clear(&role->role);
    buf_append(&role->role, name);
    request_role(role, role->role.data, document_came);
}

static void name_came(void *arg, const struct http_answer *answer)
{
    struct role_source *role = arg;
    if (drop_refused_token(role, answer)) {
        request_role(role, "", name_came);
    } else if (answer->result == HTTP_ANSWERED && answer->status == 404) {
        finish(role, STATUS_NOT_FOUND, NULL, "the instance has no RAM role");
    } else if (answer->result != HTTP_ANSWERED || answer->status != 200) {
        fail_answer(role, "the role's name", answer);
    } else {
        request_document(role, slice_trim(answer->body, WHITE_SPACE),
                         "the metadata service names no RAM role, or an invalid one");
    }
}

/* --- the token --- */

static void token_came(void *arg, const struct http_answer *answer)
{
    struct role_source *role = arg;
    bool has_answer = answer->result == HTTP_ANSWERED && answer->status == 200;
    struct slice token = has_answer ? slice_trim(answer->body, WHITE_SPACE) : slice_text("");
    if (answer->result == HTTP_NOT_SENT) {
        fail_answer(role, "a token", answer);
        return;
    }
    if (token.length > 0 && token.length <= TOKEN_BYTES_MAX && credentials_is_key(token)) {
        secret_set(&role->token, token);
    } else if (!may_v1(role)) {
        finish(role, STATUS_INVALID, NULL,
               "the metadata service gave no token, and requests without one (version 1) are not "
               "allowed");
        return;
    }
    if (role->given_role != NULL) {
        request_document(role, slice_text(role->given_role),
                         "the role's name (credentials.role_name, " ROLE_VARIABLE
                         ") has a character that role names cannot have");
    } else {
        request_role(role, "", name_came);
    }
}

/* --- the source --- */

static void role_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct role_source *role = (struct role_source *)source;
    if (credential_env_is_true(role->context, DISABLED_VARIABLE)) {
        got(arg, STATUS_NOT_FOUND, NULL, "turned off by " DISABLED_VARIABLE);
        return;
    }
    role->got = got;
    role->arg = arg;
    request_path(role, "PUT", TOKEN_PATH, "", TTL_HEADER, token_came);
}

static void role_free(struct credential_source *source)
{
    struct role_source *role = (struct role_source *)source;
    http_drop(role->context->metadata_http, token_came, role);
    http_drop(role->context->metadata_http, name_came, role);
    http_drop(role->context->metadata_http, document_came, role);
    secret_fini(&role->token);
    buf_fini(&role->role);
    free(role->given_role);
    free(role);
}

struct credential_source *credentials_ecs_ram_role_new(const struct credential_context *context,
                                                       const char *role_name)
{
    static const struct credential_source_ops ops = {
        .name = "ecs_ram_role", .get = role_get, .free = role_free};
    struct role_source *role = mem_zalloc(1, sizeof *role);
    role->source.ops = &ops;
    role->context = context;
    role->given_role = mem_strdup(role_name);
    role->is_expected =
        role_name != NULL || strcmp(context->settings->provider, "ecs_ram_role") == 0;
    return &role->source;
}

struct credential_source *credentials_ecs_ram_role_open(const struct credential_context *context)
{
    return credentials_ecs_ram_role_new(
        context, credential_value(context, context->settings->role_name, ROLE_VARIABLE));
}
