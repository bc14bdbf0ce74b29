/*
 * What a transaction tells the audit file. How far the file goes is kept as facts, numbers of 64
 * bits, in the same transaction: the ledger and the file cannot disagree but by damage.
 */
#include "base/json.h"
#include "ledger_private.h"

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

static enum status write_head(struct ledger *ledger)
{
    struct audit_tip head;
    audit_tip_of(ledger->audit, &head);
    enum status status = ledger->ops->set_meta(ledger->store, SEQ_META, head.seq);
    if (status == STATUS_OK) {
        status = ledger->ops->set_meta(ledger->store, OFFSET_META, head.offset);
    }
    for (size_t i = 0; i < HASH_PARTS && status == STATUS_OK; i++) {
        char part[HASH_PART_SIZE + 1] = {0};
        memcpy(part, head.hash + i * HASH_PART_SIZE, HASH_PART_SIZE);
        status =
            ledger->ops->set_meta(ledger->store, HASH_META[i], (int64_t)strtoull(part, NULL, 16));
    }
    return status;
}

enum status ledger_audit_tip(const char *store_name, struct audit_tip *out_tip, struct buf *out_why)
{
    const struct store_ops *ops = NULL;
    const char *location = NULL;
    struct store *store = NULL;
    enum status status = ledger_choose_store(store_name, &ops, &location, out_why);
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

enum status ledger_audit_open(struct ledger *ledger, struct buf *out_why)
{
    const struct ledger_options *options = &ledger->options;
    struct audit_tip head;
    if (options->audit_file == NULL || options->audit_file[0] == '\0') {
        return STATUS_OK;
    }
    enum status status = read_head(ledger->ops, ledger->store, &head);
    if (status != STATUS_OK) {
        buf_append_text(out_why, ledger->ops->error(ledger->store));
        return status;
    }
    const struct audit_options audit = {
        .path = options->audit_file,
        .instance = options->instance,
        .is_chained = options->is_audit_chained,
        .is_full = options->is_full,
    };
    return audit_open(&audit, &head, &ledger->audit, out_why);
}

/* ---- a transaction ---- */

void ledger_audit_begin(struct ledger *ledger, int64_t now_ms)
{
    ledger->is_audit_at_fault = false;
    if (ledger->audit == NULL) {
        return;
    }
    if (atomic_exchange(&ledger->wants_audit_reopen, false)) {
        audit_reopen(ledger->audit);
    }
    audit_begin(ledger->audit, now_ms);
}

enum status ledger_audit_write(struct ledger *ledger)
{
    bool is_new = false;
    if (ledger->audit == NULL) {
        return STATUS_OK;
    }
    if (audit_write(ledger->audit, &is_new) != STATUS_OK) {
        ledger->is_audit_at_fault = true;
        return STATUS_STORE;
    }
    return is_new ? write_head(ledger) : STATUS_OK;
}

void ledger_audit_end(struct ledger *ledger, bool is_committed)
{
    if (ledger->audit == NULL) {
        return;
    }
    if (is_committed) {
        audit_committed(ledger->audit);
    } else {
        audit_failed(ledger->audit);
    }
}

const char *ledger_error(struct ledger *ledger)
{
    return ledger->is_audit_at_fault ? audit_error(ledger->audit)
                                     : ledger->ops->error(ledger->store);
}

/* ---- lines ---- */

/* The buffer of a line that tells of a claim, with what is common to all of them. */
static struct buf *claim_line(struct ledger *ledger, const struct claim_request *claim,
                              const char *event)
{
    struct buf *line = audit_line(ledger->audit, event);
    audit_put_command(line, claim->ask.command);
    audit_put_members(line, buf_slice(&claim->ask.audit));
    return line;
}

void ledger_audit_claim(struct ledger *ledger, const struct claim_request *claim)
{
    if (ledger->audit == NULL) {
        return;
    }
    bool is_waiting = claim->result == CLAIM_WAITS;
    struct buf *line = claim_line(ledger, claim, is_waiting ? "joined" : "claimed");
    if (claim->result == CLAIM_AGAIN) {
        json_put_bool(line, "Again", true);
    }
    audit_line_done(ledger->audit);
}

static void put_result(struct buf *line, const char *status, struct slice request_id,
                       struct slice code, uint32_t attempts)
{
    json_put_text(line, "Status", slice_text(status));
    audit_put_text(line, "RequestId", request_id);
    audit_put_text(line, "Code", code);
    json_put_int(line, "Attempts", attempts);
}

void ledger_audit_replay(struct ledger *ledger, const struct claim_request *claim,
                         const struct store_row *row)
{
    if (ledger->audit == NULL) {
        return;
    }
    struct buf *line = claim_line(ledger, claim, "replayed");
    put_result(line, outcome_status_text((enum outcome_status)row->status), row->request_id,
               row->code, row->attempts);
    audit_line_done(ledger->audit);
}

void ledger_audit_refusal(struct ledger *ledger, const struct claim_request *claim,
                          const char *code)
{
    if (ledger->audit == NULL) {
        return;
    }
    bool is_mismatch = claim->result == CLAIM_MISMATCH;
    struct buf *line = claim_line(ledger, claim, is_mismatch ? "mismatch" : "refused");
    audit_put_text(line, "Code", slice_text(code));
    audit_line_done(ledger->audit);
}

void ledger_audit_post(struct ledger *ledger, const struct post_request *post)
{
    if (ledger->audit == NULL) {
        return;
    }
    struct buf *line = audit_line(ledger->audit, post->is_dead_letter ? "dead_letter" : "refused");
    audit_put_members(line, buf_slice(&post->audit));
    audit_line_done(ledger->audit);
}

void ledger_audit_outcome(struct ledger *ledger, const struct finish_request *finish)
{
    const struct command *command = finish->command;
    const struct outcome *outcome = &finish->outcome;
    if (ledger->audit == NULL) {
        return;
    }
    struct buf *line = audit_line(ledger->audit, "outcome");
    audit_put_command(line, command);
    put_result(line, outcome_status_text(outcome->status), slice_text(outcome->request_id),
               slice_text(outcome->code), command->attempts);
    json_put_time(line, "ReceivedAt", command->received_at_ms);
    json_put_time(line, "CompletedAt", finish->completed_at_ms);
    json_put_int(line, "Replies", (int64_t)finish->reply_to_count);
    audit_line_done(ledger->audit);
}
