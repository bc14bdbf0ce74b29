/*
 * Two steps: get the signer's credentials, then send the request that they sign to STS. They are
 * stored until the answer comes, since an error of STS may quote them.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "common.h"
#include "roles.h"

#include <assert.h>
#include <stdlib.h>

struct role_source {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    struct credential_source *signer;
    struct sts_role role;
    char *endpoint; /* NULL: it is wrong */
    struct buf why; /* what is wrong with it */
    struct credentials caller;
    credentials_got_fn *got; /* NULL: no get is running */
    void *arg;
};

static void finish(struct role_source *role, enum status status,
                   const struct credentials *credentials, const char *text)
{
    credentials_got_fn *got = role->got;
    role->got = NULL;
    credentials_fini(&role->caller);
    got(role->arg, status, credentials, text);
}

static void on_answer(void *arg, const struct http_answer *answer)
{
    struct role_source *role = arg;
    struct credentials taken = {0};
    struct buf why = {0};
    enum status status =
        service_answer_read(answer, "STS", &credential_form_sts, &role->caller, &taken, &why);
    if (status == STATUS_OK) {
        credentials_set_provider(&taken, "ram_role_arn/%s", role->caller.provider);
    }
    finish(role, status, status == STATUS_OK ? &taken : NULL, buf_slice(&why).data);
    credentials_fini(&taken);
    buf_fini(&why);
}

static void on_signer(void *arg, enum status status, const struct credentials *credentials,
                      const char *text)
{
    struct role_source *role = arg;
    struct sts_request request = {{0}, {0}};

    char nonce[DIGEST_NONCE_BYTES];
    char date[CLOCK_TEXT_BYTES];
    if (status != STATUS_OK) {
        finish(role, status, NULL, text);
        return;
    }
    credentials_copy(&role->caller, credentials);
    digest_nonce(nonce);
    clock_format_s(role->context->now_ms(), date);
    sts_assume_role(role->endpoint, &role->role, credentials, date, nonce, &request);
    service_sts_send(role->context, &request, on_answer, role);
}

static void role_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct role_source *role = (struct role_source *)source;
    const char *why = NULL;
    assert(role->got == NULL);
    if (role->endpoint == NULL) {
        got(arg, STATUS_INVALID, NULL, buf_slice(&role->why).data);
    } else if (sts_role_check(&role->role, &why) != STATUS_OK) {
        got(arg, STATUS_INVALID, NULL, why);
    } else {
        role->got = got;
        role->arg = arg;
        credentials_get(role->signer, on_signer, role);
    }
}

/* STS gives new credentials for each request. */
static bool role_refused(struct credential_source *source, uint64_t serial)
{
    struct role_source *role = (struct role_source *)source;
    (void)credentials_refused(role->signer, serial);
    return true;
}

static void role_files(struct credential_source *source, credentials_file_fn *report, void *arg)
{
    credentials_files(((struct role_source *)source)->signer, report, arg);
}

static void role_free(struct credential_source *source)
{
    struct role_source *role = (struct role_source *)source;
    if (role->got != NULL) {
        http_drop(role->context->http, on_answer, role);
    }
    credentials_source_free(role->signer);
    credentials_fini(&role->caller);
    sts_role_fini(&role->role);
    buf_fini(&role->why);
    free(role->endpoint);
    free(role);
}

struct credential_source *credentials_ram_role_arn_new(const struct credential_context *context,
                                                       struct credential_source *signer,
                                                       struct sts_role *role, char *endpoint)
{
    static const struct credential_source_ops ops = {.name = "ram_role_arn",
                                                     .get = role_get,
                                                     .refused = role_refused,
                                                     .files = role_files,
                                                     .free = role_free};
    struct role_source *made = mem_zalloc(1, sizeof *made);
    made->source.ops = &ops;
    made->context = context;
    made->signer = signer;
    made->role = *role;
    made->endpoint = endpoint;
    *role = (struct sts_role){0};
    return &made->source;
}

struct credential_source *credentials_ram_role_arn_open(const struct credential_context *context)
{
    struct sts_role role = {0};
    struct buf url = {0};
    struct buf why = {0};
    credentials_role_of_settings(context, true, &role);
    enum status status = service_sts_endpoint(context, NULL, NULL, false, &url, &why);
    struct credential_source *source = credentials_ram_role_arn_new(
        context, credentials_source_open(context, context->settings->role_source), &role,
        status == STATUS_OK ? buf_take(&url) : NULL);
    ((struct role_source *)source)->why = why;
    buf_fini(&url);
    return source;
}
