#include "copies.h"

#include "base/codec.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct copy {
    UT_hash_handle hh;
    uint8_t digest[DIGEST_SHA256_BYTES];
    uint32_t counts[2]; /* by the new and by the old subscription */
};

/* NULL: there is no more room. */
static struct copy *find(struct copies *copies, const uint8_t digest[DIGEST_SHA256_BYTES])
{
    struct copy *copy = NULL;
    HASH_FIND(hh, copies->by_digest, digest, DIGEST_SHA256_BYTES, copy);
    if (copy != NULL || HASH_COUNT(copies->by_digest) == COPIES_MAX) {
        return copy;
    }
    if (copies->by_digest == NULL) {
        digest_random(copies->secret, sizeof copies->secret);
    }
    copy = mem_zalloc(1, sizeof *copy);
    memcpy(copy->digest, digest, DIGEST_SHA256_BYTES);
    HASH_ADD(hh, copies->by_digest, digest, DIGEST_SHA256_BYTES, copy);
    return copy;
}

bool copies_mark(struct copies *copies, const struct delivery *delivery,
                 char out_mark[DIGEST_SHA256_HEX_BYTES])
{
    struct delivery same = *delivery; /* in both copies */
    struct buf text = {0};
    uint8_t digest[DIGEST_SHA256_BYTES];
    same.qos = 0;
    same.is_retained = false;
    same.is_redelivered = false;
    same.is_former = false;
    same.expiry_s = -1;
    delivery_encode(&same, &text);
    digest_sha256(buf_slice(&text), digest);
    struct copy *copy = find(copies, digest);
    if (copy != NULL) {
        buf_clear(&text);
        pack_bytes(&text, slice_of((const char *)copies->secret, sizeof copies->secret));
        pack_bytes(&text, slice_of((const char *)digest, sizeof digest));
        pack_u32(&text, copy->counts[delivery->is_former ? 1 : 0]++);
        digest_sha256_hex(buf_slice(&text), out_mark);
    }
    buf_fini(&text);
    return copy != NULL;
}

void copies_fini(struct copies *copies)
{
    struct copy *copy;
    struct copy *next;
    HASH_ITER (hh, copies->by_digest, copy, next) {
        /* NOLINTNEXTLINE(clang-analyzer-*): the table is freed with the last copy only */
        HASH_DEL(copies->by_digest, copy);
        free(copy);
    }
    *copies = (struct copies){0};
}
