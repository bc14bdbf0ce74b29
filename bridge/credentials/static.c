/* A fixed access key. */
#include "sources.h"

#include "base/mem.h"

#include <stdlib.h>

struct static_source {
    struct credential_source source; /* first: a source is cast back to this */
    struct credentials credentials;
};

static void static_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct static_source *fixed = (struct static_source *)source;
    got(arg, STATUS_OK, &fixed->credentials, "");
}

static void static_free(struct credential_source *source)
{
    struct static_source *fixed = (struct static_source *)source;
    credentials_fini(&fixed->credentials);
    free(fixed);
}

struct credential_source *credentials_static_new(struct slice id, struct slice secret,
                                                 struct slice token)
{
    static const struct credential_source_ops ops = {.name = "static",
                                                     .get = static_get,
                                                     .refused = credential_never_differs,
                                                     .free = static_free};
    struct static_source *fixed = mem_zalloc(1, sizeof *fixed);
    fixed->source.ops = &ops;
    fixed->credentials.expires_at_ms = INT64_MAX;
    secret_set(&fixed->credentials.access_key_id, id);
    secret_set(&fixed->credentials.access_key_secret, secret);
    if (token.length > 0) {
        secret_set(&fixed->credentials.security_token, token);
    }
    credentials_set_provider(&fixed->credentials, "%s",
                             token.length > 0 ? "static_sts" : "static_ak");
    return &fixed->source;
}
