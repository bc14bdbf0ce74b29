/*
 * broker.profile: the defaults of a broker service, and the settings that are beyond its limits. An
 * error is what the service refuses for sure; a warning is what it grants less of, or refuses only
 * for some commands.
 */
#include "table.h"

#include "base/section.h"
#include "model/topic.h"
#include "settings/url.h"

#include <stdio.h>
#include <string.h>

/* Values that a template is filled with, to know how long a topic becomes. A sender chooses a
 * token; the API's own ids are not longer than these. */
#define LONG_TOKEN  "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"
#define LONG_GROUP  "pg-ggggggggggggggggggggggggggggggggggggg"
#define LONG_REGION "rr-rrrrrrrrrrrrrrrrrrrrr"

enum support { NO, SOME, YES };

struct broker_profile {
    const char *name;
    const char *title;
    size_t topic_bytes;
    size_t topic_levels;
    const char *topic_characters;
    size_t client_id_bytes;
    int64_t keepalive_min_s;
    int64_t keepalive_max_s;
    int64_t payload_bytes;
    int64_t session_max_s;
    int64_t queued_max;
    double publish_per_s;
    size_t filters_max;
    enum support will;
    enum support retain;
    enum support share;
    bool needs_tls;
};

static const struct broker_profile profiles[] = {
#define PROFILE(...) {__VA_ARGS__},
#include "tables/broker_profiles.def"
};

static const struct profile_default {
    const char *profile;
    const char *path;
    const char *value;
    bool is_of_routes;
} defaults[] = {
#define PROFILE_DEFAULT(name, path, value)       {name, path, value, false},
#define PROFILE_ROUTE_DEFAULT(name, path, value) {name, path, value, true},
#include "tables/broker_profiles.def"
};

/* ---- Defaults ---- */

static void set_default(struct settings_table table, const struct profile_default *other,
                        const struct settings_place *places, void *base)
{
    const struct settings_row *row = settings_row_find(table, other->path);
    if (!places[row - table.rows].is_given) {
        struct settings_row changed = *row;
        changed.fallback = other->value;
        settings_row_clear(row, base);
        settings_row_set_default(&changed, base);
    }
}

void settings_set_profile_defaults(struct settings *settings, const struct settings_place *places)
{
    struct settings_table table = settings_main_table();
    struct settings_table route_table = settings_route_table();
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        if (strcmp(defaults[i].profile, settings->broker.profile) != 0) {
            continue;
        }
        if (!defaults[i].is_of_routes) {
            set_default(table, &defaults[i], places, settings);
            continue;
        }
        for (size_t k = 0; k < settings->route_count; k++) {
            set_default(route_table, &defaults[i], places + table.count + k * route_table.count,
                        &settings->routes[k]);
        }
    }
}

/* ---- Limits ---- */

static const struct broker_profile *profile_of(const struct settings *settings)
{
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
        if (strcmp(profiles[i].name, settings->broker.profile) == 0) {
            return &profiles[i];
        }
    }
    return &profiles[0];
}

