/*
 * libinih splits lines into sections, keys and values. The reader callback, which passes it one
 * line at a time, refuses lines that libinih would truncate or misread. A value is located in our
 * text by its position in the line, so that no copy of a secret is left.
 */
#include "base/section.h"

#include "base/mem.h"
#include "base/secret.h"

#include <assert.h>
#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"
#define LINE_END_BYTES  3 /* libinih's, with the NUL */
#define SPACE           " \t"

struct reader {
    struct slice rest;
    struct slice line;  /* the line that libinih has now */
    const char *buffer; /* libinih's copy of it */
    size_t line_number;
    const char *section;
    const char *const *keys;
    size_t count;
    struct slice *values;
    bool was_found;
    bool is_in_section;         /* the last key was in the wanted section */
    struct section_fault fault; /* the first error */
};

static bool refuse(struct reader *reader, const char *what)
{
    if (reader->fault.what == NULL) {
        reader->fault = (struct section_fault){what, reader->line_number};
    }
    return false;
}

/* --- lines --- */

/* Without a comment, which begins at the start or after white space, and without white space
 * around. */
static struct slice uncomment(struct slice text)
{
    size_t length = 0;
    while (length < text.length &&
           !(strchr("#;", text.data[length]) != NULL &&
             (length == 0 || strchr(SPACE, text.data[length - 1]) != NULL))) {
        length++;
    }
    return slice_trim(slice_of(text.data, length), SPACE);
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

/* libinih takes the first ']' and ignores the rest: [a]-old] would be [a]. */
static bool is_section_without_end(struct slice line)
{
    struct slice text = uncomment(line);
    if (text.length == 0 || text.data[0] != '[') {
        return false;
    }
    const char *end = memchr(text.data, ']', text.length);
    return end == NULL || end + 1 != text.data + text.length;
}

/* libinih's ini_reader: copies the next line to `out`; NULL after the last one or an error. */
static char *give_line(char *out, int size, void *arg)
{
    struct reader *reader = arg;
    bool is_good = reader->fault.what == NULL && slice_take_line(&reader->rest, &reader->line);
    if (is_good) {
        struct slice *line = &reader->line;
        reader->line_number++;
        line->length -= line->length > 0 && line->data[line->length - 1] == '\r';
        if (has_control(reader->line)) {
            is_good = refuse(reader, "a control character");
        } else if (reader->line.length > (size_t)size - LINE_END_BYTES) {
            is_good = refuse(reader, "a line that is too long");
        } else if (is_section_without_end(reader->line)) {
            is_good = refuse(reader, "a section without its closing bracket");
        }
    }
    if (!is_good) {
        secret_wipe(out, (size_t)size);
        return NULL;
    }
    memcpy(out, reader->line.data, reader->line.length);
    out[reader->line.length] = '\0';
    reader->buffer = out;
    return out;
}

/* --- values --- */

/* A value in quotes ends at the next quote; only a comment may follow. */
static bool read_value(struct reader *reader, struct slice text, struct slice *out_value)
{
    if (text.length == 0 || (text.data[0] != '"' && text.data[0] != '\'')) {
        *out_value = uncomment(text);
        return true;
    }
    const char *begin = text.data + 1;
    const char *end = memchr(begin, text.data[0], text.length - 1);
    if (end == NULL) {
        return refuse(reader, "a value without its closing quote");
    }
    size_t passed = (size_t)(end + 1 - text.data);
    if (uncomment(slice_skip(text, passed)).length > 0) {
        return refuse(reader, "a value with text after its closing quote");
    }
    *out_value = slice_of(begin, (size_t)(end - begin));
    return true;
}

static bool enter_section(struct reader *reader, const char *name)
{
    struct slice section = slice_trim(slice_text(name), SPACE);
    if (section.length == 0) {
        return refuse(reader, "a key before the first section");
    }
    /* libinih cuts a longer name off: another section, unless the wanted name begins like it. */
    if (strlen(name) > SECTION_NAME_BYTES_MAX &&
        strncmp(reader->section, name, SECTION_NAME_BYTES_MAX) == 0) {
        return refuse(reader, "a section whose name is too long");
    }
    bool is_wanted = slice_equals_text(section, reader->section);
    if (is_wanted && reader->was_found && !reader->is_in_section) {
        return refuse(reader, "the section appears a second time");
    }
    reader->was_found |= is_wanted;
    reader->is_in_section = is_wanted;
    return true;
}

/* libinih's ini_handler. */
static int take_entry(void *arg, const char *section, const char *name, const char *value)
{
    struct reader *reader = arg;
    struct slice taken = {0};
    if (name[0] == '\0') {
        return refuse(reader, "neither a section nor key = value");
    }
    size_t at = (size_t)(value - reader->buffer);
    assert(at + strlen(value) <= reader->line.length);
    if (!enter_section(reader, section) ||
        !read_value(reader, slice_of(reader->line.data + at, strlen(value)), &taken)) {
        return false;
    }
    for (size_t i = 0; reader->is_in_section && i < reader->count; i++) {
        if (strcmp(name, reader->keys[i]) == 0) {
            if (slice_is_present(reader->values[i])) {
                return refuse(reader, "a key that appears a second time");
            }
            reader->values[i] = taken;
        }
    }
    return true;
}

static void parse(struct reader *reader)
{
    ini_allow_bom = false; /* section_read() skips it */
    ini_allow_multiline = false;
    ini_allow_inline_comments = false; /* libinih does not respect quotes */
    ini_use_stack = false;
    ini_max_line = SECTION_LINE_BYTES_MAX + LINE_END_BYTES;
    ini_initial_alloc = ini_max_line;
    int line = ini_parse_stream(give_line, reader, take_entry, reader);
    if (line < 0) {
        abort(); /* out of memory */
    }
    if (line > 0 && (reader->fault.what == NULL || (size_t)line < reader->fault.line)) {
        reader->fault = (struct section_fault){"neither a section nor key = value", (size_t)line};
    }
}

enum status section_read(struct slice text, const char *section, const char *const keys[],
                         size_t count, struct slice out_values[], struct section_fault *out_fault)
{
    struct reader reader = {.rest = text, .section = section, .keys = keys, .count = count};
    enum status status = STATUS_OK;
    if (text.length >= 3 && memcmp(text.data, BYTE_ORDER_MARK, 3) == 0) {
        reader.rest = slice_skip(text, 3);
    }
    reader.values = mem_zalloc(count, sizeof *reader.values);
    parse(&reader);
    if (reader.fault.what != NULL) {
        *out_fault = reader.fault;
        status = STATUS_INVALID;
    } else if (!reader.was_found) {
        status = STATUS_NOT_FOUND;
    } else if (count > 0) {
        memcpy(out_values, reader.values, count * sizeof *reader.values);
    }
    free(reader.values);
    return status;
}
