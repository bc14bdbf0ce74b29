/*
 * tls_reload - the certificates, keys and trusted authorities for the broker and the API: loaded at
 * the start, and again on request.
 *
 * Logs all problems it finds. Thread: the loop's.
 */
#ifndef APP_RELOAD_H
#define APP_RELOAD_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/status.h"
#include "settings/settings.h"
#include "tls/files.h"

struct tls_reload {
    struct tls_files broker;
    struct tls_files api;
};

/*
 * STATUS_INVALID where files cannot be used; call tls_reload_fini() in either case. An expired
 * certificate is logged and used: the peer decides, since our own clock may be wrong. `settings`
 * must outlive it.
 */
enum status tls_reload_load(struct tls_reload *tls_reload, const struct settings *settings);
/*
 * Loads the present content of the files into *out_fresh, which is to be freed in either case.
 * STATUS_INVALID: a file cannot be used, a certificate has expired, or the broker password cannot
 * be read; a line for each is appended to *out_why.
 */
enum status tls_reload_try(struct tls_reload *out_fresh, const struct settings *settings,
                           struct buf *out_why);
/* Replaces everything by what was loaded. */
void tls_reload_use(struct tls_reload *tls_reload, struct tls_reload *fresh_take);
/* Sets the gauges of when the certificates in use expire. */
void tls_reload_publish(const struct tls_reload *tls_reload, struct counters *counters);
/* Wipes and frees. */
void tls_reload_fini(struct tls_reload *tls_reload);

#endif