static void report(const struct settings_view *view, bool is_error, const char *path,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void report(const struct settings_view *view, bool is_error, const char *path,
                   const char *format, ...)
{
    struct buf text = {0};
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    (is_error ? settings_report_error : settings_report_warning)(
        view->report, view->file, settings_line_of(view, path), path, "%s", text.data);
    buf_fini(&text);
}

/* Numbers of which the service grants less. */
static void check_numbers(const struct settings_view *view, const struct broker_profile *profile)
{
    const struct settings *settings = view->settings;
    const struct {
        const char *path;
        int64_t value;
        int64_t min;
        int64_t max; /* 0: none */
        const char *effect;
    } numbers[] = {
        {"broker.keepalive_s", settings->broker.keepalive_s, profile->keepalive_min_s,
         profile->keepalive_max_s, "the service may end idle connections, or refuse them"},
        {"broker.session_expiry_s", settings->broker.session_expiry_s, 0,
         settings->broker.protocol == 5 ? profile->session_max_s : 0,
         "the service keeps commands no longer than that while the bridge is away"},
        {"limits.payload_bytes", settings->limits.payload_bytes, 0, profile->payload_bytes,
         "larger commands never arrive, and get no refusal"},
        {"limits.reply_topic_bytes", settings->limits.reply_topic_bytes, 0,
         (int64_t)profile->topic_bytes,
         "a reply to a longer topic is refused by the service and becomes a dead letter"},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i].max > 0 &&
            (numbers[i].value > numbers[i].max || numbers[i].value < numbers[i].min)) {
            report(view, false, numbers[i].path, "is %lld, and %s allows %lld to %lld: %s",
                   (long long)numbers[i].value, profile->title, (long long)numbers[i].min,
                   (long long)numbers[i].max, numbers[i].effect);
        }
    }
    if (profile->publish_per_s > 0 && (settings->broker.publish_per_s <= 0 ||
                                       settings->broker.publish_per_s > profile->publish_per_s)) {
        report(view, false, "broker.publish_per_s",
               "is %g%s, and %s takes %g messages a second from a client: it may drop the others, "
               "or end the connection",
               settings->broker.publish_per_s,
               settings->broker.publish_per_s <= 0 ? " (no limit)" : "", profile->title,
               profile->publish_per_s);
    }
    if (profile->queued_max > 0) {
        report(view, false, "broker.profile",
               "%s keeps at most %lld commands for a bridge that is away, for %lld s at most, and "
               "then ends the session with all of them: let senders repeat commands that get no "
               "reply",
               profile->title, (long long)profile->queued_max, (long long)profile->session_max_s);
    }
}

static void check_client_id(const struct settings_view *view, const struct broker_profile *profile)
{
    const struct settings *settings = view->settings;
    size_t length = strlen(settings->broker.client_id) + strlen("-out");
    if (profile->client_id_bytes > 0 && length > profile->client_id_bytes) {
        report(view, true, "broker.client_id",
               "is %zu bytes long with -out behind it; allowed: at most %zu bytes (%s)", length,
               profile->client_id_bytes, profile->title);
    }
}

/* Last Will, retained messages, and TLS. */
static void check_features(const struct settings_view *view, const struct broker_profile *profile)
{
    const struct settings *settings = view->settings;
    bool has_status = settings->topics.status[0] != '\0';
    if (has_status && settings->broker.will && profile->will == NO) {
        report(view, true, "broker.will",
               "is true, and %s refuses a connection with a Last Will; allowed: false",
               profile->title);
    }
    if (has_status && settings->broker.retain && profile->retain != YES) {
        bool is_error = profile->retain == NO;
        report(view, is_error, "broker.retain",
               is_error ? "is true, and %s has no retained messages; allowed: false"
                        : "is true, and some versions of %s end the connection at a retained "
                          "message",
               profile->title);
    }
    for (size_t i = 0; profile->needs_tls && i < settings->broker.uris.count; i++) {
        struct url url;
        const char *why;
        if (url_split(settings->broker.uris.items[i], &url, &why) &&
            !url_is_loopback_host(url.host) &&
            (slice_equals_text(url.scheme, "mqtt") || slice_equals_text(url.scheme, "ws"))) {
            report(view, true, "broker.uris",
                   "has an address without TLS, which %s refuses; allowed: mqtts:// or wss://",
                   profile->title);
            return;
        }
    }
}

static void check_filters(const struct settings_view *view, const struct broker_profile *profile)
{
    const struct settings *settings = view->settings;
    size_t count = 0;
    for (size_t i = 0; i < settings->route_count; i++) {
        const struct route *route = &settings->routes[i];
        bool was_allowed = count <= profile->filters_max;
        count += route->topics.count;
        if (profile->filters_max > 0 && was_allowed && count > profile->filters_max) {
            settings_report_route(
                view, true, i, "topics", SETTINGS_NO_ITEM,
                "makes %zu topic filters in all routes; allowed: at most %zu (%s)", count,
                profile->filters_max, profile->title);
        }
        if (route->share[0] != '\0' && profile->share == NO) {
            settings_report_route(view, true, i, "share", SETTINGS_NO_ITEM,
                                  "is set, and %s has no shared subscriptions; allowed: \"\"",
                                  profile->title);
        }
    }
}

