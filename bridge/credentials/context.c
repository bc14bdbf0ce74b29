/* What all sources share: HTTP clients, values from settings and environment; and the source that
 * the settings name. */
#include "sources.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <strings.h>

#define SERVICE_CONNECT_MS 5000
#define SERVICE_READ_MS    10000
#define METADATA_MS        1000
/* Documents have about 2 KB; a long security token may need more. */
#define ANSWER_BYTES_MAX 65536
#define CONNECTIONS_MAX  4

static struct http *open_http(const struct credential_context *context, struct http *former,
                              const char *proxy, int64_t connect_ms, int64_t read_ms)
{
    struct http_options options = {
        .connect_timeout_ms = connect_ms,
        .read_timeout_ms = read_ms,
        .answer_bytes_max = ANSWER_BYTES_MAX,
        .proxy = proxy,
        .connections_max = CONNECTIONS_MAX,
        .is_secret = true,
        .tls = context->tls,
    };
    return former == NULL ? http_new(context->loop, &options) : http_renew(former, &options);
}

void credentials_context_renew(struct credential_context *context)
{
    context->http =
        open_http(context, context->http, context->proxy, SERVICE_CONNECT_MS, SERVICE_READ_MS);
    context->local_http =
        open_http(context, context->local_http, "", SERVICE_CONNECT_MS, SERVICE_READ_MS);
    context->metadata_http =
        open_http(context, context->metadata_http, "", METADATA_MS, METADATA_MS);
}

struct credential_context *credentials_context_new(struct loop *loop,
                                                   const struct settings *settings,
                                                   const struct tls_files *tls)
{
    struct credential_context *context = mem_zalloc(1, sizeof *context);
    *context = (struct credential_context){.loop = loop,
                                           .env = secret_variable,
                                           .now_ms = clock_wall_ms,
                                           .settings = &settings->credentials,
                                           .proxy = settings->api.proxy,
                                           .tls = tls};
    credentials_context_renew(context); /* creates the clients */
    return context;
}

void credentials_context_free(struct credential_context *context)
{
    if (context == NULL) {
        return;
    }
    http_free(context->http);
    http_free(context->local_http);
    http_free(context->metadata_http);
    free(context);
}

struct credential_source *credentials_open(const struct credential_context *context,
                                           struct buf *out_why)
{
    const char *provider = context->settings->provider;
    struct credential_source *source = credentials_source_open(context, provider);
    if (source == NULL) {
        buf_printf(out_why, "credentials.provider: this build has no source \"%s\"", provider);
        return NULL;
    }
    return credentials_cache_new(context, source);
}

/* --- values from settings and environment --- */

const char *credential_env(const struct credential_context *context, const char *name)
{
    const char *value = context->env(name);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

bool credential_env_is_true(const struct credential_context *context, const char *name)
{
    const char *value = credential_env(context, name);
    return value != NULL && strcasecmp(value, "true") == 0;
}

const char *credential_value(const struct credential_context *context, const char *setting,
                             const char *name)
{
    return setting[0] != '\0' ? setting : credential_env(context, name);
}

/* --- what sources share --- */

bool credential_never_differs(struct credential_source *source, uint64_t serial)
{
    (void)source;
    (void)serial;
    return false;
}

enum status credential_status_of_http(int http_status)
{
    return http_status >= 500 || http_status == 429 ? STATUS_UNAVAILABLE : STATUS_INVALID;
}

void credential_finish(credentials_got_fn *got, void *arg, enum status status,
                       struct credentials *credentials, struct buf *why)
{
    bool is_good = status == STATUS_OK;
    got(arg, status, is_good ? credentials : NULL, is_good ? "" : buf_slice(why).data);
    credentials_fini(credentials);
    buf_fini(why);
}
