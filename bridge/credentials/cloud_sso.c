/* A person signs in with the vendor's command line, which stores an access token. This source
 * exchanges the token for credentials until it expires. */
#include "base/mem.h"
#include "common.h"
#include "profiles.h"
#include "settings/url.h"

#include <assert.h>
#include <stdlib.h>

#define PATH         "/cloud-credentials"
#define HEADER_COUNT 4
#define SIGN_IN      "sign in again with `aliyun configure --mode CloudSSO`"

#define HTTP_UNAUTHORIZED 401

struct sso_source {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    char *url;       /* NULL: it is wrong */
    const char *why; /* what is wrong with it */
    char *account_id;
    char *access_config;
    struct secret access_token;
    int64_t expires_s;
    credentials_got_fn *got; /* NULL: no get is running */
    void *arg;
};

static void on_answer(void *arg, const struct http_answer *answer)
{
    struct sso_source *sso = arg;
    credentials_got_fn *got = sso->got;
    struct credentials taken = {0};
    struct credentials caller = {.security_token = sso->access_token};
    struct buf why = {0};
    sso->got = NULL;
    enum status status =
        service_answer_read(answer, "CloudSSO", &credential_form_cloud_sso, &caller, &taken, &why);
    if (answer->result == HTTP_ANSWERED && answer->status == HTTP_UNAUTHORIZED) {
        buf_append_text(&why, "; " SIGN_IN);
    }
    credentials_set_provider(&taken, "cloud_sso");
    credential_finish(got, sso->arg, status, &taken, &why);
}

static void sso_send(struct sso_source *sso)
{
    struct buf bearer = {0};
    struct buf body = {0};
    struct slice token = secret_slice(&sso->access_token);
    buf_reserve(&bearer, token.length + 64);
    buf_append_text(&bearer, "authorization: Bearer ");
    buf_append(&bearer, token);
    json_put_open(&body, '{');
    json_put_text(&body, "AccountId", slice_text(sso->account_id));
    json_put_text(&body, "AccessConfigurationId", slice_text(sso->access_config));
    json_put_close(&body, '}');
    const char *const headers[HEADER_COUNT] = {
        bearer.data,
        "content-type: application/json",
        "accept: application/json",
        HTTP_USER_AGENT,
    };
    struct http_request post = {
        .method = "POST",
        .url = sso->url,
        .headers = headers,
        .header_count = HEADER_COUNT,
        .body = buf_slice(&body),
    };
    http_send(sso->context->http, &post, on_answer, sso);
    secret_wipe(bearer.data, bearer.capacity);
    buf_fini(&bearer);
    buf_fini(&body);
}

static void sso_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct sso_source *sso = (struct sso_source *)source;
    assert(sso->got == NULL);
    if (sso->url == NULL) {
        got(arg, STATUS_INVALID, NULL, sso->why);
    } else if (sso->expires_s <= sso->context->now_ms() / 1000) {
        got(arg, STATUS_INVALID, NULL, "the access token of CloudSSO has expired; " SIGN_IN);
    } else {
        sso->got = got;
        sso->arg = arg;
        sso_send(sso);
    }
}

static void sso_free(struct credential_source *source)
{
    struct sso_source *sso = (struct sso_source *)source;
    if (sso->got != NULL) {
        http_drop(sso->context->http, on_answer, sso);
    }
    secret_fini(&sso->access_token);
    free(sso->account_id);
    free(sso->access_config);
    free(sso->url);
    free(sso);
}

/* scheme://host[:port] of the sign-in address, followed by the service's path. */
static char *service_url(const char *sign_in_url, const char **out_why)
{
    struct url url;
    struct buf out = {0};
    const char *why = NULL;
    if (!url_split(sign_in_url, &url, &why)) {
        *out_why = "cloud_sso_sign_in_url is not a URL";
        return NULL;
    }
    size_t length =
        slice_is_present(url.path) ? (size_t)(url.path.data - sign_in_url) : strlen(sign_in_url);
    buf_append(&out, slice_of(sign_in_url, length));
    if (!url_is_valid(out.data, URL_STS, &why)) {
        *out_why = "cloud_sso_sign_in_url must begin with https://";
        buf_fini(&out);
        return NULL;
    }
    buf_append_text(&out, PATH);
    return buf_take(&out);
}

struct credential_source *credentials_cloud_sso_new(const struct credential_context *context,
                                                    const struct cloud_sso *sso)
{
    static const struct credential_source_ops ops = {
        .name = "cloud_sso", .get = sso_get, .free = sso_free};
    struct sso_source *made = mem_zalloc(1, sizeof *made);
    made->source.ops = &ops;
    made->context = context;
    made->url = service_url(sso->sign_in_url, &made->why);
    made->account_id = mem_strdup(sso->account_id);
    made->access_config = mem_strdup(sso->access_config);
    made->expires_s = sso->access_token_expires_s;
    secret_set(&made->access_token, slice_text(sso->access_token));
    return &made->source;
}
