/*
 * Topics that conflict: a command that two filters match may be delivered twice, and a message that
 * the bridge publishes on a command topic comes back to it as a command.
 */
#include "table.h"

#include "model/topic.h"

#include <stdio.h>

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

static void check_names(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    for (size_t i = 1; i < settings->route_count; i++) {
        const struct route *first = route_of_name(settings->routes, i, settings->routes[i].name);
        if (first == NULL) {
            continue;
        }
        settings_report_route(
            view, true, i, "name", SETTINGS_NO_ITEM,
            "is also the name of routes[%zu]; allowed: a name that no other route has",
            (size_t)(first - settings->routes));
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
                settings_report_route(
                    view, false, later.route, "topics", later.index,
                    "overlaps routes[%zu].topics[%zu]: a command on a topic that matches both "
                    "may be delivered twice, and the first route handles it",
                    earlier.route, earlier.index);
                break;
            }
        }
    }
}

/*
 * Every command filter that can match a topic that the bridge publishes to. It would read each of
 * its messages as a command and answer it with another message: without end where that is a reply
 * or a dead letter.
 */
static void check_own_topic(const struct settings_view *view, const char *path, const char *topic)
{
    const char *why;
    bool is_topic = topic_template_is_valid(topic, &why); /* else it was reported */
    for (struct command_filter command = {0}; next_command_filter(view->settings, &command);) {
        if (is_topic && topic_is_filter(command.filter) &&
            topic_template_may_match(topic, command.filter)) {
            settings_report_route(
                view, true, command.route, "topics", command.index,
                "takes in what the bridge itself publishes (%s, \"%s\"), which it "
                "would read as commands; allowed: filters that match no topic of "
                "its own",
                path, topic);
        }
    }
}

static void check_response_filter(const struct settings_view *view, size_t route, size_t item)
{
    struct slice filter = slice_text(view->settings->routes[route].response_topics.items[item]);
    if (slice_equals_text(filter, "#") || slice_equals_text(filter, "+/#")) {
        settings_report_route(
            view, false, route, "response_topics", item,
            "allows every topic: a sender can make the bridge publish anywhere; list the "
            "reply topics");
        return;
    }
    for (struct command_filter command = {0}; next_command_filter(view->settings, &command);) {
        if (topic_filters_overlap(filter, command.filter)) {
            settings_report_route(
                view, false, route, "response_topics", item,
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

/* A default for a field that no command of this route may have. */
static void check_parameter_defaults(const struct settings_view *view, size_t index)
{
    const struct route *route = &view->settings->routes[index];
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        const struct parameter *parameter;
        for (size_t k = 0; (parameter = action_parameter(&action_rows[i], k)) != NULL; k++) {
            if (route->parameter_defaults[parameter->id].is_set &&
                parameter->action != route_action(route)->id) {
                char path[64];
                snprintf(path, sizeof path, "defaults.%s", parameter->name);
                settings_report_route(view, true, index, path, SETTINGS_NO_ITEM,
                                      "is no parameter of this route's action, %s; remove it",
                                      route->action);
            }
        }
    }
}

static void check_route(const struct settings_view *view, size_t index)
{
    const struct route *route = &view->settings->routes[index];
    check_defaults(view, index);
    check_parameter_defaults(view, index);
    if (view->settings->broker.protocol == 4 && route->share[0] != '\0') {
        settings_report_route(
            view, false, index, "share", SETTINGS_NO_ITEM,
            "needs shared subscriptions, which MQTT 3.1.1 does not have: no command arrives from a "
            "broker that does not offer them anyway, and it may not say so; use broker.protocol = "
            "5, "
            "or no share");
    }
    if (route->qos == 0) {
        settings_report_route(view, false, index, "qos", SETTINGS_NO_ITEM,
                              "is 0: commands can be lost between broker and bridge; use 1");
    } else if (route->qos == 2) {
        settings_report_route(
            view, false, index, "qos", SETTINGS_NO_ITEM,
            "is 2: the bridge subscribes with 1, because it recognises duplicates itself; use 1");
    }
    char path[64];
    snprintf(path, sizeof path, "routes[%zu].reply_topic", index);
    check_own_topic(view, path, route->reply_topic);
    for (size_t i = 0; i < route->response_topics.count; i++) {
        check_response_filter(view, index, i);
    }
}

/* Of a retained message the broker keeps the last one of its topic. */
static void check_events(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    bool is_any_read = false;
    for (size_t i = 0; i < settings->route_count; i++) {
        is_any_read = is_any_read || route_reads_state(&settings->routes[i]);
    }
    if (is_any_read && settings->watch.retain &&
        strstr(settings->topics.events, "{ReplicaGroupId}") == NULL) {
        settings_report_warning(
            view->report, view->file, settings_line_of(view, "topics.events"), "topics.events",
            "has no {ReplicaGroupId} while watch.retain is true: the last event of one group "
            "replaces the last event of another; put {ReplicaGroupId} into it, or set "
            "watch.retain = false");
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
    check_own_topic(view, "topics.dead_letters", settings->topics.dead_letters);
    if (settings->topics.status[0] != '\0') {
        check_own_topic(view, "topics.status", settings->topics.status);
    }
    check_own_topic(view, "topics.events", settings->topics.events);
    check_events(view);
    for (size_t i = 0; i < settings->route_count; i++) {
        check_route(view, i);
    }
}
