/*
 * What routes make of payloads: keys that need each other or exclude each other, and the tables
 * that templates use. Each template by itself is checked by its rule.
 */
#include "table.h"

#include "model/delivery.h"
#include "model/template.h"

#define MAP "map."

static void fail(const struct settings_view *view, size_t route, const char *path, const char *text)
{
    settings_report_route(view, true, route, path, SETTINGS_NO_ITEM, "%s", text);
}

/* The template is "", or not valid, which was reported. */
static void check_template(const struct settings_view *view, size_t index, const char *path,
                           size_t item, const char *text)
{
    const struct route *route = &view->settings->routes[index];
    const char *why = NULL;
    struct template *template = template_parse(text, &why);
    if (template == NULL) {
        return;
    }
    const char *name;
    for (size_t i = 0; (name = template_table(template, i)) != NULL; i++) {
        if (text_table_of_name(&view->settings->tables, name) == NULL) {
            settings_report_route(view, true, index, path, item,
                                  "uses the table %s, which does not exist; allowed: the name of "
                                  "one of `tables`",
                                  name);
        }
    }
    name = template_property(template, 0);
    if (name != NULL && strcmp(route->input, "json") == 0 && view->settings->broker.protocol == 4) {
        settings_report_route(view, false, index, path, item,
                              "uses the user property %s, but broker.protocol is 4, and MQTT 3.1.1 "
                              "has no user properties: it is always absent",
                              name);
    }
    template_free(template);
}

static bool is_map_row(const struct settings_row *row)
{
    return strncmp(row->path, MAP, strlen(MAP)) == 0;
}

/* Whether the action of the route has this field, or all commands have it. */
static bool is_field(const struct route *route, const char *name)
{
    const struct parameter *known;
    bool is_parameter = false;
    bool is_own = false;
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        for (size_t k = 0; (known = action_parameter(&action_rows[i], k)) != NULL; k++) {
            bool is_same = strcmp(known->name, name) == 0;
            is_parameter = is_parameter || is_same;
            is_own = is_own || (is_same && &action_rows[i] == route_action(route));
        }
    }
    return is_own || !is_parameter;
}

static void check_map(const struct settings_view *view, size_t index)
{
    const struct route *route = &view->settings->routes[index];
    struct settings_table table = settings_route_table();
    bool is_command = strcmp(route->input, "command") == 0;
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        if (!is_map_row(row) || row->type == SETTINGS_GROUP || !settings_row_is_set(row, route) ||
            settings_row_text(row, route)[0] == '\0') {
            continue;
        }
        if (is_command) {
            fail(view, index, row->path,
                 "is set, but input is \"command\", whose messages are not mapped; allowed: input "
                 "\"json\" or \"cloudevents\", or no map");
        } else if (!is_field(route, row->path + strlen(MAP))) {
            fail(view, index, row->path, "is no field of the route's action; allowed: no such key");
        } else {
            check_template(view, index, row->path, SETTINGS_NO_ITEM, settings_row_text(row, route));
        }
    }
}

static bool is_mapped(const char *template)
{
    return template != NULL && template[0] != '\0';
}

static void check_needed(const struct settings_view *view, size_t index)
{
    const struct route *route = &view->settings->routes[index];
    bool is_json = strcmp(route->input, "json") == 0;
    bool has_elements = route->each[0] != '\0';
    if (strcmp(route->input, "command") == 0) {
        if (has_elements) {
            fail(view, index, "each",
                 "is set without map; allowed: input \"json\" or \"cloudevents\" with map");
        }
        if (route->when.count > 0) {
            fail(view, index, "when",
                 "is set, but input is \"command\"; allowed: input \"json\" or \"cloudevents\"");
        }
        return;
    }
    if (!is_mapped(route->map.region) && route->default_region == NULL) {
        fail(view, index, "map.RegionId",
             "is not set, so that no command would have a region; allowed: a template, or "
             "defaults.RegionId");
    }
    if (!is_mapped(route->map.group) && route->default_group == NULL) {
        fail(view, index, "map.ReplicaGroupId",
             "is not set, so that no command would have a group; allowed: a template, or "
             "defaults.ReplicaGroupId");
    }
    if (!is_mapped(route->map.token) && (is_json || has_elements)) {
        fail(view, index, "map.ClientToken",
             is_json ? "is not set; allowed: a template that gives a repetition of the same "
                       "message the same ClientToken"
                     : "is not set, so that all elements of an event would have the same "
                       "ClientToken; allowed: a template, or no `each`");
    }
}

