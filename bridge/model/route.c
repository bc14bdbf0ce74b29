#include "model/route.h"

#include "model/topic.h"

#include <assert.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

bool text_list_has(const struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}

bool text_list_matches(const struct text_list *patterns, const char *text)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (fnmatch(patterns->items[i], text, 0) == 0) {
            return true;
        }
    }
    return false;
}

void text_list_fini(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct text_list){0};
}

static bool list_matches(const struct text_list *filters, struct slice topic)
{
    for (size_t i = 0; i < filters->count; i++) {
        if (topic_matches(slice_text(filters->items[i]), topic)) {
            return true;
        }
    }
    return false;
}

const struct action *route_action(const struct route *route)
{
    const struct action *action = action_find(slice_text(route->action));
    assert(action != NULL);
    return action;
}

bool route_reads_state(const struct route *route)
{
    return route->explain || (route->watch != NULL && strcmp(route->watch, "off") != 0);
}

bool route_allows(const struct route *route, const char *region, const char *group)
{
    return route_allows_region(route, region) && route_allows_group(route, group);
}

bool route_names_region(const struct route *route, const char *region)
{
    bool is_default = route->default_region != NULL && strcmp(route->default_region, region) == 0;
    return is_default || text_list_has(&route->regions, region);
}

bool route_allows_region(const struct route *route, const char *region)
{
    return text_list_matches(&route->regions, region);
}

bool route_allows_group(const struct route *route, const char *group)
{
    return text_list_matches(&route->groups, group);
}

bool route_allows_reply_topic(const struct route *route, struct slice topic)
{
    return topic_is_name(topic) && list_matches(&route->response_topics, topic);
}

bool route_still_allows(const struct route *routes, size_t count, const struct route *own,
                        const struct action *action, const char *region, const char *group)
{
    bool is_allowed = own != NULL && route_allows(own, region, group);
    for (size_t i = 0; own == NULL && !is_allowed && i < count; i++) {
        is_allowed = route_action(&routes[i]) == action && route_allows(&routes[i], region, group);
    }
    return is_allowed;
}

const struct route *route_of_topic(const struct route *routes, size_t count, struct slice topic)
{
    for (size_t i = 0; i < count; i++) {
        if (list_matches(&routes[i].topics, topic)) {
            return &routes[i];
        }
    }
    return NULL;
}

const struct route *route_of_name(const struct route *routes, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].name, name) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

void route_append_filter(const struct route *route, size_t topic, struct buf *out)
{
    if (route->share != NULL && route->share[0] != '\0') {
        buf_printf(out, "$share/%s/", route->share);
    }
    buf_append_text(out, route->topics.items[topic]);
}