/* ---- Topics ---- */

/* A topic, template or filter of the settings. */
struct place_of_topic {
    size_t route; /* SIZE_MAX: outside of routes */
    const char *path;
    size_t item;
};

static void report_topic(const struct settings_view *view, bool is_error,
                         const struct place_of_topic *place, struct slice text)
{
    if (place->route == SIZE_MAX) {
        report(view, is_error, place->path, "%.*s", (int)text.length, text.data);
    } else {
        settings_report_route(view, is_error, place->route, place->path, place->item, "%.*s",
                              (int)text.length, text.data);
    }
}

/* The topic's length with short or with long values. Appends it to `out`, and leaves `out` empty
 * where the topic is not valid, which was reported. */
static void fill_in(const struct settings_view *view, const struct place_of_topic *place,
                    const char *text, bool is_long, struct buf *out)
{
    const struct settings *settings = view->settings;
    const char *why;
    const struct topic_values values = {
        .instance = settings->instance,
        .route = place->route == SIZE_MAX ? settings->routes[0].name
                                          : settings->routes[place->route].name,
        .region = slice_text(is_long ? LONG_REGION : "r"),
        .group = slice_text(is_long ? LONG_GROUP : "g"),
        .token = slice_text(is_long ? LONG_TOKEN : "t"),
    };
    if (strchr(text, '{') == NULL) {
        buf_append_text(out, text); /* also a filter, which is no template */
    } else if (topic_template_is_valid(text, &why)) {
        (void)topic_expand(text, &values, out);
    }
}

/* Appends why the service refuses the topic, filled in with short values, for sure. */
static void put_fault(const struct broker_profile *profile, struct slice topic, struct buf *out)
{
    const char *characters = profile->topic_characters;
    size_t levels = topic_levels(topic);
    size_t good = 0;
    while (good < topic.length && (strchr("/+#", topic.data[good]) != NULL ||
                                   strchr(characters, topic.data[good]) != NULL)) {
        good++;
    }
    if (profile->topic_levels > 0 && levels > profile->topic_levels) {
        buf_printf(out, "has %zu levels; allowed: at most %zu (%s)", levels, profile->topic_levels,
                   profile->title);
    } else if (profile->topic_bytes > 0 && topic.length > profile->topic_bytes) {
        buf_printf(out, "is %zu bytes long; allowed: at most %zu bytes (%s)", topic.length,
                   profile->topic_bytes, profile->title);
    } else if (characters[0] != '\0' && good < topic.length) {
        buf_printf(out,
                   "has the character '%c'; allowed: letters, digits, '-' and '_' (%s); values "
                   "with others are percent-encoded, so they are not allowed either",
                   topic.data[good], profile->title);
    }
}

/* The same for what depends on the values. */
static void put_danger(const struct broker_profile *profile, const char *text, struct slice longest,
                       struct buf *out)
{
    if (profile->topic_characters[0] != '\0' && strstr(text, "{ClientToken}") != NULL) {
        buf_printf(out,
                   "contains {ClientToken}, which the sender chooses: with a token that is too "
                   "long for %zu bytes in all, or has other characters than letters, digits, '-' "
                   "and '_', %s refuses the message; use a topic without it",
                   profile->topic_bytes, profile->title);
    } else if (profile->topic_bytes > 0 && longest.length > profile->topic_bytes) {
        buf_printf(out, "can be %zu bytes long once it is filled in, and %s takes at most %zu",
                   longest.length, profile->title, profile->topic_bytes);
    }
}

static void check_topic(const struct settings_view *view, const struct broker_profile *profile,
                        const struct place_of_topic *place, const char *text)
{
    struct buf topic = {0};
    struct buf longest = {0};
    struct buf line = {0};
    fill_in(view, place, text, false, &topic);
    fill_in(view, place, text, true, &longest);
    put_fault(profile, buf_slice(&topic), &line);
    bool is_error = line.length > 0;
    if (!is_error) {
        put_danger(profile, text, buf_slice(&longest), &line);
    }
    if (line.length > 0) {
        report_topic(view, is_error, place, buf_slice(&line));
    }
    buf_fini(&topic);
    buf_fini(&longest);
    buf_fini(&line);
}

