/*
 * credentials - the cloud identity the bridge signs with.
 *
 * A source is one file in ecs/credentials/ that implements struct credential_source; a chain is a
 * source that asks others in order, a cache one that keeps what another gave. Which sources there
 * are and how they follow each other is tables/credential_sources.def.
 *
 * Thread: the loop's. Nothing here blocks on a network.
 */
#ifndef CREDENTIALS_CREDENTIALS_H
#define CREDENTIALS_CREDENTIALS_H

#include "base/buf.h"
#include "base/loop.h"
#include "base/secret.h"
#include "base/status.h"
#include "settings/settings.h"
#include "tls/files.h"

#include <stdbool.h>
#include <stdint.h>

#define CREDENTIALS_PROVIDER_BYTES 96

struct credentials {
    struct secret access_key_id;
    struct secret access_key_secret;
    struct secret security_token; /* not set: a long-lived access key */
    int64_t expires_at_ms;        /* wall clock, INT64_MAX for never */
    int64_t refresh_at_ms; /* wall clock: from when others may be had; 0: the cache decides */
    uint64_t serial;       /* the cache's: which fetch these came with */
    /* Where they come from, in the words of the vendor's SDKs: "default/env". */
    char provider[CREDENTIALS_PROVIDER_BYTES];
};

void credentials_fini(struct credentials *credentials);
/* `out` is {0} or credentials, which are given up. */
void credentials_copy(struct credentials *out, const struct credentials *from);
/* Sets `provider`; what does not fit is cut. */
void credentials_set_provider(struct credentials *credentials, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Whether the text can stand in a header: printable ASCII without a space. */
bool credentials_is_key(struct slice text);
/* Appends "LTAI****abcd": enough to know a key by, for people who have it. */
void credentials_mask_id(const struct credentials *credentials, struct buf *out);

/*
 * STATUS_OK with credentials valid during the call, else `credentials` is NULL and `text` says why,
 * a phrase without any secret (of a chain: a line for each source, separated by '\n').
 * STATUS_NOT_FOUND: not configured here. STATUS_UNAVAILABLE: a service cannot be reached, or says
 * that it cannot now. STATUS_INVALID: configured, but wrong or refused. A chain goes on after each.
 * Credentials given must not be asked about (credentials_refused) before the callback returns.
 */
typedef void credentials_got_fn(void *arg, enum status status,
                                const struct credentials *credentials, const char *text);
/* A file that holds a secret, of which others should not read. */
typedef void credentials_file_fn(void *arg, const char *path);

struct credential_source;
struct credential_source_ops {
    const char *name; /* as in credentials.provider */
    /*
     * Calls `got` exactly once, before it returns or later. One get at a time: who owns a source
     * waits for the answer (the cache alone takes many).
     */
    void (*get)(struct credential_source *source, credentials_got_fn *got, void *arg);
    /* The API refused the credentials with this serial: forget them. Returns whether a next get may
     * bring others. NULL: always, and nothing to forget. */
    bool (*refused)(struct credential_source *source, uint64_t serial);
    /* Tells the files it would read now; NULL where there are none. */
    void (*files)(struct credential_source *source, credentials_file_fn *told, void *arg);
    /* A get under way ends without a callback. Never called from within the source's own callback.
     */
    void (*free)(struct credential_source *source);
};
struct credential_source {
    const struct credential_source_ops *ops;
};

const char *credentials_name(const struct credential_source *source);
void credentials_get(struct credential_source *source, credentials_got_fn *got, void *arg);
bool credentials_refused(struct credential_source *source, uint64_t serial);
void credentials_files(struct credential_source *source, credentials_file_fn *told, void *arg);
/* Takes NULL. */
void credentials_source_free(struct credential_source *source);

/* What sources work with: the loop, HTTP clients, the settings, the environment. */
struct credential_context;
/*
 * STS, CloudSSO and credential URIs are asked with the API's TLS files: `tls`, NULL for the
 * system's authorities and no client certificate. `settings` and `tls` must outlive the context.
 */
struct credential_context *credentials_context_new(struct loop *loop,
                                                   const struct settings *settings,
                                                   const struct tls_files *tls);
/*
 * `tls` holds other files now: the next request uses them, over a new connection. Requests on the
 * wire finish with the old ones.
 */
void credentials_context_renew(struct credential_context *context);
/* After all sources that were made with it. Takes NULL. */
void credentials_context_free(struct credential_context *context);

/*
 * The source that credentials.provider names, behind a cache; any number of gets at a time. NULL
 * with *out_why appended to where this build has no such source.
 */
struct credential_source *credentials_open(const struct credential_context *context,
                                           struct buf *out_why);

/*
 * Takes the access key out of the process's environment (secret_hide_variable()); sources find it
 * all the same. Thread: the first, before others start; once.
 */
void credentials_env_hide(void);

#endif
