/*
 * The types of the settings. A type is one row of a table: which values of a file it takes, and the
 * functions that read, print, describe and free its member.
 */
#include "table.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "settings/store_uri.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void *member_of(const struct settings_row *row, void *base)
{
    return (char *)base + row->offset;
}

static const void *value_in(const struct settings_row *row, const void *base)
{
    return (const char *)base + row->offset;
}

static void list_fini(void *member)
{
    text_list_fini(member);
}

static void text_fini(void *member)
{
    free(*(char **)member);
    *(char **)member = NULL;
}

/* ---- Reading: stores the value, and appends to `why` what is wrong with it ---- */

static int choice_of(const struct settings_row *row, const char *text)
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

static void check_text(const struct settings_row *row, const char *text, struct buf *why)
{
    const char *problem = settings_text_why(row, text);
    if (problem != NULL) {
        buf_append_text(why, problem);
    }
    /* A control character must not get into the message. */
    if (problem != NULL && settings_rule_is_path(row->rule) &&
        utf8_is_mqtt_text(slice_text(text))) {
        buf_printf(why, " (%s)", text);
    }
}

/* A refused text is stored as well, because the checks that follow expect a text. */
static void read_text(const struct settings_row *row, void *base,
                      const struct settings_value *value, struct buf *why)
{
    check_text(row, value->text, why);
    text_fini(member_of(row, base));
    *(char **)member_of(row, base) = mem_strdup(value->text);
}

static void read_choice(const struct settings_row *row, void *base,
                        const struct settings_value *value, struct buf *why)
{
    if (choice_of(row, value->text) < 0) {
        buf_append_text(why, "is not one of the choices");
        return;
    }
    text_fini(member_of(row, base));
    *(char **)member_of(row, base) = mem_strdup(value->text);
}

static void read_switch(const struct settings_row *row, void *base,
                        const struct settings_value *value, struct buf *why)
{
    int choice = choice_of(row, value->text);
    if (choice < 0) {
        buf_append_text(why, "is not one of the choices");
    }
    *(bool *)member_of(row, base) = choice == 1;
}

static bool is_in_range(const struct settings_row *row, const struct settings_value *value,
                        struct buf *why)
{
    double number = value->number;
    if (isfinite(number) && number >= row->min && number <= row->max) {
        return true;
    }
    if (value->kind == SETTINGS_VALUE_WHOLE) {
        buf_printf(why, "is %lld", (long long)value->whole);
    } else {
        buf_printf(why, "is %g", number);
    }
    return false;
}

static void read_int(const struct settings_row *row, void *base, const struct settings_value *value,
                     struct buf *why)
{
    if (is_in_range(row, value, why)) {
        *(int64_t *)member_of(row, base) = value->whole;
    }
}

static void read_small(const struct settings_row *row, void *base,
                       const struct settings_value *value, struct buf *why)
{
    if (is_in_range(row, value, why)) {
        *(int *)member_of(row, base) = (int)value->whole;
    }
}

static void read_float(const struct settings_row *row, void *base,
                       const struct settings_value *value, struct buf *why)
{
    if (is_in_range(row, value, why)) {
        *(double *)member_of(row, base) = value->number;
    }
}

static void read_bool(const struct settings_row *row, void *base,
                      const struct settings_value *value, struct buf *why)
{
    (void)why;
    *(bool *)member_of(row, base) = value->flag;
}

static void read_optional_bool(const struct settings_row *row, void *base,
                               const struct settings_value *value, struct buf *why)
{
    (void)why;
    *(struct optional_bool *)member_of(row, base) = (struct optional_bool){true, value->flag};
}

/* One item; the caller calls this for each. */
static void read_item(const struct settings_row *row, void *base,
                      const struct settings_value *value, struct buf *why)
{
    struct text_list *list = member_of(row, base);
    check_text(row, value->text, why);
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof list->items[0]);
    list->items[list->count++] = mem_strdup(value->text);
}