static void check_topics_of(const struct settings_view *view, const struct broker_profile *profile,
                            struct settings_table table, const void *base, size_t route)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        bool is_topic = row->rule == RULE_TEMPLATE || row->rule == RULE_STATUS_TEMPLATE ||
                        row->rule == RULE_DEAD_LETTER_TEMPLATE ||
                        row->rule == RULE_COMMAND_FILTER || row->rule == RULE_FILTER;
        for (size_t k = 0; is_topic && k < settings_row_text_count(row, base); k++) {
            const struct place_of_topic place = {route, row->path,
                                                 row->type == SETTINGS_LIST ? k : SETTINGS_NO_ITEM};
            check_topic(view, profile, &place, settings_row_text_at(row, base, k));
        }
    }
}

/* ---- The login of ApsaraMQ ---- */

/* What each kind of login needs. */
static void check_login_files(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    static const char *const modes[] = {"device", "signature", "token"};
    enum { DEVICE = 1, SIGNATURE = 2, TOKEN = 4 };
    const struct {
        const char *path;
        const char *value;
        unsigned modes; /* 1 << index of modes */
    } needs[] = {
        {"broker.apsaramq.credentials_file", settings->broker.apsaramq.credentials_file, DEVICE},
        {"broker.apsaramq.access_key_id", settings->broker.apsaramq.access_key_id,
         SIGNATURE | TOKEN},
        {"broker.apsaramq.secret_file", settings->broker.apsaramq.secret_file, SIGNATURE},
        {"broker.apsaramq.token_file", settings->broker.apsaramq.token_file, TOKEN},
    };
    bool is_used = settings->broker.apsaramq.instance_id[0] != '\0';
    unsigned mode = 0;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        mode |= strcmp(settings->broker.apsaramq.mode, modes[i]) == 0 ? 1U << i : 0;
    }
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        bool is_set = needs[i].value[0] != '\0';
        if (is_used && (needs[i].modes & mode) != 0 && !is_set) {
            report(view, true, needs[i].path,
                   "is empty; allowed: what broker.apsaramq.mode = \"%s\" needs",
                   settings->broker.apsaramq.mode);
        } else if (!is_used && is_set) {
            report(view, true, needs[i].path,
                   "is set without broker.apsaramq.instance_id; allowed: both or none");
        }
    }
}

static void check_login(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    size_t id_length = strlen(settings->broker.client_id) + strlen("-out");
    check_login_files(view);
    if (settings->broker.apsaramq.instance_id[0] == '\0') {
        return;
    }
    if (settings->broker.username[0] != '\0') {
        report(view, true, "broker.username",
               "is set together with broker.apsaramq.instance_id; allowed: one of them");
    }
    if (settings->broker.password_file[0] != '\0') {
        report(view, true, "broker.password_file",
               "is set together with broker.apsaramq.instance_id; allowed: one of them");
    }
    if (strcmp(settings->broker.profile, "apsaramq") != 0) {
        report(view, false, "broker.profile",
               "is \"%s\", and the login is that of ApsaraMQ for MQTT: its limits are not "
               "checked; use \"apsaramq\"",
               settings->broker.profile);
    }
    if (strcmp(settings->broker.apsaramq.mode, "device") == 0 &&
        id_length > SECTION_NAME_BYTES_MAX) {
        report(view, true, "broker.apsaramq.device_id",
               "makes client ids of %zu bytes; allowed: at most %d bytes, which is the longest "
               "name of a section in credentials_file",
               id_length, SECTION_NAME_BYTES_MAX);
    }
}

void settings_check_profile(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    const struct broker_profile *profile = profile_of(settings);
    check_numbers(view, profile);
    check_client_id(view, profile);
    check_features(view, profile);
    check_filters(view, profile);
    check_login(view);
    check_topics_of(view, profile, settings_main_table(), settings, SIZE_MAX);
    for (size_t i = 0; i < settings->route_count; i++) {
        check_topics_of(view, profile, settings_route_table(), &settings->routes[i], i);
    }
}
