#include "ini.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

struct reader {
    struct slice rest;
    size_t line;
    const char *section;
    bool has_section;  /* any */
    bool was_found;    /* the one asked for */
    bool is_in_wanted; /* at this line */
    const char *what;  /* the fault */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.length > 0 && is_space(text.data[0])) {
        text = slice_of(text.data + 1, text.length - 1);
    }
    while (text.length > 0 && is_space(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}

static bool has_control(struct slice line)
{
    for (size_t i = 0; i < line.length; i++) {
        unsigned char c = (unsigned char)line.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool is_comment(struct slice text, size_t at)
{
    return (text.data[at] == '#' || text.data[at] == ';') &&
           (at == 0 || is_space(text.data[at - 1]));
}

/* Without a comment and the space around. */
static struct slice uncomment(struct slice text)
{
    size_t length = 0;
    while (length < text.length && !is_comment(text, length)) {
        length++;
    }
    return trim(slice_of(text.data, length));
}

static struct slice take_line(struct reader *reader)
{
    struct slice rest = reader->rest;
    const char *end = memchr(rest.data, '\n', rest.length);
    size_t length = end == NULL ? rest.length : (size_t)(end - rest.data);
    size_t passed = end == NULL ? length : length + 1;
    reader->rest = slice_of(rest.data + passed, rest.length - passed);
    reader->line++;
    if (length > 0 && rest.data[length - 1] == '\r') {
        length--;
    }
    return slice_of(rest.data, length);
}

static bool read_section(struct reader *reader, struct slice line)
{
    struct slice text = uncomment(line);
    if (text.length < 2 || text.data[text.length - 1] != ']') {
        reader->what = "a section without its closing bracket";
        return false;
    }
    struct slice name = trim(slice_of(text.data + 1, text.length - 2));
    reader->has_section = true;
    reader->is_in_wanted = slice_equals_text(name, reader->section);
    if (reader->is_in_wanted && reader->was_found) {
        reader->what = "the section comes a second time";
        return false;
    }
    reader->was_found |= reader->is_in_wanted;
    return true;
}

/* A value in quotes ends at the next one, and only a comment may follow. */
static bool read_value(struct reader *reader, struct slice text, struct slice *out_value)
{
    if (text.length == 0 || (text.data[0] != '"' && text.data[0] != '\'')) {
        *out_value = uncomment(text);
        return true;
    }
    const char *begin = text.data + 1;
    const char *end = memchr(begin, text.data[0], text.length - 1);
    if (end == NULL) {
        reader->what = "a value with a quote that has no end";
        return false;
    }
    size_t passed = (size_t)(end + 1 - text.data);
    if (uncomment(slice_of(text.data + passed, text.length - passed)).length > 0) {
        reader->what = "a value that goes on behind its closing quote";
        return false;
    }
    *out_value = slice_of(begin, (size_t)(end - begin));
    return true;
}

static bool keep(struct reader *reader, struct slice key, struct slice value,
                 const char *const keys[], size_t count, struct slice values[])
{
    for (size_t i = 0; i < count; i++) {
        if (!slice_equals_text(key, keys[i])) {
            continue;
        }
        if (slice_is_present(values[i])) {
            reader->what = "a key that comes a second time";
            return false;
        }
        values[i] = value;
    }
    return true;
}

static bool read_entry(struct reader *reader, struct slice line, const char *const keys[],
                       size_t count, struct slice values[])
{
    const char *equals = memchr(line.data, '=', line.length);
    struct slice value;
    if (equals == NULL || equals == line.data) {
        reader->what = "neither a section nor key = value";
        return false;
    }
    if (!reader->has_section) {
        reader->what = "a key before the first section";
        return false;
    }
    size_t passed = (size_t)(equals + 1 - line.data);
    struct slice key = trim(slice_of(line.data, passed - 1));
    if (!read_value(reader, trim(slice_of(equals + 1, line.length - passed)), &value)) {
        return false;
    }
    return !reader->is_in_wanted || keep(reader, key, value, keys, count, values);
}

static bool read_line(struct reader *reader, const char *const keys[], size_t count,
                      struct slice values[])
{
    struct slice line = take_line(reader);
    if (has_control(line)) {
        reader->what = "a control character";
        return false;
    }
    line = trim(line);
    if (line.length == 0 || is_comment(line, 0)) {
        return true;
    }
    return line.data[0] == '[' ? read_section(reader, line)
                               : read_entry(reader, line, keys, count, values);
}

enum status ini_read(struct slice text, const char *section, const char *const keys[], size_t count,
                     struct slice out_values[], struct ini_fault *out_fault)
{
    struct reader reader = {.rest = text, .section = section};
    struct slice *values = mem_zalloc(count, sizeof *values);
    enum status status = STATUS_OK;
    if (text.length >= 3 && memcmp(text.data, BYTE_ORDER_MARK, 3) == 0) {
        reader.rest = slice_of(text.data + 3, text.length - 3);
    }
    while (status == STATUS_OK && reader.rest.length > 0) {
        status = read_line(&reader, keys, count, values) ? STATUS_OK : STATUS_INVALID;
    }
    if (status != STATUS_OK) {
        *out_fault = (struct ini_fault){reader.what, reader.line};
    } else if (!reader.was_found) {
        status = STATUS_NOT_FOUND;
    } else if (count > 0) {
        memcpy(out_values, values, count * sizeof *values);
    }
    free(values);
    return status;
}
