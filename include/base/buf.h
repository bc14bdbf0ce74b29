/*
 * buf - a growing byte buffer that owns its memory.
 *
 * `{0}` is an empty buffer. The bytes are always followed by a NUL that `length` does not count, so
 * `data` is a C string once something was appended. Growing cannot fail (see mem.h).
 *
 * Thread: one at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;
    size_t length;
    size_t capacity;
};

/* Frees the memory; the buffer is {0} again. Takes NULL. */
void buf_fini(struct buf *buf);
/* Empties it and keeps the memory. */
void buf_clear(struct buf *buf);
/*
 * Makes room for `extra` more bytes and the NUL, and returns where they go. The caller writes the
 * bytes and the NUL and increases `length`.
 */
char *buf_reserve(struct buf *buf, size_t extra);
void buf_append(struct buf *buf, struct slice bytes);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_char(struct buf *buf, char c);
void buf_append_int(struct buf *buf, int64_t number);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
/* Drops `count` bytes from the front. */
void buf_consume(struct buf *buf, size_t count);
/* The bytes as a slice, valid until the next change; present even when empty. */
struct slice buf_slice(const struct buf *buf);
/* Returns the memory as a NUL-terminated heap string, never NULL, which the caller frees; the
 * buffer is {0} again. */
char *buf_take(struct buf *buf);

#endif
