#include "flow_settings.h"

#include "flow_check.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 96, PATH_BYTES = 96, SETTINGS_BYTES = 16384 };

struct line {
    char path[PATH_BYTES];
    const char *value; /* borrowed */
    size_t value_length;
};

struct lines {
    struct line rows[LINES_MAX];
    size_t count;
};

struct text {
    char data[SETTINGS_BYTES];
    size_t length;
};

static void add(struct text *text, const char *data, size_t length)
{
    assert(text->length + length < sizeof text->data);
    memcpy(text->data + text->length, data, length);
    text->length += length;
    text->data[text->length] = '\0';
}

static void add_string(struct text *text, const char *string)
{
    add(text, string, strlen(string));
}

static struct line *find(struct lines *lines, const char *path)
{
    for (size_t i = 0; i < lines->count; i++) {
        if (strcmp(lines->rows[i].path, path) == 0) {
            return &lines->rows[i];
        }
    }
    assert(lines->count < LINES_MAX);
    struct line *line = &lines->rows[lines->count++];
    snprintf(line->path, sizeof line->path, "%s", path);
    return line;
}

/* The length of a value: up to the ';' outside quotes and parentheses. */
static size_t value_length(const char *value)
{
    int depth = 0;
    bool is_quoted = false;
    size_t i = 0;
    for (; value[i] != '\0' && (is_quoted || depth > 0 || value[i] != ';'); i++) {
        is_quoted = is_quoted != (value[i] == '"');
        if (!is_quoted) {
            depth += (value[i] == '(' || value[i] == '{') - (value[i] == ')' || value[i] == '}');
        }
    }
    return i;
}

static void read_lines(struct lines *lines, const char *text)
{
    while (text != NULL && *(text += strspn(text, " \n")) != '\0') {
        char path[PATH_BYTES];
        size_t length = strcspn(text, " =");
        assert(length < sizeof path);
        memcpy(path, text, length);
        path[length] = '\0';
        text += length;
        text += strspn(text, " =");
        struct line *line = find(lines, path);
        line->value = text;
        line->value_length = value_length(text);
        text += line->value_length;
        text += *text == ';';
    }
}

/* Whether an earlier line belongs to the same group. */
static bool is_begun(const struct lines *lines, size_t index, size_t group_length)
{
    for (size_t i = 0; i < index; i++) {
        if (strncmp(lines->rows[i].path, lines->rows[index].path, group_length) == 0) {
            return true;
        }
    }
    return false;
}

/* Writes all lines whose path begins with `prefix`. */
static void write_group(const struct lines *lines, const char *prefix, struct text *out)
{
    size_t prefix_length = strlen(prefix);
    for (size_t i = 0; i < lines->count; i++) {
        const struct line *line = &lines->rows[i];
        if (strncmp(line->path, prefix, prefix_length) != 0) {
            continue;
        }
        const char *name = line->path + prefix_length;
        size_t length = strcspn(name, ".");
        if (name[length] == '\0') {
            add_string(out, name);
            add_string(out, " = ");
            add(out, line->value, line->value_length);
            add_string(out, ";\n");
        } else if (!is_begun(lines, i, prefix_length + length + 1)) {
            char group[PATH_BYTES];
            bool is_route = strncmp(line->path, "routes.", 7) == 0 && prefix_length == 0;
            snprintf(group, sizeof group, "%.*s", (int)(prefix_length + length + 1), line->path);
            add(out, name, length);
            add_string(out, is_route ? " = ({\n" : ": {\n");
            write_group(lines, group, out);
            add_string(out, is_route ? "});\n" : "};\n");
        }
    }
}

char *settings_write(const char *defaults, const char *overrides)
{
    struct lines lines = {0};
    struct text text = {0};
    read_lines(&lines, defaults);
    read_lines(&lines, overrides);
    write_group(&lines, "", &text);
    char *copy = strdup(text.data);
    assert(copy != NULL);
    return copy;
}
