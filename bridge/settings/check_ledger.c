/*
 * Checks of the ledger's settings. A ledger that several bridges share asks something of other
 * settings: each bridge needs a name of its own at the broker, and a command must arrive at one of
 * them only.
 */
#include "table.h"

#include "settings/store_uri.h"

#define INSTANCE_MARK "{Instance}"

static void fail(const struct settings_view *view, const char *path, const char *text)
{
    settings_report_error(view->report, view->file, settings_line_of(view, path), path, "%s", text);
}

static void warn(const struct settings_view *view, const char *path, const char *text)
{
    settings_report_warning(view->report, view->file, settings_line_of(view, path), path, "%s",
                            text);
}

/* What has no meaning for a ledger of one bridge must not look as if it had. */
static void check_not_shared(const struct settings_view *view)
{
    static const char *const paths[] = {"ledger.password_file", "ledger.lease_s",
                                        "ledger.session_adopt_s", "ledger.failover"};
    struct settings *defaults = settings_new_defaults();
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const struct settings_row *row = settings_row_find(settings_main_table(), paths[i]);
        if (!settings_row_is_equal(row, view->settings, defaults)) {
            fail(view, paths[i],
                 "is for a shared ledger only, and ledger.store is not a postgresql:// URI; "
                 "allowed: the default, or no such key");
        }
    }
    settings_free(defaults);
}

/* Two bridges with one client id end each other's connection, and one status topic shows the state
 * of the bridge that published last. */
static void check_names(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    if (strstr(settings->client_id_template, INSTANCE_MARK) == NULL) {
        fail(view,
             settings->broker.apsaramq.instance_id[0] == '\0' ? "broker.client_id"
                                                              : "broker.apsaramq.device_id",
             "has no {Instance}, and the ledger is shared: bridges with the same client id end "
             "each other's connections; allowed: a text with {Instance}");
    }
    if (settings->topics.status[0] != '\0' &&
        strstr(settings->topics.status, INSTANCE_MARK) == NULL) {
        fail(view, "topics.status",
             "has no {Instance}, and the ledger is shared: the state of one bridge replaces that "
             "of another; allowed: a topic with {Instance}, or empty for none");
    }
}

static void check_shares(const struct settings_view *view)
{
    for (size_t i = 0; i < view->settings->route_count; i++) {
        if (view->settings->routes[i].share[0] == '\0') {
            settings_report_route(
                view, true, i, "share", SETTINGS_NO_ITEM,
                "is empty, and the ledger is shared: each bridge would get every command, and the "
                "sender a reply from each; allowed: the same name at all bridges");
        }
    }
}

static void check_uri(const struct settings_view *view)
{
    struct store_uri uri;
    const char *why;
    if (!store_uri_read(view->settings->ledger.store, &uri, &why)) {
        return; /* it was reported */
    }
    bool is_verified =
        uri.sslmode.length == 0 || slice_equals_text(buf_slice(&uri.sslmode), "verify-full");
    if (uri.is_off_host && !is_verified) {
        fail(view, "ledger.store",
             "has an sslmode that does not verify the server, which is not on loopback: anybody on "
             "the network could steal the password, and read and change commands; allowed: "
             "sslmode=verify-full, which is the default");
    }
    if (uri.has_password) {
        warn(view, "ledger.store",
             "contains a password, which everybody sees who may read this file or the command "
             "line; use ledger.password_file");
    }
    store_uri_fini(&uri);
}

void settings_check_ledger(const struct settings_view *view)
{
    if (settings_is_shared(view->settings)) {
        check_names(view);
        check_shares(view);
        check_uri(view);
    } else {
        check_not_shared(view);
    }
}
