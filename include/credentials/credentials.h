/*
 * credentials - the cloud identity the bridge signs with.
 *
 * A source is one file in bridge/credentials/ that implements struct credential_source. A chain is
 * a source that tries others in order; a cache is a source that stores the credentials of another.
 * tables/credential_sources.def lists the sources and their order in the default chain.
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
    int64_t refresh_at_ms;        /* wall clock: when to fetch new ones; 0: the cache decides */
    uint64_t serial;              /* number of the fetch, set by the cache */
    /* The source, named as in the vendor's SDKs: "default/env". */
    char provider[CREDENTIALS_PROVIDER_BYTES];
};

void credentials_fini(struct credentials *credentials);
/* `out` is {0} or holds credentials, which are freed. */
void credentials_copy(struct credentials *out, const struct credentials *from);
/* Sets `provider`, truncated if it is too long. */
void credentials_set_provider(struct credentials *credentials, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Whether the text can be sent in a header: printable ASCII without spaces. */
bool credentials_is_key(struct slice text);
/* Appends "LTAI****abcd": enough to recognise a key one has. */
void credentials_mask_id(const struct credentials *credentials, struct buf *out);

/*
 * STATUS_OK: `credentials` is valid during the call. Else it is NULL and `text` has the reason, a
 * phrase without any secret (from a chain: a line for each source, separated by '\n').
 * STATUS_NOT_FOUND: not configured here. STATUS_UNAVAILABLE: the metadata service or the
 * credentials URI gives no answer, or says that it is overloaded or down. STATUS_INVALID:
 * configured, but wrong or refused, or STS or CloudSSO gives no answer. A chain tries the next
 * source after each of them. Do not call credentials_refused() in the callback.
 */
typedef void credentials_got_fn(void *arg, enum status status,
                                const struct credentials *credentials, const char *text);
/* `path` is a file with a secret; nobody but its owner should be able to read it. */
typedef void credentials_file_fn(void *arg, const char *path);

struct credential_source;
struct credential_source_ops {
    const char *name; /* as in credentials.provider */
    /*
     * Calls `got` exactly once, before it returns or later. The owner starts one get at a time;
     * only the cache accepts several.
     */
    void (*get)(struct credential_source *source, credentials_got_fn *got, void *arg);
    /* The API refused the credentials with this serial: discard them. Returns whether the next get
     * may give others. NULL: it always may, and nothing is stored. */
    bool (*refused)(struct credential_source *source, uint64_t serial);
    /* Reports each file that a get would read now. NULL: none. */
    void (*files)(struct credential_source *source, credentials_file_fn *report, void *arg);
    /* Cancels a running get without a callback. Never called in the source's own callback. */
    void (*free)(struct credential_source *source);
};
struct credential_source {
    const struct credential_source_ops *ops;
};

const char *credentials_name(const struct credential_source *source);
void credentials_get(struct credential_source *source, credentials_got_fn *got, void *arg);
bool credentials_refused(struct credential_source *source, uint64_t serial);
void credentials_files(struct credential_source *source, credentials_file_fn *report, void *arg);
/* Takes NULL. */
void credentials_source_free(struct credential_source *source);

/* What all sources use: the loop, HTTP clients, settings, environment. */
struct credential_context;
/*
 * `tls` are the API's TLS files, used for STS, CloudSSO and credential URIs too. NULL: the system's
 * authorities and no client certificate. `settings` and `tls` must outlive the context.
 */
struct credential_context *credentials_context_new(struct loop *loop,
                                                   const struct settings *settings,
                                                   const struct tls_files *tls);
/*
 * `tls` holds other files now: the next request uses them, over a new connection. Requests on the
 * wire finish with the old ones.
 */
void credentials_context_renew(struct credential_context *context);
/* Free all its sources first. Takes NULL. */
void credentials_context_free(struct credential_context *context);

/*
 * The source that credentials.provider names, with a cache in front; any number of gets at a time.
 * NULL: this build has no such source; the reason is appended to *out_why.
 */
struct credential_source *credentials_open(const struct credential_context *context,
                                           struct buf *out_why);

/*
 * Removes the access key from the process's environment (secret_hide_variable()); sources still
 * find it. Thread: the main thread, once, before other threads start.
 */
void credentials_env_hide(void);

#endif
