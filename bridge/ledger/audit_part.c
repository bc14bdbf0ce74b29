/*
 * What a transaction tells the audit file. How far the file goes is kept as facts, numbers of 64
 * bits, in the same transaction: the ledger and the file cannot disagree but by damage.
 */
#include "audit_part.h"

#include "stores.h"

#include <assert.h>
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

/* ---- the head ---- */

static enum status read_hash(const struct store_ops *ops, struct store *store, char *out)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < HASH_PARTS && status == STATUS_OK; i++) {
        int64_t part = 0;
        status = ops->get_meta(store, HASH_META[i], &part);
        snprintf(out + i * HASH_PART_SIZE, HASH_PART_SIZE + 1, "%016" PRIx64, (uint64_t)part);
    }
    return status;
}

static enum status read_head(const struct store_ops *ops, struct store *store,
                             struct audit_tip *out_tip)
{
    struct audit_tip head = {0};
    enum status status = ops->get_meta(store, SEQ_META, &head.seq);
    if (status == STATUS_OK) {
        status = ops->get_meta(store, OFFSET_META, &head.offset);
    }
    if (status == STATUS_OK) {
        status = read_hash(ops, store, head.hash);
    }
    if (status == STATUS_NOT_FOUND) {
        *out_tip = (struct audit_tip){0};
        return STATUS_OK;
    }
    *out_tip = head;
    return status;
}

static void write_head(struct audit_part *file, struct ledger_batch *batch)
{
    struct audit_tip head;
    audit_tip_of(file->audit, &head);
    ledger_batch_add_meta(batch, SEQ_META, head.seq);
    ledger_batch_add_meta(batch, OFFSET_META, head.offset);
    for (size_t i = 0; i < HASH_PARTS; i++) {
        char part[HASH_PART_SIZE + 1] = {0};
        memcpy(part, head.hash + i * HASH_PART_SIZE, HASH_PART_SIZE);
        ledger_batch_add_meta(batch, HASH_META[i], (int64_t)strtoull(part, NULL, 16));
    }
}

enum status ledger_audit_tip(const char *store_name, struct audit_tip *out_tip, struct buf *out_why)
{
    const struct store_ops *ops = NULL;
    const char *location = NULL;
    struct store *store = NULL;
    enum status status = store_choose(store_name, &ops, &location, out_why);
    if (status == STATUS_OK) {
        status = ops->open_to_read(location, &store, out_why);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = read_head(ops, store, out_tip);
    if (status != STATUS_OK) {
        buf_append_text(out_why, ops->error(store));
    }
    ops->close(store);
    return status;
}

enum status audit_part_open(struct audit_part *file, const struct store_ops *ops,
                            struct store *store, const struct audit_options *options,
                            struct buf *out_why)
{
    struct audit_tip head;
    if (options->path == NULL || options->path[0] == '\0') {
        return STATUS_OK;
    }
    enum status status = read_head(ops, store, &head);
    if (status != STATUS_OK) {
        buf_append_text(out_why, ops->error(store));
        return status;
    }
    return audit_open(options, &head, &file->audit, out_why);
}

/* ---- a transaction ---- */

void audit_part_begin(struct audit_part *file, int64_t now_ms)
{
    file->is_at_fault = false;
    if (file->audit == NULL) {
        return;
    }
    if (atomic_exchange(&file->wants_reopen, false)) {
        audit_reopen(file->audit);
    }
    audit_begin(file->audit, now_ms);
}

enum status audit_part_write(struct audit_part *file, struct ledger_batch *batch)
{
    bool is_new = false;
    if (file->audit == NULL) {
        return STATUS_OK;
    }
    for (const struct ledger_request *request = batch->requests.head; request != NULL;
         request = request->next) {
        if (request->audit_event != NULL) {
            struct buf *line = audit_line(file->audit, request->audit_event);
            audit_put_members(line, ledger_batch_text(batch, request->audit));
            audit_line_done(file->audit);
        }
    }
    if (audit_write(file->audit, &is_new) != STATUS_OK) {
        file->is_at_fault = true;
        return STATUS_STORE;
    }
    if (is_new) {
        write_head(file, batch);
    }
    return STATUS_OK;
}

void audit_part_end(struct audit_part *file, bool is_committed)
{
    if (file->audit == NULL) {
        return;
    }
    if (is_committed) {
        audit_committed(file->audit);
    } else {
        audit_failed(file->audit);
    }
}
