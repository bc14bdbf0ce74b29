#include "table.h"

#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The kind of a member, to hold the table against the structs at compile time. */
#define KIND_OF(member) \
    _Generic((member),                                                                             \
        char *: 't',                                                                               \
        int64_t: 'i',                                                                              \
        int: 's',                                                                                  \
        double: 'f',                                                                               \
        bool: 'b',                                                                                 \
        struct text_list: 'l')
#define KIND_TEXT          't'
#define KIND_CHOICE        't'
#define KIND_INT           'i'
#define KIND_SMALL         's'
#define KIND_FLOAT         'f'
#define KIND_BOOL          'b'
#define KIND_SWITCH        'b'
#define KIND_LIST          'l'
#define KIND_OPTIONAL_TEXT 't'
#define KIND_OPTIONAL_BOOL 'b'

#define SETTING(path, type, fallback, min, max, choices, rule, meaning) \
    _Static_assert(KIND_OF(((struct settings *)NULL)->path) == KIND_##type, #path);
#define ROUTE_SETTING(path, member, type, fallback, min, max, choices, rule, meaning) \
    _Static_assert(KIND_OF(((struct route *)NULL)->member) == KIND_##type, #path);
#include "tables/settings.def"

static const struct settings_row main_rows[] = {
#define SETTING(path, type, fallback, min, max, choices, rule, meaning)                          \
    {#path,       SETTINGS_##type, offsetof(struct settings, path), fallback, min, max, choices, \
     RULE_##rule, meaning},
#define SETTING_GROUP(path, meaning)  {#path, SETTINGS_GROUP, 0, "", 0, 0, "", RULE_NONE, meaning},
#define SETTING_ROUTES(path, meaning) {#path, SETTINGS_ROUTES, 0, "", 0, 0, "", RULE_NONE, meaning},
#include "tables/settings.def"
};

static const struct settings_row route_rows[] = {
#define ROUTE_SETTING(path, member, type, fallback, min, max, choices, rule, meaning)           \
    {#path,       SETTINGS_##type, offsetof(struct route, member), fallback, min, max, choices, \
     RULE_##rule, meaning},
#define ROUTE_GROUP(path, meaning) {#path, SETTINGS_GROUP, 0, "", 0, 0, "", RULE_NONE, meaning},
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

static void *member_of(const struct settings_row *row, void *base)
{
    return (char *)base + row->offset;
}

static const void *member_of_const(const struct settings_row *row, const void *base)
{
    return (const char *)base + row->offset;
}

static void list_fini(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct text_list){0};
}

int settings_row_choice(const struct settings_row *row, const char *text)
{
    const char *choice = row->choices;
    for (int i = 0;; i++) {
        size_t length = strcspn(choice, "|");
        if (strlen(text) == length && memcmp(text, choice, length) == 0) {
            return i;
        }
        if (choice[length] == '\0') {
            return -1;
        }
        choice += length + 1;
    }
}

void settings_row_set_text(const struct settings_row *row, void *base, const char *text)
{
    if (row->type == SETTINGS_SWITCH) {
        *(bool *)member_of(row, base) = settings_row_choice(row, text) == 1;
        return;
    }
    char **member = member_of(row, base);
    free(*member);
    *member = mem_strdup(text);
}

void settings_row_set_number(const struct settings_row *row, void *base, double number)
{
    void *member = member_of(row, base);
    if (row->type == SETTINGS_INT) {
        *(int64_t *)member = (int64_t)number;
    } else if (row->type == SETTINGS_SMALL) {
        *(int *)member = (int)number;
    } else {
        *(double *)member = number;
    }
}

void settings_row_set_bool(const struct settings_row *row, void *base, bool value)
{
    *(bool *)member_of(row, base) = value;
    if (row->type == SETTINGS_OPTIONAL_BOOL) {
        ((struct route *)base)->has_default_one_shot = true;
    }
}

void settings_row_clear_list(const struct settings_row *row, void *base)
{
    list_fini(member_of(row, base));
}

void settings_row_add_item(const struct settings_row *row, void *base, const char *text)
{
    struct text_list *list = member_of(row, base);
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof list->items[0]);
    list->items[list->count++] = mem_strdup(text);
}

const char *settings_row_text(const struct settings_row *row, const void *base)
{
    assert(row->type == SETTINGS_TEXT || row->type == SETTINGS_CHOICE);
    return *(char *const *)member_of_const(row, base);
}

bool settings_row_is_set(const struct settings_row *row, const void *base)
{
    if (row->type == SETTINGS_OPTIONAL_TEXT) {
        return *(char *const *)member_of_const(row, base) != NULL;
    }
    if (row->type == SETTINGS_OPTIONAL_BOOL) {
        return ((const struct route *)base)->has_default_one_shot;
    }
    return true;
}

static void set_default(const struct settings_row *row, void *base)
{
    switch (row->type) {
    case SETTINGS_TEXT:
    case SETTINGS_CHOICE:
    case SETTINGS_SWITCH:
        settings_row_set_text(row, base, row->fallback);
        break;
    case SETTINGS_INT:
    case SETTINGS_SMALL:
    case SETTINGS_FLOAT:
        settings_row_set_number(row, base, strtod(row->fallback, NULL));
        break;
    case SETTINGS_BOOL:
        settings_row_set_bool(row, base, strcmp(row->fallback, "true") == 0);
        break;
    case SETTINGS_LIST:
        if (row->fallback[0] != '\0') {
            settings_row_add_item(row, base, row->fallback);
        }
        break;
    case SETTINGS_GROUP:
    case SETTINGS_ROUTES:
    case SETTINGS_OPTIONAL_TEXT:
    case SETTINGS_OPTIONAL_BOOL:
        break;
    }
}

static void set_defaults(struct settings_table table, void *base)
{
    for (size_t i = 0; i < table.count; i++) {
        set_default(&table.rows[i], base);
    }
}

static void free_values(struct settings_table table, void *base)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        if (row->type == SETTINGS_LIST) {
            list_fini(member_of(row, base));
        } else if (row->type == SETTINGS_TEXT || row->type == SETTINGS_CHOICE ||
                   row->type == SETTINGS_OPTIONAL_TEXT) {
            free(*(char **)member_of(row, base));
        }
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
    free_values(settings_main_table(), settings);
    free(settings);
}

/* The userinfo of a proxy is a user name and a password. */
static void print_masked(const char *text, struct buf *out)
{
    const char *mark = strstr(text, "://");
    const char *at = mark == NULL ? NULL : strrchr(mark, '@');
    if (at == NULL) {
        buf_append_text(out, text);
        return;
    }
    buf_append(out, slice_of(text, (size_t)(mark - text) + 3));
    buf_append_text(out, "***");
    buf_append_text(out, at);
}

static void print_text(const char *text, struct buf *out)
{
    buf_append_char(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            buf_append_char(out, '\\');
            buf_append_char(out, *text);
        } else if (c < ' ' || c == 0x7f) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_append_char(out, *text);
        }
    }
    buf_append_char(out, '"');
}

