#include "common.h"

#include <stdlib.h>

static void answered(void *arg, enum status status, const struct credentials *credentials,
                     const char *text)
{
    struct delegate *delegate = arg;
    struct buf why = {0};
    if (status != STATUS_OK) {
        buf_printf(&why, "%s: %s", delegate->where, text);
        delegate->got(delegate->arg, STATUS_INVALID, NULL, why.data);
        buf_fini(&why);
        return;
    }
    struct credentials named = {0};
    credentials_copy(&named, credentials);
    credentials_set_provider(&named, "%s/%s", delegate->provider, credentials->provider);
    delegate->got(delegate->arg, STATUS_OK, &named, "");
    credentials_fini(&named);
}

void delegate_get(struct delegate *delegate, struct credential_source *inner, char *where,
                  credentials_got_fn *got, void *arg)
{
    /* This may be called from within the callback of the source asked last. */
    credentials_source_free(delegate->old);
    delegate->old = delegate->inner;
    delegate->inner = inner;
    free(delegate->where);
    delegate->where = where;
    delegate->got = got;
    delegate->arg = arg;
    credentials_get(inner, answered, delegate);
}

void delegate_fini(struct delegate *delegate)
{
    credentials_source_free(delegate->old);
    credentials_source_free(delegate->inner);
    free(delegate->where);
    *delegate = (struct delegate){0};
}
