/*
 * Checks across settings: values that contradict each other (errors) and settings that work but are
 * dangerous (warnings). The checks of topics are in check_topics.c.
 */
#include "table.h"

#include "settings/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define CLIENT_ID_BYTES_MAX 65000 /* leaves room for "-in-64" within MQTT's 65535 */
#define NO_ROUTE            SIZE_MAX

static void warn(const struct settings_view *view, const char *path, const char *text)
{
    settings_report_warning(view->report, view->file, settings_line_of(view, path), path, "%s",
                            text);
}

static void fail(const struct settings_view *view, const char *path, const char *text)
{
    settings_report_error(view->report, view->file, settings_line_of(view, path), path, "%s", text);
}

/* The line of the first of these keys that is in the file, 0 for none; `others` ends with NULL. */
static unsigned line_of_any(const struct settings_view *view, const char *path,
                            const char *const others[])
{
    unsigned line = settings_line_of(view, path);
    for (size_t i = 0; line == 0 && others[i] != NULL; i++) {
        line = settings_line_of(view, others[i]);
    }
    return line;
}

/* An error that also says what the row allows. */
static void fail_rule(const struct settings_view *view, const char *path, const char *why)
{
    struct buf text = {0};
    buf_printf(&text, "%s; allowed: ", why);
    settings_row_allowed(settings_row_find(settings_main_table(), path), &text);
    fail(view, path, text.data);
    buf_fini(&text);
}

static void check_instance(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    const struct settings_row *row = settings_row_find(settings_main_table(), "instance");
    const char *why = settings_text_why(row, settings->instance);
    if (settings->is_instance_host_name && why != NULL) {
        struct buf text = {0};
        buf_printf(&text, "is the host name, which %s", why);
        fail_rule(view, "instance", text.data);
        buf_fini(&text);
    }
    if (strlen(settings->broker.client_id) > CLIENT_ID_BYTES_MAX) {
        fail_rule(view, "broker.client_id", "is too long once {Instance} is filled in");
    }
}

static void check_waits(const struct settings_view *view)
{
    static const char *const max[] = {"broker.reconnect_max_s", NULL};
    static const char *const poll_max[] = {"watch.poll_max_s", NULL};
    static const char *const deadline[] = {"limits.deadline_s", NULL};
    static const char *const timeouts[] = {"api.connect_timeout_ms", "api.read_timeout_ms", NULL};
    const struct settings *settings = view->settings;
    int64_t attempt_ms = settings->api.connect_timeout_ms + settings->api.read_timeout_ms;
    if (settings->broker.reconnect_min_s > settings->broker.reconnect_max_s) {
        settings_report_error(
            view->report, view->file, line_of_any(view, "broker.reconnect_min_s", max),
            "broker.reconnect_min_s",
            "is longer than broker.reconnect_max_s; allowed: at most broker.reconnect_max_s");
    }
    if (settings->watch.poll_min_s > settings->watch.poll_max_s) {
        settings_report_error(view->report, view->file,
                              line_of_any(view, "watch.poll_min_s", poll_max), "watch.poll_min_s",
                              "is longer than watch.poll_max_s; allowed: at most watch.poll_max_s");
    }
    if (settings->broker.protocol == 5 &&
        settings->broker.session_expiry_s < settings->limits.deadline_s) {
        settings_report_warning(
            view->report, view->file, line_of_any(view, "broker.session_expiry_s", deadline),
            "broker.session_expiry_s",
            "is shorter than limits.deadline_s: after an outage the broker has discarded commands "
            "that could still be started");
    }
    if (settings->limits.deadline_s * 1000 < attempt_ms) {
        settings_report_warning(
            view->report, view->file, line_of_any(view, "limits.deadline_s", timeouts),
            "limits.deadline_s",
            "is shorter than one attempt (api.connect_timeout_ms + api.read_timeout_ms): "
            "a call that hangs is never tried again");
    }
}

/* The broker may hand over a command as long as its session exists. */
static void check_memory(const struct settings_view *view)
{
    static const char *const expiry[] = {"broker.session_expiry_s", NULL};
    const struct settings *settings = view->settings;
    if (settings->broker.protocol == 5 &&
        settings->dedup.success_ttl_s < settings->broker.session_expiry_s) {
        settings_report_error(
            view->report, view->file, line_of_any(view, "dedup.success_ttl_s", expiry),
            "dedup.success_ttl_s",
            "is shorter than broker.session_expiry_s: the broker could deliver a command again "
            "after its outcome was forgotten, and it would be started twice; allowed: at least "
            "broker.session_expiry_s (%lld)",
            (long long)settings->broker.session_expiry_s);
    }
}