static void print_secret_text(const char *text, struct buf *out)
{
    struct buf masked = {0};
    print_masked(text, &masked);
    print_text(masked.length == 0 ? "" : masked.data, out);
    buf_fini(&masked);
}

static void print_list(const struct text_list *list, struct buf *out)
{
    buf_append_char(out, '(');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) {
            buf_append_text(out, ", ");
        }
        print_text(list->items[i], out);
    }
    buf_append_char(out, ')');
}

static void print_int(int64_t number, struct buf *out)
{
    buf_append_int(out, number);
    if (number > INT32_MAX || number < INT32_MIN) {
        buf_append_char(out, 'L');
    }
}

/* The shortest form that reads as the same number; always with a point, which makes it a float. */
static void print_float(double number, struct buf *out)
{
    char text[400];
    for (int digits = 1; digits <= 20; digits++) {
        snprintf(text, sizeof text, "%.*f", digits, number);
        if (strtod(text, NULL) == number) {
            break;
        }
    }
    buf_append_text(out, text);
}

static void print_switch(const struct settings_row *row, bool is_second, struct buf *out)
{
    size_t first = strcspn(row->choices, "|");
    const char *second = row->choices + first + 1;
    buf_append_char(out, '"');
    buf_append(out, is_second ? slice_text(second) : slice_of(row->choices, first));
    buf_append_char(out, '"');
}

void settings_row_print(const struct settings_row *row, const void *base, struct buf *out)
{
    const void *member = member_of_const(row, base);
    switch (row->type) {
    case SETTINGS_TEXT:
    case SETTINGS_CHOICE:
    case SETTINGS_OPTIONAL_TEXT:
        if (row->rule == RULE_PROXY) {
            print_secret_text(*(char *const *)member, out);
        } else {
            print_text(*(char *const *)member, out);
        }
        break;
    case SETTINGS_INT:
        print_int(*(const int64_t *)member, out);
        break;
    case SETTINGS_SMALL:
        print_int(*(const int *)member, out);
        break;
    case SETTINGS_FLOAT:
        print_float(*(const double *)member, out);
        break;
    case SETTINGS_BOOL:
    case SETTINGS_OPTIONAL_BOOL:
        buf_append_text(out, *(const bool *)member ? "true" : "false");
        break;
    case SETTINGS_SWITCH:
        print_switch(row, *(const bool *)member, out);
        break;
    case SETTINGS_LIST:
        print_list(member, out);
        break;
    case SETTINGS_GROUP:
    case SETTINGS_ROUTES:
        assert(false && "a row without a value");
    }
}
