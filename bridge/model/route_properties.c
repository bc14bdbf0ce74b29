/* Which user properties the routes read: receivers forward no others. */
#include "base/mem.h"
#include "model/route.h"
#include "model/template.h"

static void add(struct text_list *list, const char *name)
{
    if (text_list_has(list, name)) {
        return;
    }
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof list->items[0]);
    list->items[list->count++] = mem_strdup(name);
}

/* NULL and a text that is no template have none. */
static void add_of_template(struct text_list *list, const char *text)
{
    const char *why = NULL;
    const char *name;
    struct template *template = text == NULL ? NULL : template_parse(text, &why);
    for (size_t i = 0; template != NULL && (name = template_property(template, i)) != NULL; i++) {
        add(list, name);
    }
    template_free(template);
}

static void add_of_route(struct text_list *list, const struct route *route)
{
    static const char *const attributes[] = {"specversion", "id",      "source",
                                             "type",        "subject", "time"};
    const char *const fields[] = {route->map.region, route->map.group, route->map.token,
                                  route->map.not_after, route->map.correlation_id};
    bool is_event = route->input != NULL && strcmp(route->input, "cloudevents") == 0;
    for (size_t i = 0; is_event && i < sizeof attributes / sizeof attributes[0]; i++) {
        add(list, attributes[i]);
    }
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        add_of_template(list, fields[i]);
    }
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        add_of_template(list, route->map.parameters[i]);
    }
    for (size_t i = 0; i < route->when.count; i++) {
        add_of_template(list, route->when.items[i].value);
    }
}

void route_list_properties(const struct route *routes, size_t count, struct text_list *out)
{
    for (size_t i = 0; i < count; i++) {
        add_of_route(out, &routes[i]);
    }
}
