/*
 * A template is a list of parts: literal texts and places. A place is a list of sources. Parsing
 * removes all escapes but those of JSON Pointers, which are used as they are.
 */
#include "model/template.h"

#include "base/json_pointer.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/route.h"
#include "model/topic.h"

#include <stdlib.h>

#define NAME_BYTES  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define LIMIT_2_53  9007199254740992.0
#define LEVEL_WHOLE 0 /* of SOURCE_TOPIC: all of it */

enum source_kind {
    SOURCE_ELEMENT,
    SOURCE_DOCUMENT,
    SOURCE_PROPERTY,
    SOURCE_TOPIC,
    SOURCE_CONSTANT
};

struct source {
    enum source_kind kind;
    char *text;              /* pointer, name or constant */
    size_t level;            /* of the topic, from 1 */
    struct text_list tables; /* the last one is looked up first */
    char *shown;             /* as the template has it */
};

/* A literal text, or a place. */
struct part {
    char *literal; /* NULL: a place */
    char *shown;   /* of a place: its sources as the template has them */
    struct source *sources;
    size_t source_count;
};

struct template
{
    struct part *parts;
    size_t part_count;
};

static void list_add(struct text_list *list, struct slice text)
{
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof list->items[0]);
    list->items[list->count++] = mem_dup(text.data, text.length);
}

static void source_fini(struct source *source)
{
    free(source->text);
    free(source->shown);
    text_list_fini(&source->tables);
}

void template_free(struct template *template)
{
    if (template == NULL) {
        return;
    }
    for (size_t i = 0; i < template->part_count; i++) {
        struct part *part = &template->parts[i];
        for (size_t k = 0; k < part->source_count; k++) {
            source_fini(&part->sources[k]);
        }
        free(part->sources);
        free(part->literal);
        free(part->shown);
    }
    free(template->parts);
    free(template);
}

static struct part *add_part(struct template *template)
{
    template->parts =
        mem_realloc(template->parts, (template->part_count + 1) * sizeof template->parts[0]);
    struct part *part = &template->parts[template->part_count++];
    *part = (struct part){0};
    return part;
}

/* The length up to a '|', '{' or '}' that is not escaped. */
static size_t source_length(struct slice text)
{
    size_t length = 0;
    while (length < text.length && strchr("|{}", text.data[length]) == NULL) {
        bool is_escape = text.data[length] == '~' && length + 1 < text.length &&
                         strchr("|{}", text.data[length + 1]) != NULL;
        length += is_escape ? 2 : 1;
    }
    return length;
}

/* A heap string without the escapes ~|, ~{ and ~}. */
static char *unescape(struct slice text)
{
    struct buf plain = {0};
    for (size_t i = 0; i < text.length; i++) {
        bool is_escape =
            text.data[i] == '~' && i + 1 < text.length && strchr("|{}", text.data[i + 1]) != NULL;
        i += is_escape ? 1 : 0;
        buf_append_char(&plain, text.data[i]);
    }
    return buf_take(&plain);
}