static void read_pair(const struct settings_row *row, void *base,
                      const struct settings_value *value, struct buf *why)
{
    struct text_pairs *pairs = member_of(row, base);
    check_text(row, value->text, why);
    if (why->length == 0) {
        check_text(row, value->second, why);
    }
    pairs->items = mem_realloc(pairs->items, (pairs->count + 1) * sizeof pairs->items[0]);
    pairs->items[pairs->count++] =
        (struct text_pair){mem_strdup(value->text), mem_strdup(value->second)};
}

/* ---- Lists of groups ---- */

static void *add_table(void *member)
{
    struct text_tables *tables = member;
    tables->items = mem_realloc(tables->items, (tables->count + 1) * sizeof tables->items[0]);
    tables->items[tables->count] = (struct text_table){0};
    return &tables->items[tables->count++];
}

static void *table_at(const void *member, size_t index)
{
    const struct text_tables *tables = member;
    return index < tables->count ? &tables->items[index] : NULL;
}

static void *add_condition(void *member)
{
    struct route_conditions *conditions = member;
    conditions->items =
        mem_realloc(conditions->items, (conditions->count + 1) * sizeof conditions->items[0]);
    conditions->items[conditions->count] = (struct route_condition){0};
    return &conditions->items[conditions->count++];
}

static void *condition_at(const void *member, size_t index)
{
    const struct route_conditions *conditions = member;
    return index < conditions->count ? &conditions->items[index] : NULL;
}

/* The members of the groups are freed already. */
static void tables_fini(void *member)
{
    free(((struct text_tables *)member)->items);
    *(struct text_tables *)member = (struct text_tables){0};
}

static void conditions_fini(void *member)
{
    free(((struct route_conditions *)member)->items);
    *(struct route_conditions *)member = (struct route_conditions){0};
}

static void pairs_fini(void *member)
{
    text_pairs_fini(member);
}

/* ---- Printing, as libconfig writes it ---- */

static void quote(const char *text, struct buf *out)
{
    buf_append_char(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            buf_append_char(out, '\\');
        }
        if (c < ' ' || c == 0x7f) {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_append_char(out, *text);
        }
    }
    buf_append_char(out, '"');
}

static void print_text(const struct settings_row *row, const void *member, struct buf *out)
{
    const char *text = *(char *const *)member;
    struct buf masked = {0};
    if (row->rule == RULE_STORE) {
        store_uri_mask(text, &masked);
    }
    /* The userinfo of a proxy is a user name and a password. The path of a service that provides
     * credentials, or takes traces, may be what only its users know. */
    const char *mark = settings_rule_is_masked(row->rule) ? strstr(text, "://") : NULL;
    bool is_uri = row->rule == RULE_CREDENTIALS_URI || row->rule == RULE_TRACE_ENDPOINT;
    const char *at = mark == NULL || is_uri ? NULL : strrchr(mark, '@');
    const char *path = mark == NULL || !is_uri ? NULL : strchr(mark + 3, '/');
    if (at != NULL) {
        buf_printf(&masked, "%.*s***%s", (int)(mark + 3 - text), text, at);
    } else if (path != NULL && path[1] != '\0') {
        buf_printf(&masked, "%.*s***", (int)(path + 1 - text), text);
    }
    quote(masked.length == 0 ? text : masked.data, out);
    buf_fini(&masked);
}

static void print_list(const struct settings_row *row, const void *member, struct buf *out)
{
    const struct text_list *list = member;
    (void)row;
    buf_append_char(out, '(');
    for (size_t i = 0; i < list->count; i++) {
        buf_append_text(out, i == 0 ? "" : ", ");
        quote(list->items[i], out);
    }
    buf_append_char(out, ')');
}

static void print_int(const struct settings_row *row, const void *member, struct buf *out)
{
    int64_t number = row->type == SETTINGS_SMALL ? *(const int *)member : *(const int64_t *)member;
    buf_append_int(out, number);
    if (number > INT32_MAX || number < INT32_MIN) {
        buf_append_char(out, 'L');
    }
}

/* The shortest form that reads as the same number; always with a point, which makes it a float. */
static void print_float(const struct settings_row *row, const void *member, struct buf *out)
{
    double number = *(const double *)member;
    char text[400];
    (void)row;
    for (int digits = 1; digits <= 20; digits++) {
        snprintf(text, sizeof text, "%.*f", digits, number);
        if (strtod(text, NULL) == number) {
            break;
        }
    }
    buf_append_text(out, text);
}

