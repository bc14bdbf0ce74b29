/*
 * sources - what every source of credentials gets, and the constructors of most of them (roles.h
 * and profiles.h have the others).
 *
 * credentials_<name>_open() creates a source from the settings and, where these are empty, from the
 * environment; credentials_<name>_new() creates one from parameters alone, for sources that contain
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
    struct http *http;          /* STS, CloudSSO: 5 s to connect, 10 s to read, with api.proxy */
    struct http *local_http;    /* the credentials URI: the same times, without a proxy */
    struct http *metadata_http; /* the metadata service: 1 s each, without a proxy */
    const char *(*env)(const char *name); /* like getenv() */
    int64_t (*now_ms)(void);              /* the wall clock */
    const struct credential_settings *settings;
    const char *proxy;           /* api.proxy */
    const struct tls_files *tls; /* the API's; NULL for none */
};

/* The variable's value; NULL if it is unset or empty. */
const char *credential_env(const struct credential_context *context, const char *name);
/* Whether the variable's value is "true", in upper or lower case. */
bool credential_env_is_true(const struct credential_context *context, const char *name);
/* The setting if it is not empty, else the variable, else NULL. */
const char *credential_value(const struct credential_context *context, const char *setting,
                             const char *name);

/* The operation `refused` of a source that gives the same credentials at every get. */
bool credential_never_differs(struct credential_source *source, uint64_t serial);
/* Of an answer with this HTTP status, which is no success: whether waiting may help
 * (STATUS_UNAVAILABLE) or not (STATUS_INVALID). */
enum status credential_status_of_http(int http_status);
/* Calls `got` with the credentials if the status is STATUS_OK, else with `why`; frees both. */
void credential_finish(credentials_got_fn *got, void *arg, enum status status,
                       struct credentials *credentials, struct buf *why);

/* A fixed access key; provider "static_ak", with a security token "static_sts". */
struct credential_source *credentials_static_new(struct slice id, struct slice secret,
                                                 struct slice token);

/* ALIBABA_CLOUD_ACCESS_KEY_ID, ..._SECRET and, optionally, ALIBABA_CLOUD_SECURITY_TOKEN. */
struct credential_source *credentials_env_open(const struct credential_context *context);

/* The metadata service of an ECS instance. `role_name` NULL: the role that the service names. */
struct credential_source *credentials_ecs_ram_role_new(const struct credential_context *context,
                                                       const char *role_name);
struct credential_source *credentials_ecs_ram_role_open(const struct credential_context *context);

/* A document at an http(s) URL. */
struct credential_source *credentials_uri_new(const struct credential_context *context,
                                              const char *uri);
struct credential_source *credentials_uri_open(const struct credential_context *context);

/*
 * Tries sources in order until one gives credentials. Later gets use only that one; after it fails
 * all are tried again. Owns the sources. `prefix` comes before their `provider`: "default/".
 */
struct credential_source *credentials_chain_new(const char *prefix,
                                                struct credential_source *const *sources,
                                                size_t count);

/* Stores the credentials of another source, which it owns, and refreshes them before they expire.
 */
struct credential_source *credentials_cache_new(const struct credential_context *context,
                                                struct credential_source *source);

/*
 * By its name in credentials.provider; "default" is the chain of all sources that the table marks
 * is_in_chain. NULL: this build has no such source.
 */
struct credential_source *credentials_source_open(const struct credential_context *context,
                                                  const char *provider);

#endif
