/*
 * pack - the binary form shared by deliveries, messages and the frames of the MQTT processes.
 *
 * Integers are big-endian; a byte string is a 32-bit length and its bytes, the length 0xffffffff
 * meaning absent. Reading never goes past the end: the reader turns bad and stays so, and one check
 * at the end tells.
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
/* Points into the input; absent on a bad reader. */
struct slice unpack_bytes(struct unpack *in);
/* Everything was there and nothing is left over. */
bool unpack_is_done(const struct unpack *in);

#endif
