/*
 * Topics that conflict: a command that two filters match may be delivered twice, and a message that
 * the bridge publishes on a command topic comes back to it as a command.
 */
#include "table.h"

#include "model/topic.h"

#include <stdio.h>

#define ITEM_NONE SIZE_MAX

/* A command filter of a route. */
struct command_filter {
    size_t route;
    size_t index;
    struct slice filter;
};

/* Goes to the next command filter of all routes; start with {0}. False at the end. */
static bool next_command_filter(const struct settings *settings, struct command_filter *command)
{
    if (slice_is_present(command->filter)) {
        command->index++;
    }
    while (command->route < settings->route_count &&
           command->index >= settings->routes[command->route].topics.count) {
        command->route++;
        command->index = 0;
    }
    if (command->route >= settings->route_count) {
        return false;
    }
    command->filter = slice_text(settings->routes[command->route].topics.items[command->index]);
    return true;
}

/* A warning about a key of a route, or about one item of its list (ITEM_NONE: the key itself). */
static void warn_route(const struct settings_view *view, size_t route, const char *path,
                       size_t item, const char *format, ...) __attribute__((format(printf, 5, 6)));

static void warn_route(const struct settings_view *view, size_t route, const char *path,
                       size_t item, const char *format, ...)
{
    struct buf key = {0};
    struct buf text = {0};
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    buf_printf(&key, "routes[%zu].%s", route, path);
    if (item != ITEM_NONE) {
        buf_printf(&key, "[%zu]", item);
    }
    settings_report_warning(view->report, view->file, settings_route_line_of(view, route, path),
                            key.data, "%s", text.data);
    buf_fini(&key);
    buf_fini(&text);
}

static void check_names(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    for (size_t i = 1; i < settings->route_count; i++) {
        const struct route *first = route_of_name(settings->routes, i, settings->routes[i].name);
        if (first == NULL) {
            continue;
        }
        struct buf key = {0};
        unsigned line = settings_route_line_of(view, i, "name");
        buf_printf(&key, "routes[%zu].name", i);
        settings_report_error(
            view->report, view->file, line, key.data,
            "is also the name of routes[%zu]; allowed: a name that no other route has",
            (size_t)(first - settings->routes));
        buf_fini(&key);
    }
}

/* Compares each filter with those before it and reports the first overlap of each. */
static void check_overlaps(const struct settings_view *view)
{
    for (struct command_filter later = {0}; next_command_filter(view->settings, &later);) {
        for (struct command_filter earlier = {0}; next_command_filter(view->settings, &earlier);) {
            if (earlier.filter.data == later.filter.data) {
                break;
            }
            if (topic_filters_overlap(earlier.filter, later.filter)) {
                warn_route(
                    view, later.route, "topics", later.index,
                    "overlaps routes[%zu].topics[%zu]: a command on a topic that matches both "
                    "may be delivered twice, and the first route handles it",
                    earlier.route, earlier.index);
                break;
            }
        }
    }
}

/* The first command filter that can match a topic made from the template. */
static bool find_loop(const struct settings *settings, const char *template,
                      struct command_filter *out_command)
{
    for (struct command_filter command = {0}; next_command_filter(settings, &command);) {
        if (topic_template_may_match(template, command.filter)) {
            *out_command = command;
            return true;
        }
    }
    return false;
}

static void check_template(const struct settings_view *view, const char *path, const char *template)
{
    struct command_filter command;
    if (find_loop(view->settings, template, &command)) {
        settings_report_warning(
            view->report, view->file, settings_line_of(view, path), path,
            "can be a command topic (routes[%zu].topics[%zu]): the bridge would "
            "read its own messages as commands",
            command.route, command.index);
    }
}

