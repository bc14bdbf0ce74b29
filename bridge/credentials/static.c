/* An access key that is what it is. */
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

static bool static_refused(struct credential_source *source, uint64_t serial)
{
    (void)source;
    (void)serial;
    return false;
}

static void static_free(struct credential_source *source)
{
    struct static_source *fixed = (struct static_source *)source;
    credentials_fini(&fixed->credentials);
    free(fixed);
}

struct credential_source *credentials_static_new(const struct credentials *credentials)
{
    static const struct credential_source_ops ops = {
        .name = "static", .get = static_get, .refused = static_refused, .free = static_free};
    struct static_source *fixed = mem_zalloc(1, sizeof *fixed);
    fixed->source.ops = &ops;
    credentials_copy(&fixed->credentials, credentials);
    return &fixed->source;
}