/* Whether the URI has one of the two schemes and a host that is not on loopback. */
static bool is_far(const char *uri, const char *scheme, const char *other_scheme)
{
    struct url url;
    const char *why;
    return url_split(uri, &url, &why) && !url_is_loopback_host(url.host) &&
           (slice_equals_text(url.scheme, scheme) || slice_equals_text(url.scheme, other_scheme));
}

static void check_broker_uris(const struct settings_view *view)
{
    const struct text_list *uris = &view->settings->broker.uris;
    for (size_t i = 0; i < uris->count; i++) {
        if (is_far(uris->items[i], "mqtt", "ws")) {
            char key[64];
            snprintf(key, sizeof key, "broker.uris[%zu]", i);
            settings_report_warning(
                view->report, view->file, settings_line_of(view, "broker.uris"), key,
                "is not encrypted and not on loopback: commands and the password can be "
                "read and changed on the network; use mqtts:// or wss://");
        }
    }
}

/* An unverified broker could be an attacker's, who could then use the password or key elsewhere. */
static void check_verify(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    const struct text_list *uris = &settings->broker.uris;
    char *password = settings_password_path(settings);
    bool has_secret = password != NULL || settings->broker.tls.cert_file[0] != '\0' ||
                      settings->broker.apsaramq.instance_id[0] != '\0';
    bool is_any_far = false;
    for (size_t i = 0; i < uris->count; i++) {
        is_any_far = is_any_far || is_far(uris->items[i], "mqtts", "wss");
    }
    if (settings->broker.tls.verify) {
        /* Nothing to report. */
    } else if (has_secret && is_any_far) {
        fail(view, "broker.tls.verify",
             "is off while a password or a key is used with a broker that is not on loopback: "
             "anybody on the network could steal it; allowed: true, with broker.tls.ca_file for an "
             "authority of your own");
    } else {
        warn(view, "broker.tls.verify",
             "is off: anybody on the network can pretend to be the broker; set broker.tls.ca_file "
             "instead");
    }
    free(password);
}

static void check_key(const struct settings_view *view, const char *path, const char *key_file,
                      const char *cert_file)
{
    if (key_file[0] != '\0' && cert_file[0] == '\0') {
        fail(view, path, "is set without cert_file; allowed: both, cert_file alone, or none");
    }
}

static void check_secret_file(const struct settings_view *view, const struct settings_row *row)
{
    const char *path = settings_row_text(row, view->settings);
    struct stat info;
    if (path[0] == '\0' || stat(path, &info) != 0) {
        return;
    }
    if (S_ISREG(info.st_mode) && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        settings_report_warning(view->report, view->file, settings_line_of(view, row->path),
                                row->path,
                                "names a secret file that other users may open (mode %04o); "
                                "use mode 0600 or 0400",
                                (unsigned)info.st_mode & 07777U);
    }
}

/* Who can write a file decides what the bridge trusts and does. */
static void check_writable(const struct settings_view *view, const char *key, unsigned line,
                           const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && (info.st_mode & (S_IFMT | S_IWOTH)) == (S_IFREG | S_IWOTH)) {
        settings_report_warning(view->report, view->file, line, key,
                                "%s may be written by everybody (mode %04o); use mode 0644 or less",
                                path, (unsigned)info.st_mode & 07777U);
    }
}

static void check_file_rights(const struct settings_view *view)
{
    struct settings_table table = settings_main_table();
    struct stat info;
    check_writable(view, "file", 0, view->file);
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        if (row->rule == RULE_SECRET_FILE) {
            check_secret_file(view, row);
        } else if (row->rule == RULE_FILE) {
            check_writable(view, row->path, settings_line_of(view, row->path),
                           settings_row_text(row, view->settings));
        }
    }
    /* Without a key_file the key is in cert_file. */
    if (view->settings->broker.tls.key_file[0] == '\0') {
        check_secret_file(view, settings_row_find(table, "broker.tls.cert_file"));
    }
    if (view->settings->api.key_file[0] == '\0') {
        check_secret_file(view, settings_row_find(table, "api.cert_file"));
    }
    if (strchr(view->settings->api.proxy, '@') != NULL && stat(view->file, &info) == 0 &&
        (info.st_mode & S_IROTH) != 0) {
        warn(view, "api.proxy",
             "contains a user name and is in a file that everybody may read; use mode 0640 for "
             "this file");
    }
}

