/* The platform writes the workload's token to a file and renews it there. */
#include "base/clock.h"
#include "base/mem.h"
#include "common.h"
#include "roles.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ROLE_NAME     "ALIBABA_CLOUD_ROLE_ARN"
#define SESSION_NAME  "ALIBABA_CLOUD_ROLE_SESSION_NAME"
#define PROVIDER_NAME "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
#define TOKEN_NAME    "ALIBABA_CLOUD_OIDC_TOKEN_FILE"

struct oidc_source {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    struct sts_role role;
    char *provider_arn;
    struct key_file token_file; /* no path: not configured */
    char *endpoint;             /* NULL: it is wrong */
    struct buf why;             /* what is wrong or not configured */
    enum status status;
    struct secret token;
    credentials_got_fn *got; /* NULL: no get is running */
    void *arg;
};

static void on_answer(void *arg, const struct http_answer *answer)
{
    struct oidc_source *oidc = arg;
    credentials_got_fn *got = oidc->got;
    struct credentials taken = {0};
    struct credentials caller = {.security_token = oidc->token};
    struct buf why = {0};
    oidc->got = NULL;
    enum status status =
        service_answer_read(answer, "STS", &credential_form_sts, &caller, &taken, &why);
    secret_fini(&oidc->token);
    credentials_set_provider(&taken, "oidc_role_arn");
    credential_finish(got, oidc->arg, status, &taken, &why);
}

static enum status read_token(struct oidc_source *oidc, struct buf *out_why)
{
    struct secret content = {0};
    enum status status = key_file_read(&oidc->token_file, &content, out_why);
    struct slice token = secret_slice(&content);
    while (token.length > 0 && strchr("\r\n", token.data[token.length - 1]) != NULL) {
        token.length--; /* line ends that editors add */
    }
    if (status == STATUS_OK && token.length == 0) {
        buf_printf(out_why, "%s is empty; it must hold the OIDC token", oidc->token_file.path);
        status = STATUS_INVALID;
    } else if (status == STATUS_OK && !credentials_is_key(token)) {
        buf_printf(out_why, "%s holds a character that OIDC tokens cannot have",
                   oidc->token_file.path);
        status = STATUS_INVALID;
    } else if (status == STATUS_OK) {
        secret_set(&oidc->token, token);
    }
    secret_fini(&content);
    return status == STATUS_OK ? STATUS_OK : STATUS_INVALID;
}

static void oidc_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct oidc_source *oidc = (struct oidc_source *)source;
    struct buf why = {0};
    const char *phrase = NULL;
    assert(oidc->got == NULL);
    enum status status = oidc->status;
    if (status != STATUS_OK) {
        buf_append(&why, buf_slice(&oidc->why));
    } else if (sts_role_check(&oidc->role, &phrase) != STATUS_OK) {
        buf_append_text(&why, phrase);
        status = STATUS_INVALID;
    } else {
        status = read_token(oidc, &why);
    }
    if (status != STATUS_OK) {
        got(arg, status, NULL, why.data);
    } else {
        struct sts_request request = {{0}, {0}};
        char date[CLOCK_TEXT_BYTES];
        oidc->got = got;
        oidc->arg = arg;
        clock_format_s(oidc->context->now_ms(), date);
        sts_assume_role_with_oidc(oidc->endpoint, &oidc->role, oidc->provider_arn, &oidc->token,
                                  date, &request);
        service_sts_send(oidc->context, &request, on_answer, oidc);
    }
    buf_fini(&why);
}

static void oidc_files(struct credential_source *source, credentials_file_fn *report, void *arg)
{
    struct oidc_source *oidc = (struct oidc_source *)source;
    if (oidc->token_file.path != NULL) {
        report(arg, oidc->token_file.path);
    }
}

static void oidc_free(struct credential_source *source)
{
    struct oidc_source *oidc = (struct oidc_source *)source;
    if (oidc->got != NULL) {
        http_drop(oidc->context->http, on_answer, oidc);
    }
    sts_role_fini(&oidc->role);
    key_file_fini(&oidc->token_file);
    secret_fini(&oidc->token);
    buf_fini(&oidc->why);
    free(oidc->provider_arn);
    free(oidc->endpoint);
    free(oidc);
}

struct credential_source *credentials_oidc_role_arn_new(const struct credential_context *context,
                                                        struct sts_role *role,
                                                        const char *provider_arn,
                                                        const char *token_file, char *endpoint)
{
    static const struct credential_source_ops ops = {
        .name = "oidc_role_arn", .get = oidc_get, .files = oidc_files, .free = oidc_free};
    struct oidc_source *oidc = mem_zalloc(1, sizeof *oidc);
    oidc->source.ops = &ops;
    oidc->context = context;
    oidc->role = *role;
    oidc->provider_arn = mem_strdup(provider_arn);
    oidc->endpoint = endpoint;
    if (token_file != NULL) {
        key_file_init(&oidc->token_file, context, token_file);
    }
    *role = (struct sts_role){0};
    return &oidc->source;
}

static void note_missing(struct oidc_source *oidc, const char *value, const char *name)
{
    if (value == NULL) {
        buf_printf(&oidc->why, "%s%s", oidc->why.length > 0 ? ", " : "not set: ", name);
        oidc->status = STATUS_NOT_FOUND;
    }
}

struct credential_source *credentials_oidc_role_arn_open(const struct credential_context *context)
{
    const struct credential_settings *settings = context->settings;
    const char *provider_arn =
        credential_value(context, settings->oidc_provider_arn, PROVIDER_NAME);
    const char *token_file = credential_value(context, settings->oidc_token_file, TOKEN_NAME);
    struct sts_role role = {0};
    struct buf url = {0};
    credentials_role_of_settings(context, false, &role);
    struct oidc_source *oidc = (struct oidc_source *)credentials_oidc_role_arn_new(
        context, &role, provider_arn, token_file, NULL);
    note_missing(oidc, oidc->role.arn, ROLE_NAME);
    note_missing(oidc, provider_arn, PROVIDER_NAME);
    note_missing(oidc, token_file, TOKEN_NAME);
    if (oidc->status == STATUS_OK) {
        oidc->status = service_sts_endpoint(context, NULL, NULL, false, &url, &oidc->why);
        oidc->endpoint = buf_take(&url);
    }
    return &oidc->source;
}

void credentials_role_of_settings(const struct credential_context *context, bool with_external_id,
                                  struct sts_role *out_role)
{
    const struct credential_settings *settings = context->settings;
    const char *external_id = with_external_id ? settings->role_external_id : NULL;
    sts_role_init(out_role, slice_text(credential_value(context, settings->role_arn, ROLE_NAME)),
                  slice_text(credential_value(context, settings->role_session_name, SESSION_NAME)),
                  slice_text(settings->role_policy), slice_text(external_id),
                  settings->role_session_s);
}
