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

#endif