/* The 1-based level behind '#'; false where the text is no such number. */
static bool read_level(struct slice text, size_t *out_level)
{
    size_t level = 0;
    if (text.length == 0) {
        *out_level = LEVEL_WHOLE;
        return true;
    }
    if (text.length > 5 || text.data[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        level = level * 10 + (size_t)(text.data[i] - '0');
    }
    *out_level = level;
    return true;
}

/* The tables in front, as in NAME:SOURCE. Returns the source behind them. */
static struct slice read_tables(struct slice text, struct text_list *out_tables)
{
    for (;;) {
        size_t length = 0;
        while (length < text.length && text.data[length] != '\0' &&
               strchr(NAME_BYTES, text.data[length]) != NULL) {
            length++;
        }
        if (length == 0 || length == text.length || text.data[length] != ':') {
            return text;
        }
        list_add(out_tables, slice_of(text.data, length));
        text = slice_skip(text, length + 1);
    }
}

/* NULL, or what is wrong with it. */
static const char *read_source(struct slice shown, struct source *source)
{
    static const struct {
        char mark;
        enum source_kind kind;
        size_t mark_bytes; /* that do not belong to the text */
    } kinds[] = {
        {'/', SOURCE_ELEMENT, 0}, {'^', SOURCE_DOCUMENT, 1}, {'@', SOURCE_PROPERTY, 1},
        {'#', SOURCE_TOPIC, 1},   {'=', SOURCE_CONSTANT, 1},
    };
    const size_t kind_count = sizeof kinds / sizeof kinds[0];
    const char *why = NULL;
    size_t kind = 0;
    source->shown = mem_dup(shown.data, shown.length);
    struct slice text = read_tables(shown, &source->tables);
    if (text.length == 0) {
        return "has an empty source: there is nothing between two of '{', '|' and '}'";
    }
    while (kind < kind_count && kinds[kind].mark != text.data[0]) {
        kind++;
    }
    if (kind == kind_count) {
        return "has a source that is none of /POINTER, ^/POINTER, @NAME, #, #LEVEL, =TEXT and "
               "TABLE:SOURCE";
    }
    text = slice_skip(text, kinds[kind].mark_bytes);
    source->kind = kinds[kind].kind;
    source->text = unescape(text);
    if (source->kind == SOURCE_PROPERTY && text.length == 0) {
        why = "has a source @ without a name";
    } else if (source->kind == SOURCE_TOPIC && !read_level(text, &source->level)) {
        why = "has a level of the topic that is not a number from 1 to 99999 behind '#'";
    } else if (source->kind == SOURCE_DOCUMENT && text.length == 0) {
        why = "has a source ^ without a pointer";
    } else if ((source->kind == SOURCE_ELEMENT || source->kind == SOURCE_DOCUMENT) &&
               !json_pointer_is_valid(slice_text(source->text), &why)) {
        why = source->text[0] == '/' ? "has a pointer with a '~' that is not part of ~0, ~1, ~|, "
                                       "~{ or ~}"
                                     : "has a pointer that does not begin with '/'";
    }
    return why;
}

/* Reads a place behind its '{' and skips its '}'. NULL, or what is wrong with it. */
static const char *read_place(struct slice *text, struct part *part)
{
    const char *start = text->data;
    const char *why = NULL;
    bool is_end = false;
    while (why == NULL && !is_end) {
        size_t length = source_length(*text);
        if (length == text->length || text->data[length] == '{') {
            return "has a '{' without a '}'; a brace itself is written {{ or }}";
        }
        part->sources =
            mem_realloc(part->sources, (part->source_count + 1) * sizeof part->sources[0]);
        struct source *source = &part->sources[part->source_count++];
        *source = (struct source){0};
        why = read_source(slice_of(text->data, length), source);
        is_end = text->data[length] == '}';
        if (is_end) {
            part->shown = mem_dup(start, (size_t)(text->data + length - start));
        }
        *text = slice_skip(*text, length + 1);
    }
    return why;
}

/* Reads a literal text up to a place, with {{ and }} as braces. */
static const char *read_literal(struct slice *text, struct part *part)
{
    const char *why = NULL;
    struct buf literal = {0};
    while (why == NULL && text->length > 0) {
        char c = text->data[0];
        bool is_brace = c == '{' || c == '}';
        bool is_double = is_brace && text->length > 1 && text->data[1] == c;
        if (c == '{' && !is_double) {
            break;
        }
        if (is_brace && !is_double) {
            why = "has a '}' without a '{'; a brace itself is written {{ or }}";
        }
        buf_append_char(&literal, c);
        *text = slice_skip(*text, is_double ? 2 : 1);
    }
    part->literal = buf_take(&literal);
    return why;
}

struct template *template_parse(const char *text, const char **out_why)
{
    struct template *template = mem_zalloc(1, sizeof *template);
    struct slice rest = slice_text(text);
    const char *why = NULL;
    while (why == NULL && rest.length > 0) {
        bool is_place = rest.data[0] == '{' && (rest.length == 1 || rest.data[1] != '{');
        struct part *part = add_part(template);
        if (is_place) {
            rest = slice_skip(rest, 1);
            why = read_place(&rest, part);
        } else {
            why = read_literal(&rest, part);
        }
    }
    if (why != NULL) {
        template_free(template);
        *out_why = why;
        return NULL;
    }
    return template;
}

bool template_is_valid(const char *text, const char **out_why)
{
    struct template *template = template_parse(text, out_why);
    bool is_valid = template != NULL;
    template_free(template);
    return is_valid;
}

/* The source number `index` of all places, or NULL. */
static const struct source *source_at(const struct template *template, size_t index)
{
    for (size_t i = 0; i < template->part_count; i++) {
        const struct part *part = &template->parts[i];
        if (index < part->source_count) {
            return &part->sources[index];
        }
        index -= part->source_count;
    }
    return NULL;
}

bool template_uses_element(const struct template *template)
{
    const struct source *source;
    for (size_t i = 0; (source = source_at(template, i)) != NULL; i++) {
        if (source->kind == SOURCE_ELEMENT) {
            return true;
        }
    }
    return false;
}

const char *template_property(const struct template *template, size_t index)
{
    const struct source *source;
    for (size_t i = 0; (source = source_at(template, i)) != NULL; i++) {
        if (source->kind == SOURCE_PROPERTY && index-- == 0) {
            return source->text;
        }
    }
    return NULL;
}

const char *template_table(const struct template *template, size_t index)
{
    const struct source *source;
    for (size_t i = 0; (source = source_at(template, i)) != NULL; i++) {
        if (index < source->tables.count) {
            return source->tables.items[index];
        }
        index -= source->tables.count;
    }
    return NULL;
}

/* Appends a JSON value as text. NULL, or what it is instead. */
static const char *put_json(const struct json *value, struct buf *out)
{
    double number = json_number(value);
    switch (json_kind(value)) {
    case JSON_TEXT:
        buf_append(out, json_text(value));
        return NULL;
    case JSON_TRUE:
        buf_append_text(out, "true");
        return NULL;
    case JSON_FALSE:
        buf_append_text(out, "false");
        return NULL;
    case JSON_NUMBER:
        if (!(number > -LIMIT_2_53 && number < LIMIT_2_53) || (double)(int64_t)number != number) {
            return "a number that is not whole or not below 2^53";
        }
        buf_append_int(out, (int64_t)number);
        return NULL;
    case JSON_ARRAY:
        return "an array";
    case JSON_OBJECT:
        return "an object";
    default:
        return "null";
    }
}

static enum template_result put_pointer(const char *pointer, const struct json *root,
                                        struct buf *out, const char **out_found)
{
    const struct json *value = NULL;
    switch (json_pointer_find(slice_text(pointer), root, &value)) {
    case JSON_POINTER_FOUND:
        *out_found = put_json(value, out);
        return *out_found == NULL ? TEMPLATE_FILLED : TEMPLATE_FAULT;
    case JSON_POINTER_REPEATED:
        *out_found = "ambiguous, because a member is there more than once";
        return TEMPLATE_FAULT;
    default:
        return TEMPLATE_ABSENT;
    }
}

static enum template_result put_slice(struct slice text, struct buf *out, const char **out_found)
{
    if (!slice_is_present(text)) {
        return TEMPLATE_ABSENT;
    }
    if (!utf8_is_mqtt_text(text)) {
        *out_found = "a text with control characters or bytes that are not UTF-8";
        return TEMPLATE_FAULT;
    }
    buf_append(out, text);
    return TEMPLATE_FILLED;
}

/* A member of a structured CloudEvent; its JSON format treats null as not there. The names of
 * attributes are letters and digits, so what a pointer would escape names none. */
static enum template_result put_attribute(const char *name, const struct json *event,
                                          struct buf *out, const char **out_found)
{
    const struct json *value = NULL;
    enum template_result result = TEMPLATE_ABSENT;
    struct buf pointer = {0};
    buf_printf(&pointer, "/%s", name);
    bool is_name = strpbrk(name, "~/") == NULL && strcmp(name, "data") != 0 &&
                   strcmp(name, "data_base64") != 0;
    bool is_null = is_name &&
                   json_pointer_find(buf_slice(&pointer), event, &value) == JSON_POINTER_FOUND &&
                   json_kind(value) == JSON_NULL;
    if (is_name && !is_null) {
        result = put_pointer(pointer.data, event, out, out_found);
    }
    buf_fini(&pointer);
    return result;
}

static struct slice topic_level(struct slice topic, size_t level)
{
    for (; level != LEVEL_WHOLE; level--) {
        const char *end = topic.length == 0 ? NULL : memchr(topic.data, '/', topic.length);
        size_t length = end == NULL ? topic.length : (size_t)(end - topic.data);
        if (level == 1) {
            return slice_of(topic.data, length);
        }
        if (end == NULL) {
            return (struct slice){0};
        }
        topic = slice_skip(topic, length + 1);
    }
    return topic;
}

static enum template_result put_plain(const struct source *source,
                                      const struct template_scope *scope, struct buf *out,
                                      const char **out_found)
{
    const struct delivery *delivery = scope->delivery;
    switch (source->kind) {
    case SOURCE_ELEMENT:
        return put_pointer(source->text, scope->element, out, out_found);
    case SOURCE_DOCUMENT:
        return put_pointer(source->text, scope->document, out, out_found);
    case SOURCE_PROPERTY:
        if (scope->event != NULL) {
            return put_attribute(source->text, scope->event, out, out_found);
        }
        if (scope->is_cloudevent && strcmp(source->text, "datacontenttype") == 0) {
            return put_slice(delivery->content_type, out, out_found);
        }
        return put_slice(delivery_property(delivery, source->text), out, out_found);
    case SOURCE_TOPIC:
        return put_slice(topic_level(delivery->topic, source->level), out, out_found);
    default:
        buf_append_text(out, source->text);
        return TEMPLATE_FILLED;
    }
}

static enum template_result put_source(const struct source *source,
                                       const struct template_scope *scope, struct buf *out,
                                       const char **out_found)
{
    struct buf value = {0};
    enum template_result result = put_plain(source, scope, &value, out_found);
    if (result == TEMPLATE_FILLED && value.length > TEMPLATE_VALUE_BYTES_MAX) {
        *out_found = "longer than 65535 bytes";
        result = TEMPLATE_FAULT;
    }
    for (size_t i = source->tables.count; i > 0 && result == TEMPLATE_FILLED; i--) {
        const struct text_table *table =
            text_table_of_name(scope->tables, source->tables.items[i - 1]);
        const char *entry = table == NULL ? NULL : text_table_find(table, buf_slice(&value));
        result = entry == NULL ? TEMPLATE_ABSENT : TEMPLATE_FILLED;
        buf_clear(&value);
        buf_append_text(&value, entry == NULL ? "" : entry);
    }
    if (result == TEMPLATE_FILLED) {
        buf_append(out, buf_slice(&value));
    }
    buf_fini(&value);
    return result;
}

/* The first source that is not absent decides. */
static enum template_result put_place(const struct part *part, const struct template_scope *scope,
                                      struct buf *out, struct template_problem *out_problem)
{
    for (size_t i = 0; i < part->source_count; i++) {
        const char *found = NULL;
        enum template_result result = put_source(&part->sources[i], scope, out, &found);
        if (result != TEMPLATE_ABSENT) {
            *out_problem = (struct template_problem){part->sources[i].shown, found};
            return result;
        }
    }
    *out_problem = (struct template_problem){part->shown, NULL};
    return TEMPLATE_ABSENT;
}

enum template_result template_fill(const struct template *template,
                                   const struct template_scope *scope, struct buf *out,
                                   struct template_problem *out_problem)
{
    enum template_result result = TEMPLATE_FILLED;
    struct template_problem problem = {0};
    struct buf filled = {0};
    for (size_t i = 0; i < template->part_count && result == TEMPLATE_FILLED; i++) {
        const struct part *part = &template->parts[i];
        if (part->literal != NULL) {
            buf_append_text(&filled, part->literal);
        } else {
            result = put_place(part, scope, &filled, &problem);
        }
    }
    if (result == TEMPLATE_FILLED) {
        buf_append(out, buf_slice(&filled));
    } else {
        *out_problem = problem;
    }
    buf_fini(&filled);
    return result;
}
