#include "base/codec.h"

#include <assert.h>

#define ABSENT UINT32_MAX

static void put_big_endian(struct buf *out, uint64_t value, unsigned count)
{
    char bytes[8];
    for (unsigned i = 0; i < count; i++) {
        bytes[i] = (char)(uint8_t)(value >> (8 * (count - 1 - i)));
    }
    buf_append(out, slice_of(bytes, count));
}

void pack_u8(struct buf *out, uint8_t value)
{
    put_big_endian(out, value, 1);
}

void pack_u32(struct buf *out, uint32_t value)
{
    put_big_endian(out, value, 4);
}

void pack_i64(struct buf *out, int64_t value)
{
    put_big_endian(out, (uint64_t)value, 8);
}

void pack_bytes(struct buf *out, struct slice bytes)
{
    assert(bytes.length < ABSENT);
    if (!slice_is_present(bytes)) {
        pack_u32(out, ABSENT);
        return;
    }
    pack_u32(out, (uint32_t)bytes.length);
    buf_append(out, bytes);
}

void pack_text(struct buf *out, const char *text)
{
    pack_bytes(out, slice_text(text));
}

/* The next `count` bytes; NULL, and is_bad is set, where there are fewer. */
static const uint8_t *take(struct unpack *in, size_t count)
{
    if (in->is_bad || in->rest.length < count) {
        in->is_bad = true;
        return NULL;
    }
    const uint8_t *bytes = (const uint8_t *)in->rest.data;
    in->rest = slice_skip(in->rest, count);
    return bytes;
}

static uint64_t take_big_endian(struct unpack *in, unsigned count)
{
    const uint8_t *bytes = take(in, count);
    uint64_t value = 0;
    for (unsigned i = 0; bytes != NULL && i < count; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

uint8_t unpack_u8(struct unpack *in)
{
    return (uint8_t)take_big_endian(in, 1);
}

uint32_t unpack_u32(struct unpack *in)
{
    return (uint32_t)take_big_endian(in, 4);
}

int64_t unpack_i64(struct unpack *in)
{
    return (int64_t)take_big_endian(in, 8);
}

struct slice unpack_bytes(struct unpack *in)
{
    uint32_t length = unpack_u32(in);
    if (in->is_bad || length == ABSENT) {
        return (struct slice){0};
    }
    const uint8_t *bytes = take(in, length);
    return bytes == NULL ? (struct slice){0} : slice_of(bytes, length);
}

bool unpack_is_done(const struct unpack *in)
{
    return !in->is_bad && in->rest.length == 0;
}