static void check_api(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    const char *why = NULL;
    enum url_use use = settings->api.allow_http ? URL_ENDPOINT_ANY : URL_ENDPOINT;
    if (settings->api.endpoint[0] == '\0') {
        return;
    }
    if (!url_is_valid(settings->api.endpoint, use, &why)) {
        fail_rule(view, "api.endpoint", why);
    } else if (!url_is_valid(settings->api.endpoint, URL_ENDPOINT, &why)) {
        warn(view, "api.endpoint",
             "is not encrypted and not on loopback: calls can be read and answered on the network; "
             "use https://");
    }
}

static void check_admin(const struct settings_view *view)
{
    struct slice host;
    int port;
    const char *why;
    if (url_split_listen(view->settings->admin.listen, &host, &port, &why) &&
        !url_is_loopback_host(host)) {
        warn(view, "admin.listen",
             "is not on loopback: everybody who can reach this address sees the bridge's state and "
             "numbers, without a password or encryption; use 127.0.0.1, or a firewall");
    }
}

static void check_trace(const struct settings_view *view)
{
    struct url url;
    const char *why;
    if (url_split(view->settings->trace.endpoint, &url, &why) &&
        slice_equals_text(url.scheme, "http") && !url_is_loopback_host(url.host)) {
        warn(view, "trace.endpoint",
             "is not encrypted and not on loopback: tokens, groups and outcomes can be read on the "
             "network; use https://, or a collector on this machine");
    }
}

/* A habit from other programs: ${NAME} in a text, which nothing replaces here. */
static void check_variables(const struct settings_view *view, struct settings_table table,
                            const void *base, size_t route)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        for (size_t item = 0; item < settings_row_text_count(row, base); item++) {
            const char *start = strstr(settings_row_text_at(row, base, item), "${");
            const char *end = start == NULL ? NULL : strchr(start, '}');
            struct buf key = {0};
            if (end == NULL || settings_rule_is_masked(row->rule) ||
                row->rule == RULE_TEMPLATE_OF_FIELD ||
                (row->rule == RULE_STORE && settings_is_shared(view->settings))) {
                continue;
            }
            if (route != NO_ROUTE) {
                buf_printf(&key, "routes[%zu].", route);
            }
            buf_append_text(&key, row->path);
            settings_report_warning(
                view->report, view->file,
                route == NO_ROUTE ? settings_line_of(view, row->path)
                                  : settings_route_line_of(view, route, row->path),
                key.data,
                "contains %.*s, which is taken as it stands: variables of the environment are not "
                "replaced; write the value itself, or give it with --set",
                (int)(end + 1 - start), start);
            buf_fini(&key);
        }
    }
}

/* Other values that contradict each other, or work but are dangerous. */
static void check_values(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    bool has_user = settings->broker.username[0] != '\0';
    bool has_password = settings->broker.password_file[0] != '\0';
    if (settings->broker.protocol == 4 && has_password && !has_user) {
        fail(view, "broker.password_file",
             "is set without broker.username; allowed: both or none "
             "(MQTT 3.1.1 has no password without a user name)");
    }
    if (is_far(settings->credentials.uri, "http", "http")) {
        warn(view, "credentials.uri",
             "is not encrypted and not on loopback: credentials can be read and changed on the "
             "network; use https://");
    }
    if (settings->replies.qos == 0) {
        warn(view, "replies.qos", "is 0: replies can be lost; use 1");
    } else if (settings->replies.qos == 2) {
        warn(view, "replies.qos",
             "is 2: the bridge publishes with 1, so after an outage a reply can arrive twice; use "
             "1");
    }
}

void settings_check(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    check_instance(view);
    check_waits(view);
    check_memory(view);
    check_key(view, "broker.tls.key_file", settings->broker.tls.key_file,
              settings->broker.tls.cert_file);
    check_key(view, "api.key_file", settings->api.key_file, settings->api.cert_file);
    check_verify(view);
    check_broker_uris(view);
    check_file_rights(view);
    check_api(view);
    check_values(view);
    check_admin(view);
    check_trace(view);
    check_variables(view, settings_main_table(), settings, NO_ROUTE);
    for (size_t i = 0; i < settings->route_count; i++) {
        check_variables(view, settings_route_table(), &settings->routes[i], i);
    }
    settings_check_ledger(view);
    settings_check_topics(view);
    settings_check_patterns(view);
    settings_check_profile(view);
    settings_check_payloads(view);
}