/* The same token for all elements: only the first one would be called. */
static void check_token(const struct settings_view *view, size_t index)
{
    const struct route *route = &view->settings->routes[index];
    const char *why = NULL;
    struct template *template = route->each[0] != '\0' && is_mapped(route->map.token)
                                    ? template_parse(route->map.token, &why)
                                    : NULL;
    if (template != NULL && !template_uses_element(template)) {
        settings_report_route(view, false, index, "map.ClientToken", SETTINGS_NO_ITEM,
                              "has no pointer into the element, so that all elements of a message "
                              "have the same ClientToken: at most one of them is called");
    }
    template_free(template);
}

static void check_when(const struct settings_view *view, size_t index)
{
    const struct route_conditions *when = &view->settings->routes[index].when;
    for (size_t i = 0; i < when->count; i++) {
        if (when->items[i].is.count == 0 && when->items[i].isnt.count == 0) {
            settings_report_route(view, true, index, "when", i,
                                  "compares with nothing; allowed: patterns in `is`, in `not`, or "
                                  "in both");
        }
        check_template(view, index, "when", i, when->items[i].value);
    }
}

static void check_coalesce(const struct settings_view *view, size_t index)
{
    int64_t coalesce_s = view->settings->routes[index].coalesce_s;
    if (coalesce_s > view->settings->dedup.success_ttl_s) {
        settings_report_route(view, true, index, "coalesce_s", SETTINGS_NO_ITEM,
                              "is longer than outcomes are kept; allowed: at most "
                              "dedup.success_ttl_s (%lld)",
                              (long long)view->settings->dedup.success_ttl_s);
    }
}

static void check_tables(const struct settings_view *view)
{
    const struct text_tables *tables = &view->settings->tables;
    unsigned line = settings_line_of(view, "tables");
    for (size_t i = 0; i < tables->count; i++) {
        const struct text_table *table = &tables->items[i];
        struct buf key = {0};
        buf_printf(&key, "tables[%zu].", i);
        if (text_table_of_name(tables, table->name) != table) {
            buf_append_text(&key, "name");
            settings_report_error(view->report, view->file, line, key.data,
                                  "is the name of another table, too; allowed: a name of its own");
        } else if (text_table_repeated_key(table) != NULL) {
            buf_append_text(&key, "entries");
            settings_report_error(view->report, view->file, line, key.data,
                                  "has the key \"%s\" more than once; allowed: each key once",
                                  text_table_repeated_key(table));
        }
        buf_fini(&key);
    }
}

/* Receivers forward no more of them. */
static void check_properties(const struct settings_view *view)
{
    const struct settings *settings = view->settings;
    struct text_list names = {0};
    route_list_properties(settings->routes, settings->route_count, &names);
    if (names.count > DELIVERY_PROPERTIES_MAX) {
        settings_report_error(view->report, view->file, settings_line_of(view, "routes"), "routes",
                              "use %zu names of user properties (@NAME), with the attributes of "
                              "CloudEvents; allowed: at most %d in all routes",
                              names.count, DELIVERY_PROPERTIES_MAX);
    }
    text_list_fini(&names);
}

void settings_check_payloads(const struct settings_view *view)
{
    check_tables(view);
    check_properties(view);
    for (size_t i = 0; i < view->settings->route_count; i++) {
        check_map(view, i);
        check_needed(view, i);
        check_token(view, i);
        check_when(view, i);
        check_coalesce(view, i);
    }
}
