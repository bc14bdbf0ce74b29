/*
 * credentials - the cloud identity the bridge signs with.
 *
 * A source is one file that implements struct credential_source; a chain is a source that asks
 * others in order. This build has the environment: ALIBABA_CLOUD_ACCESS_KEY_ID,
 * ALIBABA_CLOUD_ACCESS_KEY_SECRET and, optionally, ALIBABA_CLOUD_SECURITY_TOKEN.
 *
 * Thread: the loop's. Callbacks may come before the asking call has returned.
 */
#ifndef ECS_CREDENTIALS_H
#define ECS_CREDENTIALS_H

#include "base/secret.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct credentials {
    struct secret access_key_id;
    struct secret access_key_secret;
    struct secret security_token; /* not set: a long-lived access key */
    int64_t expires_at_ms;        /* wall clock, INT64_MAX for never */
};

void credentials_fini(struct credentials *credentials);

/* STATUS_OK with credentials valid during the call; STATUS_NOT_FOUND or STATUS_INVALID with a text
 * that names what is missing. */
typedef void credentials_got_fn(void *arg, enum status status,
                                const struct credentials *credentials, const char *text);

struct credential_source;
struct credential_source_ops {
    const char *name;
    void (*get)(struct credential_source *source, credentials_got_fn *got, void *arg);
    /* The API refused these: forget them. Returns whether a next get may bring others. */
    bool (*refused)(struct credential_source *source);
    void (*free)(struct credential_source *source);
};
struct credential_source {
    const struct credential_source_ops *ops;
};

/* By the setting's name ("default", "env"); NULL for a name this build does not know. */
struct credential_source *credentials_source_new(const char *provider);
/* Whether the name is known. */
bool credentials_is_provider(const char *provider);
void credentials_get(struct credential_source *source, credentials_got_fn *got, void *arg);
bool credentials_refused(struct credential_source *source);
/* Takes NULL. */
void credentials_source_free(struct credential_source *source);

/* The sources of this build. */
struct credential_source *credentials_env_new(void);
/*
 * Takes the keys out of the process's environment (secret_hide_variable()); later sources find them
 * all the same. Thread: the first, before others start; once.
 */
void credentials_env_hide(void);

#endif
