#include "audit_tip.h"

#include "store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_PARTS     ((size_t)4)
#define HASH_PART_SIZE ((size_t)16) /* hexadecimal digits of 64 bits */

static const char SEQ_META[] = "audit.seq";
static const char OFFSET_META[] = "audit.offset";
static const char *const HASH_META[HASH_PARTS] = {"audit.hash.1", "audit.hash.2", "audit.hash.3",
                                                  "audit.hash.4"};

enum status audit_tip_load(const struct store_ops *ops, struct store *store,
                           struct audit_tip *out_tip)
{
    struct audit_tip tip = {0};
    enum status status = ops->get_meta(store, SEQ_META, &tip.seq);
    if (status == STATUS_OK) {
        status = ops->get_meta(store, OFFSET_META, &tip.offset);
    }
    for (size_t i = 0; i < HASH_PARTS && status == STATUS_OK; i++) {
        int64_t part = 0;
        status = ops->get_meta(store, HASH_META[i], &part);
        snprintf(tip.hash + i * HASH_PART_SIZE, HASH_PART_SIZE + 1, "%016" PRIx64, (uint64_t)part);
    }
    *out_tip = status == STATUS_OK ? tip : (struct audit_tip){0};
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

void audit_tip_save(const struct audit_tip *tip, struct ledger_batch *batch)
{
    ledger_batch_add_meta(batch, SEQ_META, tip->seq);
    ledger_batch_add_meta(batch, OFFSET_META, tip->offset);
    for (size_t i = 0; i < HASH_PARTS; i++) {
        char part[HASH_PART_SIZE + 1] = {0};
        memcpy(part, tip->hash + i * HASH_PART_SIZE, HASH_PART_SIZE);
        ledger_batch_add_meta(batch, HASH_META[i], (int64_t)strtoull(part, NULL, 16));
    }
}
