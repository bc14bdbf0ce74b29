/*
 * A document with credentials from a service on this machine or nearby. It is never fetched through
 * a proxy, which could read the credentials.
 */
#include "sources.h"

#include "base/mem.h"
#include "document.h"
#include "settings/url.h"

#include <stdlib.h>

#define URI_NAME "ALIBABA_CLOUD_CREDENTIALS_URI"

struct uri_source {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    char *uri; /* NULL: not configured */
    credentials_got_fn *got;
    void *arg;
};

static void answered(void *arg, const struct http_answer *answer)
{
    struct uri_source *source = arg;
    struct credentials credentials = {0};
    struct buf why = {0};
    enum status status = STATUS_UNAVAILABLE;
    if (answer->result != HTTP_ANSWERED) {
        buf_printf(&why, "the credentials URI gave no answer: %s", answer->error);
    } else if (answer->status != 200) {

        buf_printf(&why, "the credentials URI answered with HTTP status %d", answer->status);
        status = credential_status_of_http(answer->status);
    } else {
        buf_append_text(&why, "the credentials URI's answer: ");
        status =
            credentials_read_document(answer->body, &credential_form_plain, &credentials, &why);
    }
    credentials_set_provider(&credentials, "credential_uri");
    credential_finish(source->got, source->arg, status, &credentials, &why);
}

static void uri_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    static const char *const headers[] = {"Accept: application/json"};
    struct uri_source *uri = (struct uri_source *)source;
    const char *why = NULL;
    if (uri->uri == NULL) {
        got(arg, STATUS_NOT_FOUND, NULL, URI_NAME " is not set, nor is credentials.uri");
        return;
    }
    if (!url_is_valid(uri->uri, URL_CREDENTIALS, &why)) {
        struct buf text = {0};
        buf_printf(&text, "the credentials URI (" URI_NAME ") %s", why);
        got(arg, STATUS_INVALID, NULL, text.data);
        buf_fini(&text);
        return;
    }
    uri->got = got;
    uri->arg = arg;
    struct http_request request = {
        .method = "GET", .url = uri->uri, .headers = headers, .header_count = 1};
    http_send(uri->context->local_http, &request, answered, uri);
}

static bool uri_refused(struct credential_source *source, uint64_t serial)
{
    (void)serial;
    return ((struct uri_source *)source)->uri != NULL;
}

static void uri_free(struct credential_source *source)
{
    struct uri_source *uri = (struct uri_source *)source;
    http_drop(uri->context->local_http, answered, uri);
    free(uri->uri);
    free(uri);
}

struct credential_source *credentials_uri_new(const struct credential_context *context,
                                              const char *uri)
{
    static const struct credential_source_ops ops = {
        .name = "credentials_uri", .get = uri_get, .refused = uri_refused, .free = uri_free};
    struct uri_source *source = mem_zalloc(1, sizeof *source);
    source->source.ops = &ops;
    source->context = context;
    source->uri = mem_strdup(uri);
    return &source->source;
}

struct credential_source *credentials_uri_open(const struct credential_context *context)
{
    return credentials_uri_new(context,
                               credential_value(context, context->settings->uri, URI_NAME));
}