static void print_bool(const struct settings_row *row, const void *member, struct buf *out)
{
    (void)row;
    buf_append_text(out, *(const bool *)member ? "true" : "false");
}

static void print_optional_bool(const struct settings_row *row, const void *member, struct buf *out)
{
    print_bool(row, &((const struct optional_bool *)member)->value, out);
}

static void print_switch(const struct settings_row *row, const void *member, struct buf *out)
{
    size_t first = strcspn(row->choices, "|");
    const char *second = row->choices + first + 1;
    buf_append_char(out, '"');
    buf_append(out, *(const bool *)member ? slice_text(second) : slice_of(row->choices, first));
    buf_append_char(out, '"');
}

static void print_pairs(const struct settings_row *row, const void *member, struct buf *out)
{
    const struct text_pairs *pairs = member;
    (void)row;
    buf_append_char(out, '(');
    for (size_t i = 0; i < pairs->count; i++) {
        buf_append_text(out, i == 0 ? "(" : ", (");
        quote(pairs->items[i].key, out);
        buf_append_text(out, ", ");
        quote(pairs->items[i].value, out);
        buf_append_char(out, ')');
    }
    buf_append_char(out, ')');
}

static void print_groups(const struct settings_row *row, const void *member, struct buf *out)
{
    const void *base = (const char *)member - row->offset;
    struct settings_table table = settings_row_group_table(row);
    const void *group;
    buf_append_char(out, '(');
    for (size_t i = 0; (group = settings_row_group_at(row, base, i)) != NULL; i++) {
        buf_append_text(out, i == 0 ? "{ " : ", { ");
        for (size_t k = 0; k < table.count; k++) {
            buf_printf(out, "%s = ", table.rows[k].path);
            settings_row_print(&table.rows[k], group, out);
            buf_append_text(out, "; ");
        }
        buf_append_char(out, '}');
    }
    buf_append_char(out, ')');
}

/* ---- What is allowed ---- */

static void allowed_choices(const struct settings_row *row, struct buf *out)
{
    const char *choices = row->choices;
    for (;;) {
        size_t length = strcspn(choices, "|");
        buf_append_char(out, '"');
        buf_append(out, slice_of(choices, length));
        buf_append_char(out, '"');
        if (choices[length] == '\0') {
            return;
        }
        choices += length + 1;
        buf_append_text(out, strchr(choices, '|') == NULL ? " or " : ", ");
    }
}

static void allowed_text(const struct settings_row *row, struct buf *out)
{
    const char *phrase = settings_rule_allowed(row->rule);
    if (phrase[0] == '\0') {
        phrase = row->min > 0 ? "a text" : "any text";
    } else if (row->min < 1) {
        buf_append_text(out, "empty, or ");
    }
    buf_printf(out, "%s (at most %.0f bytes)", phrase, row->max);
}

static void allowed_list(const struct settings_row *row, struct buf *out)
{
    buf_printf(out, "a list (\"...\", ...) of %.0f to %.0f texts, each ", row->min, row->max);
    settings_row_allowed_item(row, out);
}

static void allowed_pairs(const struct settings_row *row, struct buf *out)
{
    buf_printf(out, "a list ((\"key\", \"value\"), ...) of %.0f to %.0f pairs", row->min, row->max);
}

static void allowed_groups(const struct settings_row *row, struct buf *out)
{
    struct settings_table table = settings_row_group_table(row);
    buf_append_text(out, "a list ({ ");
    for (size_t i = 0; i < table.count; i++) {
        buf_printf(out, "%s = ...; ", table.rows[i].path);
    }
    buf_printf(out, "}, ...) of %.0f to %.0f groups", row->min, row->max);
}

static void allowed_whole_number(const struct settings_row *row, struct buf *out)
{
    const char *between = row->max - row->min > 1 ? "to" : "or";
    buf_printf(out, "a whole number, %.0f %s %.0f", row->min, between, row->max);
}

static void allowed_number(const struct settings_row *row, struct buf *out)
{
    buf_printf(out, "a number, %g to %.0f", row->min, row->max);
}

