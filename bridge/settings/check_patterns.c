/*
 * The shell patterns of a route: a pattern that no region or group can match (a typing error), and
 * a route that allows everything.
 */
#include "table.h"

#include "model/command.h"
#include "model/region.h"

#include <fnmatch.h>

static bool is_region_byte(char c)
{
    return region_is_valid(slice_of(&c, 1));
}

static bool is_group_byte(char c)
{
    return c >= ' ' && c <= '~';
}

/* The length of the pattern's first element: a character, an escaped byte, or [...]. The pattern is
 * well formed (rules.c). */
static size_t element_length(const char *pattern)
{
    const char *end = pattern + 1;
    if (*pattern == '\\') {
        return 2;
    }
    if (*pattern != '[') {
        while (((unsigned char)*pattern & 0x80) != 0 && ((unsigned char)*end & 0xc0) == 0x80) {
            end++; /* the bytes of one character stay together in the message */
        }
        return (size_t)(end - pattern);
    }
    end += *end == '!' || *end == '^';
    end += *end == ']';
    while (*end != ']') {
        bool is_class = end[0] == '[' && (end[1] == ':' || end[1] == '.' || end[1] == '=');
        const char *close = is_class ? strstr(end + 2, (const char[]){end[1], ']', '\0'}) : NULL;
        end = close == NULL ? end + 1 : close + 2;
        if (*end == '\0') {
            return strlen(pattern);
        }
    }
    return (size_t)(end + 1 - pattern);
}

/* Whether the element matches one of the bytes that a value may have. */
static bool element_matches(struct slice element, bool (*is_byte)(char c))
{
    struct buf alone = {0};
    bool is_match = false;
    buf_append(&alone, element);
    for (int c = 1; c < 128 && !is_match; c++) {
        const char text[] = {(char)c, '\0'};
        is_match = is_byte((char)c) && fnmatch(alone.data, text, 0) == 0;
    }
    buf_fini(&alone);
    return is_match;
}

static void check_pattern(const struct settings_view *view, size_t route, const char *path,
                          size_t item, const char *pattern)
{
    bool is_region = strcmp(path, "regions") == 0;
    const char *values = is_region ? "region" : "replica group";
    size_t length_max = is_region ? REGION_BYTES_MAX : COMMAND_GROUP_BYTES_MAX;
    const struct settings_row *row = settings_row_find(settings_route_table(), path);
    size_t least_length = 0;
    if (settings_text_why(row, pattern) != NULL) {
        return; /* that was reported */
    }
    for (size_t length; *pattern != '\0'; pattern += length) {
        length = element_length(pattern);
        struct slice element = slice_of(pattern, length);
        least_length += *pattern == '*' ? 0 : 1;
        if (*pattern != '*' &&
            !element_matches(element, is_region ? is_region_byte : is_group_byte)) {
            settings_report_route(view, false, route, path, item,
                                  "can never match: no %s contains %.*s", values,
                                  (int)element.length, element.data);
            return;
        }
    }
    if (least_length > length_max) {
        settings_report_route(view, false, route, path, item,
                              "can never match: a %s has at most %zu bytes", values, length_max);
    }
}

static bool allows_everything(const struct text_list *patterns)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (patterns->items[i][0] != '\0' &&
            strspn(patterns->items[i], "*") == strlen(patterns->items[i])) {
            return true;
        }
    }
    return false;
}

void settings_check_patterns(const struct settings_view *view)
{
    for (size_t i = 0; i < view->settings->route_count; i++) {
        const struct route *route = &view->settings->routes[i];
        for (size_t item = 0; item < route->regions.count; item++) {
            check_pattern(view, i, "regions", item, route->regions.items[item]);
        }
        for (size_t item = 0; item < route->groups.count; item++) {
            check_pattern(view, i, "groups", item, route->groups.items[item]);
        }
        if (allows_everything(&route->regions) && allows_everything(&route->groups)) {
            settings_report_route(view, false, i, "groups", SETTINGS_NO_ITEM,
                                  "allows every replica group, and `regions` every region: "
                                  "everybody who may publish on this route's topics can %s all "
                                  "of them; list the regions or the groups",
                                  route_action(route)->effect == EFFECT_STOP ? "stop" : "start");
        }
    }
}
