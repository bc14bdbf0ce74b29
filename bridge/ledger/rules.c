/*
 * The rules: what each request means for the rows. A request renders its messages into the batch
 * first and posts them afterwards, since what a row or an reply_to points to ends with the next
 * call on the store.
 */
#include "ledger_private.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define META_BOOT  "ledger.clock_boot"
#define META_BASE  "ledger.clock_base_ms"
#define META_STEPS "ledger.clock_steps_ms"
#define META_KEPT  "ledger.clock_kept_ms"

/* ---- the clock's meta ---- */

static enum status get_meta(const struct store_ops *ops, struct store *store, const char *key,
                            int64_t *out_value)
{
    *out_value = 0;
    enum status status = ops->get_meta(store, key, out_value);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status ledger_load_clock(const struct store_ops *ops, struct store *store,
                              struct ledger_clock_meta *out_meta)
{
    enum status status = get_meta(ops, store, META_BOOT, &out_meta->boot);
    if (status == STATUS_OK) {
        status = get_meta(ops, store, META_BASE, &out_meta->base_ms);
    }
    if (status == STATUS_OK) {
        status = get_meta(ops, store, META_STEPS, &out_meta->steps_ms);
    }
    return status == STATUS_OK ? get_meta(ops, store, META_KEPT, &out_meta->kept_ms) : status;
}

enum status ledger_save_clock(const struct store_ops *ops, struct store *store,
                              const struct ledger_clock_meta *meta)
{
    enum status status = ops->set_meta(store, META_BOOT, meta->boot);
    if (status == STATUS_OK) {
        status = ops->set_meta(store, META_BASE, meta->base_ms);
    }
    if (status == STATUS_OK) {
        status = ops->set_meta(store, META_STEPS, meta->steps_ms);
    }
    return status == STATUS_OK ? ops->set_meta(store, META_KEPT, meta->kept_ms) : status;
}

/* ---- requests and batches as containers ---- */

void request_list_append(struct request_list *list, struct ledger_request *request)
{
    request->next = NULL;
    if (list->head == NULL) {
        list->head = request;
    } else {
        list->tail->next = request;
    }
    list->tail = request;
}

struct ledger_request *request_list_take(struct request_list *list)
{
    struct ledger_request *request = list->head;
    if (request != NULL) {
        list->head = request->next;
    }
    return request;
}

void ledger_request_free(struct ledger_request *request)
{
    switch (request->kind) {
    case REQUEST_CLAIM:
        command_free(request->claim.ask.command);
        reply_to_fini(&request->claim.ask.reply_to);
        buf_fini(&request->claim.ask.audit);
        break;
    case REQUEST_POST:
        buf_fini(&request->post.message);
        buf_fini(&request->post.audit);
        break;
    case REQUEST_FINISH:
        command_free(request->finish.command);
        outcome_fini(&request->finish.outcome);
        break;
    case REQUEST_REMEMBER:
        free(request->remember.key);
        break;
    case REQUEST_BEGIN:
    case REQUEST_PAUSE:
    case REQUEST_DELIVERED:
    case REQUEST_READ:
    case REQUEST_REOPEN:
        break;
    }
    free(request);
}

bool ledger_request_may_fail(const struct ledger_request *request)
{
    return request->kind == REQUEST_CLAIM || request->kind == REQUEST_POST;
}

void ledger_batch_reset(struct ledger_batch *batch)
{
    buf_clear(&batch->bytes);
    batch->message_count = 0;
    batch->expired_count = 0;
}

void ledger_batch_free(struct ledger_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    struct ledger_request *request;
    while ((request = request_list_take(&batch->requests)) != NULL) {
        ledger_request_free(request);
    }
    buf_fini(&batch->bytes);
    buf_fini(&batch->error_json);
    buf_fini(&batch->health_text);
    free(batch->messages);
    free(batch);
}

struct slice ledger_batch_message(const struct ledger_batch *batch,
                                  const struct batch_message *message)
{
    return slice_of(batch->bytes.data + message->offset, message->length);
}

/* ---- messages ---- */

/* The bytes from `offset` to the end become a message. */
static void add_message(struct ledger_batch *batch, int64_t id, size_t offset)
{
    if (batch->message_count == batch->message_capacity) {
        batch->message_capacity = batch->message_capacity == 0 ? 64 : batch->message_capacity * 2;
        batch->messages =
            mem_realloc(batch->messages, batch->message_capacity * sizeof *batch->messages);
    }
    batch->messages[batch->message_count++] =
        (struct batch_message){id, offset, batch->bytes.length - offset};
}

static void render(const struct ledger *ledger, struct ledger_batch *batch,
                   const struct reply *reply, const struct reply_to *reply_to)
{
    if (reply_to->topic == NULL) {
        LOG_WARN("reply_without_topic", LOG_SLICE("token", reply->token));
        return;
    }
    size_t offset = batch->bytes.length;
    reply_render(reply, reply_to, &ledger->options.replies, &batch->bytes);
    add_message(batch, 0, offset);
}

/* Puts what was rendered since `first` into the outbox. */
static enum status post_rendered(struct ledger *ledger, struct ledger_batch *batch, size_t first)
{
    enum status status = STATUS_OK;
    for (size_t i = first; i < batch->message_count && status == STATUS_OK; i++) {
        struct batch_message *message = &batch->messages[i];
        status =
            ledger->ops->post(ledger->store, ledger_batch_message(batch, message), &message->id);
    }
    return status;
}

static enum status post_reply(struct ledger *ledger, struct ledger_batch *batch,
                              const struct reply *reply, const struct reply_to *reply_to)
{
    size_t first = batch->message_count;
    render(ledger, batch, reply, reply_to);
    return post_rendered(ledger, batch, first);
}

static struct reply reply_of_command(const struct command *command)
{
    return (struct reply){
        .action = slice_text(command->action),
        .region = slice_text(command->region),
        .group = slice_text(command->group),
        .has_one_shot = true,
        .one_shot = command->one_shot,
        .token = slice_text(command->token),
        .attempts = command->attempts,
        .received_at_ms = command->received_at_ms,
    };
}

static struct reply reply_of_row(const struct store_row *row)
{
    return (struct reply){
        .status = outcome_status_text((enum outcome_status)row->status),
        .action = row->action,
        .region = row->region,
        .group = row->group,
        .has_one_shot = true,
        .one_shot = row->one_shot,
        .token = row->token,
        .request_id = row->request_id,
        .is_replayed = true,
        .attempts = row->attempts,
        .received_at_ms = row->received_at_ms,
        .completed_at_ms = row->completed_at_ms,
        .error = row->error,
        .code = row->code,
    };
}

/* ---- claims ---- */

static bool has_room(const struct ledger *ledger, const struct ledger_batch *batch)
{
    return batch->unfinished < ledger->options.pending_max;
}

static enum status refuse(struct ledger *ledger, struct ledger_batch *batch,
                          struct claim_request *claim, enum claim_result result,
                          enum bridge_error error, const char *message)
{
    struct outcome outcome;
    outcome_of_error(&outcome, error, message);
    buf_clear(&batch->error_json);
    outcome_put_error(&outcome, &batch->error_json);
    struct reply reply = reply_of_command(claim->ask.command);
    reply.status = outcome_status_text(outcome.status);
    reply.completed_at_ms = batch->now_ms;
    reply.error = buf_slice(&batch->error_json);
    reply.code = slice_text(outcome.code);
    claim->result = result;
    ledger_audit_refusal(ledger, claim, outcome.code);
    enum status status = post_reply(ledger, batch, &reply, &claim->ask.reply_to);
    outcome_fini(&outcome);
    return status;
}

/* A command that would have to be begun, but may not be. */
static enum status refuse_new(struct ledger *ledger, struct ledger_batch *batch,
                              struct claim_request *claim)
{
    if (claim->ask.unless_found != ERROR_NONE) {
        return refuse(ledger, batch, claim, CLAIM_REFUSED, claim->ask.unless_found,
                      claim->ask.unless_message);
    }
    char message[128];
    snprintf(message, sizeof message,
             "The bridge has %" PRId64 " unfinished commands, as many as limits.pending allows.",
             batch->unfinished);
    return refuse(ledger, batch, claim, CLAIM_REFUSED, ERROR_OVERLOADED, message);
}

static enum status post_accepted(struct ledger *ledger, struct ledger_batch *batch,
                                 struct claim_request *claim)
{
    struct reply reply = reply_of_command(claim->ask.command);
    reply.status = "accepted";
    return post_reply(ledger, batch, &reply, &claim->ask.reply_to);
}

/* Makes the row, its command waiting or, where it is called at once, already being called.
 * STATUS_BUSY, and nothing done, where the token has a row. */
static enum status insert(struct ledger *ledger, struct ledger_batch *batch,
                          struct claim_request *claim, enum state state, enum claim_result result)
{
    struct store *store = ledger->store;
    claim->state = claim->ask.is_called_at_once ? state_after(state, MOVE_START) : state;
    claim->result = result;
    claim->ask.command->attempts = claim->ask.is_called_at_once ? 1 : 0;
    enum status status = ledger->ops->insert(store, claim->ask.command, claim->state, &claim->id);
    claim->ask.command->attempts = 0; /* nothing was tried as far as a reply would tell */
    if (status == STATUS_OK) {
        status = ledger->ops->add_reply_to(store, claim->id, 0, &claim->ask.reply_to);
    }
    if (status == STATUS_OK) {
        batch->unfinished++;
        ledger_audit_claim(ledger, claim);
    }
    if (status == STATUS_OK && claim->ask.wants_accepted) {
        status = post_accepted(ledger, batch, claim);
    }
    return status;
}

static enum status replay(struct ledger *ledger, struct ledger_batch *batch,
                          struct claim_request *claim, const struct store_row *row)
{
    const struct reply reply = reply_of_row(row);
    claim->result = CLAIM_REPLAYED;
    ledger_audit_replay(ledger, claim, row);
    return post_reply(ledger, batch, &reply, &claim->ask.reply_to);
}

/* An expired record, or one without a definite outcome: it goes and a new one takes its token, so
 * that ids keep the order of arrival. Where it may not begin, one that is unknown is told as that:
 * a refusal would say that it did not happen. */
static enum status begin_again(struct ledger *ledger, struct ledger_batch *batch,
                               struct claim_request *claim, const struct store_row *row,
                               enum claim_result result)
{
    if (claim->ask.unless_found != ERROR_NONE || !has_room(ledger, batch)) {
        bool is_unknown =
            result == CLAIM_AGAIN && retention_is_unsure((enum retention)row->retention);
        return is_unknown ? replay(ledger, batch, claim, row) : refuse_new(ledger, batch, claim);
    }
    enum move move =
        retention_is_unsure((enum retention)row->retention) ? MOVE_AGAIN_UNSURE : MOVE_AGAIN;
    enum state state = result == CLAIM_AGAIN
                           ? state_after(STATE_DONE, move)
                           : state_after(state_after(STATE_DONE, MOVE_FORGET), MOVE_CLAIM);
    enum status status = ledger->ops->forget(ledger->store, row->id);
    return status == STATUS_OK ? insert(ledger, batch, claim, state, result) : status;
}

static enum status join(struct ledger *ledger, struct ledger_batch *batch,
                        struct claim_request *claim, int64_t id)
{
    int64_t count = 0;
    enum status status = ledger->ops->count_reply_tos(ledger->store, id, &count);
    if (status != STATUS_OK) {
        return status;
    }
    if (count > ledger->options.waiters_max) {
        char message[160];
        snprintf(message, sizeof message,
                 "%" PRId64 " commands with this ClientToken wait for its outcome already, as many "
                 "as limits.waiters_per_token allows.",
                 count - 1);
        return refuse(ledger, batch, claim, CLAIM_REFUSED, ERROR_OVERLOADED, message);
    }
    claim->result = CLAIM_WAITS;
    ledger_audit_claim(ledger, claim);
    return ledger->ops->add_reply_to(ledger->store, id, count, &claim->ask.reply_to);
}

/* What was set aside is told for as long as a refusal would be, and kept longer. */
static int64_t told_until(const struct ledger *ledger, const struct store_row *row)
{
    int64_t longer_s = ledger->options.success_ttl_s - ledger->options.failure_ttl_s;
    return row->expires_at_ms - (longer_s > 0 ? longer_s * 1000 : 0);
}

static enum claim_result decide(const struct ledger *ledger, const struct command *command,
                                const struct store_row *row, int64_t kept_ms)
{
    const struct claim_found found = {
        .state = row->state,
        .has_same_fingerprint = slice_equals(
            row->fingerprint, slice_of(command->fingerprint, sizeof command->fingerprint)),
        .retention = (enum retention)row->retention,
        .expires_at_ms = row->expires_at_ms,
        .told_until_ms = told_until(ledger, row),
    };
    return claim_decide(&found, kept_ms);
}

static enum status claim_found(struct ledger *ledger, struct ledger_batch *batch,
                               struct claim_request *claim, const struct store_row *row)
{
    enum claim_result result = decide(ledger, claim->ask.command, row, batch->kept_ms);
    switch (result) {
    case CLAIM_WAITS:
        return join(ledger, batch, claim, row->id);
    case CLAIM_REPLAYED:
        return replay(ledger, batch, claim, row);
    case CLAIM_MISMATCH:
        return refuse(ledger, batch, claim, CLAIM_MISMATCH, ERROR_PARAMETER_MISMATCH,
                      "This ClientToken was used for a command with other parameters.");
    case CLAIM_NEW:
    case CLAIM_AGAIN:
    case CLAIM_REFUSED:
        break;
    }
    return begin_again(ledger, batch, claim, row, result);
}

/* Most tokens are new: the row is inserted at once, and looked for only where that finds one. */
static enum status claim(struct ledger *ledger, struct ledger_batch *batch,
                         struct claim_request *claim)
{
    if (claim->ask.unless_found == ERROR_NONE && has_room(ledger, batch)) {
        enum state state = state_after(STATE_NONE, MOVE_CLAIM);
        enum status status = insert(ledger, batch, claim, state, CLAIM_NEW);
        if (status != STATUS_BUSY) {
            return status;
        }
    }
    struct store_row row;
    struct slice token = slice_text(claim->ask.command->token);
    enum status status = ledger->ops->find(ledger->store, token, &row);
    if (status == STATUS_NOT_FOUND) {
        return refuse_new(ledger, batch, claim);
    }
    return status == STATUS_OK ? claim_found(ledger, batch, claim, &row) : status;
}

/* ---- the others ---- */

static struct store_outcome stored_outcome(struct ledger_batch *batch,
                                           const struct outcome *outcome)
{
    buf_clear(&batch->error_json);
    outcome_put_error(outcome, &batch->error_json);
    bool is_success = outcome->status == OUTCOME_SUCCEEDED;
    return (struct store_outcome){
        .status = (int)outcome->status,
        .retention = (int)outcome->retention,
        .request_id = slice_text(outcome->request_id),
        .code = slice_text(outcome->code),
        .error = is_success ? (struct slice){0} : buf_slice(&batch->error_json),
    };
}

static enum status move(struct ledger *ledger, const struct move_request *move)
{
    return ledger->ops->set_state(ledger->store, move->id, move->state, move->attempts,
                                  move->not_before_ms, &move->charges);
}

/* One reply after the other; the first reply_to's is not a replay. */
struct answering {
    const struct ledger *ledger;
    struct ledger_batch *batch;
    struct reply reply;
    size_t count;
};

static void answer(void *arg, const struct reply_to *reply_to)
{
    struct answering *answering = arg;
    answering->reply.is_replayed = answering->count > 0;
    answering->count++;
    render(answering->ledger, answering->batch, &answering->reply, reply_to);
}

static int64_t expiry(const struct ledger *ledger, const struct finish_request *finish)
{
    int64_t ttl_ms = outcome_ttl_ms(&finish->outcome, ledger->options.success_ttl_s,
                                    ledger->options.failure_ttl_s);
    return ttl_ms > INT64_MAX - finish->kept_from_ms ? INT64_MAX : finish->kept_from_ms + ttl_ms;
}

static enum status finish(struct ledger *ledger, struct ledger_batch *batch,
                          struct finish_request *finish)
{
    const struct command *command = finish->command;
    struct store_outcome outcome = stored_outcome(batch, &finish->outcome);
    outcome.completed_at_ms = finish->completed_at_ms;
    outcome.expires_at_ms = expiry(ledger, finish);
    struct answering answering = {ledger, batch, reply_of_command(command), 0};
    answering.reply.status = outcome_status_text(finish->outcome.status);
    answering.reply.request_id = outcome.request_id;
    answering.reply.completed_at_ms = outcome.completed_at_ms;
    answering.reply.error = outcome.error;
    answering.reply.code = outcome.code;
    size_t first = batch->message_count;
    enum status status =
        ledger->ops->take_reply_tos(ledger->store, command->id, answer, &answering);
    if (status == STATUS_OK) {
        status = ledger->ops->finish(ledger->store, command->id, command->attempts, &outcome);
    }
    finish->reply_to_count = answering.count;
    batch->unfinished--;
    ledger_audit_outcome(ledger, finish);
    return status == STATUS_OK ? post_rendered(ledger, batch, first) : status;
}

static enum status post(struct ledger *ledger, struct ledger_batch *batch,
                        const struct post_request *post)
{
    size_t first = batch->message_count;
    size_t offset = batch->bytes.length;
    ledger_audit_post(ledger, post);
    buf_append(&batch->bytes, buf_slice(&post->message));
    add_message(batch, 0, offset);
    return post_rendered(ledger, batch, first);
}

static enum status delivered(struct ledger *ledger, struct delivered_request *delivered)
{
    enum status status = ledger->ops->unpost(ledger->store, delivered->id);
    delivered->was_there = status == STATUS_OK;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static void read_message(void *arg, int64_t id, struct slice message)
{
    struct ledger_batch *batch = arg;
    size_t offset = batch->bytes.length;
    buf_append(&batch->bytes, message);
    add_message(batch, id, offset);
}

static enum status apply(struct ledger *ledger, struct ledger_batch *batch,
                         struct ledger_request *request)
{
    size_t count = 0;
    switch (request->kind) {
    case REQUEST_CLAIM:
        return claim(ledger, batch, &request->claim);
    case REQUEST_POST:
        return post(ledger, batch, &request->post);
    case REQUEST_BEGIN:
    case REQUEST_PAUSE:
        return move(ledger, &request->move);
    case REQUEST_FINISH:
        return finish(ledger, batch, &request->finish);
    case REQUEST_DELIVERED:
        return delivered(ledger, &request->delivered);
    case REQUEST_READ:
        return ledger->ops->read_outbox(ledger->store, request->read.from_id, request->read.limit,
                                        read_message, batch, &count);
    case REQUEST_REMEMBER:
        return ledger->ops->set_meta(ledger->store, request->remember.key, request->remember.value);
    case REQUEST_REOPEN: /* the thread has seen to it */
        break;
    }
    return STATUS_OK;
}

enum status ledger_request_apply(struct ledger *ledger, struct ledger_batch *batch,
                                 struct ledger_request *request)
{
    request->first_message = batch->message_count;
    enum status status = apply(ledger, batch, request);
    request->message_count = batch->message_count - request->first_message;
    return status;
}
