#include "table.h"

#include "base/mem.h"

#include <stdlib.h>

/* The kind of a member, to check the table against the structs at compile time. */
#define KIND_OF(member) \
    _Generic((member),                                                                             \
        char *: 't',                                                                               \
        int64_t: 'i',                                                                              \
        int: 's',                                                                                  \
        double: 'f',                                                                               \
        bool: 'b',                                                                                 \
        struct text_list: 'l',                                                                     \
        struct optional_bool: 'o',                                                                 \
        struct text_pairs: 'p',                                                                    \
        struct text_tables: 'g',                                                                   \
        struct route_conditions: 'c')
#define KIND_TEXT          't'
#define KIND_CHOICE        't'
#define KIND_INT           'i'
#define KIND_SMALL         's'
#define KIND_FLOAT         'f'
#define KIND_BOOL          'b'
#define KIND_SWITCH        'b'
#define KIND_LIST          'l'
#define KIND_OPTIONAL_TEXT 't'
#define KIND_OPTIONAL_BOOL 'o'
#define KIND_PAIRS         'p'
#define KIND_TABLES        'g'
#define KIND_CONDITIONS    'c'

/* A route cannot have an action that only reads. */
#define ROUTE_ACTION_READ(name)
#define ROUTE_ACTION_START(name) "|" #name
#define ROUTE_ACTION_STOP(name)  "|" #name
#define ROUTE_ACTIONS            (route_actions + 1)
static const char route_actions[] =
#define ACTION(name, object, upstream, effect, token, role, goal, print) ROUTE_ACTION_##effect(name)
#include "tables/actions.def"
    ;

#define BROKER_PROFILES (broker_profiles + 1)
static const char broker_profiles[] =
#define PROFILE(name, ...) "|" name
#include "tables/broker_profiles.def"
    ;

