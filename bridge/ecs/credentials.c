/* The sources by name, and the calls through their tables. A new source is a file and a row. */
#include "ecs/credentials.h"

#include <string.h>

static const struct {
    const char *provider;
    struct credential_source *(*make)(void);
} sources[] = {
    {"default", credentials_env_new},
    {"env", credentials_env_new},
};

struct credential_source *credentials_source_new(const char *provider)
{
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        if (strcmp(sources[i].provider, provider) == 0) {
            return sources[i].make();
        }
    }
    return NULL;
}

bool credentials_is_provider(const char *provider)
{
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        if (strcmp(sources[i].provider, provider) == 0) {
            return true;
        }
    }
    return false;
}

void credentials_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    source->ops->get(source, got, arg);
}

bool credentials_refused(struct credential_source *source)
{
    return source->ops->refused(source);
}

void credentials_source_free(struct credential_source *source)
{
    if (source != NULL) {
        source->ops->free(source);
    }
}

void credentials_fini(struct credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    secret_fini(&credentials->access_key_id);
    secret_fini(&credentials->access_key_secret);
    secret_fini(&credentials->security_token);
    credentials->expires_at_ms = 0;
}