/* ---- The table ---- */

#define A_GROUP "a group { ... }"
#define A_BOOL  "true or false"

#define ACCEPTS(kind) (1U << SETTINGS_VALUE_##kind)

static const struct type {
    unsigned kinds; /* of the values that it accepts; for a list, those of its items */
    void (*read)(const struct settings_row *row, void *base, const struct settings_value *value,
                 struct buf *why);
    void (*print)(const struct settings_row *row, const void *member, struct buf *out);
    void (*allowed)(const struct settings_row *row, struct buf *out); /* NULL: `phrase` */
    const char *phrase;
    void (*fini)(void *member); /* NULL: nothing to free */
    bool is_optional;           /* not set unless it is in the file */
    size_t size;                /* of the member */
    /* Of a list of groups: adds one; the one at a place, or NULL. */
    void *(*add)(void *member);
    void *(*at)(const void *member, size_t index);
} types[] = {
    [SETTINGS_GROUP] = {.phrase = A_GROUP},
    [SETTINGS_ROUTES] = {.phrase = "a list of at least one group ({ ... }, ...)"},
    [SETTINGS_TEXT] = {ACCEPTS(TEXT), read_text, print_text, allowed_text, .fini = text_fini,
                       .size = sizeof(char *)},
    [SETTINGS_CHOICE] = {ACCEPTS(TEXT), read_choice, print_text, allowed_choices, .fini = text_fini,
                         .size = sizeof(char *)},
    [SETTINGS_INT] = {ACCEPTS(WHOLE), read_int, print_int, allowed_whole_number, .fini = NULL,
                      .size = sizeof(int64_t)},
    [SETTINGS_SMALL] = {ACCEPTS(WHOLE), read_small, print_int, allowed_whole_number, .fini = NULL,
                        .size = sizeof(int)},
    [SETTINGS_FLOAT] = {ACCEPTS(WHOLE) | ACCEPTS(FRACTION), read_float, print_float, allowed_number,
                        .fini = NULL, .size = sizeof(double)},
    [SETTINGS_BOOL] = {ACCEPTS(BOOL), read_bool, print_bool, .phrase = A_BOOL,
                       .size = sizeof(bool)},
    [SETTINGS_SWITCH] = {ACCEPTS(TEXT), read_switch, print_switch, allowed_choices, .fini = NULL,
                         .size = sizeof(bool)},
    [SETTINGS_LIST] = {ACCEPTS(TEXT), read_item, print_list, allowed_list, .fini = list_fini,
                       .size = sizeof(struct text_list)},
    [SETTINGS_OPTIONAL_TEXT] = {ACCEPTS(TEXT), read_text, print_text, allowed_text,
                                .fini = text_fini, .is_optional = true, .size = sizeof(char *)},
    [SETTINGS_OPTIONAL_BOOL] = {ACCEPTS(BOOL), read_optional_bool, print_optional_bool,
                                .phrase = A_BOOL, .is_optional = true,
                                .size = sizeof(struct optional_bool)},
    [SETTINGS_PAIRS] = {ACCEPTS(PAIR), read_pair, print_pairs, allowed_pairs, .fini = pairs_fini,
                        .size = sizeof(struct text_pairs)},
    [SETTINGS_TABLES] = {.print = print_groups,
                         .allowed = allowed_groups,
                         .fini = tables_fini,
                         .size = sizeof(struct text_tables),
                         .add = add_table,
                         .at = table_at},
    [SETTINGS_CONDITIONS] = {.print = print_groups,
                             .allowed = allowed_groups,
                             .fini = conditions_fini,
                             .size = sizeof(struct route_conditions),
                             .add = add_condition,
                             .at = condition_at},
};

const char *settings_value_text(enum settings_value_kind kind)
{
    static const char *const texts[] = {
        [SETTINGS_VALUE_GROUP] = "is a group",
        [SETTINGS_VALUE_LIST] = "is a list",
        [SETTINGS_VALUE_PAIR] = "is a list",
        [SETTINGS_VALUE_TEXT] = "is a text",
        [SETTINGS_VALUE_WHOLE] = "is a whole number",
        [SETTINGS_VALUE_FRACTION] = "is a number with a fraction",
        [SETTINGS_VALUE_BOOL] = "is a boolean",
    };
    return texts[kind];
}

