/*
 * sources - what a source of credentials is given, and the sources that need no other service than
 * the machine's own.
 *
 * credentials_<name>_open() makes one as the settings say and, where they are silent, the
 * environment; credentials_<name>_new() makes one from parameters alone, for sources that need
 * another (a profile that names a role).
 *
 * Thread: the loop's.
 */
#ifndef CREDENTIALS_SOURCES_H
#define CREDENTIALS_SOURCES_H

#include "base/loop.h"
#include "credentials/credentials.h"
#include "http/client.h"
#include "settings/settings.h"

/* Outlives every source made with it. */
struct credential_context {
    struct loop *loop;
    struct http *http;          /* STS, CloudSSO: 5 s to connect, 10 s to read, by api.proxy */
    struct http *local_http;    /* the credentials URI: the same times, never by a proxy */
    struct http *metadata_http; /* the metadata service: 1 s each, never by a proxy */
    const char *(*env)(const char *name); /* NULL where it is not set, as getenv() */
    int64_t (*now_ms)(void);              /* the wall clock */
    const struct credential_settings *settings;
    const char *proxy;           /* api.proxy */
    const struct tls_files *tls; /* the API's; NULL for none */
};

/* The variable's value, or NULL where it is not set or empty. */
const char *credential_env(const struct credential_context *context, const char *name);
/* Whether the variable says "true", in any case. */
bool credential_env_is_true(const struct credential_context *context, const char *name);
/* The setting where it is not empty, else the variable, else NULL. */
const char *credential_value(const struct credential_context *context, const char *setting,
                             const char *name);

/* The operation `refused` of a source that has the same at every get. */
bool credential_never_differs(struct credential_source *source, uint64_t serial);
/* Ends a get: with the credentials where the status is STATUS_OK, with `why` else. Gives both up.
 */
void credential_finish(credentials_got_fn *got, void *arg, enum status status,
                       struct credentials *credentials, struct buf *why);

/* A fixed access key ("static_ak"), with a security token where there is one ("static_sts"). */
struct credential_source *credentials_static_new(struct slice id, struct slice secret,
                                                 struct slice token);

/* ALIBABA_CLOUD_ACCESS_KEY_ID, ..._SECRET and, optionally, ALIBABA_CLOUD_SECURITY_TOKEN. */
struct credential_source *credentials_env_open(const struct credential_context *context);

/* The metadata service of an ECS instance; `role_name` NULL for the one it names itself. */
struct credential_source *credentials_ecs_ram_role_new(const struct credential_context *context,
                                                       const char *role_name);
struct credential_source *credentials_ecs_ram_role_open(const struct credential_context *context);

/* A document at an http(s) URL. */
struct credential_source *credentials_uri_new(const struct credential_context *context,
                                              const char *uri);
struct credential_source *credentials_uri_open(const struct credential_context *context);

/*
 * Asks sources in order until one has credentials; that one alone is asked from then on, all again
 * after it fails. Takes the sources over. `prefix` is put before their `provider`: "default/".
 */
struct credential_source *credentials_chain_new(const char *prefix,
                                                struct credential_source *const *sources,
                                                size_t count);
/* The default chain: every source of the table that has a place in it. */
struct credential_source *credentials_chain_open(const struct credential_context *context);

/* What keeps the credentials of another source, which it takes over, and renews them in time. */
struct credential_source *credentials_cache_new(const struct credential_context *context,
                                                struct credential_source *source);

/*
 * By the name in credentials.provider; NULL for one this build does not have. "default" is the
 * chain.
 */
struct credential_source *credentials_source_open(const struct credential_context *context,
                                                  const char *provider);

#endif
