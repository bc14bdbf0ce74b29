/*
 * settings_reload - reads the settings file again while the bridge runs, with its certificates,
 * keys and passwords: all of it is used, or nothing.
 *
 * A file that does not pass the checks of a start changes nothing; its errors are logged and
 * returned. Values that cannot change while the bridge runs (include/tables/settings.def) keep
 * their former values; they are named. Filters that the new routes need are listed in the ledger
 * first. Then the settings change in their place, every part takes what it has copied, and the
 * connections are made again, so that the receiver subscribes to the new filters and unsubscribes
 * the old ones directly behind.
 *
 * The former routes are kept until no command refers to them: claims that are on their way through
 * the ledger still do.
 *
 * Thread: the loop's.
 */
#ifndef APP_SETTINGS_RELOAD_H
#define APP_SETTINGS_RELOAD_H

#include "audit/exporter.h"
#include "base/buf.h"
#include "base/health.h"
#include "base/loop.h"
#include "base/slice.h"
#include "dispatch/dispatch.h"
#include "ecs/call.h"
#include "intake/intake.h"
#include "ledger/ledger.h"
#include "mqtt/workers.h"
#include "reload.h"
#include "sessions.h"
#include "settings/settings.h"
#include "systemd.h"
#include "watch/watcher.h"

#include <stdbool.h>

struct settings_reload;

/* What it reads and changes; all of it must outlive it. */
struct settings_reload_parts {
    const struct settings_source *source;
    struct settings *settings; /* those that the parts use */
    struct tls_reload *tls;
    struct counters *counters;
    struct health *health;
    struct systemd *systemd;
    struct ledger *ledger;
    struct exporter *exporter; /* NULL: there is no audit file */
    struct ecs *ecs;
    struct workers *workers;
    struct intake *intake;
    struct dispatch *dispatch;
    struct watcher *watcher;
    struct sessions *sessions;
};

/* `text` says what changed, or why nothing did. */
typedef void settings_reloaded_fn(void *arg, bool is_done, struct slice text);

/* Fills in what ledger_change() uses. */
void settings_reload_ledger_limits(const struct settings *settings, struct ledger_options *out);

struct settings_reload *settings_reload_new(const struct settings_reload_parts *parts);
/* After ledger_close(), which drops what is on its way. Takes NULL. */
void settings_reload_free(struct settings_reload *reload);
/*
 * Reads the file again. `done`, if not NULL, is called once. While a reload is under way, the next
 * one begins behind it; STATUS_BUSY: there already is such a next one, and this one is dropped,
 * with `done` not called (the next one reads the file as it is now).
 */
enum status settings_reload_begin(struct settings_reload *reload, settings_reloaded_fn *done,
                                  void *arg);

#endif
