/*
 * codec - the binary form of deliveries, messages and the frames of the MQTT processes.
 *
 * Integers are big-endian. A byte string is a 32-bit length and its bytes; the length 0xffffffff
 * means absent. Reading never goes past the end: it sets `is_bad`, which stays set, so that the
 * caller checks once, at the end, with unpack_is_done().
 *
 * Thread: any; pure.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "buf.h"
#include "slice.h"

#include <stdbool.h>
#include <stdint.h>

void pack_u8(struct buf *out, uint8_t value);
void pack_u32(struct buf *out, uint32_t value);
void pack_i64(struct buf *out, int64_t value);
/* The length must be below 2^32 - 1. */
void pack_bytes(struct buf *out, struct slice bytes);
/* NULL packs as absent. */
void pack_text(struct buf *out, const char *text);

struct unpack {
    struct slice rest;
    bool is_bad;
};

uint8_t unpack_u8(struct unpack *in);
uint32_t unpack_u32(struct unpack *in);
int64_t unpack_i64(struct unpack *in);
/* Points into the input; absent after a bad read. */
struct slice unpack_bytes(struct unpack *in);
/* Whether all reads succeeded and no byte is left. */
bool unpack_is_done(const struct unpack *in);

#endif
