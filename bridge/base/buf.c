#include "base/buf.h"

#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_SMALLEST_BYTES 64

void buf_fini(struct buf *buf)
{
    if (buf == NULL) {
        return;
    }
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->length = 0;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

static void grow(struct buf *buf, size_t extra)
{
    assert(extra < SIZE_MAX / 2 && buf->length < SIZE_MAX / 2);
    size_t needed = buf->length + extra + 1;
    size_t doubled = buf->capacity < SIZE_MAX / 2 ? buf->capacity * 2 : needed;
    size_t capacity = doubled > needed ? doubled : needed;
    if (capacity < BUF_SMALLEST_BYTES) {
        capacity = BUF_SMALLEST_BYTES;
    }
    buf->data = mem_realloc(buf->data, capacity);
    buf->capacity = capacity;
    buf->data[buf->length] = '\0';
}

char *buf_reserve(struct buf *buf, size_t extra)
{
    if (extra >= buf->capacity - buf->length) { /* the NUL needs a byte, too; {0} has none */
        grow(buf, extra);
    }
    return buf->data + buf->length;
}

void buf_append(struct buf *buf, struct slice bytes)
{
    char *end = buf_reserve(buf, bytes.length);
    if (bytes.length > 0) {
        memcpy(end, bytes.data, bytes.length);
    }
    end[bytes.length] = '\0';
    buf->length += bytes.length;
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, slice_text(text));
}

void buf_append_char(struct buf *buf, char c)
{
    char *end = buf_reserve(buf, 1);
    end[0] = c;
    end[1] = '\0';
    buf->length++;
}

void buf_append_int(struct buf *buf, int64_t number)
{
    char digits[sizeof "-9223372036854775808"];
    int length = snprintf(digits, sizeof digits, "%" PRId64, number);
    assert(length > 0 && (size_t)length < sizeof digits);
    buf_append(buf, slice_of(digits, (size_t)length));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(buf, format, arguments);
    va_end(arguments);
}

void buf_vprintf(struct buf *buf, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    assert(length >= 0);
    char *end = buf_reserve(buf, (size_t)length);
    int written = vsnprintf(end, (size_t)length + 1, format, again);
    assert(written == length);
    buf->length += (size_t)length;
    va_end(again);
}

void buf_consume(struct buf *buf, size_t count)
{
    assert(count <= buf->length);
    if (count == 0) {
        return;
    }
    buf->length -= count;
    memmove(buf->data, buf->data + count, buf->length);
    buf->data[buf->length] = '\0';
}

struct slice buf_slice(const struct buf *buf)
{
    return buf->data == NULL ? slice_text("") : slice_of(buf->data, buf->length);
}

char *buf_take(struct buf *buf)
{
    *buf_reserve(buf, 0) = '\0';
    char *text = buf->data;
    *buf = (struct buf){0};
    return text;
}