void settings_row_read(const struct settings_row *row, void *base,
                       const struct settings_value *value, struct buf *why)
{
    if ((types[row->type].kinds & 1U << value->kind) == 0) {
        buf_append_text(why, settings_value_text(value->kind));
    } else {
        types[row->type].read(row, base, value, why);
    }
}

void settings_row_set_default(const struct settings_row *row, void *base)
{
    const struct type *type = &types[row->type];
    struct buf why = {0};
    const struct settings_value value = {
        .text = row->fallback,
        .whole = strtoll(row->fallback, NULL, 10),
        .number = strtod(row->fallback, NULL),
        .flag = strcmp(row->fallback, "true") == 0,
    };
    bool is_empty_list =
        (row->type == SETTINGS_LIST && row->fallback[0] == '\0') || row->type == SETTINGS_PAIRS;
    if (type->read != NULL && !type->is_optional && !is_empty_list) {
        type->read(row, base, &value, &why);
    }
    /* A key without a default, such as the name of a table, must be in the file. */
    assert(why.length == 0 || row->fallback[0] == '\0');
    buf_fini(&why);
}

void *settings_row_group_at(const struct settings_row *row, const void *base, size_t index)
{
    return types[row->type].at == NULL ? NULL : types[row->type].at(value_in(row, base), index);
}

void *settings_row_add_group(const struct settings_row *row, void *base)
{
    struct settings_table table = settings_row_group_table(row);
    void *group = types[row->type].add(member_of(row, base));
    for (size_t i = 0; i < table.count; i++) {
        settings_row_set_default(&table.rows[i], group);
    }
    return group;
}

void settings_row_clear(const struct settings_row *row, void *base)
{
    struct settings_table table = settings_row_group_table(row);
    void *group;
    for (size_t i = 0; (group = settings_row_group_at(row, base, i)) != NULL; i++) {
        for (size_t k = 0; k < table.count; k++) {
            settings_row_clear(&table.rows[k], group);
        }
    }
    if (types[row->type].fini != NULL) {
        types[row->type].fini(member_of(row, base));
    }
}

size_t settings_row_size(const struct settings_row *row)
{
    return types[row->type].size;
}

bool settings_row_is_set(const struct settings_row *row, const void *base)
{
    if (row->type == SETTINGS_OPTIONAL_BOOL) {
        return ((const struct optional_bool *)value_in(row, base))->is_set;
    }
    return !types[row->type].is_optional || settings_row_text(row, base) != NULL;
}

const char *settings_row_text(const struct settings_row *row, const void *base)
{
    assert(types[row->type].fini == text_fini);
    return *(char *const *)value_in(row, base);
}

size_t settings_row_text_count(const struct settings_row *row, const void *base)
{
    bool is_list = row->type == SETTINGS_LIST;
    bool is_text = types[row->type].fini == text_fini && settings_row_text(row, base) != NULL;
    return is_list ? ((const struct text_list *)value_in(row, base))->count : is_text;
}

const char *settings_row_text_at(const struct settings_row *row, const void *base, size_t index)
{
    return row->type == SETTINGS_LIST
               ? ((const struct text_list *)value_in(row, base))->items[index]
               : settings_row_text(row, base);
}

void settings_row_print(const struct settings_row *row, const void *base, struct buf *out)
{
    types[row->type].print(row, value_in(row, base), out);
}

void settings_row_allowed(const struct settings_row *row, struct buf *out)
{
    const struct type *type = &types[row->type];
    if (type->allowed == NULL) {
        buf_append_text(out, type->phrase);
    } else {
        type->allowed(row, out);
    }
}

void settings_row_allowed_item(const struct settings_row *row, struct buf *out)
{
    buf_append_text(out, row->type == SETTINGS_LIST    ? settings_rule_allowed(row->rule)
                         : row->type == SETTINGS_PAIRS ? "a pair (\"key\", \"value\")"
                                                       : A_GROUP);
}