#define SETTING(path, type, fallback, min, max, choices, rule, reload, meaning) \
    _Static_assert(KIND_OF(((struct settings *)NULL)->path) == KIND_##type, #path);
#define ROUTE_SETTING(path, member, type, fallback, min, max, choices, rule, meaning) \
    _Static_assert(KIND_OF(((struct route *)NULL)->member) == KIND_##type, #path);
#define TABLE_SETTING(path, member, type, fallback, min, max, choices, rule, meaning) \
    _Static_assert(KIND_OF(((struct text_table *)NULL)->member) == KIND_##type, #path);
#define CONDITION_SETTING(path, member, type, fallback, min, max, choices, rule, meaning) \
    _Static_assert(KIND_OF(((struct route_condition *)NULL)->member) == KIND_##type, #path);
#include "tables/settings.def"

/* A row of a table whose values are members of `object`. */
#define ROW(object, path, member, type, fallback, min, max, choices, rule, reload, meaning) \
    {#path,   SETTINGS_##type, offsetof(object, member), fallback, min, max,                \
     choices, RULE_##rule,     SETTINGS_##reload,        meaning},
#define GROUP_ROW(path, type, meaning) \
    {#path, SETTINGS_##type, 0, "", 0, 0, "", RULE_NONE, SETTINGS_LIVE, meaning},

static const struct settings_row main_rows[] = {
#define SETTING(path, type, fallback, min, max, choices, rule, reload, meaning) \
    ROW(struct settings, path, path, type, fallback, min, max, choices, rule, reload, meaning)
#define SETTING_GROUP(path, meaning)  GROUP_ROW(path, GROUP, meaning)
#define SETTING_ROUTES(path, meaning) GROUP_ROW(path, ROUTES, meaning)
#include "tables/settings.def"
};

static const struct settings_row route_rows[] = {
#define ROUTE_SETTING(path, member, type, fallback, min, max, choices, rule, meaning) \
    ROW(struct route, path, member, type, fallback, min, max, choices, rule, LIVE, meaning)
#define ROUTE_GROUP(path, meaning) GROUP_ROW(path, GROUP, meaning)
#include "tables/settings.def"
};

static const struct settings_row text_table_rows[] = {
#define TABLE_SETTING(path, member, type, fallback, min, max, choices, rule, meaning) \
    ROW(struct text_table, path, member, type, fallback, min, max, choices, rule, LIVE, meaning)
#include "tables/settings.def"
};

static const struct settings_row condition_rows[] = {
#define CONDITION_SETTING(path, member, type, fallback, min, max, choices, rule, meaning)    \
    ROW(struct route_condition, path, member, type, fallback, min, max, choices, rule, LIVE, \
        meaning)
#include "tables/settings.def"
};

struct settings_table settings_main_table(void)
{
    return (struct settings_table){main_rows, sizeof main_rows / sizeof main_rows[0]};
}

struct settings_table settings_route_table(void)
{
    return (struct settings_table){route_rows, sizeof route_rows / sizeof route_rows[0]};
}

struct settings_table settings_row_group_table(const struct settings_row *row)
{
    switch (row->type) {
    case SETTINGS_TABLES:
        return (struct settings_table){text_table_rows,
                                       sizeof text_table_rows / sizeof text_table_rows[0]};
    case SETTINGS_CONDITIONS:
        return (struct settings_table){condition_rows,
                                       sizeof condition_rows / sizeof condition_rows[0]};
    default:
        return (struct settings_table){0};
    }
}

const struct settings_row *settings_row_find(struct settings_table table, const char *path)
{
    for (size_t i = 0; i < table.count; i++) {
        if (strcmp(table.rows[i].path, path) == 0) {
            return &table.rows[i];
        }
    }
    return NULL;
}

const char *settings_row_name(const struct settings_row *row)
{
    const char *dot = strrchr(row->path, '.');
    return dot == NULL ? row->path : dot + 1;
}

static void set_defaults(struct settings_table table, void *base)
{
    for (size_t i = 0; i < table.count; i++) {
        settings_row_set_default(&table.rows[i], base);
    }
}

static void free_values(struct settings_table table, void *base)
{
    for (size_t i = 0; i < table.count; i++) {
        settings_row_clear(&table.rows[i], base);
    }
}

struct settings *settings_new_defaults(void)
{
    struct settings *settings = mem_zalloc(1, sizeof *settings);
    set_defaults(settings_main_table(), settings);
    return settings;
}

struct route *settings_add_route(struct settings *settings)
{
    size_t count = settings->route_count + 1;
    settings->routes = mem_realloc(settings->routes, count * sizeof settings->routes[0]);
    settings->route_count = count;
    struct route *route = &settings->routes[count - 1];
    *route = (struct route){0};
    set_defaults(settings_route_table(), route);
    return route;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL) {
        return;
    }
    for (size_t i = 0; i < settings->route_count; i++) {
        free_values(settings_route_table(), &settings->routes[i]);
    }
    free(settings->routes);
    free(settings->client_id_template);
    free_values(settings_main_table(), settings);
    free(settings);
}

bool settings_row_is_equal(const struct settings_row *row, const void *a, const void *b)
{
    size_t count = settings_row_text_count(row, a);
    struct buf text_a = {0};
    struct buf text_b = {0};
    bool is_same = count == settings_row_text_count(row, b) &&
                   settings_row_is_set(row, a) == settings_row_is_set(row, b);
    for (size_t i = 0; i < count && is_same; i++) {
        is_same = strcmp(settings_row_text_at(row, a, i), settings_row_text_at(row, b, i)) == 0;
    }
    if (is_same && count == 0 && settings_row_is_set(row, a)) {
        settings_row_print(row, a, &text_a);
        settings_row_print(row, b, &text_b);
        is_same = slice_equals(buf_slice(&text_a), buf_slice(&text_b));
    }
    buf_fini(&text_a);
    buf_fini(&text_b);
    return is_same;
}
