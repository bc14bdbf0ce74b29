#include "audit_rows.h"

#include "base/json.h"
#include "model/audit_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The brace makes the JSON writer separate the members; it is not part of the text. */
static size_t row_begin(struct ledger_batch *batch)
{
    json_put_open(&batch->bytes, '{');
    return batch->bytes.length;
}

static void row_end(struct ledger_batch *batch, struct ledger_request *request, const char *event,
                    size_t offset)
{
    request->audit_event = event;
    request->audit = (struct batch_text){offset, batch->bytes.length - offset};
}

static void put_result(struct buf *out, const char *status, struct slice request_id,
                       struct slice code, uint32_t attempts)
{
    json_put_text(out, "Status", slice_text(status));
    audit_put_text(out, "RequestId", request_id);
    audit_put_text(out, "Code", code);
    json_put_int(out, "Attempts", attempts);
}

void audit_row_of_claim(struct ledger_batch *batch, struct ledger_request *request,
                        const struct store_row *replayed, const char *code)
{
    static const char *const EVENTS[] = {
        [CLAIM_NEW] = "claimed",       [CLAIM_AGAIN] = "claimed",     [CLAIM_WAITS] = "joined",
        [CLAIM_REPLAYED] = "replayed", [CLAIM_MISMATCH] = "mismatch", [CLAIM_REFUSED] = "refused"};
    const struct claim_request *claim = &request->claim;
    if (!batch->limits->is_audited) {
        return;
    }
    size_t offset = row_begin(batch);
    audit_put_command(&batch->bytes, claim->ask.command);
    audit_put_members(&batch->bytes, buf_slice(&claim->ask.audit));
    if (claim->result == CLAIM_AGAIN) {
        json_put_bool(&batch->bytes, "Again", true);
    }
    if (replayed != NULL) {
        put_result(&batch->bytes, outcome_status_text((enum outcome_status)replayed->status),
                   replayed->request_id, replayed->code, replayed->attempts);
    }
    if (code != NULL) {
        audit_put_text(&batch->bytes, "Code", slice_text(code));
    }
    row_end(batch, request, EVENTS[claim->result], offset);
}

void audit_row_of_post(struct ledger_batch *batch, struct ledger_request *request)
{
    if (!batch->limits->is_audited) {
        return;
    }
    size_t offset = row_begin(batch);
    buf_append(&batch->bytes, buf_slice(&request->post.audit));
    row_end(batch, request, request->post.is_dead_letter ? "dead_letter" : "refused", offset);
}

void audit_row_of_outcome(struct ledger_batch *batch, struct ledger_request *request)
{
    const struct finish_request *finish = &request->finish;
    const struct outcome *outcome = &finish->outcome;
    if (!batch->limits->is_audited) {
        return;
    }
    size_t offset = row_begin(batch);
    audit_put_command(&batch->bytes, finish->command);
    put_result(&batch->bytes, outcome_status_text(outcome->status), slice_text(outcome->request_id),
               slice_text(outcome->code), finish->command->attempts);
    json_put_time(&batch->bytes, "ReceivedAt", finish->command->received_at_ms);
    json_put_time(&batch->bytes, "CompletedAt", finish->completed_at_ms);
    json_put_int(&batch->bytes, "Replies", (int64_t)finish->reply_to_count);
    row_end(batch, request, "outcome", offset);
}

void audit_row_of_order(struct ledger_batch *batch, struct ledger_request *request)
{
    const struct finish_request *finish = &request->finish;
    bool is_resolve = request->type->kind == REQUEST_RESOLVE;
    if (!batch->limits->is_audited) {
        return;
    }
    size_t offset = row_begin(batch);
    audit_put_command(&batch->bytes, finish->command);
    if (is_resolve) {
        put_result(&batch->bytes, outcome_status_text(finish->outcome.status),
                   slice_text(finish->outcome.request_id), slice_text(finish->outcome.code),
                   finish->command->attempts);
        audit_put_text(&batch->bytes, "Note", buf_slice(&finish->order.note));
        json_put_int(&batch->bytes, "Replies", (int64_t)finish->reply_to_count);
    }
    row_end(batch, request, is_resolve ? "resolved" : "retried", offset);
}

/* ---- the tip ---- */

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
