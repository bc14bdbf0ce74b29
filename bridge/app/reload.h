/*
 * tls_reload - what the broker and the API are shown of us, and whom we trust there: loaded at the
 * start, and again on request.
 *
 * Tells all it finds in the log. Thread: the loop's.
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
 * STATUS_INVALID where files cannot be used; to be given up in either case. An expired certificate
 * is the far side's to refuse, since it may be our clock that is wrong. `settings` must outlive it.
 */
enum status tls_reload_load(struct tls_reload *tls_reload, const struct settings *settings);
/*
 * Puts what the files hold now in place of what was loaded, all of it or, with STATUS_INVALID,
 * nothing: where one cannot be used, has expired, or the broker password cannot be read.
 */
enum status tls_reload_reload(struct tls_reload *tls_reload, const struct settings *settings);
/* Wipes and frees. */
void tls_reload_fini(struct tls_reload *tls_reload);

#endif
