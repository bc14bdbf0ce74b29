/* The identity as the settings ask for it: a source of the table, and what all sources share. */
#include "sources.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

#define SERVICE_CONNECT_MS 5000
#define SERVICE_READ_MS    10000
#define METADATA_MS        1000
/* Documents are some 2 KB; a security token alone may have more. */
#define ANSWER_BYTES_MAX 65536
#define CONNECTIONS_MAX  4

struct identity {
    struct credential_source source; /* first: a source is cast back to this */
    struct credential_context context;
    struct credential_source *inner;
};

static void identity_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    credentials_get(((struct identity *)source)->inner, got, arg);
}

static bool identity_refused(struct credential_source *source, uint64_t serial)
{
    return credentials_refused(((struct identity *)source)->inner, serial);
}

static void identity_files(struct credential_source *source, credentials_file_fn *told, void *arg)
{
    credentials_files(((struct identity *)source)->inner, told, arg);
}

static void identity_free(struct credential_source *source)
{
    struct identity *identity = (struct identity *)source;
    credentials_source_free(identity->inner);
    http_free(identity->context.http);
    http_free(identity->context.local_http);
    http_free(identity->context.metadata_http);
    free(identity);
}

static void open_https(struct credential_context *context, const struct settings *settings)
{
    struct http_options options = {
        .connect_timeout_ms = SERVICE_CONNECT_MS,
        .read_timeout_ms = SERVICE_READ_MS,
        .answer_bytes_max = ANSWER_BYTES_MAX,
        .ca_file = settings->api.ca_file,
        .proxy = settings->api.proxy,
        .connections_max = CONNECTIONS_MAX,
        .is_secret = true,
    };
    context->http = http_new(context->loop, &options);
    options.proxy = "";
    context->local_http = http_new(context->loop, &options);
    options.connect_timeout_ms = METADATA_MS;
    options.read_timeout_ms = METADATA_MS;
    context->metadata_http = http_new(context->loop, &options);
}

struct credential_source *credentials_open(struct loop *loop, const struct settings *settings,
                                           struct buf *out_why)
{
    static const struct credential_source_ops ops = {.name = "identity",
                                                     .get = identity_get,
                                                     .refused = identity_refused,
                                                     .files = identity_files,
                                                     .free = identity_free};
    struct identity *identity = mem_zalloc(1, sizeof *identity);
    identity->source.ops = &ops;
    identity->context = (struct credential_context){.loop = loop,
                                                    .env = secret_variable,
                                                    .now_ms = clock_wall_ms,
                                                    .settings = &settings->credentials};
    struct credential_source *source =
        credentials_source_open(&identity->context, settings->credentials.provider);
    if (source == NULL) {
        buf_printf(out_why, "credentials.provider: this build has no source \"%s\"",
                   settings->credentials.provider);
        free(identity);
        return NULL;
    }
    open_https(&identity->context, settings);
    identity->inner = credentials_cache_new(&identity->context, source);
    return &identity->source;
}