static void check_response_filter(const struct settings_view *view, size_t route, size_t item)
{
    struct slice filter = slice_text(view->settings->routes[route].response_topics.items[item]);
    if (slice_equals_text(filter, "#") || slice_equals_text(filter, "+/#")) {
        warn_route(view, route, "response_topics", item,
                   "allows every topic: a sender can make the bridge publish anywhere; list the "
                   "reply topics");
        return;
    }
    for (struct command_filter command = {0}; next_command_filter(view->settings, &command);) {
        if (topic_filters_overlap(filter, command.filter)) {
            warn_route(view, route, "response_topics", item,
                       "allows a command topic (routes[%zu].topics[%zu]): a sender can make the "
                       "bridge read its own replies as commands",
                       command.route, command.index);
            return;
        }
    }
}

/* A default that the route itself does not allow. */
static void check_defaults(const struct settings_view *view, size_t index)
{
    const struct route *route = &view->settings->routes[index];
    const struct {
        const char *path;
        const char *list;
        const char *value;
        bool (*is_allowed)(const struct route *route, const char *value);
    } fields[] = {
        {"defaults.RegionId", "regions", route->default_region, route_allows_region},
        {"defaults.ReplicaGroupId", "groups", route->default_group, route_allows_group},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *path = fields[i].path;
        const char *value = fields[i].value;
        const struct settings_row *row = settings_row_find(settings_route_table(), path);
        /* A value that is not a region or a group at all was already reported. */
        if (value == NULL || settings_text_why(row, value) != NULL ||
            fields[i].is_allowed(route, value)) {
            continue;
        }
        char key[64];
        snprintf(key, sizeof key, "routes[%zu].%s", index, path);
        settings_report_error(
            view->report, view->file, settings_route_line_of(view, index, path), key,
            "is not allowed by this route's %s, so every command without the field would be "
            "refused; allowed: a value that they allow",
            fields[i].list);
    }
}

static void check_route(const struct settings_view *view, size_t index)
{
    const struct route *route = &view->settings->routes[index];
    check_defaults(view, index);
    if (view->settings->broker.protocol == 4 && route->share[0] != '\0') {
        warn_route(view, index, "share", ITEM_NONE,
                   "needs shared subscriptions, which MQTT 3.1.1 does not have: no command arrives "
                   "from a broker that does not offer them anyway");
    }
    if (route->qos == 0) {
        warn_route(view, index, "qos", ITEM_NONE,
                   "is 0: commands can be lost between broker and bridge; use 1");
    } else if (route->qos == 2) {
        warn_route(
            view, index, "qos", ITEM_NONE,
            "is 2: the bridge subscribes with 1, because it recognises duplicates itself; use 1");
    }
    struct command_filter command;
    if (find_loop(view->settings, route->reply_topic, &command)) {
        warn_route(view, index, "reply_topic", ITEM_NONE,
                   "can be a command topic (routes[%zu].topics[%zu]): the bridge would read its "
                   "own replies as commands",
                   command.route, command.index);
    }
    for (size_t i = 0; i < route->response_topics.count; i++) {
        check_response_filter(view, index, i);
    }
}

/* One SUBSCRIBE of a receiver carries the filters of all routes. */
static void check_count(const struct settings_view *view)
{
    size_t count = 0;
    for (size_t i = 0; i < view->settings->route_count; i++) {
        count += view->settings->routes[i].topics.count;
        if (count > ROUTE_FILTERS_MAX) {
            settings_report_error(view->report, view->file,
                                  settings_route_line_of(view, i, "topics"), "routes",
                                  "have more than %d topics in total; allowed: at most %d; use "
                                  "wildcards or a second bridge",
                                  ROUTE_FILTERS_MAX, ROUTE_FILTERS_MAX);
            return;
        }
    }
}

void settings_check_topics(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    check_count(view);
    check_names(view);
    check_overlaps(view);
    check_template(view, "topics.dead_letters", settings->topics.dead_letters);
    check_template(view, "topics.status", settings->topics.status);
    check_template(view, "topics.events", settings->topics.events);
    for (size_t i = 0; i < settings->route_count; i++) {
        check_route(view, i);
    }
}
