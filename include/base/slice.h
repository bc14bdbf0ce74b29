/*
 * slice - borrowed bytes: a pointer and a length, valid for the duration of a call.
 *
 * Thread: any. May hold any bytes, also NUL. {NULL, 0} is the absent slice; slice_text("") is
 * present and empty.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data;
    size_t length;
};

static inline struct slice slice_of(const void *data, size_t length)
{
    return (struct slice){data, length};
}

/* NULL gives the absent slice. */
static inline struct slice slice_text(const char *text)
{
    return (struct slice){text, text == NULL ? 0 : strlen(text)};
}

static inline bool slice_is_present(struct slice slice)
{
    return slice.data != NULL;
}

static inline bool slice_equals(struct slice a, struct slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool slice_equals_text(struct slice slice, const char *text)
{
    return slice_equals(slice, slice_text(text));
}

/* The slice without its first `count` bytes. */
static inline struct slice slice_skip(struct slice slice, size_t count)
{
    return slice_of(slice.data + count, slice.length - count);
}

/* Takes the next line without its line end; false at the end of the text. */
static inline bool slice_take_line(struct slice *text, struct slice *out_line)
{
    if (text->length == 0) {
        return false;
    }
    const char *end = (const char *)memchr(text->data, '\n', text->length);
    size_t length = end == NULL ? text->length : (size_t)(end - text->data);
    size_t taken = length + (end != NULL);
    *out_line = slice_of(text->data, length);
    *text = slice_skip(*text, taken);
    return true;
}

/* The text without the bytes of `blanks` at its start and end. */
static inline struct slice slice_trim(struct slice text, const char *blanks)
{
    while (text.length > 0 && text.data[0] != '\0' && strchr(blanks, text.data[0]) != NULL) {
        text = slice_skip(text, 1);
    }
    while (text.length > 0 && text.data[text.length - 1] != '\0' &&
           strchr(blanks, text.data[text.length - 1]) != NULL) {
        text.length--;
    }
    return text;
}

#endif
