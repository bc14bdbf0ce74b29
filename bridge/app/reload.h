/*
 * tls_reload - the certificates, keys and trusted authorities for the broker and the API: loaded at
 * the start, and again on request.
 *
 * Logs all problems it finds. Thread: the loop's.
 */
#ifndef APP_RELOAD_H
#define APP_RELOAD_H

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
 * Replaces everything by the present content of the files; with STATUS_INVALID nothing: a file
 * cannot be used, a certificate has expired, or the broker password cannot be read.
 */
enum status tls_reload_reload(struct tls_reload *tls_reload, const struct settings *settings);
/* Wipes and frees. */
void tls_reload_fini(struct tls_reload *tls_reload);

#endif
